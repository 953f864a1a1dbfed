#include <string.h>

#include "audio/dsp/hop.h"
#include "mambaseq/ext/checkpoint.h"

extern const mbs_codec_vt fr_codec_vt;

typedef struct codec {
    const mbs_host *host;
    int64_t width, hop;
    float gain;
    au_hop rows;
} codec;

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

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    codec *c = self;
    return au_hop_open(&c->rows, c->host, c->width, c->hop, in ? in->channels : 1);
}

static const mbs_vocab *vocab(void *self) {
    (void)self;
    return NULL;
}

static void make(void *self, const float *window, float *to) {
    const codec *c = self;
    for (int64_t i = 0; i < c->width * c->rows.at.channels; i++) {
        to[i] = window[i] * c->gain;
    }
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    return au_hop_encode(&c->rows, in, c->width * c->rows.at.channels, make, c, out);
}

static mbs_status close_codec(void *self) {
    (void)self;
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    au_hop_free(&c->rows);
    c->host->free(c->host, c);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    return au_hop_save(&((codec *)self)->rows, put, sink);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    return au_hop_restore(&c->rows, c->host, bytes, n);
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
