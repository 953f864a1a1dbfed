/* Events from probabilities: hand-made rows, every format, every cut, a stop in between. */
#include <math.h>

#include "mambaseq/ext/checkpoint.h"
#include "support/fakehost.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_labels;

#define N 12
/* Rows of a tenth of a second at 1000 Hz: background, dog, cat. */
static const float rows[N][3] = {{0.9f, 0.1f, 0},   {0.3f, 0.6f, 0.1f},  {0.4f, 0.45f, 0.2f}, {0.6f, 0.3f, 0.1f},
                                 {0.3f, 0.7f, 0},   {0.9f, 0.1f, 0.55f}, {1, 0, 0.1f},        {1, 0, 0},
                                 {0.1f, 0.8f, NAN}, {0.9f, 0, 0.1f},     {0.9f, 0, 0.1f},     {0.2f, 0.1f, 0.9f}};

static char out[4096];
static const char *classes = "background\tdog\tbig cat";
static const char *recording = "x";

static mbs_status to_stdout(const mbs_host *host, const void *data, size_t n) {
    (void)host;
    size_t at = strlen(out);
    CHECK(at + n < sizeof(out));
    memcpy(out + at, data, n);
    out[at + n] = '\0';
    return MBS_OK;
}

static mbs_status no_file(const mbs_host *host, const char *path, uint32_t flags, const char *suffix,
                          const char **temp) {
    (void)host;
    (void)flags;
    (void)suffix;
    CHECK_STR(path, "-");
    *temp = NULL;
    return MBS_OK;
}

typedef struct writing {
    fake_host h;
    const mbs_writer_vt *vt;
    void *self;
    mbs_attr attrs[2];
    mbs_source source;
    mbs_stream_header header;
    mbs_record record;
} writing;

static mbs_status begin(writing *w, const char *const *params) {
    out[0] = '\0';
    fake_init(&w->h, mbs_plugin_entry_labels.descriptors[0]);
    w->h.host.output = no_file;
    w->h.host.stdout_write = to_stdout;
    fake_set(&w->h, "path", "-");
    int told = 0;
    for (; *params; params += 2) {
        told |= strcmp(params[0], "threshold") == 0;
        fake_set(&w->h, params[0], params[1]);
    }
    if (!told) {
        fake_set(&w->h, "threshold", "0.5");
    }
    w->vt = mbs_plugin_entry_labels.descriptors[0]->vt;
    w->attrs[0] = (mbs_attr){"labels", classes};
    w->attrs[1] = (mbs_attr){"model_sha256", "ab12"};
    w->source.path = "a/x.wav";
    w->header = (mbs_stream_header){.struct_size = (uint32_t)sizeof(mbs_stream_header),
                                    .type = "class/f32",
                                    .unit = "sample",
                                    .rate = 1000,
                                    .channels = 1,
                                    .n_records = -1,
                                    .n_units = -1,
                                    .n_sources = 1,
                                    .sources = &w->source,
                                    .n_attrs = 2,
                                    .attrs = w->attrs};
    w->record =
        (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .strand = '.', .name = recording, .length = -1};
    mbs_status st = w->vt->create(&w->h.host, fake_params(&w->h), &w->self);
    return st == MBS_OK ? w->vt->open(w->self, &w->header) : st;
}

static mbs_status feed(writing *w, int from, int to, int cut) {
    mbs_status st = MBS_OK;
    for (int at = from; at < to && st == MBS_OK; at += cut) {
        int n = to - at < cut ? to - at : cut;
        int64_t shape[2] = {n, 3};
        mbs_block *b = fake_block_new(&w->h.host, "class/f32", MBS_F32, 2, shape);
        memcpy(b->data, rows[at], (size_t)n * sizeof(rows[0]));
        b->record = &w->record;
        b->start = at * 100;
        b->end = (at + n) * 100;
        b->flags = (at == 0 ? MBS_SEQ_START : 0) | (at + n == N ? MBS_SEQ_END : 0);
        st = w->vt->write(w->self, b);
        fake_block_unref(&w->h.host, b);
    }
    return st;
}

static void end(writing *w) {
    w->vt->destroy(w->self);
    fake_end(&w->h);
}

static void gives(const char *const *params, const char *want) {
    for (int cut = 1; cut <= N; cut += 3) {
        writing w;
        CHECK_INT(begin(&w, params), MBS_OK);
        CHECK_INT(feed(&w, 0, N, cut), MBS_OK);
        CHECK_INT(w.vt->drain(w.self), MBS_OK);
        CHECK_INT(w.vt->close(w.self), MBS_OK);
        CHECK_STR(out, want);
        end(&w);
    }
}

#define P(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Row 2 (0.45) lies within the hysteresis and goes on; row 3 ends it; NaN is below everything. */
MBS_TEST(labels, where_events_begin_and_end) {
    gives(P("format", "audacity", "ignore", "background"),
          "0.100000\t0.300000\tdog\n0.400000\t0.500000\tdog\n0.500000\t0.600000\tbig cat\n0.800000\t0.900000\tdog\n"
          "1.100000\t1.200000\tbig cat\n");
    gives(P("format", "audacity", "ignore", "background", "hysteresis", "0"),
          "0.100000\t0.200000\tdog\n0.400000\t0.500000\tdog\n0.500000\t0.600000\tbig cat\n0.800000\t0.900000\tdog\n"
          "1.100000\t1.200000\tbig cat\n");
    gives(
        P("format", "audacity", "ignore", "background", "max_gap", "0.1"),
        "0.100000\t0.500000\tdog\n0.500000\t0.600000\tbig cat\n0.800000\t0.900000\tdog\n1.100000\t1.200000\tbig cat\n");
    gives(P("format", "audacity", "ignore", "background", "max_gap", "0.1", "min_duration", "0.15"),
          "0.100000\t0.500000\tdog\n");
    gives(P("format", "audacity", "ignore", "background", "threshold", "0.75", "threshold", "big cat=0.5"),
          "0.500000\t0.600000\tbig cat\n0.800000\t0.900000\tdog\n1.100000\t1.200000\tbig cat\n");
}

MBS_TEST(labels, formats) {
    const char *some = "0.85";
    gives(P("format", "rttm", "threshold", some, "ignore", "background"),
          "SPEAKER x 1 1.100000 0.100000 <NA> <NA> big_cat 0.900000 <NA>\n");
    gives(P("format", "srt", "threshold", some, "ignore", "background"),
          "1\n00:00:01,100 --> 00:00:01,200\nbig cat\n\n");
    gives(P("format", "raven", "threshold", some, "ignore", "background"),
          "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\tScore\t"
          "Begin Path\n1\tSpectrogram 1\t1\t1.100000\t1.200000\t0\t500.000000\tbig cat\t0.900000\ta/x.wav\n");
    gives(
        P("format", "tsv", "threshold", some, "ignore", "background"),
        "source\tname\tstart\tend\tlabel\tscore\tpeak\tthreshold\thysteresis\tmin_duration\tmax_gap\tmodel_sha256\n"
        "a/x.wav\tx\t1.100000\t1.200000\tbig cat\t0.900000\t0.900000\t0.850000\t0.100000\t0.000000\t0.000000\tab12\n");
    gives(
        P("format", "jsonl", "threshold", some, "ignore", "background"),
        "{\"source\":\"a/x.wav\",\"name\":\"x\",\"start\":1.100000,\"end\":1.200000,\"label\":\"big cat\","
        "\"score\":0.900000,\"peak\":0.900000,\"threshold\":0.850000,\"hysteresis\":0.100000,\"min_duration\":0.000000,"
        "\"max_gap\":0.000000,\"model_sha256\":\"ab12\"}\n");
}

/* What would end a field, or look like the line of times, in the name of a class or of a recording. */
MBS_TEST(labels, names_that_break_lines) {
    classes = "background\ta --> b--->\nc\td e\xc2\xa0"
              "f\xe2\x80\x83g\xe3\x80\x80"
              "\xc3\xa9";
    recording = "";
    gives(P("format", "srt", "threshold", "0.65", "ignore", "background"),
          "1\n00:00:00,400 --> 00:00:00,500\na -- > b--- >_c\n\n2\n00:00:00,800 --> 00:00:00,900\na -- > b--- >_c\n\n"
          "3\n00:00:01,100 --> 00:00:01,200\nd e\xc2\xa0"
          "f\xe2\x80\x83g\xe3\x80\x80"
          "\xc3\xa9\n\n");
    gives(P("format", "rttm", "threshold", "0.85", "ignore", "background"),
          "SPEAKER _ 1 1.100000 0.100000 <NA> <NA> d_e_f_g_\xc3\xa9 0.900000 <NA>\n");
    gives(P("format", "audacity", "threshold", "0.75", "ignore", "background"),
          "0.800000\t0.900000\ta --> b--->_c\n1.100000\t1.200000\td e\xc2\xa0"
          "f\xe2\x80\x83g\xe3\x80\x80"
          "\xc3\xa9\n");
    classes = "background\tdog\t  ";
    gives(P("format", "srt", "threshold", "0.85", "ignore", "background"), "1\n00:00:01,100 --> 00:00:01,200\n_\n\n");
    classes = "background\tdog\tbig cat";
    recording = "x";
}

/* What is said of one class holds for it, before or behind what is said of all. */
MBS_TEST(labels, thresholds_in_any_order) {
    gives(P("format", "audacity", "ignore", "background", "threshold", "big cat=0.5", "threshold", "0.75"),
          "0.500000\t0.600000\tbig cat\n0.800000\t0.900000\tdog\n1.100000\t1.200000\tbig cat\n");
}

/* A class that goes on from the beginning holds the others back, and they come in order. */
MBS_TEST(labels, in_order_of_beginnings) {
    gives(P("format", "audacity", "max_gap", "60"),
          "0.000000\t1.100000\tbackground\n0.100000\t0.900000\tdog\n0.500000\t1.200000\tbig cat\n");
}

MBS_TEST(labels, refusals) {
    writing w;
    CHECK_INT(begin(&w, P("ignore", "cow")), MBS_ERR_CONFIG);
    CHECK(strstr(w.h.why, "no class 'cow'") && strstr(w.h.hint, "background, dog, big cat"), "%s", w.h.why);
    end(&w);
    CHECK_INT(begin(&w, P("threshold", "0.5", "threshold", "0.6")), MBS_ERR_CONFIG); /* which of them? */
    end(&w);
    CHECK_INT(begin(&w, P("threshold", "dog=0.5", "threshold", "0.7", "threshold", "dog=0.6")), MBS_ERR_CONFIG);
    end(&w);
    CHECK_INT(begin(&w, P("threshold", "dog=2")), MBS_ERR_CONFIG);
    CHECK(strstr(w.h.why, "no probability"), "%s", w.h.why);
    end(&w);
    CHECK_INT(begin(&w, P("format", "srt")), MBS_OK);
    CHECK_INT(feed(&w, 0, N, N), MBS_OK);
    CHECK_INT(feed(&w, 0, N, N), MBS_ERR_CONFIG);
    CHECK(strstr(w.h.why, "one recording") && strstr(w.h.hint, "{stem}"), "%s", w.h.why);
    end(&w);
}
