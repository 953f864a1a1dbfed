/* A test in a process of its own: what it says comes over shared memory, and where it dies, that says where. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "plug/check/impl.h"

#define WAIT_NS 2000000 /* between two looks at the child */

int mbs_check_decided(const mbs_check *c) {
    return c->board->verdict != MBS_CHECK_PASSED;
}

MBS_PRINTF(3, 0)
static int decide(mbs_check *c, mbs_check_verdict verdict, const char *fmt, va_list ap) {
    if (!mbs_check_decided(c)) {
        c->board->verdict = (int)verdict;
        (void)vsnprintf(c->board->what, sizeof c->board->what, fmt, ap);
    }
    return 0;
}

int mbs_check_fail(mbs_check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)decide(c, MBS_CHECK_FAILED, fmt, ap);
    va_end(ap);
    return 0;
}

int mbs_check_skip(mbs_check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)decide(c, MBS_CHECK_NOT_CHECKED, fmt, ap);
    va_end(ap);
    return 0;
}

void mbs_check_at(mbs_check *c, const char *call) {
    (void)snprintf(c->board->at, sizeof c->board->at, "%s", call);
}

void mbs_check_note(mbs_check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->board->note, sizeof c->board->note, fmt, ap);
    va_end(ap);
}

static void run(mbs_check *c, mbs_check_fn fn, int32_t kind, const char *id) {
    if (kind == 0 || mbs_check_load(c, kind, id) == 0) {
        fn(c);
    }
    c->board->done = 1;
}

/* The child: quiet, in a group of its own, and gone when its parent is. */
static void be_child(mbs_check *c, mbs_check_fn fn, int32_t kind, const char *id, int out) {
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    mbs_check_process before;
    struct rlimit none = {0, 0};
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CORE, &none);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    (void)close(null);
    (void)close(out);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        (void)signal(fatal[i], SIG_DFL); /* the one who waits says what it means */
    }
    mbs_check_process_look(&before);
    c->before = &before;
    mbs_log_set_level(MBS_LOG_ERROR); /* what the plugin logs is no concern of these tests */
    run(c, fn, kind, id);
    _exit(0); /* no destructor of the library may change what was found */
}

/* The last line that the child wrote, or an empty text: what the C library or a sanitizer said. */
static void last_words(int out, char *text, size_t size) {
    char tail[4096];
    off_t len = lseek(out, 0, SEEK_END);
    off_t from = len > (off_t)sizeof tail - 1 ? len - (off_t)(sizeof tail - 1) : 0;
    ssize_t n = len > 0 ? pread(out, tail, sizeof tail - 1, from) : 0;
    text[0] = '\0';
    if (n <= 0) {
        return;
    }
    tail[n] = '\0';
    const char *summary = strstr(tail, "SUMMARY: ");
    const char *line = summary ? summary : tail;
    while (!summary) {
        const char *next = strchr(line, '\n');
        if (!next || next[1] == '\0') {
            break;
        }
        line = next + 1;
    }
    (void)snprintf(text, size, "; its last words: %.*s", (int)strcspn(line, "\n"), line);
}

/* A child that did not come to its end. */
static void died(mbs_check *c, int status, int late, double timeout, int out) {
    char words[512];
    char where[256];
    mbs_check_board *b = c->board;
    b->at[sizeof b->at - 1] = '\0';
    b->note[sizeof b->note - 1] = '\0';
    last_words(out, words, sizeof words);
    (void)snprintf(where, sizeof where, "%s%s%s%s", b->at[0] ? " in " : "", b->at, b->note[0] ? ", " : "", b->note);
    b->verdict = MBS_CHECK_PASSED; /* what it said so far is of no account */
    if (late) {
        (void)mbs_check_fail(c, "did not come to an end within %g s%s", timeout, where);
    } else if (WIFSIGNALED(status)) {
        (void)mbs_check_fail(c, "crashed%s: signal %d, %s%s", where, WTERMSIG(status), strsignal(WTERMSIG(status)),
                             words);
    } else {
        (void)mbs_check_fail(c, "ended the process%s, with exit code %d%s", where, WEXITSTATUS(status), words);
    }
}

/* Waits for the child. 1 where it had to be stopped because it was late, -1 where we are asked to stop. */
static int wait_for(pid_t pid, double timeout, int *status) {
    const struct timespec nap = {0, WAIT_NS};
    double end = mbs_clock() + timeout;
    int why = 0;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid || (got < 0 && errno != EINTR)) {
            break;
        }
        if (mbs_stop_requested() || mbs_clock() > end) {
            why = mbs_stop_requested() ? -1 : 1;
            (void)kill(-pid, SIGKILL);
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, status, 0);
            break;
        }
        (void)nanosleep(&nap, NULL);
    }
    (void)kill(-pid, SIGKILL); /* processes that it may have left */
    return why;
}

mbs_status mbs_check_child(mbs_check *c, mbs_check_fn fn, int32_t kind, const char *id, mbs_err *err) {
    memset(c->board, 0, sizeof *c->board);
    if (c->o->in_process) {
        run(c, fn, kind, id);
        return MBS_OK;
    }
    int out = memfd_create("mambaseq-check", MFD_CLOEXEC);
    if (out < 0) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, "plugin check", "no place for what a test prints");
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        int why = errno;
        (void)close(out);
        mbs_fail_errno(err, MBS_ERR_UNAVAILABLE, why, "plugin check", "cannot start a process for a test");
        mbs_err_fix(err, "--in-process runs the tests without");
        return MBS_ERR_UNAVAILABLE;
    }
    if (pid == 0) {
        be_child(c, fn, kind, id, out);
    }
    int status = 0;
    int late = wait_for(pid, c->o->timeout, &status);
    mbs_check_board *b = c->board;
    if (late >= 0 && (!b->done || late > 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        died(c, status, late, c->o->timeout, out);
    }
    (void)close(out);
    b->what[sizeof b->what - 1] = '\0';
    if (late < 0) {
        return mbs_fail(err, MBS_ERR_STOPPED, "plugin check", "stopped");
    }
    return MBS_OK;
}
