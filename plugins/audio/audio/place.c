/* "mambaseq.checkpoint/1" of the reader: which recording, how many frames of it, and what the files were. */
#include <string.h>

#include "reader.h"

#define VERSION 1

typedef struct place {
    int64_t version, n_items, rate, item, turn, inside, begun, position, index, replaced;
    uint64_t files; /* of rates, channels and lengths */
} place;

static uint64_t fold(uint64_t sum, int64_t v) {
    return (sum ^ (uint64_t)v) * UINT64_C(0x100000001b3);
}

static uint64_t files_of(const au_reader *r) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (int64_t i = 0; i < r->n_items; i++) {
        const au_item *it = &r->items[i];
        sum = fold(fold(fold(sum, it->rate), it->channels), it->frames);
        sum = fold(fold(sum, (int64_t)(it->start * 1e6)), (int64_t)(it->seconds * 1e6));
    }
    return sum;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    au_reader *r = self;
    place p;
    memset(&p, 0, sizeof(p));
    p.version = VERSION;
    p.n_items = r->n_items;
    p.rate = r->rate;
    p.item = r->item;
    p.turn = r->turn;
    p.inside = r->inside;
    p.begun = r->begun;
    p.position = r->inside ? r->position : 0;
    p.index = r->record.index;
    p.replaced = r->replaced;
    p.files = files_of(r);
    mbs_status st = put(sink, &p, sizeof(p));
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    au_reader *r = self;
    if (n != sizeof(place)) {
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "the saved place is %zu bytes, not %zu", n, sizeof(place));
    }
    r->saved = r->host->realloc(r->host, r->saved, n);
    if (!r->saved) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for the saved place");
    }
    memcpy(r->saved, bytes, n);
    r->saved_len = n;
    return MBS_OK;
}

mbs_status au_place_restore(au_reader *r) {
    place p;
    memcpy(&p, r->saved, sizeof(p));
    int fits = p.version == VERSION && p.n_items == r->n_items && p.rate == r->rate && p.item >= 0 &&
               p.item <= r->n_items && p.index >= -1 && p.turn >= 0 && p.position >= 0 && p.files == files_of(r) &&
               (p.inside == 0 || p.inside == 1) && (p.begun == 0 || p.begun == 1);
    if (fits && p.item < r->n_items) {
        fits = p.turn == 0 || (r->which == AU_EACH && p.turn < r->items[p.item].channels);
    }
    if (!fits || (p.item == r->n_items && p.inside)) {
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "the saved place does not fit the files: they have changed");
    }
    if (p.item > 0 && r->is_open) {
        au_input_close(&r->in);
        r->is_open = 0;
    }
    r->item = p.item;
    r->turn = p.turn;
    r->record.index = p.index;
    r->replaced = p.replaced;
    if (!p.inside) {
        return MBS_OK;
    }
    mbs_status st = au_enter(r, p.position);
    st = st == MBS_OK ? au_give_origin(r) : st;
    r->begun = (int)p.begun;
    if (st == MBS_OK && r->length >= 0 && p.position > r->length) {
        st = r->host->fail(r->host, MBS_ERR_DATA, NULL, "the saved place lies behind the end of '%s'", r->in.path);
    }
    return st;
}

const mbs_ext_checkpoint au_checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};
