/* whole.c - a whole model: prompts of several lengths, and one token after the other. */
#include <string.h>

#include "base/mem.h"
#include "bench/impl.h"
#include "model/whole.h"

#define PIECE 4096 /* the most tokens that a session is given at once */
#define PIECE_DEVICE 65536
#define PROMPT 16 /* tokens before decoding */

typedef struct stream {
    mbs_session *s;
    mbs_whole *whole; /* in its place, of a model that takes whole records */
    const mbs_model_config *cfg;
    int64_t vocab;
    int64_t piece;
    int64_t length;
    int64_t token; /* seen so far, decoding */
    int score;
    int32_t *ids;   /* piece */
    float *logprob; /* piece */
    float *logits;  /* one row */
} stream;

static void ids_from(stream *s, int64_t from, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        s->ids[i] = (int32_t)(((from + i) * 7919 + 13) % s->vocab);
    }
}

/* A record at once; ids, logprob and logits have room for the longest. */
static mbs_status read_whole(stream *s, mbs_err *err) {
    const int64_t starts[] = {0, s->length};
    ids_from(s, 0, s->length);
    mbs_status st = mbs_whole_run(s->whole, s->ids, starts, 1, -1, err);
    if (st >= 0 && s->score) {
        return mbs_whole_logprob(s->whole, 0, s->length, s->ids, s->logprob, err);
    }
    return st < 0 ? st : mbs_whole_logits(s->whole, s->length - 1, 1, s->logits, err);
}

static mbs_status feed(stream *s, int64_t length, int score, mbs_err *err) {
    mbs_status st = mbs_session_reset(s->s, err);
    for (int64_t at = 0; at < length && st >= 0; at += s->piece) {
        int64_t n = length - at < s->piece ? length - at : s->piece;
        mbs_run_out out = {.layer = -1, .logprob = score ? s->logprob : NULL};
        out.last_logits = !score && at + n == length ? s->logits : NULL;
        ids_from(s, at, n);
        st = mbs_session_run(s->s, s->ids, n, &out, err);
    }
    return st;
}

static mbs_status call_prompt(void *arg, mbs_err *err) {
    stream *s = arg;
    return s->whole ? read_whole(s, err) : feed(s, s->length, s->score, err);
}

static mbs_status call_step(void *arg, mbs_err *err) {
    stream *s = arg;
    mbs_run_out out = {.layer = -1, .last_logits = s->logits};
    mbs_err end = {0};
    mbs_status st = MBS_OK;
    if (mbs_mixers_reach(s->cfg, mbs_session_tokens(s->s) + 1, NULL, &end) < 0) {
        st = mbs_session_reset(s->s, err); /* a model of sequences that end somewhere */
    }
    ids_from(s, s->token++, 1);
    return st < 0 ? st : mbs_session_run(s->s, s->ids, 1, &out, err);
}

static mbs_bench_cost prompt_cost(const mbs_bench_env *e, int64_t length, int score) {
    mbs_bench_cost cost =
        mbs_bench_token(e->cfg, score ? 1 : 1 / (double)length, 0, mbs_bench_seen(length), &e->format);
    cost.rows = length;
    cost.matrix *= (double)length;
    cost.vector *= (double)length;
    cost.bytes = cost.held; /* once, at least */
    return cost;
}

static mbs_status prompts(mbs_bench_env *e, stream *s, int score, const mbs_budget *budget, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int i = 0; i < e->o->n_lengths && st >= 0; i++) {
        mbs_timing t;
        s->length = e->o->lengths[i];
        s->score = score;
        mbs_bench_cost cost = prompt_cost(e, s->length, score);
        st = mbs_time_calls(budget, call_prompt, s, &t, err);
        st = st < 0 ? st : mbs_bench_add(e, score ? "score" : "prefill", "", &cost, &t, err);
    }
    return st;
}

static mbs_status steps(mbs_bench_env *e, stream *s, const mbs_budget *budget, mbs_err *err) {
    mbs_timing t;
    s->token = PROMPT;
    mbs_status st = feed(s, PROMPT, 0, err);
    st = st < 0 ? st : mbs_time_calls(budget, call_step, s, &t, err);
    st = st < 0 ? st : mbs_bench_add(e, "decode", "", &e->b->decode, &t, err);
    if (st >= 0) {
        mbs_bench_result *r = &e->b->results[e->b->n - 1];
        r->real_time = e->o->rate / r->tokens_per_s;
    }
    return st;
}

mbs_status mbs_bench_whole(mbs_bench_env *e, mbs_err *err) {
    unsigned works = e->o->works;
    if (!e->model) {
        return MBS_OK;
    }
    stream s = {.cfg = e->cfg, .vocab = e->cfg->vocab_rows, .piece = e->on_device ? PIECE_DEVICE : PIECE};
    mbs_budget budget = {e->o->repeat, e->o->seconds, 0.2, NULL, 0};
    const int whole = mbs_model_takes_whole(e->model);
    for (int i = 0; whole && i < e->o->n_lengths; i++) {
        s.piece = e->o->lengths[i] > s.piece ? e->o->lengths[i] : s.piece;
    }
    if (whole && !(works & (MBS_BENCH_PREFILL | MBS_BENCH_SCORE)) && works & (MBS_BENCH_DECODE | MBS_BENCH_ALONG)) {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, e->o->folder,
                 "the model takes whole records: it does not read token by token");
        mbs_err_fix(err, "take --work prefill,score");
        return MBS_ERR_UNAVAILABLE;
    }
    s.ids = mbs_calloc((size_t)s.piece, sizeof *s.ids);
    s.logprob = mbs_calloc((size_t)s.piece, sizeof *s.logprob);
    s.logits = mbs_calloc((size_t)s.vocab, sizeof *s.logits);
    mbs_status st = s.ids && s.logprob && s.logits
                        ? MBS_OK
                        : mbs_fail_memory(err, "bench", (size_t)(s.vocab + 2 * s.piece) * sizeof(float));
    if (st >= 0) {
        st = whole ? mbs_whole_new(e->model, 0, &s.whole, err) : mbs_session_new(e->model, s.piece, &s.s, err);
    }
    if (st >= 0 && works & MBS_BENCH_PREFILL) {
        st = prompts(e, &s, 0, &budget, err);
    }
    if (st >= 0 && works & MBS_BENCH_SCORE) {
        st = prompts(e, &s, 1, &budget, err);
    }
    if (st >= 0 && works & MBS_BENCH_DECODE && !whole) {
        st = steps(e, &s, &budget, err);
    }
    mbs_session_free(s.s);
    mbs_whole_free(s.whole);
    mbs_free(s.ids);
    mbs_free(s.logprob);
    mbs_free(s.logits);
    return st;
}
