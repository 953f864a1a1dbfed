/*
 * alignment.h - what the reader `bam` lays into the origin of its records, for a writer that gives the same records
 * back.
 *
 * Both sides are of this tree and of the same htslib. Nothing of it is changed by anybody after it was handed on:
 * whoever wants to change a record copies it.
 */
#ifndef HU_ALIGNMENT_H
#define HU_ALIGNMENT_H

#include <htslib/sam.h>
#include <stddef.h>
#include <stdint.h>

#define HU_ALIGNMENT "htslib/bam1_t" /* mbs_origin.library */

/* mbs_origin.data */
typedef struct hu_alignment {
    uint32_t struct_size;
    uint32_t reserved;
    const bam1_t *record;
    const char *header; /* text of the file's header as it was read, valid as long as the origin */
    size_t header_len;
} hu_alignment;

/* The name of the stream attribute that says how a file is sorted, as its @HD line does. */
#define HU_SORT_ORDER "sort_order"

#endif
