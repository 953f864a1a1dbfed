/* compress: tokens and how they were spelled become the bytes of an arithmetic coder. */
#include "run/task_compress.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/chunk.h"

typedef struct task_compress {
    mbs_packer p;
    mbs_encoder out;
    mbs_pace pace;
    int32_t *ids;
    float *logits; /* of a call */
} task_compress;

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_compress *t = self;
    if (t->p.begun) {
        mbs_fail(err, MBS_ERR_CONFIG, record->name, "task compress makes one container of one stream");
        mbs_err_fix(err, "compress one file at a time");
        return MBS_ERR_CONFIG;
    }
    t->p.position = record->start;
    return mbs_session_reset(t->p.session, err);
}

static mbs_status put_rows(task_compress *t, const mbs_block *tokens, const uint8_t *verbatim, int64_t from, int64_t n,
                           int64_t rows, mbs_err *err) {
    mbs_packer *p = &t->p;
    const int32_t *ids = (const int32_t *)tokens->data + from;
    int64_t fed = 0;
    for (int64_t i = 0; i < n; i++) {
        mbs_rowcode_put_kind(&p->rows, &t->out, ids[i] >= 0 ? MBS_ROW_TOKEN : MBS_ROW_BYTE, verbatim[i]);
        mbs_packer_sum(p, ids[i] >= 0 ? ids[i] : -1, verbatim[i]);
        if (ids[i] < 0) {
            continue;
        }
        uint32_t total = 0;
        mbs_status st = mbs_packer_counts(p, fed ? t->logits + (fed - 1) * rows : NULL, &total, err);
        if (st != MBS_OK) {
            return st;
        }
        uint32_t below = 0;
        for (int32_t k = 0; k < ids[i]; k++) {
            below += p->counts[k];
        }
        mbs_encode_range(&t->out, below, p->counts[ids[i]], total);
        mbs_rowcode_put_spelling(&p->rows, &t->out, verbatim[i]);
        fed++;
    }
    if (fed) {
        memcpy(p->predicted, t->logits + (fed - 1) * rows, (size_t)rows * sizeof(float));
        p->has_predicted = 1;
    }
    p->totals.scored += fed;
    return MBS_OK;
}

/* Gathers the ids of rows that are tokens; one that the codec could not write back is refused. */
static mbs_status gather(task_compress *t, const mbs_block *tokens, int64_t from, int64_t n, int64_t *fed,
                         mbs_err *err) {
    const mbs_vocab *v = t->p.env.vocab;
    *fed = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t id = ((const int32_t *)tokens->data)[from + i];
        if (id >= v->size || (id >= 0 && !v->decodable[id])) {
            return mbs_fail(err, MBS_ERR_DATA, tokens->record->name, "token %d cannot be written back", id);
        }
        if (id >= 0) {
            t->ids[(*fed)++] = id;
        }
    }
    return MBS_OK;
}

/* The bytes that are ready, as a block; NULL where there are none and the record goes on. */
static mbs_status give(task_compress *t, const mbs_record *record, uint32_t flags, mbs_block **out, mbs_err *err) {
    *out = NULL;
    if (t->out.out.failed) {
        return mbs_fail_memory(err, "compress", t->out.out.len);
    }
    if (t->out.out.len == 0 && !(flags & MBS_SEQ_END)) {
        return MBS_OK;
    }
    int64_t shape[1] = {(int64_t)t->out.out.len};
    mbs_block *b = mbs_block_new("code/u8", MBS_U8, 1, shape);
    if (!b) {
        return mbs_fail_memory(err, "compress", t->out.out.len);
    }
    if (shape[0]) {
        memcpy(b->data, t->out.out.data, t->out.out.len);
    }
    t->p.totals.given += shape[0];
    mbs_buf_clear(&t->out.out);
    b->record = record;
    b->flags = flags | (t->p.begun ? 0u : MBS_SEQ_START);
    b->start = b->end = t->p.position;
    t->p.begun = 1;
    *out = b;
    return MBS_OK;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    task_compress *t = self;
    *out = NULL;
    const mbs_side *side = mbs_block_side_find(tokens, "verbatim");
    if (!side || side->dtype != MBS_U8 || side->width != 1) {
        mbs_fail(err, MBS_ERR_CONFIG, "compress",
                 "the codec does not say how rows were written, so they could not be "
                 "given back");
        mbs_err_fix(err, "use reader and codec 'verbatim'");
        return MBS_ERR_CONFIG;
    }
    int64_t n = tokens->shape[0] - from;
    n = n < t->pace.rows ? n : t->pace.rows;
    int64_t fed = 0;
    mbs_status st = gather(t, tokens, from, n, &fed, err);
    if (st == MBS_OK && fed > 0) {
        mbs_run_out o = {.layer = -1, .logits = t->logits};
        double t0 = mbs_clock();
        st = mbs_session_run(t->p.session, t->ids, fed, &o, err);
        mbs_pace_took(&t->pace, fed, mbs_clock() - t0);
    }
    if (st == MBS_OK) {
        st = put_rows(t, tokens, (const uint8_t *)side->data + from, from, n,
                      mbs_model_get_config(t->p.env.models->model)->vocab_rows, err);
    }
    t->p.totals.tokens += n;
    t->p.position = mbs_chunk_position(tokens, from + n);
    *taken = n;
    return st == MBS_OK ? give(t, tokens->record, 0, out, err) : st;
}

/* Fewer letters than that of all that was read, where it is more than a few lines: not what the model is for. Runs of
 * N come out small without it, smaller than by other packers. */
#define LETTERS_LEAST 0.4
#define TOKENS_FEW 1000
#define GIVEN_LITTLE 0.125

static void say_strange(const mbs_task_totals *t) {
    if (t->tokens >= TOKENS_FEW && (double)t->scored < LETTERS_LEAST * (double)t->tokens &&
        (double)t->given > GIVEN_LITTLE * (double)t->tokens) {
        mbs_log(MBS_LOG_WARNING,
                "%lld of %lld bytes are letters that the model knows, the rest is packed without it: it makes FASTA of "
                "bases small; for other files take gzip or xz",
                (long long)t->scored, (long long)t->tokens);
    }
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_compress *t = self;
    *more = 0;
    mbs_rowcode_put_kind(&t->p.rows, &t->out, MBS_ROW_END, 0);
    for (int i = 0; i < 4; i++) {
        mbs_encode_range(&t->out, (uint32_t)(t->p.sum >> 16 * i & 0xffff), 1, 1 << 16);
    }
    mbs_encoder_flush(&t->out);
    t->p.done = 1;
    mbs_status st = give(t, record, MBS_SEQ_END, out, err);
    if (st == MBS_OK) {
        say_strange(&t->p.totals);
    }
    return st;
}

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_compress *t = self;
    mbs_buf_put_i64(out, (int64_t)t->out.low);
    mbs_buf_put_i64(out, (int64_t)t->out.range);
    mbs_buf_put_i64(out, (int64_t)t->out.pending);
    mbs_buf_put_i64(out, t->out.cache);
    return mbs_packer_save(&t->p, out, err);
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    task_compress *t = self;
    mbs_cursor c = {bytes, n, 0};
    t->out.low = (uint64_t)mbs_cursor_i64(&c);
    t->out.range = (uint64_t)mbs_cursor_i64(&c);
    t->out.pending = (uint64_t)mbs_cursor_i64(&c);
    t->out.cache = (int32_t)mbs_cursor_i64(&c);
    return mbs_packer_restore(&t->p, &c, err);
}

mbs_status mbs_task_compress_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof(*out));
    task_compress *t = mbs_calloc(1, sizeof(*t));
    if (!t) {
        return mbs_fail_memory(err, "compress", sizeof(*t));
    }
    *out = (mbs_carry){.self = t, .begin = begin, .step = step, .finish = finish, .save = save, .restore = restore};
    int64_t rows = mbs_model_get_config(env->models->model)->vocab_rows;
    mbs_encoder_init(&t->out);
    mbs_pace_init(&t->pace, rows, env->models->model);
    t->ids = mbs_calloc((size_t)t->pace.max, sizeof(*t->ids));
    t->logits = mbs_calloc((size_t)(t->pace.max * rows), sizeof(*t->logits));
    mbs_status st = t->ids && t->logits ? mbs_packer_init(&t->p, env, t->pace.max, err)
                                        : mbs_fail_memory(err, "compress", (size_t)(t->pace.max * rows) * 4);
    if (st != MBS_OK) {
        mbs_task_compress_free(out);
    }
    return st;
}

void mbs_task_compress_free(mbs_carry *carry) {
    task_compress *t = carry->self;
    if (t) {
        mbs_packer_free(&t->p);
        mbs_encoder_free(&t->out);
        mbs_free(t->ids);
        mbs_free(t->logits);
        mbs_free(t);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_compress_totals(const mbs_carry *carry) {
    return &((const task_compress *)carry->self)->p.totals;
}
