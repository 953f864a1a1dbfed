/* A recording that can be read a second time, for those who want to know its range before they begin. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "audio/dsp/origin.h"
#include "reader.h"

/* Outlives the reader: plain malloc, counted. */
typedef struct origin {
    mbs_origin base; /* first */
    au_recording recording;
    atomic_int count;
    au_layout layout;
    au_channels which;
    int64_t one, turn, rate, channels;
    int zero_nonfinite;
    au_item item;
    int known;
    float least, most;
    char path[];
} origin;

static void ref(mbs_origin *self) {
    atomic_fetch_add(&((origin *)self)->count, 1);
}

static void unref(mbs_origin *self) {
    if (atomic_fetch_sub(&((origin *)self)->count, 1) == 1) {
        free(self);
    }
}

/* A reader of this one recording. */
static mbs_status look(origin *o, au_reader *r) {
    char *paths[1] = {o->path};
    float *room = r->host->alloc(r->host, (size_t)(AU_STEP * o->channels) * sizeof(float));
    r->paths = paths;
    r->chosen = r->host->alloc(r->host, (size_t)(AU_STEP * o->channels) * sizeof(float));
    mbs_status st = room && r->chosen
                        ? au_enter(r, 0)
                        : r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %d frames", AU_STEP);
    float least = 0;
    float most = 0;
    for (int first = 1; st == MBS_OK;) {
        int64_t n = 0;
        st = au_pull(r, room, AU_STEP, 50, &n);
        for (int64_t i = 0; i < n * o->channels; i++, first = 0) {
            least = first || room[i] < least ? room[i] : least;
            most = first || room[i] > most ? room[i] : most;
        }
        if (r->host->cancelled(r->host)) {
            st = r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped while a recording was looked at");
        }
    }
    if (st == MBS_END) {
        o->least = least;
        o->most = most;
        o->known = 1;
    }
    r->host->free(r->host, room);
    r->paths = NULL;
    return st == MBS_END ? MBS_OK : st;
}

static mbs_status range(mbs_origin *self, const mbs_host *host, float *least, float *most) {
    origin *o = (origin *)self;
    mbs_status st = MBS_OK;
    if (!o->known) {
        au_reader *r = host->alloc(host, sizeof(*r));
        if (!r) {
            return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory to look at a recording");
        }
        memset(r, 0, sizeof(*r));
        au_item item = o->item;
        r->host = host;
        r->in.fd = -1;
        r->layout = o->layout;
        r->which = o->which;
        r->one = o->one;
        r->turn = o->turn;
        r->rate = o->rate;
        r->zero_nonfinite = o->zero_nonfinite;
        r->header.channels = o->channels;
        r->items = &item;
        r->said_rate = 1;
        item.source = 0;
        st = look(o, r);
        au_input_close(&r->in);
        au_resampler_free(&r->resampler);
        host->free(host, r->decoded);
        host->free(host, r->chosen);
        host->free(host, r->name);
        host->free(host, r);
    }
    *least = o->least;
    *most = o->most;
    return st;
}

mbs_origin *au_origin_new(const au_reader *r) {
    const au_item *it = &r->items[r->item];
    const char *path = r->paths[it->source];
    size_t n = strlen(path) + 1;
    origin *o = calloc(1, sizeof(*o) + n);
    if (!o) {
        return NULL;
    }
    o->base = (mbs_origin){.struct_size = (uint32_t)sizeof(mbs_origin),
                           .library = AU_ORIGIN_LIBRARY,
                           .data = &o->recording,
                           .ref = ref,
                           .unref = unref};
    o->recording.range = range;
    o->recording.path = o->path;
    atomic_store(&o->count, 1);
    o->layout = r->layout;
    o->which = r->which;
    o->one = r->one;
    o->turn = r->turn;
    o->rate = r->rate;
    o->channels = r->header.channels;
    o->zero_nonfinite = r->zero_nonfinite;
    o->item = *it;
    o->item.label = NULL;
    o->item.speaker = NULL;
    memcpy(o->path, path, n);
    return &o->base;
}
