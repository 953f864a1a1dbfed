/* What a plugin asks of the host, from inside its calls. */
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/stop.h"
#include "plug/instance.h"
#include "plug/params.h"
#include "support/child.h"
#include "support/tmp.h"

/* A writer whose calls do what the test at hand says. */
typedef mbs_status (*deed)(const mbs_host *host);
static deed on_create, on_open, on_write;
static const mbs_host *table;
static const mbs_params *given;
static char paths[2][512]; /* what host->output gave */
static int self_;

static mbs_status do_create(const mbs_host *host, const mbs_params *params, void **self) {
    table = host;
    given = params;
    *self = &self_;
    return on_create ? on_create(host) : MBS_OK;
}

static mbs_status do_open(void *self, const mbs_stream_header *header) {
    (void)self;
    (void)header;
    return on_open ? on_open(table) : MBS_OK;
}

static mbs_status do_write(void *self, const mbs_block *block) {
    (void)self;
    (void)block;
    return on_write ? on_write(table) : MBS_OK;
}

static mbs_status do_nothing(void *self) {
    (void)self;
    return MBS_OK;
}

static void do_destroy(void *self) {
    (void)self;
}

static const mbs_writer_vt vt = {sizeof vt, 0, do_create, do_open, do_write, do_nothing, do_nothing, do_destroy, NULL};
static const mbs_param params[] = {MBS_PARAM_RANGE("level", MBS_PARAM_INT, "6", 0, 9, NULL, "x")};
static const mbs_descriptor desc = {.struct_size = sizeof desc,
                                    .kind = MBS_KIND_WRITER,
                                    .id = "deed",
                                    .version = "1",
                                    .licence = "MIT",
                                    .summary = "s",
                                    .accepts = "*",
                                    .n_params = 1,
                                    .params = params,
                                    .vt = &vt};

typedef struct run {
    mbs_status status;
    mbs_err err;
    char line[3000];
} run;

/* create, open, write; the first failure ends it. */
static void go(run *r, const mbs_host_env *env) {
    mbs_stream_header h = {.struct_size = sizeof h, .type = "bases/u8", .unit = "base", .channels = 1};
    mbs_params *p = mbs_params_new(params, 1);
    mbs_instance *i = NULL;
    *r = (run){0};
    r->status = mbs_instance_new(&desc, p, env, "writer.1 'deed'", &i, &r->err);
    r->status = r->status == MBS_OK ? mbs_writer_open(i, &h, &r->err) : r->status;
    r->status = r->status == MBS_OK ? mbs_writer_write(i, NULL, &r->err) : r->status;
    mbs_instance_free(i);
    mbs_params_free(p);
    mbs_err_line(&r->err, r->line, sizeof r->line);
    on_create = on_open = on_write = NULL;
}

static mbs_status declare(const mbs_host *host) {
    const char *temp = NULL;
    mbs_status rc = host->output(host, "out.tsv", MBS_OUTPUT_FILE, NULL, &temp);
    (void)snprintf(paths[0], sizeof paths[0], "%s", temp ? temp : "");
    rc = rc == MBS_OK ? host->output(host, "out.tsv", MBS_OUTPUT_SCRATCH, "spool", &temp) : rc;
    (void)snprintf(paths[1], sizeof paths[1], "%s", temp ? temp : "");
    return rc;
}

static mbs_status declare_stdout(const mbs_host *host) {
    const char *temp = "x";
    mbs_status rc = host->output(host, "-", MBS_OUTPUT_FILE, NULL, &temp);
    CHECK(temp == NULL);
    return rc;
}

static mbs_status declare_badly(const mbs_host *host) {
    const char *temp = NULL;
    return host->output(host, "out.tsv", MBS_OUTPUT_SCRATCH, NULL, &temp);
}

static mbs_status declare_spool_of_stdout(const mbs_host *host) {
    const char *temp = NULL;
    return host->output(host, "-", MBS_OUTPUT_SCRATCH, "spool", &temp);
}

MBS_TEST(host, outputs_are_declared_beside_their_place) {
    char dir[256];
    run r;
    test_tmp_enter(dir);
    mbs_host_env env = {.outputs = mbs_outputs_new()};
    on_create = declare;
    on_open = declare_stdout;
    go(&r, &env);
    CHECK(r.status == MBS_OK, "%s", r.line);
    CHECK(strstr(paths[0], ".out.tsv.mbs-part") && strstr(paths[1], ".out.tsv.mbs-spool"), "%s %s", paths[0], paths[1]);
    CHECK_INT(mbs_outputs_count(env.outputs), 1);
    mbs_outputs_free(env.outputs);
    test_tmp_leave(dir);
}

MBS_TEST(host, an_existing_file_is_refused_but_by_force) {
    char dir[256];
    run r;
    test_tmp_enter(dir);
    test_tmp_write("out.tsv", "precious");
    mbs_host_env env = {.outputs = mbs_outputs_new()};
    on_create = declare;
    go(&r, &env);
    CHECK_INT(r.status, MBS_ERR_CREATE);
    CHECK(strncmp(r.line, "writer.1 'deed': ", 17) == 0 && strstr(r.line, "out.tsv"), "%s", r.line);
    mbs_outputs_free(env.outputs);
    env = (mbs_host_env){.outputs = mbs_outputs_new(), .force = 1};
    on_create = declare;
    go(&r, &env);
    CHECK(r.status == MBS_OK, "%s", r.line);
    mbs_outputs_free(env.outputs);
    CHECK_STR(test_tmp_text("out.tsv"), "precious"); /* nothing was committed */
    test_tmp_leave(dir);
}

MBS_TEST(host, outputs_out_of_place_are_refused) {
    char dir[256];
    run r;
    test_tmp_enter(dir);
    mbs_host_env env = {.outputs = mbs_outputs_new()};
    on_write = declare;
    go(&r, &env);
    CHECK_INT(r.status, MBS_ERR_INTERNAL);
    CHECK(strstr(r.line, "outside of create and open"), "%s", r.line);
    on_open = declare_badly;
    go(&r, &env);
    CHECK_INT(r.status, MBS_ERR_INTERNAL);
    on_open = declare_spool_of_stdout;
    go(&r, &env);
    CHECK_INT(r.status, MBS_ERR_CREATE);
    CHECK(strstr(r.line, "standard output"), "%s", r.line);
    mbs_outputs_free(env.outputs);
    on_create = declare;
    go(&r, NULL); /* an instance that may not write at all */
    CHECK_INT(r.status, MBS_ERR_CREATE);
    CHECK_INT(test_tmp_count("."), 0);
    test_tmp_leave(dir);
}

static mbs_status hint_first(const mbs_host *host) {
    host->hint(host, "do %s", "this");
    host->hint(host, "do that");
    return host->fail(host, MBS_ERR_DATA, NULL, "%d%% of it is wrong", 99);
}

static mbs_status fail_with_success(const mbs_host *host) {
    return host->fail(host, MBS_OK, NULL, "failed, or so it says");
}

static mbs_status recover(const mbs_host *host) {
    host->fail(host, MBS_ERR_DATA, NULL, "forget this");
    host->hint(host, "and this");
    return MBS_OK;
}

static mbs_status fail_silently(const mbs_host *host) {
    (void)host;
    return MBS_ERR_DATA;
}

static mbs_status stop_quietly(const mbs_host *host) {
    return host->cancelled(host) ? MBS_ERR_STOPPED : MBS_OK;
}

MBS_TEST(host, failures_are_told_once_and_recovered_ones_not) {
    run r;
    on_open = hint_first;
    go(&r, NULL);
    CHECK_STR(r.line, "writer.1 'deed': 99% of it is wrong; do this");
    on_create = fail_with_success;
    go(&r, NULL);
    CHECK_INT(r.status, MBS_ERR_INTERNAL);
    CHECK_STR(r.line, "writer.1 'deed': failed, or so it says");
    on_open = recover;
    on_write = fail_silently;
    go(&r, NULL);
    CHECK_INT(r.status, MBS_ERR_DATA);
    CHECK(!strstr(r.line, "forget") && !strstr(r.line, "and this"), "%s", r.line);
    CHECK(strstr(r.line, "did not say why"), "%s", r.line);
}

MBS_TEST(host, a_stop_reaches_the_plugin) {
    run r;
    on_write = stop_quietly;
    go(&r, NULL);
    CHECK(r.status == MBS_OK, "%s", r.line);
    mbs_stop_request(SIGTERM);
    on_write = stop_quietly;
    go(&r, NULL);
    mbs_stop_request(0);
    CHECK_INT(r.status, MBS_ERR_STOPPED);
    CHECK_STR(r.err.what, "stopped");
}

static mbs_status log_levels(const mbs_host *host) {
    host->log(host, MBS_LOGLEVEL_WARNING, "careful with %s", "that");
    host->log(host, MBS_LOGLEVEL_DEBUG, "details");
    return MBS_OK;
}

static mbs_status look_around(const mbs_host *host) {
    const char *data = "x";
    size_t bytes = 1;
    CHECK_INT(host->struct_size, sizeof(mbs_host));
    CHECK(MBS_HOST_HAS(host, get_extension));
    CHECK(host->get_extension(host, "mambaseq.nothing/1") == NULL);
    CHECK_INT(host->param_int(given, "level"), 6);
    CHECK_INT(host->helpers(host), 3);
    CHECK_INT(host->model_file(host, "vocab.txt", &data, &bytes), MBS_OK);
    CHECK(bytes == 3 && strcmp(data, "A C") == 0);
    CHECK_INT(host->model_file(host, "../../etc/passwd", &data, &bytes), MBS_ERR_NOINPUT);
    CHECK(data == NULL && bytes == 0);
    CHECK_INT(host->model_file(host, "..", &data, &bytes), MBS_ERR_NOINPUT);
    CHECK_INT(host->model_file(host, "none.json", &data, &bytes), MBS_ERR_NOINPUT);
    char *p = host->alloc(host, 10);
    p = host->realloc(host, p, 1000);
    CHECK(p != NULL);
    host->free(host, p);
    return MBS_OK;
}

static mbs_status lend(void *ctx, const char *name, const char **data, size_t *bytes) {
    if (strcmp(name, "none.json") == 0) {
        return MBS_ERR_NOINPUT;
    }
    *data = ctx;
    *bytes = 3;
    return MBS_OK;
}

MBS_TEST(host, lends_what_it_has) {
    run r;
    char text[] = "A C";
    mbs_host_env env = {.model_file = lend, .model_ctx = text, .helpers = 3};
    on_create = look_around;
    go(&r, &env);
    CHECK(r.status == MBS_OK, "%s", r.line);
}

MBS_TEST(host, logs_with_the_stage_in_front) {
    run r;
    mbs_buf log = MBS_BUF_INIT;
    mbs_log_capture(&log);
    on_open = log_levels;
    go(&r, NULL);
    mbs_log_capture(NULL);
    CHECK(strstr(mbs_buf_str(&log), "warning: writer.1 'deed': careful with that"), "%s", mbs_buf_str(&log));
    CHECK(!strstr(mbs_buf_str(&log), "details"), "%s", mbs_buf_str(&log));
    mbs_buf_free(&log);
}

static mbs_status say_much(const mbs_host *host) {
    char text[1000];
    memset(text, 'x', sizeof text);
    for (int k = 0; k < 1000; k++) {
        mbs_status rc = host->stdout_write(host, text, sizeof text);
        if (rc != MBS_OK) {
            return rc;
        }
    }
    return MBS_OK;
}

/* In a child whose standard output is `fd`: exit code of the run. */
static int say_to(void *fd) {
    run r;
    if (dup2(*(int *)fd, STDOUT_FILENO) < 0) {
        return 99;
    }
    close(*(int *)fd);
    on_write = say_much;
    go(&r, NULL);
    if (r.status != MBS_OK && !strstr(r.line, "cannot write to standard output: ")) {
        return 98;
    }
    return mbs_exit_code(r.status);
}

MBS_TEST(host, stdout_that_went_away_ends_quietly_and_a_full_one_does_not) {
    int ends[2];
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK_INT(test_child(say_to, &ends[1]), -SIGPIPE);
    close(ends[1]);
    int full = open("/dev/full", O_WRONLY);
    if (full < 0) {
        SKIP("no /dev/full here");
    }
    CHECK_INT(test_child(say_to, &full), 74);
    close(full);
}

/* A slow reader on a pipe that does not block: every byte arrives. */
static int read_slowly(void *fd) {
    char text[4096];
    long total = 0;
    usleep(50000);
    for (ssize_t n; (n = read(*(int *)fd, text, sizeof text)) > 0;) {
        total += n;
    }
    return total == 1000000 ? 0 : 1;
}

MBS_TEST(host, stdout_that_does_not_block_gets_every_byte) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    pid_t writer = test_child_start(say_to, &ends[1]);
    close(ends[1]);
    CHECK_INT(read_slowly(&ends[0]), 0);
    CHECK_INT(test_child_wait(writer), 0);
    close(ends[0]);
}
