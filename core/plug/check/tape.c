#include "plug/check/tape.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "plug/instance.h"

static size_t row_bytes(const mbs_block *b) {
    size_t n = mbs_dtype_size(b->dtype);
    for (int32_t d = 1; d < b->ndim; d++) {
        n *= (size_t)b->shape[d];
    }
    return n;
}

static const char *text(const char *s) {
    return s ? s : "(none)";
}

static void put_record(mbs_tape *t, const mbs_block *b) {
    const mbs_record *r = b->record;
    mbs_buf_printf(&t->bytes, "\nrecord %lld '%s'", (long long)r->index, t->bare == MBS_TAPE_ROWS ? "" : r->name);
    for (int64_t i = 0; !t->bare && i < r->n_attrs; i++) {
        mbs_buf_printf(&t->bytes, " %s=%s", r->attrs[i].key, r->attrs[i].value);
    }
    if (!t->bare) {
        mbs_buf_printf(&t->bytes, " %lld %d %lld %lld '%s' '%s' from %lld", (long long)r->source, r->strand,
                       (long long)r->start, (long long)r->context, text(r->description), text(r->label),
                       (long long)b->start);
    }
    mbs_buf_putc(&t->bytes, '\n');
}

static void begin(mbs_tape *t, const mbs_block *b) {
    const mbs_record *r = b->record;
    put_record(t, b);
    mbs_mark *grown = mbs_grow(t->marks, &t->cap_marks, t->n_marks + 1, sizeof *grown);
    if (!grown) {
        t->failed = 1;
        return;
    }
    t->marks = grown;
    mbs_mark *m = &grown[t->n_marks++];
    *m = (mbs_mark){.from = t->bytes.len, .to = t->bytes.len, .each = row_bytes(b), .index = r->index};
    (void)snprintf(m->name, sizeof m->name, "%.40s", r->name);
    t->open = 1;
    t->record_rows = 0;
}

/* A block without a side channel says the same as one that has it empty: every row scored, nothing masked. */
static void fill_side(mbs_tape *t, int k, int64_t rows) {
    char none = strcmp(t->side_names[k], "scored") == 0;
    size_t want = (size_t)rows * t->side_each[k];
    while (t->sides[k].len < want && !t->sides[k].failed) {
        mbs_buf_putc(&t->sides[k], none);
    }
}

static void put_side(mbs_tape *t, const mbs_side *s, int64_t rows) {
    int k = 0;
    while (k < t->n_sides && strcmp(t->side_names[k], s->name) != 0) {
        k++;
    }
    if (k == MBS_MAX_SIDES) {
        return;
    }
    if (k == t->n_sides) {
        (void)snprintf(t->side_names[t->n_sides++], sizeof t->side_names[0], "%s", s->name);
        t->side_each[k] = mbs_dtype_size(s->dtype) * (size_t)s->width;
    }
    fill_side(t, k, t->record_rows);
    mbs_buf_append(&t->sides[k], s->data, (size_t)rows * mbs_dtype_size(s->dtype) * (size_t)s->width);
}

void mbs_tape_block(mbs_tape *t, const mbs_block *b) {
    if (b->flags & MBS_SEQ_START) {
        mbs_tape_end(t, 1);
        begin(t, b);
    }
    mbs_buf_append(&t->bytes, b->data, (size_t)b->shape[0] * row_bytes(b));
    for (int32_t i = 0; !t->bare && i < b->n_sides; i++) {
        put_side(t, &b->sides[i], b->shape[0]);
    }
    if (t->n_marks) {
        t->marks[t->n_marks - 1].to = t->bytes.len;
    }
    t->rows += b->shape[0];
    t->record_rows += b->shape[0];
    t->end = b->end;
}

void mbs_tape_bytes(mbs_tape *t, const char *name, const void *bytes, size_t n) {
    mbs_mark *grown = mbs_grow(t->marks, &t->cap_marks, t->n_marks + 1, sizeof *grown);
    mbs_buf_printf(&t->bytes, "\nfile %s\n", name);
    if (!grown) {
        t->failed = 1;
        return;
    }
    t->marks = grown;
    mbs_mark *m = &grown[t->n_marks++];
    *m = (mbs_mark){.from = t->bytes.len, .to = t->bytes.len + n, .index = -1};
    (void)snprintf(m->name, sizeof m->name, "%.40s", name);
    mbs_buf_append(&t->bytes, bytes, n);
}

void mbs_tape_end(mbs_tape *t, int whole) {
    if (!t->open) {
        return;
    }
    for (int k = 0; k < t->n_sides; k++) {
        fill_side(t, k, t->record_rows);
        mbs_buf_printf(&t->bytes, "\nside %s\n", t->side_names[k]);
        mbs_buf_append(&t->bytes, mbs_buf_str(&t->sides[k]), t->sides[k].len);
        mbs_buf_clear(&t->sides[k]);
    }
    t->n_sides = 0;
    if (whole && !t->bare) {
        mbs_buf_printf(&t->bytes, "\nend %lld", (long long)t->end);
    }
    t->open = 0;
}

void mbs_tape_free(mbs_tape *t) {
    mbs_buf_free(&t->bytes);
    for (int k = 0; k < MBS_MAX_SIDES; k++) {
        mbs_buf_free(&t->sides[k]);
    }
    mbs_free(t->marks);
    memset(t, 0, sizeof *t);
}

static void say(const mbs_tape *t, size_t at, mbs_buf *why) {
    const mbs_mark *m = NULL;
    for (size_t i = 0; i < t->n_marks && t->marks[i].from <= at; i++) {
        m = &t->marks[i];
    }
    if (!m) {
        mbs_buf_puts(why, "the first record differs");
    } else if (m->index < 0) {
        mbs_buf_printf(why, "%s differs from byte %zu on", m->name, at - m->from);
    } else if (at < m->to && m->each) {
        mbs_buf_printf(why, "record %lld '%s' differs from row %zu on", (long long)m->index + 1, m->name,
                       (at - m->from) / m->each);
    } else {
        mbs_buf_printf(why,
                       "record %lld '%s' differs behind row %zu: its length, its side channels, or what follows it",
                       (long long)m->index + 1, m->name, m->each ? (m->to - m->from) / m->each : 0);
    }
}

int mbs_tape_differs(const mbs_tape *a, const mbs_tape *b, mbs_buf *why) {
    size_t n = a->bytes.len < b->bytes.len ? a->bytes.len : b->bytes.len;
    size_t at = 0;
    while (at < n && a->bytes.data[at] == b->bytes.data[at]) {
        at++;
    }
    if (at == n && a->bytes.len == b->bytes.len) {
        return 0;
    }
    say(a, at, why);
    mbs_buf_printf(why, " (%lld rows, %lld)", (long long)a->rows, (long long)b->rows);
    return -1;
}
