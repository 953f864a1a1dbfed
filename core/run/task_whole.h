/*
 * task_whole.h - score, logits, embed and classify for models that take whole records (model/whole.h): what
 * task_whole.c (a record is collected and given) and task_whole_run.c (what of it goes through the model) share.
 *
 * A record is one window, or many of `window` tokens each with `halo` tokens of its neighbours on both sides. A window
 * is one pass or, with mode masked, as many as it takes to mask each of its tokens once. A pass reads one strand or
 * both. Passes go through the model together as long as they are short.
 */
#ifndef MBS_RUN_TASK_WHOLE_H
#define MBS_RUN_TASK_WHOLE_H

#include "model/whole.h"
#include "run/task_rows.h"

/* A pass over tokens [from, to), which is asked for [core, core_end). */
typedef struct whole_unit {
    int64_t from, to, core, core_end;
    int64_t pass;
    int64_t plus, minus; /* where its sequences begin in the call, -1: not read */
    int probe;           /* the window before it again, with twice the halo */
} whole_unit;

typedef struct whole_task {
    mbs_whole *run;
    int masked;     /* each token masked once */
    int64_t every;  /* tokens from one that is masked to the next; 0: one alone */
    int64_t window; /* 0: the whole record */
    int64_t halo;
    unsigned strands; /* 1: as it stands, 2: the other */
    int32_t mask;
    const mbs_vocab *vocab;
    int64_t piece;    /* rows that are given at once */
    float *a, *b;     /* piece x the widest row */
    int32_t *targets; /* piece */
    /* The record. */
    int32_t *ids; /* all rows, those that are not fed too */
    size_t cap_ids;
    int64_t n;
    uint8_t *scored; /* has_scored */
    size_t cap_scored;
    int64_t *interval; /* has_interval: two for each row */
    size_t cap_interval;
    int has_scored, has_interval;
    int64_t start, end, context;
    int32_t *fed;
    size_t cap_fed;
    int64_t n_fed;
    int64_t own; /* the first of them that is the record's */
    /* Giving it. */
    int prepared;
    int wrapped;       /* what goes around the record is among its rows */
    int64_t row;       /* rows given or passed over */
    int64_t row_fed;   /* of the fed ones */
    int64_t win, pass; /* the next unit */
    whole_unit *units; /* of the call */
    size_t cap_units;
    int64_t n_units, unit; /* and the one that is given next */
    int running;
    double began;
    float *lp; /* masked: of the fed tokens */
    size_t cap_lp;
    int32_t *call_ids;
    size_t cap_call;
    int64_t *call_starts;
    size_t cap_starts;
    int64_t call_rows, call_seqs;
    int64_t pooled; /* rows in the sum */
    int told_cost;
    /* What windows do to the rows. */
    double halo_most, halo_sum, halo_ref;
    int64_t halo_rows;
} whole_task;

/* MBS_ERR_CONFIG where parameters are set that mean something for such models alone, and this is none. */
mbs_status mbs_task_whole_only(const mbs_task_env *env, int i, mbs_err *err);
mbs_status mbs_task_whole_setup(task_rows *t, mbs_carry *out, mbs_err *err);
void mbs_task_whole_drop(task_rows *t);

/* --- task_whole.c */
void mbs_whole_carry(const task_rows *t, mbs_carry *out);

/* --- task_whole_run.c */
/* Ids from row `from` of a block on that the model has not: MBS_ERR_DATA. */
mbs_status mbs_whole_check_ids(const task_rows *t, const mbs_block *b, int64_t from, mbs_err *err);
/* The tokens that the model sees, behind those that are there, and what goes around them. */
mbs_status mbs_whole_feed(task_rows *t, const int32_t *ids, int64_t n, mbs_err *err);
/* A whole record as a unit of the call: tokens [core, core_end) of the fed ones. */
mbs_status mbs_whole_add_record(task_rows *t, const mbs_block *b, mbs_err *err);
/* Windows and passes of the record from the start. */
void mbs_whole_units_begin(whole_task *w);
/* Takes the next units for a call, begins it; 0 units: the record is done. */
mbs_status mbs_whole_units_next(task_rows *t, mbs_err *err);
/* Rows [f, f + n) of the fed tokens as the task gives them (scores, logits, rows), from the unit's sequences. */
mbs_status mbs_whole_fetch(task_rows *t, const whole_unit *u, int64_t f, int64_t n, float *out, mbs_err *err);
/* Of a unit of mode masked: the log-probabilities of what it masked. */
mbs_status mbs_whole_take_masked(task_rows *t, const whole_unit *u, mbs_err *err);
/* Compares a probe with the window before it. */
mbs_status mbs_whole_measure(task_rows *t, const whole_unit *u, const whole_unit *probe, mbs_err *err);

#endif
