/*
 * log.h - words on stderr: "mambaseq: warning: ...". Data goes to stdout, words to stderr, always.
 * Lines are written whole, from any thread. A progress line on the terminal is wiped first and redrawn after. Control
 * bytes in a message, line ends included, are written as \xNN: what a file holds cannot drive a terminal.
 */
#ifndef MBS_BASE_LOG_H
#define MBS_BASE_LOG_H

#include "base/err.h"

typedef enum mbs_log_level {
    MBS_LOG_ERROR = 0,
    MBS_LOG_WARNING = 1,
    MBS_LOG_INFO = 2, /* shown by default */
    MBS_LOG_DEBUG = 3 /* -v */
} mbs_log_level;

/* -q: MBS_LOG_ERROR; default MBS_LOG_INFO; -v: MBS_LOG_DEBUG. */
void mbs_log_set_level(mbs_log_level level);
mbs_log_level mbs_log_get_level(void);
void mbs_log(mbs_log_level level, const char *fmt, ...) MBS_PRINTF(2, 3);
/* "mambaseq: error: <line of err>", also under -q. */
void mbs_log_err(const mbs_err *err);
/* Collects lines instead of printing them, for tests; NULL goes back to stderr. */
struct mbs_buf;
void mbs_log_capture(struct mbs_buf *into);
/* One line as it is, for machines ("{...}"); shown at every level. */
void mbs_log_raw(const char *line);
/* The line that stays at the bottom of the terminal (progress.c): lines are printed above it. NULL wipes it. */
void mbs_log_status(const char *text);

#endif
