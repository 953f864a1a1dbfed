/*
 * schema.h - checks a mapping of the pipeline against a table of parameters and takes its values.
 */
#ifndef MBS_PIPE_SCHEMA_H
#define MBS_PIPE_SCHEMA_H

#include "pipe/yaml.h"
#include "plug/params.h"

typedef struct mbs_schema {
    const char *label; /* "reader 'fasta'" */
    const mbs_param *rows;
    uint32_t n_rows;
    const char *also;           /* a key that is no parameter ("plugin"), or NULL */
    const mbs_param *host_rows; /* keys of the host that stand beside the plugin's own, with their values, or NULL */
    uint32_t n_host_rows;
    mbs_params *host;
    const char *nested;      /* keys whose values are mappings that somebody else takes, "a|b", or NULL */
    const char *path_option; /* how `path` is told on the command line ("-i FILE"), or NULL */
    /* Says more about a key than the table can: nonzero where it recorded an error. May be NULL. */
    int (*refuse)(mbs_diags *d, const mbs_yaml_node *value);
} mbs_schema;

/* Every mistake goes to `d`. */
void mbs_schema_fill(const mbs_schema *s, const mbs_yaml_node *map, mbs_params *params, mbs_arena *arena, mbs_diags *d);
/* Sets one key from a scalar or list; `why` as of mbs_params_set, which it is made of. */
mbs_status mbs_schema_set(mbs_params *params, const mbs_yaml_node *value, mbs_arena *arena, mbs_buf *why);
/* "a text", "a list", "a mapping", "nothing" */
const char *mbs_schema_kind(const mbs_yaml_node *n);

#endif
