/* weight.c - packs matrices into panels, as f32, bf16 or int8, and reads their rows back. */
#include <math.h>
#include <stdlib.h>

#include "cpu/cpu.h"

static void pack_f32(const mbk_weight *p, const float *row, int64_t r) {
    float *to = (float *)(void *)p->data + r / MBK_PANEL * p->n_in * MBK_PANEL + r % MBK_PANEL;
    for (int64_t k = 0; k < p->n_in; k++) {
        to[k * MBK_PANEL] = row[k];
    }
}

static uint16_t *bf16_at(const mbk_weight *p, int64_t r) {
    return (uint16_t *)(void *)p->data + r / MBK_PANEL * ((p->n_in + 1) / 2) * MBK_PANEL * 2 + r % MBK_PANEL * 2;
}

static mbk_status pack_bf16(const mbk_weight *p, const float *row, int64_t r) {
    uint16_t *to = bf16_at(p, r);
    int fine = 1;
    for (int64_t k = 0; k < p->n_in; k++) {
        uint16_t h = bf16_round(row[k]);
        fine &= (h & 0x7f80u) != 0x7f80u;
        to[k / 2 * MBK_PANEL * 2 + k % 2] = h;
    }
    return fine ? MBS_OK : MBS_ERR_DATA;
}

/* max / 127, one step higher where it is so small that its own rounding would push a number beyond 127. */
static float scale_for(float max) {
    float scale = max / 127.0f;
    return (double)scale * 127.4 < (double)max ? nextafterf(scale, INFINITY) : scale;
}

static mbk_status pack_i8(const mbk_weight *p, const float *row, int64_t r) {
    int8_t *to = (int8_t *)(void *)p->data + i8_first(p, r);
    float max = 0.0f;
    for (int64_t k = 0; k < p->n_in; k++) {
        float size = fabsf(row[k]);
        if (!(size < INFINITY)) {
            return MBS_ERR_DATA;
        }
        max = size > max ? size : max;
    }
    float scale = max > 0.0f ? scale_for(max) : 0.0f;
    p->scale[r] = scale;
    for (int64_t k = 0; k < p->n_in; k++) {
        to[i8_step(p, k)] = scale > 0.0f ? (int8_t)nearbyint((double)row[k] / (double)scale) : 0;
    }
    return MBS_OK;
}

static mbk_status pack_row(const mbk_weight *p, const float *row, int64_t r) {
    switch (p->head.dtype) {
    case MBK_BF16:
        return pack_bf16(p, row, r);
    case MBK_I8:
        return pack_i8(p, row, r);
    case MBK_F32:
    default:
        pack_f32(p, row, r);
        return MBS_OK;
    }
}

static mbk_status pack(const mbk_weight *p, const float *w) {
    mbk_status st = MBS_OK;
    for (int64_t r = 0; r < p->n_out && st >= 0; r++) {
        st = pack_row(p, w + r * p->n_in, r);
    }
    return st;
}

static void weight_free(mbk_ctx *ctx, mbk_weight *w) {
    (void)ctx;
    if (w) {
        mbk_give_back(w->data, w->head.bytes);
        free(w);
    }
}

/* Sizes and how it is held; 0 where that does not fit a size_t. */
static int measure(mbk_weight *w, int64_t n_out, int64_t n_in, mbk_format format) {
    w->n_out = n_out;
    w->n_in = n_in;
    w->panels = (n_out - 1) / MBK_PANEL + 1;
    w->math = format.math;
    w->head.dtype = format.dtype == MBK_F32 && format.math == MBK_MATH_BF16 ? MBK_BF16 : format.dtype;
    size_t lines = (size_t)w->n_in;
    size_t line = MBK_PANEL * sizeof(float);
    if (w->head.dtype == MBK_BF16) {
        lines = (lines + 1) / 2;
    } else if (w->head.dtype == MBK_I8) {
        lines = (size_t)whole_depth(n_in, i8_lanes(w));
        line = (size_t)i8_lanes(w) * MBK_PANEL;
    }
    if (__builtin_mul_overflow(lines, line, &w->panel_bytes) ||
        __builtin_mul_overflow(w->panel_bytes, (size_t)w->panels, &w->bytes)) {
        return 0;
    }
    size_t scales = w->head.dtype == MBK_I8 ? (size_t)w->panels * MBK_PANEL * sizeof(float) : 0;
    return !__builtin_add_overflow(w->bytes, scales, &w->head.bytes) && w->head.bytes <= SIZE_MAX - 64;
}

static mbk_status prepare(mbk_ctx *ctx, const float *w, int64_t n_out, int64_t n_in, mbk_format format,
                          mbk_weight **out) {
    *out = NULL;
    assert(n_out > 0 && n_in > 0);
    if (mbk_math_whole(format.math) && format.dtype != MBK_I8) {
        return MBS_ERR_UNAVAILABLE;
    }
    mbk_weight *packed = calloc(1, sizeof *packed);
    if (!packed) {
        return MBS_ERR_MEMORY;
    }
    packed->data = measure(packed, n_out, n_in, format) ? mbk_zeroed(cpu_of(ctx)->pages, packed->head.bytes) : NULL;
    if (packed->data && packed->head.dtype == MBK_I8) {
        packed->scale = (float *)(void *)(packed->data + packed->bytes);
    }
    mbk_status st = packed->data ? pack(packed, w) : MBS_ERR_MEMORY;
    if (st < 0) {
        weight_free(ctx, packed);
        return st;
    }
    *out = packed;
    return MBS_OK;
}

/* Sixteen columns of src become a panel: whole lines of it are copied. */
static void turn_f32(const mbk_weight *w, const float *src, int64_t ld, int64_t p, int64_t live) {
    float *to = (float *)(void *)w->data + p * w->n_in * MBK_PANEL;
    for (int64_t k = 0; k < w->n_in; k++) {
        memcpy(to + k * MBK_PANEL, src + k * ld + p * MBK_PANEL, (size_t)live * sizeof(float));
    }
}

static int turn_bf16(const mbk_weight *w, const float *src, int64_t ld, int64_t p, int64_t live) {
    uint16_t *to = bf16_at(w, p * MBK_PANEL);
    int fine = 1;
    for (int64_t k = 0; k < w->n_in; k++) {
        const float *from = src + k * ld + p * MBK_PANEL;
        uint16_t *pair = to + k / 2 * MBK_PANEL * 2 + k % 2;
        for (int64_t j = 0; j < live; j++) {
            uint16_t h = bf16_round(from[j]);
            fine &= (h & 0x7f80u) != 0x7f80u;
            pair[2 * j] = h;
        }
    }
    return fine;
}

typedef struct repack_run {
    const mbk_weight *w;
    const float *src;
    int64_t ld;
    int transposed;
    _Atomic int bad; /* a number that the type cannot hold */
} repack_run;

/* Units are panels. */
static void repack_range(void *arg, int64_t from, int64_t to) {
    repack_run *run = arg;
    const mbk_weight *w = run->w;
    for (int64_t p = from; p < to; p++) {
        int64_t live = w->n_out - p * MBK_PANEL < MBK_PANEL ? w->n_out - p * MBK_PANEL : MBK_PANEL;
        if (!run->transposed) {
            for (int64_t r = p * MBK_PANEL; r < p * MBK_PANEL + live; r++) {
                if (pack_row(w, run->src + r * run->ld, r) < 0) {
                    run->bad = 1;
                }
            }
        } else if (w->head.dtype == MBK_F32) {
            turn_f32(w, run->src, run->ld, p, live);
        } else if (!turn_bf16(w, run->src, run->ld, p, live)) {
            run->bad = 1;
        }
    }
}

static mbk_status repack_turned_i8(cpu_ctx *cpu, const mbk_weight *w, const float *src, int64_t ld) {
    if ((size_t)w->n_in > cpu->scratch_size / sizeof(float)) {
        return MBS_ERR_INTERNAL; /* such columns were not reserved */
    }
    float *row = cpu->scratch;
    mbk_status st = MBS_OK;
    for (int64_t r = 0; r < w->n_out && st >= 0; r++) {
        for (int64_t k = 0; k < w->n_in; k++) {
            row[k] = src[k * ld + r];
        }
        st = pack_row(w, row, r);
    }
    return st;
}

static mbk_status repack(mbk_ctx *ctx, mbk_weight *w, mbk_mat src, int32_t transposed) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(src.rows == (transposed ? w->n_in : w->n_out) && src.cols == (transposed ? w->n_out : w->n_in));
    if (transposed && w->head.dtype == MBK_I8) {
        return repack_turned_i8(cpu, w, at(&src), src.ld);
    }
    repack_run run = {.w = w, .src = at(&src), .ld = src.ld, .transposed = transposed};
    mbk_ranges(cpu, w->panels, 1, w->n_out * w->n_in / 4, repack_range, &run);
    return run.bad ? MBS_ERR_DATA : MBS_OK;
}

void mbk_weight_row(const mbk_weight *w, int64_t row, float *out) {
    assert(row >= 0 && row < w->n_out);
    const float *f = (const float *)(const void *)w->data + row / MBK_PANEL * w->n_in * MBK_PANEL + row % MBK_PANEL;
    const int8_t *q = (const int8_t *)w->data + i8_first(w, row);
    const uint16_t *h = bf16_at(w, row);
    for (int64_t k = 0; k < w->n_in; k++) {
        switch (w->head.dtype) {
        case MBK_BF16:
            out[k] = bf16_widen(h[k / 2 * MBK_PANEL * 2 + k % 2]);
            break;
        case MBK_I8:
            out[k] = (float)q[i8_step(w, k)] * w->scale[row];
            break;
        case MBK_F32:
        default:
            out[k] = f[k * MBK_PANEL];
            break;
        }
    }
}

size_t mbk_weight_room(int64_t n_out, int64_t n_in, mbk_format format) {
    mbk_weight w = {0};
    return measure(&w, n_out, n_in, format) ? w.head.bytes : 0;
}

void mbk_weight_ops(mbk_ops *ops) {
    ops->prepare = prepare;
    ops->weight_free = weight_free;
    ops->repack = repack;
}
