/* Each animal of the zoo is let loose: it must be named, with what it did, and nothing else may break. */
#include "support/test.h"

#include "base/buf.h"
#include "base/log.h"
#include "plug/instance.h"
#include "plug/params.h"
#include "plug/registry.h"

#define ZOO MBS_BUILD_DIR "/tests/zoo"

typedef struct outing {
    mbs_status status; /* of the first call that failed */
    int64_t rows;
    int records; /* seen whole */
    mbs_err err;
    char line[3000];
} outing;

static void let_loose(const char *animal, int64_t max_rows, outing *o) {
    char path[512];
    char label[64];
    *o = (outing){0};
    (void)snprintf(path, sizeof path, ZOO "/mbsp_%s.so", animal);
    (void)snprintf(label, sizeof label, "reader '%s'", animal);
    mbs_registry *r = mbs_registry_new(NULL, 0, &o->err);
    const mbs_descriptor *d = NULL;
    CHECK(mbs_registry_find(r, MBS_KIND_READER, path, &d, &o->err) == MBS_OK, "%s", o->err.what);
    mbs_params *p = mbs_params_new(d->params, d->n_params);
    mbs_instance *i = NULL;
    const mbs_stream_header *h = NULL;
    o->status = mbs_instance_new(d, p, NULL, label, &i, &o->err);
    if (o->status == MBS_OK) {
        o->status = mbs_reader_open(i, &h, &o->err);
    }
    while (o->status == MBS_OK) {
        mbs_block *b = NULL;
        o->status = mbs_reader_read(i, max_rows, &b, &o->err);
        if (o->status == MBS_OK) {
            o->rows += b->shape[0];
            o->records += (b->flags & MBS_SEQ_END) != 0;
        } else {
            CHECK(b == NULL, "%s: a block came with status %d", animal, o->status);
        }
        mbs_block_unref(b);
    }
    if (o->status == MBS_END) {
        CHECK_INT(mbs_reader_read(i, max_rows, &(mbs_block *){NULL}, &o->err), MBS_END);
        o->status = mbs_instance_close(i, &o->err);
    } else if (i) {
        /* After a failure only destroy may follow; anything else is refused and not passed on. */
        mbs_err later;
        mbs_block *b = NULL;
        mbs_err_clear(&later);
        CHECK_INT(mbs_reader_read(i, max_rows, &b, &later), MBS_ERR_INTERNAL);
        CHECK(strstr(later.what, "failed"), "%s", later.what);
    }
    mbs_instance_free(i);
    mbs_params_free(p);
    mbs_registry_free(r);
    mbs_err_line(&o->err, o->line, sizeof o->line);
}

MBS_TEST(zoo, the_good_one_is_let_through) {
    for (int64_t max_rows = 1; max_rows < 20; max_rows += 3) {
        outing o;
        let_loose("good", max_rows, &o);
        CHECK(o.status == MBS_OK, "%s", o.line);
        CHECK_INT(o.rows, 20);
        CHECK_INT(o.records, 2);
    }
}

MBS_TEST(zoo, broken_promises_are_blamed_on_the_plugin) {
    static const struct {
        const char *animal, *call, *words;
        int names_record;
    } all[] = {
        {"null_self", "create", "gave no instance", 0},
        {"wrong_header", "open", "of type 'pcm/f32', its descriptor says 'bases/u8'", 0},
        {"no_header", "open", "gave no stream header", 0},
        {"wrong_type", "read", "a block of type 'tokens/i32', its descriptor says 'bases/u8'", 1},
        {"wrong_dtype", "read", "dtype 3", 1},
        {"too_many", "read", "gave 5 rows where at most 4 were asked for", 1},
        {"lies_length", "read", "ended a record of length 17 after 10", 1},
        {"no_end", "read", "ended the stream before SEQ_END", 0},
        {"double_start", "read", "began a record before SEQ_END", 1},
        {"hole", "read", "starts at 1, must be 0", 1},
        {"no_record", "read", "gave a block without record", 0},
        {"no_block", "read", "gave no block", 0},
        {"bad_index", "read", "gave record number 6, must be 1", 1},
        {"end_with_block", "read", "gave a block and said that there is none", 1},
        {"odd_status", "read", "answered -5, which is no status", 0},
        {"unknown_positive", "read", "answered 9, which is no status", 0},
    };
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        outing o;
        let_loose(all[k].animal, 4, &o);
        CHECK(o.status == MBS_ERR_INTERNAL, "%s: status %d", all[k].animal, o.status);
        char front[128];
        (void)snprintf(front, sizeof front, "reader '%s': plugin '%s' 1.0.0: %s ", all[k].animal, all[k].animal,
                       all[k].call);
        CHECK(strncmp(o.line, front, strlen(front)) == 0, "\"%s\" does not begin with \"%s\"", o.line, front);
        CHECK(strstr(o.line, all[k].words), "\"%s\" is not in \"%s\"", all[k].words, o.line);
        CHECK(!all[k].names_record || strstr(o.line, "'two'"), "no record in \"%s\"", o.line);
        CHECK(strstr(o.line, "; this is a mistake in the plugin, tell its author"), "%s", o.line);
        CHECK(strcmp(all[k].call, "read") != 0 || o.records == 1, "%s: %d records", all[k].animal, o.records);
    }
}

MBS_TEST(zoo, a_failure_without_words_gets_ours) {
    outing o;
    let_loose("silent", 100, &o);
    CHECK_INT(o.status, MBS_ERR_IO);
    CHECK(strstr(o.line, "reader 'silent': plugin 'silent' 1.0.0 failed in read (status -74) and did not say why"),
          "%s", o.line);
}

MBS_TEST(zoo, its_own_words_reach_the_user) {
    outing o;
    let_loose("says_why", 100, &o);
    CHECK_INT(o.status, MBS_ERR_DATA);
    CHECK_STR(o.line, "reader 'says_why': parameter 'path': record 2 of 'x.fa' is not a sequence; "
                      "run 'zoo index x.fa' first");
}

MBS_TEST(zoo, a_thread_of_the_plugin_may_speak) {
    mbs_buf log = MBS_BUF_INIT;
    outing o;
    mbs_log_capture(&log);
    let_loose("from_thread", 100, &o);
    mbs_log_capture(NULL);
    CHECK_INT(o.status, MBS_ERR_DATA);
    CHECK(strstr(o.line, "reader 'from_thread': block 7 of the file is damaged"), "%s", o.line);
    CHECK(strstr(mbs_buf_str(&log), "warning: reader 'from_thread': a thread of the plugin speaks"), "%s",
          mbs_buf_str(&log));
    mbs_buf_free(&log);
}
