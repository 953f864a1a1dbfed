/* level.c - the table of this level: 16 floats a vector. */
#include <math.h>

#include "cpu/avx512/avx512.h"
#include "cpu/avx512/vec.h"
#include "cpu/simd/unroll.h"
#include "ref/math.h"

#define SCAN_IN_REGISTERS 1
#include "cpu/simd/math.h"
#include "cpu/simd/rows.h"
#include "cpu/simd/sequence.h"

void mbk_avx512_fill(mbk_leaf *leaf) {
    const mbk_grad_leaf grad = leaf->grad;
    *leaf = (mbk_leaf){
        .gemm = avx512_gemm,
        .round = vec_round,
        .rmsnorm = vec_rmsnorm,
        .layernorm = vec_layernorm,
        .conv = vec_conv,
        .scan = vec_scan,
        .add = vec_add,
        .lse = vec_lse,
        .exp = vec_exp,
        .silu = vec_silu,
        .softplus = vec_softplus,
        .grad = grad,
    };
}
