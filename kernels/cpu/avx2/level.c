/* level.c - the table of this level: 8 floats a vector. */
#include <math.h>

#include "cpu/avx2/avx2.h"
#include "cpu/avx2/vec.h"
#include "cpu/simd/unroll.h"
#include "ref/math.h"

#define SCAN_IN_REGISTERS 0
#include "cpu/simd/math.h"
#include "cpu/simd/rows.h"
#include "cpu/simd/sequence.h"

void mbk_avx2_fill(mbk_leaf *leaf) {
    const mbk_grad_leaf grad = leaf->grad;
    *leaf = (mbk_leaf){
        .gemm = avx2_gemm,
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
