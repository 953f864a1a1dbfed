/* whole_store.c - rows between two layers, in memory or in a mapped file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/nameless.h"
#include "model/whole_impl.h"

#define FIX "set TMPDIR to a folder with room, raise model.max_memory, or take shorter records or model.window"

void mbs_whole_store_free(whole_store *s) {
    if (s->mapped) {
        (void)munmap(s->rows, s->bytes);
    } else {
        mbs_free(s->rows);
    }
    *s = (whole_store){0};
}

static mbs_status no_file(size_t bytes, int why, mbs_err *err) {
    mbs_fail_errno(err, why == ENOSPC ? MBS_ERR_MEMORY : MBS_ERR_IO, why, "TMPDIR",
                   "a file for rows of %.1f MiB cannot be made", (double)bytes / 1048576.0);
    mbs_err_fix(err, FIX);
    return err->status;
}

/* Blocks are reserved now: a mapped file that finds no room later is a signal, not an error. */
static mbs_status map_file(whole_store *s, size_t bytes, mbs_err *err) {
    int fd = -1;
    mbs_status st = mbs_nameless_open("/var/tmp", "rows between layers", FIX, &fd, err);
    if (st != MBS_OK) {
        return st;
    }
    int why = posix_fallocate(fd, 0, (off_t)bytes);
    void *rows = why ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    why = why ? why : errno;
    (void)close(fd);
    if (rows == MAP_FAILED) {
        return no_file(bytes, why, err);
    }
    *s = (whole_store){.rows = rows, .bytes = bytes, .mapped = 1};
    return MBS_OK;
}

mbs_status mbs_whole_store_room(whole_store *s, size_t bytes, int spill, mbs_err *err) {
    if (s->bytes >= bytes && s->mapped == spill) {
        return MBS_OK;
    }
    mbs_whole_store_free(s);
    if (spill) {
        return map_file(s, bytes, err);
    }
    s->rows = mbs_alloc(bytes);
    s->bytes = s->rows ? bytes : 0;
    return s->rows ? MBS_OK : mbs_fail_memory(err, "model", bytes);
}
