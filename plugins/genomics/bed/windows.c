/* What the files ask for. All of it is looked at before the first letter: a wrong line shows at once. */
#include <stdio.h>
#include <string.h>

#include "genomics/htsutil/names.h"
#include "reader.h"

static mbs_status add_text(bd_reader *r, const char *s, size_t n, size_t *at) {
    if (n + 1 > r->texts_cap - r->texts_len) {
        size_t cap = (r->texts_cap + n + 1) * 2;
        char *texts = r->host->realloc(r->host, r->texts, cap);
        if (!texts) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for the names of %lld windows",
                                 (long long)r->n);
        }
        r->texts = texts;
        r->texts_cap = cap;
    }
    *at = r->texts_len;
    memcpy(r->texts + *at, s, n);
    r->texts[*at + n] = '\0';
    r->texts_len += n + 1;
    return MBS_OK;
}

static mbs_status add_window(bd_reader *r, const bd_window *w) {
    if (r->n == r->cap) {
        int64_t cap = r->cap ? r->cap * 2 : 64;
        bd_window *list = r->host->realloc(r->host, r->windows, (size_t)cap * sizeof(*list));
        if (!list) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %lld windows", (long long)cap);
        }
        r->windows = list;
        r->cap = cap;
    }
    r->windows[r->n++] = *w;
    return MBS_OK;
}

static mbs_status unknown(const bd_reader *r, const hu_query *q, const char *where) {
    const mbs_host *h = r->host;
    mbs_status st = h->fail(h, MBS_ERR_DATA, NULL, "%s: no record of %s is named '%.*s'", where, r->reference.path,
                            (int)(q->name_len < 100 ? q->name_len : 100), q->name);
    hu_names near;
    hu_names_begin(&near, q->name, q->name_len);
    for (int64_t i = 0; i < r->reference.index.n; i++) {
        hu_names_consider(&near, fa_index_name(&r->reference.index, i));
    }
    hu_names_hint(&near, h);
    return st;
}

/* Column 4, or the place as people write it. */
static mbs_status name_of(bd_reader *r, const hu_query *q, bd_window *w) {
    size_t n = 0;
    const char *name = hu_bed_column(q, 4, &n);
    if (name && n > 0 && !(n == 1 && *name == '.')) {
        return add_text(r, name, n, &w->name);
    }
    char place[256];
    int len = snprintf(place, sizeof(place), "%.*s:%lld-%lld", (int)(q->name_len < 200 ? q->name_len : 200), q->name,
                       (long long)w->beg + 1, (long long)w->end);
    return add_text(r, place, (size_t)len, &w->name);
}

static mbs_status take(void *ctx, const hu_query *q) {
    bd_reader *r = ctx;
    const mbs_host *h = r->host;
    const fa_index *x = &r->reference.index;
    char where[256];
    hu_query_show(q, where, sizeof(where));
    bd_window w = {.beg = q->beg, .end = q->end, .source = r->file, .strand = q->strand, .label = BD_NONE};
    int64_t found = fa_index_find(x, q->name, q->name_len, &w.entry);
    if (found == 0) {
        return unknown(r, q, where);
    }
    const char *contig = fa_index_name(x, w.entry);
    if (found > 1) {
        return h->fail(h, MBS_ERR_DATA, NULL, "%s: %lld records are named '%.100s'", where, (long long)found, contig);
    }
    if (w.end > x->list[w.entry].length) {
        return h->fail(h, MBS_ERR_DATA, NULL, "%s: ends at %lld, and '%.100s' has %lld bases", where, (long long)w.end,
                       contig, (long long)x->list[w.entry].length);
    }
    mbs_status st = name_of(r, q, &w);
    if (st == MBS_OK && r->label_column) {
        size_t n = 0;
        const char *label = hu_bed_column(q, r->label_column, &n);
        if (!label || n == 0) {
            return h->fail(h, MBS_ERR_DATA, "label_column", "%s: no column %d", where, r->label_column);
        }
        st = add_text(r, label, n, &w.label);
    }
    return st == MBS_OK ? add_window(r, &w) : st;
}

static int known(void *ctx, const char *name, size_t n) {
    int64_t entry;
    return fa_index_find(&((bd_reader *)ctx)->reference.index, name, n, &entry) > 0;
}

mbs_status bd_windows_read(bd_reader *r) {
    hu_regions lines = {
        .host = r->host, .params = r->params, .param = "path", .ctx = r, .known = known, .take = take, .stranded = 1};
    mbs_status st = MBS_OK;
    for (r->file = 0; st == MBS_OK && r->file < r->n_files; r->file++) {
        st = hu_bed_read(&lines, r->sources[r->file].path);
    }
    return st;
}
