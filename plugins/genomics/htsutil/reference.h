/*
 * reference.h - letters of a FASTA from anywhere: plain or bgzip, with its .fai or without.
 */
#ifndef HU_REFERENCE_H
#define HU_REFERENCE_H

#include "genomics/htsutil/index.h"

typedef struct hu_reference {
    const mbs_host *host;
    const char *path;
    fa_bytes in;
    fa_parser parser;
    fa_index index; /* sorted: fa_index_find */
    int64_t entry;  /* where the parser stands; -1: nowhere */
    int64_t next;
} hu_reference;

/* `param` named the file. Without a usable .fai it is read once. Close after any answer. */
mbs_status hu_reference_open(hu_reference *f, const mbs_host *host, const char *path, const char *param);
void hu_reference_close(hu_reference *f);
/* Letters [from, from + n) of an entry, which lie inside of it, as they stand in the file. */
mbs_status hu_reference_read(hu_reference *f, int64_t entry, int64_t from, int64_t n, uint8_t *to);
/* The other strand: n letters turned round and each complemented, IUPAC letters and their case too. */
void hu_reverse_complement(uint8_t *letters, int64_t n);

#endif
