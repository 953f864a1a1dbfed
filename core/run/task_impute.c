/* impute: units that nobody knows, or that are masked, filled in by the model; all others come back as they stood. */
#include "run/task_impute.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/caduceus.h"
#include "plug/params.h"
#include "stream/chunk.h"

#define PIECE_SECONDS 0.2
#define PIECE_UNITS 65536
#define FILL_ROWS 256 /* of a call behind a fill */
#define WINDOW 250

/* --- units ----------------------------------------------------------------------------------------------------------
 */

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_impute *t = self;
    t->n = t->done = t->given = 0;
    t->position = record->start - record->context;
    t->start = record->start;
    t->index = record->index;
    t->in_long = t->begun = t->ended = t->last = t->filling = t->has_logits = 0;
    mbs_status st = t->pass ? mbs_session_reset(t->pass, err) : MBS_OK;
    mbs_around around = mbs_vocab_around(t->env.vocab);
    mbs_run_out out = {.layer = -1, .last_logits = t->logits};
    if (t->pass && around.n_before > 0 && st == MBS_OK) {
        st = mbs_task_feed(t->pass, around.before, around.n_before, t->pace.max, &out, err);
        t->has_logits = 1;
    }
    return st;
}

static int grow(task_impute *t, int64_t more) {
    size_t need = (size_t)(t->n + more);
    const size_t each[6] = {sizeof(*t->ids), 1, 1, 1, 1, 2 * sizeof(*t->probability)};
    void *from[6] = {t->ids, t->spelled, t->wanted, t->scored, t->state, t->probability};
    int all = 1;
    for (int i = 0; i < 6; i++) {
        void *to = mbs_grow(from[i], &t->cap[i], need, each[i]);
        all &= to != NULL;
        from[i] = to ? to : from[i];
    }
    t->ids = from[0];
    t->spelled = from[1];
    t->wanted = from[2];
    t->scored = from[3];
    t->state = from[4];
    t->probability = from[5];
    return all;
}

static const uint8_t *flags_of(const mbs_block *b, const char *name) {
    const mbs_side *s = mbs_block_side_find(b, name);
    return s && s->dtype == MBS_U8 && s->width == 1 ? s->data : NULL;
}

static mbs_status check_block(const task_impute *t, const mbs_block *b, mbs_err *err) {
    if (mbs_block_side_find(b, "interval") || b->end - b->start != b->shape[0] || !flags_of(b, "spelled")) {
        mbs_fail(err, MBS_ERR_CONFIG, b->record->name,
                 "task impute: the codec's tokens are not one for each letter, with the letter beside it");
        mbs_err_fix(err, "take codec: {plugin: bases}");
        return MBS_ERR_CONFIG;
    }
    if (t->fill_mask && !flags_of(b, "mask")) {
        mbs_fail(err, MBS_ERR_CONFIG, b->record->name, "task impute: nothing says which letters are masked");
        mbs_err_fix(err, "codec: {soft_mask: mask} takes lower case, reader: {mask: x.bed} the regions of a file");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

static mbs_status take(task_impute *t, const mbs_block *b, int64_t from, mbs_err *err) {
    int64_t n = b->shape[0] - from;
    const uint8_t *spelled = flags_of(b, "spelled");
    const uint8_t *unknown = flags_of(b, "unknown");
    const uint8_t *mask = flags_of(b, "mask");
    const uint8_t *scored = flags_of(b, "scored");
    mbs_status st = check_block(t, b, err);
    if (st == MBS_OK && !grow(t, n)) {
        st = mbs_fail_memory(err, "impute", (size_t)(t->n + n) * 16);
    }
    for (int64_t i = 0; i < n && st == MBS_OK; i++) {
        int64_t k = t->n + i;
        int32_t id = ((const int32_t *)b->data)[from + i];
        int any = unknown && unknown[from + i];
        int known = !scored || scored[from + i];
        if (id >= t->rows) {
            return mbs_fail(err, MBS_ERR_DATA, b->record->name, "token %d is not one of the model's %lld", id,
                            (long long)t->rows);
        }
        t->ids[k] = id;
        t->spelled[k] = spelled[from + i];
        t->scored[k] = (uint8_t)known;
        t->wanted[k] = t->position + k >= t->start &&
                       ((t->fill_unknown && any) || (t->fill_mask && mask[from + i] && (any || known)));
        t->state[k] = 0;
        t->probability[2 * k] = t->probability[2 * k + 1] = NAN;
    }
    t->n += st == MBS_OK ? n : 0;
    return st;
}

/* Units that no work will look at again. */
static void drop(task_impute *t) {
    int64_t keep = t->whole ? t->done - t->window : t->done;
    keep = keep < t->given ? keep : t->given;
    if (keep <= 0 || keep < t->n - keep) { /* each is moved once at most */
        return;
    }
    size_t left = (size_t)(t->n - keep);
    memmove(t->ids, t->ids + keep, left * sizeof(*t->ids));
    memmove(t->spelled, t->spelled + keep, left);
    memmove(t->wanted, t->wanted + keep, left);
    memmove(t->scored, t->scored + keep, left);
    memmove(t->state, t->state + keep, left);
    memmove(t->probability, t->probability + 2 * keep, left * 2 * sizeof(*t->probability));
    t->n -= keep;
    t->done -= keep;
    t->given -= keep;
    t->position += keep;
}

/* --- the work -------------------------------------------------------------------------------------------------------
 */

/* The model goes over the next m units, as they are now. */
static mbs_status pass(task_impute *t, int64_t m, mbs_err *err) {
    int64_t fed = 0;
    for (int64_t i = 0; i < m && t->pass; i++) {
        if (t->ids[t->done + i] >= 0) {
            t->fed[fed++] = t->ids[t->done + i];
        }
    }
    mbs_status st = MBS_OK;
    if (fed > 0) {
        mbs_run_out o = {.layer = -1, .last_logits = t->logits};
        double t0 = mbs_clock();
        st = mbs_session_run(t->pass, t->fed, fed, &o, err);
        mbs_pace_took(&t->pace, fed, mbs_clock() - t0);
        t->has_logits = 1;
        t->totals.fed += fed;
    }
    t->done += st == MBS_OK ? m : 0;
    return st;
}

/* The gap that begins here: its units, -1 where its end, or what has to be known behind it, is not there yet. */
static int64_t gap_here(task_impute *t) {
    int64_t e = t->done;
    while (e < t->n && t->wanted[e] && e - t->done <= t->max_gap) {
        e++;
    }
    if (e - t->done > t->max_gap) {
        return e - t->done;
    }
    return !t->last && (e == t->n || t->n - e < t->window) ? -1 : e - t->done;
}

/* Units that are not filled, as far as they go and a call may last. */
static mbs_status walk(task_impute *t, mbs_err *err) {
    int64_t m = 0;
    while (m < t->pace.rows && t->done + m < t->n && t->wanted[t->done + m] == t->in_long) {
        t->state[t->done + m] = t->in_long ? IMPUTE_LEFT : 0;
        m++;
    }
    t->totals.left += t->in_long ? m : 0;
    return pass(t, m, err);
}

static mbs_status filled(task_impute *t, mbs_err *err) {
    memset(t->state + t->done, IMPUTE_FILLED, (size_t)t->gap);
    memset(t->scored + t->done, 1, (size_t)t->gap);
    t->totals.gaps++;
    t->totals.filled += t->gap;
    t->filling = 0;
    mbs_status st = MBS_OK;
    for (int64_t left = t->gap; left > 0 && st == MBS_OK;) {
        int64_t m = left < t->pace.max ? left : t->pace.max;
        st = pass(t, m, err);
        left -= m;
    }
    return st;
}

/* The next piece; *more 0: the units that are here allow none. */
static mbs_status proceed(task_impute *t, int *more, mbs_err *err) {
    int over = 0;
    *more = 1;
    if (t->filling) {
        mbs_status st = mbs_impute_work(t, &over, err);
        return st == MBS_OK && over ? filled(t, err) : st;
    }
    if (t->done == t->n) {
        *more = 0;
        return MBS_OK;
    }
    if (!t->wanted[t->done] || t->in_long) {
        t->in_long = t->in_long && t->wanted[t->done];
        return walk(t, err);
    }
    int64_t gap = gap_here(t);
    if (gap < 0) {
        *more = 0;
        return MBS_OK;
    }
    if (gap > t->max_gap) {
        t->in_long = 1;
        t->totals.long_gaps++;
        return MBS_OK;
    }
    t->gap = gap;
    if (t->whole) {
        mbs_status st = mbs_impute_masked(t, err);
        return st == MBS_OK ? filled(t, err) : st;
    }
    t->filling = 1;
    return mbs_impute_begin(t, err);
}

/* --- giving ---------------------------------------------------------------------------------------------------------
 */

static mbs_status spell(task_impute *t, const mbs_record *record, int64_t n, uint32_t flags, mbs_block **out,
                        mbs_err *err) {
    mbs_block *tokens = mbs_block_new("tokens/i32", MBS_I32, 1, &n);
    uint8_t *spelled = tokens ? mbs_block_side_new(tokens, "spelled", MBS_U8, 1) : NULL;
    if (!spelled) {
        mbs_block_unref(tokens);
        return mbs_fail_memory(err, "impute", (size_t)n * 5);
    }
    memcpy(tokens->data, t->ids + t->given, (size_t)n * sizeof(*t->ids));
    memcpy(spelled, t->spelled + t->given, (size_t)n);
    tokens->record = record;
    tokens->flags = flags;
    tokens->start = t->position + t->given;
    tokens->end = tokens->start + n;
    mbs_status st = mbs_codec_decode(t->env.codec, tokens, out, err);
    mbs_block_unref(tokens);
    if (st != MBS_OK) {
        return st;
    }
    mbs_block *b = *out;
    uint8_t *stood = mbs_block_side_new(b, "spelled", MBS_U8, 1);
    uint8_t *fill = mbs_block_side_new(b, "fill", MBS_U8, 1);
    float *probability = mbs_block_side_new(b, "probability", MBS_F32, 2);
    if (!stood || !fill || !probability || b->shape[0] != n) {
        mbs_block_unref(b);
        *out = NULL;
        return mbs_fail_memory(err, "impute", (size_t)n * 10);
    }
    memcpy(stood, t->spelled + t->given, (size_t)n);
    memcpy(fill, t->state + t->given, (size_t)n);
    memcpy(probability, t->probability + 2 * t->given, (size_t)n * 2 * sizeof(float));
    b->record = record;
    return MBS_OK;
}

/* What is decided about and not given yet. */
static mbs_status give(task_impute *t, const mbs_record *record, mbs_block **out, mbs_err *err) {
    int64_t ahead = t->start - t->position - t->given; /* context: seen and not written */
    ahead = ahead < 0 ? 0 : ahead < t->done - t->given ? ahead : t->done - t->given;
    t->given += ahead;
    int64_t n = t->done - t->given < PIECE_UNITS ? t->done - t->given : PIECE_UNITS;
    int end = t->last && t->done == t->n && t->given + n == t->n;
    *out = NULL;
    if (n == 0 && !end) {
        return MBS_OK;
    }
    uint32_t flags = (t->begun ? 0u : MBS_SEQ_START) | (end ? MBS_SEQ_END : 0u);
    mbs_status st = spell(t, record, n, flags, out, err);
    if (st == MBS_OK) {
        t->given += n;
        t->totals.tokens += n;
        t->begun = 1;
        t->ended = end;
    }
    return st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    task_impute *t = self;
    *out = NULL;
    *taken = tokens->shape[0] - from;
    drop(t);
    return take(t, tokens, from, err);
}

static mbs_status work(task_impute *t, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    double t0 = mbs_clock();
    mbs_status st = MBS_OK;
    *more = 1;
    while (*more && st == MBS_OK && mbs_clock() - t0 < PIECE_SECONDS) {
        st = proceed(t, more, err);
    }
    st = st == MBS_OK ? give(t, record, out, err) : st;
    *more |= t->given < t->done;
    return st;
}

static mbs_status also(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    *out = NULL;
    return work(self, record, out, more, err);
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_impute *t = self;
    *out = NULL;
    t->last = 1;
    mbs_status st = work(t, record, out, more, err);
    *more = !t->ended;
    return st;
}

/* --- the journal ----------------------------------------------------------------------------------------------------
 */

#define WORDS 14

/* A gap that is being filled begins anew. */
static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_impute *t = self;
    const int64_t words[WORDS] = {t->begun | t->ended << 1 | t->last << 2 | t->in_long << 3 | t->has_logits << 4,
                                  t->n,
                                  t->done,
                                  t->given,
                                  t->position,
                                  t->start,
                                  t->index,
                                  t->totals.tokens,
                                  t->totals.gaps,
                                  t->totals.filled,
                                  t->totals.long_gaps,
                                  t->totals.left,
                                  0,
                                  0};
    size_t n = (size_t)t->n;
    mbs_buf_put_bytes(out, words, sizeof words);
    mbs_buf_put_bytes(out, t->ids, n * sizeof(*t->ids));
    mbs_buf_put_bytes(out, t->spelled, n);
    mbs_buf_put_bytes(out, t->wanted, n);
    mbs_buf_put_bytes(out, t->scored, n);
    mbs_buf_put_bytes(out, t->state, n);
    mbs_buf_put_bytes(out, t->probability, n * 2 * sizeof(*t->probability));
    mbs_buf_put_bytes(out, t->logits, (size_t)t->rows * sizeof(*t->logits));
    mbs_buf blob = MBS_BUF_INIT;
    mbs_status st = t->pass ? mbs_session_save(t->pass, &blob, err) : MBS_OK;
    mbs_buf_put_bytes(out, blob.data, blob.len);
    mbs_buf_free(&blob);
    return st;
}

static mbs_status restore(void *self, const void *bytes, size_t size, mbs_err *err) {
    task_impute *t = self;
    mbs_cursor c = {bytes, size, 0};
    int64_t w[WORDS] = {0};
    int good = mbs_cursor_into(&c, w, sizeof w) && w[1] >= 0 && (uint64_t)w[1] <= size && w[2] >= 0 && w[2] <= w[1] &&
               w[3] >= 0 && w[3] <= w[2];
    size_t n = good ? (size_t)w[1] : 0;
    t->n = t->filling = 0;
    good = good && grow(t, (int64_t)n + 1) && mbs_cursor_into(&c, t->ids, n * sizeof(*t->ids)) &&
           mbs_cursor_into(&c, t->spelled, n) && mbs_cursor_into(&c, t->wanted, n) &&
           mbs_cursor_into(&c, t->scored, n) && mbs_cursor_into(&c, t->state, n) &&
           mbs_cursor_into(&c, t->probability, n * 2 * sizeof(*t->probability)) &&
           mbs_cursor_into(&c, t->logits, (size_t)t->rows * sizeof(*t->logits));
    size_t len = 0;
    const void *blob = good ? mbs_cursor_bytes(&c, &len) : NULL;
    if (!good || c.failed) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the state of the task is cut short");
    }
    t->begun = w[0] & 1;
    t->ended = w[0] >> 1 & 1;
    t->last = w[0] >> 2 & 1;
    t->in_long = w[0] >> 3 & 1;
    t->has_logits = w[0] >> 4 & 1;
    t->n = w[1];
    t->done = w[2];
    t->given = w[3];
    t->position = w[4];
    t->start = w[5];
    t->index = w[6];
    t->totals.tokens = w[7];
    t->totals.gaps = w[8];
    t->totals.filled = w[9];
    t->totals.long_gaps = w[10];
    t->totals.left = w[11];
    return t->pass ? mbs_session_restore(t->pass, blob, len, err) : MBS_OK;
}

/* --- setting up -----------------------------------------------------------------------------------------------------
 */

int64_t mbs_task_impute_window(const mbs_params *params) {
    return mbs_params_told(params, "window") ? mbs_params_int(params, "window") : WINDOW;
}

static mbs_status refuse(mbs_err *err, const char *what, const char *fix) {
    mbs_fail(err, MBS_ERR_CONFIG, "model", "task impute: %s", what);
    mbs_err_fix(err, "%s", fix);
    return MBS_ERR_CONFIG;
}

static mbs_status read_whole(task_impute *t, mbs_err *err) {
    static const char *const causal[] = {"search", "candidates", "seed"};
    const mbs_model_config *c = mbs_model_get_config(t->env.models->model);
    const mbs_params *p = t->env.models->params;
    const mbs_preset *preset = mbs_caduceus_preset(c);
    t->mask = t->env.vocab->mask >= 0 ? t->env.vocab->mask : preset ? mbs_preset_mask(preset) : -1;
    if (!c->masked) {
        return refuse(err, "the model takes whole records and is not one of masked letters",
                      "take a masked model, or one that goes on letter by letter");
    }
    if (t->mask < 0 || t->mask >= c->vocab_rows) {
        return refuse(err, "the vocabulary has no token for masking", "take a model whose vocabulary has one");
    }
    for (size_t i = 0; i < sizeof causal / sizeof causal[0]; i++) {
        if (mbs_params_told(p, causal[i])) {
            mbs_fail(err, MBS_ERR_CONFIG, "model",
                     "task impute: '%s' is for causal models, and this one sees both sides", causal[i]);
            mbs_err_fix(err, "leave '%s' out", causal[i]);
            return MBS_ERR_CONFIG;
        }
    }
    if (mbs_params_told(p, "halo") || (mbs_params_is_set(p, "strand") && strcmp(mbs_params_string(p, "strand"), "+"))) {
        return refuse(err, "'halo' and 'strand' have no meaning for it", "leave them out: 'window' says what is seen");
    }
    return mbs_whole_new(t->env.models->model, mbs_params_told(p, "max_memory") ? mbs_params_int(p, "max_memory") : 0,
                         &t->whole, err);
}

static mbs_status setup(task_impute *t, mbs_err *err) {
    const mbs_vocab *v = t->env.vocab;
    const mbs_params *p = t->env.models->params;
    const char *fill = mbs_params_string(p, "fill");
    const char *search = mbs_params_string(p, "search");
    if (!v) {
        return refuse(err, "the codec has no vocabulary to choose from", "take codec: {plugin: bases}");
    }
    t->rows = mbs_model_get_config(t->env.models->model)->vocab_rows;
    t->window = mbs_task_impute_window(p);
    t->max_gap = mbs_params_int(p, "max_gap");
    t->candidates = mbs_params_int(p, "candidates");
    t->seed = (uint64_t)mbs_params_int(p, "seed");
    t->sample = search && strcmp(search, "sample") == 0;
    t->fill_mask = fill && strcmp(fill, "unknown") != 0;
    t->fill_unknown = !fill || strcmp(fill, "mask") != 0;
    if (!t->sample && mbs_params_told(p, "seed") && !mbs_model_takes_whole(t->env.models->model)) {
        return refuse(err, "'seed' is for search: sample, a beam draws nothing", "leave 'seed' out");
    }
    mbs_pace_init(&t->pace, 1, t->env.models->model);
    t->choices = mbs_calloc((size_t)v->size + 1, sizeof(*t->choices));
    t->fed = mbs_calloc((size_t)t->pace.max, sizeof(*t->fed));
    t->got = mbs_calloc((size_t)t->pace.max, sizeof(*t->got));
    t->logits = mbs_calloc((size_t)t->rows, sizeof(*t->logits));
    if (!t->choices || !t->fed || !t->got || !t->logits || !grow(t, 1)) {
        return mbs_fail_memory(err, "impute", (size_t)(t->pace.max + t->rows) * 8);
    }
    for (int32_t i = 0; i < v->size && i < t->rows; i++) {
        if (v->decodable[i]) {
            t->choices[t->n_choices++] = i;
        }
    }
    if (t->n_choices < 2) {
        return refuse(err, "the codec has no tokens to choose from", "take codec: {plugin: bases}");
    }
    t->call = t->pace.max < FILL_ROWS ? t->pace.max : FILL_ROWS;
    return mbs_model_takes_whole(t->env.models->model) ? read_whole(t, err) : mbs_impute_setup(t, err);
}

mbs_status mbs_task_impute_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof(*out));
    task_impute *t = mbs_calloc(1, sizeof(*t));
    if (!t) {
        return mbs_fail_memory(err, "impute", sizeof(*t));
    }
    t->env = *env;
    *out = (mbs_carry){
        .self = t, .begin = begin, .step = step, .also = also, .finish = finish, .save = save, .restore = restore};
    mbs_status st = setup(t, err);
    if (st != MBS_OK) {
        mbs_task_impute_free(out);
    }
    return st;
}

void mbs_task_impute_free(mbs_carry *carry) {
    task_impute *t = carry->self;
    carry->self = NULL;
    if (!t) {
        return;
    }
    mbs_impute_drop(t);
    mbs_free(t->choices);
    mbs_free(t->fed);
    mbs_free(t->got);
    mbs_free(t->logits);
    mbs_free(t->ids);
    mbs_free(t->spelled);
    mbs_free(t->wanted);
    mbs_free(t->scored);
    mbs_free(t->state);
    mbs_free(t->probability);
    mbs_free(t);
}

const mbs_task_totals *mbs_task_impute_totals(const mbs_carry *carry) {
    return &((const task_impute *)carry->self)->totals;
}
