/*
 * record.h - the tokens and targets of one record, in pieces. Every one of them is a function of the seed, the record's
 * number and its own place: numbers are drawn by counting, not in turn.
 */
#ifndef SY_RECORD_H
#define SY_RECORD_H

#include "spec.h"

typedef struct sy_record {
    const mbs_host *host;
    const sy_spec *spec;
    uint64_t key;  /* of seed and record */
    int64_t row;   /* that comes next */
    int64_t laid;  /* SY_COPYING: data tokens before it */
    int64_t at;    /* SY_INDUCTION: row of the first prefix; SY_RECALL: the key that is asked for */
    uint8_t *seen; /* flags of ids, for drawing without replacement */
    /* SY_MQAR: pair i is keys[i], values[i] and asked for in slot slots[i]; hash finds i + 1 by slot, 0: none. */
    int32_t *keys, *values, *hash;
    int64_t *slots;
    int64_t hash_size; /* a power of two */
} sy_record;

mbs_status sy_record_new(sy_record *r, const mbs_host *host, const sy_spec *spec);
void sy_record_free(sy_record *r);
/* Row 0 of a record; index counts from 0 over all records of the seed. */
void sy_record_begin(sy_record *r, int64_t index);
/* The next n rows, none behind the end; targets are -1 where nothing is asked. */
void sy_record_fill(sy_record *r, int64_t n, int32_t *tokens, int32_t *targets);
/* Goes on at row `row`, with `laid`; 0 where no record can be there. */
int sy_record_place(sy_record *r, int64_t row, int64_t laid);

#endif
