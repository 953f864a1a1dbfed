/* Which records are wanted: flags, mapping quality, an expression, regions. */
#include <errno.h>
#include <htslib/bgzf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "genomics/htsutil/names.h"
#include "genomics/htsutil/region.h"
#include "reader.h"

#define BAI_END ((hts_pos_t)1 << 29)
#define LOOK_UP 4096 /* records between two looks at the request to stop */

static mbs_status flags(const bm_reader *r, const char *key, int *value) {
    const mbs_host *h = r->host;
    const char *text = h->param_string(r->params, key);
    *value = text && *text ? bam_str2flag(text) : 0;
    if (*value >= 0 && *value <= 0xffff) {
        return MBS_OK;
    }
    mbs_status st = h->fail(h, MBS_ERR_CONFIG, key, "'%.100s' names no flags", text);
    h->hint(h, "a number as 0x904, or names as UNMAP,SECONDARY,SUPPLEMENTARY (samtools flags lists them)");
    return st;
}

/* Tries the expression on a made-up record: what is wrong with its text shows before the first real one. */
static mbs_status try_expression(bm_reader *r, const char *text) {
    const mbs_host *h = r->host;
    static const char header[] = "@SQ\tSN:a\tLN:9\n";
    uint32_t cigar = bam_cigar_gen(4, BAM_CMATCH);
    bam1_t *b = bam_init1();
    sam_hdr_t *hdr = sam_hdr_parse(sizeof(header) - 1, header);
    int known = b && hdr && bam_set1(b, 1, "r", 0, 0, 0, 60, 1, &cigar, -1, -1, 0, 4, "ACGT", "IIII", 0) >= 0;
    int answer = known ? sam_passes_filter(hdr, b, r->expr) : 0;
    bam_destroy1(b);
    sam_hdr_destroy(hdr);
    if (!known) {
        return h->fail(h, MBS_ERR_MEMORY, "expr", "no memory to try the expression");
    }
    if (answer >= 0) {
        return MBS_OK;
    }
    mbs_status st = h->fail(h, MBS_ERR_CONFIG, "expr", "'%.200s' is no filter expression", text);
    h->hint(h, "as in samtools view -e: mapq >= 30 && [NM] <= 2 (samtools manual, FILTER EXPRESSIONS)");
    return st;
}

mbs_status bm_select_params(bm_reader *r) {
    const mbs_host *h = r->host;
    mbs_status st = flags(r, "require_flags", &r->require);
    st = st == MBS_OK ? flags(r, "exclude_flags", &r->exclude) : st;
    if (st != MBS_OK) {
        return st;
    }
    r->min_mapq = (int)h->param_int(r->params, "min_mapq");
    const char *text = h->param_string(r->params, "expr");
    if (!text || !*text) {
        return MBS_OK;
    }
    r->expr = hts_filter_init(text);
    return r->expr ? try_expression(r, text) : h->fail(h, MBS_ERR_MEMORY, "expr", "no memory for an expression");
}

static int wanted(const bm_reader *r, const bam1_t *b) {
    const bam1_core_t *c = &b->core;
    if ((c->flag & r->require) != r->require || (c->flag & r->exclude) != 0 || c->qual < r->min_mapq) {
        return 0;
    }
    return r->expr ? sam_passes_filter(r->hdr, b, r->expr) : 1;
}

/* ---- regions ---- */

static int tid_of(const bm_reader *r, const char *name, size_t n) {
    kstring_t copy = KS_INITIALIZE;
    int tid = kputsn(name, n, &copy) < 0 ? -1 : sam_hdr_name2tid(r->hdr, copy.s);
    ks_free(&copy);
    return tid;
}

/* "*" is what lies nowhere. */
static int is_nowhere(const char *name, size_t n) {
    return n == 1 && *name == '*';
}

static int known(void *ctx, const char *name, size_t n) {
    return is_nowhere(name, n) || tid_of(ctx, name, n) >= 0;
}

static mbs_status add_span(bm_reader *r, bm_span s) {
    if (r->n_spans == r->cap_spans) {
        int64_t cap = r->cap_spans ? r->cap_spans * 2 : 16;
        bm_span *list = r->host->realloc(r->host, r->spans, (size_t)cap * sizeof(*list));
        if (!list) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, "regions", "no memory for %lld regions", (long long)cap);
        }
        r->spans = list;
        r->cap_spans = cap;
    }
    r->spans[r->n_spans++] = s;
    return MBS_OK;
}

static mbs_status no_such_contig(const bm_reader *r, const char *where, const hu_query *q) {
    const mbs_host *h = r->host;
    mbs_status st = h->fail(h, MBS_ERR_DATA, "regions", "%s: no contig of %s is named '%.*s'", where, bm_show(r),
                            (int)(q->name_len < 100 ? q->name_len : 100), q->name);
    hu_names near;
    hu_names_begin(&near, q->name, q->name_len);
    for (int i = 0; i < sam_hdr_nref(r->hdr); i++) {
        hu_names_consider(&near, sam_hdr_tid2name(r->hdr, i));
    }
    hu_names_hint(&near, h);
    return st;
}

static mbs_status take(void *ctx, const hu_query *q) {
    bm_reader *r = ctx;
    const mbs_host *h = r->host;
    char where[256];
    hu_query_show(q, where, sizeof(where));
    if (is_nowhere(q->name, q->name_len)) {
        return add_span(r, (bm_span){HTS_IDX_NOCOOR, 0, HTS_POS_MAX});
    }
    int tid = tid_of(r, q->name, q->name_len);
    if (tid < 0) {
        return no_such_contig(r, where, q);
    }
    hts_pos_t length = sam_hdr_tid2len(r->hdr, tid);
    hts_pos_t end = q->end < 0 ? length : (hts_pos_t)q->end;
    if (q->beg >= length || end > length) {
        return h->fail(h, MBS_ERR_DATA, "regions", "%s: lies outside of '%s', which has %lld bases", where,
                       sam_hdr_tid2name(r->hdr, tid), (long long)length);
    }
    if (hts_idx_fmt(r->idx) == HTS_FMT_BAI && end > BAI_END) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "regions", "%s: a .bai index ends at base %lld of a contig", where,
                                (long long)BAI_END);
        h->hint(h, "samtools index -c %s makes a .csi, which has no such end", bm_show(r));
        return st;
    }
    return add_span(r, (bm_span){tid, q->beg, end});
}

static int compare_spans(const void *a, const void *b) {
    const bm_span *x = a;
    const bm_span *y = b;
    /* what lies nowhere comes last, as in the file */
    uint32_t tx = (uint32_t)x->tid;
    uint32_t ty = (uint32_t)y->tid;
    if (tx != ty) {
        return tx < ty ? -1 : 1;
    }
    return x->beg != y->beg ? (x->beg < y->beg ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

/* Sorted spans, those that touch made one. */
static void merge_spans(bm_reader *r) {
    qsort(r->spans, (size_t)r->n_spans, sizeof(*r->spans), compare_spans);
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_spans; i++) {
        bm_span *last = n ? &r->spans[n - 1] : NULL;
        if (last && last->tid == r->spans[i].tid && r->spans[i].beg <= last->end) {
            last->end = r->spans[i].end > last->end ? r->spans[i].end : last->end;
        } else {
            r->spans[n++] = r->spans[i];
        }
    }
    r->n_spans = n;
}

/* One list of intervals for each contig, as htslib wants them; it frees them. NULL without memory. */
static hts_reglist_t *make_list(const bm_reader *r, unsigned *count) {
    hts_reglist_t *list = calloc((size_t)r->n_spans, sizeof(*list));
    unsigned n = 0;
    for (int64_t i = 0; list && i < r->n_spans;) {
        int64_t next = i;
        while (next < r->n_spans && r->spans[next].tid == r->spans[i].tid) {
            next++;
        }
        hts_reglist_t *l = &list[n++];
        l->tid = r->spans[i].tid;
        l->reg = l->tid >= 0 ? sam_hdr_tid2name(r->hdr, l->tid) : "*";
        l->count = (uint32_t)(next - i);
        l->min_beg = r->spans[i].beg;
        l->max_end = r->spans[next - 1].end;
        l->intervals = calloc(l->count, sizeof(*l->intervals));
        if (!l->intervals) {
            hts_reglist_free(list, (int)n);
            return NULL;
        }
        for (int64_t k = i; k < next; k++) {
            l->intervals[k - i] = (hts_pair_pos_t){r->spans[k].beg, r->spans[k].end};
        }
        i = next;
    }
    *count = n;
    return list;
}

mbs_status bm_select_regions(bm_reader *r) {
    const mbs_host *h = r->host;
    hu_regions regions = {.host = h, .params = r->params, .param = "regions", .ctx = r, .known = known, .take = take};
    r->n_spans = 0;
    mbs_status st = hu_regions_read(&regions);
    if (st != MBS_OK) {
        return st;
    }
    merge_spans(r);
    unsigned n = 0;
    hts_reglist_t *list = make_list(r, &n);
    if (!list) {
        return h->fail(h, MBS_ERR_MEMORY, "regions", "no memory for %lld regions", (long long)r->n_spans);
    }
    r->itr = sam_itr_regions(r->idx, r->hdr, list, n); /* takes the list, also where it fails */
    return r->itr ? MBS_OK : h->fail(h, MBS_ERR_DATA, "regions", "%s: its index cannot be used", bm_show(r));
}

/* ---- the next one ---- */

static mbs_status broken(bm_reader *r, int failed) {
    const mbs_host *h = r->host;
    const char *path = bm_show(r);
    if (r->no_end) {
        h->log(h, MBS_LOGLEVEL_WARNING, "%s: ends within a record; %lld are complete", path, (long long)r->n_read);
        return MBS_END;
    }
    const htsFormat *f = hts_get_format(r->fp);
    if (errno == ENOMEM && failed != -2) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "%s: no memory for a record", path);
    }
    if (f->format == cram && r->n_unknown > 0) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "path",
                                "%s: the sequence of '%s'%s is not on this machine, or the file is damaged "
                                "(%lld records were read)",
                                path, r->unknown, r->n_unknown > 1 ? " and other contigs" : "", (long long)r->n_read);
        h->hint(h, "give reference: ref.fa (with .fai) or set REF_PATH to a folder; allow_network: true asks a server");
        return st;
    }
    mbs_status blamed = f->format == cram && r->held ? bm_blame(r) : MBS_OK;
    if (blamed != MBS_OK) {
        return blamed;
    }
    if (f->format == sam) {
        return h->fail(h, MBS_ERR_DATA, "path", "%s:%lld: is no alignment record that its header allows", path,
                       (long long)r->fp->lineno);
    }
    return h->fail(h, MBS_ERR_DATA, "path", "%s: truncated or damaged behind record %lld", path, (long long)r->n_read);
}

static mbs_status at_end(bm_reader *r) {
    const BGZF *bgzf = r->fp->is_bgzf ? r->fp->fp.bgzf : NULL;
    int missing = bgzf && bgzf_compression(r->fp->fp.bgzf) == 2 && bgzf->no_eof_block; /* 2: BGZF */
    if (missing && !r->itr && !r->no_end) { /* a stream: only its end shows it */
        mbs_status st = bm_end_missing(r);
        return st == MBS_OK ? MBS_END : st;
    }
    return MBS_END;
}

mbs_status bm_next(bm_reader *r) {
    const mbs_host *h = r->host;
    for (int64_t n = 1;; n++) {
        bam1_t *b = r->read->b;
        errno = 0;
        int got = r->itr ? sam_itr_multi_next(r->fp, r->itr, b) : sam_read1(r->fp, r->hdr, b);
        if (got < 0) {
            return got == -1 ? at_end(r) : broken(r, got);
        }
        r->n_read++;
        int take_it = wanted(r, b);
        if (take_it < 0) {
            return h->fail(h, MBS_ERR_DATA, "expr", "%s: the expression cannot be told for record %lld, '%.100s'",
                           bm_show(r), (long long)r->n_read, bam_get_qname(b));
        }
        if (take_it) {
            return r->held && b->core.tid >= 0 ? bm_hold(r, b->core.tid, bam_get_qname(b)) : MBS_OK;
        }
        if (n % LOOK_UP == 0 && h->cancelled(h)) {
            return h->fail(h, MBS_ERR_STOPPED, NULL, "stopped while looking for a record");
        }
    }
}
