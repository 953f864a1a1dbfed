#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "run/eval_impl.h"
#include "run/inputs.h"
#include "train/split.h"

/* Reads through the input of a plan up to its end, without a model. `open` is told the vocabulary and gives the carry.
 * What reader and codec warn of at their end is said by the pass that scores, where it reads the same input. */
typedef struct reading {
    mbs_stages stages;
    mbs_sched sched;
    const mbs_vocab *vocab;
} reading;

static mbs_status open_reading(eval *e, const mbs_plan *plan, reading *r, mbs_err *err) {
    memset(r, 0, sizeof *r);
    mbs_status st = mbs_stages_create(&r->stages, plan, &e->engine, 0, err);
    if (st == MBS_OK && r->stages.reader) {
        st = mbs_reader_open(r->stages.reader, &r->stages.in, err);
    }
    if (st == MBS_OK && r->stages.codec) {
        st = mbs_codec_open(r->stages.codec, r->stages.in, err);
    }
    r->vocab = st == MBS_OK && r->stages.codec ? mbs_codec_vocab(r->stages.codec) : NULL;
    if (st == MBS_OK && !r->vocab) {
        st = mbs_fail(err, MBS_ERR_CONFIG, plan->file, "a split and a baseline need tokens: a codec with a vocabulary");
    }
    return st;
}

static mbs_status read_all(reading *r, const mbs_carry *carry, mbs_err *err) {
    mbs_sched_init(&r->sched, r->stages.reader, r->stages.codec, carry, NULL, 0);
    return mbs_sched_run(&r->sched, err);
}

static void free_reading(reading *r) {
    mbs_sched_clear(&r->sched);
    mbs_stages_free(&r->stages);
}

typedef struct asking {
    const char *option;
    mbs_err *err;
    mbs_status st;
} asking;

static void ask_twice(void *ctx, const char *path) {
    asking *a = ctx;
    struct stat info;
    char *file = mbs_path_is_std(path) ? NULL : mbs_path_resolve(path);
    int passes = mbs_path_is_std(path) || (file && stat(file, &info) == 0 && S_ISFIFO(info.st_mode));
    mbs_free(file);
    if (passes && a->st == MBS_OK) {
        a->st = mbs_fail(a->err, MBS_ERR_USAGE, a->option, "'%s' can be read only once, and is needed twice", path);
        mbs_err_fix(a->err, "put it into a file%s", strcmp(a->option, "--split") == 0 ? ", or give --train FILE" : "");
    }
}

/* Counts the tokens, and finds the kinds of them where there are baselines. */
static mbs_status survey(eval *e, const mbs_plan *plan, int64_t *tokens, mbs_err *err) {
    asking a = {e->o->train ? "--train" : "--split", err, MBS_OK};
    mbs_inputs_each(plan->reader, ask_twice, &a);
    if (a.st != MBS_OK) {
        return a.st;
    }
    reading r;
    mbs_survey s = {0};
    mbs_status st = open_reading(e, plan, &r, err);
    if (st == MBS_OK) {
        s.vocab = r.vocab;
        s.seen = mbs_calloc((size_t)r.vocab->size + 1, 1);
        st = s.seen ? MBS_OK : mbs_fail_memory(err, "eval", (size_t)r.vocab->size);
    }
    if (st == MBS_OK) {
        mbs_carry carry = mbs_survey_carry(&s);
        st = read_all(&r, &carry, err);
    }
    if (st == MBS_OK && e->o->n_baselines > 0) {
        st = mbs_alphabet_make(s.vocab, s.seen, &e->letters, err);
    }
    *tokens = s.tokens;
    mbs_free(s.seen);
    free_reading(&r);
    return st;
}

static mbs_status find_cut(eval *e, int64_t tokens, mbs_err *err) {
    e->held.cut = mbs_split_cut(e->o->split, tokens);
    if (e->held.cut > 0 && e->held.cut < tokens) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_DATA, "--split", "%g of %lld tokens leaves nothing to %s", e->o->split, (long long)tokens,
             e->held.cut > 0 ? "score" : "learn from");
    mbs_err_fix(err, "give a longer input, or another split");
    return MBS_ERR_DATA;
}

static mbs_status make_baselines(eval *e, int64_t tokens, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int i = 0; i < e->o->n_baselines && st == MBS_OK; i++) {
        st = mbs_baseline_new(e->o->baselines[i], &e->letters, tokens, &e->baselines[i], err);
        e->held.n += st == MBS_OK;
    }
    e->held.baselines = e->baselines;
    e->held.letters = &e->letters;
    e->report->learnt = tokens;
    return st;
}

/* The plan with another input. */
static mbs_status train_plan(eval *e, mbs_plan **plan, mbs_plan *unwritten, mbs_err *err) {
    int n = e->o->n_sets;
    mbs_buf ignored = MBS_BUF_INIT; /* what is right there is right here */
    mbs_plan_set *sets = mbs_calloc((size_t)n + 2, sizeof *sets);
    if (!sets) {
        return mbs_fail_memory(err, "eval", ((size_t)n + 2) * sizeof *sets);
    }
    for (int i = 0; i < n; i++) {
        sets[i] = e->o->sets[i];
    }
    sets[n] = (mbs_plan_set){"writer", "{plugin: table, path: '-'}", 0, "eval"};
    sets[n + 1] = (mbs_plan_set){"reader.path", e->o->train, 1, "--train"};
    mbs_status st = mbs_plan_load(e->o->pipeline, sets, n + 2, e->registry, plan, &ignored, err);
    if (st != MBS_OK) {
        mbs_buf_append(&e->report->diags, ignored.data, ignored.len);
    } else {
        *unwritten = **plan;
        unwritten->n_writers = 0;
    }
    mbs_buf_free(&ignored);
    mbs_free(sets);
    return st;
}

static mbs_status learn_elsewhere(eval *e, mbs_err *err) {
    mbs_plan *plan = NULL;
    mbs_plan unwritten;
    int64_t tokens = 0;
    mbs_status st = train_plan(e, &plan, &unwritten, err);
    st = st == MBS_OK ? survey(e, &unwritten, &tokens, err) : st;
    st = st == MBS_OK ? make_baselines(e, tokens, err) : st;
    if (st == MBS_OK) {
        reading r;
        mbs_carry carry = mbs_held_carry(&e->held);
        e->held.cut = INT64_MAX;
        st = open_reading(e, &unwritten, &r, err);
        st = st == MBS_OK ? read_all(&r, &carry, err) : st;
        free_reading(&r);
        e->held.cut = e->held.position = 0;
    }
    mbs_plan_free(plan);
    return st;
}

mbs_status mbs_eval_part(eval *e, mbs_err *err) {
    e->held.limit = e->o->limit;
    if (e->o->train) {
        return learn_elsewhere(e, err);
    }
    if (e->o->split <= 0) {
        return MBS_OK;
    }
    int64_t tokens = 0;
    mbs_status st = survey(e, &e->unwritten, &tokens, err);
    st = st == MBS_OK ? find_cut(e, tokens, err) : st;
    st = st == MBS_OK ? make_baselines(e, e->held.cut, err) : st;
    if (st == MBS_OK) {
        mbs_log(MBS_LOG_INFO, "the first %lld of %lld tokens are for learning, those behind them are scored",
                (long long)e->held.cut, (long long)tokens);
    }
    return st;
}

void mbs_eval_part_free(eval *e) {
    for (int i = 0; i < MBS_BASELINE_MAX; i++) {
        mbs_baseline_free(e->baselines[i]);
    }
    mbs_alphabet_free(&e->letters);
}

static double logprob_of(const eval *e, int row) {
    return row < e->n ? mbs_lanes_result(e->lanes, e->lane[row]).totals.logprob : e->held.logprob[row - e->n];
}

/* What was added since the last end belongs to the strand that ends now. */
static void strand_ended(void *ctx, unsigned strand) {
    eval *e = ctx;
    int k = strand == MBS_STRAND_MINUS;
    for (int row = 0; row < e->n + e->held.n; row++) {
        double now = logprob_of(e, row);
        e->strand[row].logprob[k] += now - e->strand[row].before;
        e->strand[row].before = now;
    }
    e->strand_scored[k] += e->held.scored - e->scored_before;
    e->scored_before = e->held.scored;
}

mbs_status mbs_eval_strands(eval *e, const mbs_vocab *vocab, mbs_carry *carry, mbs_err *err) {
    e->turned = (mbs_turned){.strands = e->o->strands, .cut = e->held.cut, .vocab = vocab, .to = *carry};
    e->turned.mark = strand_ended;
    e->turned.mark_ctx = e;
    e->strand = mbs_calloc((size_t)(e->n + e->held.n) + 1, sizeof *e->strand);
    if (!e->strand) {
        return mbs_fail_memory(err, "eval", (size_t)(e->n + e->held.n) * sizeof *e->strand);
    }
    e->report->has_strands = 1;
    *carry = mbs_turned_carry(&e->turned);
    return mbs_turned_check(&e->turned, err);
}

void mbs_eval_tell_strands(const eval *e, int row, mbs_eval_result *r) {
    const double ln2 = 0.693147180559945309417232121458;
    double *out[2] = {&r->plus, &r->minus};
    for (int k = 0; k < 2; k++) {
        int64_t n = e->strand_scored[k];
        *out[k] = e->strand && n > 0 ? -e->strand[row].logprob[k] / ((double)n * ln2) : (double)NAN;
    }
}

void mbs_eval_tell_baselines(eval *e, double first) {
    const double ln2 = 0.693147180559945309417232121458;
    const mbs_held *h = &e->held;
    for (int i = 0; i < h->n; i++) {
        mbs_eval_result *r = &e->report->results[e->report->n++];
        r->is_baseline = 1;
        mbs_baseline_name(e->o->baselines[i], r->dtype);
        (void)snprintf(r->math, sizeof r->math, "-");
        (void)snprintf(r->arithmetic, sizeof r->arithmetic, "-");
        r->tokens = h->tokens;
        r->scored = h->scored;
        r->bits = h->scored > 0 ? -h->logprob[i] / ((double)h->scored * ln2) : NAN;
        r->difference = r->bits - first;
        mbs_eval_tell_strands(e, e->n + i, r);
        r->logit_error = NAN;
        r->weight_bytes = mbs_baseline_bytes(e->baselines[i]);
        r->tokens_per_s = h->seconds[i] > 0 ? (double)(e->report->learnt + h->tokens) / h->seconds[i] : 0;
    }
}
