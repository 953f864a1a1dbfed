#include "run/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "run/merge_part.h"

#define NAMES_MAX 64

struct mbs_merge {
    mbs_arena *arena;
    mbs_part *parts; /* shard i at i - 1 */
    int64_t n;
    mbs_carry carry;
    mbs_tap tap;
    mbs_stages *s;
    const char *names[NAMES_MAX]; /* types and side channels, which blocks borrow */
    int n_names;
    /* the record at hand */
    mbs_part *part;
    int64_t ordinal;
    uint64_t rows;
    int64_t until; /* edits before this position can have come */
};

/* --- which shards ------------------------------------------------------------------------------------------------- */

/* The first line that differs. */
static void narrow(const char **a, const char **b) {
    for (;;) {
        const char *ea = strchr(*a, '\n');
        const char *eb = strchr(*b, '\n');
        if (!ea || !eb || ea - *a != eb - *b || memcmp(*a, *b, (size_t)(ea - *a)) != 0) {
            return;
        }
        *a = ea + 1;
        *b = eb + 1;
    }
}

static int line_length(const char *s) {
    size_t n = strcspn(s, "\n");
    return n > 400 ? 400 : (int)n;
}

static mbs_status differ(const char *where, const char *key, const char *is, const char *was, const char *whose,
                         mbs_err *err) {
    narrow(&is, &was);
    mbs_fail(err, MBS_ERR_CONFIG, where, "the %s differs: it is '%.*s', and '%.*s' in %s", key, line_length(is), is,
             line_length(was), was, whose);
    mbs_err_fix(err, "all shards and the merge need one pipeline, model, input and kind of machine");
    return MBS_ERR_CONFIG;
}

static mbs_status same_run(const mbs_part *a, const mbs_part *b, mbs_err *err) {
    for (int64_t i = 0; i < a->n_attrs && i < b->n_attrs; i++) {
        if (strcmp(a->attrs[i].key, b->attrs[i].key) != 0) {
            return differ(b->path, "header", b->attrs[i].key, a->attrs[i].key, a->path, err);
        }
        if (strcmp(a->attrs[i].value, b->attrs[i].value) != 0) {
            return differ(b->path, b->attrs[i].key, b->attrs[i].value, a->attrs[i].value, a->path, err);
        }
    }
    if (a->n_attrs != b->n_attrs) {
        const mbs_part *more = a->n_attrs > b->n_attrs ? a : b;
        const char *key = more->attrs[more == a ? b->n_attrs : a->n_attrs].key;
        return differ(b->path, key, more == b ? "there" : "not there", more == a ? "there" : "not there", a->path, err);
    }
    return MBS_OK;
}

/* Puts the shards in their order; each has to be there once. */
static mbs_status sort_parts(mbs_merge *m, const mbs_part *given, int n, mbs_err *err) {
    for (int i = 0; i < n; i++) {
        const mbs_part *p = &given[i];
        if (p->share.n != m->n) {
            mbs_fail(err, MBS_ERR_CONFIG, p->path, "it is shard %lld of %lld, and %s is shard %lld of %lld",
                     (long long)p->share.i, (long long)p->share.n, given[0].path, (long long)given[0].share.i,
                     (long long)m->n);
            mbs_err_fix(err, "merge shards of one run");
            return MBS_ERR_CONFIG;
        }
        mbs_part *to = &m->parts[p->share.i - 1];
        if (to->f) {
            return mbs_fail(err, MBS_ERR_DATA, p->path, "it is shard %lld of %lld, and so is %s", (long long)p->share.i,
                            (long long)m->n, to->path);
        }
        mbs_status st = same_run(&given[0], p, err);
        if (st != MBS_OK) {
            return st;
        }
        *to = *p;
    }
    for (int64_t i = 0; i < m->n; i++) {
        if (!m->parts[i].f) {
            mbs_fail(err, MBS_ERR_DATA, "merge", "shard %lld of %lld is missing", (long long)i + 1, (long long)m->n);
            mbs_err_fix(err, "give all %lld; it is made by run --shard %lld/%lld", (long long)m->n, (long long)i + 1,
                        (long long)m->n);
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

mbs_status mbs_merge_open(const char *const *paths, int n, mbs_merge **out, mbs_err *err) {
    *out = NULL;
    mbs_merge *m = mbs_calloc(1, sizeof *m);
    mbs_part *given = mbs_calloc((size_t)n, sizeof *given);
    if (m) {
        m->arena = mbs_arena_new();
    }
    mbs_status st = m && given && m->arena ? MBS_OK : mbs_fail_memory(err, "merge", 0);
    for (int i = 0; i < n && st == MBS_OK; i++) {
        st = mbs_part_open(&given[i], paths[i], m->arena, err);
    }
    if (st == MBS_OK) {
        m->n = given[0].share.n;
        m->parts = mbs_calloc((size_t)m->n, sizeof *m->parts);
        st = m->parts ? sort_parts(m, given, n, err) : mbs_fail_memory(err, "merge", 0);
    }
    if (st != MBS_OK) {
        mbs_free(m ? m->parts : NULL);
        for (int i = 0; given && i < n; i++) {
            mbs_part_close(&given[i]);
        }
        if (m) {
            mbs_arena_free(m->arena);
        }
        mbs_free(m);
    } else {
        *out = m;
    }
    mbs_free(given);
    return st;
}

void mbs_merge_free(mbs_merge *m) {
    if (m) {
        for (int64_t i = 0; i < m->n; i++) {
            mbs_part_close(&m->parts[i]);
        }
        mbs_free(m->parts);
        mbs_arena_free(m->arena);
        mbs_free(m);
    }
}

const char *mbs_merge_pipeline(const mbs_merge *m) {
    return m->parts[0].pipeline;
}

const mbs_plan_set *mbs_merge_sets(const mbs_merge *m, int *n) {
    *n = (int)m->parts[0].n_sets;
    return m->parts[0].sets;
}

int64_t mbs_merge_shards(const mbs_merge *m) {
    return m->n;
}

mbs_status mbs_merge_tell_inputs(const mbs_merge *m, mbs_outputs *outputs, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < m->n && st == MBS_OK; i++) {
        st = mbs_outputs_input(outputs, m->parts[i].path, err);
        for (int64_t k = 0; k < m->parts[i].n_outputs && st == MBS_OK; k++) {
            st = mbs_outputs_input(outputs, m->parts[i].outputs[k], err);
        }
    }
    return st;
}

mbs_status mbs_merge_header(mbs_merge *m, mbs_stages *s, mbs_err *err) {
    const mbs_part *p = &m->parts[0];
    for (int64_t i = 0; i < s->header.n_attrs; i++) {
        const mbs_attr *mine = &s->header.attrs[i];
        for (int64_t k = 0; k < p->n_attrs; k++) {
            if (strcmp(mine->key, p->attrs[k].key) == 0 && strcmp(mine->value, p->attrs[k].value) != 0) {
                return differ(p->path, mine->key, p->attrs[k].value, mine->value, "this merge", err);
            }
        }
    }
    s->header.attrs = p->attrs;
    s->header.n_attrs = p->n_attrs;
    return MBS_OK;
}

/* --- records again ------------------------------------------------------------------------------------------------ */

static mbs_status on_begin(void *self, const mbs_record *record, int64_t ordinal, mbs_err *err) {
    mbs_merge *m = self;
    (void)err;
    m->ordinal = ordinal;
    m->part = &m->parts[ordinal / mbs_shard_together(m->s->plan) % m->n];
    m->rows = MBS_SHARD_SUM;
    m->until = record->start - record->context;
    return MBS_OK;
}

static void on_rows(void *self, const mbs_block *block, int64_t from, int64_t n) {
    mbs_merge *m = self;
    m->rows = mbs_shard_sum_rows(m->rows, block, from, n);
    m->until = block->end;
}

static mbs_status other_input(const mbs_merge *m, const mbs_record *record, const char *what, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, m->part->path, "the input is another: record '%.200s' %s", record->name, what);
    mbs_err_fix(err, "merge with the input that the shards have read, or run the shards again");
    return MBS_ERR_DATA;
}

static mbs_status on_end(void *self, const mbs_record *record, mbs_err *err) {
    mbs_merge *m = self;
    mbs_part *p = m->part;
    mbs_status st = mbs_part_look(p, err);
    if (st != MBS_OK) {
        return st;
    }
    if (p->tag == 'Z') {
        return other_input(m, record, "was not there", err);
    }
    if (p->tag != 'E') {
        return p->tag == 'B' && m->s->plan->task == MBS_TASK_VARIANT ? other_input(m, record, "had more edits", err)
                                                                     : mbs_part_damaged(p, err);
    }
    int64_t ordinal = mbs_cursor_i64(&p->in);
    (void)mbs_cursor_u32(&p->in);
    size_t n = 0;
    const void *name = mbs_cursor_bytes(&p->in, &n);
    int64_t start = mbs_cursor_i64(&p->in);
    int64_t length = mbs_cursor_i64(&p->in);
    uint64_t rows = (uint64_t)mbs_cursor_i64(&p->in);
    if (p->in.failed || ordinal != m->ordinal) {
        return mbs_part_damaged(p, err);
    }
    mbs_part_taken(p);
    if (n != strlen(record->name) || (n && memcmp(name, record->name, n) != 0)) {
        return other_input(m, record, "stands where another one was", err);
    }
    if (start != record->start || length != record->length) {
        return other_input(m, record, "was of another place or length", err);
    }
    return rows == m->rows ? MBS_OK : other_input(m, record, "had other tokens", err);
}

/* A name that lives as long as blocks do. */
static const char *intern(mbs_merge *m, mbs_cursor *in, int *failed) {
    int there = mbs_cursor_u32(in) != 0;
    size_t n = 0;
    const char *p = mbs_cursor_bytes(in, &n);
    if (in->failed || !there) {
        in->failed |= 1;
        return NULL;
    }
    for (int i = 0; i < m->n_names; i++) {
        if (strlen(m->names[i]) == n && memcmp(m->names[i], p, n) == 0) {
            return m->names[i];
        }
    }
    char *text = m->n_names < NAMES_MAX ? mbs_arena_alloc(m->arena, n + 1) : NULL;
    if (!text) {
        *failed = 1;
        return NULL;
    }
    memcpy(text, p, n);
    m->names[m->n_names++] = text;
    return text;
}

/* Reads the block at hand, without its record. */
static mbs_status read_block(mbs_merge *m, mbs_shard_whose *whose, mbs_block **out, mbs_err *err) {
    mbs_part *p = m->part;
    mbs_cursor *in = &p->in;
    int no_memory = 0;
    int64_t shape[MBS_MAX_DIMS] = {0};
    *whose = (mbs_shard_whose)mbs_cursor_u32(in);
    const char *type = intern(m, in, &no_memory);
    int32_t dtype = (int32_t)mbs_cursor_u32(in);
    uint32_t ndim = mbs_cursor_u32(in);
    for (uint32_t i = 0; i < ndim && i < MBS_MAX_DIMS; i++) {
        shape[i] = mbs_cursor_i64(in);
        in->failed |= shape[i] < 0;
    }
    if (in->failed || ndim < 1 || ndim > MBS_MAX_DIMS || *whose > MBS_SHARD_OWN) {
        return mbs_part_damaged(p, err);
    }
    mbs_block *b = no_memory ? NULL : mbs_block_new(type, dtype, (int32_t)ndim, shape);
    if (!b) {
        return mbs_fail_memory(err, p->path, 0);
    }
    *out = b;
    b->start = mbs_cursor_i64(in);
    b->end = mbs_cursor_i64(in);
    b->flags = mbs_cursor_u32(in);
    uint32_t sides = mbs_cursor_u32(in);
    for (uint32_t i = 0; i < sides && !in->failed && !no_memory; i++) {
        const char *name = intern(m, in, &no_memory);
        int32_t kind = (int32_t)mbs_cursor_u32(in);
        int32_t width = (int32_t)mbs_cursor_u32(in);
        in->failed |= sides > MBS_MAX_SIDES || width < 1 || mbs_dtype_size(kind) == 0;
        no_memory |= name && !in->failed && !mbs_block_side_new(b, name, kind, width);
    }
    return in->failed ? mbs_part_damaged(p, err) : no_memory ? mbs_fail_memory(err, p->path, 0) : MBS_OK;
}

/* Data and side channels, behind the entry. */
static mbs_status read_data(mbs_merge *m, mbs_block *b, mbs_err *err) {
    size_t n = mbs_dtype_size(b->dtype);
    for (int32_t i = 0; i < b->ndim; i++) {
        n *= (size_t)b->shape[i]; /* mbs_block_new has checked it */
    }
    mbs_part_taken(m->part);
    mbs_status st = mbs_part_bytes(m->part, b->data, n, err);
    for (int32_t i = 0; i < b->n_sides && st == MBS_OK; i++) {
        n = mbs_dtype_size(b->sides[i].dtype) * (size_t)b->sides[i].width * (size_t)b->shape[0];
        st = mbs_part_bytes(m->part, b->sides[i].data, n, err);
    }
    return st;
}

/* The record that a task has made, as it was. */
static mbs_status own_record(mbs_merge *m, const mbs_record *of, mbs_block *b, mbs_err *err) {
    mbs_cursor *in = &m->part->in;
    int failed = 0;
    mbs_arena *texts = mbs_arena_new();
    if (!texts) {
        return mbs_fail_memory(err, m->part->path, 0);
    }
    mbs_record r = {.struct_size = (uint32_t)sizeof r, .strand = (int32_t)mbs_cursor_u32(in)};
    r.index = mbs_cursor_i64(in);
    r.source = mbs_cursor_i64(in);
    r.name = mbs_part_text(in, texts, &failed);
    r.description = mbs_part_text(in, texts, &failed);
    r.label = mbs_part_text(in, texts, &failed);
    r.start = mbs_cursor_i64(in);
    r.length = mbs_cursor_i64(in);
    r.context = mbs_cursor_i64(in);
    r.origin = mbs_cursor_u32(in) ? of->origin : NULL;
    r.n_attrs = mbs_cursor_i64(in);
    int fine = !in->failed && r.n_attrs >= 0 && r.n_attrs <= 65536 && r.name;
    mbs_attr *attrs = fine ? mbs_arena_alloc(texts, (size_t)(r.n_attrs + 1) * sizeof *attrs) : NULL;
    for (int64_t i = 0; attrs && i < r.n_attrs; i++) {
        attrs[i].key = mbs_part_text(in, texts, &failed);
        attrs[i].value = mbs_part_text(in, texts, &failed);
        fine = fine && attrs[i].key && attrs[i].value;
    }
    r.attrs = attrs;
    mbs_record *copy = fine && attrs && !failed ? mbs_record_copy(&r) : NULL;
    mbs_arena_free(texts);
    if (!copy) {
        return fine ? mbs_fail_memory(err, m->part->path, 0) : mbs_part_damaged(m->part, err);
    }
    mbs_block_hold_record(b, copy);
    mbs_record_free(copy);
    return MBS_OK;
}

/* The next block of the record; NULL where there is none left. `group`: whose it has to be, for edits. */
static mbs_status next_block(mbs_merge *m, const mbs_record *of, const mbs_block *group, mbs_block **out,
                             mbs_err *err) {
    *out = NULL;
    mbs_part *p = m->part;
    mbs_status st = mbs_part_look(p, err);
    if (st != MBS_OK || p->tag != 'B') {
        return st;
    }
    mbs_shard_whose whose = MBS_SHARD_STREAM;
    mbs_block *b = NULL;
    st = read_block(m, &whose, &b, err);
    if (st == MBS_OK && (whose == MBS_SHARD_EDITS) != (group != NULL)) {
        st = mbs_part_damaged(p, err);
    }
    if (st == MBS_OK && group) {
        const mbs_record *r = group->record;
        int same = mbs_cursor_i64(&p->in) == r->index;
        same &= mbs_cursor_i64(&p->in) == r->start;
        same &= mbs_cursor_i64(&p->in) == r->length;
        same &= (uint64_t)mbs_cursor_i64(&p->in) == mbs_shard_sum_edits(r);
        same &= b->shape[0] == group->shape[0];
        mbs_record *copy = same ? mbs_record_copy(r) : NULL;
        if (copy) {
            mbs_block_hold_record(b, copy);
            mbs_record_free(copy);
        }
        st = !same ? other_input(m, r, "had other edits", err) : copy ? MBS_OK : mbs_fail_memory(err, p->path, 0);
    } else if (st == MBS_OK && whose == MBS_SHARD_OWN) {
        st = own_record(m, of, b, err);
    } else if (st == MBS_OK) {
        b->record = of;
    }
    st = st == MBS_OK ? read_data(m, b, err) : st;
    if (st != MBS_OK) {
        mbs_block_unref(b);
        b = NULL;
    }
    *out = b;
    return st;
}

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    (void)self;
    (void)record;
    (void)err;
    return MBS_OK;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    (void)self;
    (void)err;
    *taken = tokens->shape[0] - from;
    *out = NULL;
    return MBS_OK;
}

/* Edits before a place, which the reader tells again. */
static mbs_status next_edits(mbs_merge *m, const mbs_record *record, int64_t before, mbs_block **out, int *more,
                             mbs_err *err) {
    *out = NULL;
    *more = 0;
    if (record->strand == '-' && mbs_shard_together(m->s->plan) == 2) {
        return MBS_OK; /* its edits come on strand + */
    }
    mbs_block *group = NULL;
    mbs_status st = mbs_reader_next_edits(m->s->reader, before, &group, err);
    if (st == MBS_END) {
        return MBS_OK;
    }
    if (st == MBS_OK) {
        st = next_block(m, record, group, out, err);
        if (st == MBS_OK && !*out) {
            st = other_input(m, group->record, "was not among its edits", err);
        }
        mbs_block_unref(group);
        *more = 1;
    }
    return st;
}

static mbs_status also(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    mbs_merge *m = self;
    return next_edits(m, record, m->until, out, more, err);
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    mbs_merge *m = self;
    if (m->s->plan->task == MBS_TASK_VARIANT) {
        return next_edits(m, record, INT64_MAX, out, more, err);
    }
    mbs_status st = next_block(m, record, NULL, out, err);
    *more = *out != NULL;
    return st;
}

const mbs_carry *mbs_merge_carry(mbs_merge *m, mbs_stages *s) {
    m->s = s;
    m->carry = (mbs_carry){.self = m, .begin = begin, .step = step, .finish = finish};
    if (s->plan->task == MBS_TASK_VARIANT) {
        m->carry.also = also;
    }
    return &m->carry;
}

const mbs_tap *mbs_merge_tap(mbs_merge *m, mbs_stages *s) {
    m->s = s;
    m->tap = (mbs_tap){.self = m, .begin = on_begin, .rows = on_rows, .end = on_end};
    return &m->tap;
}

mbs_status mbs_merge_finish(mbs_merge *m, int64_t records, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < m->n && st == MBS_OK; i++) {
        mbs_part *p = &m->parts[i];
        st = mbs_part_look(p, err);
        if (st != MBS_OK) {
            return st;
        }
        int64_t had = p->tag == 'Z' ? mbs_cursor_i64(&p->in) : -1;
        uint64_t sum = p->tag == 'Z' ? (uint64_t)mbs_cursor_i64(&p->in) : 0;
        if (p->tag == 'E' || p->tag == 'B' || (p->tag == 'Z' && had != records)) {
            mbs_fail(err, MBS_ERR_DATA, p->path, "the input is another: it has %lld records, and had %s",
                     (long long)records, p->tag == 'Z' ? "another number of them" : "more");
            mbs_err_fix(err, "merge with the input that the shards have read, or run the shards again");
            return MBS_ERR_DATA;
        }
        st = p->in.failed || had < 0 || sum != p->before ? mbs_part_damaged(p, err) : MBS_OK;
    }
    return st;
}
