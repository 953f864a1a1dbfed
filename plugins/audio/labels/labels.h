/*
 * labels.h - from probabilities (or bits, of task score) over time to events: where they begin, where they end, how
 * they are written.
 */
#ifndef LB_LABELS_H
#define LB_LABELS_H

#include "io/rowfile/piece.h"
#include "io/rowfile/span.h"
#include "io/rowfile/spool.h"
#include "io/rowfile/text.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"

typedef enum lb_format { LB_AUDACITY, LB_RTTM, LB_RAVEN, LB_SRT, LB_TSV, LB_JSONL } lb_format;

/* An event of one class, in units of the source. */
typedef struct lb_event {
    int64_t start, end;
    int64_t label;
    int64_t rows;
    double sum; /* of its rows' probabilities */
    double peak;
} lb_event;

/* One class: an event that goes on, or one that is over and may be joined by the next. */
typedef struct lb_class {
    double on, off;        /* begins at `on`, ends below `off` */
    int64_t wanted;        /* 0: never written */
    int64_t open, waiting; /* event is going on; is over and may be joined */
    lb_event event;
} lb_class;

/* Kept between blocks, with the classes and the held events behind it. */
typedef struct lb_place {
    int64_t version, length, n_classes, n_held, written, records, header_done;
    mbs_piece piece; /* of scores: what makes a row */
} lb_place;

typedef struct lb_writer {
    const mbs_host *host;
    const mbs_params *params;
    const char *path;
    const char *temp;
    lb_format format;
    double hysteresis, min_duration, max_gap;
    double rate; /* units per second; 1 where the unit is not time */
    const mbs_stream_header *stream;
    const char *labels; /* names with tabs between, or NULL */
    const char *model;  /* its sum, or "." */
    lb_class *classes;
    lb_event *held; /* complete, and younger than one that goes on; by start */
    int64_t cap_held;
    const mbs_record *record;
    mbs_text line;
    mbs_spool out;
    void *saved;
    lb_place at;
} lb_writer;

/* events.c. A row of n probabilities over [start, end); the end of a record. */
mbs_status lb_events_row(lb_writer *w, const float *prob, int64_t start, int64_t end);
mbs_status lb_events_end(lb_writer *w);
/* format.c */
mbs_status lb_format_header(lb_writer *w);
mbs_status lb_format_event(lb_writer *w, const lb_event *e);
/* The name of class k, not terminated. */
size_t lb_class_name(const lb_writer *w, int64_t k, const char **name, char number[24]);

extern const mbs_writer_vt lb_writer_vt;

#endif
