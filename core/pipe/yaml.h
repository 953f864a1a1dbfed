/*
 * yaml.h - a small tree of YAML with the place of everything in it.
 *
 * The subset: one document, UTF-8, no anchors, aliases or tags, keys are scalars and unique. A scalar keeps its text
 * and whether it was written without quotes: what it means is decided by whoever knows the parameter.
 */
#ifndef MBS_PIPE_YAML_H
#define MBS_PIPE_YAML_H

#include "base/mem.h"
#include "pipe/diag.h"

#define MBS_YAML_MAX_BYTES (1u << 20)
#define MBS_YAML_MAX_DEPTH 64
#define MBS_YAML_MAX_NODES 10000

typedef enum mbs_yaml_kind { MBS_YAML_SCALAR, MBS_YAML_LIST, MBS_YAML_MAP } mbs_yaml_kind;

typedef struct mbs_yaml_node {
    mbs_yaml_kind kind;
    int plain;                  /* scalar: no quotes, not a block of text */
    int flow;                   /* list, mapping: written with brackets */
    int bad;                    /* scalar: stands for something that was refused */
    mbs_place at;               /* first character */
    const char *text;           /* scalar; never NULL, no NUL inside */
    struct mbs_yaml_node *key;  /* in a mapping: the key of this value */
    struct mbs_yaml_node *next; /* sibling */
    struct mbs_yaml_node *first, *last;
    int n; /* children */
} mbs_yaml_node;

/* Parses `text` (without a byte order mark), a file (set -1) or the value of an override. NULL where the
 * whole tree could not be made; the mistakes are in `d`, and a tree may come with some. An empty document is a null
 * scalar. Nodes live in the arena. */
mbs_yaml_node *mbs_yaml_parse(mbs_arena *arena, mbs_yaml_text text, int set, mbs_diags *d);

int mbs_yaml_is_null(const mbs_yaml_node *n); /* nothing, ~ or null, unquoted */
mbs_yaml_node *mbs_yaml_get(const mbs_yaml_node *map, const char *key);
mbs_yaml_node *mbs_yaml_item(const mbs_yaml_node *list, int i);

mbs_yaml_node *mbs_yaml_new(mbs_arena *arena, mbs_yaml_kind kind, mbs_place at);
mbs_yaml_node *mbs_yaml_new_scalar(mbs_arena *arena, const char *text, int plain, mbs_place at);
void mbs_yaml_append(mbs_yaml_node *parent, mbs_yaml_node *child);
/* Puts `fresh` where `old` stands, under the same key. */
void mbs_yaml_replace(mbs_yaml_node *parent, mbs_yaml_node *old, mbs_yaml_node *fresh);

/* The text of the override or the file that `at` is a place in. */
mbs_yaml_text mbs_yaml_text_of(const mbs_diags *d, mbs_place at);

#endif
