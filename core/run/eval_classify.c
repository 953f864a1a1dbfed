/* eval of task classify: how often every way of holding and computing the model is right, and what for what. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "plug/params.h"
#include "run/eval_impl.h"
#include "stream/chunk.h"

/* Several tasks on one stream: each takes the same records. */
typedef struct crowd {
    mbs_carry *tasks; /* the first is the stages' */
    int n;
} crowd;

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    const crowd *c = self;
    return mbs_carry_begin_all(c->tasks, c->n, record, err);
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    crowd *c = self;
    int64_t end = 0;
    mbs_status st = c->tasks[0].step(c->tasks[0].self, tokens, from, taken, out, err);
    mbs_block_unref(*out); /* a class comes at the end */
    *out = NULL;
    end = from + *taken;
    for (int i = 1; i < c->n && st == MBS_OK; i++) {
        for (int64_t at = from; at < end && st == MBS_OK;) {
            int64_t took = 0;
            mbs_block *rows = NULL;
            mbs_block *part = mbs_chunk_of(tokens, at, end);
            st = part ? c->tasks[i].step(c->tasks[i].self, part, 0, &took, &rows, err)
                      : mbs_fail_memory(err, "eval", (size_t)(end - at) * sizeof(int32_t));
            mbs_block_unref(rows);
            mbs_block_unref(part);
            at += took;
        }
    }
    return st;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    crowd *c = self;
    mbs_status st = MBS_OK;
    *out = NULL;
    *more = 0;
    for (int i = 0; i < c->n; i++) {
        for (int again = 1; again && st == MBS_OK;) {
            mbs_block *rows = NULL;
            st = c->tasks[i].finish(c->tasks[i].self, record, &rows, &again, err);
            mbs_block_unref(rows);
        }
    }
    return st;
}

static int64_t many_rows(void *self) {
    const crowd *c = self;
    return c->tasks[0].many_rows(c->tasks[0].self);
}

static mbs_status many(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out, mbs_err *err) {
    crowd *c = self;
    mbs_status st = c->tasks[0].many(c->tasks[0].self, tokens, n, taken, out, err);
    for (int i = 1; i < c->n && st == MBS_OK; i++) {
        for (int64_t at = 0; at < *taken && st == MBS_OK;) {
            int64_t took = 0;
            mbs_block *rows[MBS_SCHED_MANY] = {NULL};
            st = c->tasks[i].many(c->tasks[i].self, tokens + at, *taken - at, &took, rows, err);
            for (int64_t k = 0; k < took; k++) {
                mbs_block_unref(rows[k]);
            }
            at += took;
        }
    }
    for (int64_t k = 0; st != MBS_OK && k < *taken; k++) {
        mbs_block_unref(out[k]);
        out[k] = NULL;
    }
    *taken = st == MBS_OK ? *taken : 0;
    return st;
}

/* What has no meaning for classes. */
static mbs_status check_options(const eval *e, mbs_err *err) {
    const char *option = e->o->n_baselines > 0 ? "--baseline"
                         : e->o->split > 0     ? "--split"
                         : e->o->limit > 0     ? "--limit"
                         : e->o->strands       ? "--strand"
                                               : NULL;
    if (!option) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_USAGE, option, "is for task score, and here the task is classify");
    mbs_err_fix(err, "leave it out");
    return MBS_ERR_USAGE;
}

static mbs_status open_tasks(eval *e, crowd *c, mbs_err *err) {
    mbs_stages *s = &e->stages;
    c->tasks = mbs_calloc((size_t)e->n + 1, sizeof *c->tasks);
    mbs_status st = c->tasks ? mbs_stages_create(s, &e->unwritten, &e->engine, 0, err)
                             : mbs_fail_memory(err, "eval", ((size_t)e->n + 1) * sizeof *c->tasks);
    if (st == MBS_OK) {
        s->strict_labels = 1;
        st = mbs_stages_open(s, err);
    }
    if (st == MBS_OK) {
        c->tasks[c->n++] = s->carry;
    }
    for (int i = 0; i < e->n && st == MBS_OK; i++) {
        if (e->ways[i].model) {
            mbs_task_env env = mbs_stages_task_env(s);
            env.models = &e->ways[i];
            st = mbs_task_rows_new(&env, &c->tasks[c->n], err);
            c->n += st == MBS_OK;
        }
    }
    return st;
}

static void tick(void *ctx, int64_t records, int64_t rows) {
    mbs_progress_update(ctx, records, rows);
}

static mbs_status drive(eval *e, crowd *c, mbs_err *err) {
    mbs_stages *s = &e->stages;
    const mbs_vocab *v = s->codec ? mbs_codec_vocab(s->codec) : NULL;
    char units[64];
    (void)snprintf(e->report->unit, sizeof e->report->unit, "%s", v ? v->unit : s->in ? s->in->unit : "token");
    (void)snprintf(units, sizeof units, "%ss", e->report->unit);
    mbs_carry carry = {.self = c, .begin = begin, .step = step, .finish = finish};
    if (c->tasks[0].many) {
        carry.many = many;
        carry.many_rows = many_rows;
    }
    mbs_sched_init(&e->sched, s->reader, s->codec, &carry, NULL, 0);
    e->sched.chunk = mbs_engine_chunk(&e->engine, &e->unwritten);
    mbs_progress *progress = mbs_progress_new(e->o->progress, units, s->in ? s->in->n_units : -1);
    e->sched.tick = progress ? tick : NULL;
    e->sched.tick_ctx = progress;
    mbs_status st = mbs_sched_run(&e->sched, err);
    if (progress) {
        mbs_progress_finish(progress);
        mbs_progress_free(progress);
    }
    return st == MBS_OK ? mbs_stages_close_input(s, err) : st;
}

static mbs_status copy_names(eval *e, mbs_err *err) {
    mbs_eval_report *r = e->report;
    int64_t n = mbs_model_classes(e->engine.models[0]);
    r->classes = mbs_calloc((size_t)n, sizeof *r->classes);
    for (int64_t k = 0; r->classes && k < n; k++) {
        char number[32];
        const char *name = mbs_model_class_name(e->engine.models[0], k);
        (void)snprintf(number, sizeof number, "%lld", (long long)k);
        r->classes[k] = mbs_strdup(name ? name : number);
        r->n_classes = k + 1;
        if (!r->classes[k]) {
            return mbs_fail_memory(err, "eval", strlen(name ? name : number));
        }
    }
    return r->classes ? MBS_OK : mbs_fail_memory(err, "eval", (size_t)n * sizeof *r->classes);
}

static mbs_status tell_one(eval *e, const mbs_model *m, const mbs_task_totals *t, mbs_err *err) {
    mbs_eval_result *r = &e->report->results[e->report->n];
    size_t cells = (size_t)(e->report->n_classes * e->report->n_classes) * sizeof *r->confusion;
    r->confusion = t->confusion ? mbs_alloc(cells) : NULL;
    if (t->confusion && !r->confusion) {
        return mbs_fail_memory(err, "eval", cells);
    }
    if (r->confusion) {
        memcpy(r->confusion, t->confusion, cells);
    }
    e->report->n++;
    (void)snprintf(r->dtype, sizeof r->dtype, "%s", mbs_model_dtype(m));
    (void)snprintf(r->math, sizeof r->math, "%s", mbs_model_math(m));
    (void)snprintf(r->arithmetic, sizeof r->arithmetic, "%s", mbs_model_arithmetic(m));
    r->tokens = t->tokens;
    r->records = e->sched.place.records_begun;
    r->targets = t->labelled;
    r->right = t->right;
    r->bits = r->difference = r->logit_error = r->target_bits = NAN;
    r->weight_bytes = mbs_model_weight_bytes(m);
    r->tokens_per_s = t->seconds > 0 ? (double)t->fed / t->seconds : 0;
    return MBS_OK;
}

static mbs_status tell(eval *e, const crowd *c, mbs_err *err) {
    const char *sha = mbs_model_sha256(e->engine.models[0], err);
    if (!sha) {
        return err->status;
    }
    (void)snprintf(e->report->model_sha256, sizeof e->report->model_sha256, "%s", sha);
    if (mbs_task_rows_totals(&c->tasks[0])->labelled == 0) {
        mbs_fail(err, MBS_ERR_DATA, e->plan->reader->label, "no record has a label: there is nothing to compare with");
        mbs_err_fix(err, "take an input with labels: a .tsv of records, a folder for each class (fasta: label: folder; "
                         "audio), or a manifest of sound with a column label");
        return MBS_ERR_DATA;
    }
    mbs_status st = copy_names(e, err);
    e->report->results = mbs_calloc((size_t)e->n + 1, sizeof *e->report->results);
    if (st == MBS_OK && !e->report->results) {
        st = mbs_fail_memory(err, "eval", ((size_t)e->n + 1) * sizeof *e->report->results);
    }
    int task = 0;
    for (int i = 0; i < e->n && st == MBS_OK; i++) {
        const mbs_model *m = e->ways[i].model ? e->ways[i].model : e->engine.models[0];
        task += e->ways[i].model != NULL;
        st = tell_one(e, m, mbs_task_rows_totals(&c->tasks[e->ways[i].model ? task : 0]), err);
    }
    return st;
}

mbs_status mbs_eval_classify(eval *e, mbs_err *err) {
    crowd c = {0};
    mbs_status st = check_options(e, err);
    st = st == MBS_OK ? open_tasks(e, &c, err) : st;
    st = st == MBS_OK ? drive(e, &c, err) : st;
    st = st == MBS_OK ? tell(e, &c, err) : st;
    for (int i = 1; i < c.n; i++) {
        mbs_task_rows_free(&c.tasks[i]);
    }
    mbs_free(c.tasks);
    return st;
}
