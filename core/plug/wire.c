#include "plug/wire.h"

#include <string.h>

#include "plug/instance.h"
#include "plug/slab.h"

#define MAX_META ((size_t)64 << 20) /* of a block: its record's texts */
#define NO_MEMORY 2                 /* in a cursor's `failed`, besides 1 for nonsense */

static mbs_status verdict(const mbs_cursor *c) {
    return c->failed & NO_MEMORY ? MBS_ERR_MEMORY : c->failed ? MBS_ERR_DATA : MBS_OK;
}

const char *mbs_names_keep(mbs_names *names, const char *text) {
    for (int i = 0; i < names->n; i++) {
        if (strcmp(names->known[i], text) == 0) {
            return names->known[i];
        }
    }
    if (names->n == (int)(sizeof names->known / sizeof names->known[0])) {
        return NULL;
    }
    const char *copy = mbs_arena_strdup(names->arena, text);
    if (copy) {
        names->known[names->n++] = copy;
    }
    return copy;
}

static char *keep(mbs_arena *a, mbs_cursor *c) {
    const char *s = mbs_take_text(c);
    char *copy = s ? mbs_arena_strdup(a, s) : NULL;
    c->failed |= s && !copy ? NO_MEMORY : 0;
    return copy;
}

/* A count of things that take at least 8 bytes each in what is left. */
static int64_t take_count(mbs_cursor *c) {
    int64_t n = mbs_cursor_i64(c);
    if (n < 0 || (uint64_t)n > c->left / 8) {
        c->failed |= 1;
        return 0;
    }
    return n;
}

static void *room_for(mbs_arena *a, mbs_cursor *c, int64_t n, size_t size) {
    void *p = c->failed ? NULL : mbs_arena_alloc(a, ((size_t)n + 1) * size);
    c->failed |= p || c->failed ? 0 : NO_MEMORY;
    return p;
}

static void put_attrs(mbs_put *p, int64_t n, const mbs_attr *attrs) {
    mbs_put_i64(p, n);
    for (int64_t i = 0; i < n; i++) {
        mbs_put_text(p, attrs[i].key);
        mbs_put_text(p, attrs[i].value);
    }
}

void mbs_wire_put_header(mbs_put *p, const mbs_stream_header *h) {
    mbs_put_text(p, h->type);
    mbs_put_text(p, h->unit);
    mbs_put_f64(p, h->rate);
    mbs_put_i64(p, h->channels);
    mbs_put_i64(p, h->n_records);
    mbs_put_i64(p, h->n_units);
    mbs_put_i64(p, h->n_sources);
    for (int64_t i = 0; i < h->n_sources; i++) {
        mbs_put_text(p, h->sources[i].path);
    }
    mbs_put_i64(p, h->n_contigs);
    for (int64_t i = 0; i < h->n_contigs; i++) {
        mbs_put_text(p, h->contigs[i].name);
        mbs_put_i64(p, h->contigs[i].length);
    }
    put_attrs(p, h->n_attrs, h->attrs);
}

mbs_status mbs_wire_take_header(mbs_cursor *c, mbs_arena *a, mbs_stream_header *h) {
    memset(h, 0, sizeof *h);
    h->struct_size = (uint32_t)sizeof *h;
    h->type = keep(a, c);
    h->unit = keep(a, c);
    h->rate = mbs_cursor_f64(c);
    h->channels = mbs_cursor_i64(c);
    h->n_records = mbs_cursor_i64(c);
    h->n_units = mbs_cursor_i64(c);
    h->n_sources = take_count(c);
    mbs_source *sources = room_for(a, c, h->n_sources, sizeof *sources);
    for (int64_t i = 0; !c->failed && i < h->n_sources; i++) {
        sources[i].path = keep(a, c);
    }
    h->sources = sources;
    h->n_contigs = take_count(c);
    mbs_contig *contigs = room_for(a, c, h->n_contigs, sizeof *contigs);
    for (int64_t i = 0; !c->failed && i < h->n_contigs; i++) {
        contigs[i].name = keep(a, c);
        contigs[i].length = mbs_cursor_i64(c);
    }
    h->contigs = contigs;
    h->n_attrs = take_count(c);
    mbs_attr *attrs = room_for(a, c, h->n_attrs, sizeof *attrs);
    for (int64_t i = 0; !c->failed && i < h->n_attrs; i++) {
        attrs[i].key = keep(a, c);
        attrs[i].value = keep(a, c);
    }
    h->attrs = attrs;
    return verdict(c);
}

void mbs_wire_put_vocab(mbs_put *p, const mbs_vocab *v) {
    mbs_put_u32(p, v != NULL);
    if (!v) {
        return;
    }
    size_t n = (size_t)v->size;
    mbs_put_i64(p, v->size);
    mbs_put_text(p, v->name);
    mbs_put_text(p, v->unit);
    for (size_t i = 0; i < n; i++) {
        mbs_put_text(p, v->tokens[i]);
    }
    mbs_put_u32(p, v->complement != NULL);
    mbs_put_raw(p, v->complement, v->complement ? n * sizeof *v->complement : 0);
    mbs_put_raw(p, v->decodable, n);
    mbs_put_u32(p, (uint32_t)v->unk);
    mbs_put_u32(p, (uint32_t)v->bos);
    mbs_put_u32(p, (uint32_t)v->eos);
    mbs_put_u32(p, (uint32_t)v->mask);
    mbs_around around = mbs_vocab_around(v);
    mbs_put_u32(p, (uint32_t)around.n_before);
    mbs_put_raw(p, around.before, (size_t)around.n_before * sizeof *around.before);
    mbs_put_u32(p, (uint32_t)around.n_after);
    mbs_put_raw(p, around.after, (size_t)around.n_after * sizeof *around.after);
}

/* n things of `size` bytes, copied. */
static void *take_array(mbs_cursor *c, mbs_arena *a, size_t n, size_t size) {
    if (c->failed || n > c->left / size) {
        c->failed |= 1;
        return NULL;
    }
    void *copy = room_for(a, c, (int64_t)n, size);
    if (copy) {
        memcpy(copy, c->p, n * size);
        c->p += n * size;
        c->left -= n * size;
    }
    return copy;
}

mbs_status mbs_wire_take_vocab(mbs_cursor *c, mbs_arena *a, mbs_vocab *v, int *there) {
    memset(v, 0, sizeof *v);
    *there = mbs_cursor_u32(c) == 1;
    if (!*there) {
        return verdict(c);
    }
    int64_t n = take_count(c);
    c->failed |= n > INT32_MAX;
    v->struct_size = (uint32_t)sizeof *v;
    v->size = (int32_t)n;
    v->name = keep(a, c);
    v->unit = keep(a, c);
    const char **tokens = room_for(a, c, n, sizeof *tokens);
    for (int64_t i = 0; !c->failed && i < n; i++) {
        tokens[i] = keep(a, c);
    }
    v->tokens = tokens;
    v->complement = mbs_cursor_u32(c) == 1 ? take_array(c, a, (size_t)n, sizeof *v->complement) : NULL;
    v->decodable = take_array(c, a, (size_t)n, 1);
    v->unk = (int32_t)mbs_cursor_u32(c);
    v->bos = (int32_t)mbs_cursor_u32(c);
    v->eos = (int32_t)mbs_cursor_u32(c);
    v->mask = (int32_t)mbs_cursor_u32(c);
    v->n_before = (int32_t)mbs_cursor_u32(c); /* what they may be is checked with the rest */
    v->before = take_array(c, a, (size_t)(uint32_t)v->n_before, sizeof *v->before);
    v->n_after = (int32_t)mbs_cursor_u32(c);
    v->after = take_array(c, a, (size_t)(uint32_t)v->n_after, sizeof *v->after);
    return verdict(c);
}

void mbs_wire_put_error(mbs_put *p, const mbs_err *err) {
    mbs_put_text(p, err->what);
    mbs_put_text(p, err->fix);
}

mbs_status mbs_wire_take_error(mbs_cursor *c, mbs_status status, const char *label, mbs_err *err) {
    const char *what = mbs_take_text(c);
    const char *fix = mbs_take_text(c);
    if (c->failed || !what) {
        return MBS_ERR_DATA;
    }
    mbs_err_clear(err);
    mbs_fail(err, status, label, "%s", what);
    if (fix && fix[0]) {
        mbs_err_fix(err, "%s", fix);
    }
    return MBS_OK;
}

static void put_record(mbs_put *p, const mbs_record *r) {
    mbs_put_u32(p, (uint32_t)r->strand);
    mbs_put_i64(p, r->index);
    mbs_put_i64(p, r->source);
    mbs_put_text(p, r->name);
    mbs_put_text(p, r->description);
    mbs_put_text(p, r->label);
    mbs_put_i64(p, r->start);
    mbs_put_i64(p, r->length);
    mbs_put_i64(p, r->context);
    put_attrs(p, r->n_attrs, r->attrs);
}

static mbs_status take_record(mbs_cursor *c, mbs_record **out) {
    mbs_record r = {.struct_size = (uint32_t)sizeof r};
    r.strand = (int32_t)mbs_cursor_u32(c);
    r.index = mbs_cursor_i64(c);
    r.source = mbs_cursor_i64(c);
    r.name = mbs_take_text(c);
    r.description = mbs_take_text(c);
    r.label = mbs_take_text(c);
    r.start = mbs_cursor_i64(c);
    r.length = mbs_cursor_i64(c);
    r.context = mbs_cursor_i64(c);
    r.n_attrs = take_count(c);
    if (c->failed || !r.name) {
        return MBS_ERR_DATA;
    }
    mbs_attr *attrs = mbs_slab_get(((size_t)r.n_attrs + 1) * sizeof *attrs); /* a count that take_count has bounded */
    if (!attrs) {
        return MBS_ERR_MEMORY;
    }
    for (int64_t i = 0; i < r.n_attrs; i++) {
        attrs[i].key = mbs_take_text(c);
        attrs[i].value = mbs_take_text(c);
        c->failed |= !attrs[i].key || !attrs[i].value;
    }
    r.attrs = attrs;
    *out = c->failed ? NULL : mbs_record_copy(&r);
    mbs_slab_put(attrs);
    return c->failed ? MBS_ERR_DATA : *out ? MBS_OK : MBS_ERR_MEMORY;
}

static size_t side_bytes(const mbs_block *b, const mbs_side *s) {
    return (size_t)b->shape[0] * mbs_dtype_size(s->dtype) * (size_t)s->width;
}

static size_t data_bytes(const mbs_block *b) {
    size_t n = mbs_dtype_size(b->dtype);
    for (int32_t i = 0; i < b->ndim; i++) {
        n *= (size_t)b->shape[i];
    }
    return n;
}

void mbs_wire_put_block(mbs_put *p, const mbs_block *b) {
    mbs_put_align(p);
    size_t head = p->at;
    mbs_put_i64(p, 0);
    mbs_put_text(p, b->type);
    mbs_put_u32(p, b->flags);
    mbs_put_u32(p, (uint32_t)b->dtype);
    mbs_put_u32(p, (uint32_t)b->ndim);
    for (int32_t i = 0; i < MBS_MAX_DIMS; i++) {
        mbs_put_i64(p, i < b->ndim ? b->shape[i] : 0);
    }
    mbs_put_i64(p, b->start);
    mbs_put_i64(p, b->end);
    mbs_put_u32(p, (uint32_t)b->n_sides);
    for (int32_t i = 0; i < b->n_sides; i++) {
        mbs_put_text(p, b->sides[i].name);
        mbs_put_u32(p, (uint32_t)b->sides[i].dtype);
        mbs_put_u32(p, (uint32_t)b->sides[i].width);
    }
    put_record(p, b->record);
    if (!p->failed) {
        int64_t meta = (int64_t)(p->at - head);
        memcpy(p->area->at + head, &meta, sizeof meta);
    }
    mbs_put_align(p);
    mbs_put_raw(p, b->data, data_bytes(b));
    for (int32_t i = 0; i < b->n_sides; i++) {
        mbs_put_align(p);
        mbs_put_raw(p, b->sides[i].data, side_bytes(b, &b->sides[i]));
    }
}

/* Copies n bytes from the area's *at, aligned, into `to`. */
static mbs_status take_data(const mbs_area *a, size_t bytes, size_t *at, void *to, size_t n) {
    size_t from = (*at + 63) / 64 * 64;
    if (from > bytes || n > bytes - from) {
        return MBS_ERR_DATA;
    }
    memcpy(to, a->at + from, n);
    *at = from + n;
    return MBS_OK;
}

/* Whether that is an array of at most `limit` bytes: nothing is allocated for data that did not come. */
static int fits(size_t limit, int32_t dtype, const int64_t *n, int32_t dims) {
    size_t size = mbs_dtype_size(dtype);
    if (size == 0) {
        return 0;
    }
    for (int32_t i = 0; i < dims; i++) {
        if (n[i] < 0 || mbs_mul_overflow(size, (size_t)n[i], &size)) {
            return 0;
        }
    }
    return size <= limit;
}

/* A text that is kept: too many of them make no sense. */
static const char *take_name(mbs_cursor *c, mbs_names *names) {
    const char *text = mbs_take_text(c);
    const char *kept = text ? mbs_names_keep(names, text) : NULL;
    int room = names->n < (int)(sizeof names->known / sizeof names->known[0]);
    c->failed |= kept ? 0 : text && room ? NO_MEMORY : 1;
    return kept;
}

/* The block without its contents. */
static mbs_status take_shape(mbs_cursor *c, mbs_names *names, size_t limit, mbs_block **out) {
    const char *type = take_name(c, names);
    uint32_t flags = mbs_cursor_u32(c);
    int32_t dtype = (int32_t)mbs_cursor_u32(c);
    int32_t ndim = (int32_t)mbs_cursor_u32(c);
    int64_t shape[MBS_MAX_DIMS];
    for (int32_t i = 0; i < MBS_MAX_DIMS; i++) {
        shape[i] = mbs_cursor_i64(c);
    }
    int64_t start = mbs_cursor_i64(c);
    int64_t end = mbs_cursor_i64(c);
    c->failed |= ndim < 1 || ndim > MBS_MAX_DIMS || !fits(limit, dtype, shape, ndim);
    if (c->failed) {
        return verdict(c);
    }
    mbs_block *b = mbs_block_new(type, dtype, ndim, shape);
    if (!b) {
        return MBS_ERR_MEMORY;
    }
    b->flags = flags;
    b->start = start;
    b->end = end;
    *out = b;
    return MBS_OK;
}

static mbs_status take_sides(mbs_cursor *c, mbs_names *names, size_t limit, mbs_block *b) {
    uint32_t n = mbs_cursor_u32(c);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = take_name(c, names);
        int32_t dtype = (int32_t)mbs_cursor_u32(c);
        int32_t width = (int32_t)mbs_cursor_u32(c);
        const int64_t shape[2] = {b->shape[0], width};
        c->failed |= width < 1 || b->n_sides == MBS_MAX_SIDES || !fits(limit, dtype, shape, 2) ||
                     (name && mbs_block_side_find(b, name));
        if (c->failed) {
            return verdict(c);
        }
        if (!mbs_block_side_new(b, name, dtype, width)) {
            return MBS_ERR_MEMORY;
        }
    }
    return verdict(c);
}

static mbs_status take_meta(mbs_cursor *c, mbs_names *names, size_t limit, mbs_block **out, mbs_record **record) {
    mbs_status st = take_shape(c, names, limit, out);
    st = st == MBS_OK ? take_sides(c, names, limit, *out) : st;
    return st == MBS_OK ? take_record(c, record) : st;
}

mbs_status mbs_wire_take_block(const mbs_area *a, size_t bytes, size_t *at, mbs_names *names, mbs_block **out,
                               mbs_record **record) {
    *out = NULL;
    *record = NULL;
    int64_t size = 0;
    size_t head = (*at + 63) / 64 * 64;
    if (head > bytes || bytes - head < sizeof size) {
        return MBS_ERR_DATA;
    }
    memcpy(&size, a->at + head, sizeof size);
    if (size < (int64_t)sizeof size || (uint64_t)size > bytes - head || (uint64_t)size > MAX_META) {
        return MBS_ERR_DATA;
    }
    char *meta = mbs_slab_get((size_t)size);
    if (!meta) {
        return MBS_ERR_MEMORY;
    }
    memcpy(meta, a->at + head, (size_t)size);
    mbs_cursor c = {(const unsigned char *)meta + sizeof size, (size_t)size - sizeof size, 0};
    *at = head + (size_t)size;
    mbs_status st = take_meta(&c, names, bytes, out, record);
    mbs_slab_put(meta);
    if (st == MBS_OK) {
        st = take_data(a, bytes, at, (*out)->data, data_bytes(*out));
    }
    for (int32_t i = 0; st == MBS_OK && i < (*out)->n_sides; i++) {
        st = take_data(a, bytes, at, (*out)->sides[i].data, side_bytes(*out, &(*out)->sides[i]));
    }
    if (st != MBS_OK) {
        mbs_block_unref(*out);
        mbs_record_free(*record);
        *out = NULL;
        *record = NULL;
    }
    return st;
}
