/*
 * where.h - which plugin is in which call on which record: what is said when it dies or does not come back.
 *
 * Every instance has one. The thread that calls a plugin also keeps it as its own, so that a signal handler finds it;
 * all of them stand in a table of the process for the watcher and for what dies on a thread of the plugin's own.
 */
#ifndef MBS_PLUG_WHERE_H
#define MBS_PLUG_WHERE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "mambaseq/plugin.h"

typedef struct mbs_where {
    const char *label, *id, *version;
    const void *code;           /* an address in its library */
    _Atomic(const char *) call; /* NULL between two calls */
    _Atomic(const char *) last; /* the call before */
    _Atomic uint64_t calls;     /* begun so far */
    int depth;                  /* of enter */
    struct mbs_where *outer;    /* the thread's own before this */
    pthread_mutex_t lock;       /* of what follows; a signal handler reads it without */
    int64_t record;             /* the last one seen, -1: none yet */
    int inside;                 /* in it; else behind it */
    int64_t at;                 /* coordinate reached in it */
    char name[104];
} mbs_where;

/* 0, or an error number. `label` and `d` must outlive it. */
int mbs_where_begin(mbs_where *w, const char *label, const mbs_descriptor *d);
void mbs_where_end(mbs_where *w);
/* May be nested; the outermost counts. */
void mbs_where_enter(mbs_where *w, const char *call);
void mbs_where_leave(mbs_where *w);
void mbs_where_record(mbs_where *w, const mbs_record *r, int inside, int64_t at);

/* This thread's, NULL outside of calls. Safe in a signal handler. */
mbs_where *mbs_where_current(void);
/* Calls fn for each, under the table's lock: none ends meanwhile. */
void mbs_where_each(void (*fn)(void *ctx, mbs_where *w), void *ctx);
/* The i-th of the table without its lock, for a signal handler; NULL: none there. */
#define MBS_WHERE_MAX 64
mbs_where *mbs_where_slot(int i);

/* Text that is built without anything that a signal handler must not call; always terminated. */
typedef struct mbs_words {
    char *text;
    size_t len, size;
} mbs_words;
void mbs_words_put(mbs_words *w, const char *s);
void mbs_words_number(mbs_words *w, int64_t n);
/* "on record 2 'two' from 1200", "before the first record", or what there is to say. */
void mbs_where_put(const mbs_where *at, mbs_words *out);

#endif
