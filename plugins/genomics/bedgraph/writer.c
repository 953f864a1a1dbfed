#include <errno.h>
#include <htslib/hts_log.h>
#include <htslib/tbx.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bedgraph.h"

#define TBI_END ((int64_t)1 << 29)
#define CSI_SHIFT 14

static int ends_in(const char *path, const char *suffix) {
    size_t n = strlen(path);
    size_t k = strlen(suffix);
    return n > k && strcmp(path + n - k, suffix) == 0;
}

static mbs_status bg_create(const mbs_host *host, const mbs_params *params, void **self) {
    hts_set_log_level(HTS_LOG_OFF); /* its words would go to stderr; ours say more */
    bg_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->path = host->param_string(params, "path");
    w->track.unit = tk_unit(host->param_string(params, "unit"));
    w->packed = ends_in(w->path, ".gz") || ends_in(w->path, ".bgz");
    w->indexed = w->packed && host->param_bool(params, "write_index");
    mbs_status st = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
    mbs_spool_init(&w->out, host, w->temp, w->temp ? w->path : "standard output");
    if (st >= 0 && w->temp) {
        st = tk_declare(&w->track, host, w->path);
    }
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

/* The index has its name from the longest contig. */
static mbs_status declare_index(bg_writer *w, const mbs_stream_header *header) {
    char path[4200];
    for (int64_t i = 0; i < header->n_contigs; i++) {
        w->csi |= header->contigs[i].length > TBI_END;
    }
    int n = snprintf(path, sizeof(path), "%s%s", w->path, w->csi ? ".csi" : ".tbi");
    if (n < 0 || n >= (int)sizeof(path)) {
        return w->host->fail(w->host, MBS_ERR_CREATE, "path", "the name of the index is too long");
    }
    return w->host->output(w->host, path, MBS_OUTPUT_FILE, NULL, &w->index);
}

static mbs_status bg_open(void *self, const mbs_stream_header *header) {
    bg_writer *w = self;
    w->lines = (bg_lines){.host = w->host, .out = &w->out};
    if (!w->temp) {
        return mbs_spool_open(&w->out, 0);
    }
    mbs_status st = w->indexed ? declare_index(w, header) : MBS_OK;
    return st < 0 ? st : tk_open(&w->track, header);
}

/* ---- standard output, as it comes ---- */

static mbs_status hold(bg_writer *w, const float *v, int64_t n) {
    if (w->n_held + n > w->cap_held) {
        int64_t cap = (w->n_held + n) * 2;
        float *held = w->host->realloc(w->host, w->held, (size_t)cap * sizeof(*held));
        if (!held) {
            return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for %lld values", (long long)cap);
        }
        w->held = held;
        w->cap_held = cap;
    }
    if (n > 0) {
        memcpy(w->held + w->n_held, v, (size_t)n * sizeof(*v));
    }
    w->n_held += n;
    return MBS_OK;
}

static float in_unit(const bg_writer *w, float v) {
    return w->track.unit == 1 ? v : (float)((double)v * w->track.unit);
}

static mbs_status stream(bg_writer *w, const mbs_block *b) {
    const mbs_host *h = w->host;
    mbs_status st = mbs_row_shape_check(&w->track.at.shape, b, h);
    st = st < 0 ? st : mbs_span_add(&w->span, b, h);
    if (st == MBS_OK && (b->dtype != MBS_F32 || w->track.at.shape.width != 1)) {
        st = h->fail(h, MBS_ERR_INTERNAL, NULL, "the rows are not what '%s' says", b->type);
    }
    if (st == MBS_OK && (b->end - b->start != b->shape[0] || mbs_side_data(b, "interval", MBS_I64, 2))) {
        st = h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s': a track has one value for each base", b->record->name);
    }
    int minus = b->record->strand == '-';
    const char *contig = tk_contig_of(b->record);
    const float *v = b->data;
    if (minus) {
        st = st < 0 ? st : hold(w, v, b->shape[0]);
        for (int64_t i = w->n_held - 1; st == MBS_OK && (b->flags & MBS_SEQ_END) && i >= 0; i--) {
            float x = in_unit(w, w->held[i]);
            st = bg_lines_add(&w->lines, contig, b->record->start + w->n_held - 1 - i, &x, 1);
        }
    }
    for (int64_t i = 0; st == MBS_OK && !minus && i < b->shape[0]; i++) {
        float x = in_unit(w, v[i]);
        st = bg_lines_add(&w->lines, contig, b->start + i, &x, 1);
    }
    if (st == MBS_OK && (b->flags & MBS_SEQ_END)) {
        w->n_held = 0;
        w->span.open = 0;
        st = bg_lines_end(&w->lines);
    }
    return st;
}

static mbs_status bg_write(void *self, const mbs_block *block) {
    bg_writer *w = self;
    return w->temp ? tk_add(&w->track, block) : stream(w, block);
}

/* ---- a file, at the end ---- */

static mbs_status take(void *ctx, int64_t contig, int64_t start, const float *v, int64_t n, int follows) {
    bg_writer *w = ctx;
    (void)follows;
    return bg_lines_add(&w->lines, tk_contig_name(&w->track.contigs, contig), start, v, n);
}

static mbs_status cannot(bg_writer *w, const char *what, const char *path) {
    return w->host->fail(w->host, MBS_ERR_IO, "path", "cannot %s '%s': %s", what, path, strerror(errno));
}

static mbs_status build(bg_writer *w) {
    tk_visitor visitor = {w, take};
    mbs_status st = tk_finish(&w->track);
    if (st < 0) {
        return st;
    }
    if (w->packed) {
        w->bgzf = bgzf_open(w->temp, "w");
        if (!w->bgzf) {
            return cannot(w, "create", w->path);
        }
        w->lines.bgzf = w->bgzf;
    } else {
        st = mbs_spool_open(&w->out, 0);
    }
    st = st < 0 ? st : tk_walk(&w->track, NULL, &visitor);
    st = st < 0 ? st : bg_lines_end(&w->lines);
    if (!w->packed) {
        return st < 0 ? st : mbs_spool_flush(&w->out);
    }
    int closed = bgzf_close(w->bgzf);
    w->bgzf = w->lines.bgzf = NULL;
    if (st == MBS_OK && closed != 0) {
        st = cannot(w, "write", w->path);
    }
    if (st == MBS_OK && w->index &&
        tbx_index_build3(w->temp, w->index, w->csi ? CSI_SHIFT : 0, 0, &tbx_conf_bed) != 0) {
        int full = errno == ENOSPC || errno == EDQUOT;
        st = cannot(w, "index", w->path);
        w->host->hint(w->host, full ? "free space on the disk of the output"
                                    : "a contig longer than 2^29 bases needs a .csi: its length has to be known "
                                      "(samtools faidx)");
    }
    return st;
}

static mbs_status bg_drain(void *self) {
    bg_writer *w = self;
    if (w->temp) {
        return build(w);
    }
    if (w->span.open) {
        return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "the last record has no end");
    }
    return mbs_spool_flush(&w->out);
}

static mbs_status bg_close(void *self) {
    bg_writer *w = self;
    mbs_status st = mbs_spool_close(&w->out);
    mbs_status st2 = w->temp ? tk_close(&w->track) : MBS_OK;
    return st < 0 ? st : st2;
}

static void bg_destroy(void *self) {
    bg_writer *w = self;
    if (w->bgzf) {
        (void)bgzf_close(w->bgzf); /* the run failed: the host removes the file */
    }
    mbs_spool_drop(&w->out);
    if (w->temp) {
        tk_drop(&w->track);
    }
    w->host->free(w->host, w->held);
    w->host->free(w->host, w);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    return tk_save(&((bg_writer *)self)->track, put, sink);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    return tk_restore(&((bg_writer *)self)->track, bytes, n);
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *bg_extension(void *self, const char *id) {
    return self && ((bg_writer *)self)->temp && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_writer_vt bg_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = bg_create,
    .open = bg_open,
    .write = bg_write,
    .drain = bg_drain,
    .close = bg_close,
    .destroy = bg_destroy,
    .get_extension = bg_extension,
};
