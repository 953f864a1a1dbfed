/*
 * backend.c - the backend of tests: computes as a CPU level does, but its buffers are mappings without any access
 * except inside an operation, which opens exactly the buffers that it was given: inputs for reading, outputs for
 * writing too. So host code that peeks at tensor memory faults, as it would on a device. The data ends at a page that
 * is never opened.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/cpu.h"

typedef struct test_ctx {
    mbk_ctx base;
    mbk_ctx *inner;
} test_ctx;

static mbk_ctx *inner_of(mbk_ctx *ctx) {
    return ((test_ctx *)(void *)ctx)->inner;
}

/* Buffers of one operation: the first `outs` are written. Absent ones are NULL. */
#define LENT_MAX 20
typedef struct lent {
    mbk_buf *buf[LENT_MAX];
    int outs;
    int count;
} lent;

static mbk_status set_access(mbk_buf *buf, int prot) {
    if (!buf) {
        return MBS_OK;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return mprotect((unsigned char *)buf->map + page, buf->map_bytes - 2 * page, prot) ? MBS_ERR_INTERNAL : MBS_OK;
}

static mbk_status lend(const lent *l) {
    /* Outputs last: a buffer may be both. */
    for (int i = l->count - 1; i >= 0; i--) {
        mbk_status st = set_access(l->buf[i], i < l->outs ? PROT_READ | PROT_WRITE : PROT_READ);
        if (st < 0) {
            return st;
        }
    }
    return MBS_OK;
}

static mbk_status take_back(const lent *l, mbk_status result) {
    for (int i = 0; i < l->count; i++) {
        mbk_status st = set_access(l->buf[i], PROT_NONE);
        result = result < 0 || st >= 0 ? result : st;
    }
    return result;
}

/* Runs CALL on the inner context with the buffers of L open. */
#define WITH(L, CALL)                                                                                                  \
    do {                                                                                                               \
        mbk_ctx *in = inner_of(ctx);                                                                                   \
        mbk_status st = lend(&(L));                                                                                    \
        return take_back(&(L), st < 0 ? st : in->ops->CALL);                                                           \
    } while (0)

static mbk_status buf_new(mbk_ctx *ctx, size_t bytes, mbk_buf **out) {
    (void)ctx;
    *out = NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes > SIZE_MAX / 2) {
        return MBS_ERR_MEMORY;
    }
    size_t room = bytes ? (bytes + 63) / 64 * 64 : 64;
    mbk_buf *buf = calloc(1, sizeof *buf);
    if (!buf) {
        return MBS_ERR_MEMORY;
    }
    buf->head.bytes = bytes;
    buf->map_bytes = (room + page - 1) / page * page + 2 * page;
    buf->map = mmap(NULL, buf->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buf->map == MAP_FAILED) {
        free(buf);
        return MBS_ERR_MEMORY;
    }
    buf->data = (unsigned char *)buf->map + buf->map_bytes - page - room;
    *out = buf;
    return MBS_OK;
}

static void buf_free(mbk_ctx *ctx, mbk_buf *buf) {
    (void)ctx;
    if (buf) {
        munmap(buf->map, buf->map_bytes);
        free(buf);
    }
}

static mbk_status upload(mbk_ctx *ctx, mbk_buf *dst, size_t off, const void *src, size_t bytes) {
    lent l = {{dst}, 1, 1};
    WITH(l, upload(in, dst, off, src, bytes));
}

static mbk_status download(mbk_ctx *ctx, void *dst, mbk_buf *src, size_t off, size_t bytes) {
    lent l = {{src}, 0, 1};
    WITH(l, download(in, dst, src, off, bytes));
}

static mbk_status copy(mbk_ctx *ctx, mbk_mat dst, mbk_mat src) {
    lent l = {{dst.buf, src.buf}, 1, 2};
    WITH(l, copy(in, dst, src));
}

static mbk_status zero(mbk_ctx *ctx, mbk_mat dst) {
    lent l = {{dst.buf}, 1, 1};
    WITH(l, zero(in, dst));
}

static mbk_status sync_inner(mbk_ctx *ctx) {
    return inner_of(ctx)->ops->sync(inner_of(ctx));
}

static mbk_status reserve(mbk_ctx *ctx, int64_t rows, int64_t cols) {
    return inner_of(ctx)->ops->reserve(inner_of(ctx), rows, cols);
}

static mbk_status prepare(mbk_ctx *ctx, const float *w, int64_t n_out, int64_t n_in, mbk_format format,
                          mbk_weight **out) {
    return inner_of(ctx)->ops->prepare(inner_of(ctx), w, n_out, n_in, format, out);
}

static void weight_free(mbk_ctx *ctx, mbk_weight *w) {
    inner_of(ctx)->ops->weight_free(inner_of(ctx), w);
}

static mbk_status gemm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, const mbk_weight *w, mbk_mat bias, int32_t accumulate) {
    lent l = {{y.buf, x.buf, bias.buf}, 1, 3};
    WITH(l, gemm(in, y, x, w, bias, accumulate));
}

static mbk_status embed(mbk_ctx *ctx, mbk_mat y, const mbk_weight *table, mbk_buf *ids, int64_t ids_off) {
    lent l = {{y.buf, ids}, 1, 2};
    WITH(l, embed(in, y, table, ids, ids_off));
}

static mbk_status rmsnorm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, float eps) {
    lent l = {{y.buf, x.buf, w.buf}, 1, 3};
    WITH(l, rmsnorm(in, y, x, w, eps));
}

static mbk_status layernorm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat b, float eps) {
    lent l = {{y.buf, x.buf, w.buf, b.buf}, 1, 4};
    WITH(l, layernorm(in, y, x, w, b, eps));
}

static mbk_status add(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r) {
    lent l = {{y.buf, x.buf, r.buf}, 1, 3};
    WITH(l, add(in, y, x, r));
}

static mbk_status conv1d_silu(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat bias, mbk_mat state,
                              mbk_starts starts) {
    lent l = {{y.buf, state.buf, x.buf, w.buf, bias.buf, starts.n ? starts.buf : NULL}, 2, 6};
    WITH(l, conv1d_silu(in, y, x, w, bias, state, starts));
}

static mbk_status selective_scan(mbk_ctx *ctx, const mbk_scan_args *s) {
    lent l = {{s->y.buf, s->state.buf, s->u.buf, s->dt.buf, s->b.buf, s->c.buf, s->z.buf, s->a.buf, s->d.buf,
               s->bias.buf, s->starts.n ? s->starts.buf : NULL},
              2,
              11};
    if (s->saved.buf) {
        memmove(l.buf + 1, l.buf, (size_t)l.count * sizeof *l.buf);
        l.buf[0] = s->saved.buf;
        l.outs++;
        l.count++;
    }
    WITH(l, selective_scan(in, s));
}

static mbk_status mamba1(mbk_ctx *ctx, const mbk_mamba1_args *s) {
    lent l = {{s->out.buf, s->conv_state.buf, s->state.buf, s->in.buf, s->conv_w.buf, s->conv_b.buf, s->dt_bias.buf,
               s->a.buf, s->d.buf, s->starts.n ? s->starts.buf : NULL},
              3,
              10};
    WITH(l, mamba1(in, s));
}

static mbk_status ssd(mbk_ctx *ctx, const mbk_ssd_args *s) {
    lent l = {{s->y.buf, s->state.buf, s->open_x.buf, s->open_b.buf, s->open_lam.buf, s->x.buf, s->dt.buf, s->b.buf,
               s->c.buf, s->a.buf, s->d.buf, s->bias.buf, s->starts.n ? s->starts.buf : NULL},
              5,
              13};
    if (s->saved.buf) {
        memmove(l.buf + 1, l.buf, (size_t)l.count * sizeof *l.buf);
        l.buf[0] = s->saved.buf;
        l.outs++;
        l.count++;
    }
    WITH(l, ssd(in, s));
}

static mbk_status ssd_grad(mbk_ctx *ctx, const mbk_ssd_grad_args *s) {
    lent l = {{s->dx.buf, s->ddt.buf, s->db.buf, s->dc.buf, s->da.buf, s->dd.buf, s->dbias.buf, s->dstate.buf,
               s->dy.buf, s->x.buf, s->dt.buf, s->b.buf, s->c.buf, s->a.buf, s->d.buf, s->bias.buf, s->saved.buf,
               s->starts.n ? s->starts.buf : NULL},
              8,
              18};
    WITH(l, ssd_grad(in, s));
}

static mbk_status gate_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dy, mbk_mat x, mbk_mat z) {
    lent l = {{dx.buf, dz.buf, dy.buf, x.buf, z.buf}, 2, 5};
    WITH(l, gate_grad(in, dx, dz, dy, x, z));
}

static mbk_status rmsnorm_gated_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat z,
                                     mbk_mat w, float eps, int64_t group, int32_t norm_first) {
    lent l = {{dx.buf, dz.buf, dw.buf, dy.buf, x.buf, z.buf, w.buf}, 3, 7};
    WITH(l, rmsnorm_gated_grad(in, dx, dz, dw, dy, x, z, w, eps, group, norm_first));
}

static mbk_status gate(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z) {
    lent l = {{y.buf, x.buf, z.buf}, 1, 3};
    WITH(l, gate(in, y, x, z));
}

static mbk_status rmsnorm_gated(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z, mbk_mat w, float eps, int64_t group,
                                int32_t norm_first) {
    lent l = {{y.buf, x.buf, z.buf, w.buf}, 1, 4};
    WITH(l, rmsnorm_gated(in, y, x, z, w, eps, group, norm_first));
}

static mbk_status logprob(mbk_ctx *ctx, mbk_mat lp, mbk_mat logits, mbk_buf *ids, int64_t ids_off) {
    lent l = {{lp.buf, logits.buf, ids}, 1, 3};
    WITH(l, logprob(in, lp, logits, ids, ids_off));
}

static mbk_status row_sum(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x) {
    lent l = {{acc, x.buf}, 1, 2};
    WITH(l, row_sum(in, acc, off, x));
}

static mbk_status repack(mbk_ctx *ctx, mbk_weight *w, mbk_mat src, int32_t transposed) {
    lent l = {{src.buf}, 0, 1};
    WITH(l, repack(in, w, src, transposed));
}

static mbk_status weight_grad(mbk_ctx *ctx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_math math) {
    lent l = {{dw.buf, dy.buf, x.buf}, 1, 3};
    WITH(l, weight_grad(in, dw, dy, x, math));
}

static mbk_status bias_grad(mbk_ctx *ctx, mbk_mat db, mbk_mat dy) {
    lent l = {{db.buf, dy.buf}, 1, 2};
    WITH(l, bias_grad(in, db, dy));
}

static mbk_status embed_grad(mbk_ctx *ctx, mbk_mat dtable, mbk_mat dy, mbk_buf *ids, int64_t ids_off) {
    lent l = {{dtable.buf, dy.buf, ids}, 1, 3};
    WITH(l, embed_grad(in, dtable, dy, ids, ids_off));
}

static mbk_status rmsnorm_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat w, float eps,
                               int32_t accumulate) {
    lent l = {{dx.buf, dw.buf, dy.buf, x.buf, w.buf}, 2, 5};
    WITH(l, rmsnorm_grad(in, dx, dw, dy, x, w, eps, accumulate));
}

static mbk_status layernorm_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat db, mbk_mat dy, mbk_mat x, mbk_mat w,
                                 float eps, int32_t accumulate) {
    lent l = {{dx.buf, dw.buf, db.buf, dy.buf, x.buf, w.buf}, 3, 6};
    WITH(l, layernorm_grad(in, dx, dw, db, dy, x, w, eps, accumulate));
}

static mbk_status conv1d_silu_grad(mbk_ctx *ctx, const mbk_conv_grad_args *s) {
    lent l = {{s->dx.buf, s->dw.buf, s->dbias.buf, s->dstate.buf, s->dy.buf, s->x.buf, s->w.buf, s->bias.buf,
               s->state.buf, s->starts.n ? s->starts.buf : NULL},
              4,
              10};
    WITH(l, conv1d_silu_grad(in, s));
}

static mbk_status selective_scan_grad(mbk_ctx *ctx, const mbk_scan_grad_args *s) {
    lent l = {{s->du.buf, s->ddt.buf, s->dz.buf,    s->db.buf,     s->dc.buf,
               s->da.buf, s->dd.buf,  s->dbias.buf, s->dstate.buf, s->dy.buf,
               s->u.buf,  s->dt.buf,  s->b.buf,     s->c.buf,      s->z.buf,
               s->a.buf,  s->d.buf,   s->bias.buf,  s->saved.buf,  s->starts.n ? s->starts.buf : NULL},
              9,
              20};
    WITH(l, selective_scan_grad(in, s));
}

static mbk_status cross_entropy(mbk_ctx *ctx, mbk_mat loss, mbk_mat dlogits, mbk_mat logits, mbk_mat weight,
                                mbk_buf *ids, int64_t ids_off, float scale) {
    lent l = {{loss.buf, dlogits.buf, logits.buf, weight.buf, ids}, 2, 5};
    WITH(l, cross_entropy(in, loss, dlogits, logits, weight, ids, ids_off, scale));
}

static mbk_status hits(mbk_ctx *ctx, mbk_mat hit, mbk_mat logits, mbk_buf *ids, int64_t ids_off) {
    lent l = {{hit.buf, logits.buf, ids}, 1, 3};
    WITH(l, hits(in, hit, logits, ids, ids_off));
}

static mbk_status mul(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r) {
    lent l = {{y.buf, x.buf, r.buf}, 1, 3};
    WITH(l, mul(in, y, x, r));
}

static mbk_status neg_exp(mbk_ctx *ctx, mbk_mat y, mbk_mat x) {
    lent l = {{y.buf, x.buf}, 1, 2};
    WITH(l, neg_exp(in, y, x));
}

static mbk_status sum_squares(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x) {
    lent l = {{acc, x.buf}, 1, 2};
    WITH(l, sum_squares(in, acc, off, x));
}

static mbk_status adamw(mbk_ctx *ctx, const mbk_adamw_args *s) {
    lent l = {{s->w.buf, s->m.buf, s->v.buf, s->g.buf}, 3, 4};
    WITH(l, adamw(in, s));
}

static void close_test(mbk_ctx *ctx) {
    mbk_close(inner_of(ctx));
    free(ctx);
}

static const char *arithmetic(const mbk_ctx *ctx, mbk_math math) {
    return mbk_arithmetic(((const test_ctx *)(const void *)ctx)->inner, math);
}

static mbk_status attention(mbk_ctx *ctx, const mbk_attention_args *s) {
    lent l = {{s->y.buf, s->q.buf, s->k.buf, s->cache_k.buf, s->cache_v.buf, s->saved.buf, s->v.buf,
               s->starts.n ? s->starts.buf : NULL},
              6,
              8};
    WITH(l, attention(in, s));
}

static mbk_status attention_grad(mbk_ctx *ctx, const mbk_attention_grad_args *s) {
    lent l = {{s->dq.buf, s->dk.buf, s->dv.buf, s->dcache_k.buf, s->dcache_v.buf, s->dy.buf, s->y.buf, s->q.buf,
               s->k.buf, s->v.buf, s->cache_k.buf, s->cache_v.buf, s->saved.buf, s->starts.n ? s->starts.buf : NULL},
              5,
              14};
    WITH(l, attention_grad(in, s));
}

static mbk_status lti(mbk_ctx *ctx, const mbk_lti_args *s) {
    lent l = {{s->y.buf, s->state.buf, s->saved.buf, s->u.buf, s->a.buf, s->b.buf, s->w.buf, s->f.buf, s->g.buf,
               s->d.buf, s->starts.n ? s->starts.buf : NULL},
              3,
              11};
    WITH(l, lti(in, s));
}

static mbk_status lti_grad(mbk_ctx *ctx, const mbk_lti_grad_args *s) {
    lent l = {{s->du.buf, s->da.buf, s->db.buf, s->dw.buf, s->df.buf, s->dg.buf, s->dd.buf, s->dstate.buf, s->work.buf,
               s->dy.buf, s->u.buf, s->a.buf, s->b.buf, s->w.buf, s->f.buf, s->g.buf, s->d.buf, s->saved.buf,
               s->starts.n ? s->starts.buf : NULL},
              9,
              19};
    WITH(l, lti_grad(in, s));
}

static mbk_status discretize(mbk_ctx *ctx, const mbk_discretize_args *s) {
    lent l = {{s->a.buf, s->b.buf, s->w.buf, s->f.buf, s->g.buf, s->log_dt.buf, s->a_log.buf, s->a_im.buf, s->in_b.buf,
               s->in_c.buf, s->p.buf},
              5,
              11};
    WITH(l, discretize(in, s));
}

static mbk_status discretize_grad(mbk_ctx *ctx, const mbk_discretize_grad_args *s) {
    const mbk_discretize_args *of = &s->of;
    lent l = {{s->dlog_dt.buf, s->da_log.buf, s->da_im.buf, s->din_b.buf, s->din_c.buf, s->dp.buf, s->da.buf, s->db.buf,
               s->dw.buf, s->df.buf, s->dg.buf, of->log_dt.buf, of->a_log.buf, of->a_im.buf, of->in_b.buf, of->in_c.buf,
               of->p.buf},
              6,
              17};
    WITH(l, discretize_grad(in, s));
}

static mbk_status fir(mbk_ctx *ctx, const mbk_fir_args *s) {
    lent l = {{s->y.buf, s->ring.buf, s->ahead.buf, s->work.buf, s->x.buf, s->w.buf, s->bias.buf, s->spectra.buf,
               s->starts.n ? s->starts.buf : NULL},
              4,
              9};
    WITH(l, fir(in, s));
}

static mbk_status fir_spectra(mbk_ctx *ctx, mbk_mat spectra, mbk_mat w, mbk_mat work) {
    lent l = {{spectra.buf, work.buf, w.buf}, 2, 3};
    WITH(l, fir_spectra(in, spectra, w, work));
}

static mbk_status fir_grad(mbk_ctx *ctx, const mbk_fir_grad_args *s) {
    lent l = {{s->dx.buf, s->dw.buf, s->dbias.buf, s->dring.buf, s->work.buf, s->dy.buf, s->x.buf, s->w.buf,
               s->ring.buf, s->starts.n ? s->starts.buf : NULL},
              5,
              10};
    WITH(l, fir_grad(in, s));
}

static mbk_status rnn(mbk_ctx *ctx, const mbk_rnn_args *s) {
    lent l = {
        {s->y.buf, s->state.buf, s->work.buf, s->saved.buf, s->x.buf, s->bias.buf, s->starts.n ? s->starts.buf : NULL},
        4,
        7};
    WITH(l, rnn(in, s));
}

static mbk_status rnn_grad(mbk_ctx *ctx, const mbk_rnn_grad_args *s) {
    lent l = {
        {s->dx.buf, s->dh.buf, s->dstate.buf, s->work.buf, s->dy.buf, s->saved.buf, s->starts.n ? s->starts.buf : NULL},
        4,
        7};
    WITH(l, rnn_grad(in, s));
}

static mbk_status unary(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat scale, mbk_function function) {
    lent l = {{y.buf, x.buf, scale.buf}, 1, 3};
    WITH(l, unary(in, y, x, scale, function));
}

static mbk_status unary_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dscale, mbk_mat dy, mbk_mat x, mbk_mat scale,
                             mbk_function function) {
    lent l = {{dx.buf, dscale.buf, dy.buf, x.buf, scale.buf}, 2, 5};
    WITH(l, unary_grad(in, dx, dscale, dy, x, scale, function));
}

static mbk_status glu(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z) {
    lent l = {{y.buf, x.buf, z.buf}, 1, 3};
    WITH(l, glu(in, y, x, z));
}

static mbk_status glu_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dy, mbk_mat x, mbk_mat z) {
    lent l = {{dx.buf, dz.buf, dy.buf, x.buf, z.buf}, 2, 5};
    WITH(l, glu_grad(in, dx, dz, dy, x, z));
}

static const mbk_ops test_ops = {
    .name = "test",
    .device = "cpu",
    .pace = MBK_CPU_PACE,
    .close = close_test,
    .arithmetic = arithmetic,
    .buf_new = buf_new,
    .buf_free = buf_free,
    .upload = upload,
    .download = download,
    .copy = copy,
    .zero = zero,
    .sync = sync_inner,
    .reserve = reserve,
    .prepare = prepare,
    .weight_free = weight_free,
    .gemm = gemm,
    .embed = embed,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .add = add,
    .conv1d_silu = conv1d_silu,
    .selective_scan = selective_scan,
    .mamba1 = mamba1,
    .ssd = ssd,
    .ssd_grad = ssd_grad,
    .gate_grad = gate_grad,
    .rmsnorm_gated_grad = rmsnorm_gated_grad,
    .gate = gate,
    .rmsnorm_gated = rmsnorm_gated,
    .logprob = logprob,
    .row_sum = row_sum,
    .repack = repack,
    .weight_grad = weight_grad,
    .bias_grad = bias_grad,
    .embed_grad = embed_grad,
    .rmsnorm_grad = rmsnorm_grad,
    .layernorm_grad = layernorm_grad,
    .conv1d_silu_grad = conv1d_silu_grad,
    .selective_scan_grad = selective_scan_grad,
    .cross_entropy = cross_entropy,
    .hits = hits,
    .mul = mul,
    .neg_exp = neg_exp,
    .sum_squares = sum_squares,
    .adamw = adamw,
    .attention = attention,
    .attention_grad = attention_grad,
    .lti = lti,
    .lti_grad = lti_grad,
    .discretize = discretize,
    .discretize_grad = discretize_grad,
    .fir = fir,
    .fir_spectra = fir_spectra,
    .fir_grad = fir_grad,
    .rnn = rnn,
    .rnn_grad = rnn_grad,
    .unary = unary,
    .unary_grad = unary_grad,
    .glu = glu,
    .glu_grad = glu_grad,
};

mbk_status mbk_test_open(mbk_level level, mbk_ctx **out) {
    *out = NULL;
    test_ctx *test = calloc(1, sizeof *test);
    if (!test) {
        return MBS_ERR_MEMORY;
    }
    mbk_status st = mbk_cpu_open(level, NULL, &test->inner);
    if (st < 0) {
        free(test);
        return st;
    }
    test->base.ops = &test_ops;
    *out = &test->base;
    return MBS_OK;
}
