/* loader.c - tensors of a checked folder, widened to f32, on their way to the backend. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/weights.h"

mbs_status mbs_backend_fail(const mbk_ctx *ctx, mbs_err *err, mbk_status st, const char *where, const char *doing) {
    const char *why = mbk_why(ctx);
    if (st == MBS_ERR_MEMORY) {
        mbs_fail(err, st, where, "%s: %s", doing, why ? why : "the device has not enough memory");
        mbs_err_fix(err, "take a smaller chunk (training: train.batch_tokens), close what else uses the device, or use "
                         "--device cpu");
    } else if (why) {
        mbs_fail(err, st, where, "%s: %s", doing, why);
    } else {
        mbs_fail(err, st, where, "%s: the backend failed (%d)", doing, (int)st);
    }
    return st;
}

uint64_t mbs_fingerprint(uint64_t sum, const void *data, size_t bytes) {
    const unsigned char *p = data;
    sum ^= bytes;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        sum = (sum ^ w) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 32;
    }
    uint64_t last = 0;
    if (bytes > 0) { /* of nothing, p may be NULL */
        memcpy(&last, p, bytes);
    }
    sum = (sum ^ last) * 0xBF58476D1CE4E5B9u;
    return sum ^ sum >> 32;
}

/* All finite, or an error with the tensor, how many are not, and where the first one is. */
static mbs_status check_finite(const mbs_loader *ld, const mbs_st *st, const mbs_st_tensor *t, const float *v,
                               size_t n) {
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        bad += (bits & 0x7F800000u) == 0x7F800000u;
    }
    if (bad == 0) {
        return MBS_OK;
    }
    size_t first = 0;
    while (isfinite(v[first])) {
        first++;
    }
    int64_t index[MBS_ST_MAX_RANK] = {0};
    const int64_t *dims = mbs_st_dims(st, t);
    size_t rest = first;
    for (int k = t->ndim - 1; k >= 0; k--) {
        index[k] = (int64_t)(rest % (size_t)dims[k]);
        rest /= (size_t)dims[k];
    }
    char at[160];
    const char *kind = isnan(v[first]) ? "nan" : t->dtype == MBS_DT_F64 ? "infinite or beyond f32" : "infinite";
    mbs_fail(ld->err, MBS_ERR_DATA, mbs_st_path(st),
             "tensor '%.*s': %zu of %zu values are not finite, the first at %s is %s", (int)t->name_len, t->name, bad,
             n, mbs_st_shape_text(index, t->ndim, at, sizeof at), kind);
    mbs_err_fix(ld->err, "the model is damaged or its training diverged: take another checkpoint");
    return MBS_ERR_DATA;
}

static void full_name(const mbs_loader *ld, const char *name, char full[MBS_NAME_ROOM]) {
    int twin = ld->twin[0] && (strncmp(name, "in_proj.", 8) == 0 || strncmp(name, "out_proj.", 9) == 0);
    snprintf(full, MBS_NAME_ROOM, "%s%s", twin ? ld->twin : ld->prefix, name);
}

static const mbs_st_tensor *find(const mbs_loader *ld, const char *name, const mbs_st **st) {
    char full[MBS_NAME_ROOM];
    full_name(ld, name, full);
    return mbs_st_set_find(ld->set, full, st);
}

static const mbs_spec *find_fresh(const mbs_loader *ld, const char *name) {
    char full[MBS_NAME_ROOM];
    full_name(ld, name, full);
    for (size_t i = 0; i < ld->fresh->n; i++) {
        if (strcmp(ld->fresh->items[i].name, full) == 0) {
            return &ld->fresh->items[i];
        }
    }
    return NULL;
}

int mbs_loader_has(const mbs_loader *ld, const char *name) {
    return ld->fresh ? find_fresh(ld, name) != NULL : find(ld, name, NULL) != NULL;
}

static mbs_status reserve(mbs_loader *ld, float **p, size_t *cap, size_t n) {
    float *grown = mbs_grow(*p, cap, n, sizeof *grown);
    if (!grown) {
        return mbs_fail_memory(ld->err, NULL, n * sizeof *grown);
    }
    *p = grown;
    return MBS_OK;
}

mbs_status mbs_loader_room(mbs_loader *ld, size_t n, float **out) {
    mbs_status st = reserve(ld, &ld->room, &ld->room_cap, n);
    *out = ld->room;
    return st;
}

static mbs_status draw_values(mbs_loader *ld, const char *name, const float **out, int64_t *n) {
    const mbs_spec *spec = find_fresh(ld, name);
    if (!spec) {
        return mbs_fail(ld->err, MBS_ERR_INTERNAL, NULL, "tensor '%s%s' is not declared", ld->prefix, name);
    }
    int64_t count = 1;
    for (int k = 0; k < spec->ndim; k++) {
        if (mbs_mul_i64_overflow(count, spec->dims[k], &count)) {
            return mbs_fail(ld->err, MBS_ERR_CONFIG, NULL, "tensor '%s' is too large", spec->name);
        }
    }
    mbs_status st = reserve(ld, &ld->stage, &ld->stage_cap, (size_t)count);
    if (st < 0) {
        return st;
    }
    if (!ld->fill) {
        mbs_spec_draw(spec, ld->seed, 0, count, ld->stage);
    } else if ((st = ld->fill(ld->fill_ctx, spec->name, ld->stage, count, ld->err)) < 0) {
        return st;
    }
    ld->fingerprint = mbs_fingerprint(ld->fingerprint, ld->stage, (size_t)count * sizeof *ld->stage);
    *out = ld->stage;
    *n = count;
    return MBS_OK;
}

mbs_status mbs_loader_values(mbs_loader *ld, const char *name, const float **out, int64_t *n) {
    if (ld->fresh) {
        return draw_values(ld, name, out, n);
    }
    const mbs_st *st;
    const mbs_st_tensor *t = find(ld, name, &st);
    if (!t) {
        return mbs_fail(ld->err, MBS_ERR_INTERNAL, NULL, "tensor '%s%s' was not checked", ld->prefix, name);
    }
    size_t count = (size_t)mbs_st_elements(t);
    const unsigned char *data = mbs_st_data(st, t);
    const float *values;
    if (t->dtype == MBS_DT_F32 && (uintptr_t)data % sizeof(float) == 0) {
        values = (const float *)(const void *)data; /* as it stands in the mapped file */
    } else {
        mbs_status status = reserve(ld, &ld->stage, &ld->stage_cap, count);
        if (status < 0) {
            return status;
        }
        mbs_st_widen((mbs_dtype)t->dtype, data, count, ld->stage);
        values = ld->stage;
    }
    mbs_status status = check_finite(ld, st, t, values, count);
    if (status < 0) {
        return status;
    }
    ld->fingerprint = mbs_fingerprint(ld->fingerprint, values, count * sizeof *values);
    *out = values;
    *n = (int64_t)count;
    return MBS_OK;
}

/* Finite values that the format cannot hold: a bf16 ends a little below the largest f32. */
static mbs_status cannot_hold(const mbs_loader *ld, const char *name) {
    mbs_fail(ld->err, MBS_ERR_DATA, NULL, "tensor '%s%s' has values that cannot be held as %s", ld->prefix, name,
             mbk_dtype_name(ld->format.dtype));
    mbs_err_fix(ld->err, "take model.dtype f32");
    return MBS_ERR_DATA;
}

static mbs_status has_not(const mbs_loader *ld) {
    mbs_fail(ld->err, MBS_ERR_UNAVAILABLE, NULL, "weights held as %s with math in %s are not available on '%s'",
             mbk_dtype_name(ld->format.dtype), mbk_math_name(ld->format.math), ld->ctx->ops->name);
    mbs_err_fix(ld->err, "take another model.dtype (f32, bf16, int8) or model.math (f32, bf16; int16 and int8 on the "
                         "CPU)");
    return MBS_ERR_UNAVAILABLE;
}

mbs_status mbs_loader_prepare(mbs_loader *ld, const char *name, const float *values, int64_t n_out, int64_t n_in,
                              mbk_weight **out) {
    mbk_status st = ld->ctx->ops->prepare(ld->ctx, values, n_out, n_in, ld->format, out);
    if (st >= 0) {
        ld->bytes += (int64_t)mbk_weight_bytes(*out);
        return MBS_OK;
    }
    return st == MBS_ERR_DATA          ? cannot_hold(ld, name)
           : st == MBS_ERR_UNAVAILABLE ? has_not(ld)
                                       : mbs_backend_fail(ld->ctx, ld->err, st, NULL, "preparing the weights");
}

mbs_status mbs_loader_weight(mbs_loader *ld, const char *name, int64_t n_out, int64_t n_in, mbk_weight **out) {
    const float *values;
    int64_t n;
    mbs_status st = mbs_loader_values(ld, name, &values, &n);
    if (st < 0) {
        return st;
    }
    if (n != n_out * n_in) {
        return mbs_fail(ld->err, MBS_ERR_INTERNAL, NULL, "tensor '%s%s' was not checked", ld->prefix, name);
    }
    return mbs_loader_prepare(ld, name, values, n_out, n_in, out);
}

mbs_status mbs_loader_upload(mbs_loader *ld, const float *values, size_t n, mbk_buf **out) {
    mbk_status st = ld->ctx->ops->buf_new(ld->ctx, n * sizeof *values, out);
    if (st >= 0) {
        st = ld->ctx->ops->upload(ld->ctx, *out, 0, values, n * sizeof *values);
    }
    ld->bytes += (int64_t)(n * sizeof *values);
    return st < 0 ? mbs_backend_fail(ld->ctx, ld->err, st, NULL, "uploading the weights") : MBS_OK;
}

mbs_status mbs_loader_buf(mbs_loader *ld, const char *name, int optional, mbk_buf **out) {
    const float *values;
    int64_t n;
    if (optional && !mbs_loader_has(ld, name)) {
        return MBS_OK;
    }
    mbs_status st = mbs_loader_values(ld, name, &values, &n);
    return st < 0 ? st : mbs_loader_upload(ld, values, (size_t)n, out);
}

void mbs_loader_free(mbs_loader *ld) {
    mbs_free(ld->stage);
    mbs_free(ld->room);
    ld->stage = ld->room = NULL;
    ld->stage_cap = ld->room_cap = 0;
}
