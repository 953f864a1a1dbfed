/*
 * mbk.h - the operation table: all that core/model and core/train may see of a backend.
 *
 * Rules that every backend and every caller keeps:
 *  - Tensor memory belongs to the backend. A caller holds mbk_buf handles and views of them (mbk_mat) and never looks
 *    inside; bytes go in and out through upload and download only.
 *  - An operation may still be running when its function returns. Results may be relied upon by later operations of the
 *    same context; the host sees them after download (which waits) or after sync.
 *  - One operation has one order of summation. Row r of a result depends on row r of its inputs (and, for conv and
 *    scan, on the rows before it through the state), never on how many rows ride along, on the number of threads, or
 *    on where the rows were cut into calls: f(rows 0..n) == f(rows 0..k) then f(rows k..n), bit for bit, at a level.
 *    (A device keeps this for cuts at multiples of its mbk_pace.unit; other cuts are other orders, held to 5e-6.)
 *  - All activations and states are f32, row-major, time runs over rows, channels over columns ("channel last").
 *  - Inputs and outputs of one operation do not overlap unless its comment allows it.
 *  - Nothing is allocated by an operation: scratch is reserved once by `reserve` (a device: by the first call of a
 *    size, see mbk_pace).
 *  - A context is used by one thread at a time; different contexts are independent. Weights and buffers made by one
 *    context may be read by other contexts of the same backend and device, after `sync` of the one that wrote them.
 *
 * Formulas: the semantics of Mamba-1 and Mamba-2 (zero-order hold for A and Euler for B), see the comment of each
 * operation. The plain-C implementation in kernels/ref is the contract; every other level is tested against it.
 */
#ifndef MBK_MBK_H
#define MBK_MBK_H

#include <stddef.h>
#include <stdint.h>

#include "mbk/fir.h"
#include "mbk/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How a CPU backend runs work side by side. `run` calls fn(arg, task) once for each task in [0, n_tasks), on any
 * threads, and returns when all are done. `threads` is how many can run at once. The pool belongs to the caller.
 */
typedef struct mbk_parallel {
    void *pool;
    int32_t threads;
    void (*run)(void *pool, int64_t n_tasks, void (*fn)(void *arg, int64_t task), void *arg);
} mbk_parallel;

/* Arguments of the selective scan. L rows, C channels (d_inner), N states per channel.
 *
 *   delta_t = softplus(dt_t + dt_bias)         softplus(q) = q for q > 20, else log(1 + exp(q))
 *   h_t     = exp(delta_t A) h_{t-1} + delta_t u_t B_t
 *   s_t     = sum_n C_{t,n} h_{t,n} + D u_t
 *   y_t     = s_t silu(z_t)                    without z: y_t = s_t
 */
typedef struct mbk_scan_args {
    mbk_mat y;     /* out (L, C); may be the same view as u */
    mbk_mat u;     /* (L, C), after conv and silu */
    mbk_mat dt;    /* (L, C), raw dt_proj output without bias */
    mbk_mat b;     /* (L, N) */
    mbk_mat c;     /* (L, N) */
    mbk_mat z;     /* (L, C); z.buf == NULL: no gate */
    mbk_mat a;     /* (N, C): A = -exp(A_log), transposed so that channels are contiguous */
    mbk_mat d;     /* (1, C) */
    mbk_mat bias;  /* (1, C): dt bias; bias.buf == NULL: none */
    mbk_mat state; /* in and out (N, C): h before the first and after the last row */
    mbk_starts starts;
    mbk_mat saved; /* out (ceil(L / MBK_SCAN_BLOCK) N, C): h before the rows 0, MBK_SCAN_BLOCK, 2 MBK_SCAN_BLOCK ..., N
                      rows each, what selective_scan_grad starts from; saved.buf == NULL: not wanted */
} mbk_scan_args;

/* Rows between two saved states: what a backward pass keeps of the (L, C, N) states is one in so many. */
#define MBK_SCAN_BLOCK 32

/* Rows of a block of ssd. */
#define MBK_SSD_BLOCK 64

/* Arguments of the state space dual form (Mamba-2; Dao and Gu 2024, section 6). L rows, H heads of P channels, G groups
 * of N states; head h reads B and C of group h / (H / G). For each head, with the state S (N, P):
 *
 *   delta_t = softplus(dt_t + dt_bias), not below dt_min and not above dt_max
 *   S_t     = exp(delta_t A) S_{t-1} + B_t (delta_t x_t)^T
 *   y_t     = C_t S_t + D x_t
 *
 * Computed in blocks of MBK_SSD_BLOCK rows at absolute positions. With lam_i the sum of delta A from the block's first
 * row to row i, and S the state before the block:
 *
 *   y_i = exp(lam_i) (C_i S) + sum_{j <= i} (C_i . B_j) exp(lam_i - lam_j) delta_j x_j + D x_i
 *   S  <- exp(lam_last) S + sum_j B_j (exp(lam_last - lam_j) delta_j x_j)^T     when the block is full
 *
 * So what is carried is S before the open block and the block's rows so far; a single row is a row of its block. In the
 * open block rows that have not come yet are zero: before the first call everything carried is. */
typedef struct mbk_ssd_args {
    mbk_mat y;        /* out (L, H P); may be the same view as x */
    mbk_mat x;        /* (L, H P), after conv and silu */
    mbk_mat dt;       /* (L, H), raw */
    mbk_mat b;        /* (L, G N) */
    mbk_mat c;        /* (L, G N) */
    mbk_mat a;        /* (1, H): A = -exp(A_log) */
    mbk_mat d;        /* (1, H), or (1, H P): one for each channel; d.buf == NULL: none */
    mbk_mat bias;     /* (1, H): dt bias; bias.buf == NULL: none */
    mbk_mat state;    /* in and out (H N, P): S of each head before the open block */
    mbk_mat open_x;   /* in and out (H MBK_SSD_BLOCK, P): delta x of the open block's rows, head by head */
    mbk_mat open_b;   /* in and out (MBK_SSD_BLOCK, G N): B of the open block's rows */
    mbk_mat open_lam; /* in and out (H, 2 MBK_SSD_BLOCK): lam of the open block's rows, then what f32 lost of it */
    int64_t groups;
    int64_t position; /* of the first row in its sequence */
    mbk_starts starts;
    float dt_min, dt_max; /* dt_max may be infinite */
    /* out (MBK_SSD_SAVED(L) H N, P): the state before each block of the call but those that begin a sequence of
     * `starts`, H N rows each, what ssd_grad starts from; saved.buf == NULL: not wanted */
    mbk_mat saved;
} mbk_ssd_args;

/* Most states that ssd saves of a call of L rows. */
#define MBK_SSD_SAVED(L) ((L) / MBK_SSD_BLOCK + 2)

/* Gradients of ssd, of the forward call with the same x, dt, b, c, a, d, bias, groups, position, starts and limits; g =
 * dL/dy. Within a block, with M_ij = (C_i . B_j) exp(lam_i - lam_j) for j <= i, X = delta x, tail_j = exp(lam_last -
 * lam_j), and dS the gradient of the state after the block:
 *
 *   dM = g X^T         dG_ij = dM_ij exp(lam_i - lam_j)       K_ij = dM_ij M_ij
 *   dX_j = sum_i M_ij g_i + tail_j B_j dS
 *   dC_i = sum_j dG_ij B_j + exp(lam_i) S g_i                 dB_j = sum_i dG_ij C_i + tail_j dS X_j
 *   dlam_i = sum_j K_ij - sum_k K_ki + exp(lam_i) g_i (C_i S) - r_i, r_j = tail_j X_j (B_j dS)
 *            and for the last row also sum_j r_j + exp(lam_last) <dS, S>
 *   dS <- exp(lam_last) dS + sum_i C_i exp(lam_i) g_i^T
 *   nu_j = sum_{i >= j} dlam_i      dx_j = delta_j dX_j + D g_j      ddelta_j = dX_j . x_j + A nu_j
 *   ddt = ddelta sigmoid(dt + dt_bias) (1 for arguments above 20, 0 where the step was limited)
 *   dA += sum delta_j nu_j          dD += sum g x                    dbias += sum ddt
 *
 * dC and dB are sums over the heads of a group. dstate is the gradient of the recurrence's state, wherever the call
 * ends in its block. (Dao and Gu 2024.) */
typedef struct mbk_ssd_grad_args {
    mbk_mat dx;     /* out (L, H P) */
    mbk_mat ddt;    /* out (L, H): of the raw dt */
    mbk_mat db, dc; /* out (L, G N) */
    mbk_mat da;     /* += (1, H): of A, not of A_log */
    mbk_mat dd;     /* += as d; without d: buf == NULL */
    mbk_mat dbias;  /* += (1, H); without bias: buf == NULL */
    mbk_mat dstate; /* in and out (H N, P) */
    mbk_mat dy;     /* (L, H P) */
    mbk_mat x, dt, b, c, a, d, bias;
    mbk_mat saved; /* as the forward call left it */
    int64_t groups;
    int64_t position;
    mbk_starts starts;
    float dt_min, dt_max;
} mbk_ssd_grad_args;

/* Whether ssd_grad takes heads of this size: what it needs beside its arguments is bounded. */
#define MBK_SSD_GRAD_FITS(N, P)                                                                                        \
    ((N) <= 4096 && (P) <= 4096 && 12560 + 448 * (P) + 2 * (N) * (P) + 128 * (N) <= (1 << 19))

/* A whole layer of Mamba-1, without biases of its products: x, z = in in_proj^T; u = conv1d_silu(x); dt, B, C = u
 * x_proj^T; out += selective_scan(u, dt dt_proj^T, B, C, z) out_proj^T. */
typedef struct mbk_mamba1_args {
    mbk_mat out, in;                                         /* (L, d), out in and out */
    const mbk_weight *in_proj, *x_proj, *dt_proj, *out_proj; /* (2 C, d), (R + 2 N, C), (C, R), (d, C) */
    mbk_mat conv_w, conv_b, conv_state;                      /* as conv1d_silu has them */
    mbk_mat dt_bias, a, d, state;                            /* as selective_scan has them */
    mbk_starts starts;
    int64_t streams; /* calls like this one that go through the same weights now, this one among them */
} mbk_mamba1_args;

/* Gradients of the selective scan, of the forward call with the same u, dt, b, c, z, a, d, bias, starts; g = dL/dy.
 * With a_t = exp(delta_t A), q_t = dt_t + dt_bias (each over channels, states of a channel one by one):
 *
 *   ds_t   = g_t silu(z_t)                     dz_t = g_t s_t silu'(z_t)
 *   lam_t  = C_t ds_t + a_{t+1} lam_{t+1}      after the last row: C_L ds_L + dstate as it comes in
 *   dC_t,n = sum_c ds_t h_t,n                  dB_t,n = sum_c delta_t u_t lam_t,n
 *   du_t   = D ds_t + delta_t sum_n lam_t,n B_t,n
 *   ddt_t  = sigmoid(q_t) sum_n lam_t,n (A_n a_t,n h_{t-1,n} + B_t,n u_t)      (1 for q_t > 20)
 *   dA_n  += sum_t delta_t lam_t,n a_t,n h_{t-1,n}      dD += sum_t ds_t u_t      dbias += sum_t ddt_t
 *   dstate = a_1 lam_1, the gradient of the state before the first row
 *
 * States are recomputed block by block from `saved`; nothing of size (L, C, N) exists. What is marked += is added to
 * what is there, the rest is overwritten. At a start of `starts` no gradient crosses. (Gu and Dao 2023, section 3.3,
 * and plain reverse-mode differentiation.) B and C are shared by all channels: one group. N <= 512. */
typedef struct mbk_scan_grad_args {
    mbk_mat du;     /* out (L, C) */
    mbk_mat ddt;    /* out (L, C): of the raw dt */
    mbk_mat dz;     /* out (L, C); without z: dz.buf == NULL */
    mbk_mat db;     /* out (L, N) */
    mbk_mat dc;     /* out (L, N) */
    mbk_mat da;     /* += (N, C): of A, not of A_log */
    mbk_mat dd;     /* += (1, C) */
    mbk_mat dbias;  /* += (1, C); without bias: dbias.buf == NULL */
    mbk_mat dstate; /* in and out (N, C) */
    mbk_mat dy;     /* (L, C) */
    mbk_mat u, dt, b, c, z, a, d, bias;
    mbk_mat saved; /* as the forward call left it */
    mbk_starts starts;
} mbk_scan_grad_args;

/* Arguments of causal attention. L rows, H heads of P channels; K key heads, head h reads key head h / (H / K). With x
 * the position of a row in its sequence, first q and k are rotated in place: of the first `rotary` channels of each
 * head, pair i is (i, i + rotary / 2), or (2i, 2i + 1) where `interleaved`, and its angle is x rotary_base^(-2i /
 * rotary). Then
 *
 *   s_x,j = scale (q_x . k_j)          for the positions j that x sees: j <= x, and j > x - window where window > 0
 *   y_x   = sum_j softmax(s_x)_j v_j
 *
 * Keys are taken MBK_ATTENTION_TILE at a time, in tiles at absolute positions: with m the largest s so far, the sums of
 * exp(s - m) and of exp(s - m) v are scaled when m grows. No memory but O(tile).
 *
 * The cache holds rotated keys, and values, of positions before the call, position j in row j mod S of S; the call's
 * own are put there after it. S is at least 1 and window - 1, or what the sequence will have of positions where all are
 * seen. At a start of `starts` nothing of the cache is seen; it is left with what the call's last sequence puts there.
 */
typedef struct mbk_attention_args {
    mbk_mat y;                /* out (L, H P) */
    mbk_mat q;                /* in and out (L, H P) */
    mbk_mat k;                /* in and out (L, K P) */
    mbk_mat v;                /* (L, K P) */
    mbk_mat cache_k, cache_v; /* in and out (S, K P); buf == NULL: none, and every sequence begins in the call */
    mbk_mat saved;            /* out (L, H): log sum_j exp(s_j), what attention_grad starts from; buf == NULL: not
                                 wanted */
    int64_t heads, key_heads;
    int64_t position; /* of the first row in its sequence */
    int64_t window;   /* 0: every position up to its own is seen */
    int64_t rotary;   /* channels, even; 0: none */
    double rotary_base;
    int32_t interleaved;
    float scale;
    mbk_starts starts;
} mbk_attention_args;

#define MBK_ATTENTION_TILE 64
/* Whether attention takes heads of P channels: what it needs beside its arguments is bounded. */
#define MBK_ATTENTION_FITS(P) ((P) <= 512)

/* Gradients of attention, of the forward call with the same numbers: q and k as it left them (rotated), y and saved as
 * it gave them, the cache as it was before the call. With P the softmax, g = dL/dy:
 *
 *   dv_j = sum_x P_x,j g_x        dS_x,j = scale P_x,j (g_x . v_j - g_x . y_x)
 *   dq_x = sum_j dS_x,j k_j       dk_j = sum_x dS_x,j q_x        both rotated back
 *
 * dcache comes in as the gradient of the cache after the call and goes out as that of the cache before it. */
typedef struct mbk_attention_grad_args {
    mbk_mat dq, dk, dv;         /* out, as q, k, v */
    mbk_mat dcache_k, dcache_v; /* in and out, as the cache; without one: buf == NULL */
    mbk_mat dy, y, q, k, v, cache_k, cache_v, saved;
    int64_t heads, key_heads, position, window, rotary;
    double rotary_base;
    int32_t interleaved;
    float scale;
    mbk_starts starts;
} mbk_attention_grad_args;

/* Rows between two saved states of lti. */
#define MBK_LTI_BLOCK 32

/* A linear state space that does not change with time (S4D, S4, H3): N complex modes for each of C channels. A complex
 * tensor is (2 N, C): row 2 n has the real parts of mode n, row 2 n + 1 the imaginary ones.
 *
 *   m_t = Re sum_n g_n s_{t-1,n}                            one number a channel; 0 without f and g
 *   s_t = s_{t-1} + a s_{t-1} + b u_t - f m_t               a is the transition less one: f32 keeps slow modes exact
 *   y_t = Re sum_n w_n s_{t,n} + D u_t
 */
typedef struct mbk_lti_args {
    mbk_mat y;       /* out (L, C); may be the same view as u */
    mbk_mat u;       /* (L, C) */
    mbk_mat a, b, w; /* (2 N, C) */
    mbk_mat f, g;    /* (2 N, C); f.buf == NULL: the modes do not see each other */
    mbk_mat d;       /* (1, C); d.buf == NULL: none */
    mbk_mat state;   /* in and out (2 N, C) */
    mbk_starts starts;
    mbk_mat saved; /* out (ceil(L / MBK_LTI_BLOCK) 2 N, C): s before the rows 0, MBK_LTI_BLOCK, 2 MBK_LTI_BLOCK ...;
                      saved.buf == NULL: not wanted */
} mbk_lti_args;

/* Rows of `work` of lti_grad. */
#define MBK_LTI_WORK(N) ((2 * MBK_LTI_BLOCK + 1) * 2 * (N))

/* Gradients of lti, of the forward call with the same numbers; gr = dL/dy, and the gradient of a complex number is that
 * of its real part plus i times that of its imaginary part. lam is the gradient of s_t:
 *
 *   lam_n = carry_n + conj(w_n) gr_t         dm = -Re sum_n conj(f_n) lam_n
 *   dw += conj(s_t) gr_t   db += lam u_t   da += conj(s_{t-1}) lam   df -= lam m_t   dg += conj(s_{t-1}) dm
 *   du_t = D gr_t + Re sum_n conj(b_n) lam_n                         dd += sum gr u
 *   carry_n = lam_n + conj(a_n) lam_n + conj(g_n) dm
 */
typedef struct mbk_lti_grad_args {
    mbk_mat du;                 /* out (L, C) */
    mbk_mat da, db, dw, df, dg; /* += as a ...; df and dg as f and g */
    mbk_mat dd;                 /* += (1, C); without d: buf == NULL */
    mbk_mat dstate;             /* in and out (2 N, C) */
    mbk_mat dy;                 /* (L, C) */
    mbk_mat u, a, b, w, f, g, d;
    mbk_mat saved; /* as the forward call left it */
    mbk_mat work;  /* (MBK_LTI_WORK(N), C), contents of no meaning */
    mbk_starts starts;
} mbk_lti_grad_args;

/* How a state space in continuous time becomes one in steps: zero-order hold, or bilinear (Tustin). */
typedef enum mbk_rule { MBK_ZOH = 0, MBK_BILINEAR = 1 } mbk_rule;

/* The numbers of lti from those that are trained, in double. dt = exp(log_dt), A = -exp(a_log) + i a_im; each mode
 * stands for itself and its conjugate, so w = 2 C.
 *
 *   zero-order hold:  a = exp(dt A) - 1,  b = B (exp(dt A) - 1) / A
 *   bilinear:         a = dt A q,         b = B dt q,                  q = 1 / (1 - dt A / 2)
 *
 * With P (S4): the transition is A - P P^*, bilinear, by the identity of Woodbury; with e = 2 / dt, D = 1 / (e - A), r
 * = 1 / (1 + 2 Re sum |P|^2 D):
 *
 *   a = 2 A D,  f = D P,  g = 4 r e conj(P) D,  b = 2 D B - f r (4 Re sum conj(P) D B)
 */
typedef struct mbk_discretize_args {
    mbk_mat a, b, w;       /* out (2 N, C) */
    mbk_mat f, g;          /* out (2 N, C); without P: buf == NULL */
    mbk_mat log_dt;        /* (1, C) */
    mbk_mat a_log, a_im;   /* (N, C) */
    mbk_mat in_b, in_c, p; /* (2 N, C); in_b.buf == NULL: all one; p.buf == NULL: none */
    mbk_rule rule;         /* bilinear with P */
} mbk_discretize_args;

/* From gradients of what discretize makes (da ..., which stay) to those of what it is given (+=). */
typedef struct mbk_discretize_grad_args {
    mbk_discretize_args of; /* outputs are not used */
    mbk_mat da, db, dw, df, dg;
    mbk_mat dlog_dt, da_log, da_im, din_b, din_c, dp; /* += ; din_b.buf, dp.buf == NULL: not wanted */
} mbk_discretize_grad_args;

/*
 * A causal filter of W taps for each of C channels: y_t = sum_{k < W} w_k x_{t-k} + bias, k in index order; rows before
 * the sequence do not exist. What is carried is a ring of the last W inputs, position x in row x % W.
 *
 * A long one (Hyena) goes by transforms where `ahead` is given. Taps below MBK_FIR_BASE meet a row as above, and so do
 * those, at most as many, behind the last level. Level i has the taps from B = MBK_FIR_BASE 2^i to 2 B: before a
 * row at a multiple of B, what the 2 B rows before it give to the next B is put into rows [B - BASE, 2 B - BASE)
 * of `ahead`, by one transform of 2 B numbers there and one back; a row takes up what lies there for it, level by
 * level: positions alone decide, and L rows take O(L log^2 W). Sizes are in mbk/fir.h.
 */
typedef struct mbk_fir_args {
    mbk_mat y;    /* out (L, C) */
    mbk_mat x;    /* (L, C) */
    mbk_mat w;    /* (W, C): row k is tap k */
    mbk_mat bias; /* (1, C); buf == NULL: none */
    mbk_mat ring; /* in and out (W, C) */
    int64_t position;
    int32_t newest_last; /* row W - 1 - k of w is tap k, as nn.Conv1d stores it */
    mbk_starts starts;
    mbk_mat ahead; /* in and out (mbk_fir_ahead_rows, C); buf == NULL: each tap meets each row. Not with newest_last. */
    mbk_mat spectra; /* (1, mbk_fir_spectra_floats) of fir_spectra; with ahead alone */
    mbk_mat work;    /* (1, mbk_fir_work_floats) of scratch, with ahead alone */
} mbk_fir_args;

/* Gradients of fir; ring as it was before the call, dring comes in as the gradient of the ring after the call and goes
 * out as that of the ring before it.
 *
 *   dx_s = sum_k w_k dy_{s+k} + what later calls give     dw_k += sum_t dy_t x_{t-k}     dbias += sum dy
 *
 * With `work` a sequence whose rows and taps are many goes by transforms over all rows that it meets: L rows from the
 * start take O(L log L). */
typedef struct mbk_fir_grad_args {
    mbk_mat dx;    /* out (L, C) */
    mbk_mat dw;    /* += (W, C), as w */
    mbk_mat dbias; /* += (1, C); buf == NULL: none */
    mbk_mat dring; /* in and out (W, C) */
    mbk_mat dy;
    mbk_mat x, w, ring;
    int64_t position;
    int32_t newest_last;
    mbk_starts starts;
    mbk_mat work; /* (1, mbk_fir_grad_floats) of scratch; buf == NULL: each tap meets each row. Not with newest_last. */
} mbk_fir_grad_args;

typedef enum mbk_cell { MBK_LSTM = 0, MBK_GRU = 1 } mbk_cell;
/* Columns of the gates of a cell of H, of what forward saves of a row, and rows of its state. */
#define MBK_RNN_GATES(CELL) ((CELL) == MBK_LSTM ? 4 : 3)
#define MBK_RNN_SAVED(CELL) ((CELL) == MBK_LSTM ? 6 : 5)
#define MBK_RNN_STATES(CELL) ((CELL) == MBK_LSTM ? 2 : 1)
/* Sequences that go side by side at most, and the columns of `work`. */
#define MBK_RNN_LANES 32
#define MBK_RNN_WORK(CELL) ((CELL) == MBK_LSTM ? 6 : 4)

/* A recurrent cell of H numbers over L rows; x = what the input gives to each gate, h_{t-1} W^T + bias is what the cell
 * itself gives.
 *
 *   LSTM, gates i, f, g, o of x + (h W^T + bias): c = sigmoid(f) c + sigmoid(i) tanh(g); h = sigmoid(o) tanh(c)
 *   GRU, gates r, z, n: r, z = sigmoid of both sums; n = tanh(x_n + r (h W^T + bias)_n); h = (1 - z) n + z h
 *
 * Sequences of `starts` go side by side. */
typedef struct mbk_rnn_args {
    mbk_cell cell;
    mbk_mat y;           /* out (L, H): h */
    mbk_mat x;           /* (L, gates H) */
    const mbk_weight *w; /* (gates H, H) */
    mbk_mat bias;        /* (1, gates H); buf == NULL: none */
    mbk_mat state;       /* in and out (states, H): h, then c */
    mbk_mat work;        /* (MBK_RNN_LANES, MBK_RNN_WORK H) */
    mbk_starts starts;
    mbk_mat saved; /* out (L, MBK_RNN_SAVED H): h before the row; the gates as they are after sigmoid and tanh; LSTM: c
                      before the row; GRU: (h W^T + bias)_n. buf == NULL: not wanted */
} mbk_rnn_args;

/* Gradients of rnn through time. The weight's own is weight_grad of dh against the h that `saved` begins with, the
 * bias's is bias_grad of dh. */
typedef struct mbk_rnn_grad_args {
    mbk_cell cell;
    mbk_mat dx;            /* out (L, gates H) */
    mbk_mat dh;            /* out (L, gates H): of h W^T + bias; LSTM: may be dx, it is the same */
    mbk_mat dstate;        /* in and out (states, H) */
    mbk_mat dy;            /* (L, H) */
    const mbk_weight *w_t; /* (H, gates H): the transpose */
    mbk_mat saved;
    mbk_mat work; /* (MBK_RNN_LANES, MBK_RNN_WORK H) */
    mbk_starts starts;
} mbk_rnn_grad_args;

/* Elementwise functions of `unary`. */
typedef enum mbk_function {
    MBK_GELU = 0,      /* x Phi(x), Phi by the error function */
    MBK_GELU_TANH = 1, /* its approximation by tanh */
    MBK_SIN = 2
} mbk_function;

/* Gradients of conv1d_silu; dpre_t = dy_t silu'(pre_t), pre_t recomputed from x and the state before the call.
 *
 *   dx_s  = sum_k w_k dpre_{s+W-1-k}, rows before the call's first row give dstate
 *   dw_k += sum_t dpre_t x_{t-W+1+k}           dbias += sum_t dpre_t
 *
 * dstate (W, C) comes in as the gradient of the state after the call and goes out as that of the state before it. */
typedef struct mbk_conv_grad_args {
    mbk_mat dx;     /* out (L, C) */
    mbk_mat dw;     /* += (W, C) */
    mbk_mat dbias;  /* += (1, C); without bias: dbias.buf == NULL */
    mbk_mat dstate; /* in and out (W, C) */
    mbk_mat dy;     /* (L, C) */
    mbk_mat x, w, bias;
    mbk_mat state; /* (W, C) before the call; state.buf == NULL: zeros */
    mbk_starts starts;
} mbk_conv_grad_args;

/* One step of AdamW (Loshchilov and Hutter 2019) over tensors of one shape, elementwise, with g' = scale g:
 *
 *   m = beta1 m + (1 - beta1) g'               v = beta2 v + (1 - beta2) g'^2
 *   w = (1 - lr decay) w - lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)
 */
typedef struct mbk_adamw_args {
    mbk_mat w, m, v; /* in and out */
    mbk_mat g;
    double lr, beta1, beta2, eps, decay;
    double scale; /* of the gradient: clipping, or one over the number of tokens */
    int64_t step; /* counts from 1 */
} mbk_adamw_args;

/* How many rows a backend wants at once, for those who cut long calls: about `floats` floats of what the rows take, not
 * fewer than `least` and not more than `most` rows, a multiple of `unit`. Where the order of summation of a backend
 * depends on the cut, cuts at multiples of `unit` keep the bits. */
typedef struct mbk_pace {
    int64_t floats, least, most, unit;
    /* A device whose memory may be short: its first call of a size may still reserve scratch, so a caller tries its
     * largest call beforehand and, so many times at most, halves it when there is not room enough. 0: the system's. */
    int32_t halvings;
    int64_t shared; /* weights of a matrix from which on threads share the product of a single row; 0: one thread */
} mbk_pace;

typedef struct mbk_ops {
    /* Name of the level: as mbk_level_name, "test" or "cuda". What goes into `arithmetic` of an
     * output is mbk_arithmetic, because a level may use the code of the one below for some math. */
    const char *name;
    const char *device; /* "cpu", "cuda": what stands before it in `arithmetic` */
    mbk_pace pace;
    int64_t scan_states; /* the most N of selective_scan and its gradient; 0: any */

    /* --- the context ---------------------------------------------------------------------------------------------- */
    void (*close)(mbk_ctx *ctx);
    const char *(*arithmetic)(const mbk_ctx *ctx, mbk_math math);
    /* Both may be NULL: what mbk_why says, and the bytes of the device's memory that are free and that it has. */
    const char *(*why)(const mbk_ctx *ctx);
    mbk_status (*memory)(mbk_ctx *ctx, size_t *unused, size_t *all);

    /* --- memory ------------------------------------------------------------------------------------------------- */
    /* Zero-filled memory of `bytes` bytes, aligned to 64. */
    mbk_status (*buf_new)(mbk_ctx *ctx, size_t bytes, mbk_buf **out);
    void (*buf_free)(mbk_ctx *ctx, mbk_buf *buf);
    /* Byte offsets. `src` may be reused as soon as upload returns; download waits for the data. */
    mbk_status (*upload)(mbk_ctx *ctx, mbk_buf *dst, size_t off, const void *src, size_t bytes);
    mbk_status (*download)(mbk_ctx *ctx, void *dst, mbk_buf *src, size_t off, size_t bytes);
    /* dst and src have the same rows and cols. */
    mbk_status (*copy)(mbk_ctx *ctx, mbk_mat dst, mbk_mat src);
    mbk_status (*zero)(mbk_ctx *ctx, mbk_mat dst);
    mbk_status (*sync)(mbk_ctx *ctx);
    /* Reserves scratch for calls of up to `rows` rows and `cols` columns, so that no later call allocates. How much is
     * the backend's affair: it may work off many rows in parts. With `halvings` the first call of a size may. */
    mbk_status (*reserve)(mbk_ctx *ctx, int64_t rows, int64_t cols);

    /* --- weights ------------------------------------------------------------------------------------------------ */
    /* Packs or uploads W (n_out, n_in), row-major as nn.Linear stores it, from host memory; `w` may be reused as soon
     * as prepare returns. bf16: every number rounded to nearest even; also where dtype is f32 and math is bf16, which
     * rounds it anyway. int8: scale_r = max|w_r| / 127, q = w / scale_r rounded to nearest even; a row of zeros has
     * scale 0. A number that bf16 or int8 cannot hold (NaN, infinite) is MBS_ERR_DATA. int16 or int8 math of weights
     * that are not int8, or on a backend that has it not, is MBS_ERR_UNAVAILABLE. */
    mbk_status (*prepare)(mbk_ctx *ctx, const float *w, int64_t n_out, int64_t n_in, mbk_format format,
                          mbk_weight **out);
    void (*weight_free)(mbk_ctx *ctx, mbk_weight *w);

    /* --- operations --------------------------------------------------------------------------------------------- */
    /* y (L, n_out) = x (L, n_in) W^T [+ bias (1, n_out)] [+ y when accumulate], W as it is held and x, under bf16 math,
     * rounded to bf16 (nearest even). The sum over n_in is f32, starts from zero and runs in index order; int8: then it
     * is multiplied by the scale of the output; bias and then the old y are added last. A weight held as bf16 gives
     * under f32 math the bits of the same numbers held as f32.
     * int16 math, of each MBK_I16_PART columns counted from 0: m = max|x|, scale = m / 32767, i = x (32767 / m) to the
     * nearest whole number, ties to even; with m < MBK_WHOLE_LEAST they count as zeros, with a NaN or an infinity the
     * row gives NaN everywhere. Sums of i q are exact; as f32 times the scale they are added up in index order with one
     * rounding each, and multiplied by the scale of the output. int8: the same with MBK_I8_PART and 127. All levels
     * give the same bits. */
    mbk_status (*gemm)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, const mbk_weight *w, mbk_mat bias, int32_t accumulate);
    /* y row i = row ids[i] of the table (vocab, cols) as it is held, widened to f32 (int8: q times scale). ids: L int32
     * in a buffer, ids_off counts int32. Caller guarantees 0 <= id < n_out. A tied table is the head's weight: held
     * once. */
    mbk_status (*embed)(mbk_ctx *ctx, mbk_mat y, const mbk_weight *table, mbk_buf *ids, int64_t ids_off);
    /* y = x / sqrt(mean(x^2) + eps) * w, per row; w (1, cols). y may be x. */
    mbk_status (*rmsnorm)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, float eps);
    /* y = (x - mean) / sqrt(var + eps) * w + b, per row, biased variance; b.buf == NULL: no bias. y may be x. */
    mbk_status (*layernorm)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat b, float eps);
    /* y = x + r, elementwise; y may be x or r. */
    mbk_status (*add)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r);
    /* Causal depthwise convolution, then silu. w (W, C): tap k of every channel, tap W-1 meets the current row;
     * bias (1, C) or bias.buf == NULL; state (W, C) in and out: the last W raw inputs, row W-1 the newest.
     *   y_t = silu(bias + sum_k w_k x_{t-W+1+k}), k in index order, rows before the call come from the state. */
    mbk_status (*conv1d_silu)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat bias, mbk_mat state,
                              mbk_starts starts);
    mbk_status (*selective_scan)(mbk_ctx *ctx, const mbk_scan_args *args);
    mbk_status (*ssd)(mbk_ctx *ctx, const mbk_ssd_args *args);
    /* y = x silu(z), elementwise; y may be x. */
    mbk_status (*gate)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z);
    /* RMS norm over groups of `group` columns beside a gate; w (1, cols); y may be x, not z.
     *   v = x silu(z): y = v / sqrt(mean(v^2) + eps) * w
     *   norm_first:    y = x / sqrt(mean(x^2) + eps) * w * silu(z) */
    mbk_status (*rmsnorm_gated)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z, mbk_mat w, float eps, int64_t group,
                                int32_t norm_first);
    /* lp[i] = log softmax(logits row i)[ids[i]] over all columns; NaN where ids[i] < 0. lp (rows, 1) view with ld >= 1,
     * ids as in embed. Natural logarithm. */
    mbk_status (*logprob)(mbk_ctx *ctx, mbk_mat lp, mbk_mat logits, mbk_buf *ids, int64_t ids_off);
    /* acc[off + j] += x[r][j] for every row r in order. `acc` holds doubles and `off` counts doubles: a mean over a
     * whole genome would drown in f32. */
    mbk_status (*row_sum)(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x);

    /* --- training ----------------------------------------------------------------------------------------------- */
    /* Gradients of parameters are sums over the rows of a call and are added to what is there (+=); their bits do not
     * depend on threads, but do on where rows are cut into calls. Gradients of rows are overwritten unless said. */

    /* Packs W anew from a tensor: src is W (n_out, n_in) of the weight, or its transpose (n_in, n_out) where
     * `transposed`. As prepare otherwise, but allocates nothing. With wt = the transpose of W, the gradient of the
     * input of gemm is a gemm itself: dx = dy W is gemm(dx, dy, wt). */
    mbk_status (*repack)(mbk_ctx *ctx, mbk_weight *w, mbk_mat src, int32_t transposed);
    /* dw (n_out, n_in) += dy (L, n_out)^T x (L, n_in); under bf16 math dy and x are rounded to bf16 (nearest even).
     * 128 rows at a time are summed from zero in f32, in order, and the sum is added to dw. avx512bf16 takes products
     * of bf16 two by two, rows 2i and 2i + 1 of the 128, the second first, each added with its own rounding (an odd
     * last row beside zeros); denormals count as zero there. */
    mbk_status (*weight_grad)(mbk_ctx *ctx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_math math);
    /* db (1, cols) += the sum of the rows of dy. */
    mbk_status (*bias_grad)(mbk_ctx *ctx, mbk_mat db, mbk_mat dy);
    /* dtable row ids[i] += dy row i, in the order of i; ids < 0 are left out. */
    mbk_status (*embed_grad)(mbk_ctx *ctx, mbk_mat dtable, mbk_mat dy, mbk_buf *ids, int64_t ids_off);
    /* With r = 1 / sqrt(mean(x^2) + eps) and dn = dy w: dx = r dn - x r^3 mean(dn x) [+ dx when accumulate],
     * dw += sum dy x r. dx is not dy. */
    mbk_status (*rmsnorm_grad)(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat w, float eps,
                               int32_t accumulate);
    /* With v = (x - mean) r, r = 1 / sqrt(var + eps) and dn = dy w: dx = r (dn - mean(dn) - v mean(dn v)) [+ dx],
     * dw += sum dy v, db += sum dy; db.buf == NULL: no bias. dx is not dy. */
    mbk_status (*layernorm_grad)(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat db, mbk_mat dy, mbk_mat x, mbk_mat w,
                                 float eps, int32_t accumulate);
    mbk_status (*conv1d_silu_grad)(mbk_ctx *ctx, const mbk_conv_grad_args *args);
    mbk_status (*selective_scan_grad)(mbk_ctx *ctx, const mbk_scan_grad_args *args);
    mbk_status (*ssd_grad)(mbk_ctx *ctx, const mbk_ssd_grad_args *args);
    /* dx = dy silu(z), dz = dy x silu'(z); dx may be dy, dz may be z. */
    mbk_status (*gate_grad)(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dy, mbk_mat x, mbk_mat z);
    /* Of rmsnorm_gated, with v what is normalised, r = 1 / sqrt(mean(v^2) + eps) and dn = dy w (times silu(z) with
     * norm_first), over each group: dv = r dn - v r^3 mean(dn v), then through the gate on its side; dw += sum of dy
     * v r (times silu(z) with norm_first). dx may be dy, dz may be z; dw.buf == NULL: not wanted. */
    mbk_status (*rmsnorm_gated_grad)(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat z,
                                     mbk_mat w, float eps, int64_t group, int32_t norm_first);
    /* loss (rows, 1) = weight_i (-log softmax(logits row i)[ids[i]]) and dlogits row i = scale weight_i (softmax - one
     * at ids[i]); both zero where ids[i] < 0. weight (rows, 1), buf == NULL: all one. dlogits may be logits; buf ==
     * NULL: the loss alone. The mean is the caller's: scale = 1 / (sum of weights). */
    mbk_status (*cross_entropy)(mbk_ctx *ctx, mbk_mat loss, mbk_mat dlogits, mbk_mat logits, mbk_mat weight,
                                mbk_buf *ids, int64_t ids_off, float scale);
    /* hit (rows, 1) = 1 where logits row i has its largest number, the first of equals, at ids[i], else 0; 0 where
     * ids[i] < 0. */
    mbk_status (*hits)(mbk_ctx *ctx, mbk_mat hit, mbk_mat logits, mbk_buf *ids, int64_t ids_off);
    /* y = x r, elementwise; y may be x or r. With it dA_log = A dA. */
    mbk_status (*mul)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r);
    /* y = -exp(x); y may be x. A from A_log. */
    mbk_status (*neg_exp)(mbk_ctx *ctx, mbk_mat y, mbk_mat x);
    /* acc[off] += the sum of all x^2; doubles as in row_sum. Not finite where x holds a NaN or an infinity. */
    mbk_status (*sum_squares)(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x);
    mbk_status (*adamw)(mbk_ctx *ctx, const mbk_adamw_args *args);

    /* --- attention ---------------------------------------------------------------------------------------------- */
    mbk_status (*attention)(mbk_ctx *ctx, const mbk_attention_args *args);
    mbk_status (*attention_grad)(mbk_ctx *ctx, const mbk_attention_grad_args *args);

    /* --- linear state spaces, filters, recurrent cells ---------------------------------------------------------------
     */
    /* NULL where a backend has none of them (a device): mixers that need them are refused there by name. Gradients as
     * in training above. */
    mbk_status (*lti)(mbk_ctx *ctx, const mbk_lti_args *args);
    mbk_status (*lti_grad)(mbk_ctx *ctx, const mbk_lti_grad_args *args);
    mbk_status (*discretize)(mbk_ctx *ctx, const mbk_discretize_args *args);
    mbk_status (*discretize_grad)(mbk_ctx *ctx, const mbk_discretize_grad_args *args);
    mbk_status (*fir)(mbk_ctx *ctx, const mbk_fir_args *args);
    /* The transforms of a filter w (W, C) whose rows tap 0 begins, in an order of the backend's own. */
    mbk_status (*fir_spectra)(mbk_ctx *ctx, mbk_mat spectra, mbk_mat w, mbk_mat work);
    mbk_status (*fir_grad)(mbk_ctx *ctx, const mbk_fir_grad_args *args);
    mbk_status (*rnn)(mbk_ctx *ctx, const mbk_rnn_args *args);
    mbk_status (*rnn_grad)(mbk_ctx *ctx, const mbk_rnn_grad_args *args);
    /* y = f(scale x), scale (1, cols) or buf == NULL: 1; y may be x. */
    mbk_status (*unary)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat scale, mbk_function function);
    /* dx = scale f'(scale x) dy, dscale (1, cols) += sum of x f'(scale x) dy (if it has a buffer); dx may be dy. */
    mbk_status (*unary_grad)(mbk_ctx *ctx, mbk_mat dx, mbk_mat dscale, mbk_mat dy, mbk_mat x, mbk_mat scale,
                             mbk_function function);
    /* y = x sigmoid(z); y may be x. */
    mbk_status (*glu)(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z);
    /* dx = dy sigmoid(z), dz = dy x sigmoid'(z); dx may be dy, dz may be z. */
    mbk_status (*glu_grad)(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dy, mbk_mat x, mbk_mat z);

    /* NULL: none; MBS_END, and nothing done, where these weights or rows are better off with the operations one by one.
     * A CPU gives the bits of those; a device may hand on bf16 under bf16 math, within 1e-2 of f32. */
    mbk_status (*mamba1)(mbk_ctx *ctx, const mbk_mamba1_args *args);

    /* A context of one thread for the same buffers and weights, at the same time; closed before ctx. NULL: none. */
    mbk_status (*beside)(mbk_ctx *ctx, mbk_ctx **out);
    /* NULL where logits are as near as the host's memory. */
    mbk_status (*draw)(mbk_ctx *ctx, const mbk_draw_args *args);

    /* --- repetition --------------------------------------------------------------------------------------------- */
    /* All NULL where there is nothing to gain. What is called between record and recorded is not run but kept, with the
     * buffers and numbers that it was given; nothing may move bytes from or to the host there. replay runs it, as often
     * as wanted, or answers 1 (MBS_END) and runs nothing where it has to be recorded anew, because the scratch is
     * another one since. A failure of recorded leaves the context as if nothing had been called. */
    mbk_status (*record)(mbk_ctx *ctx);
    mbk_status (*recorded)(mbk_ctx *ctx, mbk_tape **out);
    mbk_status (*replay)(mbk_ctx *ctx, mbk_tape *tape);
    void (*tape_free)(mbk_ctx *ctx, mbk_tape *tape);
} mbk_ops;

/* A context: the table and the backend's own data behind it. Backends put this first in their struct. */
struct mbk_ctx {
    const mbk_ops *ops;
};

/* The CPU levels, lowest first. A level is usable where the machine has its instructions. Under f32 math those above
 * avx512 are its very code, and avx512vnni gives its bits under int16 and int8 math. */
typedef enum mbk_level {
    MBK_LEVEL_REF = 0,
    MBK_LEVEL_AVX2 = 1,
    MBK_LEVEL_AVX512 = 2,
    MBK_LEVEL_AVX512VNNI = 3,
    MBK_LEVEL_AVX512BF16 = 4,
    MBK_LEVEL_COUNT
} mbk_level;

const char *mbk_level_name(mbk_level level);
/* -1 where the name is unknown. */
int mbk_level_parse(const char *name);
/* Highest level that this machine runs and this build holds. */
mbk_level mbk_level_best(void);
int mbk_level_usable(mbk_level level);
/* The level that the environment variable MAMBASEQ_CPU names, which can only lower mbk_level_best. Unset or empty: the
 * best. -1 where the name is unknown or the level is not usable here. */
int mbk_level_from_env(void);

/* A CPU context at `level`. `par` may be NULL (one thread) and is copied; its pool must outlive the context.
 * Returns -69 where the level cannot run here, -71 without memory. */
mbk_status mbk_cpu_open(mbk_level level, const mbk_parallel *par, mbk_ctx **out);
void mbk_close(mbk_ctx *ctx);

/* A backend for tests: computes as `level` does, but a buffer's memory is unreadable (a fault) except inside
 * operations, as a device's memory would be. */
mbk_status mbk_test_open(mbk_level level, mbk_ctx **out);

/* The name of the arithmetic that a context computes weights of this math with: two contexts of one name give the same
 * bits. "ref", "avx2", "avx512"; "avx512bf16" only under bf16 math; of a device its architecture: "sm_90". */
const char *mbk_arithmetic(const mbk_ctx *ctx, mbk_math math);
/* In words why the last call of this context failed ("out of memory: 3.0 GiB asked, 1.2 GiB free"), valid until the
 * next; NULL where the status says all there is. */
const char *mbk_why(const mbk_ctx *ctx);

/* Bytes that a CPU level needs for a matrix, scales included; what mbk_weight_bytes says of it when it is prepared. 0
 * where they are too many. */
size_t mbk_weight_room(int64_t n_out, int64_t n_in, mbk_format format);
/* Bytes that a prepared weight holds, scales included. */
size_t mbk_weight_bytes(const mbk_weight *w);
/* How it is held: bf16 also where f32 was asked for under bf16 math. */
mbk_dtype mbk_weight_dtype(const mbk_weight *w);
const char *mbk_dtype_name(mbk_dtype dtype); /* "f32", "bf16", "int8" */
const char *mbk_math_name(mbk_math math);    /* "f32", "bf16", "int16", "int8" */

/* Exact size of a buffer, for tests and accounting. */
size_t mbk_buf_bytes(const mbk_buf *buf);

#ifdef __cplusplus
}
#endif
#endif
