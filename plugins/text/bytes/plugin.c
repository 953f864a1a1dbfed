/* Codec `bytes`: every byte is a token. */
#include <stdio.h>
#include <string.h>

#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/tokenizer.h"
#include "mambaseq/plugin.h"
#include "text/folder/files.h"

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

/* The letter that a byte-level tokenizer writes for a byte: itself where it can be seen, else one from U+0100 on. */
static void put_letter(tf_text *t, int byte, int *hidden) {
    int seen = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    int code = seen ? byte : 0x100 + (*hidden)++;
    const char wide[] = {(char)(0xC0 | code >> 6), (char)(0x80 | (code & 0x3F)), '\0'};
    const char plain[] = {(char)code, '\0'};
    tf_text_json(t, code < 0x80 ? plain : wide);
}

/* Byte-level BPE without merges. */
static mbs_status files(void *self, mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n),
                        void *sink) {
    const codec *c = self;
    tf_text t = {.host = c->host};
    int hidden = 0;
    tf_text_put(&t, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": "
                    "[],\n  \"normalizer\": null,\n  \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                    "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false},\n  "
                    "\"post_processor\": null,\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                    "\"trim_offsets\": true, \"use_regex\": false},\n  \"model\": {\"type\": "
                    "\"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, "
                    "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"vocab\": {");
    for (int32_t i = 0; i < c->vocab.size; i++) {
        tf_text_put(&t, i ? ", " : "");
        if (i < c->offset) {
            tf_text_json(&t, c->tokens[i]);
        } else {
            put_letter(&t, i - c->offset, &hidden);
        }
        tf_text_put(&t, ": ");
        tf_text_number(&t, i);
    }
    tf_text_put(&t, "}, \"merges\": []}\n}\n");
    mbs_status st = tf_text_give(&t, "tokenizer.json", MBS_OK, put, sink);
    tf_text_put(&t, "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"clean_up_tokenization_spaces\": "
                    "false\n}\n");
    return tf_text_give(&t, "tokenizer_config.json", st, put, sink);
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_tokenizer tokenizer = {.struct_size = (uint32_t)sizeof(mbs_ext_tokenizer), .files = files};
    static const mbs_ext_checkpoint checkpoint = {
        .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint), .save = save, .restore = restore};
    return !self                                 ? NULL
           : strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? (const void *)&checkpoint
           : strcmp(id, MBS_EXT_TOKENIZER) == 0  ? (const void *)&tokenizer
                                                 : NULL;
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
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_INT, MBS_PARAM_F_RANGE | MBS_PARAM_F_LEARNT, 0u, "offset", "0", 0, IDS_MAX,
     (const char *)0, "ids",
     "the id of byte 0: how many ids of the model stand in front of the bytes (ByT5: 3), e.g. 3"},
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
