/* Codec `bytes`: every byte is a token. */
#include <stdio.h>
#include <string.h>

#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"

#define IDS_MAX 4096

typedef struct codec {
    const mbs_host *host;
    int32_t offset; /* id of byte 0 */
    mbs_vocab vocab;
    char text[IDS_MAX + 256][8];
    const char *tokens[IDS_MAX + 256];
    uint8_t decodable[IDS_MAX + 256];
} codec;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    codec *c = host->alloc(host, sizeof *c);
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof *c);
    c->host = host;
    c->offset = (int32_t)host->param_int(params, "offset");
    *self = c;
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    codec *c = self;
    (void)in;
    for (int32_t i = 0; i < c->offset + 256; i++) {
        int byte = i - c->offset;
        if (byte > ' ' && byte < 127) {
            (void)snprintf(c->text[i], sizeof c->text[i], "%c", byte);
        } else {
            (void)snprintf(c->text[i], sizeof c->text[i], byte < 0 ? "[%d]" : "<0x%02X>", byte < 0 ? (int)i : byte);
        }
        c->tokens[i] = c->text[i];
        c->decodable[i] = byte >= 0;
    }
    c->vocab = (mbs_vocab){.struct_size = (uint32_t)sizeof(mbs_vocab),
                           .size = c->offset + 256,
                           .name = "bytes",
                           .tokens = c->tokens,
                           .decodable = c->decodable,
                           .unk = -1,
                           .bos = -1,
                           .eos = -1,
                           .mask = -1,
                           .unit = "byte"};
    return MBS_OK;
}

static const mbs_vocab *vocab(void *self) {
    return &((codec *)self)->vocab;
}

static void follow(mbs_block *out, const mbs_block *in) {
    out->flags = in->flags;
    out->record = in->record;
    out->start = in->start;
    out->end = in->end;
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    *out = NULL;
    if (in->dtype != MBS_U8) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where bytes were due", in->type);
    }
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, in->shape);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld rows", (long long)in->shape[0]);
    }
    const uint8_t *from = in->data;
    int32_t *to = b->data;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        to[i] = c->offset + from[i];
    }
    follow(b, in);
    *out = b;
    return MBS_OK;
}

static mbs_status decode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    *out = NULL;
    if (in->dtype != MBS_I32) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where tokens were due", in->type);
    }
    mbs_block *b = h->block_new(h, "text/u8", MBS_U8, 1, in->shape);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld rows", (long long)in->shape[0]);
    }
    const int32_t *from = in->data;
    uint8_t *to = b->data;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        if (from[i] < c->offset || from[i] >= c->offset + 256) {
            h->block_unref(h, b);
            return h->fail(h, MBS_ERR_DATA, NULL, "token %d is not a byte", from[i]);
        }
        to[i] = (uint8_t)(from[i] - c->offset);
    }
    follow(b, in);
    *out = b;
    return MBS_OK;
}

static mbs_status close_codec(void *self) {
    (void)self;
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    c->host->free(c->host, c);
}

/* It remembers nothing. */
static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    (void)self;
    return put(sink, "1", 1);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    return n == 1 && *(const char *)bytes == '1'
               ? MBS_OK
               : c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place is not one of this codec");
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_checkpoint checkpoint = {
        .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint), .save = save, .restore = restore};
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

static const mbs_codec_vt vt = {
    .struct_size = (uint32_t)sizeof(mbs_codec_vt),
    .create = create,
    .open = open_codec,
    .vocab = vocab,
    .encode = encode,
    .decode = decode,
    .close = close_codec,
    .destroy = destroy,
    .get_extension = extension,
};

static const mbs_param params[] = {
    MBS_PARAM_RANGE("offset", MBS_PARAM_INT, "0", 0, IDS_MAX, "ids",
                    "the id of byte 0: how many ids of the model stand in front of the bytes (ByT5: 3), e.g. 3"),
};

static const mbs_descriptor bytes = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "bytes",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "one token per byte",
    .accepts = "text/u8 bases/u8",
    .produces = "tokens/i32",
    .decodes = "text/u8",
    .flags = MBS_DESC_NAMED,
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&bytes};

MBS_PLUGIN_DEFINE(bytes, descriptors, (const char *)0);
