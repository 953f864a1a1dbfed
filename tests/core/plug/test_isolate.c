/* An isolated reader whose worker process cannot be trusted: whatever it answers, the plugin is named and nothing else
 * breaks. And that all values of parameters arrive. */
#include "support/test.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "plug/instance.h"
#include "plug/params.h"
#include "plug/registry.h"
#include "plug/wire.h"
#include "support/child.h"

#define MORTAL MBS_BUILD_DIR "/tests/zoo/mbsp_mortal.so"
#define HOSTILE MBS_SOURCE_DIR "/tests/core/plug/hostile.py"

typedef struct outing {
    mbs_status status;
    mbs_err err;
    char line[3000];
    mbs_buf log;
} outing;

/* Reads one block through a worker that lies about it. stop: a signal that comes meanwhile, or 0. */
static void lie_and_stop(const char *how, double timeout, int stop, outing *o) {
    memset(o, 0, sizeof *o);
    setenv("MBS_HOSTILE", how, 1);
    mbs_log_capture(&o->log);
    const mbs_host_env env = {.isolate = 1, .isolate_timeout = timeout, .worker = HOSTILE};
    mbs_registry *r = mbs_registry_new(NULL, 0, &o->err);
    const mbs_descriptor *d = NULL;
    CHECK(mbs_registry_find(r, MBS_KIND_READER, MORTAL, &d, &o->err) == MBS_OK, "%s", o->err.what);
    mbs_params *p = mbs_params_new(d->params, d->n_params);
    mbs_instance *i = NULL;
    const mbs_stream_header *h = NULL;
    mbs_block *b = NULL;
    o->status = mbs_instance_new(d, p, &env, "reader 'mortal'", &i, &o->err);
    CHECK(o->status == MBS_OK, "%s: %s", how, o->err.what);
    o->status = mbs_reader_open(i, &h, &o->err);
    CHECK(o->status == MBS_OK, "%s: %s", how, o->err.what);
    mbs_stop_request(stop);
    o->status = mbs_reader_read(i, 100, &b, &o->err);
    mbs_stop_request(0);
    if (o->status == MBS_OK) {
        CHECK_INT(b->shape[0], 4);
        CHECK(memcmp(b->data, "ACGT", 4) == 0);
        CHECK_STR(b->record->name, "r");
        CHECK(b->record->origin == NULL);
    } else {
        CHECK(b == NULL, "%s: a block came with status %d", how, o->status);
    }
    mbs_block_unref(b);
    mbs_instance_free(i);
    mbs_params_free(p);
    mbs_registry_free(r);
    mbs_log_capture(NULL);
    mbs_err_line(&o->err, o->line, sizeof o->line);
}

static void let_lie(const char *how, double timeout, outing *o) {
    lie_and_stop(how, timeout, 0, o);
}

MBS_TEST(isolate, an_honest_stranger_is_understood) {
    static const char *const fine[] = {"honest", "shrink", "files", "control"};
    for (size_t k = 0; k < sizeof fine / sizeof fine[0]; k++) {
        outing o;
        let_lie(fine[k], 0, &o);
        CHECK(o.status == MBS_OK, "%s: %s", fine[k], o.line);
        CHECK(!memchr(mbs_buf_str(&o.log), 0x1b, o.log.len), "an escape reached the log");
        mbs_buf_free(&o.log);
    }
}

MBS_TEST(isolate, lies_are_told_from_answers) {
    static const char *const lies[] = {"bytes",   "beyond", "rows",  "negative", "overflow",      "dtype",
                                       "ndim",    "sides",  "width", "meta",     "meta_negative", "unterminated",
                                       "no_name", "attrs",  "short", "empty",    "seq",           "magic",
                                       "op",      "tail",   "tiny",  "error"};
    for (size_t k = 0; k < sizeof lies / sizeof lies[0]; k++) {
        outing o;
        let_lie(lies[k], 0, &o);
        CHECK(o.status == MBS_ERR_UNAVAILABLE, "%s: status %d, %s", lies[k], o.status, o.line);
        CHECK(strstr(o.line,
                     "reader 'mortal': plugin 'mortal' 1.0.0 answered read with bytes that make no sense, in its "
                     "worker process, on record 1"),
              "%s: %s", lies[k], o.line);
        mbs_buf_free(&o.log);
    }
}

MBS_TEST(isolate, what_makes_sense_is_still_verified) {
    outing o;
    let_lie("type", 0, &o);
    CHECK_INT(o.status, MBS_ERR_INTERNAL);
    CHECK(strstr(o.line, "gave a block of type 'tokens/i32', its descriptor says 'bases/u8'"), "%s", o.line);
    let_lie("status", 0, &o);
    CHECK_INT(o.status, MBS_ERR_INTERNAL);
    CHECK(strstr(o.line, "read answered -3, which is no status"), "%s", o.line);
    let_lie("positive", 0, &o);
    CHECK(strstr(o.line, "read answered 7, which is no status"), "%s", o.line);
}

MBS_TEST(isolate, a_deadline_holds_for_a_stranger_too) {
    outing o;
    let_lie("slow", 3, &o);
    CHECK_INT(o.status, MBS_ERR_UNAVAILABLE);
    CHECK(strstr(o.line, "did not come back from read within 3 s and was killed"), "%s", o.line);
}

MBS_TEST(isolate, who_logs_without_end_is_timed_out) {
    outing o;
    let_lie("chatty", 2, &o);
    CHECK_INT(o.status, MBS_ERR_UNAVAILABLE);
    CHECK(strstr(o.line, "did not come back from read within 2 s and was killed"), "%s", o.line);
    CHECK(strstr(mbs_buf_str(&o.log), "reader 'mortal': bla"), "it was not heard");
    mbs_buf_free(&o.log);
}

MBS_TEST(isolate, who_logs_without_end_is_stopped) {
    outing o;
    lie_and_stop("chatty", 20, SIGTERM, &o);
    CHECK_INT(o.status, MBS_ERR_STOPPED);
    mbs_buf_free(&o.log);
}

MBS_TEST(isolate, who_asks_and_does_not_listen_holds_up_nothing) {
    outing o;
    let_lie("asks", 20, &o);
    CHECK_INT(o.status, MBS_ERR_UNAVAILABLE);
    CHECK(strstr(o.line, "answered read with bytes that make no sense"), "%s", o.line);
    mbs_buf_free(&o.log);
}

MBS_TEST(isolate, who_is_killed_here_was_not_killed_by_somebody) {
    outing o;
    let_lie("closes", 20, &o);
    CHECK_INT(o.status, MBS_ERR_UNAVAILABLE);
    CHECK(strstr(o.line, "closed its channel in read, lived on and was killed"), "%s", o.line);
    CHECK(!strstr(o.line, "memory"), "%s", o.line);
    mbs_buf_free(&o.log);
}

/* Shared with children: what was counted where nothing failed. */
typedef struct shortage {
    uint64_t before, after; /* allocations when the instance is made, and when all is over */
    int fail_at;
} shortage;

/* One block through an honest worker: 0, or minus the status that comes out, or 1 where it is not what was said. */
static int read_short(void *arg) {
    shortage *s = arg;
    char k[32];
    snprintf(k, sizeof k, "%d", s->fail_at);
    setenv("MBS_ALLOC_FAIL_AT", k, 1);
    setenv("MBS_HOSTILE", "honest", 1);
    const mbs_host_env env = {.isolate = 1, .worker = HOSTILE};
    const mbs_descriptor *d = NULL;
    mbs_instance *i = NULL;
    const mbs_stream_header *h = NULL;
    mbs_block *b = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    mbs_registry *r = mbs_registry_new(NULL, 0, &err);
    mbs_status st = mbs_registry_find(r, MBS_KIND_READER, MORTAL, &d, &err);
    mbs_params *p = st == MBS_OK ? mbs_params_new(d->params, d->n_params) : NULL;
    s->before = s->fail_at ? s->before : mbs_alloc_count();
    st = p ? mbs_instance_new(d, p, &env, "reader 'mortal'", &i, &err) : st;
    st = st == MBS_OK ? mbs_reader_open(i, &h, &err) : st;
    st = st == MBS_OK ? mbs_reader_read(i, 100, &b, &err) : st;
    s->after = s->fail_at ? s->after : mbs_alloc_count();
    int said = st == err.status && (st == MBS_OK || (strstr(err.what, "memory") && !strstr(err.what, "sense")));
    mbs_block_unref(b);
    mbs_instance_free(i);
    mbs_params_free(p);
    mbs_registry_free(r);
    return said ? -st : 1;
}

/* Memory that is out in the program is not the plugin's nonsense. */
MBS_TEST(isolate, memory_runs_out_on_our_side) {
    shortage *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    s->fail_at = 0;
    CHECK_INT(test_child(read_short, s), 0);
    CHECK(s->after > s->before + 8, "%d allocations", (int)(s->after - s->before));
    for (uint64_t k = s->before + 1; k <= s->after; k++) {
        s->fail_at = (int)k;
        int code = test_child(read_short, s);
        CHECK(code == -MBS_ERR_MEMORY, "allocation %d of %d to %d failing ended with %d", s->fail_at, (int)s->before,
              (int)s->after, code);
    }
    munmap(s, sizeof *s);
}

MBS_TEST(isolate, a_program_that_cannot_be_started_is_said) {
    mbs_err err;
    char line[3000];
    mbs_err_clear(&err);
    mbs_registry *r = mbs_registry_new(NULL, 0, &err);
    const mbs_descriptor *d = NULL;
    CHECK(mbs_registry_find(r, MBS_KIND_READER, MORTAL, &d, &err) == MBS_OK, "%s", err.what);
    mbs_params *p = mbs_params_new(d->params, d->n_params);
    mbs_host_env env = {.isolate = 1, .worker = MBS_BUILD_DIR "/no-such-program"};
    mbs_instance *i = NULL;
    CHECK_INT(mbs_instance_new(d, p, &env, "reader 'mortal'", &i, &err), MBS_ERR_UNAVAILABLE);
    mbs_err_line(&err, line, sizeof line);
    CHECK(strstr(line, "its worker process cannot be started: No such file"), "%s", line);
    env.worker = NULL;
    mbs_err_clear(&err);
    CHECK_INT(mbs_instance_new(d, p, &env, "reader 'mortal'", &i, &err), MBS_ERR_UNAVAILABLE);
    mbs_params_free(p);
    mbs_registry_free(r);
}

static const mbs_param rows[] = {
    MBS_PARAM("yes", MBS_PARAM_BOOL, "false", "h"),   MBS_PARAM("n", MBS_PARAM_INT, "-7", "h"),
    MBS_PARAM("x", MBS_PARAM_FLOAT, "0.25", "h"),     MBS_PARAM("text", MBS_PARAM_STRING, NULL, "h"),
    MBS_PARAM("list", MBS_PARAM_LIST, NULL, "h"),     MBS_PARAM("away", MBS_PARAM_STRING, NULL, "h"),
    MBS_PARAM("wait", MBS_PARAM_DURATION, NULL, "h"),
};

static void set(mbs_params *p, const char *key, const char *const *texts, int n, int is_list) {
    mbs_buf why = MBS_BUF_INIT;
    CHECK(mbs_params_set(p, key, texts, n, is_list, &why) == MBS_OK, "%s", mbs_buf_str(&why));
    mbs_buf_free(&why);
}

MBS_TEST(isolate, parameters_arrive_as_they_are) {
    mbs_params *a = mbs_params_new(rows, 7);
    mbs_params *b = mbs_params_new(rows, 7);
    set(a, "yes", (const char *const[]){"true"}, 1, 0);
    set(a, "text", (const char *const[]){"a \xc3\xa4 'b'"}, 1, 0);
    set(a, "list", (const char *const[]){"one", "", "three"}, 3, 1);
    set(a, "wait", (const char *const[]){"100ms"}, 1, 0);
    mbs_buf packed = MBS_BUF_INIT;
    mbs_params_pack(a, &packed);
    for (size_t n = 0; n < packed.len; n++) {
        mbs_params *cut = mbs_params_new(rows, 7);
        CHECK(mbs_params_unpack(cut, packed.data, n) != 0, "%zu of %zu bytes were enough", n, packed.len);
        mbs_params_free(cut);
    }
    CHECK_INT(mbs_params_unpack(b, packed.data, packed.len), 0);
    CHECK_INT(mbs_params_bool(b, "yes"), 1);
    CHECK_INT(mbs_params_int(b, "n"), -7);
    CHECK(mbs_params_float(b, "x") == 0.25 && mbs_params_float(b, "wait") == 0.1);
    CHECK_STR(mbs_params_string(b, "text"), "a \xc3\xa4 'b'");
    CHECK_INT(mbs_params_count(b, "list"), 3);
    CHECK_STR(mbs_params_item(b, "list", 2), "three");
    CHECK(!mbs_params_is_set(b, "away") && mbs_params_told(b, "yes") && !mbs_params_told(b, "n"));
    mbs_buf_free(&packed);
    mbs_params_free(a);
    mbs_params_free(b);
}

/* Any change of any byte of a block either gives a block of the same memory or nothing. */
MBS_TEST(isolate, a_damaged_block_is_a_block_or_nothing) {
    mbs_area area;
    CHECK_INT(mbs_area_make(&area, 4096), 0);
    const mbs_attr attrs[] = {{"k", "v"}, {"key", "value"}};
    mbs_record r = {.struct_size = sizeof r,
                    .strand = '-',
                    .index = 3,
                    .name = "name",
                    .label = "l",
                    .length = 9,
                    .n_attrs = 2,
                    .attrs = attrs};
    int64_t shape[2] = {9, 3};
    mbs_block *b = mbs_block_new("pcm/f32", MBS_F32, 2, shape);
    memset(b->data, 1, 9 * 3 * 4);
    memset(mbs_block_side_new(b, "mask", MBS_U8, 1), 2, 9);
    b->record = &r;
    mbs_put put = {&area, 0, 0};
    mbs_wire_put_block(&put, b);
    CHECK(!put.failed);
    unsigned char whole[4096];
    memcpy(whole, area.at, put.at);
    uint64_t rng = 1;
    int taken = 0;
    for (int k = 0; k < 20000; k++) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        memcpy(area.at, whole, put.at);
        area.at[(rng >> 40) % put.at] ^= (unsigned char)(1u << (rng >> 33) % 8);
        if (k % 3 == 0) {
            area.at[(rng >> 20) % put.at] = (unsigned char)(rng >> 8);
        }
        mbs_names names = {.arena = mbs_arena_new()};
        mbs_block *got = NULL;
        mbs_record *record = NULL;
        size_t at = 0;
        size_t bytes = k % 7 ? put.at : (size_t)(rng >> 30) % put.at;
        mbs_status st = mbs_wire_take_block(&area, bytes, &at, &names, &got, &record);
        CHECK(st == MBS_OK || st == MBS_ERR_DATA, "status %d", st);
        if (st == MBS_OK) {
            CHECK(at <= put.at && got && record && record->name);
            taken++;
        } else {
            CHECK(!got && !record);
        }
        mbs_block_unref(got);
        mbs_record_free(record);
        mbs_arena_free(names.arena);
    }
    CHECK(taken > 1000 && taken < 20000, "%d of 20000", taken);
    mbs_block_unref(b);
    mbs_area_free(&area);
}
