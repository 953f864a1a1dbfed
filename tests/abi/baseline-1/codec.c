/* old_codec.c - codec 'old_codec': letters to ids and back. Id i is letter i of `letters`; the last id is everything
 * else. */
#include <ctype.h>
#include <string.h>

#include "mambaseq/plugin.h"

#define MAX_LETTERS 64

typedef struct codec {
    const mbs_host *host;
    mbs_vocab vocab;
    int32_t id_of[256];
    char texts[MAX_LETTERS + 1][2];
    const char *tokens[MAX_LETTERS + 1];
    uint8_t decodable[MAX_LETTERS + 1];
} codec;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    const char *letters = host->param_string(params, "letters");
    int32_t n = 0;
    for (; letters[n]; n++) {
        if (n == MAX_LETTERS || !isalpha((unsigned char)letters[n]) || strchr(letters + n + 1, letters[n])) {
            return host->fail(host, MBS_ERR_CONFIG, "letters", "must be at most %d different letters", MAX_LETTERS);
        }
    }
    if (n == 0)
        return host->fail(host, MBS_ERR_CONFIG, "letters", "there is none");
    codec *c = host->alloc(host, sizeof *c);
    if (!c)
        return MBS_ERR_MEMORY;
    memset(c, 0, sizeof *c);
    c->host = host;
    for (int i = 0; i < 256; i++)
        c->id_of[i] = n;
    for (int32_t i = 0; i <= n; i++) {
        c->texts[i][0] = i < n ? letters[i] : '?';
        c->tokens[i] = c->texts[i];
        c->decodable[i] = i < n;
    }
    for (int32_t i = n - 1; i >= 0; i--) { /* a small letter is the large one, unless it is in the list itself */
        c->id_of[tolower((unsigned char)letters[i])] = c->id_of[toupper((unsigned char)letters[i])] = i;
    }
    for (int32_t i = 0; i < n; i++)
        c->id_of[(unsigned char)letters[i]] = i;
    c->vocab = (mbs_vocab){.struct_size = sizeof c->vocab,
                           .size = n + 1,
                           .name = letters,
                           .tokens = c->tokens,
                           .decodable = c->decodable,
                           .unk = n,
                           .bos = -1,
                           .eos = -1,
                           .mask = -1,
                           .unit = "letter"};
    *self = c;
    return MBS_OK;
}

static mbs_status open_stream(void *self, const mbs_stream_header *in) {
    (void)self; /* a vocabulary of the model's folder would be asked for here: host->model_file */
    (void)in;
    return MBS_OK;
}

static const mbs_vocab *vocab(void *self) {
    return &((codec *)self)->vocab;
}

/* A block of as many rows at the same place. */
static mbs_block *like(codec *c, const mbs_block *in, const char *type, int32_t dtype) {
    mbs_block *b = c->host->block_new(c->host, type, dtype, 1, in->shape);
    if (b)
        b->flags = in->flags, b->record = in->record, b->start = in->start, b->end = in->end;
    return b;
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    mbs_block *b = like(c, in, "tokens/i32", MBS_I32);
    uint8_t *scored = b ? c->host->block_side(c->host, b, "scored", MBS_U8, 1) : NULL;
    if (!scored) {
        c->host->block_unref(c->host, b);
        return MBS_ERR_MEMORY;
    }
    for (int64_t i = 0; i < in->shape[0]; i++) {
        int32_t id = ((int32_t *)b->data)[i] = c->id_of[((const uint8_t *)in->data)[i]];
        scored[i] = id != c->vocab.unk; /* no score counts for what is not a letter */
    }
    *out = b;
    return MBS_OK;
}

static mbs_status decode(void *self, const mbs_block *tokens, mbs_block **out) {
    codec *c = self;
    mbs_block *b = like(c, tokens, "bases/u8", MBS_U8);
    if (!b)
        return MBS_ERR_MEMORY;
    for (int64_t i = 0; i < tokens->shape[0]; i++) {
        int32_t id = ((const int32_t *)tokens->data)[i];
        ((uint8_t *)b->data)[i] = (uint8_t)c->texts[id >= 0 && id < c->vocab.size ? id : c->vocab.unk][0];
    }
    *out = b;
    return MBS_OK;
}

static mbs_status close_stream(void *self) {
    (void)self;
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    c->host->free(c->host, c);
}

static const mbs_param params[] = {
    MBS_PARAM("letters", MBS_PARAM_STRING, "ACGT", "letters that have an id of their own, in its order"),
};
static const mbs_codec_vt vt = {sizeof vt, 0,    create,       open_stream, vocab, encode,
                                decode,    NULL, close_stream, destroy,     NULL};
static const mbs_descriptor descriptor = {
    .struct_size = sizeof descriptor,
    .kind = MBS_KIND_CODEC,
    .id = "old_codec",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "one id a letter",
    .accepts = "bases/u8",
    .produces = "tokens/i32",
    .decodes = "bases/u8",
    .n_params = sizeof params / sizeof params[0],
    .params = params,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&descriptor};
MBS_PLUGIN_DEFINE(old_codec, descriptors, NULL);
