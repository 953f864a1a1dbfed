#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/buf.h"
#include "support/test.h"

MBS_TEST(log, levels_and_prefixes) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_log_capture(&b);
    CHECK_INT(mbs_log_get_level(), MBS_LOG_INFO);
    mbs_log(MBS_LOG_INFO, "read %d records", 3);
    mbs_log(MBS_LOG_DEBUG, "hidden");
    mbs_log(MBS_LOG_WARNING, "careful");
    mbs_log_set_level(MBS_LOG_ERROR);
    mbs_log(MBS_LOG_WARNING, "hidden");
    mbs_log(MBS_LOG_ERROR, "bad");
    mbs_log_set_level(MBS_LOG_DEBUG);
    mbs_log(MBS_LOG_DEBUG, "seen");
    mbs_log_capture(NULL);
    mbs_log_set_level(MBS_LOG_INFO);
    CHECK_STR(mbs_buf_str(&b), "mambaseq: read 3 records\nmambaseq: warning: careful\nmambaseq: error: bad\n"
                               "mambaseq: debug: seen\n");
    mbs_buf_free(&b);
}

MBS_TEST(log, error_line) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_err err = {0};
    mbs_fail(&err, MBS_ERR_DATA, "x.fa", "bad name '\x1b]0;owned\x07'");
    mbs_err_fix(&err, "rename it");
    mbs_log_capture(&b);
    mbs_log_err(&err);
    mbs_log_capture(NULL);
    CHECK_STR(mbs_buf_str(&b), "mambaseq: error: x.fa: bad name '\\x1b]0;owned\\x07'; rename it\n");
    mbs_buf_free(&b);
}

MBS_TEST(log, a_message_is_one_line) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_log_capture(&b);
    mbs_log(MBS_LOG_INFO, "%s", "a\nmambaseq: error: forged");
    char text[20000];
    memset(text, '\x01', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mbs_log(MBS_LOG_INFO, "%s", text);
    mbs_log_capture(NULL);
    const char *end = strchr(b.data, '\n');
    CHECK(strncmp(b.data, "mambaseq: a\\x0amambaseq: error: forged\n", (size_t)(end - b.data) + 1) == 0, "%s", b.data);
    CHECK_INT(strlen(end + 1), strlen("mambaseq: \n") + 4 * (sizeof text - 1));
    mbs_buf_free(&b);
}

/* What was written to fd 2 by fn; a pipe gives each write(2) that fits as one piece. */
static ssize_t stderr_of(void (*fn)(void), char *out, size_t size) {
    int ends[2];
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    int old = dup(2);
    dup2(ends[1], 2);
    fn();
    dup2(old, 2);
    close(old);
    close(ends[1]);
    ssize_t n = read(ends[0], out, size - 1);
    close(ends[0]);
    out[n > 0 ? n : 0] = '\0';
    return n;
}

static void with_status(void) {
    mbs_log_status("50 %");
    mbs_log(MBS_LOG_INFO, "hello");
    mbs_log_status(NULL);
    mbs_log_status(NULL);
    mbs_log(MBS_LOG_INFO, "bye");
}

MBS_TEST(log, a_status_line_stays_at_the_bottom) {
    char out[512];
    stderr_of(with_status, out, sizeof out);
    CHECK_STR(out, "\r\x1b[K50 %\r\x1b[Kmambaseq: hello\n50 %\r\x1b[Kmambaseq: bye\n");
}

static void *chatter(void *arg) {
    for (int i = 0; i < 50; i++) {
        mbs_log(MBS_LOG_INFO, "%s", (const char *)arg);
    }
    return NULL;
}

static void two_threads(void) {
    pthread_t a;
    pthread_t b;
    static char x[] = "aaaaaaaaaaaaaaaa";
    static char y[] = "bbbbbbbbbbbbbbbb";
    pthread_create(&a, NULL, chatter, x);
    pthread_create(&b, NULL, chatter, y);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

MBS_TEST(log, lines_of_threads_do_not_mix) {
    static char out[8192];
    stderr_of(two_threads, out, sizeof out);
    int lines = 0;
    for (char *at = strtok(out, "\n"); at; at = strtok(NULL, "\n")) {
        CHECK(strcmp(at, "mambaseq: aaaaaaaaaaaaaaaa") == 0 || strcmp(at, "mambaseq: bbbbbbbbbbbbbbbb") == 0, "%s", at);
        lines++;
    }
    CHECK_INT(lines, 100);
}
