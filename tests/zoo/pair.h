/*
 * pair.h - what the two plugins of the pair know of each other and nobody else does: the origin of each record, as BAM
 * and VCF will need it.
 */
#ifndef MBS_ZOO_PAIR_H
#define MBS_ZOO_PAIR_H

#include <stdint.h>

#define PAIR_LIBRARY "mbs-zoo/pair_record"
#define PAIR_MAGIC 0x7061697265642121u
#define PAIR_EXT_LIVE "zoo.pair_live/1" /* of the reader, without an instance: pair_live */
#define PAIR_CONTIGS 3
#define PAIR_ATTR_KEY "zoo.made_by"
#define PAIR_ATTR_VALUE "pair_reader \xC3\xA9 = 1; \"quoted\""

static const char *const pair_contig_names[PAIR_CONTIGS] = {"chr1", "chr2_random", "HLA*01:01"};
static const int64_t pair_contig_lengths[PAIR_CONTIGS] = {248956422, 17, 9223372036854775807};

/* The record of the "library": more than a name and a place can say. */
typedef struct pair_record {
    uint64_t magic;
    int64_t number;
    uint8_t raw[32]; /* i * 7 + number */
} pair_record;

typedef struct pair_live {
    int64_t (*origins)(void); /* alive at this moment */
} pair_live;

#endif
