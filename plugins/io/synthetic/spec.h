/*
 * spec.h - what the parameters ask for: one of four tasks and its sizes.
 */
#ifndef SY_SPEC_H
#define SY_SPEC_H

#include "mambaseq/plugin.h"

typedef enum sy_kind { SY_COPYING = 0, SY_INDUCTION = 1, SY_RECALL = 2, SY_MQAR = 3 } sy_kind;

typedef struct sy_spec {
    sy_kind kind;
    int64_t length; /* tokens of a record */
    int64_t vocab;
    int64_t copy;  /* SY_COPYING: data tokens */
    int64_t pairs; /* SY_RECALL, SY_MQAR */
    int random_filler;
    uint64_t seed;
    int64_t count, first; /* records */
} sy_spec;

/* "selective-copying", ... */
const char *sy_kind_name(sy_kind kind);
/* Reads and checks; on failure host->fail has been told. */
mbs_status sy_spec_read(const mbs_host *host, const mbs_params *params, sy_spec *spec);

#endif
