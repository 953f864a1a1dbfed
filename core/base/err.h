/*
 * err.h - an error with its context, filled where it happens and printed once, at the end.
 *
 * A failing function fills the caller's mbs_err and returns its status; callers on the way up may add what was kept and
 * what to do, but never replace what is already there. The last line on stderr is made from it:
 *   mambaseq: error: <where>: <what>: <why>; <what was kept>; <what to do>
 */
#ifndef MBS_BASE_ERR_H
#define MBS_BASE_ERR_H

#include <stddef.h>

#include "mambaseq/status.h"

#if defined(__GNUC__)
#define MBS_PRINTF(a, b) __attribute__((format(printf, a, b)))
#define MBS_NODISCARD __attribute__((warn_unused_result))
#else
#define MBS_PRINTF(a, b)
#define MBS_NODISCARD
#endif

typedef struct mbs_err {
    mbs_status status; /* MBS_OK while there is no error */
    char where[512];   /* "reader 'fasta': genome.fa:12", may be empty */
    char what[1536];   /* "not a FASTA record: line starts with '%'" */
    char kept[256];    /* "scores.h5 was not touched", may be empty */
    char fix[512];     /* "check the path", may be empty */
} mbs_err;

void mbs_err_clear(mbs_err *err);
/* Records the error and returns `status`. The first error wins: a filled err is left alone. `where` may be NULL, and so
 * may `err` (the status is still returned). Control bytes in the text are printed as \xNN later. */
mbs_status mbs_fail(mbs_err *err, mbs_status status, const char *where, const char *fmt, ...) MBS_PRINTF(4, 5);
/* As mbs_fail, with ": strerror(errnum)" at the end. */
mbs_status mbs_fail_errno(mbs_err *err, mbs_status status, int errnum, const char *where, const char *fmt, ...)
    MBS_PRINTF(5, 6);
mbs_status mbs_fail_memory(mbs_err *err, const char *where, size_t bytes);
/* Adds to a filled error; the first text of each kind wins. */
void mbs_err_fix(mbs_err *err, const char *fmt, ...) MBS_PRINTF(2, 3);
void mbs_err_kept(mbs_err *err, const char *fmt, ...) MBS_PRINTF(2, 3);
/* Puts `where` in front of what is there ("a: b"). */
void mbs_err_where(mbs_err *err, const char *fmt, ...) MBS_PRINTF(2, 3);
/* The line without the "mambaseq: error: " in front and without a line end; always terminated, control bytes escaped.
 */
void mbs_err_line(const mbs_err *err, char *out, size_t size);
/* Exit code for a status: 0 for success, else its negation. */
int mbs_exit_code(mbs_status status);

#endif
