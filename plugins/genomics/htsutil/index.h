/*
 * index.h - where records are: from .fai (and .gzi) beside the file, or built in memory by one scan.
 */
#ifndef FA_INDEX_H
#define FA_INDEX_H

#include "genomics/htsutil/bytes.h"
#include "genomics/htsutil/parse.h"

typedef struct fa_entry {
    size_t name;     /* offset into the index's names */
    int64_t length;  /* letters */
    int64_t offset;  /* of the first line of the sequence */
    fa_lines lines;  /* uneven: letters are found by reading from `offset` */
    int32_t checked; /* the file was seen to agree */
} fa_entry;

typedef struct fa_index {
    fa_entry *list;
    int64_t n, cap;
    char *names;
    size_t names_len, names_cap;
    int64_t *by_name; /* n positions in list, in order of name */
    fa_marks marks;
    int64_t n_records; /* also counts entries that were not kept */
    int64_t n_bases;
    int from_file; /* read from .fai */
} fa_index;

void fa_index_free(const mbs_host *host, fa_index *x);
mbs_status fa_index_add(const mbs_host *host, fa_index *x, const char *name, size_t n, const fa_entry *entry);
const char *fa_index_name(const fa_index *x, int64_t i);
/* Makes fa_index_find possible. */
mbs_status fa_index_sort(const mbs_host *host, fa_index *x);
/* Number of records of that name; *first is the first of them in the file. */
int64_t fa_index_find(const fa_index *x, const char *name, size_t n, int64_t *first);
/* What the index calls a contig that others write with `chr`, or without; NULL: nothing. */
const char *fa_index_by_chr(const fa_index *x, const char *name);
/* Offset of letter `base` (0-based) of an entry whose lines are even. */
int64_t fa_entry_offset(const fa_entry *e, int64_t base);

/* Reads the whole of `in`, which is open and at its beginning. FASTQ is refused. With x NULL it only reads, to see
 * whether the file is whole. */
mbs_status fa_index_build(fa_index *x, fa_bytes *in, int wanted);
/* Reads the .fai beside `in`. MBS_END: there is none that can be used. More than `keep` entries are counted, not kept.
 * The first and last record are looked up in the file. Afterwards `in` is good for closing only. */
mbs_status fa_index_load(fa_index *x, fa_bytes *in, int64_t keep);
/* Does the file have entry i where the index says? 1, 0, or FA_BROKEN. */
int fa_index_fits(const fa_index *x, int64_t i, fa_bytes *in, int is_last);

#endif
