/* Bytes of a FASTA to tokens and back. A letter of A C G T U on a line that is no header is a token, in one of four
 * spellings; every other byte is a row that the model does not see. Side channel "verbatim": of a token its spelling,
 * else the byte. */
#include <string.h>

#include "genomics/bases/vocab.h"
#include "mambaseq/ext/checkpoint.h"
#include "verbatim.h"

#define LOWER 1 /* bits of a spelling */
#define RNA 2   /* U for T */

typedef struct codec {
    const mbs_host *host;
    const mbs_params *params;
    bs_vocab vocab;
    int32_t line; /* 0 at its beginning, 1 within letters, 2 within a header or comment */
} codec;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    codec *c = host->alloc(host, sizeof(*c));
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof(*c));
    c->host = host;
    c->params = params;
    *self = c;
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    (void)in;
    codec *c = self;
    return bs_vocab_load(&c->vocab, c->host, c->host->param_string(c->params, "vocab"));
}

static const mbs_vocab *vocab(void *self) {
    return &((codec *)self)->vocab.v;
}

/* Which of A C G T a byte is and how it is spelled; -1: none. */
static int letter_of(uint8_t byte, uint8_t *spelling) {
    static const char letters[] = "ACGTU";
    uint8_t upper = (uint8_t)(byte & ~0x20u);
    const char *at = upper ? strchr(letters, upper) : NULL;
    if (!at || byte < 'A') {
        return -1;
    }
    int k = (int)(at - letters);
    *spelling = (uint8_t)((byte & 0x20u ? LOWER : 0) | (k == 4 ? RNA : 0));
    return k == 4 ? 3 : k;
}

static void translate(codec *c, const uint8_t *from, int64_t n, int32_t *ids, uint8_t *verbatim) {
    for (int64_t i = 0; i < n; i++) {
        if (c->line == 0) {
            c->line = from[i] == '>' || from[i] == ';' ? 2 : 1;
        }
        int k = c->line == 1 ? letter_of(from[i], &verbatim[i]) : -1;
        ids[i] = k >= 0 ? c->vocab.letter_id[k] : -1;
        if (k < 0) {
            verbatim[i] = from[i];
        }
        if (from[i] == '\n') {
            c->line = 0;
        }
    }
}

static mbs_status no_memory(const codec *c, const mbs_block *in) {
    return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld rows", (long long)in->shape[0]);
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
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, in->shape);
    uint8_t *verbatim = b ? h->block_side(h, b, "verbatim", MBS_U8, 1) : NULL;
    if (!verbatim) {
        h->block_unref(h, b);
        return no_memory(c, in);
    }
    c->line = in->flags & MBS_SEQ_START ? 0 : c->line;
    translate(c, in->data, in->shape[0], b->data, verbatim);
    follow(b, in);
    *out = b;
    return MBS_OK;
}

static const uint8_t *side_of(const mbs_block *b) {
    for (int32_t i = 0; i < b->n_sides; i++) {
        if (strcmp(b->sides[i].name, "verbatim") == 0 && b->sides[i].dtype == MBS_U8 && b->sides[i].width == 1) {
            return b->sides[i].data;
        }
    }
    return NULL;
}

/* The byte of a row; -1: it is none. */
static int byte_of(const bs_vocab *v, int32_t id, const uint8_t *verbatim) {
    uint8_t how = verbatim ? *verbatim : 0;
    if (id < 0) {
        return verbatim ? how : -1;
    }
    for (int k = 0; k < 4; k++) {
        if (v->letter_id[k] == id && how < 4 && !(how & RNA && k != 3)) {
            return (how & RNA ? 'U' : "ACGT"[k]) | (how & LOWER ? 0x20 : 0);
        }
    }
    return -1;
}

static mbs_status decode(void *self, const mbs_block *tokens, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    const uint8_t *verbatim = side_of(tokens);
    mbs_block *b = h->block_new(h, VB_TYPE, MBS_U8, 1, tokens->shape);
    if (!b) {
        return no_memory(c, tokens);
    }
    for (int64_t i = 0; i < tokens->shape[0]; i++) {
        int32_t id = ((const int32_t *)tokens->data)[i];
        int byte = byte_of(&c->vocab, id, verbatim ? verbatim + i : NULL);
        if (byte < 0) {
            h->block_unref(h, b);
            return h->fail(h, MBS_ERR_DATA, NULL, "row %lld: token %d in spelling %d is no letter",
                           (long long)(tokens->start + i), id, verbatim ? verbatim[i] : 0);
        }
        ((uint8_t *)b->data)[i] = (uint8_t)byte;
    }
    follow(b, tokens);
    *out = b;
    return MBS_OK;
}

static mbs_status close_codec(void *self) {
    (void)self;
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    bs_vocab_free(&c->vocab, c->host);
    c->host->free(c->host, c);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    codec *c = self;
    mbs_status st = put(sink, &c->line, sizeof(c->line));
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    int32_t line = -1;
    if (n == sizeof(line)) {
        memcpy(&line, bytes, n);
    }
    if (line < 0 || line > 2) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place in a line is damaged");
    }
    c->line = line;
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

const mbs_codec_vt vb_codec_vt = {
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
