/*
 * sick.h - plugins for `plugin check`: a reader, a codec and a writer that keep every promise (SICK_WELL), and for each
 * test at least one illness that only shows when the test looks. Format of the reader: letters, a record a line.
 */
#ifndef MBS_ZOO_SICK_H
#define MBS_ZOO_SICK_H

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"

enum {
    SICK_WELL,
    /* of any kind */
    SICK_EXTENSION,  /* answers every id */
    SICK_DEFAULT,    /* refuses its own default */
    SICK_RANGE,      /* refuses the end of its range without the name */
    SICK_RANGE_DIES, /* takes it and falls */
    SICK_SPLIT,      /* looks at where a block ends */
    SICK_SHARED,     /* one state for all instances */
    SICK_NO_TEST,    /* uses memory that it did not get */
    SICK_OTHER,      /* calls refused memory an I/O error */
    SICK_DROPS,      /* loses what it has when memory is refused */
    SICK_GROWS,      /* each instance leaves something of the host's */
    SICK_GROWS_HEAP, /* ... of the C library's */
    SICK_GROWS_FILE, /* ... a file */
    SICK_CLOSES,     /* only close gives back */
    SICK_PLACE,      /* goes on at another place */
    SICK_MUTE,       /* fails without a word */
    SICK_PRINTS,
    SICK_COMPLAINS, /* on standard error */
    SICK_THREAD,    /* leaves one running */
    /* of the process */
    SICK_FOLDER,
    SICK_ENVIRONMENT,
    SICK_UMASK,
    SICK_SIGNAL,
    SICK_MASK,
    SICK_ROUNDING,
    /* of a reader */
    SICK_EARLY,   /* create opens the file */
    SICK_ORDER,   /* close expects that something was read */
    SICK_CUT,     /* expects a line end at the end of the file */
    SICK_TRUSTS,  /* a letter is an index */
    SICK_LOOPS,   /* does not come back from a letter */
    SICK_NO_FILE, /* a missing file is an empty one */
    SICK_EXITS,
    SICK_ABORTS,
    SICK_ABORTS_BESIDE, /* on a thread of its own */
    SICK_FALLS,
    SICK_HANGS,
    SICK_POINTER, /* gives a block that is none */
    SICK_LATE,    /* the library takes long to load */
    SICK_FALLS_LOADING,
    /* of a codec */
    SICK_BEYOND, /* an id that its vocabulary does not have */
    SICK_BACK,   /* decode writes other letters */
    /* of a writer */
    SICK_FINAL,  /* writes the final name itself */
    SICK_BESIDE, /* makes a file that nobody knows of */
    SICK_LAZY,   /* writes the end in destroy */
    SICK_FULL    /* does not look at what fwrite and fclose return */
};

#ifndef SICK_HOW
#define SICK_HOW SICK_WELL
#endif
#define HOW ((int)SICK_HOW) /* a constant, so that what is not done is not there */

static const mbs_param sick_params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATH, NULL, "file to read"),
    MBS_PARAM_RANGE("most", MBS_PARAM_SIZE, "1000000", 1, 1e9, "letters", "of a record that are taken"),
};
static const mbs_param sick_out_params[] = {
    MBS_PARAM_OUTPUT("path", "file to write"),
    MBS_PARAM_RANGE("most", MBS_PARAM_SIZE, "1000000", 1, 1e9, "letters", "of a record that are taken"),
};

static inline void *sleep_long(void *arg) {
    (void)arg;
    sleep(1000);
    return NULL;
}

static inline void *abort_now(void *arg) {
    (void)arg;
    abort();
}

static inline void raise_fault(void) {
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

static inline void on_thread(void *(*fn)(void *)) {
    pthread_t t;
    if (pthread_create(&t, NULL, fn, NULL) == 0) {
        pthread_detach(t);
    }
}

/* What is done to the process, once it runs. */
static inline void sick_disturb(void) {
    static const char words[] = "look here\n";
    sigset_t set;
    switch (HOW) {
    case SICK_PRINTS:
        (void)!write(STDOUT_FILENO, words, sizeof words - 1);
        break;
    case SICK_COMPLAINS:
        (void)fprintf(stderr, "%s", words);
        break;
    case SICK_FOLDER:
        (void)!chdir("/");
        break;
    case SICK_ENVIRONMENT:
        (void)setenv("SICK", "yes", 1);
        break;
    case SICK_UMASK:
        (void)umask(0777);
        break;
    case SICK_SIGNAL:
        (void)signal(SIGCHLD, SIG_IGN);
        break;
    case SICK_MASK:
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
        break;
    case SICK_ROUNDING:
        (void)fesetround(FE_UPWARD);
        break;
    case SICK_GROWS_FILE:
        (void)!dup(STDIN_FILENO);
        break;
    case SICK_THREAD:
        on_thread(sleep_long);
        break;
    default:
        break;
    }
}

/* What create does of these, in all kinds. */
static inline mbs_status sick_begin(const mbs_host *host, const mbs_params *params) {
    int64_t most = host->param_int(params, "most");
    if (HOW == SICK_DEFAULT && most == 1000000) {
        return host->fail(host, MBS_ERR_CONFIG, "most", "is a million, of all numbers");
    }
    if (HOW == SICK_RANGE && most == 1000000000) {
        return host->fail(host, MBS_ERR_DATA, NULL, "no");
    }
    if (HOW == SICK_RANGE_DIES && most == 1) {
        raise_fault();
    }
    if (HOW == SICK_GROWS && !host->alloc(host, 16)) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory");
    }
    if (HOW == SICK_GROWS_HEAP) {
        void *volatile lost = malloc(100);
        (void)lost;
    }
    return MBS_OK;
}

#endif
