/*
 * check.h - `plugin check`: drives one plugin library through what the headers ask of it, each test in a process of its
 * own, so that a plugin that crashes, hangs or leaves is caught and named.
 *
 * A test passes, fails, or is not checked; the last says why and never counts as passed (a reader without a sample, a
 * codec that cannot decode). This process never loads the library itself: not even its constructors can harm it.
 */
#ifndef MBS_PLUG_CHECK_CHECK_H
#define MBS_PLUG_CHECK_CHECK_H

#include "base/err.h"
#include "mambaseq/plugin.h"

typedef enum mbs_check_verdict { MBS_CHECK_PASSED = 0, MBS_CHECK_FAILED, MBS_CHECK_NOT_CHECKED } mbs_check_verdict;

/* One test, as --list shows it. */
typedef struct mbs_check_test {
    const char *id;      /* "data.chunks": never changes once released */
    unsigned kinds;      /* bit of each kind that it is run for; 0: once for the library */
    const char *needs;   /* id of the test without which this one says nothing, or NULL */
    int lenient;         /* it runs also where that one was not checked */
    const char *meaning; /* one sentence: what is so where it passes */
    const char *hint;    /* what to look at where it does not */
} mbs_check_test;

#define MBS_CHECK_READER (1u << MBS_KIND_READER)
#define MBS_CHECK_CODEC (1u << MBS_KIND_CODEC)
#define MBS_CHECK_WRITER (1u << MBS_KIND_WRITER)

/* All tests in the order in which they run. */
const mbs_check_test *mbs_check_tests(int *n);

typedef struct mbs_check_options {
    const char *file;          /* a library, or the id of a plugin that is looked for as a pipeline would */
    const char *sample;        /* a file of the plugin's format, or NULL */
    const char *const *params; /* "key=value" */
    int n_params;
    const char *only; /* id of one test, or NULL for all */
    int in_process;   /* no process of its own, no deadline: for a debugger */
    uint64_t seed;    /* of everything that is made up */
    double timeout;   /* seconds for one test */
} mbs_check_options;

/* What became of one test. Borrowed for the call. */
typedef struct mbs_check_case {
    const mbs_check_test *test;
    const char *kind; /* "reader", or NULL for a test of the library */
    const char *id;   /* of the descriptor, or NULL */
    mbs_check_verdict verdict;
    const char *what; /* why it failed or was not checked; empty where it passed */
    double seconds;
} mbs_check_case;

typedef struct mbs_check_sum {
    char path[4096]; /* the library that was checked */
    int passed, failed, not_checked;
} mbs_check_sum;

/* Runs the tests and calls done after each. MBS_OK when they have run, whatever came of them; MBS_ERR_UNAVAILABLE where
 * there is no such file or plugin, MBS_ERR_USAGE for an unknown test or parameter, MBS_ERR_NOINPUT for a sample that
 * cannot be read, MBS_ERR_STOPPED when asked to stop. */
mbs_status mbs_check_plugin(const mbs_check_options *o, void (*done)(void *sink, const mbs_check_case *c), void *sink,
                            mbs_check_sum *sum, mbs_err *err);

#endif
