/*
 * child.h - run a function in a process of its own: for what ends a process, holds a lock, or reads the environment
 * once.
 */
#ifndef MBS_TEST_CHILD_H
#define MBS_TEST_CHILD_H

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starts fn in a child; its result is the exit code. */
static inline pid_t test_child_start(int (*fn)(void *arg), void *arg) {
    pid_t pid = fork();
    if (pid == 0) {
        _exit(fn(arg));
    }
    return pid;
}

/* Exit code, or minus the signal that ended it. */
static inline int test_child_wait(pid_t pid) {
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return -1000;
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int test_child(int (*fn)(void *arg), void *arg) {
    return test_child_wait(test_child_start(fn, arg));
}

#endif
