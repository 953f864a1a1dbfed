/*
 * task.h - the tasks of the model stage, each a carry of the stream (stream/carry.h).
 */
#ifndef MBS_RUN_TASK_H
#define MBS_RUN_TASK_H

#include "run/stage_model.h"
#include "stream/carry.h"

/* Somebody who also wants the logits of every token that task score gives the model (eval). */
typedef struct mbs_task_watch {
    void *ctx;
    /* n rows of vocab_rows logits, row i behind token i, in the order of the tokens; host memory until it returns. */
    mbs_status (*look)(void *ctx, const float *logits, int64_t n, mbs_err *err);
} mbs_task_watch;

/* What a task works with; borrowed. */
typedef struct mbs_task_env {
    const mbs_stage_model *models; /* opened; the first is asked, score also asks those that are held against it */
    int n_models;
    mbs_task task;
    mbs_instance *codec;
    const mbs_vocab *vocab;
    const mbs_task_watch *watch; /* NULL: nobody */
    /* variant: where edits come from, and what turns their units into tokens; NULL: they are tokens. */
    mbs_instance *reader;
    mbs_instance *edit_codec;
    const char *unit_type;       /* of what the reader gives: "bases/u8" */
    const mbs_stream_header *in; /* what the reader gives, NULL: no reader */
    const char *codec_id;        /* "bases", NULL: no codec */
    double rate;                 /* samples a second of what writers get, 0: it is no sound */
    int keep_partial;            /* generate: asked to stop, what there is is made complete */
    const char *state_temp;      /* generate: where model.save_state is written, NULL: nowhere */
    int strict_labels;           /* classify: a label that is no class of the model is an error, not a warning */
} mbs_task_env;

/* Totals for the summary; only what the task counts. */
typedef struct mbs_task_totals {
    int64_t tokens; /* of the rows that writers get */
    int64_t fed;    /* to the model; score, logits and embed only */
    int64_t scored;
    double logprob;                   /* sum over the scored, nats */
    double logprobs[MBS_PLAN_MODELS]; /* several models: that of each */
    int64_t generated;
    /* generate, its guard: windows drawn again because the model was stuck or made noise, and those taken after all. */
    int64_t again_stuck;
    int64_t again_noise;
    int64_t given_up;
    int64_t given;  /* compress: bytes that the rows became */
    double seconds; /* that the calls of the model took; score, logits and embed only */
    /* classify: records with a label that is a class of the model, those that were classified so, and those with
     * another label. */
    int64_t labelled;
    int64_t right;
    /* variant: places and the alternatives at them, those that got a likelihood, and tokens that went through the model
     * for the stream itself and for edits. */
    int64_t groups;
    int64_t edits;
    int64_t edits_scored;
    int64_t pass_steps;
    int64_t edit_steps;
    int64_t foreign;
    /* impute: gaps filled and the units in them, gaps that were too long and theirs. */
    int64_t gaps;
    int64_t filled;
    int64_t long_gaps;
    int64_t left;
    const int64_t
        *confusion; /* classes x classes, truth by rows; the task's; NULL: too many classes, or another task */
} mbs_task_totals;

/* A task: how its carry is made and freed, and what it counted. */
typedef struct mbs_task_kind {
    mbs_status (*make)(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
    void (*free)(mbs_carry *carry);
    const mbs_task_totals *(*totals)(const mbs_carry *carry);
} mbs_task_kind;
/* Never NULL for a plan with a model. */
const mbs_task_kind *mbs_task_kind_of(const mbs_plan *plan);

mbs_status mbs_task_rows_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
mbs_status mbs_task_generate_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
mbs_status mbs_task_variant_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
void mbs_task_variant_free(mbs_carry *carry);
const mbs_task_totals *mbs_task_variant_totals(const mbs_carry *carry);
/* MBS_EDIT_PLUS, MBS_EDIT_MINUS or both: what model.strand comes to. */
unsigned mbs_task_variant_strands(const mbs_params *params);
/* Tokens behind an edit whose likelihood counts with it. */
int64_t mbs_task_edit_window(const mbs_params *params);
/* Several models: rows with a column for each. */
mbs_status mbs_task_beside_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
void mbs_task_beside_free(mbs_carry *carry);
const mbs_task_totals *mbs_task_beside_totals(const mbs_carry *carry);
void mbs_task_rows_free(mbs_carry *carry);
void mbs_task_generate_free(mbs_carry *carry);
const mbs_task_totals *mbs_task_rows_totals(const mbs_carry *carry);
const mbs_task_totals *mbs_task_generate_totals(const mbs_carry *carry);
mbs_status mbs_task_mutate_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
void mbs_task_mutate_free(mbs_carry *carry);
const mbs_task_totals *mbs_task_mutate_totals(const mbs_carry *carry);
mbs_status mbs_task_compress_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
void mbs_task_compress_free(mbs_carry *carry);
const mbs_task_totals *mbs_task_compress_totals(const mbs_carry *carry);
mbs_status mbs_task_decompress_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
void mbs_task_decompress_free(mbs_carry *carry);
const mbs_task_totals *mbs_task_decompress_totals(const mbs_carry *carry);

mbs_status mbs_task_impute_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err);
void mbs_task_impute_free(mbs_carry *carry);
const mbs_task_totals *mbs_task_impute_totals(const mbs_carry *carry);
/* Tokens behind a gap that decide about it; of a masked model those on both sides. */
int64_t mbs_task_impute_window(const mbs_params *params);

/* Feeds ids that have no place in the source (mbs_vocab_around), at most `rows` in a call; `out` is asked of each call.
 */
mbs_status mbs_task_feed(mbs_session *s, const int32_t *ids, int64_t n, int64_t rows, const mbs_run_out *out,
                         mbs_err *err);

/* Where a masked model is asked: units [at, at + n) of n_ids, which end at the record's end or `window` behind them,
 * and begin at its beginning or `window` before. Ids < 0 are not fed. */
typedef struct mbs_site {
    const int32_t *ids;
    int64_t n_ids, at, n, window;
    int32_t mask;
} mbs_site;
/* The tokens of one pass: `window` units on both sides, the site masked, and what goes around the record
 * (mbs_vocab_around) where the window goes beyond it. *row: that of the first masked one. To be freed by the caller. */
mbs_status mbs_site_tokens(const mbs_site *s, const mbs_vocab *v, int32_t **out, int64_t *n, int64_t *row,
                           mbs_err *err);

/* Tokens for one call of the model, so that a call lasts neither so short that it is all overhead nor so long that a
 * request to stop is not heard. The numbers do not depend on it: on a device, where they would, it is the same always.
 */
typedef struct mbs_pace {
    int64_t rows;
    int64_t max;
    int fixed;
} mbs_pace;
/* `width`: floats that a call gives for each row. */
void mbs_pace_init(mbs_pace *p, int64_t width, const mbs_model *m);
void mbs_pace_took(mbs_pace *p, int64_t rows, double seconds);

#endif
