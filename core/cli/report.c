#include "cli/report.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "opt/value.h"

#define KEY_COLUMN 16

static void put_escaped(mbs_buf *out, const char *text, size_t left) {
    char piece[512];
    while (left > 0) {
        /* Pieces end between characters: a byte of UTF-8 that goes on belongs to the piece before. */
        size_t n = left < 100 ? left : 100;
        while (n < left && n < 104 && ((unsigned char)text[n] & 0xC0) == 0x80) {
            n++;
        }
        mbs_buf_append(out, piece, mbs_text_escape(piece, sizeof piece, text, n));
        text += n;
        left -= n;
    }
}

void mbs_report_escaped(mbs_buf *out, const char *text) {
    put_escaped(out, text, strlen(text));
}

void mbs_report_begin(mbs_report *r, int json) {
    memset(r, 0, sizeof *r);
    r->json = json;
    if (json) {
        mbs_buf_putc(&r->out, '{');
    }
}

void mbs_report_title(mbs_report *r, const char *text) {
    if (!r->json) {
        mbs_report_escaped(&r->out, text);
        mbs_buf_putc(&r->out, '\n');
    }
}

static void put_key(mbs_report *r, const char *key) {
    if (r->json) {
        mbs_buf_puts(&r->out, r->n ? ", " : "");
        mbs_json_put_string(&r->out, key);
        mbs_buf_puts(&r->out, ": ");
    } else {
        size_t start = r->out.len;
        mbs_buf_puts(&r->out, "  ");
        mbs_report_escaped(&r->out, key);
        /* A name with a dot is a tensor's or a file's and stays as it is. */
        for (size_t i = start; i < r->out.len && !strchr(key, '.'); i++) {
            r->out.data[i] = r->out.data[i] == '_' ? ' ' : r->out.data[i];
        }
        do {
            mbs_buf_putc(&r->out, ' ');
        } while (!r->out.failed && r->out.len - start < KEY_COLUMN);
    }
    r->n++;
}

static void end_line(mbs_report *r) {
    if (!r->json) {
        mbs_buf_putc(&r->out, '\n');
    }
}

/* For people a text of several lines stands in a column of its own. */
static void put_text(mbs_report *r, const char *value) {
    if (r->json) {
        mbs_json_put_string(&r->out, value);
        return;
    }
    for (const char *line = value; *line;) {
        size_t n = strcspn(line, "\n");
        if (line > value) {
            mbs_buf_printf(&r->out, "\n%*s", KEY_COLUMN, "");
        }
        put_escaped(&r->out, line, n);
        line += n + (line[n] == '\n');
    }
}

void mbs_report_text(mbs_report *r, const char *key, const char *value) {
    if (value) {
        put_key(r, key);
        put_text(r, value);
        end_line(r);
    }
}

void mbs_report_int(mbs_report *r, const char *key, int64_t value) {
    put_key(r, key);
    mbs_buf_printf(&r->out, "%lld", (long long)value);
    end_line(r);
}

void mbs_report_real(mbs_report *r, const char *key, double value) {
    put_key(r, key);
    if (r->json) {
        mbs_json_put_double(&r->out, value);
    } else {
        mbs_value_put_float(&r->out, value);
    }
    end_line(r);
}

void mbs_report_list(mbs_report *r, const char *key, const char *const *items, int n) {
    put_key(r, key);
    mbs_buf_puts(&r->out, r->json ? "[" : "");
    for (int i = 0; i < n; i++) {
        mbs_buf_puts(&r->out, i ? ", " : "");
        put_text(r, items[i]);
    }
    mbs_buf_puts(&r->out, r->json ? "]" : "");
    end_line(r);
}

void mbs_report_counts(mbs_report *r, const char *key, const char *const *names, const int64_t *counts, int n) {
    put_key(r, key);
    mbs_buf_puts(&r->out, r->json ? "{" : "");
    for (int i = 0; i < n; i++) {
        mbs_buf_puts(&r->out, i ? ", " : "");
        put_text(r, names[i]);
        mbs_buf_printf(&r->out, "%s %lld", r->json ? ":" : "", (long long)counts[i]);
    }
    mbs_buf_puts(&r->out, r->json ? "}" : "");
    end_line(r);
}

/* Decimal digits as JSON has them: no sign but '-', no leading zero, at most 15 digits so that nothing is lost. */
static int is_number(const char *s) {
    s += *s == '-';
    size_t whole = strspn(s, "0123456789");
    size_t fraction = s[whole] == '.' ? strspn(s + whole + 1, "0123456789") : 0;
    if (whole == 0 || whole + fraction > 15 || (whole > 1 && s[0] == '0') || (s[whole] == '.' && fraction == 0)) {
        return 0;
    }
    return s[whole + (s[whole] == '.' ? 1 + fraction : 0)] == '\0';
}

void mbs_report_fact(mbs_report *r, const char *key, const char *value) {
    if (r->json && is_number(value)) {
        put_key(r, key);
        mbs_buf_puts(&r->out, value);
    } else {
        mbs_report_text(r, key, value);
    }
}

void mbs_report_json(mbs_report *r, const char *key, const char *value) {
    if (r->json) {
        put_key(r, key);
        mbs_buf_puts(&r->out, value);
    }
}

void mbs_report_end(mbs_report *r) {
    if (r->json) {
        mbs_buf_puts(&r->out, "}\n");
    }
}

void mbs_report_free(mbs_report *r) {
    mbs_buf_free(&r->out);
}
