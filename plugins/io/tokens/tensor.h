/*
 * tensor.h - finds a tensor of whole numbers in the header of a safetensors file.
 */
#ifndef TK_TENSOR_H
#define TK_TENSOR_H

#include <stdint.h>

typedef struct tk_tensor {
    int64_t begin, end; /* bytes behind the header */
    int64_t rows, length;
    int size, is_signed;
    int listed; /* one dimension */
} tk_tensor;

/* `header`: JSON that ends in a NUL. `name` NULL: the only one of whole numbers in one or two dimensions, or `tokens`.
 * NULL, or what is wrong. */
const char *tk_tensor_find(const char *header, const char *name, tk_tensor *t);

#endif
