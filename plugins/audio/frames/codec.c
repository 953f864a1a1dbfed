#include <math.h>
#include <string.h>

#include "mambaseq/codec.h"
#include "mambaseq/ext/checkpoint.h"

extern const mbs_codec_vt fr_codec_vt;

#define MOST_CHANNELS 1024

/* Between two blocks; kept over a resume, with the samples behind it. */
typedef struct place {
    int64_t fill;  /* samples since the end of the last frame, below hop */
    int64_t begun; /* a block of this record was given */
    int64_t channels;
} place;

typedef struct codec {
    const mbs_host *host;
    int64_t width, hop;
    float gain;
    place at;
    float *past; /* width x channels: the newest samples */
} codec;

static mbs_status no_memory(const codec *c, int64_t rows) {
    return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for %lld frames", (long long)rows);
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    codec *c = host->alloc(host, sizeof(*c));
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof(*c));
    c->host = host;
    c->width = host->param_int(params, "width");
    c->hop = host->param_int(params, "hop");
    c->gain = (float)host->param_float(params, "gain");
    *self = c;
    return MBS_OK;
}

static size_t past_bytes(const codec *c) {
    return (size_t)(c->width * c->at.channels) * sizeof(*c->past);
}

static mbs_status make_past(codec *c, int64_t channels) {
    c->host->free(c->host, c->past);
    c->at = (place){.channels = channels};
    c->past = c->host->alloc(c->host, past_bytes(c));
    if (!c->past) {
        return no_memory(c, 1);
    }
    memset(c->past, 0, past_bytes(c));
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    codec *c = self;
    int64_t channels = in ? in->channels : 1;
    if (channels < 1 || channels > MOST_CHANNELS) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the input has %lld channels, 1 to %d are possible",
                             (long long)channels, MOST_CHANNELS);
    }
    if (c->past && c->at.channels != channels) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place is of %lld channels, the input has %lld",
                             (long long)c->at.channels, (long long)channels);
    }
    return c->past ? MBS_OK : make_past(c, channels);
}

static const mbs_vocab *vocab(void *self) {
    (void)self;
    return NULL;
}

static mbs_status check(const codec *c, const mbs_block *in) {
    const float *x = in->data;
    if (in->dtype != MBS_F32 || in->ndim != 2 || in->shape[1] != c->at.channels) {
        return c->host->fail(c->host, MBS_ERR_INTERNAL, NULL, "a block of '%s' where %lld channels were due", in->type,
                             (long long)c->at.channels);
    }
    for (int64_t i = 0; i < in->shape[0] * c->at.channels; i++) {
        if (!isfinite(x[i])) {
            mbs_status st = c->host->fail(
                c->host, MBS_ERR_DATA, NULL, "record '%.100s', sample %lld is %s", in->record ? in->record->name : "",
                (long long)(in->start + i / c->at.channels), isnan(x[i]) ? "not a number (NaN)" : "infinite");
            c->host->hint(c->host, "mend the recording: every sample has to be a finite number");
            return st;
        }
    }
    return MBS_OK;
}

/* Samples [from, from + width) of the block, of which those below 0 are past and those from n on are zeros. */
static void cut(const codec *c, const float *x, int64_t n, int64_t from, float *to) {
    int64_t channels = c->at.channels;
    for (int64_t i = 0; i < c->width * channels; i++) {
        int64_t at = from * channels + i;
        to[i] = at < 0 ? c->past[c->width * channels + at] : at < n * channels ? x[at] * c->gain : 0;
    }
}

static void remember(codec *c, const float *x, int64_t n) {
    int64_t all = c->width * c->at.channels;
    int64_t fresh = n * c->at.channels;
    int64_t keep = fresh < all ? all - fresh : 0;
    memmove(c->past, c->past + (all - keep), (size_t)keep * sizeof(*c->past));
    for (int64_t i = keep; i < all; i++) {
        c->past[i] = x[fresh - all + i] * c->gain;
    }
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    *out = NULL;
    mbs_status st = check(c, in);
    if (st != MBS_OK) {
        return st;
    }
    if (in->flags & MBS_SEQ_START) {
        c->at.fill = c->at.begun = 0;
        memset(c->past, 0, past_bytes(c));
    }
    int64_t n = in->shape[0];
    int ends = (in->flags & MBS_SEQ_END) != 0;
    int64_t ready = c->at.fill + n;
    int64_t rows = ready / c->hop + (ends && ready % c->hop > 0);
    mbs_block *b = NULL;
    if (rows > 0 || ends) {
        int64_t shape[2] = {rows, c->width * c->at.channels};
        b = h->block_new(h, "frames/f32", MBS_F32, 2, shape);
        int64_t *interval = b ? h->block_side(h, b, "interval", MBS_I64, 2) : NULL;
        if (!interval) {
            h->block_unref(h, b);
            return no_memory(c, rows);
        }
        for (int64_t i = 0; i < rows; i++) {
            int64_t end = (i + 1) * c->hop - c->at.fill; /* of the frame, in samples of the block */
            cut(c, in->data, n, end - c->width, (float *)b->data + i * shape[1]);
            interval[2 * i] = in->start + end - c->hop;
            interval[2 * i + 1] = in->start + least(end, n);
        }
        b->flags = (c->at.begun ? 0u : MBS_SEQ_START) | (ends ? MBS_SEQ_END : 0u);
        b->record = in->record;
        b->start = rows > 0 ? interval[0] : in->end;
        b->end = rows > 0 ? interval[2 * rows - 1] : in->end;
        c->at.begun = 1;
    }
    remember(c, in->data, n);
    c->at.fill = ready % c->hop;
    *out = b;
    return MBS_OK;
}

static mbs_status close_codec(void *self) {
    (void)self;
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    const mbs_host *h = c->host;
    h->free(h, c->past);
    h->free(h, c);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    codec *c = self;
    mbs_status st = put(sink, &c->at, sizeof(c->at));
    st = st < 0 ? st : put(sink, c->past, past_bytes(c));
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    place at;
    if (n < sizeof(at)) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place is %zu bytes", n);
    }
    memcpy(&at, bytes, sizeof(at));
    int sound = at.fill >= 0 && at.fill < c->hop && (at.begun == 0 || at.begun == 1) && at.channels >= 1 &&
                at.channels <= MOST_CHANNELS;
    if (!sound || n != sizeof(at) + (size_t)(c->width * at.channels) * sizeof(*c->past)) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place is damaged");
    }
    mbs_status st = make_past(c, at.channels);
    if (st != MBS_OK) {
        return st;
    }
    c->at = at;
    memcpy(c->past, (const char *)bytes + sizeof(at), past_bytes(c));
    return MBS_OK;
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *extension(void *self, const char *id) {
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_codec_vt fr_codec_vt = {
    .struct_size = (uint32_t)sizeof(mbs_codec_vt),
    .create = create,
    .open = open_codec,
    .vocab = vocab,
    .encode = encode,
    .close = close_codec,
    .destroy = destroy,
    .get_extension = extension,
};
