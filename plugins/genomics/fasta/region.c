/* Regions, looked up in the indexes of the files. */
#include <stdio.h>
#include <string.h>

#include "genomics/htsutil/names.h"
#include "reader.h"

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

static void hint_names(const fa_reader *r, const char *name, size_t n) {
    hu_names near;
    hu_names_begin(&near, name, n);
    for (int64_t f = 0; f < r->n_files; f++) {
        const fa_index *x = &r->files[f].index;
        for (int64_t i = 0; i < x->n; i++) {
            hu_names_consider(&near, fa_index_name(x, i));
        }
    }
    hu_names_hint(&near, r->host);
}

/* Looks a query up and takes it in. */
static mbs_status resolve(void *ctx, const hu_query *q) {
    fa_reader *r = ctx;
    const mbs_host *h = r->host;
    char where[256];
    hu_query_show(q, where, sizeof(where));
    int shown = (int)(q->name_len < 100 ? q->name_len : 100);
    fa_region g = {0};
    int64_t count = find(r, q->name, q->name_len, &g.file, &g.entry);
    if (count == 0) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "regions", "%s: no record is named '%.*s'", where, shown, q->name);
        if (memchr(q->name, ',', q->name_len)) {
            h->hint(h, "several regions are a list: [\"chr1:1-100\", \"chr2\"]");
        } else {
            hint_names(r, q->name, q->name_len);
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

static int known(void *ctx, const char *name, size_t n) {
    int64_t file;
    int64_t entry;
    return find(ctx, name, n, &file, &entry) > 0;
}

mbs_status fa_regions_read(fa_reader *r) {
    hu_regions regions = {
        .host = r->host, .params = r->params, .param = "regions", .ctx = r, .known = known, .take = resolve};
    return hu_regions_read(&regions);
}
