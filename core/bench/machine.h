/*
 * machine.h - measures what a machine does at most.
 */
#ifndef MBS_BENCH_MACHINE_H
#define MBS_BENCH_MACHINE_H

#include "base/thread.h"
#include "bench/bench.h"

/* Fills what is known without measuring. */
void mbs_machine_look(mbs_machine *m, int threads);
/* The rest, on the threads of `pool`, each figure within about `seconds`. */
mbs_status mbs_machine_measure(mbs_machine *m, mbs_pool *pool, int repeat, double seconds, mbs_err *err);
/* Bytes of memory that this process has held at most; 0: not known. */
int64_t mbs_machine_peak(void);

#endif
