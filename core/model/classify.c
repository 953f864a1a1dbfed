/* classify.c - the classification head of a model: one linear map of a pooled row, in host memory and f64. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/impl.h"

static mbs_status keep(mbs_loader *ld, const char *name, float **out) {
    const float *values;
    int64_t n;
    mbs_status st = mbs_loader_values(ld, name, &values, &n);
    if (st < 0) {
        return st;
    }
    *out = mbs_alloc((size_t)n * sizeof **out);
    if (!*out) {
        return mbs_fail_memory(ld->err, NULL, (size_t)n * sizeof **out);
    }
    memcpy(*out, values, (size_t)n * sizeof **out);
    ld->bytes += n * (int64_t)sizeof **out;
    return MBS_OK;
}

mbs_status mbs_model_load_classes(mbs_model *m, mbs_loader *ld) {
    mbs_status st = MBS_OK;
    m->classes = (mbs_classes){.n = m->cfg.n_classes};
    if (m->cfg.n_classes == 0) {
        return MBS_OK;
    }
    if (!ld->fresh) { /* a fresh model has no config.json to name them */
        st = mbs_classes_load(m->folder, &m->classes, ld->err);
        if (st >= 0 && m->classes.n != m->cfg.n_classes) { /* their number comes from the tensor or from a default */
            mbs_classes_free(&m->classes);
            m->classes.n = m->cfg.n_classes;
        }
    }
    ld->prefix[0] = '\0';
    st = st < 0 ? st : keep(ld, "score.weight", &m->score);
    if (st >= 0 && m->cfg.class_bias) {
        st = keep(ld, "score.bias", &m->score_bias);
    }
    return st;
}

void mbs_model_free_classes(mbs_model *m) {
    mbs_classes_free(&m->classes);
    mbs_free(m->score);
    mbs_free(m->score_bias);
}

int mbs_model_has_lm_head(const mbs_model *m) {
    return m->head != NULL;
}

int64_t mbs_model_classes(const mbs_model *m) {
    return m->cfg.n_classes;
}

const mbs_classes *mbs_model_class_names(const mbs_model *m) {
    return &m->classes;
}

const char *mbs_model_class_name(const mbs_model *m, int64_t k) {
    return m->classes.names && k >= 0 && k < m->classes.n ? m->classes.names[k] : NULL;
}

static double output(const mbs_model *m, const float *row, int64_t k) {
    const float *w = m->score + k * m->cfg.d_model;
    double sum = m->score_bias ? (double)m->score_bias[k] : 0;
    for (int64_t j = 0; j < m->cfg.d_model; j++) {
        sum += (double)w[j] * (double)row[j];
    }
    return sum;
}

void mbs_model_classify(const mbs_model *m, const float *row, float *outputs, float *prob) {
    double largest = -INFINITY;
    double total = 0;
    for (int64_t k = 0; k < m->cfg.n_classes; k++) {
        double v = output(m, row, k);
        largest = v > largest ? v : largest;
        if (outputs) {
            outputs[k] = (float)v;
        }
    }
    for (int64_t k = 0; prob && k < m->cfg.n_classes; k++) {
        total += exp(output(m, row, k) - largest);
    }
    for (int64_t k = 0; prob && k < m->cfg.n_classes; k++) {
        prob[k] = (float)(exp(output(m, row, k) - largest) / total);
    }
}
