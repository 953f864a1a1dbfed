/* level.c - the table of this level: 8 floats a vector. */
#include <math.h>

#include "cpu/avx2/avx2.h"
#include "cpu/avx2/vec.h"
#include "cpu/simd/unroll.h"
#include "ref/math.h"
#include "ref/ref.h"

#define BESIDE 4
#define BLOCKS_BESIDE 2
#include "cpu/simd/math.h"
#include "cpu/simd/rows.h"
#include "cpu/simd/sequence.h"
#include "cpu/simd/sequence_grad.h"
#include "cpu/simd/train.h"

/* After the blocks of sequence_grad.h. */
#include "cpu/simd/family.h"
#include "cpu/simd/fft.h"

/* 6 rows x 2 vectors of sums, two of the right side and one of the left. */
#define SSD_WIDE 2
#include "cpu/simd/ssd.h"

/* 6 rows x 2 vectors of sums, two of x and one of dy. */
#define GRAD_TALL 6
#define GRAD_TILES X(1) X(2) X(3) X(4) X(5) X(6)
#define GRAD_MUL_ADD v_fma_to
#define GRAD_EACH 1
#define GRAD_AT_ONCE 4
#include "cpu/simd/grad_words.h"

#include "cpu/simd/weight_grad.h"

void mbk_avx2_fill(mbk_leaf *leaf) {
    *leaf = (mbk_leaf){
        .gemm = avx2_gemm,
        .round = vec_round,
        .gemm_i16 = avx2_gemm_i16,
        .quantize_i16 = avx2_quantize_i16,
        .gemm_i8 = avx2_gemm_i8,
        .quantize_i8 = avx2_quantize_i8,
        .rmsnorm = vec_rmsnorm,
        .layernorm = vec_layernorm,
        .conv = vec_conv,
        .scan = vec_scan,
        .add = vec_add,
        .gate = vec_gate,
        .gated = vec_gated,
        .ssd_dots = vec_ssd_dots,
        .ssd_head = vec_ssd_head,
        .product = vec_product,
        .lse = vec_lse,
        .exp = vec_exp,
        .silu = vec_silu,
        .softplus = vec_softplus,
        .grad =
            {
                .weight = vec_weight_grad,
                .norm = vec_norm_grad,
                .norm_weight = vec_norm_weight_grad,
                .conv = vec_conv_grad,
                .scan = vec_scan_grad,
                .cross_entropy = vec_cross_entropy,
                .squares = vec_squares,
                .adamw = vec_adamw,
                .mul = vec_mul,
            },
        .family = {.lti = vec_lti,
                   .lti_grad = vec_lti_grad,
                   .fir = vec_fir,
                   .fir_taps = vec_fir_taps,
                   .fir_spectrum = vec_fir_spectrum,
                   .fir_block = vec_fir_block,
                   .fir_pair = vec_fir_pair},
    };
}
