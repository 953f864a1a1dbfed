/* level.c - the table of the reference level. */
#include "ref/ref.h"

void mbk_ref_fill(mbk_leaf *leaf) {
    *leaf = (mbk_leaf){
        .gemm = ref_gemm,
        .round = ref_round,
        .gemm_i16 = ref_gemm_i16,
        .quantize_i16 = ref_quantize_i16,
        .gemm_i8 = ref_gemm_i8,
        .quantize_i8 = ref_quantize_i8,
        .rmsnorm = ref_rmsnorm,
        .layernorm = ref_layernorm,
        .conv = ref_conv,
        .scan = ref_scan,
        .add = ref_add,
        .gate = ref_gate,
        .gated = ref_gated,
        .ssd_dots = ref_ssd_dots,
        .ssd_head = ref_ssd_head,
        .product = ref_product,
        .lse = ref_lse,
        .exp = ref_map_exp,
        .silu = ref_map_silu,
        .softplus = ref_map_softplus,
        .grad =
            {
                .weight = ref_weight_grad,
                .norm = ref_norm_grad,
                .norm_weight = ref_norm_weight_grad,
                .conv = ref_conv_grad,
                .scan = ref_scan_grad,
                .cross_entropy = ref_cross_entropy,
                .squares = ref_squares,
                .adamw = ref_adamw,
                .mul = ref_mul,
            },
        .family = {.lti = ref_lti,
                   .lti_grad = ref_lti_grad,
                   .fir = ref_fir,
                   .fir_taps = ref_fir_taps,
                   .fir_spectrum = ref_fir_spectrum,
                   .fir_block = ref_fir_block},
    };
}
