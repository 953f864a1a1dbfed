/* What a plugin must leave as it found it: standard streams, folder, environment, signals, threads. */
#include <dirent.h>
#include <fcntl.h>
#include <fenv.h>
#include <float.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "plug/check/impl.h"
#include "plug/check/rig.h"

static uint64_t mix(uint64_t h, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * 0x100000001b3u;
    }
    return h;
}

int mbs_check_count(const char *folder) {
    DIR *d = opendir(folder);
    if (!d) {
        return -1;
    }
    int n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

void mbs_check_process_look(mbs_check_process *p) {
    memset(p, 0, sizeof *p);
    p->threads = mbs_check_count("/proc/self/task");
    p->fds = mbs_check_count("/proc/self/fd");
    if (!getcwd(p->cwd, sizeof p->cwd)) {
        p->cwd[0] = '\0';
    }
    p->environment = 0xcbf29ce484222325u;
    for (char **e = environ; e && *e; e++) {
        p->environment = mix(p->environment, *e, strlen(*e) + 1);
    }
    const char *locale = setlocale(LC_ALL, NULL);
    (void)snprintf(p->locale, sizeof p->locale, "%s", locale ? locale : "");
    mode_t mask = umask(0);
    (void)umask(mask);
    p->umask = mask;
    p->handlers = p->masked = 0xcbf29ce484222325u;
    sigset_t blocked;
    (void)sigemptyset(&blocked);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    for (int s = 1; s < NSIG; s++) {
        struct sigaction a = {0};
        if (sigaction(s, NULL, &a) == 0) {
            p->handlers = mix(p->handlers, (const void *)&a.sa_handler, sizeof a.sa_handler);
        }
        char is = (char)sigismember(&blocked, s);
        p->masked = mix(p->masked, &is, 1);
    }
    p->rounding = fegetround();
    volatile double smallest = DBL_MIN;
    volatile double half = smallest / 2;
    p->flushes_denormals = half == 0;
}

const char *mbs_check_process_differs(const mbs_check_process *a, const mbs_check_process *b) {
    return strcmp(a->cwd, b->cwd) != 0         ? "the working folder was changed"
           : a->environment != b->environment  ? "the environment was changed"
           : strcmp(a->locale, b->locale) != 0 ? "the locale was changed"
           : a->umask != b->umask              ? "the umask was changed"
           : a->handlers != b->handlers        ? "a signal handler was changed"
           : a->masked != b->masked            ? "signals were blocked or unblocked"
           : a->rounding != b->rounding        ? "the rounding of floating point was changed"
           : a->flushes_denormals != b->flushes_denormals
               ? "small floating point numbers became zero (the library is linked with -ffast-math)"
               : NULL;
}

/* A whole life where there is something to read, else as far as it goes. */
static void live(mbs_check *c) {
    mbs_rig r;
    mbs_rig_how how = {.rows = 4096};
    (void)mbs_rig_whole(c, &how, &r);
    mbs_rig_free(&r);
}

void mbs_check_process_quiet(mbs_check *c) {
    mbs_log_level level = mbs_log_get_level();
    char said[512];
    (void)fflush(NULL);
    int out = memfd_create("quiet", MFD_CLOEXEC);
    int was_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int was_err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (out < 0 || was_out < 0 || was_err < 0) {
        (void)mbs_check_skip(c, "standard output cannot be watched here");
        return;
    }
    mbs_log_set_level(MBS_LOG_ERROR); /* words through host->log are fine */
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    live(c);
    (void)fflush(NULL);
    (void)dup2(was_out, STDOUT_FILENO);
    (void)dup2(was_err, STDERR_FILENO);
    mbs_log_set_level(level);
    ssize_t n = pread(out, said, sizeof said - 1, 0);
    if (n > 0) {
        said[n] = '\0';
        (void)mbs_check_fail(c, "wrote to standard output or error: %.*s", (int)strcspn(said, "\n"), said);
    }
    (void)close(out);
    (void)close(was_out);
    (void)close(was_err);
}

void mbs_check_process_state(mbs_check *c) {
    mbs_check_process after;
    live(c);
    mbs_check_process_look(&after);
    const char *what = mbs_check_process_differs(c->before, &after);
    if (what) {
        (void)mbs_check_fail(c, "%s", what);
    }
}

void mbs_check_process_threads(mbs_check *c) {
    const struct timespec nap = {0, 10000000};
    live(c); /* the first life may start what belongs to the library */
    int fds = mbs_check_count("/proc/self/fd");
    int threads = 0;
    live(c);
    for (int i = 0; i < 50; i++) { /* a joined thread may be seen for a moment */
        threads = mbs_check_count("/proc/self/task");
        if (threads <= c->before->threads) {
            break;
        }
        (void)nanosleep(&nap, NULL);
    }
    if (threads > c->before->threads) {
        (void)mbs_check_fail(c, "%d of its threads still run after destroy", threads - c->before->threads);
    } else if (mbs_check_count("/proc/self/fd") > fds) {
        (void)mbs_check_fail(c, "a file is still open after destroy");
    }
}
