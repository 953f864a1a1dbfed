#include "genomics/htsutil/reference.h"

#include <string.h>

static mbs_status build(hu_reference *f, const char *param) {
    fa_index_free(f->host, &f->index);
    mbs_status st = fa_bytes_open(&f->in, f->host, f->path, param);
    if (st == MBS_OK) {
        st = fa_index_build(&f->index, &f->in, FA_FASTA);
        fa_bytes_close(&f->in);
    }
    return st;
}

mbs_status hu_reference_open(hu_reference *f, const mbs_host *host, const char *path, const char *param) {
    memset(f, 0, sizeof(*f));
    f->host = host;
    f->path = path;
    f->in.fd = -1;
    f->entry = -1;
    f->parser.host = host;
    mbs_status st = fa_bytes_open(&f->in, host, path, param);
    if (st != MBS_OK) {
        return st;
    }
    if (!f->in.regular || f->in.kind == FA_GZIP) {
        st = host->fail(host, MBS_ERR_DATA, param, "%s: a reference is read from anywhere, and %s cannot be sought in",
                        fa_show(path), f->in.regular ? "gzip" : "a stream");
        host->hint(host, "gunzip it and compress it with bgzip");
        return st;
    }
    st = fa_index_load(&f->index, &f->in, INT64_MAX);
    fa_bytes_close(&f->in);
    st = st == MBS_END ? build(f, param) : st;
    st = st == MBS_OK ? fa_index_sort(host, &f->index) : st;
    st = st == MBS_OK ? fa_bytes_open(&f->in, host, path, param) : st;
    if (st == MBS_OK && f->index.marks.n > 0) {
        f->in.marks = &f->index.marks;
    }
    return st;
}

void hu_reference_close(hu_reference *f) {
    if (f->host) {
        fa_bytes_close(&f->in);
        fa_parse_free(&f->parser);
        fa_index_free(f->host, &f->index);
    }
}

static mbs_status misfit(hu_reference *f, int64_t entry) {
    const mbs_host *h = f->host;
    mbs_status st = h->fail(h, MBS_ERR_DATA, NULL, "%s: record '%.100s' is not as its index says%s", f->path,
                            fa_index_name(&f->index, entry), f->index.from_file ? "" : ": the file has changed");
    if (f->index.from_file) {
        h->hint(h, "make the index again: samtools faidx %s", f->path);
    }
    return st;
}

/* n letters from where the parser stands; NULL: passed over. */
static mbs_status letters(hu_reference *f, int64_t entry, int64_t n, uint8_t *to) {
    uint8_t drop[1024];
    mbs_status st = MBS_OK;
    int uneven = f->index.list[entry].lines.uneven;
    for (int64_t got; st == MBS_OK && n > 0; n -= got) {
        int64_t want = to || n < (int64_t)sizeof(drop) ? n : (int64_t)sizeof(drop);
        int end;
        st = fa_parse_letters(&f->parser, to ? to : drop, want, &got, &end);
        if (st == MBS_OK && ((end && got < n) || got == 0 || (f->parser.lines.uneven && !uneven))) {
            st = misfit(f, entry);
        }
        to = to ? to + got : NULL;
        f->next += got;
        if (st == MBS_OK && f->host->cancelled(f->host)) {
            st = f->host->fail(f->host, MBS_ERR_STOPPED, NULL, "stopped while reading %s", f->path);
        }
    }
    return st;
}

static mbs_status go(hu_reference *f, int64_t entry, int64_t from) {
    fa_entry *e = &f->index.list[entry];
    const char *name = fa_index_name(&f->index, entry);
    f->entry = -1;
    fa_parse_start(&f->parser, &f->in, FA_FASTA);
    mbs_status st = fa_text_set(f->host, &f->parser.name, name, strlen(name));
    if (st != MBS_OK) {
        return st;
    }
    if (!e->checked) {
        int fits = fa_index_fits(&f->index, entry, &f->in, entry == f->index.n - 1);
        if (fits != 1) {
            return fits == 0 ? misfit(f, entry) : fa_bytes_fail(&f->in, "");
        }
        e->checked = 1;
    }
    f->next = e->lines.uneven ? 0 : from;
    if (fa_seek(&f->in, fa_entry_offset(e, f->next)) != 0) {
        return fa_bytes_fail(&f->in, "");
    }
    fa_lines lines = e->lines;
    lines.closed = 0;
    fa_parse_enter(&f->parser, lines, f->next, lines.uneven ? 0 : f->next % lines.bases);
    return letters(f, entry, from - f->next, NULL);
}

mbs_status hu_reference_read(hu_reference *f, int64_t entry, int64_t from, int64_t n, uint8_t *to) {
    mbs_status st = MBS_OK;
    if (n <= 0) {
        return st;
    }
    if (f->entry != entry || f->next != from) {
        st = go(f, entry, from);
    }
    st = st == MBS_OK ? letters(f, entry, n, to) : st;
    f->entry = st == MBS_OK ? entry : -1;
    return st;
}

static uint8_t complement(uint8_t c) {
    static const char from[] = "ACGTURYKMBDHVacgturykmbdhv";
    static const char to[] = "TGCAAYRMKVHDBtgcaayrmkvhdb";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? (uint8_t)to[at - from] : c; /* W, S and N are their own */
}

void hu_reverse_complement(uint8_t *s, int64_t n) {
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        table[i] = complement((uint8_t)i);
    }
    for (int64_t a = 0, b = n - 1; a <= b; a++, b--) {
        uint8_t left = table[s[a]];
        s[a] = table[s[b]];
        s[b] = left;
    }
}
