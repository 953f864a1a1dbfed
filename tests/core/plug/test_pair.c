/*
 * What BAM and VCF will need: a reader's records, each with an opaque counted origin, and its contigs, go through core
 * to a writer of the same library and arrive as they were; every reference is given back.
 */
#include "support/test.h"

#include <pthread.h>

#include "plug/instance.h"
#include "plug/params.h"
#include "plug/registry.h"
#include "plug/vt.h"
#include "support/tmp.h"
#include "zoo/pair.h"

#define ZOO MBS_BUILD_DIR "/tests/zoo"
#define QUEUE 16

static const mbs_descriptor *load(mbs_registry *r, int32_t kind, const char *path) {
    mbs_err err;
    const mbs_descriptor *d = NULL;
    mbs_err_clear(&err);
    CHECK(mbs_registry_find(r, kind, path, &d, &err) == MBS_OK, "%s", err.what);
    return d;
}

static int64_t live(const mbs_descriptor *reader) {
    const pair_live *x = mbs_vt_extension(reader)(NULL, PAIR_EXT_LIVE);
    return x->origins();
}

/* Blocks on their way from one thread to the other. */
typedef struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    mbs_block *blocks[QUEUE];
    int n, ended;
} queue;

static void put(queue *q, mbs_block *b) {
    pthread_mutex_lock(&q->lock);
    while (q->n == QUEUE) {
        pthread_cond_wait(&q->changed, &q->lock);
    }
    if (b) {
        q->blocks[q->n++] = b;
    } else {
        q->ended = 1;
    }
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static mbs_block *take(queue *q) {
    mbs_block *b = NULL;
    pthread_mutex_lock(&q->lock);
    while (q->n == 0 && !q->ended) {
        pthread_cond_wait(&q->changed, &q->lock);
    }
    if (q->n > 0) {
        b = q->blocks[0];
        memmove(q->blocks, q->blocks + 1, (size_t)--q->n * sizeof b);
    }
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return b;
}

typedef struct sink {
    mbs_instance *writer;
    queue *q;
    mbs_err err;
} sink;

static void *drain_queue(void *arg) {
    sink *s = arg;
    for (mbs_block *b; (b = take(s->q)) != NULL;) {
        if (s->err.status == MBS_OK) {
            mbs_writer_write(s->writer, b, &s->err);
        }
        mbs_block_unref(b);
    }
    return NULL;
}

/* The reader's part of a stream: every block gets a copy of its record that lives as long as the block. */
static int64_t pump(mbs_instance *reader, queue *q, int64_t max_rows, mbs_err *err) {
    mbs_record *record = NULL;
    int64_t rows = 0;
    mbs_block *b = NULL;
    while (mbs_reader_read(reader, max_rows, &b, err) == MBS_OK) {
        if (b->flags & MBS_SEQ_START) {
            mbs_record_free(record);
            record = mbs_record_copy(b->record);
        }
        mbs_block_hold_record(b, record);
        rows += b->shape[0];
        put(q, b);
    }
    mbs_record_free(record);
    put(q, NULL);
    return rows;
}

static void carry(const char *records, const char *length, int64_t max_rows, int64_t expect_rows, const char *tail) {
    char dir[256];
    mbs_err err;
    mbs_err_clear(&err);
    test_tmp_enter(dir);
    mbs_registry *r = mbs_registry_new(NULL, 0, &err);
    const mbs_descriptor *rd = load(r, MBS_KIND_READER, ZOO "/mbsp_pair_reader.so");
    const mbs_descriptor *wd = load(r, MBS_KIND_WRITER, ZOO "/mbsp_pair_writer.so");
    mbs_params *rp = mbs_params_new(rd->params, rd->n_params);
    mbs_params *wp = mbs_params_new(wd->params, wd->n_params);
    const char *out = "out.txt";
    CHECK(mbs_params_set(rp, "records", &records, 1, 0, NULL) == MBS_OK);
    CHECK(mbs_params_set(rp, "length", &length, 1, 0, NULL) == MBS_OK);
    CHECK(mbs_params_set(wp, "path", &out, 1, 0, NULL) == MBS_OK);
    mbs_host_env env = {.outputs = mbs_outputs_new()};
    mbs_instance *reader = NULL;
    sink s = {0};
    queue q = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {NULL}, 0, 0};
    s.q = &q;
    CHECK(mbs_instance_new(rd, rp, NULL, "reader 'pair'", &reader, &err) == MBS_OK, "%s", err.what);
    CHECK(mbs_instance_new(wd, wp, &env, "writer 'pair'", &s.writer, &err) == MBS_OK, "%s", err.what);
    CHECK(mbs_outputs_prepare(env.outputs, 0, &err) == MBS_OK, "%s", err.what);
    const mbs_stream_header *h = NULL;
    CHECK(mbs_reader_open(reader, &h, &err) == MBS_OK, "%s", err.what);
    CHECK(mbs_writer_open(s.writer, h, &err) == MBS_OK, "%s", err.what);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, drain_queue, &s) == 0);
    int64_t rows = pump(reader, &q, max_rows, &err);
    pthread_join(t, NULL);
    CHECK(err.status == MBS_OK, "%s", err.what);
    CHECK(s.err.status == MBS_OK, "%s", s.err.what);
    CHECK_INT(rows, expect_rows);
    CHECK(mbs_instance_close(reader, &err) == MBS_OK, "%s", err.what);
    mbs_instance_free(reader); /* the writer still holds every origin */
    CHECK(live(rd) == atoll(records), "%lld origins alive", (long long)live(rd));
    CHECK(mbs_writer_drain(s.writer, &err) == MBS_OK, "%s", err.what);
    CHECK(mbs_instance_close(s.writer, &err) == MBS_OK, "%s", err.what);
    CHECK_STR(test_tmp_text(out), "(missing)"); /* not before all is well */
    mbs_instance_free(s.writer);
    CHECK(live(rd) == 0, "%lld origins leaked", (long long)live(rd));
    CHECK(mbs_outputs_commit(env.outputs, &err) == MBS_OK, "%s", err.what);
    mbs_outputs_free(env.outputs);
    CHECK(strstr(test_tmp_text(out), "contig\tHLA*01:01\t9223372036854775807\n"));
    CHECK(strstr(test_tmp_text(out), tail), "%s", test_tmp_text(out));
    mbs_params_free(rp);
    mbs_params_free(wp);
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(pair, origins_and_contigs_arrive_unchanged) {
    carry("5", "10", 3, 50, "record\tread4\t10\nend\t5\n");
    carry("5", "10", 100, 50, "record\tread4\t10\nend\t5\n");
    carry("4", "0", 100, 0, "record\tread3\t0\nend\t4\n");
}

MBS_TEST(pair, thousands_of_them_give_everything_back) {
    carry("2000", "7", 4, 14000, "contig\tchr1\t248956422\n");
}
