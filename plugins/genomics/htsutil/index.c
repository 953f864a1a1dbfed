#include "genomics/htsutil/index.h"

#include <stdlib.h>
#include <string.h>

void fa_index_free(const mbs_host *host, fa_index *x) {
    host->free(host, x->list);
    host->free(host, x->names);
    host->free(host, x->by_name);
    fa_marks_free(host, &x->marks);
    memset(x, 0, sizeof(*x));
}

mbs_status fa_index_add(const mbs_host *host, fa_index *x, const char *name, size_t n, const fa_entry *entry) {
    if (x->n == x->cap) {
        int64_t cap = x->cap ? x->cap * 2 : 64;
        fa_entry *list = host->realloc(host, x->list, (size_t)cap * sizeof(*list));
        if (!list) {
            return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for an index of %lld records", (long long)cap);
        }
        x->list = list;
        x->cap = cap;
    }
    if (n + 1 > x->names_cap - x->names_len) {
        size_t cap = (x->names_cap + n + 1) * 2;
        char *names = host->realloc(host, x->names, cap);
        if (!names) {
            return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for the names of %lld records", (long long)x->n);
        }
        x->names = names;
        x->names_cap = cap;
    }
    x->list[x->n] = *entry;
    x->list[x->n++].name = x->names_len;
    memcpy(x->names + x->names_len, name, n);
    x->names_len += n;
    x->names[x->names_len++] = '\0';
    return MBS_OK;
}

const char *fa_index_name(const fa_index *x, int64_t i) {
    return x->names + x->list[i].name;
}

/* Heap sort: qsort has no place for the index, and its merge takes memory that nobody counts. */
static int before(const fa_index *x, int64_t a, int64_t b) {
    int c = strcmp(fa_index_name(x, a), fa_index_name(x, b));
    return c < 0 || (c == 0 && a < b);
}

static void sink(const fa_index *x, int64_t *v, int64_t root, int64_t n) {
    for (int64_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && before(x, v[child], v[child + 1])) {
            child++;
        }
        if (!before(x, v[root], v[child])) {
            return;
        }
        int64_t t = v[root];
        v[root] = v[child];
        v[child] = t;
    }
}

mbs_status fa_index_sort(const mbs_host *host, fa_index *x) {
    int64_t *v = host->realloc(host, x->by_name, (size_t)(x->n + 1) * sizeof(*v));
    if (!v) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for an index of %lld records", (long long)x->n);
    }
    x->by_name = v;
    for (int64_t i = 0; i < x->n; i++) {
        v[i] = i;
    }
    for (int64_t root = x->n / 2 - 1; root >= 0; root--) {
        sink(x, v, root, x->n);
    }
    for (int64_t n = x->n - 1; n > 0; n--) {
        int64_t t = v[0];
        v[0] = v[n];
        v[n] = t;
        sink(x, v, 0, n);
    }
    return MBS_OK;
}

/* strcmp of an entry's name with the n bytes of `name`. */
static int compare(const fa_index *x, int64_t at, const char *name, size_t n) {
    const char *own = fa_index_name(x, x->by_name[at]);
    int c = strncmp(own, name, n);
    return c != 0 ? c : own[n] != '\0';
}

int64_t fa_index_find(const fa_index *x, const char *name, size_t n, int64_t *first) {
    int64_t lo = 0;
    int64_t hi = x->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (compare(x, mid, name, n) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    int64_t count = 0;
    while (lo + count < x->n && compare(x, lo + count, name, n) == 0) {
        count++;
    }
    *first = count ? x->by_name[lo] : -1;
    return count;
}

int64_t fa_entry_offset(const fa_entry *e, int64_t base) {
    if (e->lines.bases <= 0) {
        return e->offset;
    }
    return e->offset + base / e->lines.bases * e->lines.width + base % e->lines.bases;
}

mbs_status fa_index_build(fa_index *x, fa_bytes *in, int wanted) {
    const mbs_host *host = in->host;
    fa_parser p = {.host = host};
    fa_parse_start(&p, in, wanted);
    uint8_t *drop = host->alloc(host, FA_WINDOW);
    mbs_status st = drop ? MBS_OK : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory to read %s", in->path);
    in->marks_made = x ? &x->marks : NULL;
    while (st == MBS_OK && (st = fa_parse_header(&p)) == MBS_OK) {
        if (x && p.format == FA_FASTQ) {
            st =
                host->fail(host, MBS_ERR_CONFIG, "regions", "%s is FASTQ: regions are taken from FASTA only", in->path);
            host->hint(host, "leave regions out, or convert it with samtools fasta");
            break;
        }
        fa_entry e = {.offset = p.seq_at};
        int end = 0;
        while (st == MBS_OK && !end) {
            int64_t n = 0;
            st = fa_parse_letters(&p, drop, FA_WINDOW, &n, &end);
            if (st == MBS_OK && host->cancelled(host)) {
                st = host->fail(host, MBS_ERR_STOPPED, NULL, "stopped while indexing %s", in->path);
            }
        }
        if (st == MBS_OK && x) {
            e.length = p.bases;
            e.lines = p.lines;
            e.checked = 1;
            x->n_records++;
            x->n_bases += e.length;
            st = fa_index_add(host, x, p.name.s, p.name.len, &e);
        }
    }
    in->marks_made = NULL;
    host->free(host, drop);
    fa_parse_free(&p);
    return st == MBS_END ? MBS_OK : st;
}
