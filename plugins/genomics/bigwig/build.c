/*
 * The file, front to back: header, level headers, total summary, contigs, data, index of the data, levels with theirs,
 * the magic number again. What only the end knows is written into the room that was left at the front.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "bigwig.h"

#define MAGIC 0x888FFC26u
#define HEADER 64
#define LEVEL_HEADER 24
#define SUMMARY 40
#define BLOCK_HEADER 24
#define FIXED_STEP 3

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie in memory");

typedef struct building {
    bw_writer *w;
    bw_folding folding;
    int64_t contig; /* of the block at hand, -1: none */
    int64_t start;
    int64_t n;
} building;

mbs_status bw_put_block(bw_writer *w, size_t n, uint32_t contig, uint32_t start, uint32_t end) {
    uLongf size = (uLongf)w->packed_cap;
    if (compress2(w->packed, &size, w->block, (uLong)n, Z_DEFAULT_COMPRESSION) != Z_OK) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory to compress a block");
    }
    w->most = n > w->most ? (uint32_t)n : w->most;
    bw_leaf leaf = {contig, start, end, (uint32_t)size, (uint64_t)w->out.length};
    mbs_status st = mbs_spool_append(&w->out, w->packed, (size_t)size);
    w->n_leaves++;
    return st < 0 ? st : mbs_spool_append(&w->leaves, &leaf, sizeof(leaf));
}

/* Writes the block at hand. */
static mbs_status flush(building *b) {
    if (b->n == 0) {
        return MBS_OK;
    }
    uint32_t id = (uint32_t)b->w->rank[b->contig];
    uint32_t head[5] = {id, (uint32_t)b->start, (uint32_t)(b->start + b->n), 1, 1};
    uint16_t n = (uint16_t)b->n;
    memcpy(b->w->block, head, sizeof(head));
    b->w->block[20] = FIXED_STEP;
    b->w->block[21] = 0;
    memcpy(b->w->block + 22, &n, sizeof(n));
    mbs_status st = bw_put_block(b->w, BLOCK_HEADER + (size_t)b->n * sizeof(float), id, head[1], head[2]);
    b->n = 0;
    return st;
}

static mbs_status summarize(building *b, int64_t contig, int64_t start, const float *v, int64_t n) {
    bw_writer *w = b->w;
    mbs_status st = MBS_OK;
    uint32_t id = (uint32_t)w->rank[contig];
    for (int64_t i = 0; st == MBS_OK && i < n; i++) {
        double d = (double)v[i];
        bw_summary one = {id, (uint32_t)(start + i), (uint32_t)(start + i) + 1, 1, v[i], v[i], d, d * d};
        w->total.min = w->covered == 0 || v[i] < w->total.min ? v[i] : w->total.min;
        w->total.max = w->covered == 0 || v[i] > w->total.max ? v[i] : w->total.max;
        w->total.sum += d;
        w->total.squares += d * d;
        w->covered++;
        st = w->levels ? bw_fold(w, &b->folding, &one) : MBS_OK;
    }
    return st;
}

static mbs_status take(void *ctx, int64_t contig, int64_t start, const float *v, int64_t n, int follows) {
    building *b = ctx;
    mbs_status st = follows ? MBS_OK : flush(b);
    int64_t first = start;
    const float *at = v;
    for (int64_t left = n; st == MBS_OK && left > 0;) {
        if (b->n == BW_VALUES) {
            st = flush(b);
        }
        if (b->n == 0) {
            b->contig = contig;
            b->start = first;
        }
        int64_t k = BW_VALUES - b->n < left ? BW_VALUES - b->n : left;
        memcpy(b->w->block + BLOCK_HEADER + (size_t)b->n * sizeof(float), at, (size_t)k * sizeof(float));
        b->n += k;
        at += k;
        first += k;
        left -= k;
    }
    return st < 0 ? st : summarize(b, contig, start, v, n);
}

/* ---- contigs and what depends on them ---- */

static mbs_status prepare(bw_writer *w) {
    const mbs_host *h = w->host;
    const tk_contigs *c = &w->track.contigs;
    size_t block = BLOCK_HEADER + BW_VALUES * sizeof(float);
    w->packed_cap = (size_t)compressBound((uLong)block);
    w->order = tk_by_name(&w->track);
    w->rank = h->alloc(h, (size_t)(c->n + 1) * sizeof(*w->rank));
    w->block = h->alloc(h, block);
    w->packed = h->alloc(h, w->packed_cap);
    if (!w->order || !w->rank || !w->block || !w->packed) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory to build a track on %lld contigs", (long long)c->n);
    }
    for (int64_t i = 0; i < c->n; i++) {
        int64_t length = c->list[w->order[i]].length;
        w->rank[w->order[i]] = i;
        w->longest = length > w->longest ? length : w->longest;
    }
    if (w->longest > UINT32_MAX) {
        return h->fail(h, MBS_ERR_DATA, NULL, "a contig of %lld bases: bigWig ends at %lld", (long long)w->longest,
                       (long long)UINT32_MAX);
    }
    for (int64_t bases = BW_FIRST_LEVEL; bases < w->longest && w->levels < BW_MOST_LEVELS; bases *= 4) {
        w->levels++;
    }
    return MBS_OK;
}

static void put32(uint8_t *to, uint32_t v) {
    memcpy(to, &v, sizeof(v));
}

static void put64(uint8_t *to, uint64_t v) {
    memcpy(to, &v, sizeof(v));
}

static void put_double(uint8_t *to, double v) {
    memcpy(to, &v, sizeof(v));
}

/* The front of the file, once everything is known. */
static mbs_status put_front(bw_writer *w) {
    uint8_t front[HEADER + LEVEL_HEADER * BW_MOST_LEVELS + SUMMARY] = {0};
    uint16_t version = 4;
    uint16_t levels = (uint16_t)w->levels;
    put32(front, MAGIC);
    memcpy(front + 4, &version, sizeof(version));
    memcpy(front + 6, &levels, sizeof(levels));
    put64(front + 8, w->contigs_at);
    put64(front + 16, w->values_at);
    put64(front + 24, w->values_index_at);
    put64(front + 44, w->summary_at);
    put32(front + 52, w->most);
    uint8_t *at = front + HEADER;
    uint32_t bases = BW_FIRST_LEVEL;
    for (int i = 0; i < w->levels; i++, bases *= 4, at += LEVEL_HEADER) {
        put32(at, bases);
        put64(at + 8, w->data_at[i]);
        put64(at + 16, w->index_at[i]);
    }
    put64(at, w->covered);
    put_double(at + 8, (double)w->total.min);
    put_double(at + 16, (double)w->total.max);
    put_double(at + 24, w->total.sum);
    put_double(at + 32, w->total.squares);
    size_t n = (size_t)(at - front) + SUMMARY;
    for (size_t done = 0; done < n;) {
        ssize_t got = pwrite(w->out.fd, front + done, n - done, (off_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return w->host->fail(w->host, MBS_ERR_IO, "path", "cannot write '%s': %s", w->out.name,
                                 got < 0 ? strerror(errno) : "no room");
        }
        done += (size_t)got;
    }
    return MBS_OK;
}

mbs_status bw_build(bw_writer *w) {
    static const uint8_t zeros[HEADER + LEVEL_HEADER * BW_MOST_LEVELS + SUMMARY] = {0};
    static const uint32_t magic = MAGIC;
    mbs_status st = prepare(w);
    building b = {.w = w, .folding = {.bases = BW_FIRST_LEVEL}, .contig = -1};
    tk_visitor visitor = {&b, take};
    w->summary_at = HEADER + LEVEL_HEADER * (uint64_t)w->levels;
    st = st < 0 ? st : mbs_spool_append(&w->out, zeros, (size_t)w->summary_at + SUMMARY);
    st = st < 0 ? st : bw_put_contigs(w);
    w->values_at = (uint64_t)w->out.length;
    uint64_t blocks = 0; /* filled in below */
    st = st < 0 ? st : mbs_spool_append(&w->out, &blocks, sizeof(blocks));
    st = st < 0 ? st : tk_walk(&w->track, w->rank, &visitor);
    st = st < 0 ? st : flush(&b);
    st = st < 0 ? st : bw_fold_end(w, &b.folding);
    blocks = (uint64_t)w->n_leaves;
    w->values_index_at = (uint64_t)w->out.length;
    st = st < 0 ? st : bw_put_index(w, 1);
    st = st < 0 ? st : bw_put_levels(w);
    st = st < 0 ? st : mbs_spool_append(&w->out, &magic, sizeof(magic));
    st = st < 0 ? st : mbs_spool_flush(&w->out);
    if (st == MBS_OK && pwrite(w->out.fd, &blocks, sizeof(blocks), (off_t)w->values_at) != (ssize_t)sizeof(blocks)) {
        st = w->host->fail(w->host, MBS_ERR_IO, "path", "cannot write '%s': %s", w->out.name, strerror(errno));
    }
    return st < 0 ? st : put_front(w);
}
