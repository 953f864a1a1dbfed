/* What task impute put in, a record for each gap: REF what stood there, ALT what was filled in. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "writer.h"

#define FILLED 1
#define LEFT 2
#define QUAL_MOST 99.0

static mbs_status no_memory(const vf_writer *w) {
    return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a record");
}

int vf_fills_describe(vf_writer *w) {
    const char *window = mbs_header_attr(w->stream, "window");
    const char *kind = mbs_header_attr(w->stream, "prediction");
    const char *longest = mbs_header_attr(w->stream, "max_gap");
    const char *model = mbs_header_attr(w->stream, "model_sha256");
    int masked = kind && strcmp(kind, "masked") == 0;
    kstring_t line = KS_INITIALIZE;
    int bad =
        ksprintf(&line,
                 "##INFO=<ID=" VF_PROBABILITY ",Number=.,Type=Float,Description=\"probability of each filled base, "
                 "%s%s bases; QUAL: -10 log10 of the probability that the fill as a whole is another, at most 99; "
                 "model %.64s\">",
                 masked ? "read off at the masked base, given "
                        : "its share among the candidates, given the fills "
                          "and bases before it and the following ",
                 window ? window : "?", model ? model : "?") < 0;
    bad |= bcf_hdr_append(w->hdr, line.s) < 0;
    line.l = 0;
    bad |= ksprintf(&line,
                    "##INFO=<ID=" VF_WHY ",Number=.,Type=String,Description=\"why a gap was left as it is: long (more "
                    "than %s bases; END is its last)\">",
                    longest ? longest : "max_gap") < 0;
    bad |= bcf_hdr_append(w->hdr, line.s) < 0;
    bad |= bcf_hdr_append(w->hdr, "##INFO=<ID=END,Number=1,Type=Integer,Description=\"last base of the record\">") < 0;
    ks_free(&line);
    return bad;
}

void vf_fills_free(vf_writer *w) {
    ks_free(&w->gap.stood);
    ks_free(&w->gap.put);
    ks_free(&w->gap.each);
}

/* The contig of a record, declared where the header of the stream did not. */
static mbs_status contig(vf_writer *w, const char *name, int *rid) {
    const mbs_host *h = w->host;
    *rid = bcf_hdr_name2id(w->hdr, name);
    if (*rid >= 0) {
        return MBS_OK;
    }
    if (strcmp(w->mode, "wb") == 0) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, NULL, "'%.100s' was not announced before the first record", name);
        h->hint(h, "index the FASTA (samtools faidx), or write a .vcf or .vcf.gz");
        return st;
    }
    w->line.l = 0;
    int bad = ksprintf(&w->line, "##contig=<ID=%s>", name) < 0 || bcf_hdr_append(w->hdr, w->line.s) < 0 ||
              bcf_hdr_sync(w->hdr) < 0;
    *rid = bad ? -1 : bcf_hdr_name2id(w->hdr, name);
    return *rid < 0 ? no_memory(w) : MBS_OK;
}

static mbs_status put_values(vf_writer *w) {
    vf_gap *g = &w->gap;
    int same = g->state == FILLED && strcmp(g->stood.s, g->put.s) == 0;
    kstring_t *alleles = &w->why;
    alleles->l = 0;
    int none = g->state == LEFT || same; /* nothing else than what stands there */
    int bad = ksprintf(alleles, "%s%s%s", g->stood.s, none ? "" : ",", none ? "" : g->put.s) < 0;
    bad |= bcf_update_alleles_str(w->hdr, w->b, alleles->s) != 0;
    bcf_float_set_missing(w->b->qual);
    if (g->state == FILLED) {
        double other = 1 - (double)g->whole;
        w->b->qual = (float)(other <= 0 ? QUAL_MOST : fmin(-10 * log10(other), QUAL_MOST));
        bad |= bcf_update_info_float(w->hdr, w->b, VF_PROBABILITY, g->each.s, (int)(g->each.l / sizeof(float))) < 0;
    } else {
        int32_t end = (int32_t)g->end;
        bad |= g->end <= INT32_MAX && bcf_update_info_int32(w->hdr, w->b, "END", &end, 1) < 0;
        bad |= bcf_update_info_string(w->hdr, w->b, VF_WHY, "long") < 0;
    }
    return bad ? no_memory(w) : MBS_OK;
}

static mbs_status end_gap(vf_writer *w, const char *name) {
    vf_gap *g = &w->gap;
    if (g->state == 0) {
        return MBS_OK;
    }
    bcf_clear(w->b);
    int rid = -1;
    mbs_status st = contig(w, name, &rid);
    w->b->rid = rid;
    w->b->pos = g->start;
    st = st == MBS_OK ? put_values(w) : st;
    st = st == MBS_OK ? vf_writer_put(w) : st;
    g->state = 0;
    g->stood.l = g->put.l = g->each.l = 0;
    return st;
}

static char upper(uint8_t letter) {
    char c = (char)(letter & 0xdf);
    return c == 'U' ? 'T' : c;
}

mbs_status vf_fills_write(vf_writer *w, const mbs_block *b) {
    const mbs_host *h = w->host;
    vf_gap *g = &w->gap;
    const uint8_t *stood = mbs_side_data(b, "spelled", MBS_U8, 1);
    const uint8_t *state = mbs_side_data(b, "fill", MBS_U8, 1);
    const float *p = mbs_side_data(b, "probability", MBS_F32, 2);
    const uint8_t *letters = b->data;
    if (b->dtype != MBS_U8 || b->ndim != 1 || (b->shape[0] > 0 && (!stood || !state || !p))) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "record '%.100s': letters that say not what was filled in",
                       b->record->name);
    }
    mbs_status st = w->hdr ? MBS_OK : vf_writer_begin(w, NULL);
    for (int64_t i = 0; i < b->shape[0] && st == MBS_OK; i++) {
        if (g->state != 0 && g->state != state[i]) {
            st = end_gap(w, b->record->name);
        }
        if (state[i] == 0) {
            continue;
        }
        int bad = 0;
        if (g->state == 0) {
            g->start = b->start + i;
            g->whole = p[2 * i + 1];
        }
        if (g->state == 0 || state[i] == FILLED) {
            bad |= kputc(upper(stood[i]), &g->stood) < 0 || kputc(upper(letters[i]), &g->put) < 0 ||
                   kputsn((const char *)&p[2 * i], sizeof(float), &g->each) < 0;
        }
        g->state = state[i];
        g->end = b->start + i + 1;
        st = bad ? no_memory(w) : st;
    }
    return st == MBS_OK && b->flags & MBS_SEQ_END ? end_gap(w, b->record->name) : st;
}
