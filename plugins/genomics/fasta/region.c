/* Regions: chr:beg-end texts and .bed lines, looked up in the indexes of the files. */
#include <stdio.h>
#include <string.h>

#include "reader.h"

#define BED_LINE_MAX 65536

static mbs_status add_region(fa_reader *r, fa_region g) {
    if (r->n_regions == r->cap_regions) {
        int64_t cap = r->cap_regions ? r->cap_regions * 2 : 16;
        fa_region *list = r->host->realloc(r->host, r->regions, (size_t)cap * sizeof(*list));
        if (!list) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, "regions", "no memory for %lld regions", (long long)cap);
        }
        r->regions = list;
        r->cap_regions = cap;
    }
    r->regions[r->n_regions++] = g;
    return MBS_OK;
}

/* The place of a query in words. */
static void show(const fa_query *q, char *to, size_t n) {
    if (q->line) {
        (void)snprintf(to, n, "%.200s:%lld", q->text, (long long)q->line);
    } else {
        (void)snprintf(to, n, "region '%.*s'", (int)(q->text_len < 200 ? q->text_len : 200), q->text);
    }
}

/* Records of that name in all files; *file and *entry are the last found. */
static int64_t find(const fa_reader *r, const char *name, size_t n, int64_t *file, int64_t *entry) {
    int64_t count = 0;
    for (int64_t f = 0; f < r->n_files; f++) {
        int64_t first;
        int64_t here = fa_index_find(&r->files[f].index, name, n, &first);
        if (here) {
            *file = f;
            *entry = first;
        }
        count += here;
    }
    return count;
}

/* Looks a query up and takes it in. */
static mbs_status resolve(fa_reader *r, const fa_query *q) {
    const mbs_host *h = r->host;
    char where[256];
    show(q, where, sizeof(where));
    int shown = (int)(q->name_len < 100 ? q->name_len : 100);
    fa_region g = {0};
    int64_t count = find(r, q->name, q->name_len, &g.file, &g.entry);
    if (count == 0) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "regions", "%s: no record is named '%.*s'", where, shown, q->name);
        if (memchr(q->name, ',', q->name_len)) {
            h->hint(h, "several regions are a list: [\"chr1:1-100\", \"chr2\"]");
        } else {
            fa_hint_names(r, q->name, q->name_len);
        }
        return st;
    }
    if (count > 1) {
        return h->fail(h, MBS_ERR_DATA, "regions", "%s: %lld records are named '%.*s'", where, (long long)count, shown,
                       q->name);
    }
    int64_t length = r->files[g.file].index.list[g.entry].length;
    g.beg = q->beg;
    g.end = q->end < 0 ? length : q->end;
    if (g.beg > length || g.end > length || (g.beg == length && length > 0)) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "regions", "%s: lies outside of '%.*s', which has %lld bases", where,
                                shown, q->name, (long long)length);
        h->hint(h, "%.*s:%lld- reads to the end of the record", shown, q->name,
                (long long)(g.beg < length ? g.beg + 1 : 1));
        return st;
    }
    return add_region(r, g);
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
static const char *range(const char *at, const char *end, fa_query *q) {
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
static mbs_status read_item(fa_reader *r, const char *text) {
    const mbs_host *h = r->host;
    size_t n = strlen(text);
    fa_query q = {.text = text, .text_len = n, .name = text, .name_len = n, .end = -1};
    int64_t file;
    int64_t entry;
    if (find(r, text, n, &file, &entry) > 0) {
        return resolve(r, &q);
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
        if (wrong && find(r, q.name, q.name_len, &file, &entry) == 0) {
            q.name_len = n; /* the colon may belong to the name */
            q.end = -1;
        } else if (wrong) {
            return h->fail(h, MBS_ERR_CONFIG, "regions", "region '%.200s': %s", text, wrong);
        }
    }
    return resolve(r, &q);
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
static mbs_status check_split(fa_reader *r, int64_t n) {
    const mbs_host *h = r->host;
    for (int64_t i = 0; i + 1 < n; i++) {
        const char *text = h->param_item(r->params, "regions", i);
        int64_t file;
        int64_t entry;
        char joined[256];
        int len = snprintf(joined, sizeof(joined), "%s", text);
        if (!is_cut(text) || len < 0 || len >= (int)sizeof(joined)) {
            continue;
        }
        int64_t next = i + 1;
        for (; next < n; next++) {
            const char *group = h->param_item(r->params, "regions", next);
            if (!is_group(group) || find(r, group, strlen(group), &file, &entry) > 0) {
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

/* A signed number that ends at a blank or the line's end. */
static int bed_number(const char **at, int64_t *value) {
    const char *p = *at + (**at == '-');
    int negative = **at == '-';
    const char *end = p + strcspn(p, " \t");
    if (digits(&p, end, 0, value) <= 0 || p != end) {
        return 0;
    }
    *value = negative ? -*value : *value;
    *at = end + strspn(end, " \t");
    return 1;
}

static mbs_status bed_line(fa_reader *r, const char *path, const char *text, int64_t line, int *stranded) {
    const mbs_host *h = r->host;
    const char *at = text + strspn(text, " \t");
    size_t word = strcspn(at, " \t");
    if (word == 0 || *at == '#' || (word == 5 && memcmp(at, "track", 5) == 0) ||
        (word == 7 && memcmp(at, "browser", 7) == 0)) {
        return MBS_OK;
    }
    const char *sep = strchr(text, '\t') ? "\t" : " "; /* names may hold blanks where tabs part the columns */
    fa_query q = {.text = path, .text_len = strlen(path), .name = text, .line = line};
    q.name_len = strcspn(text, sep);
    at = text + q.name_len;
    at += strspn(at, " \t");
    if (!bed_number(&at, &q.beg) || !bed_number(&at, &q.end)) {
        return h->fail(h, MBS_ERR_DATA, "regions", "%s:%lld: not name, start and end", path, (long long)line);
    }
    if (q.beg < 0 || q.end < 0) {
        return h->fail(h, MBS_ERR_DATA, "regions", "%s:%lld: a negative position", path, (long long)line);
    }
    if (q.end <= q.beg) {
        return h->fail(h, MBS_ERR_DATA, "regions", "%s:%lld: end %lld is not behind start %lld", path, (long long)line,
                       (long long)q.end, (long long)q.beg);
    }
    for (int column = 3; column < 5 && *at; column++) {
        at += strcspn(at, sep);
        at += *at != '\0';
    }
    *stranded |= *at == '-' && (at[1] == '\0' || at[1] == '\t' || at[1] == ' ');
    return resolve(r, &q);
}

/* Lines of a file through the same decompression as sequences. */
static mbs_status read_bed(fa_reader *r, const char *path) {
    const mbs_host *h = r->host;
    fa_bytes in;
    mbs_status st = fa_bytes_open(&in, h, path, "regions");
    if (st != MBS_OK) {
        return st;
    }
    char *text = h->alloc(h, BED_LINE_MAX);
    if (!text) {
        fa_bytes_close(&in);
        return h->fail(h, MBS_ERR_MEMORY, "regions", "no memory to read %s", path);
    }
    int64_t line = 1;
    int stranded = 0;
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
            st = h->fail(h, MBS_ERR_DATA, "regions", "%s:%lld: a line longer than %d bytes", path, (long long)line,
                         BED_LINE_MAX);
            break;
        }
        in.pos += c == '\n';
        n -= n > 0 && text[n - 1] == '\r';
        text[n] = '\0';
        st = strlen(text) != n ? h->fail(h, MBS_ERR_DATA, "regions", "%s:%lld: a NUL byte", path, (long long)line)
                               : bed_line(r, path, text, line, &stranded);
        line++;
    }
    h->free(h, text);
    fa_bytes_close(&in);
    if (st == MBS_OK && r->n_regions == 0) {
        st = h->fail(h, MBS_ERR_DATA, "regions", "%s: no region in it", path);
    }
    if (st == MBS_OK && stranded) {
        h->log(h, MBS_LOGLEVEL_INFO, "%s: the strand column is not used, all regions are read forward", path);
    }
    return st;
}

static int is_bed(const char *s) {
    size_t n = strlen(s);
    return (n > 4 && strcmp(s + n - 4, ".bed") == 0) || (n > 7 && strcmp(s + n - 7, ".bed.gz") == 0);
}

mbs_status fa_regions_read(fa_reader *r) {
    const mbs_host *h = r->host;
    int64_t n = h->param_count(r->params, "regions");
    int64_t file;
    int64_t entry;
    for (int64_t i = 0; i < n; i++) {
        const char *text = h->param_item(r->params, "regions", i);
        if (is_bed(text) && find(r, text, strlen(text), &file, &entry) == 0) {
            if (n > 1) {
                return h->fail(h, MBS_ERR_CONFIG, "regions", "'%s' is a file: name it alone, or list regions", text);
            }
            return read_bed(r, text);
        }
    }
    mbs_status st = check_split(r, n);
    for (int64_t i = 0; st == MBS_OK && i < n; i++) {
        st = read_item(r, h->param_item(r->params, "regions", i));
    }
    return st;
}
