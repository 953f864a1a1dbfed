/* Levels: summaries of ever more bases. Each is made of the one below it, which lies in the spool. */
#include <string.h>

#include "bigwig.h"

#define PIECE 512 /* summaries that are read at once */

mbs_status bw_fold_end(bw_writer *w, bw_folding *f) {
    if (f->now.count == 0) {
        return MBS_OK;
    }
    mbs_status st = mbs_spool_append(&w->summaries, &f->now, sizeof(f->now));
    f->now.count = 0;
    return st;
}

mbs_status bw_fold(bw_writer *w, bw_folding *f, const bw_summary *more) {
    bw_summary *s = &f->now;
    if (s->count && (s->contig != more->contig || more->start >= s->end)) {
        mbs_status st = bw_fold_end(w, f);
        if (st < 0) {
            return st;
        }
    }
    if (s->count == 0) {
        int64_t length = w->track.contigs.list[w->order[more->contig]].length;
        int64_t start = (int64_t)more->start / f->bases * f->bases;
        int64_t end = start + f->bases < length ? start + f->bases : length;
        *s = *more;
        s->start = (uint32_t)start;
        s->end = (uint32_t)end;
        return MBS_OK;
    }
    s->count += more->count;
    s->min = more->min < s->min ? more->min : s->min;
    s->max = more->max > s->max ? more->max : s->max;
    s->sum += more->sum;
    s->squares += more->squares;
    return MBS_OK;
}

/* Takes w->block to the file where it is full or the contig changes. */
static mbs_status put_summary(bw_writer *w, const bw_summary *s, bw_summary *first, bw_summary *last, int64_t *n) {
    mbs_status st = MBS_OK;
    if (*n > 0 && (!s || *n == BW_SUMMARIES || last->contig != s->contig)) {
        st = bw_put_block(w, (size_t)*n * 32, first->contig, first->start, last->end);
        *n = 0;
    }
    if (!s || st < 0) {
        return st;
    }
    uint32_t place[4] = {s->contig, s->start, s->end, s->count};
    float value[4] = {s->min, s->max, (float)s->sum, (float)s->squares};
    memcpy(w->block + *n * 32, place, sizeof(place));
    memcpy(w->block + *n * 32 + 16, value, sizeof(value));
    if ((*n)++ == 0) {
        *first = *s;
    }
    *last = *s;
    return MBS_OK;
}

static mbs_status put_level(bw_writer *w, int level, int64_t bases) {
    bw_summary *piece = w->host->alloc(w->host, PIECE * sizeof(*piece));
    if (!piece) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a level of summaries");
    }
    int64_t from = w->level_at[level];
    int64_t to = w->level_at[level + 1];
    uint32_t count = (uint32_t)(to - from);
    bw_folding above = {.bases = bases * 4};
    bw_summary first = {0};
    bw_summary last = {0};
    int64_t in_block = 0;
    w->data_at[level] = (uint64_t)w->out.length;
    mbs_status st = mbs_spool_append(&w->out, &count, sizeof(count));
    while (st == MBS_OK && from < to) {
        int64_t n = to - from < PIECE ? to - from : PIECE;
        st = mbs_spool_read(&w->summaries, from * (int64_t)sizeof(*piece), piece, (size_t)n * sizeof(*piece));
        for (int64_t i = 0; st == MBS_OK && i < n; i++) {
            st = put_summary(w, &piece[i], &first, &last, &in_block);
            if (st == MBS_OK && level + 1 < w->levels) {
                st = bw_fold(w, &above, &piece[i]);
            }
        }
        from += n;
    }
    w->host->free(w->host, piece);
    st = st < 0 ? st : put_summary(w, NULL, &first, &last, &in_block);
    st = st < 0 ? st : bw_fold_end(w, &above);
    w->index_at[level] = (uint64_t)w->out.length;
    return st < 0 ? st : bw_put_index(w, BW_SUMMARIES);
}

mbs_status bw_put_levels(bw_writer *w) {
    int64_t bases = BW_FIRST_LEVEL;
    mbs_status st = MBS_OK;
    for (int i = 0; st == MBS_OK && i < w->levels; i++, bases *= 4) {
        st = mbs_spool_flush(&w->summaries);
        w->level_at[i + 1] = w->summaries.length / (int64_t)sizeof(bw_summary);
        st = st < 0 ? st : put_level(w, i, bases);
    }
    return st;
}
