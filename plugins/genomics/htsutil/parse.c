#include "genomics/htsutil/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MAX (1024 * 1024)

mbs_status fa_text_set(const mbs_host *host, fa_text *t, const char *s, size_t n) {
    if (n >= t->cap) {
        size_t cap = n + 64; /* n is at most HEADER_MAX or a name that lies in memory */
        char *grown = host->realloc(host, t->s, cap);
        if (!grown) {
            return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a name of %zu bytes", n);
        }
        t->s = grown;
        t->cap = cap;
    }
    if (n) {
        memmove(t->s, s, n);
    }
    t->s[n] = '\0';
    t->len = n;
    return MBS_OK;
}

mbs_status fa_text_add(const mbs_host *host, fa_text *t, const void *s, size_t n) {
    if (n >= t->cap - t->len) {
        size_t cap = (t->cap + n) * 2 + 64; /* both lie in memory */
        char *grown = host->realloc(host, t->s, cap);
        if (!grown) {
            return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a record of %zu bytes", t->len + n);
        }
        t->s = grown;
        t->cap = cap;
    }
    memcpy(t->s + t->len, s, n);
    t->len += n;
    t->s[t->len] = '\0';
    return MBS_OK;
}

void fa_text_free(const mbs_host *host, fa_text *t) {
    host->free(host, t->s);
    memset(t, 0, sizeof(*t));
}

void fa_parse_start(fa_parser *p, fa_bytes *in, int wanted) {
    fa_parser fresh = {.host = in->host, .in = in, .wanted = wanted, .line = 1};
    fresh.name = p->name;
    fresh.description = p->description;
    fresh.last = p->last;
    fresh.scratch = p->scratch;
    fresh.quality = p->quality;
    *p = fresh;
}

void fa_parse_free(fa_parser *p) {
    if (p->host) {
        fa_text_free(p->host, &p->name);
        fa_text_free(p->host, &p->description);
        fa_text_free(p->host, &p->last);
        fa_text_free(p->host, &p->scratch);
    }
    memset(p, 0, sizeof(*p));
}

mbs_status fa_parse_fail(const fa_parser *p, const char *fmt, ...) {
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    char place[64] = "";
    if (p->line > 0) {
        (void)snprintf(place, sizeof(place), ":%lld:%lld", (long long)p->line, (long long)p->column + 1);
    }
    char record[160] = "";
    if (p->record > 0) {
        (void)snprintf(record, sizeof(record), ": record '%.100s' (number %lld)", p->name.s ? p->name.s : "",
                       (long long)p->record);
    } else if (p->inside) {
        (void)snprintf(record, sizeof(record), ": record '%.100s', near base %lld", p->name.s, (long long)p->bases + 1);
    }
    return p->host->fail(p->host, MBS_ERR_DATA, NULL, "%s%s: %s%s", fa_show(p->in->path), place, what, record);
}

/* The input failed: adds how far the file was good. */
static mbs_status input_failed(const fa_parser *p) {
    char more[200] = "";
    if (p->in->failed == MBS_ERR_DATA && p->line > 0) {
        if (p->last_record > 0) {
            (void)snprintf(more, sizeof(more), "; the last complete record is '%.100s' (number %lld)", p->last.s,
                           (long long)p->last_record);
        } else {
            (void)snprintf(more, sizeof(more), "; no record of it is complete");
        }
    }
    return fa_bytes_fail(p->in, more);
}

static mbs_status lone_return(const fa_parser *p) {
    mbs_status st = fa_parse_fail(p, "a carriage return that does not end a line");
    p->host->hint(p->host, "lines that end with it alone are turned into others by: tr '\\r' '\\n'");
    return st;
}

static void take(fa_parser *p) {
    p->in->pos++;
    p->column++;
}

/* Behind a line's last byte. */
static void next_line(fa_parser *p) {
    p->line += p->line > 0;
    p->column = 0;
    p->line_bases = 0;
}

/* Takes \n, \r\n, or a \r at the end of the file. 1: taken, 0: something else stands here, or an error. */
static mbs_status take_eol(fa_parser *p) {
    int c = fa_peek(p->in);
    if (c == '\r') {
        take(p);
        c = fa_peek(p->in);
        if (c == FA_EOF) {
            return 1;
        }
        if (c != '\n' && c != FA_BROKEN) {
            p->column--;
            return lone_return(p);
        }
    }
    if (c == FA_BROKEN) {
        return input_failed(p);
    }
    if (c == '\n') {
        take(p);
        return 1;
    }
    return 0;
}

static mbs_status skip_blank_lines(fa_parser *p) {
    mbs_status st;
    while ((st = take_eol(p)) == 1) {
        next_line(p);
        if (p->host->cancelled(p->host)) {
            return p->host->fail(p->host, MBS_ERR_STOPPED, NULL, "stopped");
        }
    }
    return st;
}

static mbs_status control_byte(const fa_parser *p, int c, const char *where) {
    if (c == 0) {
        return fa_parse_fail(p, "a NUL byte in %s", where);
    }
    return fa_parse_fail(p, "the control byte 0x%02x in %s", (unsigned)c, where);
}

/* The first byte of the file decides what it is. */
static mbs_status sniff(fa_parser *p, int c) {
    const mbs_host *h = p->host;
    const char *path = fa_show(p->in->path);
    if (c == FA_EOF) {
        return p->line == 1 && p->column == 0
                   ? h->fail(h, MBS_ERR_DATA, "path", "%s: empty file", path)
                   : h->fail(h, MBS_ERR_DATA, "path", "%s: empty file, no record in it", path);
    }
    if ((c == FA_FASTA || c == FA_FASTQ) && (p->wanted == FA_AUTO || p->wanted == c)) {
        p->format = c;
        return MBS_OK;
    }
    const char *expected = p->wanted == FA_FASTA   ? "FASTA: a record begins with '>'"
                           : p->wanted == FA_FASTQ ? "FASTQ: a record begins with '@'"
                                                   : "FASTA or FASTQ: they begin with '>' or '@'";
    char shown[24];
    if (c > ' ' && c < 127) {
        (void)snprintf(shown, sizeof(shown), "'%c' (0x%02x)", c, (unsigned)c);
    } else {
        (void)snprintf(shown, sizeof(shown), "0x%02x", (unsigned)c);
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, "path", "%s:%lld: not %s, its first byte is %s", path, (long long)p->line,
                            expected, shown);
    if (c == 0x1f) {
        h->hint(h, "this is the beginning of a gzip file that was cut off");
    } else if (c == 0xfd || c == 0x28) {
        h->hint(h, "xz and zstd are not read; decompress it and pipe it in with path: \"-\"");
    } else if (c == 0xef) {
        h->hint(h, "remove the byte-order mark in front of the first record");
    }
    return st;
}

/* Appends a line without its end to scratch. */
static mbs_status read_line(fa_parser *p) {
    fa_text *t = &p->scratch;
    t->len = 0;
    for (;;) {
        int c = fa_peek(p->in);
        if (c == FA_BROKEN) {
            return input_failed(p);
        }
        const char *from = (const char *)p->in->buf + p->in->pos;
        size_t n = c == FA_EOF ? 0 : p->in->len - p->in->pos;
        const char *eol = n ? memchr(from, '\n', n) : NULL;
        size_t part = eol ? (size_t)(eol - from) : n;
        if (t->len + part > HEADER_MAX) {
            return fa_parse_fail(p, "a header line longer than %d bytes", HEADER_MAX);
        }
        if (t->len + part + 1 > t->cap) {
            size_t cap = (t->len + part + 1) * 2;
            char *grown = p->host->realloc(p->host, t->s, cap);
            if (!grown) {
                return p->host->fail(p->host, MBS_ERR_MEMORY, NULL, "no memory for a header of %zu bytes", cap);
            }
            t->s = grown;
            t->cap = cap;
        }
        if (part) {
            memcpy(t->s + t->len, from, part);
        }
        t->len += part;
        t->s[t->len] = '\0';
        p->in->pos += part;
        if (eol || c == FA_EOF) {
            p->in->pos += eol != NULL;
            return MBS_OK;
        }
    }
}

/* Name up to the first blank, description behind it. Blanks in front of the name are none of it, as in an index. */
static mbs_status split_header(fa_parser *p) {
    fa_text *t = &p->scratch;
    if (t->len > 0 && t->s[t->len - 1] == '\r') {
        t->s[--t->len] = '\0';
    }
    size_t front = strspn(t->s, " \t");
    size_t name = front + strcspn(t->s + front, " \t");
    for (size_t i = front; i < t->len; i++) {
        unsigned char c = (unsigned char)t->s[i];
        int allowed = c >= ' ' ? c != 127 : i >= name && (c == '\t' || c == 1); /* NCBI joins headers by 0x01 */
        if (!allowed) {
            p->column = 1 + (int64_t)i;
            return c == '\r' ? lone_return(p) : control_byte(p, c, "a header line");
        }
    }
    size_t from = name + strspn(t->s + name, " \t");
    size_t to = t->len;
    while (to > from && (t->s[to - 1] == ' ' || t->s[to - 1] == '\t')) {
        to--;
    }
    mbs_status st = fa_text_set(p->host, &p->name, t->s + front, name - front);
    return st == MBS_OK ? fa_text_set(p->host, &p->description, t->s + from, to - from) : st;
}

mbs_status fa_parse_header(fa_parser *p) {
    mbs_status st = skip_blank_lines(p);
    if (st != 0) {
        return st;
    }
    int c = fa_peek(p->in);
    if (c == FA_BROKEN) {
        return input_failed(p);
    }
    if (p->format == FA_AUTO) {
        st = sniff(p, c);
        if (st != MBS_OK) {
            return st;
        }
    }
    if (c == FA_EOF) {
        return MBS_END;
    }
    if (c != p->format) { /* FASTQ only: in FASTA every line without > belongs to the record before it */
        return fa_parse_fail(p, "a line behind the quality that does not begin with '@'");
    }
    p->record++;
    st = fa_text_set(p->host, &p->name, "", 0);
    if (st != MBS_OK) {
        return st;
    }
    p->in->pos++;
    st = read_line(p);
    if (st == MBS_OK) {
        st = split_header(p);
    }
    if (st != MBS_OK) {
        return st;
    }
    next_line(p);
    p->inside = 1;
    p->bases = 0;
    p->n_lines = 0;
    p->seq_at = fa_tell(p->in);
    p->lines = (fa_lines){0, 0, 0, 0};
    return MBS_OK;
}

/* A line of sequence is over, `width` bytes with its end. */
static void close_line(fa_parser *p, int64_t width) {
    fa_lines *l = &p->lines;
    int64_t bases = p->line_bases;
    if (p->column == 0 && bases == 0) {
        return; /* the end of the file behind a line's end */
    }
    p->n_lines += bases > 0;
    if (l->width == 0) {
        l->bases = bases;
        l->width = width;
    } else if (bases < l->bases || width != l->width) {
        l->closed = 1;
    }
}

static mbs_status record_complete(fa_parser *p, int *end) {
    mbs_status st = fa_text_set(p->host, &p->last, p->name.s, p->name.len);
    p->last_record = p->record;
    p->inside = 0;
    *end = 1;
    return st;
}

/* 1 where one of 8 bytes is a control byte, a blank or DEL. */
static int has_special(const uint8_t *src) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones * 128;
    uint64_t x;
    memcpy(&x, src, sizeof(x));
    uint64_t del = x ^ ones * 127;
    return (((x - ones * (' ' + 1)) & ~x & tops) | ((del - ones) & ~del & tops)) != 0;
}

/* How many bytes from src on are letters. */
static size_t letters_run(const uint8_t *src, size_t n) {
    size_t i = 0;
    while (i + 8 <= n && !has_special(src + i)) {
        i += 8;
    }
    while (i < n && src[i] > ' ' && src[i] != 127) {
        i++;
    }
    return i;
}

/* Takes the rest of a line; *n: its bytes without the end, which `keep` gets as far as there are bases. */
static mbs_status skip_line(fa_parser *p, int64_t *n, const char *where, fa_text *keep) {
    *n = 0;
    for (;;) {
        int c = fa_peek(p->in);
        if (c == FA_EOF) {
            return MBS_OK;
        }
        if (c == '\r' || c == '\n' || c == FA_BROKEN) {
            mbs_status st = take_eol(p);
            if (st == 1) {
                next_line(p);
            }
            return st < 0 ? st : MBS_OK;
        }
        if (c == 127 || (c < ' ' && c != '\t')) {
            return control_byte(p, c, where);
        }
        size_t run = letters_run(p->in->buf + p->in->pos, p->in->len - p->in->pos);
        run += run == 0;                             /* a blank */
        if (keep && (int64_t)keep->len < p->bases) { /* a line that is too long is refused below */
            mbs_status st = fa_text_add(p->host, keep, p->in->buf + p->in->pos, run);
            if (st != MBS_OK) {
                return st;
            }
        }
        p->in->pos += run;
        p->column += (int64_t)run;
        *n += (int64_t)run;
    }
}

static mbs_status quality_differs(const fa_parser *p, int64_t n, const char *more) {
    return fa_parse_fail(p, "%s%lld quality values for %lld bases", more, (long long)n, (long long)p->bases);
}

/* The + line and as many quality values as there are bases. A sequence on one line has its quality on one line. */
static mbs_status read_quality(fa_parser *p) {
    int64_t n = 0;
    if (p->quality) {
        p->quality->len = 0;
    }
    mbs_status st = skip_line(p, &n, "a + line", NULL);
    int64_t total = 0;
    int ended = 0;
    while (st == MBS_OK && !ended) {
        if (fa_peek(p->in) == FA_EOF) {
            if (total != p->bases) {
                return quality_differs(p, total, "the file ends: ");
            }
            break;
        }
        fa_parser at = *p; /* the place for messages */
        if (p->bases == 0 && fa_peek(p->in) == FA_FASTQ) {
            break; /* an empty record may leave its quality line out */
        }
        st = skip_line(p, &n, "a quality line", p->quality);
        total += n;
        if (st == MBS_OK && (total > p->bases || (p->n_lines <= 1 && total != p->bases))) {
            return quality_differs(&at, total, "");
        }
        ended = total == p->bases;
        if (p->host->cancelled(p->host)) {
            return p->host->fail(p->host, MBS_ERR_STOPPED, NULL, "stopped");
        }
    }
    return st;
}

/* Control bytes in a sequence: what programs pass over. Binary data has NULs, and escape sequences are for terminals.
 */
static int passed_over(fa_parser *p, int c) {
    if (c == ' ' || c == '\t') {
        return 1;
    }
    if (c == 0 || c == 0x1b || c >= ' ') {
        return 0;
    }
    if (!p->warned) {
        p->warned = 1;
        p->host->log(p->host, MBS_LOGLEVEL_WARNING,
                     "%s: the control byte 0x%02x in the sequence of '%.100s' is passed over, as any such",
                     fa_show(p->in->path), (unsigned)c, p->name.s ? p->name.s : "");
    }
    return 1;
}

/* At a byte of the sequence that is no letter: a line's end or a blank. */
static mbs_status take_special(fa_parser *p, int c) {
    if (c == '\n' || c == '\r') {
        mbs_status st = take_eol(p);
        if (st == 1) {
            close_line(p, p->column);
            next_line(p);
        }
        return st < 0 ? st : MBS_OK;
    }
    if (passed_over(p, c)) {
        take(p);
        p->lines.uneven = 1;
        return MBS_OK;
    }
    return control_byte(p, c, "a sequence line");
}

/* At the beginning of a line: does the record end here? */
static mbs_status at_line_start(fa_parser *p, int c, int *end) {
    if (p->format == FA_FASTA) {
        return c == FA_FASTA ? record_complete(p, end) : MBS_OK;
    }
    if (c == FA_FASTQ) {
        return fa_parse_fail(p, "a line beginning with '@' where the '+' line is due");
    }
    if (c != '+') {
        return MBS_OK;
    }
    mbs_status st = read_quality(p);
    return st == MBS_OK ? record_complete(p, end) : st;
}

mbs_status fa_parse_letters(fa_parser *p, uint8_t *dst, int64_t max, int64_t *n, int *end) {
    *n = 0;
    *end = 0;
    mbs_status st = MBS_OK;
    while (*n < max && st == MBS_OK && !(p->strict && p->lines.uneven)) {
        int c = fa_peek(p->in);
        if (c == FA_BROKEN) {
            return input_failed(p);
        }
        if (c == FA_EOF) {
            if (p->format == FA_FASTQ) {
                return fa_parse_fail(p, "the file ends before the '+' line");
            }
            close_line(p, p->column);
            return record_complete(p, end);
        }
        if (p->column == 0) {
            st = at_line_start(p, c, end);
            if (st != MBS_OK || *end) {
                return st;
            }
        }
        if (c <= ' ' || c == 127) {
            st = take_special(p, c);
            continue;
        }
        const uint8_t *from = p->in->buf + p->in->pos;
        size_t room = p->in->len - p->in->pos;
        room = (int64_t)room > max - *n ? (size_t)(max - *n) : room;
        size_t got = letters_run(from, room);
        memcpy(dst + *n, from, got);
        p->in->pos += got;
        p->column += (int64_t)got;
        p->line_bases += (int64_t)got;
        p->lines.uneven |= p->lines.closed || (p->lines.width > 0 && p->line_bases > p->lines.bases);
        p->bases += (int64_t)got;
        *n += (int64_t)got;
    }
    return st;
}

void fa_parse_enter(fa_parser *p, fa_lines lines, int64_t bases, int64_t in_line) {
    p->format = FA_FASTA;
    p->inside = 1;
    p->line = 0;
    p->record = 0;
    p->lines = lines;
    p->strict = !lines.uneven;
    p->bases = bases;
    p->line_bases = in_line;
    p->column = in_line;
}
