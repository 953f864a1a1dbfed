#include "writer.h"

#include <errno.h>
#include <htslib/hts_log.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAI_END ((int64_t)1 << 29)
#define CSI_SHIFT 14

static int ends_in(const char *path, const char *suffix) {
    size_t n = strlen(path);
    size_t k = strlen(suffix);
    return n > k && strcmp(path + n - k, suffix) == 0;
}

static int letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Tags that programs agree on are all upper case and do not begin with X, Y or Z. */
static mbs_status check_tag(const bm_writer *w, const char *key, const char *tag) {
    const mbs_host *h = w->host;
    int form = strlen(tag) == 2 && letter(tag[0]) && (letter(tag[1]) || (tag[1] >= '0' && tag[1] <= '9'));
    int local = form && (strchr("XYZ", tag[0]) || (tag[0] >= 'a' && tag[0] <= 'z') || (tag[1] >= 'a' && tag[1] <= 'z'));
    if (local) {
        return MBS_OK;
    }
    mbs_status st = form ? h->fail(h, MBS_ERR_CONFIG, key, "'%s' is a tag with a meaning of its own", tag)
                         : h->fail(h, MBS_ERR_CONFIG, key, "'%.20s' is no tag", tag);
    h->hint(h, "a letter and a letter or digit, with a lower-case letter among them or X, Y, Z in front");
    return st;
}

static mbs_status read_params(bm_writer *w) {
    const mbs_host *h = w->host;
    const mbs_params *p = w->params;
    w->path = h->param_string(p, "path");
    w->score = h->param_string(p, "score_tag");
    w->count = h->param_string(p, "count_tag");
    w->count = w->count && *w->count ? w->count : NULL;
    w->second = h->param_string(p, "second_tag");
    w->odds = h->param_string(p, "odds_tag");
    w->unit = strcmp(h->param_string(p, "unit"), "bits") == 0 ? 1 / log(2.0) : 1;
    w->text = strcmp(w->path, "-") == 0 || ends_in(w->path, ".sam");
    mbs_status st = check_tag(w, "score_tag", w->score);
    st = st == MBS_OK && w->count ? check_tag(w, "count_tag", w->count) : st;
    st = st == MBS_OK && w->second ? check_tag(w, "second_tag", w->second) : st;
    st = st == MBS_OK && w->odds ? check_tag(w, "odds_tag", w->odds) : st;
    if (st == MBS_OK && ends_in(w->path, ".cram")) {
        st = h->fail(h, MBS_ERR_CONFIG, "path", "%s: CRAM cannot be written", w->path);
        h->hint(h, "write a .bam; samtools view -C -T ref.fa makes a CRAM of it");
    }
    return st < 0 ? st : h->output(h, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
}

static mbs_status bm_create(const mbs_host *host, const mbs_params *params, void **self) {
    hts_set_log_level(HTS_LOG_OFF); /* its words would go to stderr; ours say more */
    bm_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->params = params;
    w->pos = -1;
    mbs_status st = read_params(w);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

static mbs_status declare_index(bm_writer *w) {
    const mbs_host *h = w->host;
    const char *wish = h->param_string(w->params, "write_index");
    const char *order = mbs_header_attr(w->stream, HU_SORT_ORDER);
    int sorted = order && strcmp(order, "coordinate") == 0;
    if (strcmp(wish, "yes") == 0 && (w->text || !sorted)) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "write_index",
                                w->text ? "SAM text has no index" : "the input is not sorted by coordinate");
        h->hint(h, w->text ? "write a .bam" : "samtools sort it first, or write_index: no");
        return st;
    }
    if (strcmp(wish, "no") == 0 || w->text || !sorted) {
        return MBS_OK;
    }
    for (int64_t i = 0; i < w->stream->n_contigs; i++) {
        w->csi |= w->stream->contigs[i].length > BAI_END;
    }
    char path[4200];
    int n = snprintf(path, sizeof(path), "%s%s", w->path, w->csi ? ".csi" : ".bai");
    if (n < 0 || n >= (int)sizeof(path)) {
        return h->fail(h, MBS_ERR_CREATE, "path", "the name of the index is too long");
    }
    return h->output(h, path, MBS_OUTPUT_FILE, NULL, &w->index);
}

/* How many models there are, and tags of their own for all that is said of them. */
static mbs_status take_models(bm_writer *w) {
    const mbs_host *h = w->host;
    const char *names = mbs_header_attr(w->stream, "models");
    w->models = strcmp(w->stream->type, "scores/f32") == 0 ? 2 : 1;
    if (w->models == 1 && (w->second || w->odds)) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, w->second ? "second_tag" : "odds_tag", "it is for two models, and here is one");
        h->hint(h, "leave it out, or write model: [{name: a, path: ...}, {name: b, path: ...}]");
        return st;
    }
    for (int i = 0; i < w->models && w->models == 2; i++) {
        size_t len = names ? strcspn(names, ",") : 0;
        (void)snprintf(w->name[i], sizeof(w->name[i]), "%.*s", (int)len, names ? names : "");
        names = names && names[len] ? names + len + 2 : NULL;
    }
    w->second = w->models == 1 ? NULL : w->second ? w->second : "lq";
    w->odds = w->models == 1 ? NULL : w->odds ? w->odds : "lo";
    const char *const tags[] = {w->score, w->count, w->second, w->odds};
    const char *const keys[] = {"score_tag", "count_tag", "second_tag", "odds_tag"};
    for (int i = 1; i < 4; i++) {
        for (int k = 0; k < i; k++) {
            if (tags[i] && tags[k] && strcmp(tags[i], tags[k]) == 0) {
                return h->fail(h, MBS_ERR_CONFIG, keys[i], "%s is '%s' too", keys[k], tags[i]);
            }
        }
    }
    return MBS_OK;
}

static mbs_status bm_open(void *self, const mbs_stream_header *header) {
    bm_writer *w = self;
    w->stream = header;
    mbs_status st = take_models(w);
    if (st < 0) {
        return st;
    }
    w->b = bam_init1();
    if (!w->b) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a record");
    }
    return declare_index(w);
}

static mbs_status cannot_write(const bm_writer *w) {
    const mbs_host *h = w->host;
    return h->fail(h, MBS_ERR_IO, "path", "cannot write '%s': %s", w->path, errno ? strerror(errno) : "no room");
}

/* The header, before the first record. */
static mbs_status begin_file(bm_writer *w, const char *text, size_t n) {
    const mbs_host *h = w->host;
    w->begun = 1;
    mbs_status st = bm_writer_header(w, text, n);
    if (st < 0) {
        return st;
    }
    if (!w->temp) {
        return h->stdout_write(h, sam_hdr_str(w->hdr), sam_hdr_length(w->hdr));
    }
    errno = 0;
    w->fp = hts_open(w->temp, w->text ? "w" : "wb");
    if (!w->fp || sam_hdr_write(w->fp, w->hdr) != 0 ||
        (w->index && sam_idx_init(w->fp, w->hdr, w->csi ? CSI_SHIFT : 0, w->index) != 0)) {
        return cannot_write(w);
    }
    return MBS_OK;
}

static const hu_alignment *alignment_of(const mbs_record *r) {
    const mbs_origin *o = r->origin;
    const hu_alignment *a = o && strcmp(o->library, HU_ALIGNMENT) == 0 ? o->data : NULL;
    return a && a->struct_size >= sizeof(*a) ? a : NULL;
}

/* All records have to come with the header that is written. */
static mbs_status check_header(bm_writer *w, const hu_alignment *a) {
    const mbs_host *h = w->host;
    if (!w->begun) {
        w->source = h->alloc(h, a->header_len + 1);
        if (!w->source) {
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a header of %zu bytes", a->header_len);
        }
        memcpy(w->source, a->header, a->header_len);
        w->source_len = a->header_len;
        return begin_file(w, a->header, a->header_len);
    }
    if (w->source_len == a->header_len && memcmp(w->source, a->header, a->header_len) == 0) {
        return MBS_OK;
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, NULL, "the files have different headers, and one is written");
    h->hint(h, "samtools merge them first, or use {stem} in the path for a file each");
    return st;
}

static mbs_status put_tags(bm_writer *w) {
    const char *const tags[] = {w->score, w->second, w->odds, w->count};
    const double n = (double)w->scored;
    const double value[] = {w->sum[0] / n, w->sum[1] / n, w->sum[0] - w->sum[1]};
    int bad = 0;
    for (int i = 0; i < 4; i++) { /* of an earlier run, maybe of another type */
        uint8_t *old = tags[i] ? bam_aux_get(w->b, tags[i]) : NULL;
        bad |= old && bam_aux_del(w->b, old) != 0;
    }
    for (int i = 0; i < 3 && w->scored > 0; i++) {
        bad |= tags[i] && bam_aux_update_float(w->b, tags[i], (float)(value[i] * w->unit)) != 0;
    }
    if (w->count) {
        bad |= bam_aux_update_int(w->b, w->count, w->scored) != 0;
    }
    return bad ? w->host->fail(w->host, MBS_ERR_DATA, NULL, "record '%.100s': its tags are damaged",
                               bam_get_qname(w->b))
               : MBS_OK;
}

/* What an index cannot say is known before the record is written. */
static mbs_status check_place(bm_writer *w) {
    const mbs_host *h = w->host;
    const bam1_t *b = w->b;
    const char *contig = b->core.tid < 0 ? "*" : sam_hdr_tid2name(w->hdr, b->core.tid);
    int64_t tid = b->core.tid < 0 ? INT64_MAX : b->core.tid;
    mbs_status st = MBS_OK;
    if (tid < w->tid || (tid == w->tid && tid != INT64_MAX && b->core.pos < w->pos)) {
        st = h->fail(h, MBS_ERR_DATA, NULL,
                     "record '%.100s', %.100s:%lld, is not where the sort order in the header says: the one before it "
                     "comes later",
                     bam_get_qname(b), contig, (long long)b->core.pos + 1);
        h->hint(h, "samtools sort the input, or write_index: no");
    } else if (tid != INT64_MAX && !w->csi && bam_endpos(b) > BAI_END) {
        st = h->fail(h, MBS_ERR_DATA, NULL,
                     "record '%.100s' ends at base %lld of '%.100s', and a .bai at %lld: its contig has %lld bases in "
                     "the header",
                     bam_get_qname(b), (long long)bam_endpos(b), contig, (long long)BAI_END,
                     (long long)sam_hdr_tid2len(w->hdr, b->core.tid));
        h->hint(h, "let the header say the contig's true length (samtools reheader), or write_index: no");
    }
    w->tid = tid;
    w->pos = b->core.pos;
    return st;
}

static mbs_status put_record(bm_writer *w, const mbs_record *r) {
    const mbs_host *h = w->host;
    const hu_alignment *a = alignment_of(r);
    if (!a) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, NULL, "record '%.100s' was not read from an alignment file", r->name);
        h->hint(h, "the writer bam gives back what reader: {plugin: bam, isolate: false} read");
        return st;
    }
    mbs_status st = check_header(w, a);
    if (st == MBS_OK && !bam_copy1(w->b, a->record)) {
        st = h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a record");
    }
    st = st < 0 ? st : put_tags(w);
    st = st == MBS_OK && w->index ? check_place(w) : st;
    if (st < 0) {
        return st;
    }
    if (!w->temp) {
        if (sam_format1(w->hdr, w->b, &w->line) < 0 || kputc('\n', &w->line) < 0) {
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a record");
        }
        return h->stdout_write(h, w->line.s, w->line.l);
    }
    errno = 0;
    if (sam_write1(w->fp, w->hdr, w->b) >= 0) {
        return MBS_OK;
    }
    if (w->index && errno == ERANGE) {
        st = h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s' lies behind the end of its contig, where no index goes",
                     r->name);
        h->hint(h, "let the header say the contig's true length (samtools reheader), or write_index: no");
        return st;
    }
    return cannot_write(w);
}

static mbs_status bm_write(void *self, const mbs_block *b) {
    bm_writer *w = self;
    const mbs_host *h = w->host;
    mbs_status st = mbs_row_shape_check(&w->shape, b, h);
    st = st < 0 ? st : mbs_span_add(&w->span, b, h);
    if (st == MBS_OK && (b->dtype != MBS_F32 || w->shape.width != w->models)) {
        st = h->fail(h, MBS_ERR_INTERNAL, NULL, "record '%s': the rows are not what '%s' says", b->record->name,
                     b->type);
    }
    if (b->flags & MBS_SEQ_START) {
        w->sum[0] = w->sum[1] = 0;
        w->scored = 0;
    }
    const float *v = b->data;
    for (int64_t i = 0; st == MBS_OK && i < b->shape[0]; i++, v += w->models) {
        if (!isnan(v[0])) {
            w->sum[0] += (double)v[0];
            w->sum[1] += w->models > 1 ? (double)v[1] : 0;
            w->scored++;
        }
    }
    if (st == MBS_OK && (b->flags & MBS_SEQ_END)) {
        w->span.open = 0;
        st = put_record(w, b->record);
    }
    return st;
}

static mbs_status bm_drain(void *self) {
    bm_writer *w = self;
    if (w->span.open) {
        return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "the last record has no end");
    }
    return w->begun ? MBS_OK : begin_file(w, NULL, 0);
}

static mbs_status bm_close(void *self) {
    bm_writer *w = self;
    if (!w->fp) {
        return MBS_OK;
    }
    errno = 0;
    int bad = w->index && sam_idx_save(w->fp) != 0;
    bad |= hts_close(w->fp) != 0;
    w->fp = NULL;
    return bad ? cannot_write(w) : MBS_OK;
}

static void bm_destroy(void *self) {
    bm_writer *w = self;
    if (w->fp) {
        (void)hts_close(w->fp); /* the run failed: the host removes the file */
    }
    sam_hdr_destroy(w->hdr);
    bam_destroy1(w->b);
    ks_free(&w->line);
    w->host->free(w->host, w->source);
    w->host->free(w->host, w);
}

const mbs_writer_vt bm_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = bm_create,
    .open = bm_open,
    .write = bm_write,
    .drain = bm_drain,
    .close = bm_close,
    .destroy = bm_destroy,
};
