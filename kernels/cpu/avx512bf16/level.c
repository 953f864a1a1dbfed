/* level.c - the table of this level: that of avx512 with products of bf16 pairs. */
#include "cpu/avx512bf16/avx512bf16.h"

void mbk_avx512bf16_fill(mbk_leaf *leaf) {
    leaf->gemm_pairs = avx512bf16_gemm;
    leaf->narrow = avx512bf16_narrow;
    leaf->grad.weight_pairs = avx512bf16_weight_grad;
}
