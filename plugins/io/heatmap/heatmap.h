/*
 * heatmap.h - rows of task mutate, held until the picture is drawn.
 */
#ifndef HM_HEATMAP_H
#define HM_HEATMAP_H

#include "io/rowfile/span.h"
#include "io/rowfile/spool.h"
#include "io/rowfile/text.h"
#include "mambaseq/plugin.h"

typedef struct hm_panel {
    char *name;
    int64_t start; /* 0-based, of its first row */
    int64_t first, n;
} hm_panel;

typedef struct hm_writer {
    const mbs_host *host;
    const char *path;
    int64_t wrap, most;
    double scale; /* 0: the largest value */
    const mbs_stream_header *stream;
    mbs_row_shape shape;
    float *rows;
    int64_t n, cap;
    hm_panel *panels;
    int64_t n_panels, cap_panels;
    mbs_spool out;
} hm_writer;

extern const mbs_writer_vt hm_writer_vt;

/* draw.c: the whole file. */
void hm_draw(const hm_writer *w, mbs_text *out);

#endif
