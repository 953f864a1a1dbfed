/*
 * report.h - facts for people (aligned words) or for programs (one JSON object), from the same calls.
 */
#ifndef MBS_CLI_REPORT_H
#define MBS_CLI_REPORT_H

#include <stdint.h>

#include "base/buf.h"

typedef struct mbs_report {
    mbs_buf out;
    int json;
    int n; /* facts so far */
} mbs_report;

void mbs_report_begin(mbs_report *r, int json);
/* A line of words only. Texts may hold anything: control bytes are escaped. */
void mbs_report_title(mbs_report *r, const char *text);
/* Keys are words with '_' between; people see a blank unless there is a dot in it. A NULL value is left out. */
void mbs_report_text(mbs_report *r, const char *key, const char *value);
void mbs_report_int(mbs_report *r, const char *key, int64_t value);
void mbs_report_real(mbs_report *r, const char *key, double value);
void mbs_report_list(mbs_report *r, const char *key, const char *const *items, int n);
/* "A 1180, T 1171", an object in JSON. */
void mbs_report_counts(mbs_report *r, const char *key, const char *const *names, const int64_t *counts, int n);
/* A fact in text form that may be a number: JSON gets one where it reads as one. */
void mbs_report_fact(mbs_report *r, const char *key, const char *value);
/* What JSON has that words have not: `value` is JSON itself. */
void mbs_report_json(mbs_report *r, const char *key, const char *value);
void mbs_report_end(mbs_report *r);
void mbs_report_free(mbs_report *r);

/* Appends text with control bytes escaped. */
void mbs_report_escaped(mbs_buf *out, const char *text);

#endif
