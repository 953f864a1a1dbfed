/* What task classify does more than a pooled embedding: probabilities of the classes, and how often they are right
 * where the reader knows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "plug/params.h"
#include "run/task_rows.h"
#include "stream/chunk.h"

/* A confusion matrix of more classes would be larger than anybody reads. */
#define CONFUSION_MAX 1000

mbs_status mbs_task_classify_setup(task_rows *t, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(t->env.models->model);
    t->type = "class/f32";
    t->width = c->d_model;
    t->given = c->n_classes;
    t->pool = c->pool == MBS_POOLING_MEAN ? POOL_MEAN : POOL_LAST;
    t->pooled = mbs_calloc((size_t)t->width, sizeof(*t->pooled));
    if (mbs_params_is_set(t->env.models->params, "every")) {
        double rate = t->env.in ? t->env.in->rate : 0;
        double units = mbs_params_float(t->env.models->params, "every") * rate;
        t->every = units < 1 ? 0 : units > 1e15 ? (int64_t)1e15 : llround(units);
        t->piece.sum = mbs_calloc((size_t)t->width, sizeof(*t->piece.sum));
        if (t->every == 0) {
            mbs_fail(err, MBS_ERR_CONFIG, "model", "'every' is in seconds, and %s",
                     rate > 0 ? "this is less than one sample" : "the input has no rate");
            mbs_err_fix(err, "leave 'every' out: a row for each record");
            return MBS_ERR_CONFIG;
        }
        if (!t->piece.sum) {
            return mbs_fail_memory(err, "model", (size_t)t->width * sizeof(*t->piece.sum));
        }
    }
    size_t cells = c->n_classes <= CONFUSION_MAX ? (size_t)(c->n_classes * c->n_classes) : 0;
    t->confusion = cells ? mbs_calloc(cells, sizeof(*t->confusion)) : NULL;
    t->totals.confusion = t->confusion;
    return t->pooled && (t->confusion || !cells) ? MBS_OK : mbs_fail_memory(err, "model", cells * sizeof(int64_t));
}

void mbs_task_classify_free(task_rows *t) {
    mbs_free(t->pooled);
    mbs_free(t->confusion);
    mbs_free(t->piece.sum);
}

/* "coli, lambda", as far as a message has room. */
static void list_classes(const mbs_classes *c, char *out, size_t size) {
    size_t at = 0;
    out[0] = '\0';
    for (int64_t k = 0; c->names && k < c->n && at < size; k++) {
        if (at + strlen(c->names[k]) + 24 > size) {
            (void)snprintf(out + at, size - at, " and %lld more", (long long)(c->n - k));
            return;
        }
        at += (size_t)snprintf(out + at, size - at, "%s%s", k ? ", " : "", c->names[k]);
    }
    if (!c->names) {
        (void)snprintf(out, size, "0 to %lld", (long long)c->n - 1);
    }
}

static mbs_status foreign_label(task_rows *t, const mbs_record *record, mbs_err *err) {
    char list[200];
    list_classes(mbs_model_class_names(t->env.models->model), list, sizeof list);
    if (t->env.strict_labels) {
        mbs_fail(err, MBS_ERR_DATA, record->name, "the label '%.100s' is not a class of the model", record->label);
        mbs_err_fix(err, "its classes are %s", list);
        return MBS_ERR_DATA;
    }
    if (t->totals.foreign++ == 0) {
        mbs_log(
            MBS_LOG_WARNING,
            "record '%.100s' has the label '%.100s', which is not a class of the model (%s): such records count for "
            "no accuracy",
            record->name, record->label, list);
    }
    return MBS_OK;
}

mbs_status mbs_task_classify(task_rows *t, const mbs_record *record, const float *pooled, float *prob, mbs_err *err) {
    int64_t best = 0;
    mbs_model_classify(t->env.models->model, pooled, NULL, prob);
    for (int64_t k = 1; k < t->given; k++) {
        best = prob[k] > prob[best] ? k : best;
    }
    if (!record->label || !record->label[0]) {
        return MBS_OK;
    }
    int64_t truth = mbs_classes_find(mbs_model_class_names(t->env.models->model), record->label);
    if (truth < 0) {
        return foreign_label(t, record, err);
    }
    t->totals.labelled++;
    if (isnan(prob[best])) { /* a record without a token is nothing, and so not right */
        return MBS_OK;
    }
    t->totals.right += best == truth;
    if (t->confusion) {
        t->confusion[truth * t->given + best]++;
    }
    return MBS_OK;
}

/* --- pieces of a long recording ----------------------------------------------------------------------------- */

void mbs_task_piece_begin(task_rows *t, int64_t position) {
    t->piece.start = position;
    t->piece.due = position + t->every;
    t->piece.filled = 0;
}

int64_t mbs_task_piece_rows(const task_rows *t, const mbs_block *tokens, int64_t from, int64_t n) {
    int64_t rows = 1;
    while (rows < n && mbs_chunk_position(tokens, from + rows) < t->piece.due) {
        rows++;
    }
    return rows;
}

mbs_status mbs_task_piece_row(task_rows *t, float *prob, mbs_err *err) {
    int64_t rows = 0;
    mbs_status st = mbs_session_sum(t->session, t->sum ? t->sum : t->piece.sum, &rows, err);
    for (int64_t i = 0; i < t->width && st == MBS_OK; i++) {
        if (!t->sum) {
            t->pooled[i] = t->piece.filled ? t->last[i] : NAN;
            continue;
        }
        /* The running sum is the same however a record is cut, and so is what was added to it. */
        t->pooled[i] = t->piece.filled ? (float)((t->sum[i] - t->piece.sum[i]) / (double)(rows - t->piece.rows)) : NAN;
        t->piece.sum[i] = t->sum[i];
    }
    t->piece.rows = rows;
    if (st == MBS_OK) {
        mbs_model_classify(t->env.models->model, t->pooled, NULL, prob);
    }
    return st;
}

mbs_status mbs_task_piece_end(task_rows *t, const mbs_record *record, mbs_block **out, mbs_err *err) {
    if (t->position < t->piece.due) {
        return MBS_OK;
    }
    int64_t shape[2] = {1, t->given};
    mbs_block *b = mbs_block_new(t->type, MBS_F32, 2, shape);
    if (!b) {
        return mbs_fail_memory(err, "stream", (size_t)t->given * sizeof(float));
    }
    b->record = record;
    b->start = t->piece.start;
    b->end = t->position;
    b->flags = t->started ? 0u : MBS_SEQ_START;
    t->started = 1;
    mbs_status st = mbs_task_piece_row(t, b->data, err);
    if (st != MBS_OK) {
        mbs_block_unref(b);
        return st;
    }
    /* The next ends where one of a whole number from the record's start does. */
    int64_t due = t->piece.due + (t->position - t->piece.due) / t->every * t->every + t->every;
    mbs_task_piece_begin(t, t->position);
    t->piece.due = due;
    *out = b;
    return MBS_OK;
}

void mbs_task_classify_save(const task_rows *t, mbs_buf *out) {
    if (t->every > 0) {
        mbs_buf_put_i64(out, t->piece.start);
        mbs_buf_put_i64(out, t->piece.due);
        mbs_buf_put_i64(out, t->piece.rows);
        mbs_buf_put_i64(out, t->piece.filled);
        mbs_buf_put_bytes(out, t->piece.sum, (size_t)t->width * sizeof(*t->piece.sum));
    }
    if (t->env.task == MBS_TASK_CLASSIFY) {
        mbs_buf_put_i64(out, t->totals.labelled);
        mbs_buf_put_i64(out, t->totals.right);
        mbs_buf_put_i64(out, t->totals.foreign);
        mbs_buf_put_bytes(out, t->confusion, t->confusion ? (size_t)(t->given * t->given) * sizeof(int64_t) : 0);
    }
}

mbs_status mbs_task_classify_restore(task_rows *t, mbs_cursor *c, mbs_err *err) {
    if (t->env.task != MBS_TASK_CLASSIFY) {
        return MBS_OK;
    }
    if (t->every > 0) {
        size_t n = 0;
        t->piece.start = mbs_cursor_i64(c);
        t->piece.due = mbs_cursor_i64(c);
        t->piece.rows = mbs_cursor_i64(c);
        t->piece.filled = mbs_cursor_i64(c) != 0;
        const void *sum = mbs_cursor_bytes(c, &n);
        if (c->failed || n != (size_t)t->width * sizeof(*t->piece.sum)) {
            return mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short");
        }
        memcpy(t->piece.sum, sum, n);
    }
    size_t want = t->confusion ? (size_t)(t->given * t->given) * sizeof(int64_t) : 0;
    size_t len = 0;
    t->totals.labelled = mbs_cursor_i64(c);
    t->totals.right = mbs_cursor_i64(c);
    t->totals.foreign = mbs_cursor_i64(c);
    const void *cells = mbs_cursor_bytes(c, &len);
    if (c->failed || len != want) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short");
    }
    if (want) {
        memcpy(t->confusion, cells, want);
    }
    return MBS_OK;
}
