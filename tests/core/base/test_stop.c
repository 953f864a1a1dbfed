/* What ends a process is tested in a child of its own. */
#include "base/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "support/child.h"
#include "support/test.h"

static void nap(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static int first_is_noted(void *arg) {
    int sig = *(int *)arg;
    mbs_stop_install();
    if (mbs_stop_requested() != 0) {
        return 1;
    }
    raise(sig);
    raise(sig); /* at once: the same request */
    if (mbs_stop_requested() != sig) {
        return 2;
    }
    mbs_stop_request(0);
    return mbs_stop_requested() == 0 ? 0 : 3;
}

MBS_TEST(stop, the_first_signal_is_a_request) {
    int sigs[] = {SIGTERM, SIGINT, SIGHUP};
    for (int i = 0; i < 3; i++) {
        CHECK_INT(test_child(first_is_noted, &sigs[i]), 0);
    }
}

static int second_ends(void *arg) {
    (void)arg;
    mbs_stop_install();
    raise(SIGTERM);
    nap(400);
    raise(SIGINT);
    return 1;
}

MBS_TEST(stop, the_second_ends_at_once) {
    CHECK_INT(test_child(second_ends, NULL), -SIGINT);
}

static int interrupts(void *arg) {
    (void)arg;
    mbs_stop_install();
    int ends[2];
    char c;
    if (pipe(ends) != 0) {
        return 3;
    }
    pid_t me = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        nap(100);
        kill(me, SIGTERM);
        _exit(0);
    }
    ssize_t n = read(ends[0], &c, 1); /* for ever, were it restarted */
    int good = n < 0 && errno == EINTR && mbs_stop_requested() == SIGTERM;
    test_child_wait(pid);
    return good ? 0 : 1;
}

MBS_TEST(stop, a_blocked_read_is_interrupted) {
    CHECK_INT(test_child(interrupts, NULL), 0);
}

static int ignored_stays(void *arg) {
    (void)arg;
    signal(SIGINT, SIG_IGN);
    mbs_stop_install();
    raise(SIGINT);
    nap(350);
    raise(SIGINT);
    return mbs_stop_requested();
}

MBS_TEST(stop, a_background_job_keeps_sigint_ignored) {
    CHECK_INT(test_child(ignored_stays, NULL), 0);
}

static int by_signal(void *arg) {
    mbs_stop_install();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    mbs_stop_raise(*(int *)arg);
    return 1;
}

MBS_TEST(stop, raise_ends_by_the_signal_itself) {
    int sig = SIGINT;
    CHECK_INT(test_child(by_signal, &sig), -SIGINT);
    sig = SIGTERM;
    CHECK_INT(test_child(by_signal, &sig), -SIGTERM);
}

static int closed_fds(void *arg) {
    (void)arg;
    close(0);
    close(1);
    close(2);
    mbs_stop_install();
    int fd = open("/dev/null", O_RDONLY);
    char c;
    if (fd <= 2) {
        return 1; /* a data file would have got the number of a standard stream */
    }
    if (read(0, &c, 1) >= 0 || errno != EBADF || write(1, "x", 1) >= 0 || errno != EBADF) {
        return 2; /* data must not vanish quietly */
    }
    return write(2, "x", 1) == 1 ? 0 : 3;
}

MBS_TEST(stop, closed_fds_are_taken_up) {
    CHECK_INT(test_child(closed_fds, NULL), 0);
}

static int file_size(void *arg) {
    mbs_stop_install();
    struct rlimit limit = {1, 1};
    setrlimit(RLIMIT_FSIZE, &limit);
    int fd = *(int *)arg;
    return write(fd, "ab", 1) == 1 && write(fd, "ab", 2) < 0 && errno == EFBIG ? 0 : 1;
}

MBS_TEST(stop, a_file_size_limit_is_an_error_not_a_signal) {
    FILE *f = tmpfile();
    int fd = fileno(f);
    CHECK_INT(test_child(file_size, &fd), 0);
    fclose(f);
}
