/* level.c - the table of this level: that of avx512 with products of whole numbers. */
#include "cpu/avx512vnni/avx512vnni.h"

void mbk_avx512vnni_fill(mbk_leaf *leaf) {
    leaf->gemm_i16 = avx512vnni_gemm_i16; /* of rows as avx512 makes them */
    leaf->gemm_i8 = avx512vnni_gemm_i8;
    leaf->quantize_i8 = avx512vnni_quantize_i8;
}
