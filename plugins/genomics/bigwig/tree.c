/*
 * The two trees of a bigWig. Both are made from a sorted list at once: every node but the last of a row is full, so
 * where a node lies follows from its number.
 */
#include <string.h>

#include "bigwig.h"

#define R_MAGIC 0x2468ACE0u
#define B_MAGIC 0x78CA8C91u
#define MOST_ROWS 8 /* 256^8 entries */

/* Rows of nodes: row 0 holds the entries, the last is the root alone. */
typedef struct shape {
    int rows;
    int64_t nodes[MOST_ROWS];
    uint64_t at[MOST_ROWS]; /* offset of a row */
} shape;

/* The root is the first in the file; `from` is where it lies. */
static shape make_shape(int64_t entries, uint64_t from, uint64_t leaf_entry, uint64_t inner_entry) {
    shape s = {0};
    int64_t n = entries;
    do {
        n = n ? (n + BW_FANOUT - 1) / BW_FANOUT : 1;
        s.nodes[s.rows++] = n;
    } while (n > 1);
    for (int row = s.rows - 1; row >= 0; row--) {
        int64_t below = row ? s.nodes[row - 1] : entries;
        s.at[row] = from;
        from += (uint64_t)s.nodes[row] * 4 + (uint64_t)below * (row ? inner_entry : leaf_entry);
    }
    return s;
}

static uint64_t node_at(const shape *s, int row, int64_t node, uint64_t leaf_entry, uint64_t inner_entry) {
    return s->at[row] + (uint64_t)node * (4 + BW_FANOUT * (row ? inner_entry : leaf_entry));
}

static mbs_status put_node_head(bw_writer *w, int leaf, int64_t count) {
    uint8_t head[4] = {(uint8_t)leaf, 0, (uint8_t)(count & 0xff), (uint8_t)(count >> 8)};
    return mbs_spool_append(&w->out, head, sizeof(head));
}

/* Entries of row `row` that one node of it covers. */
static int64_t covers(int row) {
    int64_t n = BW_FANOUT;
    while (row-- > 0) {
        n *= BW_FANOUT;
    }
    return n;
}

/* ---- contigs, by name ---- */

static mbs_status put_key(bw_writer *w, int64_t i, char *key, size_t size) {
    const char *name = tk_contig_name(&w->track.contigs, w->order[i]);
    size_t len = strlen(name);
    memset(key, 0, size);
    memcpy(key, name, len);
    return mbs_spool_append(&w->out, key, size);
}

static mbs_status put_contig_node(bw_writer *w, const shape *s, int row, int64_t node, char *key, size_t size) {
    int64_t below = row ? s->nodes[row - 1] : w->track.contigs.n;
    int64_t first = node * BW_FANOUT;
    int64_t last = first + BW_FANOUT < below ? first + BW_FANOUT : below;
    mbs_status st = put_node_head(w, row == 0, last - first);
    for (int64_t i = first; st == MBS_OK && i < last; i++) {
        st = put_key(w, row ? i * covers(row - 1) : i, key, size);
        if (st == MBS_OK && row == 0) {
            uint32_t value[2] = {(uint32_t)i, (uint32_t)w->track.contigs.list[w->order[i]].length};
            st = mbs_spool_append(&w->out, value, sizeof(value));
        } else if (st == MBS_OK) {
            uint64_t child = node_at(s, row - 1, i, size + 8, size + 8);
            st = mbs_spool_append(&w->out, &child, sizeof(child));
        }
    }
    return st;
}

mbs_status bw_put_contigs(bw_writer *w) {
    const mbs_host *h = w->host;
    int64_t n = w->track.contigs.n;
    size_t size = 1;
    for (int64_t i = 0; i < n; i++) {
        size_t len = strlen(tk_contig_name(&w->track.contigs, i));
        size = len > size ? len : size;
    }
    char *key = h->alloc(h, size);
    if (!key || size > UINT32_MAX) {
        h->free(h, key);
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a name of %zu bytes", size);
    }
    w->contigs_at = (uint64_t)w->out.length;
    uint32_t head[4] = {B_MAGIC, BW_FANOUT, (uint32_t)size, 8};
    uint64_t count[2] = {(uint64_t)n, 0};
    mbs_status st = mbs_spool_append(&w->out, head, sizeof(head));
    st = st < 0 ? st : mbs_spool_append(&w->out, count, sizeof(count));
    shape s = make_shape(n, (uint64_t)w->out.length, size + 8, size + 8);
    for (int row = s.rows - 1; row >= 0; row--) {
        for (int64_t i = 0; st == MBS_OK && i < s.nodes[row]; i++) {
            st = put_contig_node(w, &s, row, i, key, size);
        }
    }
    h->free(h, key);
    return st;
}

/* ---- blocks, by place ---- */

/* Leaf i of the tree at hand, in order or not. */
typedef struct reading {
    bw_writer *w;
    int64_t from, n; /* the leaves in `some` */
    bw_leaf some[BW_FANOUT];
} reading;

static mbs_status get_leaf(reading *r, int64_t i, bw_leaf *out) {
    bw_writer *w = r->w;
    mbs_status st = MBS_OK;
    if (i < r->from || i >= r->from + r->n) {
        r->from = i;
        r->n = w->n_leaves - i < BW_FANOUT ? w->n_leaves - i : BW_FANOUT;
        st = mbs_spool_read(&w->leaves, (w->first_leaf + i) * (int64_t)sizeof(bw_leaf), r->some,
                            (size_t)r->n * sizeof(bw_leaf));
    }
    *out = r->some[i - r->from];
    return st;
}

static mbs_status put_bounds(reading *r, int64_t first, int64_t last) {
    bw_leaf a;
    bw_leaf b;
    mbs_status st = get_leaf(r, first, &a);
    st = st < 0 ? st : get_leaf(r, last, &b);
    if (st < 0) {
        return st;
    }
    uint32_t bounds[4] = {a.contig, a.start, b.contig, b.end};
    return mbs_spool_append(&r->w->out, bounds, sizeof(bounds));
}

static mbs_status put_index_node(reading *r, const shape *s, int row, int64_t node) {
    bw_writer *w = r->w;
    int64_t n = w->n_leaves;
    int64_t below = row ? s->nodes[row - 1] : n;
    int64_t first = node * BW_FANOUT;
    int64_t last = first + BW_FANOUT < below ? first + BW_FANOUT : below;
    int64_t each = row ? covers(row - 1) : 1;
    mbs_status st = put_node_head(w, row == 0, last - first);
    for (int64_t i = first; st == MBS_OK && i < last; i++) {
        int64_t end = (i + 1) * each < n ? (i + 1) * each : n;
        st = put_bounds(r, i * each, end - 1);
        if (st == MBS_OK && row == 0) {
            bw_leaf leaf;
            st = get_leaf(r, i, &leaf);
            uint64_t block[2] = {leaf.offset, leaf.size};
            st = st < 0 ? st : mbs_spool_append(&w->out, block, sizeof(block));
        } else if (st == MBS_OK) {
            uint64_t child = node_at(s, row - 1, i, 32, 24);
            st = mbs_spool_append(&w->out, &child, sizeof(child));
        }
    }
    return st;
}

mbs_status bw_put_index(bw_writer *w, uint32_t items_per_block) {
    int64_t n = w->n_leaves;
    reading r = {.w = w};
    uint32_t head[2] = {R_MAGIC, BW_FANOUT};
    uint64_t count = (uint64_t)n;
    uint64_t data_end = (uint64_t)w->out.length;
    uint32_t tail[2] = {items_per_block, 0};
    static const uint32_t nothing[4] = {0, 0, 0, 0};
    mbs_status st = mbs_spool_flush(&w->leaves);
    st = st < 0 ? st : mbs_spool_append(&w->out, head, sizeof(head));
    st = st < 0 ? st : mbs_spool_append(&w->out, &count, sizeof(count));
    st = st < 0 ? st : n ? put_bounds(&r, 0, n - 1) : mbs_spool_append(&w->out, nothing, sizeof(nothing));
    st = st < 0 ? st : mbs_spool_append(&w->out, &data_end, sizeof(data_end));
    st = st < 0 ? st : mbs_spool_append(&w->out, tail, sizeof(tail));
    shape s = make_shape(n, (uint64_t)w->out.length, 32, 24);
    for (int row = s.rows - 1; row >= 0; row--) {
        for (int64_t i = 0; st == MBS_OK && i < s.nodes[row]; i++) {
            st = put_index_node(&r, &s, row, i);
        }
    }
    w->first_leaf += n;
    w->n_leaves = 0;
    return st;
}
