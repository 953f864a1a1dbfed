/*
 * region.h - regions as people write them: chr:beg-end texts and .bed lines.
 *
 * Everything that is looked up belongs to the caller: what names there are, and what a region becomes.
 */
#ifndef HU_REGION_H
#define HU_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/host.h"

/* A region as it was written, not yet looked up. Its texts live for the call of `take`. */
typedef struct hu_query {
    const char *text; /* as the user wrote it, or the path of the .bed */
    size_t text_len;
    const char *name;
    size_t name_len;
    int64_t beg, end; /* 0-based half-open; end -1: to the record's end */
    int64_t line;     /* of the .bed file, 0: from the list */
    const char *rest; /* of a .bed line: its columns from the fourth on */
    char sep;         /* between them */
    char strand;      /* of a .bed line: '+', '-' or '.'; 0: from the list */
} hu_query;

typedef struct hu_regions {
    const mbs_host *host;
    const mbs_params *params;
    const char *param; /* that named the regions */
    void *ctx;
    int (*known)(void *ctx, const char *name, size_t n);
    mbs_status (*take)(void *ctx, const hu_query *q);
    int stranded; /* `take` looks at the strand; else the user is told that it is not used */
} hu_regions;

/* Takes every item of the list parameter `param`; one .bed file in it is read. */
mbs_status hu_regions_read(const hu_regions *r);
/* Takes every line of a .bed file (plain, gzip or bgzip). */
mbs_status hu_bed_read(const hu_regions *r, const char *path);
/* The place of a query in words: "region 'chr1:1-2'" or "x.bed:12". */
void hu_query_show(const hu_query *q, char *to, size_t n);
/* Column of a .bed line, counted from 1, from the fourth on. NULL where it is not there. */
const char *hu_bed_column(const hu_query *q, int column, size_t *n);

#endif
