/* Bytes to rows of fields: tabs or commas between, quotes where a field begins with one ("" is a quote in it). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "reader.h"

mbs_status tv_fail(const tv_reader *r, const char *fmt, ...) {
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return r->host->fail(r->host, MBS_ERR_DATA, NULL, "%s:%lld: %s", fa_show(r->in.path), (long long)r->row.line, what);
}

void tv_row_free(tv_reader *r) {
    fa_text_free(r->host, &r->row.text);
    r->host->free(r->host, r->row.at);
    r->row.at = NULL;
    r->row.cap = 0;
}

static mbs_status put(tv_reader *r, int c) {
    tv_row *w = &r->row;
    if (w->text.len == w->text.cap) {
        size_t cap = w->text.cap ? w->text.cap * 2 : 4096;
        char *grown = cap <= TV_ROW_MAX * 2 ? r->host->realloc(r->host, w->text.s, cap) : NULL;
        if (!grown) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for a row of %zu bytes", w->text.len);
        }
        w->text.s = grown;
        w->text.cap = cap;
    }
    w->text.s[w->text.len++] = (char)c;
    if (w->text.len > TV_ROW_MAX) {
        mbs_status st = tv_fail(r, "a row of more than %zu MiB", TV_ROW_MAX >> 20);
        r->host->hint(r->host, "put sequences of that length into FASTA files, one folder for each class");
        return st;
    }
    return MBS_OK;
}

static mbs_status begin_field(tv_reader *r) {
    tv_row *w = &r->row;
    if (w->n == TV_COLUMNS_MAX) {
        return tv_fail(r, "more than %d columns", TV_COLUMNS_MAX);
    }
    if (w->n == w->cap) {
        int64_t cap = w->cap ? w->cap * 2 : 16;
        size_t *grown = r->host->realloc(r->host, w->at, (size_t)cap * sizeof(*grown));
        if (!grown) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for a row");
        }
        w->at = grown;
        w->cap = cap;
    }
    w->at[w->n++] = w->text.len;
    return MBS_OK;
}

/* The next byte; FA_EOF; FA_BROKEN. A line end is '\n', whichever it is in the file. */
static int next_byte(tv_reader *r) {
    fa_bytes *in = &r->in;
    int c = fa_peek(in);
    if (c >= 0) {
        in->pos++;
    }
    if (c == '\r' && fa_peek(in) == '\n') {
        in->pos++;
        c = '\n';
    }
    r->row.next += c == '\n';
    return c;
}

/* What stands between two quotes, behind the first; the byte behind the second. */
static mbs_status quoted(tv_reader *r, int *behind) {
    for (;;) {
        int c = next_byte(r);
        if (c == FA_EOF) {
            return tv_fail(r, "a quote that is not closed up to the end of the file");
        }
        if (c == '"') {
            c = next_byte(r);
            if (c != '"') {
                *behind = c;
                return MBS_OK;
            }
        }
        if (c < 0) {
            *behind = c;
            return MBS_OK;
        }
        if (c == 0) {
            return tv_fail(r, "column %lld: a NUL byte", (long long)r->row.n);
        }
        mbs_status st = put(r, c);
        if (st != MBS_OK) {
            return st;
        }
    }
}

static int separates(tv_reader *r, int c) {
    return r->row.separator ? c == r->row.separator : c == '\t' || c == ',';
}

/* One field; *end is the byte behind it. */
static mbs_status field(tv_reader *r, int c, int *end) {
    int was_quoted = c == '"';
    mbs_status st = begin_field(r);
    if (st == MBS_OK && was_quoted) {
        st = quoted(r, &c);
    }
    for (; st == MBS_OK && c >= 0 && c != '\n' && !separates(r, c); c = next_byte(r)) {
        if (was_quoted) {
            return tv_fail(r, "column %lld: text behind the closing quote", (long long)r->row.n);
        }
        if (c == 0) {
            return tv_fail(r, "column %lld: a NUL byte", (long long)r->row.n);
        }
        st = put(r, c);
    }
    *end = c;
    return st == MBS_OK ? put(r, 0) : st;
}

/* Where neither was asked for, a tab in the first line means tabs. */
static void choose_separator(tv_reader *r) {
    tv_row *w = &r->row;
    int tab = 0;
    (void)fa_peek(&r->in);
    for (size_t i = r->in.pos; i < r->in.len && r->in.buf[i] != '\n'; i++) {
        tab |= r->in.buf[i] == '\t';
    }
    w->separator = tab ? '\t' : ',';
}

mbs_status tv_row_read(tv_reader *r) {
    tv_row *w = &r->row;
    if (!w->separator) {
        choose_separator(r);
    }
    for (;;) {
        w->text.len = 0;
        w->n = 0;
        w->line = w->next;
        int c = next_byte(r);
        mbs_status st = MBS_OK;
        if (c == '\n') {
            continue;
        }
        if (c == FA_EOF) {
            return MBS_END;
        }
        int more = 1;
        while (more && st == MBS_OK && c != FA_BROKEN) {
            st = field(r, c, &c);
            more = c >= 0 && c != '\n';
            c = more && st == MBS_OK ? next_byte(r) : c;
        }
        if (st == MBS_OK && c == FA_BROKEN) {
            char where[64];
            (void)snprintf(where, sizeof(where), "; line %lld is the last complete one", (long long)w->line - 1);
            st = fa_bytes_fail(&r->in, where);
        }
        return st;
    }
}
