/*
 * generate: the record is the prompt; what follows it is drawn token by token (gen_lane.h). Samples of one prompt go in
 * lock step, and so do records without a prompt; the writers get them one after the other.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "opt/value.h"
#include "plug/params.h"
#include "run/gen_lane.h"
#include "run/start.h"
#include "run/task.h"
#include "stream/chunk.h"

/* Seconds of generation between two looks at the journal and at signals. */
#define PIECE_SECONDS 0.2
#define PIECE_TOKENS 1024
/* Bytes of tokens that wait for the samples before them. */
#define WAITING_BYTES ((int64_t)256 << 20)
#define STATE_BYTES ((size_t)1 << 32)
#define TRIAL_TOKENS 64
/* Bits a token, where guard_bits is not said. */
#define GUARD_LOW 0.02
#define GUARD_HIGH 7.0

typedef struct task_generate {
    mbs_task_env env;
    mbs_session *session; /* the prompt; its scratch serves the lanes */
    mbs_pace pace;
    mbs_gen_rules rules;
    int64_t samples;  /* of a prompt */
    int64_t records;  /* without a reader: how many there will be; else 0 */
    uint8_t *allowed; /* flags by id: may be drawn */
    uint8_t *stops;
    int32_t *ids;       /* of a prompt call */
    float *logits;      /* the prediction behind the prompt */
    float *scratch;     /* lanes x logits */
    mbs_record *record; /* of the sample that is being written */
    char *state;        /* what streams begin with: model.state; NULL: nothing */
    size_t state_bytes;
    mbs_gen_lane lane[MBS_SESSION_LANES];
    int64_t n_lanes;
    /* Position. */
    int64_t first, in_step; /* samples first .. first + in_step - 1 of the run are in the lanes */
    int64_t input_index;    /* ordinal of the prompt */
    int64_t prompt_end;     /* source coordinate */
    int64_t sample;         /* 0 .. samples-1 */
    int64_t position;       /* rows written of this sample */
    int has_logits;         /* something was fed */
    int in_sample;          /* the sample's record has begun */
    int ending;             /* a request to stop: what there is becomes complete */
    mbs_task_totals totals;
} task_generate;

/* --- the prompt --------------------------------------------------------------------------------------------- */

/* The class that the run wants of record `index`; NULL: it does not say. */
static const char *wanted_class(const task_generate *g, int64_t index) {
    int64_t n = mbs_params_count(g->env.models->params, "class");
    return n > 0 ? mbs_params_item(g->env.models->params, "class", index % n) : NULL;
}

/* The stream stands before the first token of a record. */
static mbs_status open_record(task_generate *g, int64_t index, const char *label, mbs_err *err) {
    const char *class = wanted_class(g, index);
    g->has_logits = 0;
    if (g->state) {
        mbs_status st = mbs_session_restore(g->session, g->state, g->state_bytes, err);
        g->has_logits = st == MBS_OK && mbs_session_tokens(g->session) > 0;
        if (st != MBS_OK) {
            mbs_err_where(err, "model.state");
            mbs_err_fix(err, "give a state that save_state of this model wrote");
            return st;
        }
        return g->has_logits ? mbs_session_predict(g->session, g->logits, err) : st;
    }
    mbs_status st = mbs_session_reset(g->session, err);
    int32_t id = class ? mbs_model_start(g->env.models->model, class) : mbs_start_of_label(g->env.models->model, label);
    if (st == MBS_OK && id >= 0) {
        mbs_run_out o = {.layer = -1, .last_logits = g->logits};
        st = mbs_session_run(g->session, &id, 1, &o, err);
        g->has_logits = 1;
    }
    /* What the tokenizer puts in front of a record; what goes behind one is never fed. */
    mbs_around around = mbs_vocab_around(g->env.vocab);
    if (st == MBS_OK && around.n_before > 0) {
        mbs_run_out o = {.layer = -1, .last_logits = g->logits};
        st = mbs_task_feed(g->session, around.before, around.n_before, g->pace.max, &o, err);
        g->has_logits = 1;
    }
    return st;
}

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_generate *g = self;
    g->input_index = record->index;
    g->prompt_end = record->start;
    g->sample = g->position = 0;
    g->in_sample = 0;
    return open_record(g, record->index, record->label, err);
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    task_generate *g = self;
    *out = NULL;
    int64_t n = tokens->shape[0] - from;
    n = n < g->pace.rows ? n : g->pace.rows;
    int64_t fed = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t id = ((const int32_t *)tokens->data)[from + i];
        if (id >= g->rules.rows) {
            return mbs_fail(err, MBS_ERR_DATA, tokens->record->name, "token %d is not one of the model's %lld", id,
                            (long long)g->rules.rows);
        }
        if (id >= 0) {
            g->ids[fed++] = id;
        }
    }
    mbs_status st = MBS_OK;
    if (fed > 0) {
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

/* model.save_state: where the stream stands behind the prompt. */
static mbs_status save_state(task_generate *g, mbs_err *err) {
    const char *path = g->env.state_temp;
    mbs_buf blob = MBS_BUF_INIT;
    if (!path) {
        return MBS_OK;
    }
    if (g->input_index > 0) {
        mbs_fail(err, MBS_ERR_DATA, "model.save_state", "there is more than one prompt, and a file holds one state");
        mbs_err_fix(err, "give one record (count: 1), or a region of one");
        return MBS_ERR_DATA;
    }
    mbs_status st = mbs_session_save(g->session, &blob, err);
    FILE *f = st == MBS_OK ? fopen(path, "wbe") : NULL;
    int bad = !f || fwrite(blob.data, 1, blob.len, f) != blob.len;
    bad |= f && fclose(f) != 0;
    if (st == MBS_OK && bad) {
        st = mbs_fail(err, MBS_ERR_IO, mbs_params_string(g->env.models->params, "save_state"), "cannot be written");
    }
    mbs_buf_free(&blob);
    return st;
}

/* --- samples ------------------------------------------------------------------------------------------------ */

static int64_t number_of(const task_generate *g) {
    return g->input_index * g->samples + g->sample;
}

/* The lanes take the samples from this one on. */
static mbs_status begin_group(task_generate *g, mbs_err *err) {
    const int64_t first = number_of(g);
    int64_t left = g->records > 0 ? g->records * g->samples - first : g->samples - g->sample;
    int64_t open = g->input_index; /* the record that the session stands in */
    mbs_status st = MBS_OK;
    g->first = first;
    g->in_step = left < g->n_lanes ? left : g->n_lanes;
    for (int64_t i = 0; i < g->in_step && st == MBS_OK; i++) {
        int64_t index = (first + i) / g->samples;
        st = index == open ? MBS_OK : open_record(g, index, NULL, err);
        open = index;
        if (st == MBS_OK) {
            st = mbs_gen_lane_begin(&g->lane[i], &g->rules, g->session, g->logits, g->has_logits, (uint64_t)(first + i),
                                    err);
        }
    }
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
    r.index = number_of(g);
    r.start = g->prompt_end;
    r.length = -1;
    r.context = 0;
    r.label = wanted_class(g, g->input_index) ? wanted_class(g, g->input_index) : prompt->label;
    mbs_record_free(g->record);
    g->record = mbs_record_copy(&r);
    mbs_free(name);
    return g->record ? MBS_OK : mbs_fail_memory(err, "generate", sizeof(r));
}

/* Draws until there is a piece of this lane, or time to look around. */
static mbs_status draw_piece(task_generate *g, mbs_gen_lane *l, mbs_err *err) {
    double t0 = mbs_clock();
    mbs_gen_counts *counts = &(mbs_gen_counts){0};
    mbs_status st = MBS_OK;
    while (st == MBS_OK && !l->done && mbs_gen_ready(l, &g->rules) < PIECE_TOKENS && mbs_clock() - t0 < PIECE_SECONDS) {
        st = mbs_gen_step(&g->rules, g->session, g->lane, g->in_step, g->scratch, counts, err);
    }
    g->totals.again_stuck += counts->stuck;
    g->totals.again_noise += counts->noise;
    g->totals.given_up += counts->given_up;
    return st;
}

/* Tokens become what the codec's domain writes, with ids and log-probabilities beside them. */
static mbs_status decode_piece(task_generate *g, const mbs_gen_lane *l, int64_t n, uint32_t flags, mbs_block **out,
                               mbs_err *err) {
    int64_t shape[1] = {n};
    mbs_block *tokens = mbs_block_new("tokens/i32", MBS_I32, 1, shape);
    if (!tokens) {
        return mbs_fail_memory(err, "generate", (size_t)n * sizeof(int32_t));
    }
    if (n > 0) {
        memcpy(tokens->data, l->ids, (size_t)n * sizeof(int32_t));
    }
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
    /* Beside each row its token; where several tokens make a row, of the first of them on. */
    if (b->shape[0] == n && n > 0) {
        int32_t *ids = mbs_block_side_new(b, "token", MBS_I32, 1);
        float *lp = mbs_block_side_new(b, "logprob", MBS_F32, 1);
        if (!ids || !lp) {
            mbs_block_unref(b);
            *out = NULL;
            return mbs_fail_memory(err, "generate", (size_t)n * 8);
        }
        memcpy(ids, l->ids, (size_t)n * sizeof(*ids));
        memcpy(lp, l->logprob, (size_t)n * sizeof(*lp));
    }
    return MBS_OK;
}

/* Whether another sample of this record follows. */
static int goes_on(const task_generate *g) {
    if (g->sample >= g->samples) {
        return 0;
    }
    const int64_t at = number_of(g) - g->first;
    return !g->ending || (at < g->in_step && g->lane[at].drawn > 0);
}

static mbs_status begin_sample(task_generate *g, const mbs_record *record, mbs_err *err) {
    const int64_t at = number_of(g);
    mbs_status st = MBS_OK;
    if (!g->in_sample && g->sample == 0) {
        st = save_state(g, err);
    }
    if (st == MBS_OK && !g->in_sample && (at < g->first || at >= g->first + g->in_step)) {
        st = begin_group(g, err);
    }
    if (st == MBS_OK && (!g->in_sample || !g->record)) {
        st = start_sample(g, record, err); /* also after a restore */
    }
    return st;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_generate *g = self;
    *out = NULL;
    mbs_status st = begin_sample(g, record, err);
    if (st != MBS_OK) {
        return st;
    }
    mbs_gen_lane *l = &g->lane[number_of(g) - g->first];
    uint32_t flags = g->in_sample ? 0u : MBS_SEQ_START;
    st = draw_piece(g, l, err);
    int64_t n = mbs_gen_ready(l, &g->rules);
    n = n < PIECE_TOKENS ? n : PIECE_TOKENS;
    int last = l->done && n == mbs_gen_ready(l, &g->rules);
    *more = 1;
    if (st != MBS_OK || (n == 0 && !last)) {
        return st; /* nothing may leave yet; the sample has not begun for the writers */
    }
    st = decode_piece(g, l, n, flags | (last ? MBS_SEQ_END : 0u), out, err);
    if (st != MBS_OK) {
        return st;
    }
    for (int64_t i = 0; i < n; i++) {
        g->totals.logprob += (double)l->logprob[i];
    }
    mbs_gen_give(l, n);
    g->in_sample = !last;
    g->position = last ? 0 : g->position + n;
    g->totals.generated += n;
    g->sample += last;
    *more = !last || goes_on(g);
    return MBS_OK;
}

/* A request to stop, and what there is is wanted: samples end where they are. */
static int end_early(void *self) {
    task_generate *g = self;
    for (int64_t i = 0; g->env.keep_partial && i < g->in_step && !g->ending; i++) {
        mbs_gen_end(&g->lane[i]);
    }
    g->ending = g->env.keep_partial && g->in_step > 0;
    return g->ending;
}

/* --- the journal -------------------------------------------------------------------------------------------- */

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_generate *g = self;
    int64_t logprob;
    memcpy(&logprob, &g->totals.logprob, sizeof logprob);
    const int64_t values[] = {logprob,
                              g->input_index,
                              g->prompt_end,
                              g->sample,
                              g->position,
                              g->has_logits,
                              g->in_sample,
                              g->first,
                              g->in_step,
                              g->totals.tokens,
                              g->totals.generated,
                              g->totals.again_stuck,
                              g->totals.again_noise,
                              g->totals.given_up};
    mbs_buf_put_bytes(out, values, sizeof values);
    mbs_buf_put_bytes(out, g->logits, (size_t)g->rules.rows * sizeof(float));
    mbs_status st = mbs_gen_put_session(out, g->session, err);
    for (int64_t i = 0; i < g->in_step && st == MBS_OK; i++) {
        st = mbs_gen_lane_save(&g->lane[i], &g->rules, out, err);
    }
    return st;
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    task_generate *g = self;
    mbs_cursor c = {bytes, n, 0};
    int64_t v[14];
    size_t len = 0;
    const void *p = mbs_cursor_bytes(&c, &len);
    int whole = !c.failed && len == sizeof v;
    if (whole) {
        memcpy(v, p, sizeof v);
        memcpy(&g->totals.logprob, &v[0], sizeof v[0]);
        g->input_index = v[1];
        g->prompt_end = v[2];
        g->sample = v[3];
        g->position = v[4];
        g->has_logits = v[5] != 0;
        g->in_sample = v[6] != 0;
        g->first = v[7];
        g->in_step = v[8];
        g->totals.tokens = v[9];
        g->totals.generated = v[10];
        g->totals.again_stuck = v[11];
        g->totals.again_noise = v[12];
        g->totals.given_up = v[13];
    }
    p = mbs_cursor_bytes(&c, &len);
    if (!whole || c.failed || len != (size_t)g->rules.rows * sizeof(float) || g->in_step < 0 ||
        g->in_step > g->n_lanes) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short");
    }
    memcpy(g->logits, p, len);
    mbs_status st = mbs_gen_get_session(&c, g->session, err);
    for (int64_t i = 0; i < g->in_step && st == MBS_OK; i++) {
        st = mbs_gen_lane_restore(&g->lane[i], &g->rules, &c, err);
    }
    return st;
}

/* --- setting up --------------------------------------------------------------------------------------------- */

static mbs_status read_stops(task_generate *g, mbs_err *err) {
    const mbs_vocab *v = g->env.vocab;
    for (int64_t i = 0; i < mbs_params_count(g->env.models->params, "stop"); i++) {
        const char *text = mbs_params_item(g->env.models->params, "stop", i);
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

static mbs_status check_classes(const task_generate *g, mbs_err *err) {
    const mbs_classes *known = mbs_model_start_classes(g->env.models->model);
    for (int64_t i = 0; i < mbs_params_count(g->env.models->params, "class"); i++) {
        const char *name = mbs_params_item(g->env.models->params, "class", i);
        if (mbs_model_start(g->env.models->model, name) >= 0) {
            continue;
        }
        mbs_fail(err, MBS_ERR_CONFIG, "model", "'class' is '%s', and the model %s", name,
                 known->n > 0 ? "has no such class" : "was trained without classes");
        mbs_buf names = MBS_BUF_INIT;
        for (int64_t k = 0; k < known->n; k++) {
            mbs_buf_printf(&names, "%s%s", k ? ", " : "", known->names[k]);
        }
        mbs_err_fix(err,
                    known->n > 0 ? "its classes are: %.300s; or set model.class=null"
                                 : "leave it out: --set model.class=null%s",
                    known->n > 0 ? mbs_buf_str(&names) : "");
        mbs_buf_free(&names);
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

/* How many tokens make a row of what the writers get. */
static mbs_status tokens_a_row(task_generate *g, double *out, mbs_err *err) {
    mbs_record r = {.struct_size = sizeof r, .strand = '+', .source = -1, .name = "trial"};
    int64_t shape[1] = {TRIAL_TOKENS};
    mbs_block *tokens = mbs_block_new("tokens/i32", MBS_I32, 1, shape);
    mbs_block *rows = NULL;
    int32_t id = 0;
    while (id + 1 < g->env.vocab->size && !g->env.vocab->decodable[id]) {
        id++;
    }
    if (!tokens) {
        return mbs_fail_memory(err, "generate", sizeof r);
    }
    for (int i = 0; i < TRIAL_TOKENS; i++) {
        ((int32_t *)tokens->data)[i] = id;
    }
    tokens->record = &r;
    tokens->flags = MBS_SEQ_START | MBS_SEQ_END;
    mbs_status st = mbs_codec_decode(g->env.codec, tokens, &rows, err);
    *out = st == MBS_OK && rows->shape[0] > 0 ? (double)TRIAL_TOKENS / (double)rows->shape[0] : 1;
    mbs_block_unref(tokens);
    mbs_block_unref(rows);
    return st;
}

/* Durations in tokens. */
static mbs_status read_times(task_generate *g, mbs_err *err) {
    const mbs_params *p = g->env.models->params;
    int timed = mbs_params_is_set(p, "duration") || mbs_params_is_set(p, "guard");
    double each = 1;
    g->rules.most = mbs_params_int(p, "max_new_tokens");
    if (!timed) {
        return MBS_OK;
    }
    if (g->env.rate <= 0) {
        mbs_fail(err, MBS_ERR_CONFIG, "model", "'%s' is time, and nothing here says what a second is",
                 mbs_params_is_set(p, "duration") ? "duration" : "guard");
        mbs_err_fix(err, "they are for sound; elsewhere say max_new_tokens");
        return MBS_ERR_CONFIG;
    }
    mbs_status st = tokens_a_row(g, &each, err);
    each *= g->env.rate;
    if (mbs_params_is_set(p, "duration")) {
        g->rules.most = (int64_t)(mbs_params_float(p, "duration") * each + 0.5);
        g->rules.most = g->rules.most > 0 ? g->rules.most : 1;
    }
    if (mbs_params_is_set(p, "guard")) {
        g->rules.half = (int64_t)(mbs_params_float(p, "guard") * each / 2 + 0.5);
        g->rules.half = g->rules.half > 0 ? g->rules.half : 1;
    }
    return st;
}

static mbs_status read_guard(task_generate *g, mbs_err *err) {
    const mbs_params *p = g->env.models->params;
    mbs_buf why = MBS_BUF_INIT;
    double *to[2] = {&g->rules.low, &g->rules.high};
    const int said = mbs_params_is_set(p, "guard_bits");
    int bad = said && mbs_params_count(p, "guard_bits") != 2;
    g->rules.low = GUARD_LOW;
    g->rules.high = GUARD_HIGH;
    for (int64_t i = 0; i < 2 && said && !bad; i++) {
        bad = mbs_value_float(mbs_params_item(p, "guard_bits", i), to[i], &why) != 0;
    }
    mbs_buf_free(&why);
    if (bad || !(g->rules.low >= 0 && g->rules.low < g->rules.high)) {
        mbs_fail(err, MBS_ERR_CONFIG, "model", "'guard_bits' has to be two numbers, the first below the second");
        mbs_err_fix(err, "guard_bits: [0.02, 7], say");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

static mbs_status read_state(task_generate *g, mbs_err *err) {
    const char *path = mbs_params_string(g->env.models->params, "state");
    return path ? mbs_path_read(path, STATE_BYTES, &g->state, &g->state_bytes, err) : MBS_OK;
}

static mbs_status make_lanes(task_generate *g, mbs_err *err) {
    int64_t most = g->records > 0 && g->records < MBS_SESSION_LANES ? g->records * g->samples
                   : g->records > 0                                 ? MBS_SESSION_LANES
                                                                    : g->samples;
    int64_t fit = WAITING_BYTES / (g->rules.most < WAITING_BYTES ? 8 * g->rules.most : WAITING_BYTES);
    most = most < MBS_SESSION_LANES ? most : MBS_SESSION_LANES;
    most = most < fit ? most : fit;
    mbs_status st = MBS_OK;
    while (g->n_lanes < (most > 0 ? most : 1) && st == MBS_OK) {
        st = mbs_gen_lane_new(g->env.models->model, &g->rules, &g->lane[g->n_lanes++], err);
    }
    return st;
}

static mbs_status make_sampler(task_generate *g, mbs_err *err) {
    const mbs_params *p = g->env.models->params;
    const mbs_vocab *v = g->env.vocab;
    /* Stop tokens may be drawn; everything else must be something that the codec can write. */
    for (int32_t i = 0; i < v->size; i++) {
        g->allowed[i] = v->decodable[i] || g->stops[i];
    }
    mbs_status st = mbs_sampler_init(&g->rules.sampler, g->allowed, v->size, err);
    g->rules.sampler.temperature = mbs_params_float(p, "temperature");
    g->rules.sampler.top_k = mbs_params_int(p, "top_k");
    g->rules.sampler.top_p = mbs_params_float(p, "top_p");
    return st;
}

static mbs_status setup(task_generate *g, mbs_err *err) {
    const mbs_params *p = g->env.models->params;
    const mbs_vocab *v = g->env.vocab;
    size_t rows = (size_t)mbs_model_get_config(g->env.models->model)->vocab_rows;
    g->rules.rows = (int64_t)rows;
    g->rules.seed = (uint64_t)mbs_params_int(p, "seed");
    g->samples = mbs_params_int(p, "num_samples");
    g->records = g->env.reader ? 0 : mbs_params_int(p, "count");
    mbs_pace_init(&g->pace, 1, g->env.models->model);
    size_t piece = g->pace.max > MBS_SESSION_LANES ? (size_t)g->pace.max : MBS_SESSION_LANES;
    g->ids = mbs_calloc(piece, sizeof(*g->ids));
    g->logits = mbs_calloc(rows, sizeof(*g->logits));
    g->scratch = mbs_calloc(rows * MBS_SESSION_LANES, sizeof(*g->scratch));
    g->stops = mbs_calloc((size_t)v->size, 1);
    g->allowed = mbs_calloc((size_t)v->size, 1);
    if (!g->ids || !g->logits || !g->scratch || !g->stops || !g->allowed) {
        return mbs_fail_memory(err, "generate", rows * sizeof(float));
    }
    g->rules.stops = g->stops;
    mbs_status st = read_stops(g, err);
    st = st == MBS_OK ? check_classes(g, err) : st;
    st = st == MBS_OK ? read_times(g, err) : st;
    st = st == MBS_OK ? read_guard(g, err) : st;
    st = st == MBS_OK ? read_state(g, err) : st;
    st = st == MBS_OK ? make_sampler(g, err) : st;
    st = st == MBS_OK ? mbs_session_new(g->env.models->model, (int64_t)piece, &g->session, err) : st;
    st = st == MBS_OK ? mbs_session_set_sampler(g->session, &g->rules.sampler, err) : st;
    return st == MBS_OK ? make_lanes(g, err) : st;
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
    out->end_early = end_early;
    mbs_status st = setup(g, err);
    if (st != MBS_OK) {
        mbs_task_generate_free(out);
    }
    return st;
}

void mbs_task_generate_free(mbs_carry *carry) {
    task_generate *g = carry->self;
    if (g) {
        for (int64_t i = 0; i < g->n_lanes; i++) {
            mbs_gen_lane_free(&g->lane[i]);
        }
        mbs_session_free(g->session);
        mbs_sampler_free(&g->rules.sampler);
        mbs_free(g->allowed);
        mbs_free(g->ids);
        mbs_free(g->logits);
        mbs_free(g->scratch);
        mbs_free(g->stops);
        mbs_free(g->state);
        mbs_record_free(g->record);
        mbs_free(g);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_generate_totals(const mbs_carry *carry) {
    return &((const task_generate *)carry->self)->totals;
}
