/* Alleles as edits of a contig, and the records that are read ahead for them. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "genomics/htsutil/bytes.h"
#include "reader.h"

int64_t vf_ref_length(const vf_record *v) {
    return (int64_t)strlen(v->b->d.allele[0]);
}

static int is_letters(const char *s) {
    const char *at = s;
    while ((*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z')) {
        at++;
    }
    return *s && !*at;
}

/* An ambiguous letter of the FASTA says nothing against REF. */
static int fits(const uint8_t *stands, const char *ref, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        int a = toupper(stands[i]);
        int b = toupper((unsigned char)ref[i]);
        a = a == 'U' ? 'T' : a;
        if (a != b && (strchr("ACGTN", a) || !strchr("RYSWKMBDHV", a))) {
            return 0;
        }
    }
    return 1;
}

static mbs_status misfit(const vf_reader *r, const vf_record *v, const uint8_t *stands, int64_t n) {
    const mbs_host *h = r->host;
    char shown[256];
    vf_show(v, shown, sizeof(shown));
    mbs_status st =
        stands
            ? h->fail(h, MBS_ERR_DATA, "reference", "%s: %s: REF is %.40s, and %s has %.*s there", fa_show(r->path),
                      shown, v->b->d.allele[0], r->reference.path, (int)(n < 40 ? n : 40), (const char *)stands)
            : h->fail(h, MBS_ERR_DATA, "reference", "%s: %s: REF %.40s lies outside of the contig's %lld bases in %s",
                      fa_show(r->path), shown, v->b->d.allele[0], (long long)r->length, r->reference.path);
    h->hint(h,
            "give the FASTA that the variants were called on; ref_mismatch: mark keeps such records without a score");
    return st;
}

mbs_status vf_judge(vf_reader *r, vf_record *v) {
    const mbs_host *h = r->host;
    const char *ref = v->b->d.allele[0];
    int64_t n = vf_ref_length(v);
    int64_t pos = v->b->pos;
    if (r->entry < 0) {
        v->misfit = 1; /* said when the contig began */
        return MBS_OK;
    }
    if (pos < 0 || n < 1 || pos + n > r->length) {
        v->misfit = 1;
        /* POS 0 is the place in front of the first base: a name for a telomere, where no base stands */
        return r->mark || pos < 0 ? MBS_OK : misfit(r, v, NULL, 0);
    }
    uint8_t few[256];
    uint8_t *stands = n <= (int64_t)sizeof(few) ? few : h->alloc(h, (size_t)n);
    if (!stands) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a REF of %lld bases", (long long)n);
    }
    mbs_status st = hu_reference_read(&r->reference, r->entry, pos, n, stands);
    if (st == MBS_OK) {
        v->misfit = !fits(stands, ref, n);
        st = v->misfit && !r->mark ? misfit(r, v, stands, n) : MBS_OK;
    }
    if (stands != few) {
        h->free(h, stands);
    }
    return st;
}

vf_change vf_change_of(const vf_record *v, int i) {
    const char *alt = v->b->d.allele[i];
    vf_change c = {(int)MBS_EDIT_SCORED, alt, (int64_t)strlen(alt)};
    if (!is_letters(alt)) { /* <DEL>, *, a breakend, a missing allele */
        c.reason = (int)MBS_EDIT_SYMBOLIC;
    } else if (v->misfit) {
        c.reason = (int)MBS_EDIT_MISFIT;
    }
    return c;
}

mbs_status vf_edits_block(vf_reader *r, int64_t start, int64_t end, const vf_change *changes, int64_t n,
                          mbs_block **out) {
    const mbs_host *h = r->host;
    int64_t units = 0;
    for (int64_t i = 0; i < n; i++) {
        units += changes[i].reason == MBS_EDIT_SCORED ? changes[i].n + 1 : 0;
    }
    int64_t shape[2] = {n > units ? n : units, 3};
    shape[0] = shape[0] > 0 ? shape[0] : 1;
    mbs_block *b = h->block_new(h, "edits", MBS_I64, 2, shape);
    int32_t *inserted = b ? h->block_side(h, b, "inserted", MBS_I32, 1) : NULL;
    if (!inserted) {
        h->block_unref(h, b);
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld alleles", (long long)n);
    }
    int64_t *row = b->data;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++, row += 3) {
        int made = changes[i].reason == MBS_EDIT_SCORED;
        row[0] = start;
        row[1] = made ? end - start : -1;
        row[2] = made ? at : changes[i].reason;
        for (int64_t k = 0; made && k < changes[i].n; k++) {
            inserted[at++] = (unsigned char)changes[i].letters[k];
        }
        if (made) {
            inserted[at++] = -1;
        }
    }
    b->shape[0] = n;
    b->start = start;
    b->end = end;
    b->flags = MBS_SEQ_START | MBS_SEQ_END;
    b->record = &r->edit_record;
    *out = b;
    return MBS_OK;
}

static mbs_status room_for_changes(vf_reader *r, int64_t n) {
    if (n <= r->cap_changes) {
        return MBS_OK;
    }
    vf_change *p = r->host->realloc(r->host, r->changes, (size_t)n * sizeof(*p));
    if (!p) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %lld alleles", (long long)n);
    }
    r->changes = p;
    r->cap_changes = n;
    return MBS_OK;
}

/* ALT of each, with tabs between: as many as the block has rows. */
static mbs_status join_alts(vf_reader *r, const vf_record *v) {
    size_t need = 2;
    for (int i = 1; i < v->b->n_allele; i++) {
        need += strlen(v->b->d.allele[i]) + 1;
    }
    if (need > r->cap_alts) {
        char *p = r->host->realloc(r->host, r->alts, need * 2);
        if (!p) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for alleles of %zu bytes", need);
        }
        r->alts = p;
        r->cap_alts = need * 2;
    }
    char *at = r->alts;
    for (int i = 1; i < v->b->n_allele; i++) {
        size_t n = strlen(v->b->d.allele[i]);
        memcpy(at, v->b->d.allele[i], n);
        at += n;
        *at++ = '\t';
    }
    at -= at > r->alts ? 1 : 0;
    *at = '\0';
    return MBS_OK;
}

static void forget_shown(vf_reader *r) {
    vf_record_unref(r->shown);
    r->shown = NULL;
}

/* A record that was judged, as edits on strand +. Takes it over. */
static mbs_status show(vf_reader *r, vf_record *v, mbs_block **out) {
    forget_shown(r);
    r->shown = v;
    int64_t n = v->b->n_allele - 1;
    mbs_status st = room_for_changes(r, n);
    st = st == MBS_OK ? join_alts(r, v) : st;
    if (st != MBS_OK) {
        return st;
    }
    for (int64_t i = 0; i < n; i++) {
        r->changes[i] = vf_change_of(v, (int)i + 1);
    }
    int64_t start = v->b->pos < 0 ? 0 : v->b->pos;
    r->edit_attrs[0] = (mbs_attr){"id", v->b->d.id && *v->b->d.id ? v->b->d.id : "."};
    r->edit_attrs[1] = (mbs_attr){"ref", v->b->d.allele[0]};
    r->edit_attrs[2] = (mbs_attr){"alt", r->alts};
    r->edit_record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record),
                                  .strand = '+',
                                  .index = v->index,
                                  .source = 0,
                                  .name = r->name,
                                  .start = start,
                                  .length = vf_ref_length(v),
                                  .n_attrs = 3,
                                  .attrs = r->edit_attrs,
                                  .origin = &v->origin};
    return vf_edits_block(r, start, start + vf_ref_length(v), r->changes, n, out);
}

/* The next record of the contig, judged; NULL where it is over. */
static mbs_status next_of_contig(vf_reader *r, vf_record **out) {
    *out = NULL;
    mbs_status st = vf_input_peek(r, &r->in);
    if (st != MBS_OK || !r->in.ahead || r->in.ahead->b->rid != r->rid) {
        return st;
    }
    st = vf_judge(r, r->in.ahead);
    if (st != MBS_OK) {
        return st;
    }
    *out = vf_input_take(&r->in);
    int64_t end = (*out)->b->pos + vf_ref_length(*out);
    r->reach = end > r->reach ? end : r->reach;
    return MBS_OK;
}

mbs_status vf_read_ahead(vf_reader *r, int64_t *before, int *over) {
    *over = 0;
    for (;;) {
        mbs_status st = vf_input_peek(r, &r->in);
        *over = st == MBS_OK && (!r->in.ahead || r->in.ahead->b->rid != r->rid);
        if (st != MBS_OK || *over || r->in.ahead->b->pos >= *before) {
            return st;
        }
        if (r->n_ahead >= VF_AHEAD && r->in.ahead->b->pos > r->position) {
            *before = r->in.ahead->b->pos;
            return st;
        }
        vf_record *v = NULL;
        st = next_of_contig(r, &v);
        if (st != MBS_OK) {
            return st;
        }
        v->next = NULL;
        if (r->last) {
            r->last->next = v;
        } else {
            r->first = v;
        }
        r->last = v;
        r->n_ahead++;
    }
}

static vf_record *pop(vf_reader *r) {
    vf_record *v = r->first;
    if (v) {
        r->first = v->next;
        r->last = r->first ? r->last : NULL;
        r->n_ahead--;
    }
    return v;
}

void vf_forget_ahead(vf_reader *r) {
    forget_shown(r);
    while (r->first) {
        vf_record_unref(pop(r));
    }
}

static mbs_status next_plus(vf_reader *r, int64_t before, mbs_block **out) {
    mbs_status st = MBS_OK;
    if (!r->first) {
        st = vf_input_peek(r, &r->in);
        if (st != MBS_OK || !r->in.ahead || r->in.ahead->b->rid != r->rid || r->in.ahead->b->pos >= before) {
            return st == MBS_OK ? MBS_END : st;
        }
        vf_record *v = NULL;
        st = next_of_contig(r, &v);
        return st == MBS_OK ? show(r, v, out) : st;
    }
    return r->first->b->pos < before ? show(r, pop(r), out) : MBS_END;
}

static mbs_status edits_want(void *self, uint32_t strands, int64_t follow) {
    vf_reader *r = self;
    if (strands == 0 || strands > (MBS_EDIT_PLUS | MBS_EDIT_MINUS) || follow < 0) {
        return r->host->fail(r->host, MBS_ERR_INTERNAL, NULL, "asked for strands %u", (unsigned)strands);
    }
    if (strands & MBS_EDIT_MINUS && strcmp(r->path, "-") == 0) {
        mbs_status st = r->host->fail(r->host, MBS_ERR_CONFIG, "path",
                                      "both strands need a file that can be read twice, not standard input");
        r->host->hint(r->host, "write it to a file first, or take model.strand: '+'");
        return st;
    }
    r->strands = strands;
    r->follow = follow;
    return MBS_OK;
}

static mbs_status edits_next(void *self, int64_t before, mbs_block **out) {
    vf_reader *r = self;
    *out = NULL;
    if (r->record.index < 0) {
        return MBS_END;
    }
    return r->minus ? vf_next_turned(r, before, out) : next_plus(r, before, out);
}

const mbs_ext_edits vf_edits = {
    .struct_size = (uint32_t)sizeof(mbs_ext_edits),
    .want = edits_want,
    .next = edits_next,
};
