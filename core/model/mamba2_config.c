/* mamba2_config.c - the sizes of the Mamba-2 mixer in both layouts of config.json. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/mamba2.h"

#define MAX_WIDTH MBS_CONFIG_MAX_WIDTH

mamba2_sizes mbs_mamba2_sizes(const mbs_model_config *c, int64_t index) {
    const mbs_layer_sizes *l = mbs_config_sizes(c, index);
    mamba2_sizes s = {
        .d_model = c->d_model,
        .d_inner = l->d_inner,
        .d_conv = l->d_conv,
        .d_ssm = l->d_ssm,
        .d_gate = l->d_inner - l->d_ssm,
        .heads = l->d_ssm / l->head_dim,
        .head_dim = l->head_dim,
        .groups = l->n_groups,
        .d_state = l->d_state,
        .bc = l->n_groups * l->d_state,
        .wide_d = l->wide_d,
        .gated_norm = l->gated_norm,
        .norm_first = l->norm_first,
        .norm_group = l->norm_whole ? l->d_ssm : l->d_ssm / l->n_groups,
        .gated_eps = (float)l->gated_eps,
        .dt_min = (float)l->dt_min,
        .dt_max = (float)l->dt_max,
    };
    s.conv = s.d_ssm + 2 * s.bc;
    s.in_rows = 2 * s.d_gate + s.d_ssm + s.conv + s.heads;
    return s;
}

static void read_limit(const mbs_json *obj, const char *key, mbs_model_config *c, mbs_err *err) {
    const mbs_json *pair = mbs_json_array(obj, key, err);
    c->dt_min = 0;
    c->dt_max = INFINITY;
    if (!pair) {
        return;
    }
    int whole = mbs_json_len(pair) == 2 && mbs_json_as_double(mbs_json_at(pair, 0), &c->dt_min) &&
                mbs_json_as_double(mbs_json_at(pair, 1), &c->dt_max);
    if (err->status >= 0 && !(whole && c->dt_min >= 0 && c->dt_max > c->dt_min)) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%s' is not a pair of numbers, the first from 0, the second above it", key);
    }
}

static void read_transformers(const mbs_json *doc, mbs_model_config *c, mbs_err *err) {
    int64_t heads = mbs_json_int_in(doc, "num_heads", 128, 1, MAX_WIDTH, err);
    c->head_dim = mbs_json_int_in(doc, "head_dim", 64, 1, MAX_WIDTH, err);
    c->n_groups = mbs_json_int_in(doc, "n_groups", 8, 1, MAX_WIDTH, err);
    read_limit(doc, "time_step_limit", c, err);
    c->d_ssm = c->d_inner;
    c->gated_norm = 1; /* and after the gate: transformers heeds no key that says otherwise */
    c->gated_eps = c->norm_eps;
    if (err->status >= 0 && heads * c->head_dim != c->d_inner) {
        mbs_fail(err, MBS_ERR_DATA, NULL,
                 "'num_heads' %" PRId64 " times 'head_dim' %" PRId64 " is not the inner width %" PRId64, heads,
                 c->head_dim, c->d_inner);
    }
}

static void read_original(const mbs_json *ssm, mbs_model_config *c, mbs_err *err) {
    c->d_ssm = mbs_json_int_in(ssm, "d_ssm", c->d_inner, 1, c->d_inner, err);
    c->head_dim = mbs_json_int_in(ssm, "headdim", 64, 1, MAX_WIDTH, err);
    c->n_groups = mbs_json_int_in(ssm, "ngroups", 1, 1, MAX_WIDTH, err);
    read_limit(ssm, "dt_limit", c, err);
    c->wide_d = mbs_json_bool(ssm, "D_has_hdim", 0, err);
    c->gated_norm = mbs_json_bool(ssm, "rmsnorm", 1, err);
    c->norm_first = mbs_json_bool(ssm, "norm_before_gate", 0, err);
    c->gated_eps = 1e-5;
}

void mbs_mamba2_read(const mbs_json *doc, const mbs_json *ssm, mbs_model_config *c, mbs_err *err) {
    if (c->layout == MBS_LAYOUT_ORIGINAL) {
        read_original(ssm, c, err);
    } else {
        read_transformers(doc, c, err);
    }
    const mbs_json *own = c->layout == MBS_LAYOUT_ORIGINAL ? ssm : doc;
    const char *group = mbs_json_string(own, "mambaseq_norm_group", "grouped", err);
    c->norm_whole = strcmp(group, "whole") == 0;
    if (err->status >= 0 && !c->norm_whole && strcmp(group, "grouped") != 0) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'mambaseq_norm_group' is '%.64s', which is not supported", group);
        mbs_err_fix(err, "accepted: grouped, whole");
    }
}

mbs_status mbs_mamba2_settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    if (z->dt_rank > 0) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'dt_rank' means nothing to mamba2");
    }
    const mbs_status refused = z->d_ssm > 0 ? MBS_ERR_DATA : MBS_ERR_CONFIG;
    if (z->d_ssm == 0) { /* a shape: what it says nothing of is as in a new model */
        z->head_dim = z->head_dim > 0 ? z->head_dim : 64;
        z->n_groups = z->n_groups > 0 ? z->n_groups : 1;
        z->d_ssm = z->d_inner;
        z->dt_max = INFINITY;
        z->gated_norm = 1;
        z->gated_eps = c->norm == MBS_NORM_LAYER ? 1e-5 : c->norm_eps; /* the layout that init will write */
    }
    if (z->d_ssm % z->head_dim != 0) {
        mbs_fail(err, refused, NULL, "the %" PRId64 " channels do not divide into heads of %" PRId64, z->d_ssm,
                 z->head_dim);
        mbs_err_fix(err, "take a head_dim that divides the inner width");
        return refused;
    }
    int64_t heads = z->d_ssm / z->head_dim;
    if (heads % z->n_groups != 0) {
        mbs_fail(err, refused, NULL, "the %" PRId64 " heads do not divide into %" PRId64 " groups", heads, z->n_groups);
        mbs_err_fix(err, "take a number of groups that divides the number of heads");
        return refused;
    }
    if (z->n_groups * z->d_state > MAX_WIDTH) {
        return mbs_fail(err, refused, NULL, "%" PRId64 " groups of %" PRId64 " states are too many", z->n_groups,
                        z->d_state);
    }
    return MBS_OK;
}

static void put_number(mbs_buf *b, double v) {
    if (isinf(v)) {
        mbs_buf_puts(b, "Infinity"); /* as Python writes it, and reads it */
    } else {
        mbs_json_put_double(b, v);
    }
}

void mbs_mamba2_write(const mbs_model_config *c, const mbs_layer_sizes *z, const char *indent, mbs_buf *b) {
    const int original = c->layout == MBS_LAYOUT_ORIGINAL;
    if (!original) {
        mbs_buf_printf(b, "%s\"num_heads\": %" PRId64 ",\n", indent, z->d_ssm / z->head_dim);
    } else if (z->d_ssm != z->d_inner) {
        mbs_buf_printf(b, "%s\"d_ssm\": %" PRId64 ",\n", indent, z->d_ssm);
    }
    mbs_buf_printf(b, "%s\"%s\": %" PRId64 ",\n", indent, original ? "headdim" : "head_dim", z->head_dim);
    mbs_buf_printf(b, "%s\"%s\": %" PRId64 ",\n", indent, original ? "ngroups" : "n_groups", z->n_groups);
    mbs_buf_printf(b, "%s\"%s\": [", indent, original ? "dt_limit" : "time_step_limit");
    put_number(b, z->dt_min);
    mbs_buf_puts(b, ", ");
    put_number(b, z->dt_max);
    mbs_buf_puts(b, "],\n");
    mbs_buf_printf(b, "%s\"%s\": %s,\n", indent, original ? "rmsnorm" : "rms_norm", z->gated_norm ? "true" : "false");
    if (z->norm_whole) {
        mbs_buf_printf(b, "%s\"mambaseq_norm_group\": \"whole\",\n", indent);
    }
    if (original) {
        mbs_buf_printf(b, "%s\"norm_before_gate\": %s,\n%s\"D_has_hdim\": %s,\n", indent,
                       z->norm_first ? "true" : "false", indent, z->wide_d ? "true" : "false");
    }
}

const mbs_mixer_key mbs_mamba2_keys[] = {
    MBS_KEY_D_STATE(128),
    MBS_KEY_EXPAND,
    MBS_KEY_D_CONV,
    {"head_dim", MBS_KEY_INTEGER, MBS_SIZE_AT(head_dim), 1, 1 << 20, 64, NULL, "mamba2: channels of a head, 64"},
    {"n_groups", MBS_KEY_INTEGER, MBS_SIZE_AT(n_groups), 1, 1 << 20, 1, NULL,
     "mamba2: groups of heads that share B and C, 1"},
    {"norm_group", MBS_KEY_WORD, MBS_SIZE_AT(norm_whole), 0, 0, 0, "grouped|whole",
     "mamba2: the norm beside the gate is over a group's channels or over all"},
    MBS_KEY_BIAS,
    MBS_KEY_CONV_BIAS,
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};
