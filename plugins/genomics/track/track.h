/*
 * track.h - a value for every base: rows come in the order of the stream, and leave in that of the genome.
 *
 *   tk_declare (in create) -> tk_open -> tk_add ... -> tk_finish -> tk_walk -> tk_close; tk_drop at any time
 *
 * Rows are score/f32, one a base; NaN is no value. A record lies on the contig that its attribute "contig" or else its
 * name says. The rows of a record of strand '-' run from its end to its start: row i lies on base end - 1 - i.
 */
#ifndef TK_TRACK_H
#define TK_TRACK_H

#include "contigs.h"
#include "io/rowfile/span.h"
#include "io/rowfile/spool.h"
#include "mambaseq/ext/checkpoint.h"

/* A stretch of one contig, and where its values lie in the spool. */
typedef struct tk_stretch {
    int64_t contig, start, n;
    int64_t at;    /* of the first value, in values */
    int64_t minus; /* the values run from the end to the start */
} tk_stretch;

/* Plain values: goes into checkpoints. */
typedef struct tk_counts {
    int64_t version;
    int64_t values; /* in the spool */
    int64_t stretches;
    mbs_row_shape shape;
    mbs_span span;
    tk_stretch open; /* the record at hand */
} tk_counts;

typedef struct tk_track {
    const mbs_host *host;
    const char *path; /* of the output, as the user wrote it */
    const mbs_stream_header *stream;
    int listed;  /* contigs are those of the stream */
    double unit; /* values are multiplied by it */
    tk_contigs contigs;
    tk_counts at;
    mbs_spool values;
    mbs_spool stretches;
    float *piece; /* TK_PIECE values */
    tk_stretch *sorted;
    const int64_t *rank; /* of contigs, while the walk sorts */
    int restored;
} tk_track;

#define TK_PIECE 65536

/* The contig that a record lies on. */
const char *tk_contig_of(const mbs_record *r);
/* The parameter unit: nats|bits, as factor. */
double tk_unit(const char *word);
mbs_status tk_declare(tk_track *t, const mbs_host *host, const char *path);
mbs_status tk_open(tk_track *t, const mbs_stream_header *stream);
mbs_status tk_add(tk_track *t, const mbs_block *block);
/* Everything is in the spools; lengths of contigs that no header told are those of what was seen. */
mbs_status tk_finish(tk_track *t);
mbs_status tk_close(tk_track *t);
void tk_drop(tk_track *t);

/* The values in the order of the genome: contigs by `rank` (NULL: as they are listed), then positions. `values` gets n
 * values of bases start, start + 1, ...; `follows`: the base before came with the call before. Two values for one base
 * are MBS_ERR_DATA. */
typedef struct tk_visitor {
    void *ctx;
    mbs_status (*values)(void *ctx, int64_t contig, int64_t start, const float *v, int64_t n, int follows);
} tk_visitor;
mbs_status tk_walk(tk_track *t, const int64_t *rank, const tk_visitor *v);
/* Contigs in order of their names; free with the host. NULL without memory. */
int64_t *tk_by_name(const tk_track *t);

/* "mambaseq.checkpoint/1" of a writer whose state begins with a tk_track. */
mbs_status tk_save(tk_track *t, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink);
mbs_status tk_restore(tk_track *t, const void *bytes, size_t n);

#endif
