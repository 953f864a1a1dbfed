/*
 * pool.h - alignment records that are counted and used again. A record may live longer than its reader and be given
 * back on any thread.
 */
#ifndef BM_POOL_H
#define BM_POOL_H

#include "genomics/htsutil/alignment.h"
#include "mambaseq/block.h"

typedef struct bm_pool bm_pool;

typedef struct bm_read {
    mbs_origin origin; /* first */
    hu_alignment data;
    bam1_t *b;
    struct bm_read *next;
    bm_pool *pool;
    void *head; /* counted text of a header */
    int refs;
} bm_read;

/* NULL without memory. */
bm_pool *bm_pool_new(void);
/* The header of the records to come. Nonzero without memory. */
int bm_pool_header(bm_pool *p, const char *text, size_t n);
/* A record with one reference, NULL without memory. */
bm_read *bm_pool_take(bm_pool *p);
void bm_pool_give(bm_read *r);
/* What is out stays valid. */
void bm_pool_close(bm_pool *p);

#endif
