/* /records: one value of each list for each record, read back from the spool in pieces. */
#include <stddef.h>
#include <string.h>

#include "build.h"

/* Names up to this many bytes are stored at a fixed width: ten million read names compress to megabytes and are read at
 * once. With a longer one among them the padding would cost more than it saves: variable length then. */
#define FIXED_NAME 255
/* Bytes of a chunk of fixed-width names. */
#define NAME_CHUNK ((int64_t)1 << 20)

/* A member of mbs_h5_record. */
typedef struct member {
    size_t offset;
    size_t size;
    int64_t shift; /* value i belongs to record i - shift; zeros before */
} member;

static mbs_status fill_member(mbs_h5_builder *b, const void *ctx, int64_t first, int64_t n, void *out) {
    const member *m = ctx;
    mbs_h5_record part[512];
    char *p = out;
    int64_t at = first - m->shift;
    for (; at < 0 && n > 0; at++, n--) {
        memset(p, 0, m->size);
        p += m->size;
    }
    while (n > 0) {
        int64_t k = n < 512 ? n : 512;
        mbs_status st =
            mbs_spool_read(&b->w->spool[MBS_H5_RECORDS], at * (int64_t)sizeof *part, part, (size_t)k * sizeof *part);
        if (st < 0) {
            return st;
        }
        for (int64_t i = 0; i < k; i++) {
            memcpy(p, (const char *)&part[i] + m->offset, m->size);
            p += m->size;
        }
        at += k;
        n -= k;
    }
    return MBS_OK;
}

static mbs_status fill_rate(mbs_h5_builder *b, const void *ctx, int64_t first, int64_t n, void *out) {
    (void)ctx;
    (void)first;
    for (int64_t i = 0; i < n; i++) {
        ((double *)out)[i] = b->w->stream->rate;
    }
    return MBS_OK;
}

/* ---- names and labels ---- */

/* Walks the texts in order: the sum of the lengths so far is where the next one begins. */
typedef struct names {
    mbs_h5_spool spool;
    member length; /* of a text, in the record */
    int64_t record;
    int64_t offset;
    size_t width;     /* fixed: bytes of a value */
    int64_t *lengths; /* of one piece */
    mbs_text text;    /* of one piece */
} names;

/* Lengths of n names, and their text with the NULs: at nm->text. */
static mbs_status read_names(mbs_h5_builder *b, names *nm, int64_t n) {
    mbs_status st = fill_member(b, &nm->length, nm->record, n, nm->lengths);
    int64_t total = 0;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        total += nm->lengths[i] + 1;
    }
    if (st < 0) {
        return st;
    }
    nm->text.len = 0;
    if ((size_t)total > nm->text.cap) {
        char *p = b->host->realloc(b->host, nm->text.data, (size_t)total);
        if (!p) {
            return b->host->fail(b->host, MBS_ERR_MEMORY, NULL, "no memory for %lld bytes of texts", (long long)total);
        }
        nm->text.data = p;
        nm->text.cap = (size_t)total;
    }
    st = mbs_spool_read(&b->w->spool[nm->spool], nm->offset, nm->text.data, (size_t)total);
    nm->record += n;
    nm->offset += total;
    return st;
}

static mbs_status fill_fixed(mbs_h5_builder *b, const void *ctx, int64_t first, int64_t n, void *out) {
    names *nm = *(names *const *)ctx;
    (void)first; /* asked in order */
    mbs_status st = read_names(b, nm, n);
    const char *p = nm->text.data;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        size_t len = (size_t)nm->lengths[i];
        char *cell = (char *)out + (size_t)i * nm->width;
        memcpy(cell, p, len);
        memset(cell + len, 0, nm->width - len);
        p += len + 1;
    }
    return st;
}

static mbs_status fill_variable(mbs_h5_builder *b, const void *ctx, int64_t first, int64_t n, void *out) {
    names *nm = *(names *const *)ctx;
    (void)first;
    mbs_status st = read_names(b, nm, n);
    const char *p = nm->text.data;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        ((const char **)out)[i] = p;
        p += nm->lengths[i] + 1;
    }
    return st;
}

static mbs_status put_names(mbs_h5_builder *b, const char *path, mbs_h5_spool spool, size_t length_at,
                            int64_t longest) {
    names nm = {.spool = spool, .length = {length_at, sizeof(int64_t), 0}, .text = {.host = b->host}};
    names *ctx = &nm;
    mbs_h5_dataset d = {.path = path, .ndim = 1, .dims = {(hsize_t)b->w->at.n_records}, .ctx = &ctx};
    hid_t fixed = -1;
    nm.width = longest > 0 ? (size_t)longest : 1;
    if (longest <= FIXED_NAME) {
        fixed = H5Tcopy(H5T_C_S1);
        if (fixed < 0 || H5Tset_size(fixed, nm.width) < 0 || H5Tset_strpad(fixed, H5T_STR_NULLPAD) < 0 ||
            H5Tset_cset(fixed, H5T_CSET_UTF8) < 0) {
            mbs_status bad = mbs_h5_build_failed(b, d.path);
            H5Tclose(fixed);
            return bad;
        }
        d.file_type = d.memory_type = fixed;
        d.element = nm.width;
        d.chunk_rows = NAME_CHUNK / (int64_t)nm.width;
        d.fill = fill_fixed;
    } else {
        d.file_type = d.memory_type = b->text;
        d.element = sizeof(char *);
        d.chunk_rows = NAME_CHUNK / longest;
        d.fill = fill_variable;
    }
    d.chunk_rows = d.chunk_rows > MBS_H5_CHUNK ? MBS_H5_CHUNK : d.chunk_rows > 0 ? d.chunk_rows : 1;
    nm.lengths = b->host->alloc(b->host, (size_t)d.chunk_rows * sizeof *nm.lengths);
    mbs_status st = nm.lengths ? mbs_h5_put_dataset(b, &d)
                               : b->host->fail(b->host, MBS_ERR_MEMORY, NULL, "no memory for lengths of texts");
    if (nm.lengths) {
        b->host->free(b->host, nm.lengths);
    }
    mbs_text_free(&nm.text);
    if (fixed >= 0) {
        H5Tclose(fixed);
    }
    return st;
}

static mbs_status put_strand(mbs_h5_builder *b) {
    static const member strand = {offsetof(mbs_h5_record, strand), 1, 0};
    mbs_h5_dataset d = {.path = "/records/strand",
                        .element = 1,
                        .ndim = 1,
                        .dims = {(hsize_t)b->w->at.n_records},
                        .fill = fill_member,
                        .ctx = &strand};
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) {
        return mbs_h5_build_failed(b, d.path);
    }
    d.file_type = d.memory_type = type;
    mbs_status st = mbs_h5_put_dataset(b, &d);
    H5Tclose(type);
    return st;
}

mbs_status mbs_h5_record_rows(mbs_h5_builder *b, int64_t record, int64_t span[2]) {
    static const member offset = {offsetof(mbs_h5_record, rows_end), sizeof(int64_t), 1};
    return fill_member(b, &offset, record, 2, span);
}

mbs_status mbs_h5_put_records(mbs_h5_builder *b) {
    static const member source = {offsetof(mbs_h5_record, source), sizeof(int32_t), 0};
    static const member start = {offsetof(mbs_h5_record, start), sizeof(int64_t), 0};
    static const member length = {offsetof(mbs_h5_record, length), sizeof(int64_t), 0};
    static const member offset = {offsetof(mbs_h5_record, rows_end), sizeof(int64_t), 1};
    static const member hop = {offsetof(mbs_h5_record, hop), sizeof(int64_t), 0};
    int64_t n = b->w->at.n_records;
    mbs_status st = mbs_h5_put_group(b, "/records");
    st = st < 0
             ? st
             : put_names(b, "/records/name", MBS_H5_NAMES, offsetof(mbs_h5_record, name_length), b->w->at.longest_name);
    st = st < 0 ? st : mbs_h5_put_list(b, "/records/source", MBS_I32, n, fill_member, &source);
    st = st < 0 ? st : mbs_h5_put_list(b, "/records/start", MBS_I64, n, fill_member, &start);
    st = st < 0 ? st : mbs_h5_put_list(b, "/records/length", MBS_I64, n, fill_member, &length);
    st = st < 0 ? st : put_strand(b);
    st = st < 0 ? st : mbs_h5_put_list(b, "/records/offset", MBS_I64, n + 1, fill_member, &offset);
    if (b->w->stream->rate > 0) {
        st = st < 0 ? st : mbs_h5_put_list(b, "/records/unit_rate", MBS_F64, n, fill_rate, NULL);
        st = st < 0 ? st : mbs_h5_put_list(b, "/records/hop", MBS_I64, n, fill_member, &hop);
    }
    if (b->w->at.labelled > 0) {
        st = st < 0 ? st
                    : put_names(b, "/records/label", MBS_H5_LABELS, offsetof(mbs_h5_record, label_length),
                                b->w->at.longest_label);
    }
    return st;
}
