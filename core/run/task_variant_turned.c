/* What strand - said of a contig's groups, until they come on strand +: in files, a place in one for each group and the
 * values in the other, so that memory does not grow with the number of variants. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/nameless.h"
#include "run/task_variant.h"

#define FIX "set TMPDIR to a folder with room: about 24 bytes a variant of the contig with the most"

static mbs_status broken(int why, mbs_err *err) {
    mbs_fail_errno(err, MBS_ERR_IO, why, "TMPDIR", "the file of what strand - says of variants");
    mbs_err_fix(err, FIX);
    return MBS_ERR_IO;
}

static mbs_status put(int fd, const void *data, size_t n, int64_t offset, mbs_err *err) {
    const char *p = data;
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, (off_t)offset);
        if (done <= 0 && errno != EINTR) {
            return broken(errno, err);
        }
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
        offset += done > 0 ? done : 0;
    }
    return MBS_OK;
}

/* Less than n bytes where the file ends. */
static mbs_status get(int fd, void *data, size_t n, int64_t offset, size_t *got, mbs_err *err) {
    *got = 0;
    while (*got < n) {
        ssize_t done = pread(fd, (char *)data + *got, n - *got, (off_t)(offset + (int64_t)*got));
        if (done < 0 && errno != EINTR) {
            return broken(errno, err);
        }
        if (done == 0) {
            return MBS_OK;
        }
        *got += done > 0 ? (size_t)done : 0;
    }
    return MBS_OK;
}

static mbs_status room(task_variant *t, int64_t n, mbs_err *err) {
    if (n <= t->cap_turned) {
        return MBS_OK;
    }
    void *p = mbs_realloc(t->turned, (size_t)n * sizeof(*t->turned));
    if (!p) {
        return mbs_fail_memory(err, "model", (size_t)n * sizeof(*t->turned));
    }
    t->turned = p;
    t->cap_turned = n;
    return MBS_OK;
}

mbs_status mbs_variant_turned_begin(task_variant *t, mbs_err *err) {
    mbs_status st = MBS_OK;
    t->n_turned = 0;
    if (t->places < 0) {
        st = mbs_nameless_open("/tmp", "what strand - says of variants", FIX, &t->places, err);
        return st == MBS_OK ? mbs_nameless_open("/tmp", "what strand - says of variants", FIX, &t->values, err) : st;
    }
    return ftruncate(t->places, 0) == 0 && ftruncate(t->values, 0) == 0 ? MBS_OK : broken(errno, err);
}

mbs_status mbs_variant_keep(task_variant *t, const edit_group *g, mbs_err *err) {
    mbs_status st = room(t, g->n, err);
    if (st != MBS_OK) {
        return st;
    }
    for (int64_t i = 0; i < g->n; i++) {
        const edit_alt *a = &g->alts[i];
        memset(&t->turned[i], 0, sizeof(t->turned[i]));
        t->turned[i].llr = a->reason == MBS_EDIT_SCORED ? mbs_variant_llr(t, g, a) : (double)NAN;
        t->turned[i].reason = a->reason;
    }
    const int64_t size = (int64_t)sizeof(*t->turned);
    int64_t place = t->n_turned + 1; /* 0: nothing was said */
    st = put(t->values, t->turned, (size_t)(g->n * size), t->n_turned * size, err);
    t->n_turned += g->n;
    return st == MBS_OK ? put(t->places, &place, sizeof place, g->record->index * (int64_t)sizeof place, err) : st;
}

mbs_status mbs_variant_turned_of(task_variant *t, const edit_group *g, const edit_turned **out, mbs_err *err) {
    int64_t place = 0;
    size_t got = 0;
    *out = NULL;
    mbs_status st = get(t->places, &place, sizeof place, g->record->index * (int64_t)sizeof place, &got, err);
    if (st != MBS_OK || got < sizeof place || place < 1) {
        return st;
    }
    const size_t size = sizeof(*t->turned);
    st = room(t, g->n, err);
    st = st == MBS_OK ? get(t->values, t->turned, (size_t)g->n * size, (place - 1) * (int64_t)size, &got, err) : st;
    if (st == MBS_OK && got == (size_t)g->n * size) {
        *out = t->turned;
    }
    return st;
}

void mbs_variant_turned_free(task_variant *t) {
    if (t->places >= 0) {
        (void)close(t->places);
    }
    if (t->values >= 0) {
        (void)close(t->values);
    }
    t->places = t->values = -1;
    mbs_free(t->turned);
}
