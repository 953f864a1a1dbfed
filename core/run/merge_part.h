/*
 * merge_part.h - the file of one shard, read entry by entry.
 */
#ifndef MBS_RUN_MERGE_PART_H
#define MBS_RUN_MERGE_PART_H

#include <stdio.h>

#include "run/shard.h"

typedef struct mbs_part {
    char *path;
    FILE *f;
    mbs_share share;
    /* of its head */
    const char *pipeline;
    mbs_plan_set *sets;
    int64_t n_sets;
    const char **outputs;
    int64_t n_outputs;
    mbs_attr *attrs;
    int64_t n_attrs;
    /* the entry at hand */
    char tag; /* 0: none */
    char *entry;
    size_t cap;
    mbs_cursor in;
    uint64_t sum;    /* of all bytes read */
    uint64_t before; /* of those before the entry at hand */
} mbs_part;

/* Opens a shard's file, or the one beside an output, and reads its head; texts live in the arena. */
mbs_status mbs_part_open(mbs_part *p, const char *path, mbs_arena *arena, mbs_err *err);
/* Looks at the next entry: p->tag and p->in. The one at hand is looked at again until mbs_part_taken. */
mbs_status mbs_part_look(mbs_part *p, mbs_err *err);
void mbs_part_taken(mbs_part *p);
mbs_status mbs_part_bytes(mbs_part *p, void *to, size_t n, mbs_err *err);
mbs_status mbs_part_damaged(const mbs_part *p, mbs_err *err);
/* A text or NULL, in the arena; *failed where there is no memory for it. */
const char *mbs_part_text(mbs_cursor *in, mbs_arena *arena, int *failed);
void mbs_part_close(mbs_part *p);

#endif
