/*
 * task_impute.h - the parts of task impute: units that the model is to fill in, and what is put there.
 *
 * A gap is a run of units that are to be filled, no longer than max_gap; a longer one goes through the model as it
 * stands. Gaps are decided about from left to right, each with those before it filled. A causal model gives candidates
 * from the state in front of the gap, and what follows it decides between them: ln P(fill) + ln P(what follows | fill).
 * A masked model sees both sides at once: every unit of the gap is masked and read off one pass (task_impute_masked.c).
 * Only what lies `window` units around the unit at hand is held.
 */
#ifndef MBS_RUN_TASK_IMPUTE_H
#define MBS_RUN_TASK_IMPUTE_H

#include "model/whole.h"
#include "run/task.h"

#define IMPUTE_FILLED 1
#define IMPUTE_LEFT 2

/* One way to fill the gap at hand. */
typedef struct impute_fill {
    mbs_session *session; /* behind its units */
    float *logits;        /* vocab_rows: what comes next */
    int32_t *ids;         /* the units that it has */
    double own;           /* ln P of them */
    double behind;        /* ln P of what follows the gap, behind them */
    double weight;        /* among the candidates */
} impute_fill;

typedef struct task_impute {
    mbs_task_env env;
    mbs_session *pass;
    mbs_whole *whole; /* of a model that takes whole records: then pass is NULL */
    mbs_pace pace;
    int sample;
    int64_t max_gap, window, candidates;
    int64_t call; /* rows of a call behind a fill */
    uint64_t seed;
    int32_t *choices;
    int64_t n_choices, rows; /* of the vocabulary */
    int32_t mask;
    int fill_unknown, fill_mask;
    int32_t *fed; /* pace.max */
    float *got;   /* pace.max */
    float *logits;
    int has_logits;

    /* Units that came and are still needed. */
    int32_t *ids;
    uint8_t *spelled, *wanted, *scored, *state;
    float *probability; /* two for each: of the unit, of the gap */
    size_t cap[6];
    int64_t n, done, given; /* units here, decided about, given to the writers */
    int64_t position;       /* of the first */
    int64_t start;          /* of the first that is written */
    int in_long;            /* the last unit decided about lies in a gap that is too long */
    int begun, ended, last;
    int64_t index; /* of the record */

    /* The gap at hand, [done, done + gap); `step` of its units are there, or `behind` of what follows. */
    int64_t gap, step, behind;
    int filling;
    impute_fill *fills, *next; /* candidates each */
    int64_t n_fills, at;       /* `at`: the one that is being continued */
    mbs_task_totals totals;
} task_impute;

/* task_impute_fill.c: begins with the gap; a piece of the work; *over once the ids of the gap are those chosen. */
mbs_status mbs_impute_begin(task_impute *t, mbs_err *err);
mbs_status mbs_impute_work(task_impute *t, int *over, mbs_err *err);
mbs_status mbs_impute_setup(task_impute *t, mbs_err *err);
void mbs_impute_drop(task_impute *t);
/* task_impute_masked.c */
mbs_status mbs_impute_masked(task_impute *t, mbs_err *err);

#endif
