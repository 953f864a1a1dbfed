/*
 * yaml_hint.h - what the user should have typed: libyaml's complaints in words, with the value in quotes.
 */
#ifndef MBS_PIPE_YAML_HINT_H
#define MBS_PIPE_YAML_HINT_H

#include <yaml.h>

#include "pipe/yaml.h"

/* Records the parser's error. `text` is what it was given, set where it is from. */
void mbs_yaml_hint(const yaml_parser_t *parser, mbs_yaml_text text, int set, mbs_diags *d);
/* Appends what to type for the value at `at` to be taken as text: "*.fa" in quotes, for an override the whole of it,
 * ready for the shell: --set 'reader.path="*.fa"'. */
void mbs_yaml_hint_value(const mbs_diags *d, mbs_place at, int in_flow, mbs_buf *out);
/* The same for a text that is not in the source as it stands. */
void mbs_yaml_hint_text(const mbs_diags *d, mbs_place at, const char *text, mbs_buf *out);
/* The same for a flow collection that was meant as text ("{stem}" from {stem}). 0 where it is longer than a line. */
int mbs_yaml_hint_node(const mbs_diags *d, const mbs_yaml_node *n, mbs_buf *out);

#endif
