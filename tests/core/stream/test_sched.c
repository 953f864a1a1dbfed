/*
 * The loop, without any model or format: a reader that counts, a carry with a state, a writer that collects. Whatever
 * the chunk, and wherever it is stopped and resumed (with or without checkpoints in the reader, with another chunk),
 * the writer has the same rows in the end.
 */
#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stop.h"
#include "plug/params.h"
#include "stream/chunk.h"
#include "stream/sched.h"
#include "support/test.h"

/* --- a reader of records of these lengths with context on two of them -----------------------------------------------
 */

static const int64_t lengths[] = {0, 1, 5, 300, 0, 64, 3, 3, 0, 7, 2, 9, 1};
#define N_RECORDS ((int64_t)(sizeof(lengths) / sizeof(*lengths)))
#define CONTEXT 40

typedef struct counter {
    const mbs_host *host;
    int64_t record, at;
    mbs_record r;
    char name[16];
    mbs_stream_header header;
    int plain; /* without checkpoints */
} counter;

static const mbs_descriptor *reader_desc(int plain);

static mbs_status r_create(const mbs_host *host, const mbs_params *params, void **self) {
    counter *c = host->alloc(host, sizeof(*c));
    if (!c) {
        return MBS_ERR_MEMORY;
    }
    memset(c, 0, sizeof(*c));
    c->host = host;
    c->plain = host->param_bool(params, "plain");
    *self = c;
    return MBS_OK;
}

static mbs_status r_open(void *self, const mbs_stream_header **header) {
    counter *c = self;
    c->header = (mbs_stream_header){.struct_size = sizeof(c->header),
                                    .type = "tokens/i32",
                                    .unit = "token",
                                    .channels = 1,
                                    .n_records = N_RECORDS,
                                    .n_units = -1};
    *header = &c->header;
    return MBS_OK;
}

static mbs_status r_read(void *self, int64_t max_rows, mbs_block **out) {
    counter *c = self;
    if (c->record == N_RECORDS) {
        return MBS_END;
    }
    int64_t context = c->record == 3 ? CONTEXT : c->record == 9 ? 4 : 0;
    int64_t rows = lengths[c->record] + context;
    (void)snprintf(c->name, sizeof(c->name), "r%d", (int)c->record);
    c->r = (mbs_record){.struct_size = sizeof(c->r),
                        .strand = '+',
                        .index = c->record,
                        .name = c->name,
                        .start = context,
                        .length = lengths[c->record],
                        .context = context};
    int64_t n = rows - c->at < max_rows ? rows - c->at : max_rows;
    int64_t shape[1] = {n};
    mbs_block *b = c->host->block_new(c->host, "tokens/i32", MBS_I32, 1, shape);
    if (!b) {
        return MBS_ERR_MEMORY;
    }
    for (int64_t i = 0; i < n; i++) {
        ((int32_t *)b->data)[i] = (int32_t)(c->record * 1000 + c->at + i);
    }
    b->record = &c->r;
    b->start = c->at;
    b->end = c->at + n;
    b->flags = (c->at == 0 ? MBS_SEQ_START : 0u) | (c->at + n == rows ? MBS_SEQ_END : 0u);
    c->at += n;
    if (c->at == rows) {
        c->record++;
        c->at = 0;
    }
    *out = b;
    return MBS_OK;
}

static mbs_status r_save(void *self, mbs_status (*put)(void *, const void *, size_t), void *sink) {
    counter *c = self;
    int64_t v[2] = {c->record, c->at};
    return put(sink, v, sizeof(v));
}

static mbs_status r_restore(void *self, const void *bytes, size_t n) {
    counter *c = self;
    int64_t v[2];
    if (n != sizeof(v)) {
        return MBS_ERR_DATA;
    }
    memcpy(v, bytes, n);
    c->record = v[0];
    c->at = v[1];
    return MBS_OK;
}

static mbs_status no_close(void *self) {
    (void)self;
    return MBS_OK;
}

static void r_destroy(void *self) {
    counter *c = self;
    c->host->free(c->host, c);
}

static const void *r_extension(void *self, const char *id) {
    static const mbs_ext_checkpoint ext = {sizeof(ext), 0, r_save, r_restore};
    return self && !((counter *)self)->plain && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &ext : NULL;
}

/* --- a writer that appends every row it gets to a buffer of the test ------------------------------------------------
 */

static mbs_buf collected;

static mbs_status w_create(const mbs_host *host, const mbs_params *params, void **self) {
    (void)params;
    void **w = host->alloc(host, sizeof(*w));
    if (!w) {
        return MBS_ERR_MEMORY;
    }
    memcpy(w, &host, sizeof(*w));
    *self = w;
    return MBS_OK;
}

static mbs_status w_open(void *self, const mbs_stream_header *header) {
    (void)self;
    (void)header;
    return MBS_OK;
}

static mbs_status w_write(void *self, const mbs_block *b) {
    (void)self;
    if (b->flags & MBS_SEQ_START) {
        mbs_buf_printf(&collected, "[%s ", b->record->name);
    }
    for (int64_t i = 0; i < b->shape[0]; i++) {
        mbs_buf_printf(&collected, "%lld:%d ", (long long)mbs_chunk_position(b, i), ((const int32_t *)b->data)[i]);
    }
    if (b->flags & MBS_SEQ_END) {
        mbs_buf_puts(&collected, "]\n");
    }
    return MBS_OK;
}

static mbs_status w_save(void *self, mbs_status (*put)(void *, const void *, size_t), void *sink) {
    (void)self;
    uint64_t n = collected.len;
    return put(sink, &n, sizeof(n));
}

static mbs_status w_restore(void *self, const void *bytes, size_t n) {
    (void)self;
    uint64_t len = 0;
    if (n != sizeof(len)) {
        return MBS_ERR_DATA;
    }
    memcpy(&len, bytes, n);
    collected.len = (size_t)len;
    return MBS_OK;
}

static mbs_status w_drain(void *self) {
    (void)self;
    return MBS_OK;
}

static void w_destroy(void *self) {
    const mbs_host *host = NULL;
    memcpy(&host, self, sizeof(host));
    host->free(host, self);
}

static const void *w_extension(void *self, const char *id) {
    static const mbs_ext_checkpoint ext = {sizeof(ext), 0, w_save, w_restore};
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &ext : NULL;
}

/* --- a carry: running sum of the tokens; a record's end gives three rows, one at a time ----------------------------
 */

typedef struct summer {
    int64_t sum;
    int64_t pieces;
    int started;
    int64_t steps; /* of this life; not saved */
    int64_t stop_at;
} summer;

static mbs_status c_begin(void *self, const mbs_record *record, mbs_err *err) {
    (void)err;
    summer *s = self;
    s->sum = record->index;
    s->pieces = 0;
    s->started = 0;
    return MBS_OK;
}

static void count_step(summer *s) {
    if (++s->steps == s->stop_at) {
        mbs_stop_request(SIGTERM);
    }
}

static mbs_block *row_block(const mbs_record *record, int64_t rows) {
    int64_t shape[1] = {rows};
    mbs_block *b = mbs_block_new("rows/i32", MBS_I32, 1, shape);
    CHECK(b != NULL);
    b->record = record;
    return b;
}

static mbs_status c_step(void *self, const mbs_block *t, int64_t from, int64_t *taken, mbs_block **out, mbs_err *err) {
    (void)err;
    summer *s = self;
    int64_t n = t->shape[0] - from < 3 ? t->shape[0] - from : 3;
    mbs_block *b = row_block(t->record, n);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        s->sum = (s->sum * 31 + ((const int32_t *)t->data)[from + i]) % 1000003;
        if (t->start + from + i >= t->record->start) {
            ((int32_t *)b->data)[kept++] = (int32_t)s->sum;
        }
    }
    b->shape[0] = kept;
    b->end = t->start + from + n;
    b->start = b->end - kept;
    b->flags = kept && !s->started ? MBS_SEQ_START : 0u;
    s->started |= kept > 0;
    *taken = n;
    if (kept) {
        *out = b;
    } else {
        mbs_block_unref(b);
    }
    count_step(s);
    return MBS_OK;
}

static mbs_status c_finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    (void)err;
    summer *s = self;
    mbs_block *b = row_block(record, 1);
    ((int32_t *)b->data)[0] = (int32_t)(s->sum + s->pieces);
    b->start = 1000 + s->pieces;
    b->end = b->start + 1;
    b->flags = (s->started ? 0u : MBS_SEQ_START) | (s->pieces == 2 ? MBS_SEQ_END : 0u);
    s->started = 1;
    s->pieces++;
    *more = s->pieces < 3;
    *out = b;
    count_step(s);
    return MBS_OK;
}

static int64_t together_calls;

/* Rows of whole records that the carry wants together: 2 x the longest that counts as short. */
#define TOGETHER 24

static int64_t c_many_rows(void *self) {
    (void)self;
    return TOGETHER;
}

/* Appends the rows of a block to `to`, which says in "interval" where each stands, and drops it. */
static void append_rows(mbs_block *to, mbs_block *b) {
    int64_t *where = to->sides[0].data;
    for (int64_t i = 0; b && i < b->shape[0]; i++, to->shape[0]++) {
        ((int32_t *)to->data)[to->shape[0]] = ((const int32_t *)b->data)[i];
        where[2 * to->shape[0]] = mbs_chunk_position(b, i);
        where[2 * to->shape[0] + 1] = where[2 * to->shape[0]] + 1;
    }
    mbs_block_unref(b);
}

/* At most three records at a time, so that some of those that wait have to wait again. */
static mbs_status c_many(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out,
                         mbs_err *err) {
    summer one = {0};
    together_calls++;
    *taken = n < 3 ? n : 3;
    for (int64_t i = 0; i < *taken; i++) {
        const mbs_block *t = tokens[i];
        int more = 1;
        CHECK(t->shape[0] <= TOGETHER / 2);
        out[i] = row_block(t->record, t->shape[0] + 3);
        CHECK(mbs_block_side_new(out[i], "interval", MBS_I64, 2) != NULL);
        out[i]->shape[0] = 0;
        out[i]->flags = MBS_SEQ_START | MBS_SEQ_END;
        CHECK_INT(c_begin(&one, t->record, err), MBS_OK);
        for (int64_t from = 0, step = 0; from < t->shape[0]; from += step) {
            mbs_block *b = NULL;
            CHECK_INT(c_step(&one, t, from, &step, &b, err), MBS_OK);
            append_rows(out[i], b);
        }
        while (more) {
            mbs_block *b = NULL;
            CHECK_INT(c_finish(&one, t->record, &b, &more, err), MBS_OK);
            append_rows(out[i], b);
        }
        out[i]->start = ((const int64_t *)out[i]->sides[0].data)[0];
        out[i]->end = 1003;
    }
    count_step(self);
    return MBS_OK;
}

static mbs_status c_save(void *self, mbs_buf *out, mbs_err *err) {
    (void)err;
    summer *s = self;
    mbs_buf_put_i64(out, s->sum);
    mbs_buf_put_i64(out, s->pieces);
    mbs_buf_put_i64(out, s->started);
    return MBS_OK;
}

static mbs_status c_restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    (void)err;
    summer *s = self;
    mbs_cursor c = {bytes, n, 0};
    s->sum = mbs_cursor_i64(&c);
    s->pieces = mbs_cursor_i64(&c);
    s->started = (int)mbs_cursor_i64(&c);
    return c.failed ? MBS_ERR_DATA : MBS_OK;
}

/* --- driving them
 * ----------------------------------------------------------------------------------------------------- */

static const mbs_param reader_params[] = {MBS_PARAM("plain", MBS_PARAM_BOOL, "false", "without checkpoints")};

static const mbs_descriptor *reader_desc(int plain) {
    static const mbs_reader_vt vt = {sizeof(vt), 0, r_create, r_open, r_read, no_close, r_destroy, r_extension};
    static const mbs_descriptor d = {.struct_size = sizeof(d),
                                     .kind = MBS_KIND_READER,
                                     .id = "count",
                                     .version = "1",
                                     .licence = "MIT",
                                     .summary = "counts",
                                     .produces = "tokens/i32",
                                     .n_params = 1,
                                     .params = reader_params,
                                     .vt = &vt};
    (void)plain;
    return &d;
}

static const mbs_descriptor *writer_desc(void) {
    static const mbs_writer_vt vt = {sizeof(vt), 0,        w_create,  w_open,     w_write,
                                     w_drain,    no_close, w_destroy, w_extension};
    static const mbs_descriptor d = {.struct_size = sizeof(d),
                                     .kind = MBS_KIND_WRITER,
                                     .id = "collect",
                                     .version = "1",
                                     .licence = "MIT",
                                     .summary = "collects",
                                     .accepts = "*",
                                     .vt = &vt};
    return &d;
}

typedef struct life {
    int with_carry; /* 2: one that takes whole records side by side */
    int plain;
    int64_t chunk;
    int64_t stop_at; /* steps until a stop is asked for; 0: never */
    int resume;
    const char *journal;
} life;

/* One life of a run. MBS_OK: to the end. */
static mbs_status live(const life *l) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_stop_request(0);
    mbs_host_env env = {0};
    mbs_params *rp = mbs_params_new(reader_params, 1);
    mbs_params *wp = mbs_params_new(NULL, 0);
    mbs_buf why = MBS_BUF_INIT;
    const char *plain = l->plain ? "true" : "false";
    CHECK_INT(mbs_params_set(rp, "plain", &plain, 1, 0, &why), MBS_OK);
    mbs_instance *reader = NULL;
    mbs_instance *writer = NULL;
    CHECK_INT(mbs_instance_new(reader_desc(l->plain), rp, &env, "reader 'count'", &reader, &err), MBS_OK);
    CHECK_INT(mbs_instance_new(writer_desc(), wp, &env, "writer 'collect'", &writer, &err), MBS_OK);
    summer s = {.stop_at = l->stop_at};
    mbs_carry carry = {&s, c_begin, c_step, c_finish, c_save, c_restore, c_many_rows, c_many, NULL, NULL, NULL};
    if (l->with_carry == 1) {
        carry.many = NULL;
        carry.many_rows = NULL;
    }
    mbs_sched sched;
    mbs_sched_init(&sched, reader, NULL, l->with_carry ? &carry : NULL, &writer, 1);
    mbs_buf identity = MBS_BUF_INIT;
    mbs_journal_add_identity(&identity, "test", "1");
    sched.chunk = l->chunk;
    sched.journal_path = l->journal;
    sched.identity = &identity;
    sched.journal_every = 1e9; /* only when asked to stop: each one costs an fsync */
    mbs_journal j;
    memset(&j, 0, sizeof(j));
    if (l->resume) {
        int fallback = 0;
        CHECK_INT(mbs_journal_read(&j, l->journal, NULL, &fallback, &err), MBS_OK);
        mbs_cursor c = {(const unsigned char *)j.sink.data, j.sink.len, 0};
        CHECK_INT(mbs_sink_restore(&sched.sink, &c, &err), MBS_OK);
        CHECK_INT(j.has_input, !l->plain);
        if (j.has_input) {
            CHECK_INT(mbs_instance_restore(reader, j.reader.data, j.reader.len, &err), MBS_OK);
        }
    }
    const mbs_stream_header *header = NULL;
    CHECK_INT(mbs_reader_open(reader, &header, &err), MBS_OK);
    mbs_stream_header out = *header;
    out.type = l->with_carry ? "rows/i32" : "tokens/i32";
    CHECK_INT(mbs_sink_open(&sched.sink, &out, &err), MBS_OK);
    if (l->resume) {
        CHECK_INT(mbs_sched_resume(&sched, &j, &err), MBS_OK);
    }
    mbs_status st = mbs_sched_run(&sched, &err);
    CHECK(st == MBS_OK || st == MBS_ERR_STOPPED, "%s", err.what);
    mbs_sched_clear(&sched);
    mbs_journal_free(&j);
    mbs_buf_free(&identity);
    mbs_instance_free(reader);
    mbs_instance_free(writer);
    mbs_params_free(rp);
    mbs_params_free(wp);
    mbs_buf_free(&why);
    mbs_stop_request(0);
    return st;
}

static char *whole(int with_carry) {
    life l = {with_carry, 0, 1000, 0, 0, NULL};
    mbs_buf_clear(&collected);
    CHECK_INT(live(&l), MBS_OK);
    return mbs_strdup(mbs_buf_str(&collected));
}

MBS_TEST(sched, rows_do_not_depend_on_the_chunk) {
    for (int with_carry = 0; with_carry < 2; with_carry++) {
        char *want = whole(with_carry);
        CHECK(strstr(want, "[r3 40:") != NULL, "context is not written: %s", want);
        static const int64_t chunks[] = {1, 2, 3, 7, 64, 339, 340, 341};
        for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
            life l = {with_carry, 0, chunks[i], 0, 0, NULL};
            mbs_buf_clear(&collected);
            CHECK_INT(live(&l), MBS_OK);
            CHECK_STR(mbs_buf_str(&collected), want);
        }
        mbs_free(want);
    }
}

MBS_TEST(sched, rows_do_not_depend_on_who_rides_along) {
    char *want = whole(1);
    static const int64_t chunks[] = {1, 2, 3, 7, 9, 64, 341};
    for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
        life l = {2, 0, chunks[i], 0, 0, NULL};
        mbs_buf_clear(&collected);
        together_calls = 0;
        CHECK_INT(live(&l), MBS_OK);
        CHECK_STR(mbs_buf_str(&collected), want);
        CHECK(together_calls > 0);
    }
    mbs_free(want);
}

/* Stopped after every possible step, resumed with another chunk: nothing is lost and nothing comes twice. */
static void stopped_everywhere(int plain) {
    char path[] = "/tmp/mbs-sched-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    (void)close(fd);
    char *want = whole(1);
    together_calls = 0;
    static const int64_t chunks[] = {1, 5, 50, 1000};
    for (int64_t k = 1; k < 150; k++) {
        mbs_buf_clear(&collected);
        life l = {1 + (int)(k % 3 > 0), plain, chunks[k % 4], k, 0, path};
        int lives = 1;
        while (live(&l) == MBS_ERR_STOPPED) {
            CHECK(lives++ < 400);
            mbs_buf_puts(&collected, "what was written after the journal goes away");
            l.resume = 1;
            l.chunk = chunks[(k + lives) % 4];
            l.stop_at = k % 3 ? 0 : k;
            l.with_carry = 1 + (int)((k + lives) % 2);
        }
        CHECK_STR(mbs_buf_str(&collected), want);
    }
    CHECK(together_calls > 100, "records went together %lld times", (long long)together_calls);
    mbs_free(want);
    (void)unlink(path);
}

MBS_TEST(sched, resumes_at_every_step) {
    stopped_everywhere(0);
}

MBS_TEST(sched, resumes_at_every_step_by_replay) {
    stopped_everywhere(1);
}
