#include "base/progress.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "support/test.h"

static void nap(long ms) {
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

MBS_TEST(progress, json_lines) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_log_capture(&b);
    mbs_log_set_level(MBS_LOG_ERROR); /* asked for, so also under -q */
    mbs_progress *p = mbs_progress_new(MBS_PROGRESS_JSON, "bases", 2000);
    mbs_progress_update(p, 0, 1000);
    CHECK_INT(b.len, 0);
    nap(120);
    mbs_progress_update(p, 1, 1500);
    mbs_progress_update(p, 2, 1600); /* too soon to be shown */
    mbs_progress_finish(p);
    mbs_progress_finish(p);
    mbs_progress_free(p);
    mbs_log_capture(NULL);
    char *end = strchr(b.data, '\n');
    CHECK(end != NULL && strchr(end + 1, '\n') == b.data + b.len - 1, "%s", b.data);
    mbs_err err = {0};
    mbs_json *doc;
    CHECK_INT(mbs_json_parse("progress", b.data, (size_t)(end - b.data), &doc, &err), MBS_OK);
    CHECK_STR(mbs_json_string(doc, "event", "", &err), "progress");
    CHECK_INT(mbs_json_int(doc, "records", 0, &err), 1);
    CHECK_INT(mbs_json_int(doc, "tokens", 0, &err), 1500);
    CHECK_INT(mbs_json_int(doc, "total_tokens", 0, &err), 2000);
    /* 500 in 0.12 s or a little more: what a resumed run had before does not count. */
    double speed = mbs_json_double(doc, "tokens_per_s", 0, &err);
    CHECK(speed > 50 && speed < 4200, "%g", speed);
    double eta = mbs_json_double(doc, "eta_s", -1, &err);
    CHECK(fabs(eta - 500 / speed) <= 0.06, "%g", eta);
    mbs_json_free(doc);
    CHECK_INT(mbs_json_parse("progress", end + 1, strlen(end + 1), &doc, &err), MBS_OK);
    CHECK_STR(mbs_json_string(doc, "event", "", &err), "done");
    CHECK_INT(mbs_json_int(doc, "tokens", 0, &err), 1600);
    CHECK(mbs_json_has(doc, "seconds"));
    CHECK_INT(err.status, MBS_OK);
    mbs_json_free(doc);
    mbs_buf_free(&b);
}

MBS_TEST(progress, steps_and_a_loss) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_log_capture(&b);
    mbs_progress *p = mbs_progress_new(MBS_PROGRESS_JSON, "bases", 100);
    mbs_progress_counts(p, "step");
    mbs_progress_update(p, 0, 0);
    nap(110);
    mbs_progress_note(p, "loss", 1.5);
    mbs_progress_update(p, 3, 30);
    mbs_progress_free(p);
    mbs_log_capture(NULL);
    CHECK(strstr(mbs_buf_str(&b), "\"steps\":3,\"tokens\":30,") != NULL, "%s", mbs_buf_str(&b));
    CHECK(strstr(mbs_buf_str(&b), ",\"loss\":1.5}") != NULL, "%s", mbs_buf_str(&b));
    mbs_buf_free(&b);
}

MBS_TEST(progress, json_without_a_total) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_log_capture(&b);
    mbs_progress *p = mbs_progress_new(MBS_PROGRESS_JSON, "tokens", -1);
    mbs_progress_update(p, 0, 0);
    nap(110);
    mbs_progress_update(p, 3, 7);
    mbs_progress_free(p);
    mbs_log_capture(NULL);
    CHECK(strstr(mbs_buf_str(&b), "\"total_tokens\":null,\"eta_s\":null}") != NULL, "%s", mbs_buf_str(&b));
    mbs_buf_free(&b);
}

/* What fn writes to fd 2. */
static const char *stderr_of(void (*fn)(void)) {
    static char out[4096];
    int ends[2];
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    int old = dup(2);
    dup2(ends[1], 2);
    fn();
    dup2(old, 2);
    close(old);
    close(ends[1]);
    ssize_t n = read(ends[0], out, sizeof out - 1);
    close(ends[0]);
    out[n > 0 ? n : 0] = '\0';
    return out;
}

static void bar(void) {
    mbs_progress *p = mbs_progress_new(MBS_PROGRESS_ALWAYS, "bases", 4000000);
    mbs_progress_update(p, 0, 0);
    nap(120);
    mbs_progress_update(p, 1, 1000000);
    mbs_log(MBS_LOG_WARNING, "a word");
    mbs_progress_free(p);
}

MBS_TEST(progress, a_bar_gives_way_to_words_and_is_wiped) {
    const char *out = stderr_of(bar);
    CHECK(strncmp(out, "\r\x1b[K[=====               ]  25%  1.00M bases  1 record  ", 55) == 0, "%s", out);
    CHECK(strstr(out, "M bases/s") && strstr(out, "ETA 0:0"), "%s", out);
    CHECK(strstr(out, "\r\x1b[Kmambaseq: warning: a word\n[=====") != NULL, "%s", out);
    CHECK_STR(out + strlen(out) - 4, "\r\x1b[K");
}

static void automatic(void) {
    mbs_progress *p = mbs_progress_new(MBS_PROGRESS_AUTO, "bases", 10);
    mbs_progress_update(p, 0, 0);
    nap(110);
    mbs_progress_update(p, 1, 5);
    mbs_progress_finish(p);
    mbs_progress_free(p);
    p = mbs_progress_new(MBS_PROGRESS_NEVER, "bases", 10);
    mbs_progress_update(p, 0, 0);
    nap(110);
    mbs_progress_update(p, 1, 5);
    mbs_progress_finish(p);
    mbs_progress_free(p);
    mbs_progress_update(NULL, 1, 1);
    mbs_progress_finish(NULL);
    mbs_progress_free(NULL);
}

MBS_TEST(progress, nothing_without_a_terminal) {
    CHECK_STR(stderr_of(automatic), "");
}
