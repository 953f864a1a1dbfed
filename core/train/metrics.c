#include "train/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"

#define LIMIT ((size_t)1 << 30)
#define LN2 0.693147180559945309417232121458

/* Whether a line of an earlier part of the run still counts. */
static int counts(const char *line, size_t len, int64_t step, int64_t evaluated) {
    mbs_err ignored = {0};
    mbs_json *doc = NULL;
    if (mbs_json_parse("metrics.jsonl", line, len, &doc, &ignored) < 0) {
        return 0; /* cut by a crash */
    }
    int64_t at = mbs_json_int(doc, "step", INT64_MAX, &ignored);
    const char *eval = mbs_json_string(doc, "eval", NULL, &ignored);
    int keep = eval ? strcmp(eval, "during") == 0 && at <= evaluated : at <= step;
    mbs_json_free(doc);
    return keep;
}

static mbs_status cut(const char *path, int64_t step, int64_t evaluated, mbs_err *err) {
    char *text = NULL;
    size_t len = 0;
    if (!mbs_path_exists(path)) {
        return MBS_OK;
    }
    mbs_status st = mbs_path_read(path, LIMIT, &text, &len, err);
    mbs_buf kept = MBS_BUF_INIT;
    for (size_t at = 0; st >= 0 && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        if (end && counts(text + at, n, step, evaluated)) {
            mbs_buf_append(&kept, text + at, n + 1);
        }
        at += n + 1;
    }
    if (st >= 0) {
        st = kept.failed ? mbs_fail_memory(err, path, len)
                         : mbs_path_write_atomic(path, mbs_buf_str(&kept), kept.len, err);
    }
    mbs_buf_free(&kept);
    mbs_free(text);
    return st;
}

mbs_status mbs_metrics_open(const char *folder, int64_t step, int64_t evaluated, mbs_metrics *out, mbs_err *err) {
    *out = (mbs_metrics){.path = mbs_path_join(folder, "metrics.jsonl")};
    mbs_status st = out->path ? cut(out->path, step, evaluated, err) : mbs_fail_memory(err, folder, 1);
    if (st >= 0) {
        out->f = fopen(out->path, "abe");
        st = out->f ? st : mbs_fail_errno(err, MBS_ERR_IO, errno, out->path, "cannot be written");
    }
    if (st < 0) {
        mbs_metrics_close(out);
    }
    return st;
}

static void put(mbs_buf *b, const char *key, double v) {
    if (!isnan(v)) {
        mbs_buf_printf(b, ",\"%s\":", key);
        mbs_json_put_double(b, v);
    }
}

/* Enough digits to look at. */
static void put_rounded(mbs_buf *b, const char *key, double v, int digits) {
    if (!isnan(v)) {
        mbs_buf_printf(b, ",\"%s\":%.*f", key, digits, v);
    }
}

static void put_loss(mbs_buf *b, double loss) {
    mbs_buf_puts(b, ",\"loss\":");
    mbs_json_put_double(b, loss);
    put(b, "bits", loss / LN2);
}

static mbs_status end_line(mbs_metrics *m, mbs_buf *b, mbs_err *err) {
    mbs_buf_puts(b, "}\n");
    mbs_status st = MBS_OK;
    if (b->failed) {
        st = mbs_fail_memory(err, m->path, b->len);
    } else if (fwrite(b->data, 1, b->len, m->f) != b->len || fflush(m->f) != 0) {
        st = mbs_fail_errno(err, MBS_ERR_IO, errno, m->path, "cannot be written");
        mbs_err_fix(err, "make room, then run the same command with --resume");
    }
    mbs_buf_free(b);
    return st;
}

mbs_status mbs_metrics_step(mbs_metrics *m, const mbs_step_line *l, mbs_err *err) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_printf(&b, "{\"step\":%" PRId64 ",\"tokens\":%" PRId64, l->step, l->tokens);
    put_loss(&b, l->loss);
    put(&b, "lr", l->lr);
    put(&b, "grad_norm", l->norm);
    put_rounded(&b, "tokens_per_s", l->tokens_per_s, 1);
    put_rounded(&b, "seconds", l->seconds, 3);
    return end_line(m, &b, err);
}

mbs_status mbs_metrics_eval(mbs_metrics *m, const mbs_eval_line *l, mbs_err *err) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_printf(&b, "{\"step\":%" PRId64 ",\"eval\":\"%s\",\"tokens\":%" PRId64, l->step, l->when, l->tokens);
    put_loss(&b, l->loss);
    put(&b, "loss_plus", l->plus);
    put(&b, "loss_minus", l->minus);
    put(&b, "accuracy", l->accuracy);
    put_rounded(&b, "seconds", l->seconds, 3);
    mbs_buf_printf(&b, ",\"arithmetic\":\"%s\"", l->arithmetic);
    return end_line(m, &b, err);
}

mbs_status mbs_metrics_sync(mbs_metrics *m, mbs_err *err) {
    if (fflush(m->f) != 0 || fsync(fileno(m->f)) != 0) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, m->path, "cannot be written");
    }
    return MBS_OK;
}

void mbs_metrics_close(mbs_metrics *m) {
    if (m->f) {
        fclose(m->f);
    }
    mbs_free(m->path);
    memset(m, 0, sizeof *m);
}
