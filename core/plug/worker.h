/*
 * worker.h - the other side of an isolated plugin: a process that opens one library, makes one instance and answers
 * calls until it is told to end, or the program that started it is gone.
 */
#ifndef MBS_PLUG_WORKER_H
#define MBS_PLUG_WORKER_H

#include <signal.h>

/* The single argument with which the program becomes a worker; it has the channel at these file numbers. */
#define MBS_WORKER_ARG "--isolated-worker"
#define MBS_WORKER_SOCKET 3
#define MBS_WORKER_IN 4  /* memory that the program writes */
#define MBS_WORKER_OUT 5 /* memory that the worker writes */
#define MBS_WORKER_FDS 6
#define MBS_WORKER_STOP SIGUSR1 /* asks the call at hand to come back */

/* Whether this process was started as one: the channel is there. */
int mbs_worker_wanted(int argc, char **argv);
/* Returns the exit code. */
int mbs_worker_main(void);

#endif
