#include "zoo/sick.h"

typedef struct codec {
    const mbs_host *host;
    char *extra;   /* SICK_CLOSES */
    int32_t last;  /* the token before: ids come in pairs, one for each parity of the position */
    int64_t count; /* letters of the record */
    int parity;
} codec;

/* Every letter has two ids, which change in turn: a state that must pass from block to block. */
static const char letters[] = "ACGTN";
static const char *const tokens[] = {"A", "C", "G", "T", "N", "a", "c", "g", "t", "n"};
static const uint8_t decodable[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const mbs_vocab vocabulary = {.struct_size = sizeof vocabulary,
                                     .size = 10,
                                     .name = "sick",
                                     .tokens = tokens,
                                     .decodable = decodable,
                                     .unk = -1,
                                     .bos = -1,
                                     .eos = -1,
                                     .mask = -1,
                                     .unit = "base"};
static int shared_parity; /* SICK_SHARED */

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    mbs_status st = sick_begin(host, params);
    codec *c = st == MBS_OK ? host->alloc(host, sizeof *c) : NULL;
    if (!c && (HOW != SICK_NO_TEST || st != MBS_OK)) {
        return st != MBS_OK ? st : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof *c);
    c->host = host;
    *self = c;
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    codec *c = self;
    (void)in;
    if (HOW == SICK_CLOSES) {
        c->extra = c->host->alloc(c->host, 10);
    }
    sick_disturb();
    return MBS_OK;
}

static const mbs_vocab *vocab(void *self) {
    (void)self;
    return &vocabulary;
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *host = c->host;
    const uint8_t *from = in->data;
    mbs_block *b = host->block_new(host, "tokens/i32", MBS_I32, 1, in->shape);
    if (!b) {
        return HOW == SICK_OTHER ? host->fail(host, MBS_ERR_IO, NULL, "no place")
                                 : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    int *parity = HOW == SICK_SHARED ? &shared_parity : &c->parity;
    if (in->flags & MBS_SEQ_START || HOW == SICK_SPLIT) {
        *parity = 0;
    }
    int32_t *to = b->data;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        const char *found = from[i] ? strchr(letters, from[i] & ~32) : NULL;
        if (HOW == SICK_TRUSTS && from[i] > 127) {
            raise_fault();
        }
        if (!found) {
            host->block_unref(host, b);
            return HOW == SICK_MUTE ? MBS_ERR_DATA
                                    : host->fail(host, MBS_ERR_DATA, NULL, "byte %d is no letter", from[i]);
        }
        to[i] = (int32_t)(found - letters) + (*parity ? 5 : 0) + (HOW == SICK_BEYOND ? 6 : 0);
        *parity = !*parity;
    }
    b->record = in->record;
    b->start = in->start;
    b->end = in->end;
    b->flags = in->flags;
    *out = b;
    return MBS_OK;
}

static mbs_status decode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *host = c->host;
    const int32_t *from = in->data;
    mbs_block *b = host->block_new(host, "bases/u8", MBS_U8, 1, in->shape);
    if (!b) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    for (int64_t i = 0; i < in->shape[0]; i++) {
        ((uint8_t *)b->data)[i] = (uint8_t)letters[HOW == SICK_BACK ? (from[i] + 1) % 5 : from[i] % 5];
    }
    b->record = in->record;
    b->start = in->start;
    b->end = in->end;
    b->flags = in->flags;
    *out = b;
    return MBS_OK;
}

static mbs_status close_codec(void *self) {
    codec *c = self;
    c->host->free(c->host, c->extra);
    c->extra = NULL;
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    c->host->free(c->host, c);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    codec *c = self;
    return put(sink, &c->parity, sizeof c->parity);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    if (n != sizeof c->parity) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place is damaged");
    }
    memcpy(&c->parity, bytes, n);
    c->parity ^= HOW == SICK_PLACE;
    return MBS_OK;
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_checkpoint ext = {.struct_size = sizeof ext, .save = save, .restore = restore};
    (void)self;
    return HOW == SICK_EXTENSION || strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &ext : NULL;
}

static const mbs_codec_vt vt = {.struct_size = sizeof vt,
                                .create = create,
                                .open = open_codec,
                                .vocab = vocab,
                                .encode = encode,
                                .decode = decode,
                                .close = close_codec,
                                .destroy = destroy,
                                .get_extension = extension};
static const mbs_descriptor descriptor = {.struct_size = sizeof descriptor,
                                          .kind = MBS_KIND_CODEC,
                                          .id = ZOO_ID,
                                          .version = "1.0.0",
                                          .licence = "MIT",
                                          .summary = "letters in turn",
                                          .accepts = "bases/u8",
                                          .produces = "tokens/i32",
                                          .decodes = "bases/u8",
                                          .n_params = 1,
                                          .params = sick_params + 1,
                                          .vt = &vt};
static const mbs_descriptor *const list[] = {&descriptor};
MBS_PLUGIN_DEFINE(sick_codec, list, NULL);
