/*
 * fault.h - a plugin that crashes ends the run with its name, the call and the record, exit code 69, and without half a
 * file; a crash of this program itself is told from it (70).
 *
 * Signals handled: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT. The handler runs on a stack of its own, allocates nothing
 * and takes no lock. A call on the thread at fault says which plugin it is; on any other thread the addresses do: every
 * library that came with a plugin's dlopen is remembered. With MAMBASEQ_CORE=1 in the environment the process then dies
 * of the signal itself, so that there is a core dump; sent from outside, a signal keeps its meaning.
 *
 * SIGPIPE, where it is not ignored: the outputs end in the same way, nothing is said, and the process dies of it.
 *
 * Under a sanitizer, which owns the others, only that is installed.
 */
#ifndef MBS_PLUG_FAULT_H
#define MBS_PLUG_FAULT_H

#include "base/output.h"

/* Once, by the program, on its main thread. Returns 0 where a sanitizer owns the signals. */
int mbs_fault_install(void);
/* A library is about to be opened, which may run code of it already; NULL: done. From library.c. */
void mbs_fault_loading(const char *path);
/* A library was opened: what came with it is its own. From library.c. */
void mbs_fault_learn(const char *path, const void *entry);

/* What is to become of the outputs when a plugin dies: removed, or kept where *journalled (or `keep`) says that they
 * can be continued. Borrowed until replaced; NULL: nothing to do. */
typedef struct mbs_fault_end {
    const mbs_outputs *outputs;
    const int *journalled;
    int keep;
} mbs_fault_end;
void mbs_fault_outputs(const mbs_fault_end *end);

/* From the watcher: a request to stop that the call of `w` does not hear. Says so, ends the outputs as above and the
 * process: MBS_ERR_STOPPED's exit code where a SIGTERM can be resumed from, else the signal itself. Does not return. */
struct mbs_where;
void mbs_fault_deaf(const struct mbs_where *w, int sig);

/* "SIGSEGV", for a number. Safe in a handler. */
const char *mbs_fault_signal_name(int sig);

#endif
