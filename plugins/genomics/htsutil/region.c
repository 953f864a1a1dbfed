/* Regions as people write them: chr:beg-end texts and .bed lines. */
#include "genomics/htsutil/region.h"

#include <stdio.h>
#include <string.h>

#include "genomics/htsutil/bytes.h"

#define BED_LINE_MAX 65536

/* The place of a query in words. */
void hu_query_show(const hu_query *q, char *to, size_t n) {
    if (q->line) {
        (void)snprintf(to, n, "%.200s:%lld", q->text, (long long)q->line);
    } else {
        (void)snprintf(to, n, "region '%.*s'", (int)(q->text_len < 200 ? q->text_len : 200), q->text);
    }
}

/* Digits, with commas between groups where `commas`. 1, 0: no number here, -1: too large. */
static int digits(const char **at, const char *end, int commas, int64_t *value) {
    const char *p = *at;
    int64_t v = 0;
    int any = 0;
    for (; p < end && ((*p >= '0' && *p <= '9') || (commas && any && *p == ',')); p++) {
        if (*p == ',') {
            continue;
        }
        any = 1;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v)) {
            return -1;
        }
    }
    if (!any || p[-1] == ',') {
        return 0;
    }
    *at = p;
    *value = v;
    return 1;
}

/* "beg", "beg-" or "beg-end", 1-based closed. NULL, or what is wrong with it. */
static const char *range(const char *at, const char *end, hu_query *q) {
    int64_t beg;
    int64_t last = -1;
    int got = digits(&at, end, 1, &beg);
    if (got < 0) {
        return "the first position is too large";
    }
    if (got == 0) {
        return "behind the colon comes beg-end";
    }
    if (beg == 0) {
        return "positions begin at 1";
    }
    if (at < end && *at == '-') {
        at++;
        if (at < end && (got = digits(&at, end, 1, &last)) <= 0) {
            return got < 0 ? "the last position is too large" : "behind the colon comes beg-end";
        }
    }
    if (at != end) {
        return "behind the colon comes beg-end";
    }
    if (last >= 0 && last < beg) {
        return "it ends before it begins";
    }
    q->beg = beg - 1;
    q->end = last;
    return NULL;
}

/* One item of the list: a record's name as it is, {name}, {name}:range, or name:range. */
static mbs_status read_item(const hu_regions *r, const char *text) {
    const mbs_host *h = r->host;
    size_t n = strlen(text);
    hu_query q = {.text = text, .text_len = n, .name = text, .name_len = n, .end = -1};
    if (r->known(r->ctx, text, n)) {
        return r->take(r->ctx, &q);
    }
    const char *ranged = NULL;
    if (text[0] == '{') {
        const char *close = strrchr(text, '}');
        if (!close || (close[1] != '\0' && close[1] != ':')) {
            return h->fail(h, MBS_ERR_CONFIG, "regions",
                           "region '%.200s': a name in braces is {name} or {name}:beg-end", text);
        }
        q.name = text + 1;
        q.name_len = (size_t)(close - q.name);
        ranged = close[1] ? close + 2 : NULL;
    } else {
        const char *colon = strrchr(text, ':');
        if (colon) {
            q.name_len = (size_t)(colon - text);
            ranged = colon + 1;
        }
    }
    if (ranged) {
        const char *wrong = range(ranged, text + n, &q);
        if (wrong && !r->known(r->ctx, q.name, q.name_len)) {
            q.name_len = n; /* the colon may belong to the name */
            q.end = -1;
        } else if (wrong) {
            return h->fail(h, MBS_ERR_CONFIG, "regions", "region '%.200s': %s", text, wrong);
        }
    }
    return r->take(r->ctx, &q);
}

/* A group of thousands as YAML cuts it off: "000", "000-2", and for the last the same. */
static int is_group(const char *s) {
    size_t lead = strspn(s, "0123456789");
    if (lead != 3) {
        return 0;
    }
    if (s[3] == '\0') {
        return 1;
    }
    size_t tail = s[3] == '-' ? strspn(s + 4, "0123456789") : 0;
    return s[3] == '-' && tail <= 3 && s[4 + tail] == '\0';
}

/* Does text end as a position that thousands may follow: ":1", or "-12"? */
static int is_cut(const char *text) {
    const char *colon = strrchr(text, ':');
    if (!colon) {
        return 0;
    }
    size_t lead = strspn(colon + 1, "0123456789");
    size_t tail = colon[1 + lead] == '-' ? strspn(colon + 2 + lead, "0123456789") : 0;
    size_t last = tail ? tail : lead;
    return last >= 1 && last <= 3 && colon[1 + lead + (tail ? tail + 1 : 0)] == '\0';
}

/* [chr1:1,000-2,000] without quotes is three items to YAML. */
static mbs_status check_split(const hu_regions *r, int64_t n) {
    const mbs_host *h = r->host;
    for (int64_t i = 0; i + 1 < n; i++) {
        const char *text = h->param_item(r->params, "regions", i);
        char joined[256];
        int len = snprintf(joined, sizeof(joined), "%s", text);
        if (!is_cut(text) || len < 0 || len >= (int)sizeof(joined)) {
            continue;
        }
        int64_t next = i + 1;
        for (; next < n; next++) {
            const char *group = h->param_item(r->params, "regions", next);
            if (!is_group(group) || r->known(r->ctx, group, strlen(group))) {
                break;
            }
            int wrote = snprintf(joined + len, sizeof(joined) - (size_t)len, ",%s", group);
            if (wrote < 0 || (len += wrote) >= (int)sizeof(joined)) {
                break;
            }
        }
        if (next > i + 1) {
            mbs_status st =
                h->fail(h, MBS_ERR_CONFIG, "regions", "region '%s' was cut at its commas into %lld items of the list",
                        joined, (long long)(next - i));
            h->hint(h, "write it in quotes: \"%s\"", joined);
            return st;
        }
    }
    return MBS_OK;
}

/* Behind the separator of two columns: a tab parts exactly one, so that an empty column stays one; blanks run together.
 */
static const char *bed_next(const char *at, char sep) {
    return sep == '\t' ? at + (*at == '\t') : at + strspn(at, " ");
}

/* A signed number that ends at a separator or the line's end. */
static int bed_number(const char **at, char sep, int64_t *value) {
    const char *p = *at + (**at == '-');
    int negative = **at == '-';
    const char *end = p + strcspn(p, " \t");
    if (digits(&p, end, 0, value) <= 0 || p != end) {
        return 0;
    }
    *value = negative ? -*value : *value;
    *at = bed_next(end, sep);
    return 1;
}

const char *hu_bed_column(const hu_query *q, int column, size_t *n) {
    const char *at = q->rest;
    for (int k = 4; at && *at; k++) {
        size_t len = strcspn(at, q->sep == '\t' ? "\t" : " ");
        if (k == column) {
            *n = len;
            return at;
        }
        at += len;
        at += *at != '\0';
    }
    return NULL;
}

static mbs_status bed_line(const hu_regions *r, const char *path, const char *text, int64_t line, int *stranded,
                           int64_t *lines) {
    const mbs_host *h = r->host;
    const char *at = text + strspn(text, " \t");
    size_t word = strcspn(at, " \t");
    if (word == 0 || *at == '#' || (word == 5 && memcmp(at, "track", 5) == 0) ||
        (word == 7 && memcmp(at, "browser", 7) == 0)) {
        return MBS_OK;
    }
    const char *sep = strchr(text, '\t') ? "\t" : " "; /* names may hold blanks where tabs part the columns */
    hu_query q = {.text = path, .text_len = strlen(path), .name = text, .line = line};
    q.name_len = strcspn(text, sep);
    at = text + q.name_len;
    at = bed_next(at, *sep);
    if (!bed_number(&at, *sep, &q.beg) || !bed_number(&at, *sep, &q.end)) {
        return h->fail(h, MBS_ERR_DATA, r->param, "%s:%lld: not name, start and end", path, (long long)line);
    }
    if (q.beg < 0 || q.end < 0) {
        return h->fail(h, MBS_ERR_DATA, r->param, "%s:%lld: a negative position", path, (long long)line);
    }
    if (q.end <= q.beg) {
        return h->fail(h, MBS_ERR_DATA, r->param, "%s:%lld: end %lld is not behind start %lld", path, (long long)line,
                       (long long)q.end, (long long)q.beg);
    }
    q.rest = at;
    q.sep = sep[0];
    q.strand = '.';
    size_t n;
    const char *strand = hu_bed_column(&q, 6, &n);
    if (strand && n == 1 && (*strand == '+' || *strand == '-')) {
        q.strand = *strand;
    }
    *stranded |= q.strand == '-';
    ++*lines;
    return r->take(r->ctx, &q);
}

/* Lines of a file through the same decompression as sequences. */
mbs_status hu_bed_read(const hu_regions *r, const char *path) {
    const mbs_host *h = r->host;
    fa_bytes in;
    mbs_status st = fa_bytes_open(&in, h, path, r->param);
    if (st != MBS_OK) {
        return st;
    }
    char *text = h->alloc(h, BED_LINE_MAX);
    if (!text) {
        fa_bytes_close(&in);
        return h->fail(h, MBS_ERR_MEMORY, r->param, "no memory to read %s", path);
    }
    int64_t line = 1;
    int stranded = 0;
    int64_t lines = 0;
    int c = 0;
    while (st == MBS_OK && c != FA_EOF) {
        size_t n = 0;
        while ((c = fa_peek(&in)) >= 0 && c != '\n' && n < BED_LINE_MAX - 1) {
            text[n++] = (char)c;
            in.pos++;
        }
        if (c == FA_BROKEN) {
            st = fa_bytes_fail(&in, "");
            break;
        }
        if (c >= 0 && c != '\n') {
            st = h->fail(h, MBS_ERR_DATA, r->param, "%s:%lld: a line longer than %d bytes", path, (long long)line,
                         BED_LINE_MAX);
            break;
        }
        in.pos += c == '\n';
        n -= n > 0 && text[n - 1] == '\r';
        text[n] = '\0';
        st = strlen(text) != n ? h->fail(h, MBS_ERR_DATA, r->param, "%s:%lld: a NUL byte", path, (long long)line)
                               : bed_line(r, path, text, line, &stranded, &lines);
        line++;
    }
    h->free(h, text);
    fa_bytes_close(&in);
    if (st == MBS_OK && lines == 0) {
        st = h->fail(h, MBS_ERR_DATA, r->param, "%s: no %s in it", path, r->stranded ? "window" : "region");
    }
    if (st == MBS_OK && stranded && !r->stranded) {
        h->log(h, MBS_LOGLEVEL_INFO, "%s: the strand column is not used, all regions are read forward", path);
    }
    return st;
}

static int is_bed(const char *s) {
    size_t n = strlen(s);
    return (n > 4 && strcmp(s + n - 4, ".bed") == 0) || (n > 7 && strcmp(s + n - 7, ".bed.gz") == 0);
}

mbs_status hu_regions_read(const hu_regions *r) {
    const mbs_host *h = r->host;
    int64_t n = h->param_count(r->params, "regions");
    for (int64_t i = 0; i < n; i++) {
        const char *text = h->param_item(r->params, "regions", i);
        if (is_bed(text) && !r->known(r->ctx, text, strlen(text))) {
            if (n > 1) {
                return h->fail(h, MBS_ERR_CONFIG, "regions", "'%s' is a file: name it alone, or list regions", text);
            }
            return hu_bed_read(r, text);
        }
    }
    mbs_status st = check_split(r, n);
    for (int64_t i = 0; st == MBS_OK && i < n; i++) {
        st = read_item(r, h->param_item(r->params, "regions", i));
    }
    return st;
}
