/* The table writer: golden text of every task, the chunk law, resume, failing outputs. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugins/io/rig.h"
#include "support/test.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_table_writer;

static const mbs_descriptor *table(void) {
    return mbs_plugin_entry_table_writer.descriptors[0];
}

static const rig_record few[] = {
    {"chr1", 5, 0, 0, 0}, {"empty", 0, 7, 0, 0}, {"chr1", 3, 100, '-', 1}, {"one", 1, 0, 0, 1}};

static void golden(const rig_stream *s, const char *file, const char *const *sets, const char *want) {
    char folder[400], path[512];
    mbs_buf got = MBS_BUF_INIT;
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    for (int64_t cut = 1; cut <= 8; cut += 7) {
        rig_make(table(), path, sets, s, cut);
        rig_read(path, &got);
        CHECK(!got.failed && strcmp(mbs_buf_str(&got), want) == 0, "%s\nis not\n%s", mbs_buf_str(&got), want);
    }
    mbs_buf_free(&got);
    rig_folder_remove(folder);
}

/* What the columns must be, worked out here from the values themselves. */
static void score_line(const rig_stream *s, int64_t record, char *out, size_t size, double *bits) {
    rig_record r;
    rig_get_record(s, record, &r);
    double sum = 0;
    int scored = 0;
    for (int64_t i = 0; i < r.rows; i++) {
        double v = rig_value(s, record, i, 0);
        if (!isnan(v)) {
            sum += v;
            scored++;
        }
    }
    *bits = -sum / scored / log(2.0);
    if (scored) {
        snprintf(out, size, "%lld\t%d\t%.6f\t%.6f", (long long)r.rows, scored, *bits, exp(-sum / scored));
    } else {
        snprintf(out, size, "%lld\t0\tnan\tnan", (long long)r.rows);
    }
}

MBS_TEST(table, score_lines) {
    static const mbs_attr unit[] = {{"unit", "base"}};
    rig_stream s = {
        .type = "score/f32", .dtype = MBS_F32, .width = 1, .n_records = 4, .records = few, .attrs = unit, .n_attrs = 1};
    char line[4][200], want[1200];
    double bits[4];
    for (int i = 0; i < 4; i++) {
        score_line(&s, i, line[i], sizeof line[i], &bits[i]);
    }
    snprintf(want, sizeof want,
             "source\tname\tstart\tend\tlength\tscored\tbits_per_base\tperplexity\n"
             "a.fa\tchr1\t0\t5\t%s\na.fa\tempty\t7\t7\t%s\ndir/b c.fa\tchr1\t100\t103\t%s\ndir/b c.fa\tone\t0\t1\t%s\n",
             line[0], line[1], line[2], line[3]);
    golden(&s, "a.tsv", NULL, want);
    golden(&s, "a.unknown", NULL, want);
    golden(&s, "a.tsv", (const char *const[]){"header", "false", NULL}, strchr(want, '\n') + 1);
    CHECK(bits[0] > 0 && bits[0] < 4, "%f", bits[0]);
    snprintf(want, sizeof want,
             "{\"source\":\"a.fa\",\"name\":\"chr1\",\"start\":0,\"end\":5,\"length\":5,\"scored\":4,"
             "\"bits_per_base\":%.6f,\"perplexity\":%.6f}\n"
             "{\"source\":\"a.fa\",\"name\":\"empty\",\"start\":7,\"end\":7,\"length\":0,\"scored\":0,"
             "\"bits_per_base\":null,\"perplexity\":null}\n",
             bits[0], exp2(bits[0]));
    s.n_records = 2;
    golden(&s, "a.jsonl", NULL, want);
    golden(&s, "a.tsv", (const char *const[]){"format", "jsonl", NULL}, want);
}

MBS_TEST(table, unit_names_the_column) {
    rig_stream s = {.type = "score/f32", .dtype = MBS_F32, .width = 1};
    golden(&s, "a.tsv", NULL, "source\tname\tstart\tend\tlength\tscored\tbits_per_token\tperplexity\n");
    static const mbs_attr odd[] = {{"unit", "big word\t"}};
    s.attrs = odd;
    s.n_attrs = 1;
    golden(&s, "a.tsv", NULL, "source\tname\tstart\tend\tlength\tscored\tbits_per_big_word_\tperplexity\n");
}

MBS_TEST(table, says_what_ran) {
    static const mbs_attr ran[] = {{"unit", "base"}, {"arithmetic", "cpu/avx512/bf16"}, {"dtype", "int8"}};
    rig_stream s = {.type = "score/f32",
                    .dtype = MBS_F32,
                    .width = 1,
                    .n_records = 1,
                    .records = few + 1,
                    .attrs = ran,
                    .n_attrs = 3};
    golden(&s, "a.tsv", NULL,
           "source\tname\tstart\tend\tlength\tscored\tbits_per_base\tperplexity\tarithmetic\tdtype\n"
           "a.fa\tempty\t7\t7\t0\t0\tnan\tnan\tcpu/avx512/bf16\tint8\n");
    golden(&s, "a.jsonl", NULL,
           "{\"source\":\"a.fa\",\"name\":\"empty\",\"start\":7,\"end\":7,\"length\":0,\"scored\":0,"
           "\"bits_per_base\":null,\"perplexity\":null,\"arithmetic\":\"cpu/avx512/bf16\",\"dtype\":\"int8\"}\n");
}

MBS_TEST(table, rows_of_vectors) {
    rig_stream s = {.type = "embedding/f32", .dtype = MBS_F32, .width = 3, .n_records = 1, .records = few + 2};
    mbs_buf want = MBS_BUF_INIT;
    mbs_buf_puts(&want, "source\tname\tstart\tend\te0\te1\te2\n");
    for (int i = 0; i < 3; i++) {
        mbs_buf_printf(&want, "dir/b c.fa\tchr1\t%d\t%d", 100 + i, 101 + i);
        for (int c = 0; c < 3; c++) {
            char text[64];
            float v = (float)rig_value(&s, 0, i, c);
            for (int digits = 1; digits <= 9; digits++) {
                snprintf(text, sizeof text, "%.*g", digits, (double)v);
                if (strtof(text, NULL) == v) {
                    break;
                }
            }
            mbs_buf_printf(&want, "\t%s", text);
        }
        mbs_buf_putc(&want, '\n');
    }
    golden(&s, "e.tsv", NULL, mbs_buf_str(&want));
    mbs_buf_free(&want);
    s.n_records = 0;
    golden(&s, "e.tsv", NULL, "source\tname\tstart\tend\n");
    s.type = "logits/f32";
    s.n_records = 1;
    s.width = 2;
    s.records = few + 1;
    golden(&s, "l.tsv", NULL, "source\tname\tstart\tend\tl0\tl1\n");
    golden(&s, "l.json", NULL, "");
}

MBS_TEST(table, pooled_rows_cover_the_record) {
    static const rig_record one[] = {{"r", 1000, 50, 0, 0}};
    rig_stream s = {.type = "embedding/f32", .dtype = MBS_I32, .width = 2, .n_records = 1, .records = one, .pooled = 1};
    char want[200];
    snprintf(want, sizeof want,
             "{\"source\":\"a.fa\",\"name\":\"r\",\"start\":50,\"end\":1050,\"embedding\":[%d,%d]}\n",
             (int)rig_value(&s, 0, 0, 0), (int)rig_value(&s, 0, 0, 1));
    golden(&s, "p.jsonl", NULL, want);
}

MBS_TEST(table, sound_is_in_seconds) {
    static const rig_record one[] = {{"a.wav", 2, 16000, 0, 5}};
    rig_stream s = {
        .type = "rows/f32", .dtype = MBS_I64, .width = 1, .rate = 16000, .hop = 160, .n_records = 1, .records = one};
    char want[400];
    int v0 = (int)rig_value(&s, 0, 0, 0), v1 = (int)rig_value(&s, 0, 1, 0);
    snprintf(want, sizeof want,
             "source\tname\tstart\tend\tv0\n.\ta.wav\t1.000000\t1.010000\t%d\n.\ta.wav\t1.010000\t1.020000\t%d\n", v0,
             v1);
    golden(&s, "r.tsv", NULL, want);
    snprintf(want, sizeof want,
             "{\"source\":null,\"name\":\"a.wav\",\"start\":1.000000,\"end\":1.010000,\"values\":[%d]}\n"
             "{\"source\":null,\"name\":\"a.wav\",\"start\":1.010000,\"end\":1.020000,\"values\":[%d]}\n",
             v0, v1);
    golden(&s, "r.jsonl", NULL, want);
    s.interval = 1;
    snprintf(want, sizeof want,
             "source\tname\tstart\tend\tv0\n.\ta.wav\t1.000000\t1.015000\t%d\n.\ta.wav\t1.010000\t1.025000\t%d\n", v0,
             v1);
    golden(&s, "r.tsv", NULL, want);
}

MBS_TEST(table, letters_are_counted) {
    rig_stream s = {
        .type = "bases/u8", .dtype = MBS_U8, .n_records = 1, .records = (rig_record[]){{"b", 500, 0, 0, 0}}};
    int n[6] = {0};
    for (int i = 0; i < 500; i++) {
        const char *at = strchr("ACGTNacgtn", (int)rig_value(&s, 0, i, 0));
        n[at ? (at - "ACGTNacgtn") % 5 : 5]++;
    }
    char want[200];
    snprintf(want, sizeof want,
             "source\tname\tstart\tend\tlength\tA\tC\tG\tT\tN\tother\na.fa\tb\t0\t500\t500"
             "\t%d\t%d\t%d\t%d\t%d\t%d\n",
             n[0], n[1], n[2], n[3], n[4], n[5]);
    golden(&s, "b.tsv", NULL, want);
}

MBS_TEST(table, generated_sequences) {
    rig_stream s = {.type = "bases/u8", .dtype = MBS_U8, .n_records = 4, .records = few, .generate = 1};
    char text[4][8] = {{0}}, want[400];
    for (int r = 0; r < 4; r++) {
        for (int i = 0; i < few[r].rows; i++) {
            text[r][i] = (char)rig_value(&s, r, i, 0);
        }
    }
    snprintf(want, sizeof want,
             "source\tname\tstart\tend\tlength\tsequence\tlogprob\tbits_per_token\n"
             "a.fa\tchr1\t0\t5\t5\t%s\t-5.000000\t1.442695\na.fa\tempty\t7\t7\t0\t\t0.000000\tnan\n"
             "dir/b c.fa\tchr1\t100\t103\t3\t%s\t-1.500000\t0.721348\n"
             "dir/b c.fa\tone\t0\t1\t1\t%s\t0.000000\t0.000000\n",
             text[0], text[2], text[3]);
    golden(&s, "g.tsv", NULL, want);
}

static const char *dog(int64_t record) {
    return record == 0 ? "a dog" : NULL;
}

MBS_TEST(table, tokens_and_classes) {
    rig_stream s = {.type = "tokens/i32", .dtype = MBS_I32, .n_records = 1, .records = few};
    golden(&s, "t.tsv", NULL, "source\tname\tstart\tend\tlength\na.fa\tchr1\t0\t5\t5\n");
    static const rig_record one[] = {{"r", 9, 0, 0, 0}};
    static const mbs_attr labels[] = {{"labels", "cat\tdog\tbird"}};
    rig_stream c = {.type = "class/f32",
                    .dtype = MBS_F32,
                    .width = 3,
                    .n_records = 1,
                    .records = one,
                    .pooled = 1,
                    .attrs = labels,
                    .label = dog,
                    .n_attrs = 1};
    int best = 0;
    for (int i = 1; i < 3; i++) {
        best = rig_value(&c, 0, 0, i) > rig_value(&c, 0, 0, best) ? i : best;
    }
    char folder[400], path[512], want[100];
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/c.tsv", folder);
    rig_make(table(), path, NULL, &c, 1);
    mbs_buf got = MBS_BUF_INIT;
    rig_read(path, &got);
    snprintf(want, sizeof want, "source\tname\tstart\tend\tlabel\tp.cat\tp.dog\tp.bird\ttruth\na.fa\tr\t0\t9\t%s\t",
             (const char *const[]){"cat", "dog", "bird"}[best]);
    CHECK(strncmp(mbs_buf_str(&got), want, strlen(want)) == 0, "%s", mbs_buf_str(&got));
    CHECK(got.len > 7 && strcmp(got.data + got.len - 7, "\ta dog\n") == 0, "%s", mbs_buf_str(&got));
    mbs_buf_free(&got);
    rig_folder_remove(folder);
}

MBS_TEST(table, nasty_names) {
    static const rig_record odd[] = {
        {"tab\there\nline\rback\\slash", 1, 0, 0, 0},
        {"\x01\x7f\xc2\x9b\"quote\"", 1, 0, 0, 0},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\xa7\xac", 1, 0, 0, 0},
        {"bad\xff\xc3(\xed\xa0\x80\xf0\x9f", 1, 0, 0, 0},
        {"", 1, 0, 0, 0},
    };
    rig_stream s = {.type = "tokens/i32", .dtype = MBS_I32, .n_records = 5, .records = odd};
    golden(&s, "n.tsv", (const char *const[]){"header", "false", NULL},
           "a.fa\ttab\\there\\nline\\rback\\\\slash\t0\t1\t1\n"
           "a.fa\t\\x01\\x7f\\xc2\\x9b\"quote\"\t0\t1\t1\n"
           "a.fa\tgr\xc3\xbc\xc3\x9f \xf0\x9f\xa7\xac\t0\t1\t1\n"
           "a.fa\tbad\\xff\\xc3(\\xed\\xa0\\x80\\xf0\\x9f\t0\t1\t1\n"
           "a.fa\t\t0\t1\t1\n");
    golden(&s, "n.jsonl", NULL,
           "{\"source\":\"a.fa\",\"name\":\"tab\\there\\nline\\rback\\\\slash\",\"start\":0,\"end\":1,\"length\":1}\n"
           "{\"source\":\"a.fa\",\"name\":\"\\u0001\\u007f\\u009b\\\"quote\\\"\",\"start\":0,\"end\":1,\"length\":1}\n"
           "{\"source\":\"a.fa\",\"name\":\"gr\xc3\xbc\xc3\x9f \xf0\x9f\xa7\xac\",\"start\":0,\"end\":1,\"length\":1}\n"
           "{\"source\":\"a.fa\",\"name\":\"bad\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\",\"start\":0,"
           "\"end\":1,\"length\":1}\n"
           "{\"source\":\"a.fa\",\"name\":\"\",\"start\":0,\"end\":1,\"length\":1}\n");
}

/* ---- laws ---- */

static void long_record(int64_t i, rig_record *r) {
    static const int64_t rows[] = {20000, 0, 1, 4096, 333};
    r->rows = rows[i % 5];
    r->start = i * 10;
}

static const struct law {
    const char *file;
    rig_stream s;
} laws[] = {
    {"s.tsv", {.type = "score/f32", .dtype = MBS_F32, .width = 1, .n_records = 12, .record = long_record}},
    {"s.jsonl", {.type = "score/f32", .dtype = MBS_F32, .n_records = 12, .record = long_record}},
    {"l.tsv", {.type = "logits/f32", .dtype = MBS_F32, .width = 5, .n_records = 4, .record = long_record}},
    {"e.jsonl", {.type = "embedding/f32", .dtype = MBS_F32, .width = 2, .n_records = 4, .record = long_record}},
    {"b.tsv", {.type = "bases/u8", .dtype = MBS_U8, .n_records = 12, .record = long_record}},
    {"g.tsv", {.type = "bases/u8", .dtype = MBS_U8, .n_records = 12, .record = long_record, .generate = 1}},
    {"v.tsv",
     {.type = "rows/f32",
      .dtype = MBS_F64,
      .width = 2,
      .hop = 4,
      .interval = 1,
      .n_records = 4,
      .record = long_record}},
};

MBS_TEST(table, bytes_do_not_depend_on_cuts) {
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        static const int64_t cuts[] = {1, 7, 4096, INT64_MAX};
        char folder[2][400], path[2][512];
        rig_folder(folder[0], sizeof folder[0]);
        rig_folder(folder[1], sizeof folder[1]);
        snprintf(path[0], sizeof path[0], "%s/%s", folder[0], laws[i].file);
        snprintf(path[1], sizeof path[1], "%s/another-%s", folder[1], laws[i].file);
        rig_make(table(), path[0], NULL, &laws[i].s, 1000);
        for (size_t c = 0; c < 4; c++) {
            rig_make(table(), path[1], NULL, &laws[i].s, cuts[c]);
            CHECK(rig_same(path[0], path[1]), "%s: cut %lld", laws[i].file, (long long)cuts[c]);
        }
        rig_folder_remove(folder[0]);
        rig_folder_remove(folder[1]);
    }
}

/* Writes with a crash after each `every` blocks, with a few blocks lost each time. */
static void make_with_crashes(const char *path, const rig_stream *s, int64_t cut, int64_t every) {
    rig_place at = {0, 0};
    mbs_buf saved = MBS_BUF_INIT;
    for (int resumed = 0; at.record < s->n_records; resumed = 1) {
        rig r;
        CHECK_INT(rig_new(&r, table(), path, NULL, resumed), MBS_OK);
        CHECK(mbs_instance_can_checkpoint(r.writer));
        CHECK(!resumed || mbs_instance_restore(r.writer, saved.data, saved.len, &r.err) == MBS_OK, "%s", r.err.what);
        CHECK(rig_open(&r, s) == MBS_OK, "%s", r.err.what);
        CHECK_INT(rig_feed(&r, s, cut, every, &at), MBS_OK);
        mbs_buf_clear(&saved);
        CHECK(mbs_instance_save(r.writer, &saved, &r.err) == MBS_OK, "%s", r.err.what);
        if (at.record == s->n_records) {
            CHECK(rig_finish(&r) == MBS_OK, "%s", r.err.what);
            rig_free(&r);
        } else {
            rig_place lost = at;
            CHECK_INT(rig_feed(&r, s, cut, 3, &lost), MBS_OK);
            rig_crash(&r);
        }
    }
    mbs_buf_free(&saved);
}

MBS_TEST(table, resumed_bytes_are_the_same) {
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        char folder[400], path[2][512];
        rig_folder(folder, sizeof folder);
        snprintf(path[0], sizeof path[0], "%s/whole-%s", folder, laws[i].file);
        snprintf(path[1], sizeof path[1], "%s/resumed-%s", folder, laws[i].file);
        rig_make(table(), path[0], NULL, &laws[i].s, 1000);
        for (int64_t every = 1; every <= 9; every += 4) {
            make_with_crashes(path[1], &laws[i].s, 1500, every);
            CHECK(rig_same(path[0], path[1]), "%s: every %lld", laws[i].file, (long long)every);
        }
        rig_folder_remove(folder);
    }
}

MBS_TEST(table, a_file_that_became_shorter_is_refused) {
    char folder[400], path[512];
    rig r;
    rig_place at = {0, 0};
    mbs_buf saved = MBS_BUF_INIT;
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/s.tsv", folder);
    CHECK_INT(rig_new(&r, table(), path, NULL, 0), MBS_OK);
    CHECK_INT(rig_open(&r, &laws[0].s), MBS_OK);
    CHECK_INT(rig_feed(&r, &laws[0].s, 4096, 20, &at), MBS_OK);
    CHECK_INT(mbs_instance_save(r.writer, &saved, &r.err), MBS_OK);
    const char *temp = mbs_outputs_temp(r.outputs, 0);
    CHECK_INT(truncate(temp, 10), 0);
    rig_crash(&r);
    CHECK_INT(rig_new(&r, table(), path, NULL, 1), MBS_OK);
    CHECK_INT(mbs_instance_restore(r.writer, saved.data, saved.len, &r.err), MBS_OK);
    CHECK_INT(rig_open(&r, &laws[0].s), MBS_ERR_DATA);
    CHECK(strstr(r.err.what, "10 bytes") != NULL, "%s", r.err.what);
    rig_free(&r);
    mbs_buf_free(&saved);
    rig_folder_remove(folder);
}

/* ---- outputs that fail ---- */

static int to_stdout(void *ctx) {
    rig r;
    rig_place at = {0, 0};
    const rig_stream *s = ctx;
    mbs_status st = rig_new(&r, table(), "-", NULL, 0);
    int can = st >= 0 && mbs_instance_can_checkpoint(r.writer);
    st = st < 0 ? st : rig_open(&r, s);
    st = st < 0 ? st : rig_feed(&r, s, 2, -1, &at);
    st = st < 0 ? st : rig_finish(&r);
    rig_free(&r);
    return can ? 99 : -st;
}

MBS_TEST(table, standard_output) {
    rig_stream s = {.type = "tokens/i32", .dtype = MBS_I32, .n_records = 2, .records = few};
    char text[1000];
    CHECK_INT(rig_child(to_stdout, &s, text, sizeof text), 0);
    static const char want[] = "source\tname\tstart\tend\tlength\na.fa\tchr1\t0\t5\t5\na.fa\tempty\t7\t7\t0\n";
    CHECK(strncmp(text, want, sizeof want - 1) == 0, "%s", text); /* a sanitizer may say something behind it */
}

static int make_limited(void *ctx) {
    rig r;
    struct rlimit limit = {50000, 50000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    mbs_status st = rig_try(&r, table(), ctx, NULL, &laws[2].s, 4096);
    dprintf(1, "%s", r.err.what);
    return -st;
}

MBS_TEST(table, a_file_size_limit_is_told) {
    char folder[400], path[512], text[1000];
    rig_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/l.tsv", folder);
    CHECK_INT(rig_child(make_limited, path, text, sizeof text), 74);
    CHECK(strstr(text, "File too large") && strstr(text, "l.tsv"), "%s", text);
    CHECK(access(path, F_OK) != 0);
    rig_folder_remove(folder);
}

MBS_TEST(table, a_full_device_is_told) {
    if (access("/dev/full", W_OK) != 0) {
        SKIP("no /dev/full here");
    }
    rig r;
    mbs_status st = rig_try(&r, table(), "/dev/full", NULL, &laws[0].s, 4096);
    CHECK_INT(st, MBS_ERR_IO);
    CHECK(strstr(r.err.what, "No space left on device") != NULL, "%s", r.err.what);
}

MBS_TEST(table, every_allocation_may_fail) {
    static const rig_record two[] = {{"a", 9, 0, 0, 0}, {"b", 2, 0, 0, 0}};
    rig_stream s = {.type = "bases/u8", .dtype = MBS_U8, .n_records = 2, .records = two, .generate = 1};
    CHECK(rig_survives_oom(table(), &s, "o.tsv") > 5);
}
