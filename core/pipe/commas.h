/*
 * commas.h - finds values that YAML cut at their commas: chr1:1,000-2,000 in brackets is three values.
 */
#ifndef MBS_PIPE_COMMAS_H
#define MBS_PIPE_COMMAS_H

#include "pipe/yaml.h"

/* How many of the siblings behind `head` are pieces of it, with the whole put together in `joined`; 0: it is not cut.
 * `in_map`: the pieces are keys without a value. */
int mbs_commas_cut(const mbs_yaml_node *head, int in_map, mbs_buf *joined);
/* What stands behind a comma: three digits, and maybe the beginning of the other end: "000", "000-2". */
int mbs_commas_is_piece(const char *s);
/* Nonzero where the joined text is a number with its thousands marked. */
int mbs_commas_number(const char *joined);

#endif
