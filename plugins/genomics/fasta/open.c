/* Everything that can be known before the first letter: are the files there and whole, what do they hold, what is
 * asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "reader.h"

#define CONTIGS_MAX 65536 /* of a whole file: memory must not grow with the number of records */

/* Looks at the beginning and, for bgzip, at the end of a file; a stream is left alone. */
static mbs_status probe(fa_reader *r, fa_file *f) {
    const mbs_host *h = r->host;
    struct stat st;
    if (strcmp(f->path, "-") == 0 || (stat(f->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
        return r->by_region ? h->fail(h, MBS_ERR_CONFIG, "regions",
                                      "regions cannot be taken from %s, which is a stream", fa_show(f->path))
                            : MBS_OK;
    }
    fa_bytes in;
    mbs_status status = fa_bytes_open(&in, h, f->path, "path");
    if (status != MBS_OK) {
        return status;
    }
    f->size = in.size;
    f->identity = in.identity;
    int whole = fa_has_end(&in);
    if (whole) {
        fa_parser p = {.host = h};
        fa_parse_start(&p, &in, r->wanted);
        status = fa_parse_header(&p);
        fa_parse_free(&p);
    } else {
        /* how far it is good is worth a look: without it the run would end there too, hours later */
        status = fa_index_build(NULL, &in, r->wanted);
        if (status == MBS_OK) {
            status =
                h->fail(h, MBS_ERR_DATA, "path", "%s: truncated: the end-of-file block of bgzip is missing", f->path);
        }
    }
    fa_bytes_close(&in);
    return status;
}

/* The index of a file: from .fai, or built where `must`. */
static mbs_status find_index(fa_reader *r, fa_file *f, int must) {
    const mbs_host *h = r->host;
    fa_bytes in;
    if (f->identity == 0) {
        return MBS_OK;
    }
    mbs_status st = fa_bytes_open(&in, h, f->path, "path");
    if (st != MBS_OK) {
        return st;
    }
    st = fa_index_load(&f->index, &in, must ? INT64_MAX : CONTIGS_MAX);
    fa_bytes_close(&in);
    if (st == MBS_END) {
        fa_index_free(h, &f->index);
        st = MBS_OK;
        if (must && (st = fa_bytes_open(&in, h, f->path, "path")) == MBS_OK) {
            st = fa_index_build(&f->index, &in, r->wanted);
            fa_bytes_close(&in);
        }
    }
    if (st == MBS_OK && must) {
        st = fa_index_sort(h, &f->index);
    } else {
        fa_marks_free(h, &f->index.marks); /* only regions seek */
    }
    return st;
}

/* Contigs, where all files say theirs and they are not too many. */
static mbs_status list_contigs(fa_reader *r) {
    const mbs_host *h = r->host;
    int64_t n = 0;
    int known = 1;
    for (int64_t i = 0; i < r->n_files; i++) {
        const fa_index *x = &r->files[i].index;
        known &= x->n_records > 0 && x->n == x->n_records;
        n += x->n;
    }
    if (!known || (n > CONTIGS_MAX && !r->by_region)) {
        return MBS_OK;
    }
    r->contigs = h->alloc(h, (size_t)n * sizeof(*r->contigs));
    if (!r->contigs) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for the names of %lld records", (long long)n);
    }
    r->header.contigs = r->contigs;
    for (int64_t i = 0; i < r->n_files; i++) {
        const fa_index *x = &r->files[i].index;
        for (int64_t k = 0; k < x->n; k++) {
            r->contigs[r->header.n_contigs++] = (mbs_contig){fa_index_name(x, k), x->list[k].length};
        }
    }
    return MBS_OK;
}

static void count_units(fa_reader *r) {
    mbs_stream_header *hd = &r->header;
    hd->n_records = hd->n_units = 0;
    for (int64_t i = 0; i < r->n_regions; i++) {
        hd->n_records++;
        hd->n_units += r->regions[i].end - r->regions[i].beg;
    }
    for (int64_t i = 0; i < r->n_files && !r->by_region; i++) {
        const fa_index *x = &r->files[i].index;
        if (x->n_records == 0) {
            hd->n_records = hd->n_units = -1;
            return;
        }
        hd->n_records += x->n_records;
        hd->n_units += x->n_bases;
    }
}

mbs_status fa_open_all(fa_reader *r) {
    const mbs_host *h = r->host;
    mbs_status st = fa_label_files(r);
    for (int64_t i = 0; st == MBS_OK && i < r->n_files; i++) {
        st = probe(r, &r->files[i]);
    }
    for (int64_t i = 0; st == MBS_OK && i < r->n_files; i++) {
        st = find_index(r, &r->files[i], r->by_region);
    }
    if (st == MBS_OK && r->by_region) {
        st = fa_regions_read(r);
    }
    if (st != MBS_OK) {
        return st;
    }
    for (int64_t i = 0; i < r->n_files; i++) {
        r->sources[i].path = r->files[i].path;
    }
    r->header = (mbs_stream_header){
        .struct_size = (uint32_t)sizeof(mbs_stream_header),
        .type = "bases/u8",
        .unit = "base",
        .channels = 1,
        .n_sources = r->n_files,
        .sources = r->sources,
    };
    count_units(r);
    st = list_contigs(r);
    if (st == MBS_OK && !r->window) {
        r->window = h->alloc(h, FA_WINDOW);
        st = r->window ? MBS_OK : h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a window");
    }
    return st == MBS_OK && r->saved ? fa_place_restore(r) : st;
}
