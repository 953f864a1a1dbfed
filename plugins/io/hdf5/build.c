/* The one pass that makes an .h5 of the spools. The order of calls below is the order of bytes: do not change it within
 * one MBS_H5_FORMAT. */
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where rows of a type go. */
static const struct place {
    const char *type;
    const char *path;
    int list; /* one value a row: 1-dimensional */
} places[] = {
    {"score/f32", "/score/logprob", 1}, {"scores/f32", "/score/logprob", 0}, {"logits/f32", "/logits", 0},
    {"embedding/f32", "/embedding", 0}, {"mutate/f32", "/mutate/llr", 0},    {"class/f32", "/class/prob", 0},
    {"tokens/i32", "/tokens", 1},       {"bases/u8", "/bases", 1},
};

static const struct place *place_of(const mbs_h5 *w) {
    static const struct place other = {NULL, "/rows", 0};
    static const struct place sequence = {NULL, "/generated/sequence", 1};
    static const struct place token = {NULL, "/generated/token", 1};
    if (w->generated) {
        return strcmp(w->stream->type, "tokens/i32") == 0 ? &token : &sequence;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (strcmp(w->stream->type, places[i].type) == 0) {
            return &places[i];
        }
    }
    return &other;
}

/* Where no block came the type's name says what would have. */
static int32_t promised_dtype(const char *type) {
    const char *slash = strrchr(type, '/');
    const char *word = slash ? slash + 1 : "";
    return strcmp(word, "u8") == 0    ? MBS_U8
           : strcmp(word, "i32") == 0 ? MBS_I32
           : strcmp(word, "i64") == 0 ? MBS_I64
           : strcmp(word, "f64") == 0 ? MBS_F64
                                      : MBS_F32;
}

typedef struct spool_rows {
    mbs_h5_spool spool;
    int64_t bytes; /* of a row */
} spool_rows;

static mbs_status fill_spool(mbs_h5_builder *b, const void *ctx, int64_t first, int64_t n, void *out) {
    const spool_rows *r = ctx;
    return mbs_spool_read(&b->w->spool[r->spool], first * r->bytes, out, (size_t)(n * r->bytes));
}

static mbs_status put_rows(mbs_h5_builder *b, const struct place *at) {
    const mbs_row_shape *shape = &b->w->at.shape;
    int32_t dtype = shape->dtype ? shape->dtype : promised_dtype(b->w->stream->type);
    spool_rows ctx = {MBS_H5_ROWS, shape->bytes};
    mbs_h5_dataset d = {.path = at->path,
                        .file_type = mbs_h5_file_type(dtype),
                        .memory_type = mbs_h5_memory_type(dtype),
                        .element = mbs_element_size(dtype),
                        .fill = fill_spool,
                        .ctx = &ctx};
    d.dims[0] = (hsize_t)b->w->at.n_rows;
    d.ndim = shape->dtype ? shape->ndim : 2;
    for (int i = 1; i < d.ndim; i++) {
        d.dims[i] = (hsize_t)shape->dims[i];
    }
    if (at->list && (shape->dtype == 0 || shape->width == 1)) {
        d.ndim = 1;
    }
    return mbs_h5_put_dataset(b, &d);
}

static void label_at(const void *ctx, int64_t i, mbs_text *out) {
    const char *p = *(const char *const *)ctx;
    for (int64_t k = 0; p && k < i; k++) {
        p = strchr(p, '\t');
        p = p ? p + 1 : NULL;
    }
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)i);
    p = p ? p : number;
    mbs_text_append_utf8(out, p, strcspn(p, "\t"));
}

static void source_at(const void *ctx, int64_t i, mbs_text *out) {
    const mbs_stream_header *h = ctx;
    mbs_text_append_utf8(out, h->sources[i].path, strlen(h->sources[i].path));
}

/* Of two models: what each record is likelier by under the first, in nats. Asked in order. */
static mbs_status fill_odds(mbs_h5_builder *b, const void *ctx, int64_t first, int64_t n, void *out) {
    double *odds = out;
    float rows[512][2];
    (void)ctx;
    for (int64_t i = 0; i < n; i++) {
        int64_t span[2] = {0, 0}; /* of its rows */
        double sum[2] = {0, 0};
        int64_t scored = 0;
        mbs_status st = mbs_h5_record_rows(b, first + i, span);
        for (int64_t at = span[0]; at < span[1] && st >= 0;) {
            int64_t k = span[1] - at < 512 ? span[1] - at : 512;
            st = mbs_spool_read(&b->w->spool[MBS_H5_ROWS], at * (int64_t)sizeof rows[0], rows,
                                (size_t)k * sizeof rows[0]);
            for (int64_t j = 0; j < k && st >= 0; j++) {
                if (!isnan(rows[j][0])) {
                    sum[0] += (double)rows[j][0];
                    sum[1] += (double)rows[j][1];
                    scored++;
                }
            }
            at += k;
        }
        if (st < 0) {
            return st;
        }
        odds[i] = scored ? sum[0] - sum[1] : (double)NAN;
    }
    return MBS_OK;
}

static void model_at(const void *ctx, int64_t i, mbs_text *out) {
    const char *p = ctx;
    size_t len = strcspn(p, ",");
    p = i > 0 && p[len] ? p + len + 2 : p;
    mbs_text_append_utf8(out, p, strcspn(p, ","));
}

static mbs_status put_pair(mbs_h5_builder *b) {
    const char *names = mbs_header_attr(b->w->stream, "models");
    mbs_status st = mbs_h5_put_texts(b, "/score/model", names ? 2 : 0, model_at, names);
    return st < 0 ? st : mbs_h5_put_list(b, "/score/log_odds", MBS_F64, b->w->at.n_records, fill_odds, NULL);
}

static mbs_status put_task(mbs_h5_builder *b) {
    const struct place *at = place_of(b->w);
    const char *slash = strchr(at->path + 1, '/');
    mbs_status st = MBS_OK;
    if (slash) {
        char group[32];
        snprintf(group, sizeof group, "%.*s", (int)(slash - at->path), at->path);
        st = mbs_h5_put_group(b, group);
    }
    st = st < 0 ? st : put_rows(b, at);
    if (strcmp(b->w->stream->type, "scores/f32") == 0) {
        st = st < 0 ? st : put_pair(b);
    }
    if (strcmp(at->path, "/class/prob") == 0) {
        const char *labels = mbs_header_attr(b->w->stream, "labels");
        st = st < 0 ? st : mbs_h5_put_texts(b, "/class/label", b->w->at.shape.width, label_at, &labels);
    }
    return st;
}

static int has_side(const mbs_h5 *w, mbs_h5_spool spool) {
    return w->at.n_rows > 0 && (w->at.sides & (int64_t)1 << spool) != 0;
}

static mbs_status put_sides(mbs_h5_builder *b) {
    static const spool_rows token = {MBS_H5_TOKEN, sizeof(int32_t)};
    static const spool_rows logprob = {MBS_H5_LOGPROB, sizeof(float)};
    static const spool_rows interval = {MBS_H5_INTERVAL, 2 * sizeof(int64_t)};
    int64_t n = b->w->at.n_rows;
    mbs_status st = MBS_OK;
    if (has_side(b->w, MBS_H5_TOKEN) && strcmp(place_of(b->w)->path, "/generated/token") != 0) {
        st = mbs_h5_put_list(b, "/generated/token", MBS_I32, n, fill_spool, &token);
    }
    if (has_side(b->w, MBS_H5_LOGPROB)) {
        st = st < 0 ? st : mbs_h5_put_list(b, "/generated/logprob", MBS_F32, n, fill_spool, &logprob);
    }
    if (has_side(b->w, MBS_H5_INTERVAL)) {
        mbs_h5_dataset d = {.path = "/interval",
                            .file_type = mbs_h5_file_type(MBS_I64),
                            .memory_type = mbs_h5_memory_type(MBS_I64),
                            .element = sizeof(int64_t),
                            .ndim = 2,
                            .dims = {(hsize_t)n, 2},
                            .fill = fill_spool,
                            .ctx = &interval};
        st = st < 0 ? st : mbs_h5_put_dataset(b, &d);
    }
    return st;
}

static mbs_status put_attrs(mbs_h5_builder *b) {
    const mbs_stream_header *h = b->w->stream;
    mbs_status st = mbs_h5_put_int_attr(b, "format", MBS_H5_FORMAT);
    for (int64_t i = 0; i < h->n_attrs && st >= 0; i++) {
        const char *key = h->attrs[i].key;
        const char *value = h->attrs[i].value;
        if (key && *key && value && H5Aexists(b->file, key) == 0) { /* the first of a key holds */
            st = mbs_h5_put_text_attr(b, key, value);
        }
    }
    return st;
}

static mbs_status put_everything(mbs_h5_builder *b) {
    const mbs_stream_header *h = b->w->stream;
    mbs_status st = put_attrs(b);
    st = st < 0 ? st : mbs_h5_put_group(b, "/sources");
    st = st < 0 ? st : mbs_h5_put_texts(b, "/sources/path", h->n_sources, source_at, h);
    st = st < 0 ? st : mbs_h5_put_records(b);
    st = st < 0 ? st : put_task(b);
    return st < 0 ? st : put_sides(b);
}

/* Opens the HDF5 file on io.fd: no times, attributes in the root's header, one version of the format whatever the
 * library's own newest is. */
static int create_file(mbs_h5_builder *b) {
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    hid_t fcpl = H5Pcreate(H5P_FILE_CREATE);
    int ok = fapl >= 0 && fcpl >= 0 && mbs_h5_vfd_use(fapl, b->lib.driver, &b->io) >= 0 &&
             H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
             H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) >= 0 && H5Pset_obj_track_times(fcpl, 0) >= 0 &&
             H5Pset_attr_phase_change(fcpl, 1024, 0) >= 0;
    if (ok) {
        b->file = H5Fcreate(b->w->path, H5F_ACC_TRUNC, fcpl, fapl);
    }
    b->text = H5Tcopy(H5T_C_S1);
    ok = ok && b->file >= 0 && b->text >= 0 && H5Tset_size(b->text, H5T_VARIABLE) >= 0 &&
         H5Tset_cset(b->text, H5T_CSET_UTF8) >= 0;
    if (fapl >= 0) {
        H5Pclose(fapl);
    }
    if (fcpl >= 0) {
        H5Pclose(fcpl);
    }
    return ok && !b->io.error;
}

static mbs_status build_in_library(mbs_h5_builder *b) {
    mbs_status st = create_file(b) ? MBS_OK : mbs_h5_build_failed(b, "the head");
    if (st >= 0 && b->w->gzip && H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0) {
        b->host->hint(b->host, "set compression: none");
        st = b->host->fail(b->host, MBS_ERR_UNAVAILABLE, "compression", "this HDF5 library was built without gzip");
    }
    st = st < 0 ? st : put_everything(b);
    if (b->text >= 0) {
        H5Tclose(b->text);
    }
    if (b->file >= 0 && (H5Fclose(b->file) < 0 || b->io.error) && st >= 0) {
        st = mbs_h5_build_failed(b, "the end");
    }
    return st;
}

mbs_status mbs_h5_build(mbs_h5 *w) {
    mbs_h5_builder b = {.w = w, .host = w->host, .file = -1, .text = -1};
    b.io.fd = open(w->temp, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    b.io.writable = 1;
    if (b.io.fd < 0) {
        return w->host->fail(w->host, MBS_ERR_CREATE, "path", "cannot create '%s': %s", w->path, strerror(errno));
    }
    mbs_status st = mbs_h5_enter(&b.lib, w->host);
    if (st >= 0) {
        st = build_in_library(&b);
        mbs_h5_leave(&b.lib);
    }
    mbs_h5_vfd_forget(&b.io);
    if (close(b.io.fd) != 0 && st >= 0) {
        st = w->host->fail(w->host, MBS_ERR_IO, "path", "cannot close '%s': %s", w->path, strerror(errno));
    }
    return st;
}
