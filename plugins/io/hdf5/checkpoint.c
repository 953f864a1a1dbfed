/* A checkpoint of an HDF5 result: the lengths of its spools and what is known of the open record. The .h5 itself is not
 * there yet: it is built of the spools in one pass at the end, so a crash can only cost that pass. */
#include <string.h>

#include "writer.h"

static mbs_status h5_save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    mbs_h5 *w = self;
    for (int i = 0; i < MBS_H5_N_SPOOLS; i++) {
        mbs_status st = mbs_spool_sync(&w->spool[i]);
        if (st < 0) {
            return st;
        }
        w->at.length[i] = w->spool[i].length;
    }
    return put(sink, &w->at, sizeof w->at);
}

static mbs_status h5_restore(void *self, const void *bytes, size_t n) {
    mbs_h5 *w = self;
    mbs_h5_counts at;
    if (n != sizeof at) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' has %zu bytes instead of %zu",
                             w->path, n, sizeof at);
    }
    memcpy(&at, bytes, sizeof at);
    int damaged = at.version != w->at.version || at.n_records < 0 || at.n_rows < 0;
    for (int i = 0; i < MBS_H5_N_SPOOLS; i++) {
        damaged = damaged || at.length[i] < 0;
    }
    if (damaged || at.length[MBS_H5_RECORDS] != at.n_records * (int64_t)sizeof(mbs_h5_record)) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path);
    }
    w->at = at;
    w->restored = 1;
    return MBS_OK;
}

const mbs_ext_checkpoint mbs_h5_checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = h5_save,
    .restore = h5_restore,
};
