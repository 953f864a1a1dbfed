/*
 * origin.h - what reader `audio` lets ride with a record (mbs_record.origin): a way to look at the whole recording
 * before its first sample is used. Only where it can be read again, and not out of a worker process.
 */
#ifndef AU_ORIGIN_H
#define AU_ORIGIN_H

#include "mambaseq/host.h"

#define AU_ORIGIN_LIBRARY "mambaseq/audio"

typedef struct au_recording {
    /* The least and the greatest sample of it, as the reader gives them (channel, rate). Reads it once more, and only
     * at the first call. Failures are told to `host`, which is the caller's. [stage] */
    mbs_status (*range)(struct mbs_origin *self, const mbs_host *host, float *least, float *most);
    const char *path; /* of the file, as it is opened; lives as long as the origin */
} au_recording;

#endif
