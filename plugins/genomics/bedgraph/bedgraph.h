/*
 * bedgraph.h - the writer `bedgraph`: contig, start, end and value as text; neighbours of one value share a line.
 *
 * A file is made at the end, in the order of the genome (bgzip with tabix index where its name ends in .gz). Standard
 * output gets the lines while the run lasts, in the order of the stream.
 */
#ifndef BG_BEDGRAPH_H
#define BG_BEDGRAPH_H

#include <htslib/bgzf.h>

#include "genomics/track/track.h"
#include "mambaseq/plugin.h"

/* The line at hand, and where lines go. */
typedef struct bg_lines {
    const mbs_host *host;
    BGZF *bgzf;     /* NULL: plain */
    mbs_spool *out; /* a file or standard output */
    const char *name;
    int64_t start, end;
    float value;
    int open; /* there is one */
} bg_lines;

typedef struct bg_writer {
    tk_track track; /* first: its checkpoint is the writer's */
    const mbs_host *host;
    const char *path;
    const char *temp;  /* NULL: standard output */
    const char *index; /* temporary path, or NULL: none */
    int packed;        /* bgzip */
    int indexed;
    int csi; /* a contig is too long for .tbi */
    BGZF *bgzf;
    mbs_spool out;
    bg_lines lines;
    float *held; /* standard output: values of a record of strand '-' */
    int64_t n_held, cap_held;
    mbs_span span;
} bg_writer;

extern const mbs_writer_vt bg_writer_vt;

/* lines.c: n values of bases start, start + 1, ... of one contig, whose name stays valid until bg_lines_end. */
mbs_status bg_lines_add(bg_lines *l, const char *contig, int64_t start, const float *v, int64_t n);
mbs_status bg_lines_end(bg_lines *l);

#endif
