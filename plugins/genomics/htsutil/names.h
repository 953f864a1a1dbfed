/*
 * names.h - which names are like one that is not there, for a message.
 */
#ifndef HU_NAMES_H
#define HU_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/host.h"

#define HU_NAMES_SHOWN 3

typedef struct hu_names {
    const char *name; /* that was looked for */
    size_t len;
    const char *best[HU_NAMES_SHOWN];
    int distance[HU_NAMES_SHOWN];
    int64_t total;
} hu_names;

void hu_names_begin(hu_names *f, const char *name, size_t n);
/* A name that is there; borrowed until the hint. */
void hu_names_consider(hu_names *f, const char *own);
/* Tells the nearest ones as the host's hint. */
void hu_names_hint(const hu_names *f, const mbs_host *host);
/* chr1 is 1 elsewhere, chrM MT. */
int hu_names_differ_by_chr(const char *a, size_t na, const char *b, size_t nb);

#endif
