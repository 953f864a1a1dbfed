#include "io/rowfile/span.h"

#include <string.h>

size_t mbs_element_size(int32_t dtype) {
    switch (dtype) {
    case MBS_U8:
        return 1;
    case MBS_I32:
    case MBS_F32:
        return 4;
    case MBS_I64:
    case MBS_F64:
        return 8;
    default:
        return 0;
    }
}

const char *mbs_header_attr(const mbs_stream_header *header, const char *key) {
    for (int64_t i = 0; i < header->n_attrs; i++) {
        if (header->attrs[i].key && strcmp(header->attrs[i].key, key) == 0) {
            return header->attrs[i].value;
        }
    }
    return NULL;
}

const char *mbs_header_source(const mbs_stream_header *header, const mbs_record *record) {
    if (record->source < 0 || record->source >= header->n_sources) {
        return NULL;
    }
    return header->sources[record->source].path;
}

const void *mbs_side_data(const mbs_block *block, const char *name, int32_t dtype, int32_t width) {
    for (int32_t i = 0; i < block->n_sides && i < MBS_MAX_SIDES; i++) {
        const mbs_side *s = &block->sides[i];
        if (s->name && strcmp(s->name, name) == 0) {
            return s->dtype == dtype && s->width == width ? s->data : NULL;
        }
    }
    return NULL;
}

mbs_status mbs_row_shape_check(mbs_row_shape *shape, const mbs_block *block, const mbs_host *host) {
    if (block->ndim < 1 || block->ndim > MBS_MAX_DIMS || mbs_element_size(block->dtype) == 0 || block->shape[0] < 0 ||
        !block->record || !block->record->name || (block->shape[0] > 0 && !block->data)) {
        return host->fail(host, MBS_ERR_INTERNAL, NULL, "a block of '%s' without rows, type or record",
                          block->type ? block->type : "?");
    }
    mbs_row_shape s;
    memset(&s, 0, sizeof s);
    s.dtype = block->dtype;
    s.ndim = block->ndim;
    s.width = 1;
    for (int32_t d = 1; d < block->ndim; d++) {
        s.dims[d] = block->shape[d];
        if (s.dims[d] < 0 || __builtin_mul_overflow(s.width, s.dims[d], &s.width)) {
            return host->fail(host, MBS_ERR_INTERNAL, NULL, "a block of '%s' has an impossible shape", block->type);
        }
    }
    if (__builtin_mul_overflow(s.width, (int64_t)mbs_element_size(s.dtype), &s.bytes)) {
        return host->fail(host, MBS_ERR_INTERNAL, NULL, "a block of '%s' has an impossible shape", block->type);
    }
    if (shape->dtype == 0) {
        *shape = s;
    } else if (memcmp(shape, &s, sizeof s) != 0) {
        return host->fail(host, MBS_ERR_INTERNAL, NULL,
                          "record '%s': rows of %lld values after rows of %lld, or of another type",
                          block->record->name, (long long)s.width, (long long)shape->width);
    }
    return MBS_OK;
}

int mbs_row_interval(const mbs_block *block, int64_t i, int64_t *start, int64_t *end) {
    const int64_t *iv = mbs_side_data(block, "interval", MBS_I64, 2);
    if (iv) {
        *start = iv[2 * i];
        *end = iv[2 * i + 1];
        return 1;
    }
    int64_t units = block->end - block->start;
    if (units % block->shape[0] != 0) {
        return 0;
    }
    int64_t each = units / block->shape[0];
    *start = block->start + i * each;
    *end = *start + each;
    return 1;
}

static void find_hop(mbs_span *span, const mbs_block *block) {
    int64_t s, e;
    for (int64_t i = 0; i < block->shape[0] && span->rows + i < 2; i++) {
        if (!mbs_row_interval(block, i, &s, &e)) {
            span->hop = 0;
            return;
        }
        if (span->rows + i == 0) {
            span->first = s;
            span->hop = e - s;
        } else {
            span->hop = s > span->first ? s - span->first : span->first - s;
        }
    }
}

mbs_status mbs_span_add(mbs_span *span, const mbs_block *block, const mbs_host *host) {
    int starts = (block->flags & MBS_SEQ_START) != 0;
    if (starts == (span->open != 0)) {
        return host->fail(host, MBS_ERR_INTERNAL, NULL,
                          starts ? "record '%s' begins inside of another" : "a block of record '%s' before its start",
                          block->record->name);
    }
    if (starts) {
        memset(span, 0, sizeof *span);
        span->open = 1;
        span->start = block->record->start;
        span->end = span->start + (block->record->length > 0 ? block->record->length : 0);
    }
    if (block->shape[0] > 0) {
        int64_t lo = block->start < block->end ? block->start : block->end;
        int64_t hi = block->start < block->end ? block->end : block->start;
        if (span->rows == 0) {
            span->start = lo;
            span->end = hi;
        } else {
            span->start = lo < span->start ? lo : span->start;
            span->end = hi > span->end ? hi : span->end;
        }
        find_hop(span, block);
        span->rows += block->shape[0];
    }
    return MBS_OK;
}
