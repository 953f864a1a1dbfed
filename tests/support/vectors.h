/*
 * vectors.h - reads the golden vectors (tests/data/reference) for tests. A tensor that a test asks for and the file
 * does not hold, or holds in another type, ends the test program with a message.
 */
#ifndef MBS_TEST_VECTORS_H
#define MBS_TEST_VECTORS_H

#include <stdint.h>

typedef struct vec_file vec_file;

/* `name` without folder and suffix ("causal_conv"), or any path with a slash. */
vec_file *vec_open(const char *name);
void vec_close(vec_file *f);
int vec_has(const vec_file *f, const char *tensor);
/* The number of dimensions; `shape` (room for 8) may be NULL. */
int vec_shape(const vec_file *f, const char *tensor, int64_t *shape);
int64_t vec_count(const vec_file *f, const char *tensor);
/* Aligned, valid until vec_close. */
const float *vec_f32(const vec_file *f, const char *tensor);
const double *vec_f64(const vec_file *f, const char *tensor);
const int64_t *vec_i64(const vec_file *f, const char *tensor);
/* A string of __metadata__, NULL where absent. */
const char *vec_meta(const vec_file *f, const char *key);

/* max|got - want| / max|want|; infinite where one of them is NaN and the other is not. */
double vec_maxrel(const float *got, const double *want, int64_t n);
double vec_maxrel_f32(const float *got, const float *want, int64_t n);

#endif
