/*
 * diag.h - mistakes and warnings with their places, collected while a pipeline is read and shown in the order of the
 * file, those of the command line behind.
 */
#ifndef MBS_PIPE_DIAG_H
#define MBS_PIPE_DIAG_H

#include "base/err.h"
#include "pipe/plan.h"
#include "pipe/yaml_text.h"

/* Where something was written: in the file, or in an override. */
typedef struct mbs_place {
    int set;  /* index of the override, -1: the file */
    int line; /* 1-based */
    int col;  /* 1-based, in characters */
} mbs_place;

typedef struct mbs_diag {
    mbs_place at;
    mbs_status status; /* MBS_OK: a warning */
    char *text;
} mbs_diag;

typedef struct mbs_diags {
    const char *file; /* as messages call it */
    mbs_yaml_text text;
    const mbs_plan_set *sets;
    mbs_diag *items;
    size_t n, cap;
    size_t errors;
    mbs_status status; /* that all errors have in common, else MBS_ERR_CONFIG */
    int failed;        /* out of memory: something was not recorded */
} mbs_diags;

/* Control bytes in the text come out as \xNN. */
void mbs_diag_error(mbs_diags *d, mbs_place at, const char *fmt, ...) MBS_PRINTF(3, 4); /* MBS_ERR_CONFIG */
void mbs_diag_status(mbs_diags *d, mbs_place at, mbs_status status, const char *fmt, ...) MBS_PRINTF(4, 5);
/* Sorts, and prints each with the source line and a caret; beyond MBS_DIAG_SHOWN only their number. */
#define MBS_DIAG_SHOWN 50
void mbs_diag_print(mbs_diags *d, mbs_buf *out);
void mbs_diag_free(mbs_diags *d);
/* "score.yaml:3:9", "--set reader.path=x.fa". */
void mbs_diag_place(const mbs_diags *d, mbs_place at, mbs_buf *out);

#endif
