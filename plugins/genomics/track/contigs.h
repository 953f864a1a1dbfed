/*
 * contigs.h - names and lengths of the sequences that a track lies on, found by name.
 */
#ifndef TK_CONTIGS_H
#define TK_CONTIGS_H

#include "mambaseq/host.h"

#define TK_MOST_CONTIGS ((int64_t)1 << 22)

typedef struct tk_contig {
    size_t name;    /* offset into names */
    int64_t length; /* -1: not known */
} tk_contig;

typedef struct tk_contigs {
    const mbs_host *host;
    tk_contig *list;
    int64_t n, cap;
    char *names;
    size_t names_len, names_cap;
    int64_t *slots; /* positions in list + 1, 0: free */
    size_t n_slots; /* a power of two */
} tk_contigs;

void tk_contigs_free(tk_contigs *c);
const char *tk_contig_name(const tk_contigs *c, int64_t i);
/* -1 where it is not there. */
int64_t tk_contigs_find(const tk_contigs *c, const char *name);
/* Adds one that is not there yet; *at is its position. */
mbs_status tk_contigs_add(tk_contigs *c, const char *name, int64_t length, int64_t *at);

#endif
