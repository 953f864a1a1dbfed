/* whole_load.c - weights of layers that read both ways, and of the stream that reads the other strand. */
#include <string.h>

#include "base/mem.h"
#include "model/caduceus.h"
#include "model/impl.h"

/* Tied projections that stand there twice must be the same: which of the two would count is nowhere said. */
static mbs_status check_twin(const mbs_st_set *set, const char *forward, const char *reverse, const char *name,
                             mbs_err *err) {
    char full[2][128];
    const mbs_st *st[2];
    const mbs_st_tensor *t[2];
    snprintf(full[0], sizeof full[0], "%s%s", forward, name);
    snprintf(full[1], sizeof full[1], "%s%s", reverse, name);
    for (int k = 0; k < 2; k++) {
        t[k] = mbs_st_set_find(set, full[k], &st[k]);
    }
    if (!t[0] || !t[1]) {
        return MBS_OK;
    }
    size_t bytes = (size_t)mbs_st_elements(t[0]) * mbs_st_dtype_size((mbs_dtype)t[0]->dtype);
    if (t[0]->dtype != t[1]->dtype || memcmp(mbs_st_data(st[0], t[0]), mbs_st_data(st[1], t[1]), bytes) != 0) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%s' differs from '%s', but the config ties them", full[1], full[0]);
        mbs_err_fix(err, "say \"bidirectional_weight_tie\": false in config.json if both are meant to count");
        return MBS_ERR_DATA;
    }
    return MBS_OK;
}

static mbs_status check_layer(const mbs_st_set *set, const mbs_names *names, int64_t i, mbs_err *err) {
    static const char *const tied[] = {"in_proj.weight", "in_proj.bias", "out_proj.weight", "out_proj.bias"};
    char forward[64];
    char reverse[64];
    mbs_status st = MBS_OK;
    mbs_caduceus_prefix(names, i, 0, forward);
    mbs_caduceus_prefix(names, i, 1, reverse);
    for (size_t k = 0; k < sizeof tied / sizeof tied[0] && st >= 0; k++) {
        st = check_twin(set, forward, reverse, tied[k], err);
    }
    return st;
}

mbs_status mbs_both_check_twins(const mbs_st_set *set, const mbs_model_config *c, const mbs_names *names,
                                mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int64_t i = 0; c->both_tied && names->twins && i < c->n_layer && st >= 0; i++) {
        st = check_layer(set, names, i, err);
    }
    return st;
}

mbs_status mbs_both_load(mbs_model *m, const mbs_names *names, int64_t i, mbs_loader *ld) {
    mbs_layer *layer = &m->layers[i];
    mbs_caduceus_prefix(names, i, 0, ld->prefix);
    mbs_status st = layer->mixer->load(&m->cfg, i, ld, &layer->weights);
    if (st < 0 || m->cfg.both == MBS_ONE_WAY) {
        return st;
    }
    mbs_caduceus_prefix(names, i, 1, ld->prefix);
    if (m->cfg.both_tied) {
        mbs_caduceus_prefix(names, i, 0, ld->twin);
        st = names->twins && ld->set ? check_layer(ld->set, names, i, ld->err) : MBS_OK;
    }
    st = st < 0 ? st : layer->mixer->load(&m->cfg, i, ld, &layer->reverse);
    ld->twin[0] = '\0';
    return st;
}

mbs_status mbs_both_load_head(mbs_model *m, const mbs_names *names, mbs_loader *ld) {
    const mbs_model_config *c = &m->cfg;
    const char *name = c->tie_embeddings ? names->embedding : names->head;
    const float *table;
    float *turned;
    int64_t n;
    size_t d = (size_t)c->d_model;
    if (c->no_lm_head) {
        return MBS_OK;
    }
    ld->prefix[0] = '\0';
    mbs_status st = mbs_loader_room(ld, (size_t)c->vocab_rows * d, &turned);
    st = st < 0 ? st : mbs_loader_values(ld, name, &table, &n);
    if (st < 0) {
        return st;
    }
    for (int64_t v = 0; v < c->vocab_rows; v++) {
        memcpy(turned + (size_t)v * d, table + (size_t)c->complement[v] * d, d * sizeof *turned);
    }
    return mbs_loader_prepare(ld, name, turned, c->vocab_rows, c->d_model, &m->head_rc);
}

uint64_t mbs_both_fingerprint(const mbs_model_config *c, uint64_t sum) {
    int64_t how[] = {c->both, c->both_tied, c->rcps, c->rc_swap};
    sum = mbs_fingerprint(sum, how, sizeof how);
    return mbs_fingerprint(sum, c->complement, sizeof c->complement);
}
