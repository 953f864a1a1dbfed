/* generate.c - draws tokens behind a stream, with the draws of task `generate`. */
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "embed/embed.h"
#include "model/sample.h"

typedef struct generation {
    mbs_lm_stream *stream;
    mbs_lm_sampling how;
    mbs_sampler sampler;
    int64_t rows;     /* vocab_rows */
    uint8_t *allowed; /* flags by id */
    uint8_t *stops;   /* flags by id */
    float *logits;
    mbs_next next; /* of the token behind the newest, where the device draws */
    int has_next;
} generation;

static mbs_status check(const mbs_lm_sampling *how, int64_t rows, mbs_err *e) {
    const char *wrong = how->max_tokens < 1                                       ? "max_tokens is not positive"
                        : !(how->temperature >= 0 && how->temperature <= 1000)    ? "temperature is not 0 to 1000"
                        : !(how->top_p >= 0 && how->top_p <= 1)                   ? "top_p is not 0 to 1"
                        : how->top_k < 0                                          ? "top_k is negative"
                        : how->n_allowed < 0 || (how->allowed && !how->n_allowed) ? "n_allowed is not positive"
                        : how->n_stop < 0 || (how->n_stop > 0 && !how->stop)      ? "stop is NULL"
                        : how->allowed && how->n_allowed > rows                   ? "n_allowed is beyond vocab_rows"
                                                                                  : NULL;
    if (wrong) {
        return mbs_lm_misuse(e, "mbs_lm_generate", wrong);
    }
    for (int64_t i = 0; i < how->n_stop; i++) {
        if (how->stop[i] < 0 || how->stop[i] >= rows) {
            return mbs_fail(e, MBS_ERR_USAGE, "mbs_lm_generate", "stop names id %d, the model knows 0 to %lld",
                            (int)how->stop[i], (long long)rows - 1);
        }
    }
    return MBS_OK;
}

static mbs_status prepare(generation *g, mbs_err *e) {
    const mbs_model_config *c = mbs_model_get_config(g->stream->lm->model);
    const mbs_lm_sampling *how = &g->how;
    g->rows = c->vocab_rows;
    mbs_status st = check(how, g->rows, e);
    if (st < 0) {
        return st;
    }
    g->allowed = mbs_calloc((size_t)g->rows, 1);
    g->stops = mbs_calloc((size_t)g->rows, 1);
    g->logits = mbs_calloc((size_t)g->rows, sizeof *g->logits);
    if (!g->allowed || !g->stops || !g->logits) {
        return mbs_fail_memory(e, "mbs_lm_generate", (size_t)g->rows * sizeof *g->logits);
    }
    if (how->allowed) {
        memcpy(g->allowed, how->allowed, (size_t)how->n_allowed);
    } else {
        memset(g->allowed, 1, (size_t)c->vocab_size);
    }
    for (int64_t i = 0; i < how->n_stop; i++) {
        g->stops[how->stop[i]] = g->allowed[how->stop[i]] = 1;
    }
    st = mbs_sampler_init(&g->sampler, g->allowed, g->rows, e);
    g->sampler.temperature = how->temperature;
    g->sampler.top_k = how->top_k;
    g->sampler.top_p = how->top_p;
    if (st == MBS_OK) {
        pthread_mutex_lock(&g->stream->lm->lock);
        st = mbs_session_set_sampler(g->stream->session, &g->sampler, e);
        pthread_mutex_unlock(&g->stream->lm->lock);
    }
    return st;
}

static double number(const generation *g, uint64_t place) {
    return mbs_rng_uniform(g->how.seed, g->how.sample, place);
}

/* Behind the newest token: what the device draws, or what is drawn from. */
static mbs_status predict(generation *g, uint64_t place, mbs_err *e) {
    mbs_session *session = g->stream->session;
    g->has_next = mbs_session_draws(session);
    g->next.u = number(g, place);
    return g->has_next ? mbs_session_draw_newest(session, &g->next, e) : mbs_session_predict(session, g->logits, e);
}

/* One token: drawn, and fed unless it ends the sample. The model is taken for this only, so that other streams of it
 * get their turn between two tokens. */
static mbs_status draw(generation *g, uint64_t place, int32_t *id, float *logprob, int *stop, mbs_err *e) {
    mbs_session *session = g->stream->session;
    int from_nothing = mbs_session_tokens(session) == 0;
    pthread_mutex_lock(&g->stream->lm->lock);
    mbs_status st = from_nothing || g->has_next ? MBS_OK : predict(g, place, e);
    if (st == MBS_OK) {
        *id = g->next.id;
        *logprob = g->next.logprob;
        if (!g->has_next) {
            *id = mbs_sampler_draw(&g->sampler, from_nothing ? NULL : g->logits, g->rows, number(g, place), logprob);
        }
        if (*id < 0) {
            st = mbs_fail(e, MBS_ERR_DATA, "mbs_lm_generate",
                          "no token can be drawn: none is allowed, or the prediction is not a number");
        } else {
            *stop = g->stops[*id];
        }
    }
    if (st == MBS_OK && !*stop) {
        g->has_next = mbs_session_draws(session);
        g->next.u = number(g, place + 1);
        mbs_run_out o = {.layer = -1, .next = g->has_next ? &g->next : NULL};
        st = mbs_session_run(session, id, 1, &o, e);
    }
    pthread_mutex_unlock(&g->stream->lm->lock);
    return st;
}

static mbs_status draw_all(generation *g, int32_t *ids, float *logprobs, int64_t *n, mbs_err *e) {
    const mbs_lm_sampling *how = &g->how;
    for (int ended = 0; *n < how->max_tokens && !ended;) {
        int32_t id = -1;
        float logprob = 0;
        mbs_status st = draw(g, how->first + (uint64_t)*n, &id, &logprob, &ended, e);
        if (st < 0 || ended) {
            return st;
        }
        if (ids) {
            ids[*n] = id;
        }
        if (logprobs) {
            logprobs[*n] = logprob;
        }
        ++*n;
        ended = how->on_token && how->on_token(how->arg, id, logprob) != 0;
    }
    return MBS_OK;
}

mbs_status mbs_lm_generate(mbs_lm_stream *s, const mbs_lm_sampling *how, int32_t *ids, float *logprob, int64_t *n,
                           mbs_lm_error *err) {
    mbs_err e = {0};
    int64_t drawn = 0;
    generation g = {.stream = s, .how = MBS_LM_SAMPLING_INIT};
    mbs_status st = how ? mbs_lm_take(&g.how, sizeof g.how, how, MBS_LM_LEAST_SAMPLING, "mbs_lm_sampling", &e)
                        : mbs_lm_misuse(&e, "mbs_lm_generate", "how is NULL");
    st = st < 0 ? st : mbs_lm_claim(s, "mbs_lm_generate", &e);
    if (st == MBS_OK) {
        st = prepare(&g, &e);
        st = st < 0 ? st : draw_all(&g, ids, logprob, &drawn, &e);
        mbs_sampler_free(&g.sampler);
        mbs_free(g.allowed);
        mbs_free(g.stops);
        mbs_free(g.logits);
        mbs_lm_release(s);
    }
    if (n) {
        *n = drawn;
    }
    return mbs_lm_answer(err, st, &e);
}
