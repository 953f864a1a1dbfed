#include "writer.h"

#include <errno.h>
#include <htslib/hts_log.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mambaseq/ext/edits.h"

#define TBI_END ((int64_t)1 << 29)
#define CSI_SHIFT 14

static int ends_in(const char *path, const char *suffix) {
    size_t n = strlen(path);
    size_t k = strlen(suffix);
    return n > k && strcmp(path + n - k, suffix) == 0;
}

static mbs_status choose_type(vf_writer *w) {
    const mbs_host *h = w->host;
    w->mode = strcmp(w->path, "-") == 0 || ends_in(w->path, ".vcf")         ? "w"
              : ends_in(w->path, ".vcf.gz") || ends_in(w->path, ".vcf.bgz") ? "wz"
              : ends_in(w->path, ".bcf")                                    ? "wb"
                                                                            : NULL;
    if (!w->mode) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "path", "%s: its name says no type of file", w->path);
        h->hint(h, "let it end with .vcf, .vcf.gz or .bcf");
        return st;
    }
    if (h->param_bool(w->params, "write_index") && strcmp(w->mode, "w") == 0) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "write_index", "a VCF that is not compressed has no index");
        h->hint(h, "write a .vcf.gz or a .bcf");
        return st;
    }
    return MBS_OK;
}

static mbs_status vf_create(const mbs_host *host, const mbs_params *params, void **self) {
    hts_set_log_level(HTS_LOG_OFF); /* its words would go to stderr; ours say more */
    vf_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->params = params;
    w->path = host->param_string(params, "path");
    mbs_status st = choose_type(w);
    st = st < 0 ? st : host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

static mbs_status declare_index(vf_writer *w) {
    const mbs_host *h = w->host;
    if (!h->param_bool(w->params, "write_index")) {
        return MBS_OK;
    }
    w->tbi = strcmp(w->mode, "wz") == 0;
    for (int64_t i = 0; i < w->stream->n_contigs; i++) {
        w->tbi &= w->stream->contigs[i].length <= TBI_END;
    }
    char path[4200];
    int n = snprintf(path, sizeof(path), "%s%s", w->path, w->tbi ? ".tbi" : ".csi");
    if (n < 0 || n >= (int)sizeof(path)) {
        return h->fail(h, MBS_ERR_CREATE, "path", "the name of the index is too long");
    }
    return h->output(h, path, MBS_OUTPUT_FILE, NULL, &w->index);
}

static mbs_status vf_open(void *self, const mbs_stream_header *header) {
    vf_writer *w = self;
    const char *task = mbs_header_attr(header, "task");
    w->stream = header;
    w->fills = strcmp(header->type, "bases/u8") == 0;
    if (w->fills && (!task || strcmp(task, "impute") != 0)) {
        mbs_status st =
            w->host->fail(w->host, MBS_ERR_CONFIG, NULL, "letters are records of a VCF after task impute only");
        w->host->hint(w->host, "take the writer fasta, or task impute");
        return st;
    }
    w->b = bcf_init();
    return w->b ? declare_index(w) : w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a record");
}

static mbs_status cannot_write(const vf_writer *w) {
    const mbs_host *h = w->host;
    return h->fail(h, MBS_ERR_IO, "path", "cannot write '%s': %s", w->path, errno ? strerror(errno) : "no room");
}

/* The header, before the first record. */
mbs_status vf_writer_begin(vf_writer *w, const bcf_hdr_t *from) {
    const mbs_host *h = w->host;
    mbs_status st = vf_writer_header(w, from);
    if (st < 0) {
        return st;
    }
    if (w->resumed) {
        return vf_writer_go_on(w);
    }
    if (!w->temp) {
        w->line.l = 0;
        if (bcf_hdr_format(w->hdr, 0, &w->line) < 0) {
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a header");
        }
        return h->stdout_write(h, w->line.s, w->line.l);
    }
    errno = 0;
    w->fp = hts_open(w->temp, w->mode);
    return w->fp && bcf_hdr_write(w->fp, w->hdr) == 0 ? MBS_OK : cannot_write(w);
}

static const vf_record *record_of(const mbs_record *r) {
    const mbs_origin *o = r->origin;
    const vf_record *v = o && strcmp(o->library, VF_LIBRARY) == 0 ? o->data : NULL;
    return v && v->struct_size >= sizeof(*v) ? v : NULL;
}

/* Records may use what the header did not declare when it was written. Text can say that all the same. */
static mbs_status follow_header(vf_writer *w, const vf_record *v) {
    const mbs_host *h = w->host;
    const bcf_hdr_t *from = v->head->hdr;
    if (!w->hdr && !w->resumed) {
        return vf_writer_begin(w, from);
    }
    const int same = w->n_tags == from->n[BCF_DT_ID] && w->n_contigs == from->n[BCF_DT_CTG];
    if (!w->hdr && (same || strcmp(w->mode, "wb") != 0)) {
        return vf_writer_begin(w, from);
    }
    if (same) {
        return MBS_OK;
    }
    if (strcmp(w->mode, "wb") == 0) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, NULL,
                                "%.100s:%lld: the record has a contig or tag that the header does not declare",
                                bcf_seqname_safe(from, v->b), (long long)v->b->pos + 1);
        h->hint(h, "add it to the header (bcftools annotate -h), or write a .vcf or .vcf.gz");
        return st;
    }
    return vf_writer_header(w, from);
}

static const char *word(uint8_t reason) {
    static const char *const words[] = {".", "symbolic", "mismatch", "unknown", "first", "length"};
    return reason < MBS_EDIT_REASONS ? words[reason] : "other";
}

static mbs_status put_values(vf_writer *w, const mbs_block *b) {
    const mbs_host *h = w->host;
    const uint8_t *reasons = mbs_side_data(b, "reason", MBS_U8, 1);
    int64_t n = b->shape[0];
    int missing = n == 0;
    if (n > w->cap_values) {
        float *p = h->realloc(h, w->values, (size_t)n * sizeof(*p));
        if (!p) {
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld alleles", (long long)n);
        }
        w->values = p;
        w->cap_values = n;
    }
    w->why.l = 0;
    int bad = n == 0 && kputs("no_alt", &w->why) < 0;
    for (int64_t i = 0; i < n; i++) {
        w->values[i] = ((const float *)b->data)[i * b->shape[1]];
        uint8_t reason = reasons ? reasons[i] : MBS_EDIT_SCORED;
        missing |= reason != MBS_EDIT_SCORED;
        if (isnan(w->values[i])) {
            bcf_float_set_missing(w->values[i]);
        }
        bad |= (i && kputc(',', &w->why) < 0) || kputs(word(reason), &w->why) < 0;
    }
    bad |= bcf_update_info_float(w->hdr, w->b, VF_LLR, n ? w->values : NULL, (int)n) < 0;
    bad |= bcf_update_info_string(w->hdr, w->b, VF_WHY, missing ? w->why.s : NULL) < 0;
    return bad ? h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a record") : MBS_OK;
}

/* What an index cannot say is known before the record is written. */
static mbs_status check_place(vf_writer *w) {
    const bcf1_t *b = w->b;
    const int64_t end = (int64_t)b->pos + b->rlen;
    const bcf_idpair_t *contig = &w->hdr->id[BCF_DT_CTG][b->rid];
    const int64_t length = contig->val ? (int64_t)contig->val->info[0] : 0;
    const char *what = w->tbi && end > TBI_END ? "a .tbi ends at base 536870912 of a contig" : NULL;
    if (what) {
        mbs_status st = w->host->fail(w->host, MBS_ERR_DATA, "write_index", "%.100s:%lld: %s", contig->key,
                                      (long long)b->pos + 1, what);
        w->host->hint(w->host, "write_index: false, or a .bcf with the contig's true length in its header");
        return st;
    }
    if (length > 0 && end > length && !*w->beyond) {
        (void)snprintf(w->beyond, sizeof(w->beyond), "%.100s:%lld", contig->key, (long long)b->pos + 1);
    }
    return MBS_OK;
}

mbs_status vf_writer_put(vf_writer *w) {
    const mbs_host *h = w->host;
    mbs_status st = w->index ? check_place(w) : MBS_OK;
    if (st < 0) {
        return st;
    }
    if (!w->temp) {
        w->line.l = 0;
        if (vcf_format(w->hdr, w->b, &w->line) != 0) {
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a record");
        }
        return h->stdout_write(h, w->line.s, w->line.l);
    }
    errno = 0;
    return bcf_write(w->fp, w->hdr, w->b) < 0 ? cannot_write(w) : MBS_OK;
}

static mbs_status vf_write(void *self, const mbs_block *b) {
    vf_writer *w = self;
    const mbs_host *h = w->host;
    const uint32_t whole = MBS_SEQ_START | MBS_SEQ_END;
    if (w->fills) {
        return vf_fills_write(w, b);
    }
    const vf_record *v = record_of(b->record);
    if (!v) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, NULL, "record '%.100s' was not read from a VCF", b->record->name);
        h->hint(h, "the writer vcf gives back what reader: {plugin: vcf} read");
        return st;
    }
    if ((b->flags & whole) != whole || b->dtype != MBS_F32 || b->ndim != 2 || b->shape[1] < 1 ||
        b->shape[0] != v->b->n_allele - 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "record '%.100s': %lld rows for its alleles", b->record->name,
                       (long long)b->shape[0]);
    }
    mbs_status st = follow_header(w, v);
    if (st == MBS_OK && !bcf_copy(w->b, v->b)) {
        st = h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a record");
    }
    st = st == MBS_OK ? put_values(w, b) : st;
    return st == MBS_OK ? vf_writer_put(w) : st;
}

static mbs_status vf_drain(void *self) {
    vf_writer *w = self;
    return w->hdr ? MBS_OK : vf_writer_begin(w, NULL);
}

/* Of the whole file: it is the same one after a run that was stopped and went on. */
static mbs_status make_index(vf_writer *w) {
    const mbs_host *h = w->host;
    errno = 0;
    int bad = bcf_index_build3(w->temp, w->index, w->tbi ? 0 : CSI_SHIFT, 0);
    if (bad == 0) {
        return MBS_OK;
    }
    if (*w->beyond) {
        mbs_status st =
            h->fail(h, MBS_ERR_DATA, "write_index", "%s: behind the end of its contig, where no index goes", w->beyond);
        h->hint(h, "let the header say the contig's true length (bcftools reheader), or write_index: false");
        return st;
    }
    return h->fail(h, MBS_ERR_IO, "write_index", "cannot index '%s': %s", w->path, errno ? strerror(errno) : "no room");
}

static mbs_status vf_close(void *self) {
    vf_writer *w = self;
    if (!w->fp) {
        return MBS_OK;
    }
    errno = 0;
    int bad = hts_close(w->fp) != 0;
    w->fp = NULL;
    return bad ? cannot_write(w) : w->index ? make_index(w) : MBS_OK;
}

static void vf_destroy(void *self) {
    vf_writer *w = self;
    if (w->fp) {
        (void)hts_close(w->fp); /* the run failed: the host removes the file */
    }
    if (w->hdr) {
        bcf_hdr_destroy(w->hdr);
    }
    if (w->b) {
        bcf_destroy(w->b);
    }
    ks_free(&w->line);
    ks_free(&w->why);
    ks_free(&w->tail);
    vf_fills_free(w);
    w->host->free(w->host, w->values);
    w->host->free(w->host, w);
}

static const void *vf_extension(void *self, const char *id) {
    const vf_writer *w = self;
    return w && w->temp && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &vf_writer_checkpoint : NULL;
}

const mbs_writer_vt vf_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = vf_create,
    .open = vf_open,
    .write = vf_write,
    .drain = vf_drain,
    .close = vf_close,
    .destroy = vf_destroy,
    .get_extension = vf_extension,
};
