/*
 * ext/live.h - "mambaseq.live/1": an input whose end nobody knows, and a user who may say it.
 *
 * A power of the host, for readers: asked of host->get_extension, NULL where there is none. Between begin and done the
 * first interrupt (SIGINT) is the end of the input and not a request to stop: what was read is worked through and
 * written as if the input had ended there. A second one stops the run as usual.
 */
#ifndef MAMBASEQ_EXT_LIVE_H
#define MAMBASEQ_EXT_LIVE_H

#include "mambaseq/host.h"

#define MBS_EXT_LIVE "mambaseq.live/1"

typedef struct mbs_ext_live {
    uint32_t struct_size;
    uint32_t reserved;
    void (*begin)(const mbs_host *host);    /* [control, stage] */
    void (*done)(const mbs_host *host);     /* [control, stage] the input is over or given up: may be called twice */
    int32_t (*ended)(const mbs_host *host); /* [any] nonzero after the interrupt: give what is there, then MBS_END */
} mbs_ext_live;

#endif
