/* The stretches in the order of the genome, and what lies on them. */
#include <math.h>
#include <string.h>

#include "track.h"

/* Heap sort: qsort has no place for what it compares with. */
typedef struct sorting {
    void *ctx;
    int (*before)(void *ctx, int64_t a, int64_t b); /* of positions */
    void (*swap)(void *ctx, int64_t a, int64_t b);
} sorting;

static void sink(const sorting *s, int64_t root, int64_t n) {
    for (int64_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && s->before(s->ctx, child, child + 1)) {
            child++;
        }
        if (!s->before(s->ctx, root, child)) {
            return;
        }
        s->swap(s->ctx, root, child);
    }
}

static void sort(const sorting *s, int64_t n) {
    for (int64_t root = n / 2 - 1; root >= 0; root--) {
        sink(s, root, n);
    }
    while (--n > 0) {
        s->swap(s->ctx, 0, n);
        sink(s, 0, n);
    }
}

/* ---- contigs ---- */

typedef struct naming {
    const tk_track *t;
    int64_t *order;
} naming;

static int name_before(void *ctx, int64_t a, int64_t b) {
    const naming *x = ctx;
    return strcmp(tk_contig_name(&x->t->contigs, x->order[a]), tk_contig_name(&x->t->contigs, x->order[b])) < 0;
}

static void name_swap(void *ctx, int64_t a, int64_t b) {
    naming *x = ctx;
    int64_t v = x->order[a];
    x->order[a] = x->order[b];
    x->order[b] = v;
}

int64_t *tk_by_name(const tk_track *t) {
    int64_t n = t->contigs.n;
    naming x = {t, t->host->alloc(t->host, (size_t)(n + 1) * sizeof(*x.order))};
    for (int64_t i = 0; x.order && i < n; i++) {
        x.order[i] = i;
    }
    if (x.order) {
        sorting s = {&x, name_before, name_swap};
        sort(&s, n);
    }
    return x.order;
}

/* ---- stretches ---- */

static int64_t rank_of(const tk_track *t, int64_t contig) {
    return t->rank ? t->rank[contig] : contig;
}

static int stretch_before(void *ctx, int64_t a, int64_t b) {
    const tk_track *t = ctx;
    const tk_stretch *x = &t->sorted[a];
    const tk_stretch *y = &t->sorted[b];
    if (x->contig != y->contig) {
        return rank_of(t, x->contig) < rank_of(t, y->contig);
    }
    return x->start != y->start ? x->start < y->start : x->at < y->at;
}

static void stretch_swap(void *ctx, int64_t a, int64_t b) {
    tk_track *t = ctx;
    tk_stretch v = t->sorted[a];
    t->sorted[a] = t->sorted[b];
    t->sorted[b] = v;
}

static mbs_status sort_stretches(tk_track *t, const int64_t *rank) {
    const mbs_host *h = t->host;
    size_t bytes = (size_t)t->at.stretches * sizeof(*t->sorted);
    t->sorted = h->alloc(h, bytes + 1);
    if (!t->sorted) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld stretches", (long long)t->at.stretches);
    }
    mbs_status st = mbs_spool_read(&t->stretches, 0, t->sorted, bytes);
    if (st < 0) {
        return st;
    }
    t->rank = rank;
    sorting s = {t, stretch_before, stretch_swap};
    sort(&s, t->at.stretches);
    for (int64_t i = 1; i < t->at.stretches; i++) {
        const tk_stretch *x = &t->sorted[i - 1];
        const tk_stretch *y = &t->sorted[i];
        if (x->contig == y->contig && y->start < x->start + x->n) {
            st = h->fail(h, MBS_ERR_DATA, NULL, "base %lld of '%.100s' has two values: regions overlap",
                         (long long)y->start + 1, tk_contig_name(&t->contigs, y->contig));
            h->hint(h, "merge them: bedtools merge");
            return st;
        }
    }
    return MBS_OK;
}

/* Values i.. of a stretch into t->piece, in the order of the genome. */
static mbs_status load(tk_track *t, const tk_stretch *s, int64_t i, int64_t n) {
    int64_t from = s->minus ? s->at + s->n - i - n : s->at + i;
    mbs_status st = mbs_spool_read(&t->values, from * (int64_t)sizeof(float), t->piece, (size_t)n * sizeof(float));
    for (int64_t a = 0, b = n - 1; st == MBS_OK && s->minus && a < b; a++, b--) {
        float v = t->piece[a];
        t->piece[a] = t->piece[b];
        t->piece[b] = v;
    }
    if (t->unit != 1) { /* exact bits otherwise */
        for (int64_t k = 0; st == MBS_OK && k < n; k++) {
            t->piece[k] = (float)((double)t->piece[k] * t->unit);
        }
    }
    return st;
}

mbs_status tk_walk(tk_track *t, const int64_t *rank, const tk_visitor *v) {
    const mbs_host *h = t->host;
    mbs_status st = sort_stretches(t, rank);
    int64_t contig = -1; /* and place behind the last value */
    int64_t behind = -1;
    for (int64_t k = 0; st == MBS_OK && k < t->at.stretches; k++) {
        const tk_stretch *s = &t->sorted[k];
        for (int64_t i = 0; st == MBS_OK && i < s->n; i += TK_PIECE) {
            int64_t n = s->n - i < TK_PIECE ? s->n - i : TK_PIECE;
            st = h->cancelled(h) ? h->fail(h, MBS_ERR_STOPPED, NULL, "stopped while writing the track")
                                 : load(t, s, i, n);
            for (int64_t a = 0, b; st == MBS_OK && a < n; a = b) {
                for (b = a; b < n && !isnan(t->piece[b]); b++) {
                }
                if (b > a) {
                    int64_t start = s->start + i + a;
                    st = v->values(v->ctx, s->contig, start, t->piece + a, b - a,
                                   contig == s->contig && start == behind);
                    contig = s->contig;
                    behind = s->start + i + b;
                }
                b += b < n; /* the one that is not there */
            }
        }
    }
    h->free(h, t->sorted);
    t->sorted = NULL;
    t->rank = NULL;
    return st;
}
