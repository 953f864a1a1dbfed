/*
 * output_impl.h - what the parts of output.h share: output.c plans, output_probe.c locks and creates, output_end.c
 * renames or removes. Not for others.
 */
#ifndef MBS_BASE_OUTPUT_IMPL_H
#define MBS_BASE_OUTPUT_IMPL_H

#include <sys/stat.h>

#include "base/lock.h"
#include "base/output.h"

typedef struct mbs_output_entry {
    char *path; /* as the user wrote it */
    char *real; /* links resolved: what is replaced */
    char *dir;
    char *base;
    char *temp;
    int force;
    int direct;  /* no regular file: written as it is */
    int existed; /* with what st says */
    struct stat st;
    mbs_lock lock;
    int own;     /* the temporary file is ours, under the lock */
    int created; /* ... and was not there before */
    int renamed;
} mbs_output_entry;

typedef struct mbs_output_scratch {
    mbs_output_entry *of;
    char *temp;
    int virtual; /* prepare does not create it */
    int created;
} mbs_output_scratch;

typedef struct mbs_output_input {
    char *path;
    dev_t dev;
    ino_t ino;
} mbs_output_input;

typedef enum mbs_output_state { PLANNED, READY, ENDED } mbs_output_state;

struct mbs_outputs {
    mbs_output_entry **entries;
    size_t n;
    size_t entries_cap;
    mbs_output_scratch *scratches;
    size_t n_scratches;
    size_t scratches_cap;
    mbs_output_input *inputs;
    size_t n_inputs;
    size_t inputs_cap;
    mbs_output_state state;
    int resume;
};

/* Locks and creates the entries from `first` on, and their scratch files; undoes it where one fails. */
mbs_status mbs_output_probe(mbs_outputs *o, size_t first, mbs_err *err);
mbs_status mbs_output_make_scratch(mbs_output_scratch *s, int resume, mbs_err *err);
/* Does an entry of [first, i) stand in the folder of entry i? */
int mbs_output_dir_seen(const mbs_outputs *o, size_t first, size_t i);

#endif
