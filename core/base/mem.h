/*
 * mem.h - allocation, checked sizes, arenas.
 *
 * Every allocation of core goes through mbs_alloc, so that tests can count them and make the k-th one of the process
 * fail (MBS_ALLOC_FAIL_AT=k in the environment; MBS_ALLOC_FAIL_FROM=k: all from the k-th on). Sizes are multiplied by
 * the checked functions only.
 */
#ifndef MBS_BASE_MEM_H
#define MBS_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* NULL where memory runs out; zero bytes give a valid pointer. Contents are undefined for mbs_alloc. */
void *mbs_alloc(size_t bytes);
void *mbs_calloc(size_t count, size_t size); /* checked product, zero-filled */
/* Zero-filled, at a multiple of `align` (a power of two, at least 16); mbs_free. */
void *mbs_calloc_aligned(size_t align, size_t bytes);
void *mbs_realloc(void *p, size_t bytes);
/* Grows an array to hold at least `need` items (capacity doubles); updates *cap. NULL, and *p untouched, on failure. */
void *mbs_grow(void *p, size_t *cap, size_t need, size_t size);
void mbs_free(void *p);
char *mbs_strdup(const char *s);
char *mbs_strndup(const char *s, size_t n);
/* Number of allocations made so far by this process, for tests of the steady state. */
uint64_t mbs_alloc_count(void);
/* Pieces that were given and not freed yet: what a plugin took and did not give back shows here. */
int64_t mbs_alloc_live(void);

/* Return nonzero where the result does not fit; *out is then untouched. */
int mbs_mul_overflow(size_t a, size_t b, size_t *out);
int mbs_add_overflow(size_t a, size_t b, size_t *out);
int mbs_mul_i64_overflow(int64_t a, int64_t b, int64_t *out);
int mbs_add_i64_overflow(int64_t a, int64_t b, int64_t *out);

/* Memory that lives and dies together. Aligned to 16; pointers stay valid until free. */
typedef struct mbs_arena mbs_arena;
mbs_arena *mbs_arena_new(void);
void *mbs_arena_alloc(mbs_arena *a, size_t bytes); /* zero-filled; NULL without memory */
char *mbs_arena_strdup(mbs_arena *a, const char *s);
char *mbs_arena_strndup(mbs_arena *a, const char *s, size_t n);
void mbs_arena_free(mbs_arena *a);

#endif
