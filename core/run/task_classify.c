/* What task classify does more than a pooled embedding: probabilities of the classes, and how often they are right
 * where the reader knows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "run/task_rows.h"

/* A confusion matrix of more classes would be larger than anybody reads. */
#define CONFUSION_MAX 1000

mbs_status mbs_task_classify_setup(task_rows *t, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(t->env.model);
    t->type = "class/f32";
    t->width = c->d_model;
    t->given = c->n_classes;
    t->pool = c->pool == MBS_POOLING_MEAN ? POOL_MEAN : POOL_LAST;
    t->pooled = mbs_calloc((size_t)t->width, sizeof(*t->pooled));
    size_t cells = c->n_classes <= CONFUSION_MAX ? (size_t)(c->n_classes * c->n_classes) : 0;
    t->confusion = cells ? mbs_calloc(cells, sizeof(*t->confusion)) : NULL;
    t->totals.confusion = t->confusion;
    return t->pooled && (t->confusion || !cells) ? MBS_OK : mbs_fail_memory(err, "model", cells * sizeof(int64_t));
}

void mbs_task_classify_free(task_rows *t) {
    mbs_free(t->pooled);
    mbs_free(t->confusion);
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
    list_classes(mbs_model_class_names(t->env.model), list, sizeof list);
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
    mbs_model_classify(t->env.model, pooled, NULL, prob);
    for (int64_t k = 1; k < t->given; k++) {
        best = prob[k] > prob[best] ? k : best;
    }
    if (!record->label || !record->label[0]) {
        return MBS_OK;
    }
    int64_t truth = mbs_classes_find(mbs_model_class_names(t->env.model), record->label);
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

void mbs_task_classify_save(const task_rows *t, mbs_buf *out) {
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
