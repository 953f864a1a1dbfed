/*
 * eval_impl.h - what eval.c (the models) and eval_part.c (the split and the baselines) share.
 */
#ifndef MBS_RUN_EVAL_IMPL_H
#define MBS_RUN_EVAL_IMPL_H

#include "run/eval.h"
#include "run/held.h"
#include "run/stages.h"
#include "run/turned.h"
#include "stream/sched.h"

typedef struct eval {
    const mbs_eval_options *o;
    mbs_eval_report *report;
    mbs_registry *registry;
    mbs_plan *plan;     /* as read */
    mbs_plan unwritten; /* the same without its writers; borrows everything */
    mbs_engine engine;  /* its model is f32/f32; none where the plan has none */
    /* The rows of the report, in the order of the ways, those that come to the same left out. */
    mbs_stage_model *ways; /* its model NULL: the engine's */
    int *lane;             /* 0: the engine's */
    int n;
    mbs_stages stages;
    mbs_lanes *lanes; /* NULL without a model */
    mbs_sched sched;
    mbs_alphabet letters; /* of the baselines */
    mbs_baseline *baselines[MBS_BASELINE_MAX];
    mbs_held held;
    mbs_turned turned;
    /* With strands: of each row of the report and each strand, what was added while it was read. */
    struct eval_strand {
        double logprob[2];
        double before;
    } * strand;
    int64_t strand_scored[2], scored_before;
} eval;

/* eval_classify.c: the whole pass where the task is classify. */
mbs_status mbs_eval_classify(eval *e, mbs_err *err);
/* Finds the cut, makes the baselines and, with another input to learn from, lets them learn. */
mbs_status mbs_eval_part(eval *e, mbs_err *err);
void mbs_eval_part_free(eval *e);
/* The carry behind one that turns what is held out. */
mbs_status mbs_eval_strands(eval *e, const mbs_vocab *vocab, mbs_carry *carry, mbs_err *err);
/* plus and minus of a row: ways in their order, then baselines. */
void mbs_eval_tell_strands(const eval *e, int row, mbs_eval_result *r);
/* Adds their rows to the report; `first`: bits of f32/f32. */
void mbs_eval_tell_baselines(eval *e, double first);

#endif
