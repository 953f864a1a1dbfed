#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "train/split.h"

#define BED_LIMIT ((size_t)1 << 30)

mbs_status mbs_ranges_add(mbs_ranges *r, int64_t begin, int64_t end, mbs_err *err) {
    if (begin >= end) {
        return MBS_OK;
    }
    struct mbs_range *grown = mbs_grow(r->items, &r->cap, r->n + 1, sizeof *grown);
    if (!grown) {
        return mbs_fail_memory(err, "split", (r->n + 1) * sizeof *grown);
    }
    r->items = grown;
    r->items[r->n++] = (struct mbs_range){begin, end};
    return MBS_OK;
}

static int by_begin(const void *a, const void *b) {
    const struct mbs_range *x = a, *y = b;
    return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

static void merge(mbs_ranges *r) {
    if (r->n == 0) {
        return;
    }
    qsort(r->items, r->n, sizeof *r->items, by_begin);
    size_t kept = 0;
    for (size_t i = 1; i < r->n; i++) {
        struct mbs_range *last = &r->items[kept];
        if (r->items[i].begin < last->end) {
            last->end = r->items[i].end > last->end ? r->items[i].end : last->end;
        } else {
            r->items[++kept] = r->items[i];
        }
    }
    r->n = kept + 1;
}

/* Records by name. */
typedef struct named {
    const char *name;
    int64_t record;
} named;

typedef struct bed {
    const char *path;
    const mbs_spool *spool;
    named *records; /* sorted */
    size_t n;
    int64_t line;
    int64_t strangers; /* regions of records that the input does not have */
    char stranger[64]; /* the first of them */
} bed;

static int by_name(const void *a, const void *b) {
    const named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->record > y->record) - (x->record < y->record);
}

static mbs_status sort_records(bed *b, mbs_err *err) {
    b->n = (size_t)mbs_spool_records(b->spool);
    b->records = mbs_calloc(b->n + 1, sizeof *b->records);
    if (!b->records) {
        return mbs_fail_memory(err, b->path, b->n * sizeof *b->records);
    }
    for (size_t i = 0; i < b->n; i++) {
        b->records[i] = (named){mbs_spool_at(b->spool, (int64_t)i).name, (int64_t)i};
    }
    qsort(b->records, b->n, sizeof *b->records, by_name);
    return MBS_OK;
}

static mbs_status add_region(bed *b, const char *name, int64_t begin, int64_t end, mbs_ranges *out, mbs_err *err) {
    size_t low = 0, high = b->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(b->records[mid].name, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == b->n || strcmp(b->records[low].name, name) != 0) {
        if (b->strangers++ == 0) {
            size_t n = strlen(name) < sizeof b->stranger - 1 ? strlen(name) : sizeof b->stranger - 1;
            memcpy(b->stranger, name, n);
        }
    }
    mbs_status st = MBS_OK;
    for (; low < b->n && strcmp(b->records[low].name, name) == 0 && st >= 0; low++) {
        int64_t record = b->records[low].record;
        st = mbs_ranges_add(out, mbs_spool_token_at(b->spool, record, begin), mbs_spool_token_at(b->spool, record, end),
                            err);
    }
    return st;
}

/* The next field of a line, cut off in place; NULL at its end. */
static char *field(char **at) {
    char *p = *at + strspn(*at, " \t");
    size_t n = strcspn(p, " \t");
    *at = p + n;
    if (n == 0) {
        return NULL;
    }
    if (p[n]) {
        p[n] = '\0';
        (*at)++;
    }
    return p;
}

static int place(const char *text, int64_t *out) {
    char *end = NULL;
    errno = 0;
    *out = text ? strtoll(text, &end, 10) : -1;
    return text && errno == 0 && *end == '\0' && *out >= 0;
}

static mbs_status read_line(bed *b, char *line, mbs_ranges *out, mbs_err *err) {
    line[strcspn(line, "\r")] = '\0';
    char *at = line;
    char *name = field(&at);
    if (!name || name[0] == '#' || strcmp(name, "track") == 0 || strcmp(name, "browser") == 0) {
        return MBS_OK;
    }
    char *from = field(&at);
    char *to = field(&at);
    int64_t begin, end;
    if (!place(from, &begin) || !place(to, &end) || end < begin) {
        mbs_fail(err, MBS_ERR_DATA, b->path, "line %" PRId64 ": not a region of a BED file: '%.60s %.30s %.30s'",
                 b->line, name, from ? from : "", to ? to : "");
        mbs_err_fix(err, "a line is a name, the first base from 0, and the base behind the last");
        return MBS_ERR_DATA;
    }
    return add_region(b, name, begin, end, out, err);
}

static mbs_status check_found(const bed *b, const mbs_ranges *out, mbs_err *err) {
    if (out->n == 0) {
        mbs_fail(err, MBS_ERR_DATA, b->path, "none of its regions has a token of the input");
        mbs_err_fix(err, "names have to be the same: the input has '%.60s'%s%.60s%s",
                    b->n > 0 ? mbs_spool_at(b->spool, 0).name : "", b->strangers ? ", the file '" : "", b->stranger,
                    b->strangers ? "'" : "");
        return MBS_ERR_DATA;
    }
    if (b->strangers > 0) {
        mbs_log(MBS_LOG_WARNING, "%s: %" PRId64 " region%s of records that the input does not have ('%s')", b->path,
                b->strangers, b->strangers == 1 ? "" : "s", b->stranger);
    }
    return MBS_OK;
}

mbs_status mbs_regions_load(const char *path, const mbs_spool *s, mbs_ranges *out, mbs_err *err) {
    bed b = {.path = path, .spool = s};
    char *file = mbs_path_resolve(path);
    char *text = NULL;
    size_t len = 0;
    mbs_status st = file ? mbs_path_read(file, BED_LIMIT, &text, &len, err) : mbs_fail_memory(err, path, strlen(path));
    st = st < 0 ? st : sort_records(&b, err);
    if (st >= 0 && memchr(text, '\0', len)) {
        st = mbs_fail(err, MBS_ERR_DATA, path, "not a BED file: it holds a NUL byte");
        mbs_err_fix(err, "unpack it if it is compressed");
    }
    for (char *line = text; st >= 0 && line;) {
        char *end = strchr(line, '\n');
        if (end) {
            *end = '\0';
        }
        b.line++;
        st = read_line(&b, line, out, err);
        line = end ? end + 1 : NULL;
    }
    if (st >= 0) {
        merge(out);
        st = check_found(&b, out, err);
    }
    mbs_free(b.records);
    mbs_free(text);
    mbs_free(file);
    return st;
}
