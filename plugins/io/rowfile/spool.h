/*
 * spool.h - a file that only grows: buffered appends, an offset of its own, every failure told to the host.
 *
 * The same calls serve standard output (path NULL), which has no offset to return to.
 */
#ifndef MBS_ROWFILE_SPOOL_H
#define MBS_ROWFILE_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/host.h"

typedef struct mbs_spool {
    const mbs_host *host;
    const char *path; /* the host's temporary path, NULL: standard output */
    const char *name; /* how messages call it: the file that the user asked for */
    int fd;           /* -1 while closed */
    int regular;      /* can be truncated and synced */
    int dirty;        /* written since the last sync */
    unsigned char *buf;
    size_t used;
    int64_t length; /* bytes appended, those in the buffer included */
} mbs_spool;

/* Before anything else; opens nothing. The texts are borrowed until close. */
void mbs_spool_init(mbs_spool *s, const mbs_host *host, const char *path, const char *name);
/* Opens the file at `keep` bytes and cuts what is behind them. A file with fewer bytes is MBS_ERR_DATA. A pipe with a
 * name waits for its reader. */
mbs_status mbs_spool_open(mbs_spool *s, int64_t keep);
mbs_status mbs_spool_append(mbs_spool *s, const void *data, size_t n);
/* Hands the buffer to the system. */
mbs_status mbs_spool_flush(mbs_spool *s);
/* Flush and fsync. */
mbs_status mbs_spool_sync(mbs_spool *s);
/* Exactly n bytes at an offset, of what was flushed. */
mbs_status mbs_spool_read(mbs_spool *s, int64_t offset, void *out, size_t n);
/* Flushes and closes; the close is checked. Nothing to do where it is not open. */
mbs_status mbs_spool_close(mbs_spool *s);
/* Closes without writing what is buffered. */
void mbs_spool_drop(mbs_spool *s);

#endif
