/*
 * instance_impl.h - the inside of an instance, shared by instance.c (calls) and host.c (what the plugin asks back).
 */
#ifndef MBS_PLUG_INSTANCE_IMPL_H
#define MBS_PLUG_INSTANCE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "plug/group.h"
#include "plug/instance.h"
#include "plug/verify.h"
#include "plug/where.h"

typedef enum mbs_state {
    MBS_STATE_NONE = 0, /* create has not succeeded */
    MBS_STATE_CREATED,
    MBS_STATE_RUNNING,
    MBS_STATE_DRAINED,
    MBS_STATE_CLOSED,
    MBS_STATE_FAILED
} mbs_state;

struct mbs_instance {
    mbs_host host; /* first: the plugin holds a pointer to it */
    const mbs_descriptor *desc;
    mbs_descriptor isolated;        /* desc points here where a worker process stands behind it */
    const mbs_descriptor *isolates; /* and this is the plugin's own */
    void *self;
    char *label;
    mbs_host_env env;
    mbs_state state;
    mbs_group *group;                     /* or NULL */
    const mbs_ext_checkpoint *checkpoint; /* or NULL */
    const mbs_ext_edits *edits;           /* or NULL */
    const mbs_ext_tokenizer *tokenizer;   /* or NULL */
    atomic_int calls;                     /* at this moment: more than one is a mistake of the host */
    int declares;                         /* inside create or open: host->output may be called */
    int live;                             /* a reader whose input the user may end (ext/live.h) */
    mbs_where where;                      /* for messages when it dies */
    _Atomic int64_t pieces;               /* of host->alloc that it holds */

    pthread_mutex_t lock; /* what follows is written from any thread of the plugin */
    mbs_err pending;      /* what the call at hand will have failed of */
    char hint[512];
    const char *abuse; /* what it did to the host that no plugin may: the call at hand fails of it */

    const mbs_stream_header *header; /* header_known, once a reader is open */
    mbs_stream_header header_known;  /* a reader's own; what an older plugin does not tell is zero */
    const mbs_vocab *vocab;
    mbs_track track;
};

/* A call begins: it must fit the kind (0: any) and the state (a bit for each, MBS_IN), and be the only one. A refusal
 * is a mistake of the host, not the plugin's. */
#define MBS_IN(state) (1u << (state))
mbs_status mbs_call_enter(mbs_instance *i, const char *call, int32_t kind, unsigned states, mbs_err *err);
void mbs_call_leave(mbs_instance *i);
/* What a call answered, for the caller: success up to `most`, else the plugin's own words with our label, or ours where
 * it said nothing. */
mbs_status mbs_call_settle(mbs_instance *i, const char *call, mbs_status rc, mbs_status most, mbs_err *err);
/* What a failure says where the plugin broke its word, and where it failed without a word: `plugin check` asks. */
#define MBS_BLAME_FIX "this is a mistake in the plugin, tell its author"
#define MBS_SILENT_WORDS "did not say why"
/* The plugin broke its contract: `what` follows the name of the call. */
mbs_status mbs_call_blame(mbs_instance *i, const char *call, const char *what, mbs_err *err);
/* The plugin is of no more use, MBS_ERR_UNAVAILABLE: `what` follows the name of the call, where it stood is added. */
mbs_status mbs_call_lost(mbs_instance *i, const char *call, const char *what, mbs_err *err);
/* As blame, with the record that it concerns; frees `why` and drops the block. */
mbs_status mbs_call_reject(mbs_instance *i, const char *call, mbs_buf *why, mbs_block **block, mbs_err *err);

/* Fills the table; `label` and `env` are set already. */
void mbs_host_init(mbs_instance *i);

#endif
