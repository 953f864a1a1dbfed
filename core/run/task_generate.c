/*
 * generate: the record is the prompt; what follows it is drawn token by token. A draw depends on (seed, sample,
 * position) only, so the same seed gives the same bytes however the run was cut or resumed.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/sample.h"
#include "plug/params.h"
#include "run/task.h"
#include "stream/chunk.h"

/* Seconds of generation between two looks at the journal and at signals. */
#define PIECE_SECONDS 0.2
#define PIECE_TOKENS 1024

typedef struct task_generate {
    mbs_task_env env;
    mbs_session *session;
    mbs_session *prompt; /* state behind the prompt, where several samples start from it; else NULL */
    mbs_pace pace;
    mbs_sampler sampler;
    uint64_t seed;
    int64_t max_new;
    int64_t samples;
    uint8_t *allowed; /* flags by id: may be drawn */
    uint8_t *stops;   /* flags by id: ends a sample, is not written */
    int32_t *ids;     /* of a piece, and of a prompt call */
    float *logprob;   /* of a piece */
    float *logits;    /* vocab_rows: the prediction that the next draw takes */
    float *prompt_logits;
    mbs_record *record; /* of the sample that is being written */
    /* Position. */
    int64_t input_index; /* ordinal of the prompt */
    int64_t prompt_end;  /* source coordinate */
    int64_t sample;      /* 0 .. samples-1 */
    int64_t position;    /* tokens written of this sample */
    int has_logits;      /* something was fed */
    int in_sample;       /* the sample's record has begun */
    int opened;          /* what stands in front of a record was fed; what goes behind one never is */
    mbs_task_totals totals;
} task_generate;

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_generate *g = self;
    g->input_index = record->index;
    g->prompt_end = record->start;
    g->sample = g->position = 0;
    g->has_logits = g->in_sample = g->opened = 0;
    return mbs_session_reset(g->session, err);
}

static mbs_status open_prompt(task_generate *g, mbs_err *err) {
    mbs_around around = mbs_vocab_around(g->env.vocab);
    mbs_run_out o = {.layer = -1, .last_logits = g->logits};
    g->opened = 1;
    g->has_logits |= around.n_before > 0;
    return mbs_task_feed(g->session, around.before, around.n_before, g->pace.max, &o, err);
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    task_generate *g = self;
    *out = NULL;
    int64_t n = tokens->shape[0] - from;
    n = n < g->pace.rows ? n : g->pace.rows;
    int64_t rows = mbs_model_get_config(g->env.model)->vocab_rows;
    int64_t fed = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t id = ((const int32_t *)tokens->data)[from + i];
        if (id >= rows) {
            return mbs_fail(err, MBS_ERR_DATA, tokens->record->name, "token %d is not one of the model's %lld", id,
                            (long long)rows);
        }
        if (id >= 0) {
            g->ids[fed++] = id;
        }
    }
    mbs_status st = g->opened ? MBS_OK : open_prompt(g, err);
    if (fed > 0 && st == MBS_OK) {
        mbs_run_out o = {.layer = -1, .last_logits = g->logits};
        double t0 = mbs_clock();
        st = mbs_session_run(g->session, g->ids, fed, &o, err);
        mbs_pace_took(&g->pace, fed, mbs_clock() - t0);
        g->has_logits = 1;
    }
    g->totals.tokens += fed;
    g->prompt_end = mbs_chunk_position(tokens, from + n);
    *taken = n;
    return st;
}

/* The record of a sample: the prompt's, named NAME or NAME/k, beginning where the prompt ends. */
static mbs_status start_sample(task_generate *g, const mbs_record *prompt, mbs_err *err) {
    mbs_record r = *prompt;
    char *name = NULL;
    size_t size = strlen(prompt->name) + 24;
    name = mbs_alloc(size);
    if (!name) {
        return mbs_fail_memory(err, "generate", size);
    }
    if (g->samples > 1) {
        (void)snprintf(name, size, "%s/%lld", prompt->name, (long long)g->sample + 1);
    } else {
        (void)snprintf(name, size, "%s", prompt->name);
    }
    r.name = name;
    r.index = g->input_index * g->samples + g->sample;
    r.start = g->prompt_end;
    r.length = -1;
    r.context = 0;
    mbs_record_free(g->record);
    g->record = mbs_record_copy(&r);
    mbs_free(name);
    return g->record ? MBS_OK : mbs_fail_memory(err, "generate", sizeof(r));
}

/* Takes the state behind the prompt for the sample that begins. */
static mbs_status rewind_to_prompt(task_generate *g, mbs_err *err) {
    if (!g->prompt) {
        return MBS_OK;
    }
    size_t bytes = (size_t)mbs_model_get_config(g->env.model)->vocab_rows * sizeof(float);
    if (g->sample == 0) {
        memcpy(g->prompt_logits, g->logits, bytes);
        return mbs_session_copy(g->prompt, g->session, err);
    }
    memcpy(g->logits, g->prompt_logits, bytes);
    return mbs_session_copy(g->session, g->prompt, err);
}

static mbs_status draw_piece(task_generate *g, int64_t *n_out, int *stopped, mbs_err *err) {
    uint64_t stream = (uint64_t)(g->input_index * g->samples + g->sample);
    int64_t rows = mbs_model_get_config(g->env.model)->vocab_rows;
    double t0 = mbs_clock();
    int64_t n = 0;
    *stopped = 0;
    /* With several samples the first token of each comes from the prompt; without any prompt from nothing at all. */
    while (n < PIECE_TOKENS && g->position + n < g->max_new && mbs_clock() - t0 < PIECE_SECONDS) {
        int from_nothing = !g->has_logits && g->position + n == 0;
        double u = mbs_rng_uniform(g->seed, stream, (uint64_t)(g->position + n));
        int32_t id = mbs_sampler_draw(&g->sampler, from_nothing ? NULL : g->logits, rows, u, &g->logprob[n]);
        if (id < 0) {
            return mbs_fail(err, MBS_ERR_DATA, "generate", "the model's prediction is not a number");
        }
        if (g->stops[id]) {
            *stopped = 1;
            break;
        }
        mbs_run_out o = {.layer = -1, .last_logits = g->logits};
        mbs_status st = mbs_session_run(g->session, &id, 1, &o, err);
        if (st != MBS_OK) {
            return st;
        }
        g->ids[n++] = id;
    }
    *n_out = n;
    return MBS_OK;
}

/* Tokens become what the codec's domain writes, with ids and log-probabilities beside them. */
static mbs_status decode_piece(task_generate *g, int64_t n, uint32_t flags, mbs_block **out, mbs_err *err) {
    int64_t shape[1] = {n};
    mbs_block *tokens = mbs_block_new("tokens/i32", MBS_I32, 1, shape);
    if (!tokens) {
        return mbs_fail_memory(err, "generate", (size_t)n * sizeof(int32_t));
    }
    memcpy(tokens->data, g->ids, (size_t)n * sizeof(int32_t));
    tokens->record = g->record;
    tokens->flags = flags;
    tokens->start = g->prompt_end + g->position;
    tokens->end = tokens->start + n;
    mbs_status st = mbs_codec_decode(g->env.codec, tokens, out, err);
    mbs_block_unref(tokens);
    if (st != MBS_OK) {
        return st;
    }
    mbs_block *b = *out;
    b->record = g->record;
    if (b->shape[0] == n) {
        int32_t *ids = mbs_block_side_new(b, "token", MBS_I32, 1);
        float *lp = mbs_block_side_new(b, "logprob", MBS_F32, 1);
        if (!ids || !lp) {
            mbs_block_unref(b);
            *out = NULL;
            return mbs_fail_memory(err, "generate", (size_t)n * 8);
        }
        memcpy(ids, g->ids, (size_t)n * sizeof(*ids));
        memcpy(lp, g->logprob, (size_t)n * sizeof(*lp));
    }
    return MBS_OK;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_generate *g = self;
    *out = NULL;
    uint32_t flags = 0;
    mbs_status st = g->opened ? MBS_OK : open_prompt(g, err);
    if (st == MBS_OK && !g->in_sample) {
        st = rewind_to_prompt(g, err);
        flags = MBS_SEQ_START;
    }
    if (st == MBS_OK && (!g->in_sample || !g->record)) {
        st = start_sample(g, record, err); /* also after a restore */
    }
    int64_t n = 0;
    int stopped = 0;
    if (st == MBS_OK) {
        g->in_sample = 1;
        st = draw_piece(g, &n, &stopped, err);
    }
    if (st != MBS_OK) {
        return st;
    }
    int last = stopped || g->position + n >= g->max_new;
    st = decode_piece(g, n, flags | (last ? MBS_SEQ_END : 0u), out, err);
    if (st != MBS_OK) {
        return st;
    }
    g->position += n;
    g->totals.generated += n;
    if (last) {
        g->sample++;
        g->position = 0;
        g->in_sample = 0;
    }
    *more = !last || g->sample < g->samples;
    return MBS_OK;
}

static void put_session(mbs_buf *out, mbs_session *s, mbs_status *st, mbs_err *err) {
    mbs_buf blob = MBS_BUF_INIT;
    if (*st == MBS_OK) {
        *st = mbs_session_save(s, &blob, err);
    }
    mbs_buf_put_bytes(out, blob.data, blob.len);
    mbs_buf_free(&blob);
}

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_generate *g = self;
    size_t bytes = (size_t)mbs_model_get_config(g->env.model)->vocab_rows * sizeof(float);
    mbs_buf_put_i64(out, g->input_index);
    mbs_buf_put_i64(out, g->prompt_end);
    mbs_buf_put_i64(out, g->sample);
    mbs_buf_put_i64(out, g->position);
    mbs_buf_put_i64(out, g->has_logits | g->in_sample << 1 | g->opened << 2);
    mbs_buf_put_i64(out, g->totals.tokens);
    mbs_buf_put_i64(out, g->totals.generated);
    mbs_buf_put_bytes(out, g->logits, bytes);
    mbs_buf_put_bytes(out, g->prompt_logits, g->prompt ? bytes : 0);
    mbs_status st = MBS_OK;
    put_session(out, g->session, &st, err);
    if (g->prompt) {
        put_session(out, g->prompt, &st, err);
    }
    return st;
}

static mbs_status get_session(mbs_cursor *c, mbs_session *s, mbs_err *err) {
    size_t n = 0;
    const void *p = mbs_cursor_bytes(c, &n);
    return c->failed ? mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short")
                     : mbs_session_restore(s, p, n, err);
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    task_generate *g = self;
    mbs_cursor c = {bytes, n, 0};
    size_t want = (size_t)mbs_model_get_config(g->env.model)->vocab_rows * sizeof(float);
    g->input_index = mbs_cursor_i64(&c);
    g->prompt_end = mbs_cursor_i64(&c);
    g->sample = mbs_cursor_i64(&c);
    g->position = mbs_cursor_i64(&c);
    int64_t flags = mbs_cursor_i64(&c);
    g->has_logits = flags & 1;
    g->in_sample = (flags >> 1) & 1;
    g->opened = (flags >> 2) & 1;
    g->totals.tokens = mbs_cursor_i64(&c);
    g->totals.generated = mbs_cursor_i64(&c);
    size_t len = 0;
    const void *p = mbs_cursor_bytes(&c, &len);
    if (c.failed || len != want) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short");
    }
    memcpy(g->logits, p, len);
    p = mbs_cursor_bytes(&c, &len);
    if (c.failed || len != (g->prompt ? want : 0)) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short");
    }
    if (g->prompt) {
        memcpy(g->prompt_logits, p, len);
    }
    mbs_status st = get_session(&c, g->session, err);
    if (st == MBS_OK && g->prompt) {
        st = get_session(&c, g->prompt, err);
    }
    return st;
}

static mbs_status read_stops(task_generate *g, mbs_err *err) {
    const mbs_vocab *v = g->env.vocab;
    for (int64_t i = 0; i < mbs_params_count(g->env.params, "stop"); i++) {
        const char *text = mbs_params_item(g->env.params, "stop", i);
        int32_t id = 0;
        while (id < v->size && strcmp(v->tokens[id], text) != 0) {
            id++;
        }
        if (id == v->size) {
            mbs_fail(err, MBS_ERR_CONFIG, "model", "'stop' names '%s', which is not a token of the vocabulary '%s'",
                     text, v->name);
            return MBS_ERR_CONFIG;
        }
        g->stops[id] = 1;
    }
    return MBS_OK;
}

static mbs_status setup(task_generate *g, mbs_err *err) {
    const mbs_params *p = g->env.params;
    const mbs_vocab *v = g->env.vocab;
    size_t rows = (size_t)mbs_model_get_config(g->env.model)->vocab_rows;
    g->seed = (uint64_t)mbs_params_int(p, "seed");
    g->max_new = mbs_params_int(p, "max_new_tokens");
    g->samples = mbs_params_int(p, "num_samples");
    mbs_pace_init(&g->pace, 1, g->env.model);
    size_t piece = g->pace.max > PIECE_TOKENS ? (size_t)g->pace.max : PIECE_TOKENS;
    g->ids = mbs_calloc(piece, sizeof(*g->ids));
    g->logprob = mbs_calloc(piece, sizeof(*g->logprob));
    g->logits = mbs_calloc(rows, sizeof(*g->logits));
    g->prompt_logits = mbs_calloc(rows, sizeof(*g->prompt_logits));
    g->stops = mbs_calloc((size_t)v->size, 1);
    g->allowed = mbs_calloc((size_t)v->size, 1);
    if (!g->ids || !g->logprob || !g->logits || !g->prompt_logits || !g->stops || !g->allowed) {
        return mbs_fail_memory(err, "generate", rows * sizeof(float));
    }
    mbs_status st = read_stops(g, err);
    if (st != MBS_OK) {
        return st;
    }
    /* Stop tokens may be drawn; everything else must be something that the codec can write. */
    for (int32_t i = 0; i < v->size; i++) {
        g->allowed[i] = v->decodable[i] || g->stops[i];
    }
    st = mbs_sampler_init(&g->sampler, g->allowed, v->size, err);
    if (st != MBS_OK) {
        return st;
    }
    g->sampler.temperature = mbs_params_float(p, "temperature");
    g->sampler.top_k = mbs_params_int(p, "top_k");
    g->sampler.top_p = mbs_params_float(p, "top_p");
    st = mbs_session_new(g->env.model, g->pace.max, &g->session, err);
    if (st == MBS_OK && g->samples > 1) {
        st = mbs_session_new(g->env.model, 1, &g->prompt, err);
    }
    return st;
}

mbs_status mbs_task_generate_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof(*out));
    task_generate *g = mbs_calloc(1, sizeof(*g));
    if (!g) {
        return mbs_fail_memory(err, "generate", sizeof(*g));
    }
    if (!env->vocab) {
        mbs_free(g);
        return mbs_fail(err, MBS_ERR_CONFIG, env->codec_id, "a codec without a vocabulary cannot generate");
    }
    g->env = *env;
    out->self = g;
    out->begin = begin;
    out->step = step;
    out->finish = finish;
    out->save = save;
    out->restore = restore;
    mbs_status st = setup(g, err);
    if (st != MBS_OK) {
        mbs_task_generate_free(out);
    }
    return st;
}

void mbs_task_generate_free(mbs_carry *carry) {
    task_generate *g = carry->self;
    if (g) {
        mbs_session_free(g->session);
        mbs_session_free(g->prompt);
        mbs_sampler_free(&g->sampler);
        mbs_free(g->allowed);
        mbs_free(g->ids);
        mbs_free(g->logprob);
        mbs_free(g->logits);
        mbs_free(g->prompt_logits);
        mbs_free(g->stops);
        mbs_record_free(g->record);
        mbs_free(g);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_generate_totals(const mbs_carry *carry) {
    return &((const task_generate *)carry->self)->totals;
}
