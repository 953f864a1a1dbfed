/*
 * clock.h - the time that passes.
 */
#ifndef MBS_BASE_CLOCK_H
#define MBS_BASE_CLOCK_H

/* Seconds on a clock that never jumps back; only differences mean something. Any thread, also in a signal handler. */
double mbs_clock(void);

#endif
