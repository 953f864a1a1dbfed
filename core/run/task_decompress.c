/* decompress: the bytes of task compress become what they were made of, token by token. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "run/task_compress.h"

/* Rows between two looks at signals. */
#define PIECE_ROWS 4096
#define PIECE_SECONDS 0.2

typedef struct task_decompress {
    mbs_packer p;
    mbs_decoder in;
    int ended; /* the end was decoded */
    int32_t ids[PIECE_ROWS];
    uint8_t verbatim[PIECE_ROWS];
} task_decompress;

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_decompress *t = self;
    if (t->p.begun) {
        return mbs_fail(err, MBS_ERR_CONFIG, record->name, "task decompress takes one container");
    }
    return mbs_session_reset(t->p.session, err);
}

static mbs_status damaged(mbs_err *err, const char *why) {
    mbs_fail(err, MBS_ERR_DATA, "decompress", "the container is damaged: %s", why);
    mbs_err_fix(err, "copy or make the container again");
    return MBS_ERR_DATA;
}

static mbs_status get_token(task_decompress *t, int32_t *id, mbs_err *err) {
    mbs_packer *p = &t->p;
    uint32_t total = 0;
    mbs_status st = mbs_packer_counts(p, NULL, &total, err);
    if (st != MBS_OK) {
        return st;
    }
    uint32_t at = mbs_decode_point(&t->in, total);
    uint32_t below = 0;
    int32_t k = 0;
    while (below + p->counts[k] <= at) {
        below += p->counts[k++];
    }
    mbs_decode_range(&t->in, below, p->counts[k], total);
    *id = k;
    mbs_run_out o = {.layer = -1, .last_logits = p->predicted};
    st = mbs_session_run(p->session, &k, 1, &o, err);
    p->has_predicted = 1;
    p->totals.scored++;
    return st;
}

static mbs_status get_sum(task_decompress *t, mbs_err *err) {
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t v = mbs_decode_point(&t->in, 1 << 16);
        mbs_decode_range(&t->in, v, 1, 1 << 16);
        sum |= (uint64_t)v << 16 * i;
    }
    return sum == t->p.sum ? MBS_OK : damaged(err, "what came out is not what went in");
}

/* Rows while there are bytes for one more (`last`: none will come), or a piece is full. */
static mbs_status get_rows(task_decompress *t, int last, int64_t *n_out, mbs_err *err) {
    int64_t n = 0;
    double t0 = mbs_clock();
    mbs_status st = MBS_OK;
    while (st == MBS_OK && n < PIECE_ROWS && !t->ended && (last || mbs_decoder_has_margin(&t->in)) &&
           ((n & 63) || mbs_clock() - t0 < PIECE_SECONDS)) {
        uint8_t byte = 0;
        int kind = mbs_rowcode_get_kind(&t->p.rows, &t->in, &byte);
        if (t->in.missing > 0) {
            return damaged(err, "it ends too early");
        }
        if (kind == MBS_ROW_END) {
            t->ended = 1;
            st = get_sum(t, err);
            break;
        }
        t->ids[n] = -1;
        t->verbatim[n] = byte;
        if (kind == MBS_ROW_TOKEN) {
            st = get_token(t, &t->ids[n], err);
            t->verbatim[n] = st == MBS_OK ? mbs_rowcode_get_spelling(&t->p.rows, &t->in) : 0;
        }
        mbs_packer_sum(&t->p, t->ids[n], t->verbatim[n]);
        n++;
    }
    *n_out = n;
    return st;
}

/* Rows through the codec. */
static mbs_status give(task_decompress *t, const mbs_record *record, int64_t n, uint32_t flags, mbs_block **out,
                       mbs_err *err) {
    int64_t shape[1] = {n};
    mbs_block *b = mbs_block_new("tokens/i32", MBS_I32, 1, shape);
    uint8_t *verbatim = b ? mbs_block_side_new(b, "verbatim", MBS_U8, 1) : NULL;
    if (!verbatim) {
        mbs_block_unref(b);
        return mbs_fail_memory(err, "decompress", (size_t)n * 5);
    }
    memcpy(b->data, t->ids, (size_t)n * sizeof(int32_t));
    memcpy(verbatim, t->verbatim, (size_t)n);
    b->record = record;
    b->flags = flags | (t->p.begun ? 0u : MBS_SEQ_START);
    b->start = t->p.position;
    b->end = t->p.position += n;
    t->p.begun = 1;
    t->p.totals.tokens += n;
    mbs_status st = mbs_codec_decode(t->p.env.codec, b, out, err);
    mbs_block_unref(b);
    if (st == MBS_OK) {
        (*out)->record = record;
    }
    return st;
}

static mbs_status step(void *self, const mbs_block *code, int64_t from, int64_t *taken, mbs_block **out, mbs_err *err) {
    task_decompress *t = self;
    *out = NULL;
    *taken = mbs_decoder_feed(&t->in, (const uint8_t *)code->data + from, code->shape[0] - from);
    int64_t n = 0;
    mbs_status st = get_rows(t, 0, &n, err);
    if (st == MBS_OK && t->ended && t->in.at < t->in.n) {
        st = damaged(err, "something follows its end");
    }
    return st == MBS_OK && n > 0 ? give(t, code->record, n, 0, out, err) : st;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_decompress *t = self;
    *out = NULL;
    int64_t n = 0;
    mbs_status st = get_rows(t, 1, &n, err);
    *more = !t->ended;
    t->p.done = t->ended;
    if (st == MBS_OK && t->ended && t->in.at < t->in.n) {
        st = damaged(err, "something follows its end");
    }
    return st == MBS_OK ? give(t, record, n, t->ended ? MBS_SEQ_END : 0u, out, err) : st;
}

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_decompress *t = self;
    mbs_buf_put_i64(out, t->ended);
    mbs_buf_put_bytes(out, &t->in, sizeof(t->in));
    return mbs_packer_save(&t->p, out, err);
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    task_decompress *t = self;
    mbs_cursor c = {bytes, n, 0};
    t->ended = mbs_cursor_i64(&c) != 0;
    size_t len = 0;
    const void *in = mbs_cursor_bytes(&c, &len);
    if (c.failed || len != sizeof(t->in)) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the state of the coder is damaged");
    }
    memcpy(&t->in, in, len);
    if (t->in.at < 0 || t->in.n > MBS_CODER_HOLD || t->in.at > t->in.n) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the state of the coder is damaged");
    }
    return mbs_packer_restore(&t->p, &c, err);
}

static const char *told(const mbs_stream_header *in, const char *key) {
    for (int64_t i = 0; in && i < in->n_attrs; i++) {
        if (strcmp(in->attrs[i].key, key) == 0) {
            return in->attrs[i].value;
        }
    }
    return NULL;
}

/* What the container was made with has to be what is here. */
static mbs_status check_same(const mbs_task_env *env, mbs_err *err) {
    const char *sha = mbs_model_sha256(env->models->model, err);
    if (!sha) {
        return err->status;
    }
    const struct {
        const char *key, *what, *here, *fix;
    } held[] = {
        {MBS_PACKED "model_sha256", "model", sha, "give the folder of that model with -m"},
        {MBS_PACKED "dtype", "weights", mbs_model_dtype(env->models->model), "set model.dtype to it"},
        {MBS_PACKED "arithmetic", "arithmetic", mbs_model_arithmetic(env->models->model),
         "decompress it on such a machine, or with MAMBASEQ_CPU and model.math set to it"},
        {MBS_PACKED "codec", "codec", env->codec_id, "use that codec"},
        {MBS_PACKED "vocab", "vocabulary", env->vocab->name, "use that vocabulary"},
    };
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        const char *there = told(env->in, held[i].key);
        if (!there) {
            return mbs_fail(err, MBS_ERR_DATA, "decompress", "the container does not say its %s", held[i].what);
        }
        if (strcmp(there, held[i].here) != 0) {
            mbs_fail(err, MBS_ERR_DATA, "decompress", "the container was made with the %s %s, and here it is %s",
                     held[i].what, there, held[i].here);
            mbs_err_fix(err, "%s", held[i].fix);
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

mbs_status mbs_task_decompress_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof(*out));
    task_decompress *t = mbs_calloc(1, sizeof(*t));
    if (!t) {
        return mbs_fail_memory(err, "decompress", sizeof(*t));
    }
    *out = (mbs_carry){.self = t, .begin = begin, .step = step, .finish = finish, .save = save, .restore = restore};
    mbs_decoder_init(&t->in);
    mbs_status st = mbs_packer_init(&t->p, env, 1, err);
    if (st == MBS_OK) {
        st = check_same(env, err);
    }
    if (st != MBS_OK) {
        mbs_task_decompress_free(out);
    }
    return st;
}

void mbs_task_decompress_free(mbs_carry *carry) {
    task_decompress *t = carry->self;
    if (t) {
        mbs_packer_free(&t->p);
        mbs_free(t);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_decompress_totals(const mbs_carry *carry) {
    return &((const task_decompress *)carry->self)->p.totals;
}
