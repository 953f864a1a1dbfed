/*
 * watch.h - says on stderr when a plugin's call does not come back: which plugin, which call, which record. It is a
 * line and not a death, because standard input may just be slow; only a request to stop that a call does not hear for
 * two seconds ends the process.
 */
#ifndef MBS_PLUG_WATCH_H
#define MBS_PLUG_WATCH_H

typedef struct mbs_watch mbs_watch;

/* The first line comes after `seconds` in one call, the next after twice that, and so on. NULL where no thread can be
 * started, which is no reason to fail. */
mbs_watch *mbs_watch_start(double seconds);
void mbs_watch_stop(mbs_watch *w); /* NULL is fine */

#endif
