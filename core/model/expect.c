/* expect.c - compares a model's results with those of whoever trained it. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/describe.h"
#include "model/safetensors.h"
#include "model/weights.h"

#define MAX_ROWS ((int64_t)4096)

typedef enum result { LOGITS, LOGPROB } result;

/* One expected tensor with its inputs. */
typedef struct job {
    const mbs_st *file;
    const mbs_st_tensor *want;
    const mbs_st_tensor *ids;
    result kind;
    int64_t sequences;
    int64_t length;
    int64_t cols; /* 1 for logprob */
} job;

/* What running needs; made once for all tensors. */
typedef struct bench {
    mbs_session *s;
    int64_t rows; /* the most that one call is given */
    int64_t vocab;
    float *got;
    float *want;
    int32_t *ids;
} bench;

static int ends_with(const mbs_st_tensor *t, const char *suffix) {
    size_t n = strlen(suffix);
    return t->name_len >= n && memcmp(t->name + t->name_len - n, suffix, n) == 0 &&
           (t->name_len == n || t->name[t->name_len - n - 1] == '.');
}

/* "NAME.input_ids" beside "NAME.logits". */
static const mbs_st_tensor *inputs_of(const mbs_st *file, const mbs_st_tensor *t, const char *suffix, char *name,
                                      size_t size) {
    int front = (int)(t->name_len - strlen(suffix));
    snprintf(name, size, "%.*sinput_ids", front > 120 ? 120 : front, t->name);
    return mbs_st_find(file, name, strlen(name));
}

static int is_whole(const mbs_st_tensor *t) {
    return t->dtype == MBS_DT_I64 || t->dtype == MBS_DT_I32;
}

/* Whether the shapes belong together: ids (.., L), logprob (.., L), logits (.., L, V). */
static int fits(job *j, const mbs_model_config *c) {
    const int64_t *ids = mbs_st_dims(j->file, j->ids);
    const int64_t *want = mbs_st_dims(j->file, j->want);
    int n = j->ids->ndim;
    if (n < 1 || j->want->ndim != n + (j->kind == LOGITS)) {
        return 0;
    }
    j->sequences = 1;
    for (int k = 0; k < n; k++) {
        if (ids[k] != want[k]) {
            return 0;
        }
        j->sequences *= k < n - 1 ? ids[k] : 1;
    }
    j->length = ids[n - 1];
    j->cols = j->kind == LOGITS ? want[n] : 1;
    return j->kind == LOGPROB || (j->cols >= c->vocab_size && j->cols <= c->vocab_rows);
}

/* Ids [at, at + n) of the flat tensor; those that no table could hold become -1, which the model refuses. */
static void read_ids(const job *j, int64_t at, int64_t n, int32_t *out) {
    const unsigned char *data = mbs_st_data(j->file, j->ids);
    for (int64_t i = 0; i < n; i++) {
        int64_t v;
        if (j->ids->dtype == MBS_DT_I64) {
            memcpy(&v, data + (at + i) * 8, 8);
        } else {
            int32_t w;
            memcpy(&w, data + (at + i) * 4, 4);
            v = w;
        }
        out[i] = v < 0 || v > INT32_MAX ? -1 : (int32_t)v;
    }
}

static void compare_row(const job *j, const float *got, const unsigned char *data, mbs_compared *r) {
    int64_t best_got = 0;
    int64_t best_want = 0;
    double largest = -INFINITY;
    for (int64_t k = 0; k < j->cols; k++) {
        double want = mbs_st_number((mbs_dtype)j->want->dtype, data, k);
        double off = fabs((double)got[k] - want);
        if (isnan(want) && isnan(got[k])) {
            continue;
        }
        r->count++;
        r->max_abs = isnan(off) ? INFINITY : fmax(r->max_abs, off);
        r->max_ref = isnan(want) ? r->max_ref : fmax(r->max_ref, fabs(want));
        best_got = got[k] > got[best_got] ? k : best_got;
        best_want = want > largest ? k : best_want;
        largest = fmax(largest, want);
    }
    if (j->kind == LOGITS) {
        r->rows++;
        r->same += best_got == best_want;
    }
}

static mbs_status run_job(const bench *b, const job *j, mbs_compared *r, mbs_err *err) {
    size_t size = mbs_st_dtype_size((mbs_dtype)j->want->dtype);
    const unsigned char *want = mbs_st_data(j->file, j->want);
    int64_t stride = j->kind == LOGITS ? b->vocab : 1;
    mbs_run_out out = {.layer = -1};
    *(j->kind == LOGITS ? &out.logits : &out.logprob) = b->got;
    for (int64_t s = 0; s < j->sequences; s++) {
        mbs_status st = mbs_session_reset(b->s, err);
        for (int64_t at = 0; at < j->length && st >= 0; at += b->rows) {
            int64_t n = j->length - at < b->rows ? j->length - at : b->rows;
            int64_t first = s * j->length + at;
            read_ids(j, first, n, b->ids);
            st = mbs_session_run(b->s, b->ids, n, &out, err);
            for (int64_t i = 0; i < n && st >= 0; i++) {
                compare_row(j, b->got + i * stride, want + (size_t)((first + i) * j->cols) * size, r);
            }
        }
        if (st < 0) {
            return st;
        }
    }
    r->max_rel = r->max_ref > 0 ? r->max_abs / r->max_ref : r->max_abs;
    return MBS_OK;
}

static mbs_status consider(const bench *b, const mbs_model *m, job *j, mbs_expect_report *report, mbs_err *err) {
    const char *suffix = j->kind == LOGITS ? "logits" : "logprob";
    char name[160];
    mbs_compared *r = &report->items[report->n++];
    snprintf(r->name, sizeof r->name, "%.*s", (int)(j->want->name_len > 150 ? 150 : j->want->name_len), j->want->name);
    j->ids = inputs_of(j->file, j->want, suffix, name, sizeof name);
    if (!j->ids) {
        snprintf(r->note, sizeof r->note, "the file holds no input ids for it (%s)", name);
    } else if (!is_whole(j->ids)) {
        snprintf(r->note, sizeof r->note, "%s is neither I64 nor I32", name);
    } else if (!mbs_dtype_is_float((mbs_dtype)j->want->dtype)) {
        snprintf(r->note, sizeof r->note, "it is %s", mbs_dtype_name((mbs_dtype)j->want->dtype));
    } else if (!fits(j, mbs_model_get_config(m))) {
        char a[80];
        char c[80];
        snprintf(r->note, sizeof r->note, "its shape %s does not fit the input ids %s and the model",
                 mbs_st_shape_text(mbs_st_dims(j->file, j->want), j->want->ndim, a, sizeof a),
                 mbs_st_shape_text(mbs_st_dims(j->file, j->ids), j->ids->ndim, c, sizeof c));
    } else {
        report->compared++;
        mbs_status st = run_job(b, j, r, err);
        mbs_err_where(err, "%s", r->name);
        return st;
    }
    return MBS_OK;
}

static mbs_status prepare(mbs_model *m, bench *b, mbs_err *err) {
    b->vocab = mbs_model_get_config(m)->vocab_rows;
    if (!mbs_model_has_lm_head(m)) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "the model predicts no tokens: there is nothing to compare");
        mbs_err_fix(err, "take a model with a language head");
        return MBS_ERR_CONFIG;
    }
    int64_t fitting = ((int64_t)1 << 22) / b->vocab;
    b->rows = fitting < 1 ? 1 : fitting > MAX_ROWS ? MAX_ROWS : fitting;
    size_t bytes = (size_t)(b->rows * b->vocab) * sizeof *b->got;
    b->got = mbs_alloc(bytes);
    b->ids = mbs_alloc((size_t)b->rows * sizeof *b->ids);
    if (!b->got || !b->ids) {
        return mbs_fail_memory(err, NULL, bytes);
    }
    return mbs_session_new(m, b->rows, &b->s, err);
}

static mbs_status compare_all(mbs_model *m, const mbs_st *file, mbs_expect_report *out, mbs_err *err) {
    bench b = {0};
    out->items = mbs_calloc(mbs_st_count(file) + 1, sizeof *out->items);
    mbs_status st = out->items ? prepare(m, &b, err) : mbs_fail_memory(err, mbs_st_path(file), mbs_st_count(file));
    for (size_t i = 0; i < mbs_st_count(file) && st >= 0; i++) {
        const mbs_st_tensor *t = mbs_st_at(file, i);
        job j = {.file = file, .want = t, .kind = ends_with(t, "logits") ? LOGITS : LOGPROB};
        if (j.kind == LOGITS || ends_with(t, "logprob")) {
            st = consider(&b, m, &j, out, err);
        }
    }
    mbs_session_free(b.s);
    mbs_free(b.got);
    mbs_free(b.ids);
    if (st >= 0 && out->n == 0) {
        st = mbs_fail(err, MBS_ERR_DATA, mbs_st_path(file), "holds no tensor named logits or logprob to compare with");
        mbs_err_fix(err, "name the tensors input_ids and logits, or NAME.input_ids and NAME.logits");
    }
    return st;
}

mbs_status mbs_model_expect(mbs_model *m, const char *path, mbs_expect_report *out, mbs_err *err) {
    mbs_st *file;
    memset(out, 0, sizeof *out);
    mbs_status st = mbs_st_open(path, &file, err);
    if (st >= 0) {
        st = compare_all(m, file, out, err);
        mbs_st_close(file);
    }
    return st;
}

void mbs_expect_report_free(mbs_expect_report *r) {
    mbs_free(r->items);
    memset(r, 0, sizeof *r);
}
