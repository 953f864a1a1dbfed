#include "pipe/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

/* The longest message, and the longest value of an override in a place. */
#define MESSAGE 2048
#define SHOWN_VALUE 60
/* Characters of a source line that are shown, and how many of them before the caret in a longer line. */
#define SHOWN_LINE 120
#define SHOWN_BEFORE 70

MBS_PRINTF(4, 0)
static void record(mbs_diags *d, mbs_place at, mbs_status status, const char *fmt, va_list ap) {
    char raw[MESSAGE];
    char clean[4 * MESSAGE];
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    if (n >= (int)sizeof raw) {
        memcpy(raw + sizeof raw - 4, "...", 4);
    }
    mbs_text_escape(clean, sizeof clean, raw, len);
    char *text = mbs_strdup(clean);
    mbs_diag *items = text ? mbs_grow(d->items, &d->cap, d->n + 1, sizeof *items) : NULL;
    if (!items) {
        mbs_free(text);
        d->failed = 1;
        return;
    }
    d->items = items;
    items[d->n++] = (mbs_diag){at, status, text};
    if (status != MBS_OK) {
        d->status = d->errors == 0 || d->status == status ? status : MBS_ERR_CONFIG;
        d->errors++;
    }
}

void mbs_diag_error(mbs_diags *d, mbs_place at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    record(d, at, MBS_ERR_CONFIG, fmt, ap);
    va_end(ap);
}

void mbs_diag_status(mbs_diags *d, mbs_place at, mbs_status status, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    record(d, at, status, fmt, ap);
    va_end(ap);
}

/* Text of at most `chars` characters, control bytes escaped. */
static void put_short(mbs_buf *out, const char *s, int chars) {
    mbs_yaml_text t = {s, strlen(s)};
    size_t cut = mbs_yaml_text_offset(t, chars + 1);
    for (size_t i = 0; i < cut;) {
        char clean[5];
        uint32_t c;
        size_t n = mbs_yaml_text_char(s + i, cut - i, &c);
        mbs_text_escape(clean, sizeof clean, s + i, n ? n : 1);
        mbs_buf_puts(out, clean);
        i += n ? n : 1;
    }
    mbs_buf_puts(out, cut < t.len ? "..." : "");
}

void mbs_diag_place(const mbs_diags *d, mbs_place at, mbs_buf *out) {
    if (at.set < 0) {
        put_short(out, d->file, 4096);
        mbs_buf_printf(out, ":%d:%d", at.line, at.col);
        return;
    }
    const mbs_plan_set *s = &d->sets[at.set];
    const char *origin = s->origin ? s->origin : "--set";
    mbs_buf_printf(out, "%s ", origin);
    if (strcmp(origin, "--set") == 0) {
        put_short(out, s->path, SHOWN_VALUE);
        mbs_buf_putc(out, '=');
    }
    put_short(out, s->value, SHOWN_VALUE);
}

/* One column for each character: what cannot be shown is a question mark, a tab a blank. */
static void put_source(mbs_buf *out, mbs_yaml_text line, int col) {
    size_t from = 0;
    int caret = col;
    if (mbs_yaml_text_offset(line, SHOWN_LINE + 1) < line.len && col > SHOWN_BEFORE) {
        from = mbs_yaml_text_offset(line, col - SHOWN_BEFORE);
        caret = SHOWN_BEFORE + 1 + 3;
    }
    mbs_buf_puts(out, from ? "    ..." : "    ");
    size_t i = from;
    for (int shown = 0; shown < SHOWN_LINE && i < line.len; shown++) {
        uint32_t c = 0;
        size_t n = mbs_yaml_text_char(line.p + i, line.len - i, &c);
        if (c == '\t') {
            mbs_buf_putc(out, ' ');
        } else if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            mbs_buf_putc(out, '?');
        } else {
            mbs_buf_append(out, line.p + i, n);
        }
        i += n ? n : 1;
    }
    mbs_buf_printf(out, "%s\n    %*s^\n", i < line.len ? "..." : "", caret - 1, "");
}

static int by_place(const mbs_diag *a, const mbs_diag *b) {
    if ((a->at.set < 0) != (b->at.set < 0)) {
        return a->at.set < 0 ? -1 : 1;
    }
    if (a->at.set != b->at.set) {
        return a->at.set < b->at.set ? -1 : 1;
    }
    if (a->at.line != b->at.line) {
        return a->at.line < b->at.line ? -1 : 1;
    }
    return (a->at.col > b->at.col) - (a->at.col < b->at.col);
}

/* Nearly sorted already; keeps the order of what stands in one place, which qsort does not. */
static void sort(mbs_diags *d) {
    for (size_t i = 1; i < d->n; i++) {
        mbs_diag x = d->items[i];
        size_t k = i;
        for (; k > 0 && by_place(&d->items[k - 1], &x) > 0; k--) {
            d->items[k] = d->items[k - 1];
        }
        d->items[k] = x;
    }
}

void mbs_diag_print(mbs_diags *d, mbs_buf *out) {
    sort(d);
    size_t shown = 0;
    size_t hidden = 0;
    for (size_t i = 0; i < d->n; i++) {
        const mbs_diag *x = &d->items[i];
        if (shown == MBS_DIAG_SHOWN) {
            hidden += x->status != MBS_OK;
            continue;
        }
        shown++;
        mbs_diag_place(d, x->at, out);
        mbs_buf_printf(out, ": %s: %s\n", x->status == MBS_OK ? "warning" : "error", x->text);
        if (x->at.set < 0 && d->text.len > 0) {
            put_source(out, mbs_yaml_text_line(d->text, x->at.line), x->at.col);
        }
    }
    if (hidden) {
        put_short(out, d->file, 4096);
        mbs_buf_printf(out, ": %zu more error%s\n", hidden, hidden == 1 ? "" : "s");
    }
}

void mbs_diag_free(mbs_diags *d) {
    for (size_t i = 0; i < d->n; i++) {
        mbs_free(d->items[i].text);
    }
    mbs_free(d->items);
    d->items = NULL;
    d->n = d->cap = d->errors = 0;
}
