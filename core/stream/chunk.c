#include "stream/chunk.h"

#include <string.h>

int64_t mbs_chunk_position(const mbs_block *b, int64_t row) {
    int64_t rows = b->shape[0];
    const mbs_side *interval = mbs_block_side_find(b, "interval");
    if (interval && interval->dtype == MBS_I64 && interval->width == 2 && row < rows) {
        return ((const int64_t *)interval->data)[2 * row];
    }
    if (rows <= 0 || row >= rows) {
        return b->end;
    }
    int64_t width = (b->end - b->start) / rows;
    return b->start + row * width;
}

int64_t mbs_chunk_context_rows(const mbs_block *b) {
    int64_t want = b->record ? b->record->start : 0;
    if (b->start >= want) {
        return 0;
    }
    int64_t lo = 0;
    int64_t hi = b->shape[0];
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (mbs_chunk_position(b, mid) < want) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

mbs_block *mbs_chunk_of(const mbs_block *b, int64_t from, int64_t to) {
    int64_t shape[MBS_MAX_DIMS] = {0};
    size_t row_bytes = mbs_dtype_size(b->dtype);
    for (int32_t i = 0; i < b->ndim; i++) {
        shape[i] = b->shape[i];
        row_bytes *= i ? (size_t)b->shape[i] : 1u;
    }
    shape[0] = to - from;
    mbs_block *c = mbs_block_new(b->type, b->dtype, b->ndim, shape);
    if (!c) {
        return NULL;
    }
    memcpy(c->data, (const char *)b->data + (size_t)from * row_bytes, (size_t)(to - from) * row_bytes);
    for (int32_t i = 0; i < b->n_sides; i++) {
        const mbs_side *s = &b->sides[i];
        size_t width = mbs_dtype_size(s->dtype) * (size_t)s->width;
        void *d = mbs_block_side_new(c, s->name, s->dtype, s->width);
        if (!d) {
            mbs_block_unref(c);
            return NULL;
        }
        memcpy(d, (const char *)s->data + (size_t)from * width, (size_t)(to - from) * width);
    }
    c->record = b->record;
    c->start = mbs_chunk_position(b, from);
    c->end = to >= b->shape[0] ? b->end : mbs_chunk_position(b, to);
    c->flags = (from == 0 ? b->flags & MBS_SEQ_START : 0u) | (to == b->shape[0] ? b->flags & MBS_SEQ_END : 0u);
    return c;
}
