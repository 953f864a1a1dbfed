/*
 * set.h - overrides from the command line, put into the tree before it is checked.
 */
#ifndef MBS_PIPE_SET_H
#define MBS_PIPE_SET_H

#include "pipe/yaml.h"

/* Applies d->sets[0..n) in order to the mapping `root`. A path is keys and 0-based indexes with points between; behind
 * `writer` it may name a plugin, and a key behind a list means the list's first item. What stands there is replaced, a
 * key that is not there is added, and one more than the last index appends. Mistakes go to `d`. */
void mbs_set_apply(mbs_arena *arena, mbs_yaml_node *root, int n, mbs_diags *d);

#endif
