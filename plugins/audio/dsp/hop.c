#include "hop.h"

#include <math.h>
#include <string.h>

#define VERSION 2

static size_t past_bytes(const au_hop *h) {
    return (size_t)(h->width * h->at.channels) * sizeof(*h->past);
}

void au_hop_free(au_hop *h) {
    if (h->host) {
        h->host->free(h->host, h->past);
        h->host->free(h->host, h->window);
        h->host->free(h->host, h->saved);
    }
    h->past = h->window = NULL;
    h->saved = NULL;
}

static mbs_status take_saved(au_hop *h) {
    struct au_hop_place at;
    int whole = h->saved_len == sizeof(at) + past_bytes(h);
    if (whole) {
        memcpy(&at, h->saved, sizeof(at));
        whole = at.version == VERSION && at.fill >= 0 && at.fill < h->hop && (at.begun == 0 || at.begun == 1) &&
                at.width == h->width && at.channels == h->at.channels;
    }
    if (!whole) {
        return h->host->fail(h->host, MBS_ERR_DATA, NULL, "the saved place does not fit");
    }
    h->at = at;
    memcpy(h->past, (const char *)h->saved + sizeof(at), past_bytes(h));
    return MBS_OK;
}

mbs_status au_hop_open(au_hop *h, const mbs_host *host, int64_t width, int64_t hop, int64_t channels) {
    h->host = host;
    if (channels < 1 || channels > AU_HOP_CHANNELS_MAX) {
        return host->fail(host, MBS_ERR_DATA, NULL, "the input has %lld channels, 1 to %d are possible",
                          (long long)channels, AU_HOP_CHANNELS_MAX);
    }
    h->width = width;
    h->hop = hop;
    h->at = (struct au_hop_place){.version = VERSION, .width = width, .channels = channels};
    h->past = host->realloc(host, h->past, past_bytes(h));
    h->window = host->realloc(host, h->window, past_bytes(h));
    if (!h->past || !h->window) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for %lld samples", (long long)(width * channels));
    }
    memset(h->past, 0, past_bytes(h));
    return h->saved ? take_saved(h) : MBS_OK;
}

static mbs_status check(const au_hop *h, const mbs_block *in) {
    const float *x = in->data;
    const mbs_host *host = h->host;
    if (in->dtype != MBS_F32 || in->ndim != 2 || in->shape[1] != h->at.channels) {
        return host->fail(host, MBS_ERR_INTERNAL, NULL, "a block of '%s' where %lld channels were due", in->type,
                          (long long)h->at.channels);
    }
    for (int64_t i = 0; i < in->shape[0] * h->at.channels; i++) {
        if (!isfinite(x[i])) {
            mbs_status st = host->fail(
                host, MBS_ERR_DATA, NULL, "record '%.100s', sample %lld is %s", in->record ? in->record->name : "",
                (long long)(in->start + i / h->at.channels) + 1, isnan(x[i]) ? "not a number (NaN)" : "infinite");
            host->hint(host, "mend the recording: every sample has to be a finite number");
            return st;
        }
    }
    return MBS_OK;
}

/* The window that ends `end` samples into the block of n: what lies before the block is past, behind it silence. */
static void cut(const au_hop *h, const float *x, int64_t n, int64_t end) {
    int64_t channels = h->at.channels;
    int64_t first = end - h->width;
    int64_t before = first < 0 ? (-first < h->width ? -first : h->width) : 0;
    int64_t inside = end < n ? end : n;
    inside -= first > 0 ? first : 0;
    inside = inside > 0 ? inside : 0;
    float *to = h->window;
    memcpy(to, h->past + (h->width + (first < 0 ? first : 0)) * channels, (size_t)(before * channels) * sizeof(float));
    memcpy(to + before * channels, x + (first > 0 ? first : 0) * channels, (size_t)(inside * channels) * sizeof(float));
    memset(to + (before + inside) * channels, 0, (size_t)((h->width - before - inside) * channels) * sizeof(float));
}

static void remember(au_hop *h, const float *x, int64_t n) {
    int64_t all = h->width * h->at.channels;
    int64_t fresh = n * h->at.channels;
    int64_t keep = fresh < all ? all - fresh : 0;
    memmove(h->past, h->past + (all - keep), (size_t)keep * sizeof(*h->past));
    if (all > keep) {
        memcpy(h->past + keep, x + (fresh - (all - keep)), (size_t)(all - keep) * sizeof(*h->past));
    }
}

static mbs_status make_rows(au_hop *h, const mbs_block *in, int64_t rows, int64_t numbers, au_hop_row make, void *self,
                            mbs_block **out) {
    const mbs_host *host = h->host;
    int64_t n = in->shape[0];
    int64_t shape[2] = {rows, numbers};
    mbs_block *b = host->block_new(host, "frames/f32", MBS_F32, 2, shape);
    int64_t *interval = b ? host->block_side(host, b, "interval", MBS_I64, 2) : NULL;
    if (!interval) {
        host->block_unref(host, b);
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for %lld rows", (long long)rows);
    }
    for (int64_t i = 0; i < rows; i++) {
        int64_t end = (i + 1) * h->hop - h->at.fill;
        cut(h, in->data, n, end);
        make(self, h->window, (float *)b->data + i * numbers);
        interval[2 * i] = in->start + end - h->hop;
        interval[2 * i + 1] = in->start + (end < n ? end : n);
    }
    b->flags = (h->at.begun ? 0u : MBS_SEQ_START) | (in->flags & MBS_SEQ_END);
    b->record = in->record;
    b->start = rows > 0 ? interval[0] : in->end;
    b->end = rows > 0 ? interval[2 * rows - 1] : in->end;
    h->at.begun = 1;
    *out = b;
    return MBS_OK;
}

/* Of a recording that fills no row nothing can be heard but that it is short: said once. */
static void warn_of_short(au_hop *h, const mbs_block *in) {
    int64_t n = in->record ? in->end - in->record->start : h->width;
    if (n < h->width && n > 0 && !h->said_short) {
        h->said_short = 1;
        h->host->log(h->host, MBS_LOGLEVEL_WARNING,
                     "record '%.100s' has %lld sample%s, fewer than the %lld that a row looks at: the rest is silence",
                     in->record->name, (long long)n, n == 1 ? "" : "s", (long long)h->width);
    }
}

mbs_status au_hop_encode(au_hop *h, const mbs_block *in, int64_t numbers, au_hop_row make, void *self,
                         mbs_block **out) {
    *out = NULL;
    mbs_status st = check(h, in);
    if (st != MBS_OK) {
        return st;
    }
    if (in->flags & MBS_SEQ_START) {
        h->at.fill = h->at.begun = 0;
        memset(h->past, 0, past_bytes(h));
    }
    int ends = (in->flags & MBS_SEQ_END) != 0;
    if (ends) {
        warn_of_short(h, in);
    }
    int64_t ready = h->at.fill + in->shape[0];
    int64_t rows = ready / h->hop + (ends && ready % h->hop > 0);
    if (rows > 0 || ends) {
        st = make_rows(h, in, rows, numbers, make, self, out);
    }
    if (st == MBS_OK) {
        remember(h, in->data, in->shape[0]);
        h->at.fill = ready % h->hop;
    }
    return st;
}

mbs_status au_hop_save(const au_hop *h, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    mbs_status st = put(sink, &h->at, sizeof(h->at));
    st = st >= 0 && h->past ? put(sink, h->past, past_bytes(h)) : st;
    return st < 0 ? st : MBS_OK;
}

mbs_status au_hop_restore(au_hop *h, const mbs_host *host, const void *bytes, size_t n) {
    h->host = host;
    void *copy = host->realloc(host, h->saved, n + 1);
    if (!copy) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for the saved place");
    }
    memcpy(copy, bytes, n);
    h->saved = copy;
    h->saved_len = n;
    return MBS_OK;
}
