/*
 * s4.h - what the files of S4, S4D and H3 share: the tensors of a state space and its numbers as steps. Nobody else
 * includes it.
 */
#ifndef MBS_MODEL_S4_H
#define MBS_MODEL_S4_H

#include "model/mixer_held.h"

/* The tensors of a state space, in the order of declare, from the first of them on. B and P: S4 alone. */
enum { S4_LOG_DT, S4_LOG_A, S4_A_IMAG, S4_C, S4_B, S4_P };
/* Those of a layer of S4 or S4D before them. */
enum { S4_D, S4_OUT_W, S4_OUT_B, S4_KERNEL };

/* The numbers of a recurrence of (2 modes, channels). */
typedef struct mbs_s4_kernel {
    int64_t modes;
    int joint; /* f and g are there */
    mbk_rule rule;
    mbk_buf *made;
    mbk_mat a, b, w, f, g;
} mbs_s4_kernel;

/* A layer as a convolution (s4_conv.c): what running needs, and what making it does. */
typedef struct mbs_s4_conv {
    mbk_buf *held, *making;
    mbk_mat filter; /* (taps, d), D in its first */
    mbk_mat spectra;
    mbk_mat impulse, state; /* (taps, d), (2 modes, d) */
    mbk_mat work, saved;    /* saved: training alone */
} mbs_s4_conv;

typedef struct s4 {
    int64_t d;
    int64_t taps; /* 0: it runs as a recurrence */
    mbs_s4_conv conv;
    mbs_held t;
    mbs_s4_kernel k;
} s4;

typedef struct s4_rows {
    mbk_mat mid, res; /* (L, d); scratch */
    mbk_mat y;        /* (L, d): behind the state space */
    mbk_mat p;        /* (L, 2 d): behind output_linear */
    mbk_mat work;     /* of a convolution; scratch */
    mbk_mat saved;    /* kept only: states, or the ring before the call */
} s4_rows;

static inline int64_t mbs_s4_saved_rows(int64_t rows, int64_t modes) {
    return (rows + MBK_LTI_BLOCK - 1) / MBK_LTI_BLOCK * 2 * modes;
}

/* The tensors of a state space, their names behind `prefix`; `start` is one of mbs_hippo, `joint` that of S4. */
void mbs_s4_declare_kernel(const char *prefix, const char *log_a, int start, int joint, int64_t channels, int64_t modes,
                           mbs_specs *s);
double mbs_s4_draw_log_dt(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i);
mbs_status mbs_s4_kernel_room(mbk_ctx *ctx, int64_t channels, int64_t modes, int joint, mbs_s4_kernel *k, mbs_err *err);
/* `t`: the items from S4_LOG_DT on. */
mbk_discretize_args mbs_s4_kernel_args(const mbs_s4_kernel *k, const mbs_held_item *t);

/* Backward through lti and discretize: from dy to du, and to the gradients of the items and of D. `at` is where the
 * scratch is free, mbs_s4_back_floats of it. */
typedef struct mbs_s4_back {
    mbk_mat dy, du, u, d, dd, saved, dstate;
    int64_t blocks; /* of channels side by side in dy, du and u that share a space; saved and dstate of each behind
                       those of the one before. 0: one */
    mbk_starts starts;
    mbk_buf *scratch;
    int64_t at;
} mbs_s4_back;
mbk_status mbs_s4_kernel_back(mbk_ctx *ctx, const mbs_s4_kernel *k, const mbs_held_item *t, const mbs_s4_back *b);
int64_t mbs_s4_back_floats(int64_t channels, int64_t modes);

/* Nothing where taps is 0. */
mbs_status mbs_s4_conv_room(mbk_ctx *ctx, int train, s4 *m, mbs_err *err);
mbk_status mbs_s4_conv_make(mbk_ctx *ctx, s4 *m);
/* What making needs alone, or all. */
void mbs_s4_conv_free(mbk_ctx *ctx, s4 *m, int all);
mbk_status mbs_s4_conv_forward(const s4 *m, const mbs_mixer_call *call, const s4_rows *r);
/* From dy to back->din and the gradients of the kernel and D; scratch from `at` on, with what mbs_s4_back_floats says.
 */
mbk_status mbs_s4_conv_back(s4 *m, const mbs_mixer_back *back, const s4_rows *r, mbk_mat dy, int64_t at);
int64_t mbs_s4_conv_back_floats(int64_t taps, int64_t channels, int64_t modes);

int mbs_s4_joint(const mbs_model_config *c, int64_t index);
s4_rows mbs_s4_rows(const s4 *m, const mbs_mixer_call *call);
mbk_status mbs_s4_discretize(mbk_ctx *ctx, const s4 *m);
mbs_status mbs_s4_make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err);
void mbs_s4_unload(mbk_ctx *ctx, void *layer);

extern const mbs_mixer_train mbs_s4_train;

#endif
