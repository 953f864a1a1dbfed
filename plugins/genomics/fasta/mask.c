/* Parameter `mask`: regions of a .bed that are marked beside the letters. */
#include <stdlib.h>
#include <string.h>

#include "genomics/htsutil/names.h"
#include "reader.h"

static mbs_status take(void *ctx, const hu_query *q) {
    fa_reader *r = ctx;
    const mbs_host *h = r->host;
    fa_mask *m = &r->mask;
    if (m->n == m->cap) {
        int64_t cap = m->cap ? m->cap * 2 : 64;
        fa_masked *list = h->realloc(h, m->list, (size_t)cap * sizeof(*list));
        if (!list) {
            return h->fail(h, MBS_ERR_MEMORY, "mask", "no memory for %lld regions", (long long)cap);
        }
        m->list = list;
        m->cap = cap;
    }
    fa_masked *one = &m->list[m->n];
    *one = (fa_masked){.name = m->names.len, .beg = q->beg, .end = q->end};
    mbs_status st = fa_text_add(h, &m->names, q->name, q->name_len);
    st = st == MBS_OK ? fa_text_add(h, &m->names, "", 1) : st;
    m->n += st == MBS_OK;
    return st;
}

static int known(void *ctx, const char *name, size_t n) {
    (void)ctx; /* which records there are shows while they are read */
    (void)name;
    (void)n;
    return 1;
}

mbs_status fa_mask_read(fa_reader *r) {
    const char *path = r->host->param_string(r->params, "mask");
    if (!path || !*path) {
        return MBS_OK;
    }
    hu_regions all = {.host = r->host, .params = r->params, .param = "mask", .ctx = r, .known = known, .take = take};
    mbs_status st = hu_bed_read(&all, path);
    if (st == MBS_OK) {
        r->mask.on = 1;
    }
    return st;
}

static int by_beginning(const void *a, const void *b) {
    int64_t x = ((const fa_masked *)a)->beg;
    int64_t y = ((const fa_masked *)b)->beg;
    return x < y ? -1 : x > y;
}

/* The regions of a record that begins come to the front of those that are left, by their beginning. */
void fa_mask_enter(fa_reader *r) {
    fa_mask *m = &r->mask;
    m->here = m->passed = 0;
    for (int64_t i = 0; i < m->n; i++) {
        if (strcmp(m->names.s + m->list[i].name, r->record.name) == 0) {
            fa_masked one = m->list[i];
            one.met = 1;
            m->list[i] = m->list[m->here];
            m->list[m->here++] = one;
        }
    }
    if (m->here > 1) {
        qsort(m->list, (size_t)m->here, sizeof(*m->list), by_beginning);
    }
}

mbs_status fa_mask_side(fa_reader *r, mbs_block *b) {
    fa_mask *m = &r->mask;
    uint8_t *to = r->host->block_side(r->host, b, "mask", MBS_U8, 1);
    if (!to) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %lld marks", (long long)b->shape[0]);
    }
    memset(to, 0, (size_t)b->shape[0]);
    while (m->passed < m->here && m->list[m->passed].end <= b->start) {
        m->passed++;
    }
    for (int64_t i = m->passed; i < m->here && m->list[i].beg < b->end; i++) {
        int64_t beg = m->list[i].beg > b->start ? m->list[i].beg : b->start;
        int64_t end = m->list[i].end < b->end ? m->list[i].end : b->end;
        if (beg < end) {
            memset(to + (beg - b->start), 1, (size_t)(end - beg));
        }
    }
    return MBS_OK;
}

mbs_status fa_mask_end(fa_reader *r) {
    const mbs_host *h = r->host;
    for (int64_t i = 0; i < r->mask.n && !r->by_region; i++) {
        if (!r->mask.list[i].met) {
            const char *name = r->mask.names.s + r->mask.list[i].name;
            mbs_status st = h->fail(h, MBS_ERR_DATA, "mask", "%s: no record is named '%.100s'",
                                    h->param_string(r->params, "mask"), name);
            h->hint(h, "names are those of the FASTA, up to the first blank");
            return st;
        }
    }
    return MBS_OK;
}

void fa_mask_free(fa_reader *r) {
    fa_text_free(r->host, &r->mask.names);
    r->host->free(r->host, r->mask.list);
}
