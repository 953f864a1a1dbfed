/*
 * record.h - a record of a VCF that is counted: from the reader `vcf` to the writer `vcf`, untouched.
 *
 * Memory of the C library, not of the host: the last of them may come back when the reader is gone. The header belongs
 * to all records of a file; it grows while the file is read, where records use what it does not declare.
 */
#ifndef VF_RECORD_H
#define VF_RECORD_H

#include <htslib/vcf.h>
#include <stdatomic.h>

#include "mambaseq/block.h"

#define VF_LIBRARY "htslib/bcf1_t" /* mbs_origin.library */

typedef struct vf_head {
    atomic_int refs;
    bcf_hdr_t *hdr;
} vf_head;

typedef struct vf_record {
    mbs_origin origin; /* first; data is the record itself */
    uint32_t struct_size;
    atomic_int refs;
    vf_head *head;
    bcf1_t *b;
    struct vf_record *next; /* of those that the reader has read ahead */
    int64_t index;          /* in the file, from 0 */
    int misfit;             /* REF is not what the FASTA has, or its contig is not there */
} vf_record;

/* Takes hdr over, with one reference; NULL without memory, and hdr is then gone. */
vf_head *vf_head_new(bcf_hdr_t *hdr);
void vf_head_unref(vf_head *h);
/* An empty record with one reference; NULL without memory. */
vf_record *vf_record_new(vf_head *h);
void vf_record_unref(vf_record *r); /* NULL is fine */

#endif
