/* gemm.c - y = x W^T [scaled] [+ bias] [+ y]: one sum per output, over k in index order. */
#include <math.h>

#include "ref/ref.h"

/* The weights of a panel at k, widened; int8 without its scale. */
static void panel_line(float *line, const mbk_weight *w, int64_t p, int64_t k) {
    const unsigned char *panel = w->data + (size_t)p * w->panel_bytes;
    for (int64_t j = 0; j < MBK_PANEL; j++) {
        switch (w->head.dtype) {
        case MBK_BF16:
            line[j] = bf16_widen(((const uint16_t *)(const void *)panel)[(k / 2 * MBK_PANEL + j) * 2 + k % 2]);
            break;
        case MBK_I8:
            line[j] = (float)((const int8_t *)panel)[k * MBK_PANEL + j];
            break;
        case MBK_F32:
        default:
            line[j] = ((const float *)(const void *)panel)[k * MBK_PANEL + j];
            break;
        }
    }
}

/* The outputs of a panel are summed side by side, each in its own order, so that a compiler may use its vectors. */
static void panel_row(float *sum, const float *x, const mbk_weight *w, int64_t p) {
    for (int j = 0; j < MBK_PANEL; j++) {
        sum[j] = 0.0f;
    }
    for (int64_t k = 0; k < w->n_in; k++) {
        float line[MBK_PANEL];
        panel_line(line, w, p, k);
        for (int j = 0; j < MBK_PANEL; j++) {
            sum[j] += x[k] * line[j];
        }
    }
}

/* Scales, adds bias and the old y, in this order. */
static void finish(const gemm_job *job, int64_t r, int64_t p, const float *sum) {
    const mbk_weight *w = job->w;
    int64_t first = p * MBK_PANEL;
    int64_t live = w->n_out - first < MBK_PANEL ? w->n_out - first : MBK_PANEL;
    float *y = job->y + r * job->ldy + first;
    for (int64_t j = 0; j < live; j++) {
        float v = w->scale ? sum[j] * w->scale[first + j] : sum[j];
        if (job->bias) {
            v += job->bias[first + j];
        }
        y[j] = job->accumulate ? v + y[j] : v;
    }
}

void ref_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    const mbk_weight *w = job->w;
    for (int64_t p = p0; p < p1; p++) {
        for (int64_t r = r0; r < r1; r++) {
            float sum[MBK_PANEL];
            panel_row(sum, job->x + r * job->ldx, w, p);
            finish(job, r, p, sum);
        }
    }
}

/* Element k of words that hold so many whole numbers each. */
static int32_t whole_at(const float *words, int lanes, int64_t k) {
    return lanes == 2 ? ((const int16_t *)(const void *)words)[k] : ((const int8_t *)(const void *)words)[k];
}

/* A panel's sums of whole numbers over the columns [k0, k1) of a part. */
static void part_row(int32_t *sum, const float *words, const mbk_weight *w, int64_t p, int64_t k0, int64_t k1) {
    const int lanes = i8_lanes(w);
    const int8_t *q = (const int8_t *)w->data + i8_first(w, p * MBK_PANEL);
    for (int j = 0; j < MBK_PANEL; j++) {
        sum[j] = 0;
    }
    for (int64_t k = k0; k < k1; k++) {
        const int32_t x = whole_at(words, lanes, k);
        for (int j = 0; j < MBK_PANEL; j++) {
            sum[j] += x * q[i8_step(w, k) + lanes * j];
        }
    }
}

static void gemm_whole(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1, int64_t columns) {
    const int64_t n = job->w->n_in;
    for (int64_t p = p0; p < p1; p++) {
        for (int64_t r = r0; r < r1; r++) {
            const float *words = job->x + r * job->ldx;
            const float *scale = words + job->depth;
            float sum[MBK_PANEL] = {0};
            for (int64_t k = 0; k < n; k += columns, scale++) {
                int32_t part[MBK_PANEL];
                part_row(part, words, job->w, p, k, k + columns < n ? k + columns : n);
                for (int j = 0; j < MBK_PANEL; j++) {
                    sum[j] = fmaf((float)part[j], *scale, sum[j]);
                }
            }
            finish(job, r, p, sum);
        }
    }
}

void ref_gemm_i16(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    gemm_whole(job, r0, r1, p0, p1, MBK_I16_PART);
}

void ref_gemm_i8(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    gemm_whole(job, r0, r1, p0, p1, MBK_I8_PART);
}

/* What the n numbers of a part are multiplied with; 0: they count as zeros. */
static float part_factor(const float *x, int64_t n, float largest, float *scale) {
    uint32_t max = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffffu;
        max = bits > max ? bits : max;
    }
    return whole_factor(max, largest, scale);
}

/* Parts of so many columns as words of so many whole numbers; behind the last one zeros fill its word. */
static void quantize(float *words, const float *x, int64_t n, int lanes, int64_t columns, float largest) {
    float *scale = words + whole_depth(n, lanes);
    for (int64_t k = 0; k < n; k += columns, scale++) {
        const int64_t end = k + columns < n ? k + columns : n;
        const float factor = part_factor(x + k, end - k, largest, scale);
        for (int64_t i = k; i < (end + lanes - 1) / lanes * lanes; i++) {
            const float whole = factor > 0.0f && i < end ? nearbyintf(x[i] * factor) : 0.0f;
            if (lanes == 2) {
                ((int16_t *)(void *)words)[i] = (int16_t)whole;
            } else {
                ((int8_t *)(void *)words)[i] = (int8_t)whole;
            }
        }
    }
}

void ref_quantize_i16(float *words, const float *x, int64_t n) {
    quantize(words, x, n, 2, MBK_I16_PART, 32767.0f);
}

void ref_quantize_i8(float *words, const float *x, int64_t n) {
    quantize(words, x, n, 4, MBK_I8_PART, 127.0f);
}

void ref_round(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = bf16_widen(bf16_round(x[i]));
    }
}
