/*
 * bigwig.h - the writer `bigwig`: values go to spool files while the run lasts, and one pass at its end makes the .bw
 * of them. Everything in the file is little-endian; so is every machine that this is built for (checked in build.c).
 */
#ifndef BW_BIGWIG_H
#define BW_BIGWIG_H

#include "genomics/track/track.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/plugin.h"

#define BW_MOST_LEVELS 10
#define BW_FIRST_LEVEL 32 /* bases in a summary of the first level; four times as many in each that follows */
#define BW_VALUES 4096    /* in a block of data */
#define BW_SUMMARIES 512  /* in a block of a level */
#define BW_FANOUT 256     /* entries of a node, in all trees */

/* A block on disk: what an R tree finds. */
typedef struct bw_leaf {
    uint32_t contig, start, end;
    uint32_t size;
    uint64_t offset;
} bw_leaf;

/* Of `count` bases with a value among those from start to end. */
typedef struct bw_summary {
    uint32_t contig, start, end, count;
    float min, max;
    double sum, squares;
} bw_summary;

typedef struct bw_writer {
    tk_track track; /* first: its checkpoint is the writer's */
    const mbs_host *host;
    const char *temp;
    mbs_spool out;
    mbs_spool summaries; /* of all levels, one behind the other */
    mbs_spool leaves;    /* of all trees, one behind the other */

    /* while it is built */
    int64_t *order;  /* contigs by name: ids in the file are places in it */
    int64_t *rank;   /* id of a contig */
    int64_t longest; /* contig */
    int levels;
    int64_t level_at[BW_MOST_LEVELS + 1]; /* in summaries of the spool; where level i begins and i - 1 ends */
    uint64_t data_at[BW_MOST_LEVELS], index_at[BW_MOST_LEVELS];
    uint64_t contigs_at, summary_at, values_at, values_index_at;
    int64_t first_leaf; /* of the tree at hand */
    int64_t n_leaves;   /* of it */
    uint8_t *block;     /* being filled */
    uint8_t *packed;    /* compressed */
    size_t packed_cap;
    bw_summary total;
    uint64_t covered;
    uint32_t most; /* bytes of the longest block before compression */
} bw_writer;

/* A writer of one file that is not told by parameters; all else of it are the calls of bw_writer_vt. `path` is
 * borrowed.
 */
mbs_status bw_make(const mbs_host *host, const char *path, double unit, bw_writer **out);
extern const mbs_writer_vt bw_writer_vt;
extern const mbs_ext_checkpoint bw_checkpoint;
extern const mbs_ext_inspect bw_inspect; /* inspect.c */

/* build.c: the .bw at w->temp, of the flushed spools. */
mbs_status bw_build(bw_writer *w);
/* Compresses n bytes of w->block, appends them and adds their leaf. */
mbs_status bw_put_block(bw_writer *w, size_t n, uint32_t contig, uint32_t start, uint32_t end);
/* tree.c: at the end of w->out. The R tree takes the leaves and empties them. */
mbs_status bw_put_contigs(bw_writer *w);
mbs_status bw_put_index(bw_writer *w, uint32_t items_per_block);
/* zoom.c: adds bases to the summary at hand, appends it to the spool where it is complete. */
typedef struct bw_folding {
    bw_summary now; /* count 0: none */
    int64_t bases;  /* of a summary */
} bw_folding;
mbs_status bw_fold(bw_writer *w, bw_folding *f, const bw_summary *more);
mbs_status bw_fold_end(bw_writer *w, bw_folding *f);
mbs_status bw_put_levels(bw_writer *w);

#endif
