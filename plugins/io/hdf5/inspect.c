/*
 * Says what an .h5 holds.
 *
 * HDF5 parses in this process, and versions in use crash on files made to crash them (of the HDF Group's own 145 such
 * files about one in five ends h5dump 1.10). The checks here (a regular file, the signature where this writer puts it,
 * no plugins, hard links to known names only, no data in other files, bounded chunks) keep honest mistakes and simple
 * tricks out; they do not make a hostile file safe. Only this command reads .h5 files; a run never does.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/rowfile/number.h"
#include "lib.h"
#include "writer.h"

#define MAX_TEXT ((size_t)1 << 20)
#define MAX_CHUNK ((hsize_t)64 << 20)
#define MAX_ATTRS 256
/* deflate makes at most 1032 bytes of one; a dataset that claims more is not read. */
#define MAX_RATIO 1100.0

typedef struct inspector {
    const mbs_host *host;
    const char *path;
    void (*put)(void *sink, const char *key, const char *value);
    void *sink;
    mbs_h5_lib lib;
    mbs_h5_io io;
    hid_t file;
    int n_attrs;
    char unit[64];
} inspector;

static const char *const known[] = {
    "/score/logprob",
    "/logits",
    "/embedding",
    "/class/prob",
    "/class/label",
    "/generated/sequence",
    "/generated/token",
    "/generated/logprob",
    "/tokens",
    "/bases",
    "/rows",
    "/interval",
    "/sources/path",
    "/records/name",
    "/records/source",
    "/records/start",
    "/records/length",
    "/records/strand",
    "/records/offset",
    "/records/unit_rate",
    "/records/hop",
    "/records/label",
};

/* Datasets with one row for each token or vector, in the order in which one of them is looked for. */
#define N_ROW_SETS 11

static mbs_status fail(inspector *in, const char *what) {
    return mbs_h5_fail(in->host, &in->io, MBS_ERR_DATA, "%s '%s'", what, in->path);
}

/* Follows hard links only: a soft or external one could lead anywhere. */
static int exists(hid_t file, const char *path) {
    char part[64];
    for (const char *p = path; p;) {
        const char *slash = strchr(p + 1, '/');
        size_t n = slash ? (size_t)(slash - path) : strlen(path);
        H5L_info_t info;
        memcpy(part, path, n);
        part[n] = '\0';
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0 || H5Lget_info(file, part, &info, H5P_DEFAULT) < 0 ||
            info.type != H5L_TYPE_HARD) {
            return 0;
        }
        p = slash;
    }
    return 1;
}

typedef struct dataset {
    hid_t id;
    int ndim;
    hsize_t dims[8];
    char type[16];
    char storage[64];
    int readable; /* its data lie in this file, in chunks of bounded size */
} dataset;

static void name_type(dataset *d) {
    hid_t t = H5Dget_type(d->id);
    if (t < 0) {
        return;
    }
    unsigned bits = (unsigned)H5Tget_size(t) * 8;
    H5T_class_t class = H5Tget_class(t);
    if (class == H5T_INTEGER) {
        snprintf(d->type, sizeof d->type, "%c%u", H5Tget_sign(t) == H5T_SGN_NONE ? 'u' : 'i', bits);
    } else if (class == H5T_FLOAT) {
        snprintf(d->type, sizeof d->type, "f%u", bits);
    } else {
        snprintf(d->type, sizeof d->type, "%s", class == H5T_STRING ? "text" : "other");
    }
    H5Tclose(t);
}

static void look_at_storage(dataset *d) {
    hid_t dcpl = H5Dget_create_plist(d->id);
    hsize_t chunk[8] = {0};
    H5D_layout_t layout = dcpl < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(dcpl);
    d->readable = layout == H5D_CONTIGUOUS || layout == H5D_COMPACT;
    if (layout == H5D_CHUNKED && H5Pget_chunk(dcpl, 8, chunk) == d->ndim) {
        hsize_t values = 1;
        for (int i = 0; i < d->ndim; i++) {
            values = chunk[i] > 0 && values <= MAX_CHUNK / chunk[i] ? values * chunk[i] : MAX_CHUNK;
        }
        d->readable = values < MAX_CHUNK / 8;
        snprintf(d->storage, sizeof d->storage, ", chunks of %" PRIu64, (uint64_t)values);
        for (int i = 0; i < H5Pget_nfilters(dcpl) && i < 4; i++) {
            unsigned flags, config, values_of[8] = {0};
            size_t n = 8;
            size_t len = strlen(d->storage);
            H5Z_filter_t f = H5Pget_filter2(dcpl, (unsigned)i, &flags, &n, values_of, 0, NULL, &config);
            if (f == H5Z_FILTER_DEFLATE) {
                snprintf(d->storage + len, sizeof d->storage - len, ", gzip %u", values_of[0]);
            } else {
                snprintf(d->storage + len, sizeof d->storage - len, "%s",
                         f == H5Z_FILTER_SHUFFLE ? ", shuffle" : ", ?");
            }
        }
    }
    if (dcpl >= 0) {
        d->readable = d->readable && H5Pget_external_count(dcpl) == 0;
        H5Pclose(dcpl);
    }
}

/* 0 where there is no such dataset. */
static int open_dataset(inspector *in, const char *path, dataset *d) {
    memset(d, 0, sizeof *d);
    d->id = exists(in->file, path) ? H5Dopen2(in->file, path, H5P_DEFAULT) : -1;
    if (d->id < 0) {
        return 0;
    }
    hid_t space = H5Dget_space(d->id);
    d->ndim = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (d->ndim >= 0 && d->ndim <= 8) {
        H5Sget_simple_extent_dims(space, d->dims, NULL);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    if (d->ndim < 1 || d->ndim > 8) {
        H5Dclose(d->id);
        return 0;
    }
    name_type(d);
    look_at_storage(d);
    return 1;
}

/* ---- attributes ---- */

/* The text of a scalar attribute into `out`; 0 where it is neither text nor an integer. */
static int attr_text(hid_t id, char *out, size_t size) {
    hid_t type = H5Aget_type(id), space = H5Aget_space(id), memory = -1;
    H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    int ok = 0;
    if (space >= 0 && H5Sget_simple_extent_npoints(space) == 1) {
        if (class == H5T_INTEGER) {
            int64_t v = 0;
            ok = H5Aread(id, H5T_NATIVE_INT64, &v) >= 0;
            snprintf(out, size, "%" PRId64, v);
        } else if (class == H5T_STRING && H5Tis_variable_str(type) > 0) {
            char *text = NULL;
            memory = H5Tcopy(type);
            ok = memory >= 0 && H5Aread(id, memory, &text) >= 0;
            snprintf(out, size, "%s", ok && text ? text : "");
            if (ok) {
                H5Dvlen_reclaim(memory, space, H5P_DEFAULT, &text);
            }
        } else if (class == H5T_STRING && H5Tget_size(type) < size) {
            memset(out, 0, size);
            ok = H5Aread(id, type, out) >= 0;
        }
    }
    if (memory >= 0) {
        H5Tclose(memory);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    if (type >= 0) {
        H5Tclose(type);
    }
    return ok;
}

/* The root attribute's text, of the host's memory; NULL where there is none. */
static char *root_attr(inspector *in, const char *key) {
    char *text = NULL;
    hid_t id = H5Aexists(in->file, key) > 0 ? H5Aopen(in->file, key, H5P_DEFAULT) : -1;
    if (id >= 0) {
        text = in->host->alloc(in->host, MAX_TEXT);
        if (text && !attr_text(id, text, MAX_TEXT)) {
            in->host->free(in->host, text);
            text = NULL;
        }
        H5Aclose(id);
    }
    return text;
}

static herr_t put_attr(hid_t loc, const char *name, const H5A_info_t *info, void *data) {
    (void)loc;
    (void)info;
    inspector *in = data;
    if (++in->n_attrs > MAX_ATTRS) {
        return 1;
    }
    char *text = strcmp(name, "format") == 0 || strcmp(name, "task") == 0 ? NULL : root_attr(in, name);
    if (text) {
        in->put(in->sink, name, text);
        in->host->free(in->host, text);
    }
    return 0;
}

/* ---- facts ---- */

static void put_count(inspector *in, const char *key, hsize_t n) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, (uint64_t)n);
    in->put(in->sink, key, text);
}

static mbs_status sum_scores(inspector *in, const dataset *d, double *sum, int64_t *scored) {
    float part[8192];
    hid_t space = H5Dget_space(d->id);
    mbs_status st = space < 0 ? fail(in, "read") : MBS_OK;
    for (hsize_t at = 0; at < d->dims[0] && st >= 0; at += 8192) {
        hsize_t n = d->dims[0] - at < 8192 ? d->dims[0] - at : 8192;
        hid_t memory = H5Screate_simple(1, &n, NULL);
        int ok = memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &n, NULL) >= 0 &&
                 H5Dread(d->id, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, part) >= 0;
        if (memory >= 0) {
            H5Sclose(memory);
        }
        if (!ok) {
            st = fail(in, "read /score/logprob of");
        } else if (in->host->cancelled(in->host)) {
            st = in->host->fail(in->host, MBS_ERR_STOPPED, NULL, "stopped while '%s' was read", in->path);
        }
        for (hsize_t i = 0; i < n && ok; i++) {
            if (!isnan(part[i])) {
                *sum += (double)part[i];
                ++*scored;
            }
        }
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    return st;
}

static mbs_status put_score(inspector *in, const dataset *d) {
    double sum = 0;
    int64_t scored = 0;
    if (d->ndim != 1 || strcmp(d->type, "f32") != 0 || !d->readable ||
        (double)d->dims[0] * 4 > (double)H5Dget_storage_size(d->id) * MAX_RATIO) {
        return in->host->fail(in->host, MBS_ERR_DATA, NULL, "/score/logprob of '%s' is not what this program writes",
                              in->path);
    }
    mbs_status st = sum_scores(in, d, &sum, &scored);
    if (st < 0) {
        return st;
    }
    put_count(in, "scored", (hsize_t)scored);
    char key[96], text[MBS_NUMBER_MAX + 1];
    snprintf(key, sizeof key, "bits_per_%s", in->unit);
    text[mbs_number_fixed(text, scored ? -sum / (double)scored / 0.69314718055994530942 : (double)NAN)] = '\0';
    in->put(in->sink, key, text);
    return MBS_OK;
}

/* Whether rows of a dataset may be records and not tokens. */
static int of_records(const char *name) {
    return strcmp(name, "/embedding") == 0 || strcmp(name, "/class/prob") == 0 || strcmp(name, "/rows") == 0;
}

static mbs_status put_summary(inspector *in) {
    dataset d;
    if (open_dataset(in, "/records/start", &d)) {
        put_count(in, "records", d.dims[0]);
        H5Dclose(d.id);
    }
    for (size_t i = 0; i < N_ROW_SETS; i++) {
        if (open_dataset(in, known[i], &d)) {
            put_count(in, of_records(known[i]) ? "rows" : "tokens", d.dims[0]);
            mbs_status st = i == 0 ? put_score(in, &d) : MBS_OK;
            H5Dclose(d.id);
            return st;
        }
    }
    return MBS_OK;
}

static void put_datasets(inspector *in) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        dataset d;
        char text[384];
        if (!open_dataset(in, known[i], &d)) {
            continue;
        }
        size_t n = (size_t)snprintf(text, sizeof text, "%s (", d.type);
        for (int k = 0; k < d.ndim; k++) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%" PRIu64, k ? " x " : "", (uint64_t)d.dims[k]);
        }
        snprintf(text + n, sizeof text - n, ")%s", d.storage);
        in->put(in->sink, known[i], text);
        H5Dclose(d.id);
    }
}

static mbs_status describe_open(inspector *in) {
    char *format = root_attr(in, "format");
    char *task = root_attr(in, "task");
    char *unit = root_attr(in, "unit");
    mbs_status st = MBS_OK;
    if (!format || strtoll(format, NULL, 10) < 1) {
        in->host->hint(in->host, "h5ls -r lists what it holds");
        st = in->host->fail(in->host, MBS_ERR_DATA, NULL, "'%s' is an HDF5 file, but not a result of mambaseq",
                            in->path);
    } else {
        snprintf(in->unit, sizeof in->unit, "%.40s", unit && *unit ? unit : "token");
        in->put(in->sink, "format", format);
        in->put(in->sink, "task", task ? task : "none");
        st = put_summary(in);
    }
    if (st >= 0) {
        put_datasets(in);
        hsize_t first = 0;
        H5Aiterate2(in->file, H5_INDEX_NAME, H5_ITER_INC, &first, put_attr, in);
    }
    char *const texts[] = {format, task, unit};
    for (int i = 0; i < 3; i++) {
        if (texts[i]) {
            in->host->free(in->host, texts[i]);
        }
    }
    return st;
}

static mbs_status describe_in_library(inspector *in) {
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    if (fapl >= 0 && mbs_h5_vfd_use(fapl, in->lib.driver, &in->io) >= 0) {
        H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
        in->file = H5Fopen(in->path, H5F_ACC_RDONLY, fapl);
    }
    mbs_status st = in->file < 0 ? fail(in, "read") : describe_open(in);
    if (in->file >= 0) {
        H5Fclose(in->file);
    }
    if (fapl >= 0) {
        H5Pclose(fapl);
    }
    return st;
}

static mbs_status check_file(inspector *in) {
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char head[8];
    struct stat st;
    if (fstat(in->io.fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return in->host->fail(in->host, MBS_ERR_DATA, NULL, "'%s' is not a regular file", in->path);
    }
    if (pread(in->io.fd, head, sizeof head, 0) != (ssize_t)sizeof head || memcmp(head, signature, sizeof head) != 0) {
        return in->host->fail(in->host, MBS_ERR_DATA, NULL, "'%s' is not an HDF5 file", in->path);
    }
    return MBS_OK;
}

static mbs_status h5_describe(const mbs_host *host, const char *path,
                              void (*put)(void *sink, const char *key, const char *value), void *sink) {
    inspector in = {.host = host, .path = path, .put = put, .sink = sink, .file = -1};
    in.io.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in.io.fd < 0) {
        return host->fail(host, MBS_ERR_NOINPUT, NULL, "cannot open '%s': %s", path, strerror(errno));
    }
    mbs_status st = check_file(&in);
    if (st >= 0) {
        st = mbs_h5_enter(&in.lib, host);
        if (st >= 0) {
            st = describe_in_library(&in);
            mbs_h5_leave(&in.lib);
        }
    }
    close(in.io.fd);
    return st;
}

const mbs_ext_inspect mbs_h5_inspect = {
    .struct_size = (uint32_t)sizeof(mbs_ext_inspect),
    .describe = h5_describe,
};
