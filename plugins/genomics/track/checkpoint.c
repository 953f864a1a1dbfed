/* A checkpoint of a track: counts, and the contigs with their lengths. */
#include <string.h>

#include "track.h"

mbs_status tk_save(tk_track *t, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    mbs_status st = mbs_spool_sync(&t->values);
    st = st < 0 ? st : mbs_spool_sync(&t->stretches);
    st = st < 0 ? st : put(sink, &t->at, sizeof(t->at));
    st = st < 0 ? st : put(sink, &t->contigs.n, sizeof(t->contigs.n));
    for (int64_t i = 0; st >= 0 && i < t->contigs.n; i++) {
        const char *name = tk_contig_name(&t->contigs, i);
        st = put(sink, &t->contigs.list[i].length, sizeof(int64_t));
        st = st < 0 ? st : put(sink, name, strlen(name) + 1);
    }
    return st < 0 ? st : MBS_OK;
}

mbs_status tk_restore(tk_track *t, const void *bytes, size_t n) {
    const mbs_host *h = t->host;
    const char *p = bytes;
    tk_counts at;
    int64_t contigs = 0;
    int sound = n >= sizeof(at) + sizeof(contigs);
    if (sound) {
        memcpy(&at, p, sizeof(at));
        memcpy(&contigs, p + sizeof(at), sizeof(contigs));
        p += sizeof(at) + sizeof(contigs);
        n -= sizeof(at) + sizeof(contigs);
        sound = at.version == t->at.version && at.values >= 0 && at.values < INT64_MAX / 8 && at.stretches >= 0 &&
                at.stretches < INT64_MAX / (int64_t)sizeof(tk_stretch) && at.open.contig >= 0 &&
                (at.open.contig < contigs || contigs == 0);
    }
    for (int64_t i = 0; sound && i < contigs; i++) {
        int64_t length;
        sound = n > sizeof(length) && memchr(p + sizeof(length), '\0', n - sizeof(length)) != NULL;
        if (sound) {
            int64_t where;
            memcpy(&length, p, sizeof(length));
            mbs_status st = tk_contigs_add(&t->contigs, p + sizeof(length), length, &where);
            if (st < 0) {
                return st;
            }
            size_t took = sizeof(length) + strlen(p + sizeof(length)) + 1;
            p += took;
            n -= took;
        }
    }
    if (!sound || n != 0) {
        return h->fail(h, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", t->path);
    }
    t->at = at;
    t->restored = 1;
    return MBS_OK;
}
