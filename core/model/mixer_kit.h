/*
 * mixer_kit.h - what more than one mixer needs: parts of the scratch, views of matrices, tensors turned so that the
 * channels stand last. For the files of mixers and nobody else.
 */
#ifndef MBS_MODEL_MIXER_KIT_H
#define MBS_MODEL_MIXER_KIT_H

#include "model/mixer.h"

/* Rounded up to a cache line, so that every part of the scratch begins on one. */
static inline int64_t mbs_kit_lines(int64_t floats) {
    return (floats + 15) / 16 * 16;
}
/* Floats from one row of such a part to the next. Rows whose distance is a large power of two stand a cache line
 * further apart: walking down a column of such would meet the same few lines of the cache again and again. */
static inline int64_t mbs_kit_distance(int64_t cols) {
    return cols % 128 == 0 ? cols + 16 : cols;
}
/* Floats of a part, for scratch_floats to count. */
static inline int64_t mbs_kit_apart(int64_t rows, int64_t cols) {
    return mbs_kit_lines(rows * mbs_kit_distance(cols));
}
/* The next part of the scratch, from *at on: as many rows as the call has, room for scratch_rows. */
static inline mbk_mat mbs_kit_carve_apart(const mbs_mixer_call *call, int64_t *at, int64_t cols) {
    mbk_mat m = {call->scratch, *at, call->in.rows, cols, mbs_kit_distance(cols)};
    *at += mbs_kit_apart(call->scratch_rows, cols);
    return m;
}
/* A whole buffer as a matrix; one without a buffer (an optional bias) where `buf` is NULL. */
static inline mbk_mat mbs_kit_matrix(mbk_buf *buf, int64_t rows, int64_t cols) {
    return (mbk_mat){buf, 0, rows, cols, cols};
}
/* Columns [from, from + cols) of a matrix. */
static inline mbk_mat mbs_kit_columns(mbk_mat m, int64_t from, int64_t cols) {
    m.off += from;
    m.cols = cols;
    return m;
}
/* Row i of a matrix. */
static inline mbk_mat mbs_kit_row(mbk_mat m, int64_t i) {
    m.off += i * m.ld;
    m.rows = 1;
    return m;
}
/* How many times what has a state is called: once for all rows, or once for each where every row has its own. */
static inline int64_t mbs_kit_calls(const mbs_mixer_call *call) {
    return call->lanes ? call->in.rows : 1;
}
/* The state of call i of those. */
static inline mbk_buf *mbs_kit_state(const mbs_mixer_call *call, int64_t i) {
    return call->lanes ? call->lanes[i] : call->state;
}
/* What call i of those sees of a matrix. */
static inline mbk_mat mbs_kit_part(const mbs_mixer_call *call, mbk_mat m, int64_t i) {
    return call->lanes ? mbs_kit_row(m, i) : m;
}
/* rows x cols becomes cols x rows. */
void mbs_kit_transpose(const float *from, float *to, int64_t rows, int64_t cols);

/* y = Norm(x) as the config says, w and b one row each, and its gradient; tensors of the norm before a block. */
mbk_status mbs_kit_norm(mbk_ctx *ctx, const mbs_model_config *c, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat b);
mbk_status mbs_kit_norm_grad(mbk_ctx *ctx, const mbs_model_config *c, mbk_mat dx, mbk_mat dy, mbk_mat x,
                             const mbs_mixer_param *w, const mbs_mixer_param *b, int add);
int mbs_kit_norms(const mbs_model_config *c, const mbs_mixer *block);

/* Whether the set holds the tensor layer + name; for detect. */
int mbs_kit_has(const mbs_st_set *set, const char *layer, const char *name);
/* A tensor of rows x cols, transposed; `negate_exp` gives -exp of its values (A of A_log), in double so that no level's
 * exp matters. */
mbs_status mbs_kit_load_transposed(mbs_loader *ld, const char *name, int64_t rows, int64_t cols, int negate_exp,
                                   mbk_buf **out);
/* Numbers that were loaded, times `times` and plus `plus`. */
mbs_status mbs_kit_adjust(mbs_loader *ld, mbk_mat values, double times, double plus);
/* A tensor as one row; out->buf is NULL where an optional one is not there. */
mbs_status mbs_kit_load_row(mbs_loader *ld, const char *name, int optional, int64_t cols, mbk_mat *out);
/* mbs_kit_load_transposed as a matrix of cols x rows. */
mbs_status mbs_kit_load_turned(mbs_loader *ld, const char *name, int64_t rows, int64_t cols, int negate_exp,
                               mbk_mat *out);
/* A time step between 1e-3 and 1e-1, even on a logarithmic scale, as the bias whose softplus it is. */
double mbs_kit_draw_dt_bias(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i);
/* A matrix of zeros as the backend holds it, for repack to fill. */
mbs_status mbs_kit_weight_room(mbk_ctx *ctx, int64_t n_out, int64_t n_in, mbk_format format, mbk_weight **out,
                               mbs_err *err);

/* Room for a matrix that training packs and, where it is trained, for its transpose. */
mbs_status mbs_kit_pair_room(mbk_ctx *ctx, mbk_format format, const mbs_mixer_param *p, mbk_weight **w,
                             mbk_weight **turned, mbs_err *err);
/* Both packed anew from the master; `turned` may be NULL. */
mbk_status mbs_kit_pack(mbk_ctx *ctx, const mbs_mixer_param *p, mbk_weight *w, mbk_weight *turned);
/* Gradients of a linear map, y = x W^T + bias, of the parameters alone; nothing where they are not trained. */
mbk_status mbs_kit_linear_grad(mbk_ctx *ctx, mbk_math math, const mbs_mixer_param *w, const mbs_mixer_param *bias,
                               mbk_mat dy, mbk_mat x);

#endif
