/* ref.h - the leaves of the reference level: plain C, one obvious loop each. They are the contract of the fast ones. */
#ifndef MBK_REF_REF_H
#define MBK_REF_REF_H

#include "cpu/cpu.h"

void ref_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void ref_gemm_i16(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void ref_quantize_i16(float *words, const float *x, int64_t n);
void ref_gemm_i8(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void ref_quantize_i8(float *words, const float *x, int64_t n);
void ref_round(float *y, const float *x, int64_t n);
void ref_rmsnorm(const norm_job *job, int64_t r0, int64_t r1);
void ref_layernorm(const norm_job *job, int64_t r0, int64_t r1);
void ref_conv(const conv_job *job, int64_t c0, int64_t c1);
void ref_scan(const scan_job *job, int64_t c0, int64_t c1);
void ref_gate(float *y, const float *x, const float *z, int64_t n);
void ref_gated(const gated_job *job, int64_t r0, int64_t r1);
void ref_ssd_dots(const ssd_dots_job *job);
void ref_ssd_head(const ssd_head_job *job);
void ref_product(const product_job *job);
void ref_add(float *y, const float *x, const float *r, int64_t n);
double ref_lse(const float *x, int64_t n);
void ref_map_exp(float *y, const float *x, int64_t n);
void ref_map_silu(float *y, const float *x, int64_t n);
void ref_map_softplus(float *y, const float *x, int64_t n);
void ref_weight_grad(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1);
void ref_norm_grad(const norm_grad_job *job, int64_t r0, int64_t r1);
void ref_norm_weight_grad(const norm_grad_job *job, int64_t c0, int64_t c1);
void ref_conv_grad(const conv_grad_job *job, int64_t c0, int64_t c1);
void ref_scan_grad(const scan_grad_job *job, int64_t c0, int64_t c1);
double ref_cross_entropy(float *dx, const float *x, int64_t n, int64_t id, float scale);
double ref_squares(const float *x, int64_t n);
void ref_adamw(const adamw_job *job, float *w, float *m, float *v, const float *g, int64_t n);
void ref_mul(float *y, const float *x, const float *r, int64_t n);
void ref_lti(const lti_job *job, int64_t c0, int64_t c1);
void ref_lti_grad(const lti_grad_job *job, int64_t c0, int64_t c1);
void ref_fir(const fir_job *job, int64_t c0, int64_t c1);
void ref_fir_taps(const fir_taps_job *job, int64_t c0, int64_t c1);
void ref_fir_spectrum(const fir_spectrum_job *job);
void ref_fir_block(const fir_block_job *job);

#endif
