/* The HDF5 writer: the chunk law on bytes, the content as the library reads it, resume, memory, failing outputs. */
#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/stop.h"
#include "mambaseq/ext/inspect.h"
#include "plugins/io/rig.h"
#include "support/test.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_hdf5;

static const mbs_descriptor *hdf5(void) {
    return mbs_plugin_entry_hdf5.descriptors[0];
}

/* 65,536 values a chunk: some records end inside of one, one at its end, one covers more than one. */
static void mixed(int64_t i, rig_record *r) {
    static const int64_t rows[] = {5, 0, 65531, 1, 70000, 100};
    r->rows = rows[i % 6];
    r->start = i * 1000;
    r->strand = i % 3 == 2 ? '-' : 0;
    r->source = i % 4 == 3 ? 7 : (int32_t)(i % 2);
}

static void small(int64_t i, rig_record *r) {
    static const int64_t rows[] = {50, 0, 7, 1, 3000};
    r->rows = rows[i % 5];
    r->start = i * 10;
}

/* The first label comes late, and not every record behind it has one. */
static const char *labels(int64_t i) {
    return i < 3 || i == 6 ? NULL : i % 2 ? "odd" : "even \xff";
}

static const mbs_attr unit_base[] = {{"unit", "base"}, {"model_sha256", "9f"}, {"odd \xff key", "odd \xff value"}};

static const struct law {
    const char *path; /* of the main dataset */
    rig_stream s;
} laws[] = {
    {"/score/logprob",
     {.type = "score/f32",
      .dtype = MBS_F32,
      .width = 1,
      .n_records = 6,
      .record = mixed,
      .attrs = unit_base,
      .n_attrs = 3}},
    {"/logits", {.type = "logits/f32", .dtype = MBS_F32, .width = 16, .n_records = 10, .record = small}},
    {"/embedding", {.type = "embedding/f32", .dtype = MBS_F32, .width = 7, .n_records = 10, .record = small}},
    {"/embedding",
     {.type = "embedding/f32", .dtype = MBS_F32, .width = 70000, .n_records = 3, .record = small, .pooled = 1}},
    {"/class/prob", {.type = "class/f32", .dtype = MBS_F32, .width = 3, .n_records = 10, .record = small, .pooled = 1}},
    {"/generated/sequence", {.type = "bases/u8", .dtype = MBS_U8, .n_records = 10, .record = small, .generate = 1}},
    {"/bases", {.type = "bases/u8", .dtype = MBS_U8, .n_records = 6, .record = mixed}},
    {"/tokens", {.type = "tokens/i32", .dtype = MBS_I32, .n_records = 10, .record = small}},
    {"/rows",
     {.type = "frames/f32",
      .dtype = MBS_F32,
      .width = 4,
      .rate = 16000,
      .hop = 160,
      .interval = 1,
      .n_records = 10,
      .record = small}},
    {"/class/prob",
     {.type = "class/f32",
      .dtype = MBS_F32,
      .width = 3,
      .n_records = 10,
      .record = small,
      .pooled = 1,
      .label = labels}},
};
#define N_LAWS ((int)(sizeof laws / sizeof laws[0]))

MBS_TEST(hdf5, bytes_do_not_depend_on_cuts_or_place) {
    for (int i = 0; i < N_LAWS; i++) {
        static const int64_t cuts[] = {1, 7, 4096, INT64_MAX};
        char folder[2][400], path[2][512];
        rig_folder(folder[0], sizeof folder[0]);
        rig_folder(folder[1], sizeof folder[1]);
        snprintf(path[0], sizeof path[0], "%s/a.h5", folder[0]);
        snprintf(path[1], sizeof path[1], "%s/a-much-longer-name.h5", folder[1]);
        rig_make(hdf5(), path[0], NULL, &laws[i].s, 1000);
        for (size_t c = 0; c < 4; c++) {
            rig_make(hdf5(), path[1], NULL, &laws[i].s, cuts[c]);
            CHECK(rig_same(path[0], path[1]), "%s: cut %lld", laws[i].path, (long long)cuts[c]);
        }
        rig_folder_remove(folder[0]);
        rig_folder_remove(folder[1]);
    }
}

/* ---- content ---- */

typedef struct opened {
    char folder[400];
    char path[512];
    hid_t file;
} opened;

static void make_and_open(opened *o, const char *const *sets, const rig_stream *s) {
    rig_folder(o->folder, sizeof o->folder);
    snprintf(o->path, sizeof o->path, "%s/r.h5", o->folder);
    rig_make(hdf5(), o->path, sets, s, 100);
    o->file = H5Fopen(o->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    CHECK(o->file >= 0);
}

static void close_and_remove(opened *o) {
    H5Fclose(o->file);
    rig_folder_remove(o->folder);
}

/* The whole dataset as `type`; its shape in dims (dims[1] = 0 for one dimension). */
static void *read_all(hid_t file, const char *path, hid_t type, size_t element, hsize_t dims[2]) {
    hid_t id = H5Dopen2(file, path, H5P_DEFAULT);
    CHECK(id >= 0, "%s", path);
    hid_t space = H5Dget_space(id);
    int ndim = H5Sget_simple_extent_ndims(space);
    CHECK(ndim == 1 || ndim == 2, "%s: %d dimensions", path, ndim);
    dims[1] = 0;
    H5Sget_simple_extent_dims(space, dims, NULL);
    size_t n = (size_t)(dims[0] * (ndim == 2 ? dims[1] : 1));
    void *data = calloc(n + 1, element);
    CHECK(H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0, "%s", path);
    H5Sclose(space);
    H5Dclose(id);
    return data;
}

static int64_t *read_i64(hid_t file, const char *path, int64_t n) {
    hsize_t dims[2];
    int64_t *v = read_all(file, path, H5T_NATIVE_INT64, 8, dims);
    CHECK((int64_t)dims[0] == n && dims[1] == 0, "%s has %lld values", path, (long long)dims[0]);
    return v;
}

static void check_records(hid_t file, const rig_stream *s) {
    int64_t n = s->n_records, at = 0;
    int64_t *source = read_i64(file, "/records/source", n), *start = read_i64(file, "/records/start", n);
    int64_t *length = read_i64(file, "/records/length", n), *offset = read_i64(file, "/records/offset", n + 1);
    hsize_t dims[2];
    hid_t type = H5Tcopy(H5T_C_S1);
    char *strand = read_all(file, "/records/strand", type, 1, dims);
    for (int64_t i = 0; i < n; i++) {
        rig_record r;
        rig_get_record(s, i, &r);
        CHECK_INT(start[i], r.start);
        CHECK_INT(length[i], r.rows * (s->hop ? s->hop : 1));
        CHECK_INT(source[i], r.source == 7 ? -1 : r.source);
        CHECK_INT(strand[i], r.strand ? r.strand : '+');
        CHECK_INT(offset[i], at);
        at += s->pooled ? 1 : r.rows;
    }
    CHECK_INT(offset[n], at);
    H5Tclose(type);
    free(source);
    free(start);
    free(length);
    free(offset);
    free(strand);
}

static void check_rows(hid_t file, const char *path, const rig_stream *s) {
    hsize_t dims[2];
    double *v = read_all(file, path, H5T_NATIVE_DOUBLE, 8, dims);
    int64_t width = s->width ? s->width : 1, at = 0;
    CHECK_INT(dims[1], s->width > 1 ? s->width : 0);
    for (int64_t i = 0; i < s->n_records; i++) {
        rig_record r;
        rig_get_record(s, i, &r);
        for (int64_t row = 0; row < (s->pooled ? 1 : r.rows); row++, at++) {
            for (int64_t c = 0; c < width; c++) {
                double want = rig_value(s, i, row, c), got = v[at * width + c];
                CHECK((isnan(want) && isnan(got)) || want == got, "%s record %lld row %lld", path, (long long)i,
                      (long long)row);
            }
        }
    }
    CHECK_INT(dims[0], at);
    free(v);
}

MBS_TEST(hdf5, content_is_what_was_written) {
    static const char *const ways[3][3] = {{NULL}, {"compression", "none", NULL}, {"level", "9", NULL}};
    for (int i = 0; i < N_LAWS; i++) {
        for (int way = 0; way < (i == 0 ? 3 : 1); way++) {
            opened o;
            make_and_open(&o, ways[way], &laws[i].s);
            check_records(o.file, &laws[i].s);
            check_rows(o.file, laws[i].path, &laws[i].s);
            close_and_remove(&o);
        }
    }
}

static void check_attr(hid_t file, const char *key, const char *want) {
    hid_t id = H5Aopen(file, key, H5P_DEFAULT);
    CHECK(id >= 0, "%s", key);
    hid_t type = H5Aget_type(id);
    char *text = NULL;
    CHECK(H5Tis_variable_str(type) > 0 && H5Aread(id, type, &text) >= 0);
    CHECK_STR(text, want);
    H5free_memory(text);
    H5Tclose(type);
    H5Aclose(id);
}

MBS_TEST(hdf5, attributes_and_storage) {
    opened o;
    make_and_open(&o, NULL, &laws[0].s);
    int64_t format = 0;
    hid_t id = H5Aopen(o.file, "format", H5P_DEFAULT);
    CHECK(id >= 0 && H5Aread(id, H5T_NATIVE_INT64, &format) >= 0);
    H5Aclose(id);
    CHECK_INT(format, 1);
    check_attr(o.file, "pipeline", "mambaseq: 1\nreader: {plugin: fasta}");
    check_attr(o.file, "model_sha256", "9f");
    check_attr(o.file, "odd \xff key", "odd \\xff value");
    id = H5Dopen2(o.file, "/score/logprob", H5P_DEFAULT);
    hid_t dcpl = H5Dget_create_plist(id);
    hsize_t chunk = 0;
    CHECK_INT(H5Pget_chunk(dcpl, 1, &chunk), 1);
    CHECK_INT(chunk, 65536);
    CHECK_INT(H5Pget_nfilters(dcpl), 2);
    H5Pclose(dcpl);
    H5O_info_t info;
    CHECK(H5Oget_info1(id, &info) >= 0);
    CHECK_INT(info.mtime, 0);
    CHECK_INT(info.ctime, 0);
    H5Dclose(id);
    close_and_remove(&o);
}

MBS_TEST(hdf5, generated_sound_and_intervals) {
    opened o;
    hsize_t dims[2];
    make_and_open(&o, NULL, &laws[5].s);
    int64_t *token = read_i64(o.file, "/generated/token", 6116);
    float *logprob = read_all(o.file, "/generated/logprob", H5T_NATIVE_FLOAT, 4, dims);
    CHECK_INT(dims[0], 6116);
    CHECK(token[49] == 49 && token[50] == 0 && token[57] == 0 && token[58] == 0 && token[3057] == 2999);
    CHECK(logprob[49] == -24.5f);
    free(token);
    free(logprob);
    CHECK(H5Lexists(o.file, "/interval", H5P_DEFAULT) == 0);
    CHECK(H5Lexists(o.file, "/records/hop", H5P_DEFAULT) == 0);
    close_and_remove(&o);
    make_and_open(&o, NULL, &laws[8].s);
    int64_t *hop = read_i64(o.file, "/records/hop", 10);
    CHECK(hop[0] == 160 && hop[1] == 0 && hop[2] == 160 && hop[3] == 240, "%lld", (long long)hop[3]);
    double *rate = read_all(o.file, "/records/unit_rate", H5T_NATIVE_DOUBLE, 8, dims);
    CHECK(dims[0] == 10 && rate[9] == 16000);
    int64_t *iv = read_all(o.file, "/interval", H5T_NATIVE_INT64, 8, dims);
    CHECK(dims[0] == 6116 && dims[1] == 2 && iv[2] == 160 && iv[3] == 400);
    free(hop);
    free(rate);
    free(iv);
    close_and_remove(&o);
}

MBS_TEST(hdf5, nothing_and_next_to_nothing) {
    static const rig_record none[] = {{"a", 0, 5, 0, 0}, {"", 0, 0, 0, 0}};
    for (int i = 0; i < N_LAWS; i++) {
        for (int n = 0; n <= 2; n += 2) {
            rig_stream s = laws[i].s;
            hsize_t dims[2];
            opened o;
            s.n_records = n;
            s.records = none;
            s.pooled = 0;
            make_and_open(&o, NULL, &s);
            check_records(o.file, &s);
            float *v = read_all(o.file, laws[i].path, H5T_NATIVE_FLOAT, 4, dims);
            CHECK_INT(dims[0], 0);
            free(v);
            close_and_remove(&o);
        }
    }
}

/* ---- names ---- */

static char long_name[600];

static void named(int64_t i, rig_record *r) {
    static const char *const names[] = {"", "gr\xc3\xbc\xc3\x9f", "bad\xff", "tab\t", "x"};
    r->name = i == 4 && long_name[0] ? long_name : names[i % 5];
    r->rows = 1;
}

static void long_named(int64_t i, rig_record *r) {
    r->name = long_name + (i % 50) * 10;
    r->rows = 1;
}

static void check_names(const char *longest) {
    rig_stream s = {.type = "tokens/i32", .dtype = MBS_I32, .n_records = 5, .record = named};
    opened o;
    make_and_open(&o, NULL, &s);
    hid_t id = H5Dopen2(o.file, "/records/name", H5P_DEFAULT);
    hid_t stored = H5Dget_type(id), type = H5Tcopy(H5T_C_S1);
    CHECK((H5Tis_variable_str(stored) > 0) == (longest != NULL));
    CHECK(H5Tget_cset(stored) == H5T_CSET_UTF8);
    const char *want[] = {"", "gr\xc3\xbc\xc3\x9f", "bad\\xff", "tab\t", longest ? longest : "x"};
    if (longest) {
        char *got[5];
        CHECK(H5Dread(id, stored, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
        for (int i = 0; i < 5; i++) {
            CHECK_STR(got[i], want[i]);
            H5free_memory(got[i]);
        }
    } else {
        char got[5][16];
        H5Tset_size(type, 16);
        H5Tset_cset(type, H5T_CSET_UTF8);
        CHECK_INT(H5Tget_size(stored), 7);
        CHECK(H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
        for (int i = 0; i < 5; i++) {
            CHECK_STR(got[i], want[i]);
        }
    }
    H5Tclose(type);
    H5Tclose(stored);
    H5Dclose(id);
    close_and_remove(&o);
}

MBS_TEST(hdf5, names) {
    check_names(NULL);
    memset(long_name, 'n', sizeof long_name - 1);
    check_names(long_name);
}

/* ---- resume ---- */

static void make_with_crashes(const char *path, const rig_stream *s, int64_t cut, int64_t every) {
    rig_place at = {0, 0};
    mbs_buf saved = MBS_BUF_INIT;
    for (int resumed = 0, done = 0; !done; resumed = 1) {
        rig r;
        CHECK_INT(rig_new(&r, hdf5(), path, NULL, resumed), MBS_OK);
        CHECK(mbs_instance_can_checkpoint(r.writer));
        CHECK(!resumed || mbs_instance_restore(r.writer, saved.data, saved.len, &r.err) == MBS_OK, "%s", r.err.what);
        CHECK(rig_open(&r, s) == MBS_OK, "%s", r.err.what);
        CHECK_INT(rig_feed(&r, s, cut, every, &at), MBS_OK);
        done = at.record == s->n_records;
        mbs_buf_clear(&saved);
        CHECK(done || mbs_instance_save(r.writer, &saved, &r.err) == MBS_OK, "%s", r.err.what);
        if (done) {
            CHECK(rig_finish(&r) == MBS_OK, "%s", r.err.what);
            rig_free(&r);
        } else {
            rig_place lost = at;
            CHECK_INT(rig_feed(&r, s, cut, 4, &lost), MBS_OK);
            if (lost.record == s->n_records) { /* died while the file was built */
                CHECK_INT(mbs_writer_drain(r.writer, &r.err), MBS_OK);
            }
            rig_crash(&r);
        }
    }
    mbs_buf_free(&saved);
}

MBS_TEST(hdf5, resumed_bytes_are_the_same) {
    for (int i = 0; i < N_LAWS; i++) {
        char folder[400], path[2][512];
        rig_folder(folder, sizeof folder);
        snprintf(path[0], sizeof path[0], "%s/whole.h5", folder);
        snprintf(path[1], sizeof path[1], "%s/resumed.h5", folder);
        rig_make(hdf5(), path[0], NULL, &laws[i].s, 1000);
        for (int64_t every = 1; every <= 9; every += 4) {
            make_with_crashes(path[1], &laws[i].s, 9000 - 2000 * every / 3, every);
            CHECK(rig_same(path[0], path[1]), "%s: every %lld", laws[i].path, (long long)every);
        }
        rig_folder_remove(folder);
    }
}

MBS_TEST(hdf5, a_spool_that_became_shorter_is_refused) {
    char folder[400], path[512], spool[512];
    rig r;
    rig_place at = {0, 0};
    mbs_buf saved = MBS_BUF_INIT;
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/s.h5", folder);
    snprintf(spool, sizeof spool, "%s/.s.h5.mbs-rows", folder);
    CHECK_INT(rig_new(&r, hdf5(), path, NULL, 0), MBS_OK);
    CHECK_INT(rig_open(&r, &laws[0].s), MBS_OK);
    CHECK_INT(rig_feed(&r, &laws[0].s, 4096, 20, &at), MBS_OK);
    CHECK_INT(mbs_instance_save(r.writer, &saved, &r.err), MBS_OK);
    rig_crash(&r);
    CHECK_INT(truncate(spool, 1000), 0);
    CHECK_INT(rig_new(&r, hdf5(), path, NULL, 1), MBS_OK);
    CHECK_INT(mbs_instance_restore(r.writer, saved.data, saved.len, &r.err), MBS_OK);
    CHECK_INT(rig_open(&r, &laws[0].s), MBS_ERR_DATA);
    CHECK(strstr(r.err.what, "1000 bytes") != NULL, "%s", r.err.what);
    CHECK(strstr(r.err.fix, "--resume") != NULL, "%s", r.err.fix);
    rig_free(&r);
    CHECK_INT(rig_new(&r, hdf5(), path, NULL, 0), MBS_OK);
    CHECK_INT(mbs_instance_restore(r.writer, saved.data, saved.len / 2, &r.err), MBS_ERR_DATA);
    rig_free(&r);
    mbs_buf_free(&saved);
    rig_folder_remove(folder);
}

/* ---- memory ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
static const int sanitized = 1;
#else
static const int sanitized = 0;
#endif

static void read_like(int64_t i, rig_record *r) {
    static char name[64];
    snprintf(name, sizeof name, "SRR1234567.%lld", (long long)i);
    r->name = name;
    r->rows = 3;
}

typedef struct memory_case {
    char path[512];
    rig_stream s;
} memory_case;

static int make_and_tell_memory(void *ctx) {
    memory_case *m = ctx;
    struct rusage use;
    rig r;
    mbs_status st = rig_try(&r, hdf5(), m->path, NULL, &m->s, 65536);
    getrusage(RUSAGE_SELF, &use);
    dprintf(1, "%ld", use.ru_maxrss);
    return -st;
}

static long memory_of(memory_case *m) {
    char text[200];
    CHECK_INT(rig_child(make_and_tell_memory, m, text, sizeof text), 0);
    return strtol(text, NULL, 10);
}

static void one_long(int64_t i, rig_record *r) {
    r->rows = 100000 + i;
}

static void one_longer(int64_t i, rig_record *r) {
    r->rows = 8000000 + i;
}

MBS_TEST(hdf5, memory_is_flat) {
    char folder[400];
    rig_folder(folder, sizeof folder);
    memory_case m = {
        .s = {.type = "score/f32", .dtype = MBS_F32, .width = 1, .n_records = 200000, .record = read_like}};
    snprintf(m.path, sizeof m.path, "%s/m.h5", folder);
    long few = memory_of(&m);
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    m.s.n_records = 1000000;
    long many = memory_of(&m);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    m.s.n_records = 1;
    m.s.record = one_long;
    long part = memory_of(&m);
    m.s.record = one_longer;
    long whole = memory_of(&m);
    rig_folder_remove(folder);
    printf("KiB: 200k records %ld, 1M %ld (%.1f s); 100k rows %ld, 8M rows %ld\n", few, many,
           (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec), part, whole);
    if (sanitized) {
        return; /* the sanitizer keeps what was freed */
    }
    CHECK(many - few < 2048, "%ld KiB for 200k records, %ld for 1M", few, many);
    CHECK(whole - part < 2048, "%ld KiB for 100k rows, %ld for 8M", part, whole);
}

/* ---- outputs that fail ---- */

typedef struct limited {
    const char *path;
    const char *const *sets;
    const rig_stream *s;
    rlim_t bytes;
    int late;
} limited;

/* The limit holds from the start, or from the build on: the spools are written then. */
static int make_limited(void *ctx) {
    const limited *l = ctx;
    rig r;
    rig_place at = {0, 0};
    mbs_buf saved = MBS_BUF_INIT;
    struct rlimit limit = {l->bytes, l->bytes};
    signal(SIGXFSZ, SIG_IGN);
    mbs_status st = rig_new(&r, hdf5(), l->path, l->sets, 0);
    if (!l->late) {
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    st = st < 0 ? st : rig_open(&r, l->s);
    st = st < 0 ? st : rig_feed(&r, l->s, 4096, -1, &at);
    if (l->late) {
        st = st < 0 ? st : mbs_instance_save(r.writer, &saved, &r.err);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    st = st < 0 ? st : rig_finish(&r);
    dprintf(1, "%s", r.err.what);
    mbs_buf_free(&saved);
    rig_free(&r);
    H5close();
    return -st;
}

/* Limits from nothing to the whole file, with one of before in its place. HDF5's own driver crashes when the file is
 * closed after most of these. */
static void check_limits(const rig_stream *s, const char *const *sets, int late) {
    char folder[400], path[512], text[4000];
    struct stat st;
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/l.h5", folder);
    rig_make(hdf5(), path, sets, s, 4096);
    CHECK(stat(path, &st) == 0);
    limited l = {path, sets, s, 0, late};
    for (int step = 0; step <= 26; step++) {
        off_t back = (off_t)1 << (step < 15 ? step * 4 / 3 : 20);
        off_t bytes = step <= 15 ? st.st_size - back : st.st_size * (step - 16) / 11;
        l.bytes = bytes > 0 ? (rlim_t)bytes : 0;
        int rc = rig_child(make_limited, &l, text, sizeof text);
        CHECK(rc == 74, "a limit of %lld of %lld bytes ended with %d: %s", (long long)l.bytes, (long long)st.st_size,
              rc, text);
        CHECK(strstr(text, "File too large") && strstr(text, "l.h5"), "%s", text);
        struct stat after;
        CHECK(stat(path, &after) == 0 && after.st_size == st.st_size && after.st_ino == st.st_ino);
    }
    l.bytes = (rlim_t)st.st_size;
    l.late = 1;
    CHECK_INT(rig_child(make_limited, &l, text, sizeof text), 0);
    rig_folder_remove(folder);
}

static const char *const no_compression[] = {"compression", "none", NULL};

MBS_TEST(hdf5, any_limit_on_the_spools_is_told) {
    check_limits(&laws[2].s, no_compression, 0);
    check_limits(&laws[0].s, no_compression, 0);
}

MBS_TEST(hdf5, any_limit_on_the_build_is_told) {
    check_limits(&laws[0].s, NULL, 1);
    check_limits(&laws[2].s, no_compression, 1);
    check_limits(&laws[8].s, NULL, 1);
    static const rig_stream many = {.type = "tokens/i32", .dtype = MBS_I32, .n_records = 20000, .record = long_named};
    memset(long_name, 'n', sizeof long_name - 1);
    check_limits(&many, NULL, 1);
}

MBS_TEST(hdf5, a_full_device_is_told) {
    if (access("/dev/full", W_OK) != 0) {
        SKIP("no /dev/full here");
    }
    rig r;
    mbs_status st = rig_try(&r, hdf5(), "/dev/full", NULL, &laws[1].s, 4096);
    CHECK_INT(st, MBS_ERR_IO);
    CHECK(strstr(r.err.what, "No space left on device") != NULL, "%s", r.err.what);
}

MBS_TEST(hdf5, standard_output_is_refused) {
    rig r;
    CHECK_INT(rig_new(&r, hdf5(), "-", NULL, 0), MBS_ERR_CONFIG);
    CHECK(strstr(r.err.what, "standard output") != NULL, "%s", r.err.what);
    rig_free(&r);
}

MBS_TEST(hdf5, every_allocation_may_fail) {
    static const rig_record two[] = {{"a", 9, 0, 0, 0}, {"b", 2, 0, 0, 0}};
    rig_stream s = {.type = "class/f32", .dtype = MBS_F32, .width = 2, .rate = 2, .n_records = 2, .records = two};
    CHECK(rig_survives_oom(hdf5(), &s, "o.h5") > 5);
}

MBS_TEST(hdf5, stops_while_building) {
    char folder[400], path[512];
    rig r;
    rig_place at = {0, 0};
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/s.h5", folder);
    CHECK_INT(rig_new(&r, hdf5(), path, NULL, 0), MBS_OK);
    CHECK_INT(rig_open(&r, &laws[0].s), MBS_OK);
    CHECK_INT(rig_feed(&r, &laws[0].s, 4096, -1, &at), MBS_OK);
    mbs_stop_request(SIGTERM);
    CHECK_INT(mbs_writer_drain(r.writer, &r.err), MBS_ERR_STOPPED);
    mbs_stop_request(0);
    rig_free(&r);
    rig_folder_remove(folder);
}

/* ---- inspect ---- */

typedef struct facts {
    mbs_buf text;
} facts;

static void put_fact(void *sink, const char *key, const char *value) {
    facts *f = sink;
    mbs_buf_printf(&f->text, "%s: %s\n", key, value);
}

MBS_TEST(hdf5, inspect_tells_what_a_file_holds) {
    opened o;
    facts f = {MBS_BUF_INIT};
    mbs_err err;
    mbs_err_clear(&err);
    make_and_open(&o, NULL, &laws[0].s);
    double sum = 0;
    int64_t scored = 0;
    for (int64_t i = 0; i < laws[0].s.n_records; i++) {
        rig_record r;
        rig_get_record(&laws[0].s, i, &r);
        for (int64_t row = 0; row < r.rows; row++) {
            double v = rig_value(&laws[0].s, i, row, 0);
            sum += isnan(v) ? 0 : v;
            scored += !isnan(v);
        }
    }
    CHECK(mbs_descriptor_describe(hdf5(), o.path, put_fact, &f, &err) == MBS_OK, "%s", err.what);
    char want[400];
    snprintf(want, sizeof want,
             "format: 1\ntask: none\nrecords: 6\ntokens: 135637\nscored: %lld\nbits_per_base: %.6f\n"
             "/score/logprob: f32 (135637), chunks of 65536, shuffle, gzip 4\n/sources/path: text (2)\n",
             (long long)scored, -sum / (double)scored / log(2));
    CHECK(strncmp(f.text.data, want, strlen(want)) == 0, "%s\nis not\n%s", f.text.data, want);
    CHECK(strstr(f.text.data, "pipeline: mambaseq: 1\n") != NULL, "%s", f.text.data);
    mbs_buf_free(&f.text);
    close_and_remove(&o);
}

static int describe_damaged(void *ctx) {
    facts f = {MBS_BUF_INIT};
    mbs_err err;
    mbs_err_clear(&err);
    mbs_status st = mbs_descriptor_describe(hdf5(), ctx, put_fact, &f, &err);
    dprintf(1, "%s", err.what);
    H5close();
    return -st;
}

MBS_TEST(hdf5, inspect_refuses_what_is_not_a_result) {
    char folder[400], path[512], text[4000];
    mbs_buf whole = MBS_BUF_INIT;
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/x.h5", folder);
    CHECK_INT(rig_child(describe_damaged, path, text, sizeof text), 66);
    CHECK_INT(rig_child(describe_damaged, folder, text, sizeof text), 65);
    rig_make(hdf5(), path, NULL, &laws[1].s, 4096);
    rig_read(path, &whole);
    for (size_t keep = 0; keep < whole.len; keep += 1 + whole.len / 23) {
        FILE *f = fopen(path, "w");
        CHECK(f && fwrite(whole.data, 1, keep, f) == keep && fclose(f) == 0);
        CHECK(rig_child(describe_damaged, path, text, sizeof text) == 65, "%zu bytes: %s", keep, text);
    }
    mbs_buf_free(&whole);
    hid_t other = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(other);
    CHECK_INT(rig_child(describe_damaged, path, text, sizeof text), 65);
    CHECK(strstr(text, "not a result of mambaseq") != NULL, "%s", text);
    rig_folder_remove(folder);
}

/* ---- another reader ---- */

static int run_python(void *ctx) {
    execl("/usr/bin/python3", "python3", MBS_SOURCE_DIR "/tests/plugins/io/read_h5.py", (const char *)ctx,
          (char *)NULL);
    return 77;
}

MBS_TEST(hdf5, h5py_reads_it_as_documented) {
    opened o;
    char text[4000];
    make_and_open(&o, NULL, &laws[0].s);
    int rc = rig_child(run_python, o.path, text, sizeof text);
    close_and_remove(&o);
    if (rc == 77) {
        SKIP("no h5py (Debian: python3-h5py)");
    }
    CHECK(rc == 0, "%s", text);
}
