#include "run/eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/format.h"
#include "plug/params.h"
#include "run/eval_impl.h"

/* What eval decides itself stands behind what the command line says. */
static mbs_status load_plan(eval *e, mbs_err *err) {
    static const mbs_plan_set own[] = {
        {"writer", "{plugin: table, path: '-'}", 0, "eval"}, /* never made: a pipeline has to have one */
        {"model.dtype", "f32", 2, "eval"},
        {"model.math", "f32", 2, "eval"},
    };
    const int n_own = (int)(sizeof own / sizeof *own);
    int n = e->o->n_sets;
    mbs_plan_set *sets = mbs_calloc((size_t)(n + n_own), sizeof *sets);
    if (!sets) {
        return mbs_fail_memory(err, "eval", (size_t)(n + n_own) * sizeof *sets);
    }
    for (int i = 0; i < n + n_own; i++) {
        sets[i] = i < n ? e->o->sets[i] : own[i - n];
    }
    mbs_status st = mbs_plan_load(e->o->pipeline, sets, n + n_own, e->registry, &e->plan, &e->report->diags, err);
    mbs_free(sets);
    if (st == MBS_OK && !(mbs_task_facts_of(e->plan->task)->is & MBS_TASK_EVALS) &&
        (e->plan->models[0] || e->o->n_baselines == 0)) {
        st =
            mbs_fail(err, MBS_ERR_CONFIG, e->plan->file, "eval scores its input%s, and here %s%s",
                     e->plan->models[0] ? " or classifies it" : "", e->plan->models[0] ? "the task is " : "is no model",
                     e->plan->models[0] ? mbs_task_name(e->plan->task) : "");
        mbs_err_fix(err, "%s",
                    e->plan->models[0] ? "add --set model.task=score, or classify"
                                       : "add a model with task: score, or give --baseline");
    }
    if (st == MBS_OK && e->plan->n_models > 1) {
        st = mbs_fail(err, MBS_ERR_CONFIG, e->plan->file, "eval measures one model, and here are two");
        mbs_err_fix(err, "give it a pipeline with one, or --set 'model={path: FOLDER, task: score}'");
    }
    if (st == MBS_OK) {
        e->unwritten = *e->plan;
        e->unwritten.n_writers = 0;
    }
    return st;
}

/* Whether some row has the very weights and math of `m`: f32 weights are bf16 ones under bf16 math. */
static int is_there(const eval *e, const mbs_model *m) {
    for (int i = 0; i < e->n; i++) {
        const mbs_model *other = e->ways[i].model ? e->ways[i].model : e->engine.models[0];
        if (strcmp(mbs_model_dtype(other), mbs_model_dtype(m)) == 0 &&
            strcmp(mbs_model_math(other), mbs_model_math(m)) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The engine's model, and a further one for each way that is another. */
static mbs_status load_models(eval *e, mbs_err *err) {
    size_t n = (size_t)e->o->n_ways + 1;
    e->ways = mbs_calloc(n, sizeof *e->ways);
    e->lane = mbs_calloc(n, sizeof *e->lane);
    if (!e->ways || !e->lane) {
        return mbs_fail_memory(err, "eval", n * sizeof *e->ways);
    }
    int lanes = 0;
    e->engine.worker = e->o->worker;
    for (int i = 0; i < e->o->n_ways; i++) {
        e->engine.whole = mbs_math_whole(e->o->ways[i].math) ? e->o->ways[i].math : e->engine.whole;
    }
    mbs_status st = mbs_engine_load(&e->engine, &e->unwritten, e->o->threads, err);
    for (int i = 0; e->engine.models[0] && i < e->o->n_ways && st == MBS_OK; i++) {
        const mbs_model_options *w = &e->o->ways[i];
        mbs_model *m = NULL;
        if (strcmp(w->dtype, "f32") != 0 || strcmp(w->math, "f32") != 0) {
            st = mbs_engine_model(&e->engine, &e->unwritten, w, &m, err);
        }
        if (st == MBS_OK && is_there(e, m ? m : e->engine.models[0])) {
            mbs_model_close(m);
        } else if (st == MBS_OK) {
            e->ways[e->n] = (mbs_stage_model){.params = e->unwritten.models[0], .model = m};
            e->lane[e->n++] = m ? ++lanes : 0;
        }
    }
    return st;
}

static mbs_status open_lanes(eval *e, mbs_err *err) {
    if (!e->engine.models[0]) {
        mbs_status opened = mbs_stages_create(&e->stages, &e->unwritten, &e->engine, 0, err);
        return opened == MBS_OK ? mbs_stages_open(&e->stages, err) : opened;
    }
    mbs_status st = mbs_lanes_new(e->engine.models[0], e->o->n_ways, e->o->limit, &e->lanes, err);
    if (st == MBS_OK) {
        st = mbs_stages_create(&e->stages, &e->unwritten, &e->engine, 0, err);
    }
    if (st == MBS_OK) {
        e->stages.watch = mbs_lanes_watch(e->lanes);
        st = mbs_stages_open(&e->stages, err);
    }
    if (st == MBS_OK) {
        mbs_lanes_first(e->lanes, &e->stages.carry);
    }
    for (int i = 0; i < e->n && st == MBS_OK; i++) {
        if (e->ways[i].model) {
            mbs_task_env env = mbs_stages_task_env(&e->stages);
            env.models = &e->ways[i];
            st = mbs_lanes_add(e->lanes, &env, err);
        }
    }
    return st;
}

static void tick(void *ctx, int64_t records, int64_t rows) {
    mbs_progress_update(ctx, records, rows);
}

static mbs_status drive(eval *e, mbs_err *err) {
    mbs_stages *s = &e->stages;
    const mbs_vocab *v = mbs_codec_vocab(s->codec);
    char units[64];
    (void)snprintf(e->report->unit, sizeof e->report->unit, "%s", v ? v->unit : s->in ? s->in->unit : "token");
    (void)snprintf(units, sizeof units, "%ss", e->report->unit);
    mbs_carry carry = mbs_held_carry(&e->held);
    e->held.lanes = e->lanes;
    if (e->o->strands) {
        mbs_status both = mbs_eval_strands(e, v, &carry, err);
        if (both != MBS_OK) {
            return both;
        }
    }
    mbs_sched_init(&e->sched, s->reader, s->codec, &carry, NULL, 0);
    if (e->unwritten.models[0]) {
        e->sched.chunk = mbs_engine_chunk(&e->engine, &e->unwritten);
    }
    int64_t total = s->in ? s->in->n_units : -1;
    int64_t most = e->held.cut + e->o->limit;
    total = e->o->limit > 0 && (total < 0 || total > most) ? most : total;
    mbs_progress *progress = mbs_progress_new(e->o->progress, units, total);
    e->sched.tick = progress ? tick : NULL;
    e->sched.tick_ctx = progress;
    mbs_status st = mbs_sched_run(&e->sched, err);
    if (progress) {
        mbs_progress_finish(progress);
        mbs_progress_free(progress);
    }
    /* At the limit reader and codec are somewhere in the middle and have nothing to say. */
    return st == MBS_END ? MBS_OK : st == MBS_OK ? mbs_stages_close_input(s, err) : st;
}

static double bits(double logprob, int64_t n) {
    const double ln2 = 0.693147180559945309417232121458;
    return n > 0 ? -logprob / ((double)n * ln2) : NAN;
}

static double bits_of(const mbs_task_totals *t) {
    return bits(t->logprob, t->scored);
}

static mbs_status tell(eval *e, mbs_err *err) {
    mbs_eval_report *report = e->report;
    size_t rows = (size_t)e->o->n_ways + (size_t)e->o->n_baselines + 1;
    report->results = mbs_calloc(rows, sizeof *report->results);
    if (!report->results) {
        return mbs_fail_memory(err, "eval", rows * sizeof *report->results);
    }
    if (!e->engine.models[0]) {
        mbs_eval_tell_baselines(e, NAN);
        return MBS_OK;
    }
    const char *sha = mbs_model_sha256(e->engine.models[0], err);
    if (!sha) {
        return err->status;
    }
    (void)snprintf(report->model_sha256, sizeof report->model_sha256, "%s", sha);
    mbs_lane_result first = mbs_lanes_result(e->lanes, 0);
    for (int i = 0; i < e->n; i++) {
        mbs_eval_result *r = &report->results[report->n++];
        const mbs_model *m = e->ways[i].model ? e->ways[i].model : e->engine.models[0];
        mbs_lane_result got = mbs_lanes_result(e->lanes, e->lane[i]);
        (void)snprintf(r->dtype, sizeof r->dtype, "%s", mbs_model_dtype(m));
        (void)snprintf(r->math, sizeof r->math, "%s", mbs_model_math(m));
        (void)snprintf(r->arithmetic, sizeof r->arithmetic, "%s", mbs_model_arithmetic(m));
        r->tokens = got.totals.tokens;
        r->scored = got.totals.scored;
        r->bits = bits_of(&got.totals);
        r->difference = r->bits - bits_of(&first.totals);
        r->logit_error = got.max_first > 0 ? got.max_error / got.max_first : got.max_error;
        r->weight_bytes = mbs_model_weight_bytes(m);
        r->tokens_per_s = got.totals.seconds > 0 ? (double)got.totals.fed / got.totals.seconds : 0;
        r->targets = got.targets.asked;
        r->right = got.targets.right;
        r->records = got.targets.records;
        r->exact = got.targets.exact;
        r->target_bits = bits(got.targets.logprob, got.targets.asked);
        report->has_targets |= r->targets > 0;
        mbs_eval_tell_strands(e, i, r);
    }
    mbs_eval_tell_baselines(e, bits_of(&first.totals));
    return MBS_OK;
}

mbs_status mbs_eval_pipeline(const mbs_eval_options *options, mbs_eval_report *report, mbs_err *err) {
    eval e = {.o = options, .report = report};
    memset(report, 0, sizeof *report);
    e.registry = mbs_registry_new(NULL, 0, err);
    mbs_status st = e.registry ? load_plan(&e, err) : err->status;
    st = st == MBS_OK ? load_models(&e, err) : st;
    if (st == MBS_OK && e.plan->task == MBS_TASK_CLASSIFY) {
        st = mbs_eval_classify(&e, err);
    } else {
        st = st == MBS_OK ? mbs_eval_part(&e, err) : st;
        st = st == MBS_OK ? open_lanes(&e, err) : st;
        st = st == MBS_OK ? drive(&e, err) : st;
        st = st == MBS_OK ? tell(&e, err) : st;
    }
    mbs_sched_clear(&e.sched);
    mbs_lanes_free(e.lanes);
    mbs_stages_free(&e.stages);
    mbs_turned_close(&e.turned);
    mbs_free(e.strand);
    mbs_eval_part_free(&e);
    for (int i = 0; i < e.n; i++) {
        mbs_model_close(e.ways[i].model);
    }
    mbs_free(e.ways);
    mbs_free(e.lane);
    mbs_engine_free(&e.engine);
    mbs_plan_free(e.plan);
    mbs_registry_free(e.registry);
    return st;
}

void mbs_eval_report_free(mbs_eval_report *report) {
    mbs_buf_free(&report->diags);
    for (int i = 0; i < report->n; i++) {
        mbs_free(report->results[i].confusion);
    }
    for (int64_t k = 0; k < report->n_classes; k++) {
        mbs_free(report->classes[k]);
    }
    mbs_free(report->classes);
    mbs_free(report->results);
}
