/* typed.h - as direct.h, tensors of f32 or bf16. */
#ifndef MBK_TEST_TYPED_H
#define MBK_TEST_TYPED_H

#include "simt/direct.h"

/* What bf16 makes of the numbers, in place; f32 leaves them. */
void typed_round(float *v, int64_t n, mbk_cu_type type);
direct_mat typed_new(int64_t rows, int64_t cols, int64_t pad, mbk_cu_type type);
direct_mat typed_of(int64_t rows, int64_t cols, int64_t pad, mbk_cu_type type, const float *dense);
/* Dense f32 copy, to be freed; canaries are checked. */
float *typed_get(const direct_mat *m);
/* Rows [from, to); absent ones stay so. */
mbk_cu_view typed_rows(mbk_cu_view v, int64_t from, int64_t to);
/* As direct_keep, of one output. */
void typed_keep(direct_kept *k, const char *what, int i, const direct_mat *out);

#endif
