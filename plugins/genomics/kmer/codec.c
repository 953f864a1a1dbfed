/* codec.c - letters on their way into stretches of k: the last k - 1 wait for those that follow. */
#include <string.h>

#include "kmer.h"
#include "mambaseq/ext/tokenizer.h"

extern const mbs_codec_vt km_codec_vt;

typedef struct codec {
    const mbs_host *host;
    const mbs_params *params;
    km_vocab m;
    int stride;
    int refuse; /* letters that are no bases */
    /* The record being read. */
    uint32_t code; /* of the last k letters */
    int64_t n;     /* letters seen */
    int64_t bad;   /* letters since the last that is none of A C G T */
    int64_t next;  /* how many letters complete the next token */
    int64_t end;   /* where it ends */
    int given, tokens;
    int64_t left; /* letters at ends of records that made no token */
} codec;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    codec *c = host->alloc(host, sizeof *c);
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof *c);
    c->host = host;
    c->params = params;
    c->stride = (int)host->param_int(params, "stride");
    c->refuse = strcmp(host->param_string(params, "iupac"), "error") == 0;
    *self = c;
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    (void)in;
    codec *c = self;
    const mbs_host *h = c->host;
    int k = h->param_is_set(c->params, "k") ? (int)h->param_int(c->params, "k") : 0;
    mbs_status st = km_vocab_load(&c->m, h, h->param_string(c->params, "vocab"), k);
    if (st == MBS_OK && c->stride > c->m.k) {
        st = h->fail(h, MBS_ERR_CONFIG, "stride",
                     "%d, and a token has %d letters: what lies between them would be lost", c->stride, c->m.k);
        h->hint(h, "give a stride of 1 to %d", c->m.k);
    }
    c->m.v.complement = c->stride == 1 ? c->m.complement : NULL; /* else the other strand's tokens begin elsewhere */
    return st == MBS_OK && strcmp(h->param_string(c->params, "special_tokens"), "auto") == 0
               ? tf_around_auto(&c->m.around, h, NULL, NULL, &c->m.v)
               : st;
}

static const mbs_vocab *vocab(void *self) {
    return &((codec *)self)->m.v;
}

static mbs_status no_memory(const codec *c, int64_t n) {
    return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld rows", (long long)n);
}

static mbs_status not_a_base(const codec *c, const mbs_block *in, int64_t i, uint8_t byte) {
    static const char other[] = "RYSWKMBDHVN";
    const mbs_host *h = c->host;
    uint8_t upper = (uint8_t)(byte & ~0x20u);
    int iupac = byte >= 'A' && upper && strchr(other, upper);
    mbs_status st = h->fail(h, MBS_ERR_DATA, iupac ? "iupac" : NULL, "record '%.100s', position %lld: 0x%02x %s",
                            in->record->name, (long long)(in->start + i) + 1, byte,
                            !iupac      ? "is not a base"
                            : c->refuse ? "is none of A C G T U, and iupac is error"
                                        : "is none of A C G T U, and the vocabulary has no [UNK]");
    if (iupac && c->refuse) {
        h->hint(h, "iupac: unk feeds [UNK] for tokens with such letters");
    }
    return st;
}

static int is_ambiguous(uint8_t byte) {
    uint8_t upper = (uint8_t)(byte & ~0x20u);
    return byte >= 'A' && upper && strchr("RYSWKMBDHVN", upper) != NULL;
}

static void begin(codec *c) {
    c->code = 0;
    c->n = c->bad = 0;
    c->next = c->m.k;
    c->given = c->tokens = 0;
}

/* A token stands for the letters that it adds: its first has all k of them. */
static mbs_status translate(codec *c, const mbs_block *in, int32_t *ids, int64_t *places, uint8_t *scored, int64_t *n) {
    const uint8_t *from = in->data;
    const uint32_t mask = (uint32_t)((UINT64_C(1) << 2 * c->m.k) - 1);
    *n = 0;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        int letter = km_letter(from[i]);
        if (letter < 0 && (!is_ambiguous(from[i]) || c->refuse || c->m.v.unk < 0)) {
            return not_a_base(c, in, i, from[i]);
        }
        c->code = (c->code << 2 | (uint32_t)(letter < 0 ? 0 : letter)) & mask;
        c->bad = letter < 0 ? 0 : c->bad + 1;
        if (++c->n < c->next) {
            continue;
        }
        int32_t id = c->bad >= c->m.k ? c->m.id[c->code] : -1;
        if (id < 0 && c->m.v.unk < 0) {
            return c->host->fail(c->host, MBS_ERR_DATA, "vocab",
                                 "record '%.100s', position %lld: a stretch that the vocabulary has neither as a token "
                                 "nor as [UNK]",
                                 in->record->name, (long long)(in->start + i) + 2 - c->m.k);
        }
        int64_t end = in->start + i + 1;
        ids[*n] = id < 0 ? c->m.v.unk : id;
        scored[*n] = id >= 0;
        places[2 * *n] = end - (c->tokens ? c->stride : c->m.k);
        places[2 * *n + 1] = end;
        ++*n;
        c->tokens = 1;
        c->end = end;
        c->next += c->stride;
    }
    return MBS_OK;
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    int ends = (in->flags & MBS_SEQ_END) != 0;
    int64_t n = in->shape[0];
    *out = NULL;
    if (in->dtype != MBS_U8) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where letters were due", in->type);
    }
    if (in->flags & MBS_SEQ_START) {
        begin(c);
        c->end = in->start;
    }
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, &n);
    int64_t *places = b ? h->block_side(h, b, "interval", MBS_I64, 2) : NULL;
    uint8_t *scored = places ? h->block_side(h, b, "scored", MBS_U8, 1) : NULL;
    mbs_status st = scored ? translate(c, in, b->data, places, scored, &n) : no_memory(c, n);
    if (st != MBS_OK || (n == 0 && !ends)) {
        h->block_unref(h, b);
        return st;
    }
    b->shape[0] = n;
    b->flags = (c->given ? 0 : MBS_SEQ_START) | (ends ? MBS_SEQ_END : 0);
    b->record = in->record;
    b->start = n > 0 ? places[0] : c->end;
    b->end = n > 0 ? places[2 * n - 1] : c->end;
    c->given = 1;
    c->left += ends ? c->n - (c->tokens ? c->next - c->stride : 0) : 0;
    *out = b;
    return MBS_OK;
}

/* The letters that tokens add. What goes on where the tokens of the prompt ended has its first letters there. */
static mbs_status decode(void *self, const mbs_block *tokens, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    const int32_t *ids = tokens->data;
    int k = c->m.k;
    int64_t rows = tokens->shape[0];
    int goes_on = !(tokens->flags & MBS_SEQ_START) || (c->tokens && tokens->start == c->end);
    int64_t first = rows == 0 ? 0 : goes_on ? c->stride : k;
    int64_t n = rows == 0 ? 0 : first + (rows - 1) * c->stride;
    *out = NULL;
    for (int64_t i = 0; i < rows; i++) {
        if (ids[i] < 0 || ids[i] >= c->m.v.size || c->m.code[ids[i]] < 0) {
            return h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s', position %lld: token %d is not of %d bases",
                           tokens->record && tokens->record->name ? tokens->record->name : "",
                           (long long)(tokens->start + i) + 1, ids[i], k);
        }
    }
    mbs_block *b = h->block_new(h, "bases/u8", MBS_U8, 1, &n);
    if (!b) {
        return no_memory(c, n);
    }
    uint8_t *to = b->data;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t p = (i ? c->stride : first) - 1; p >= 0; p--) {
            *to++ = (uint8_t) "ACGT"[c->m.code[ids[i]] >> 2 * p & 3];
        }
    }
    b->flags = tokens->flags;
    b->record = tokens->record;
    b->start = tokens->start;
    b->end = tokens->end;
    *out = b;
    return MBS_OK;
}

static mbs_status close_codec(void *self) {
    codec *c = self;
    if (c->left > 0) {
        c->host->log(c->host, MBS_LOGLEVEL_INFO, "%lld letter%s at the ends of records made no token of %d",
                     (long long)c->left, c->left == 1 ? "" : "s", c->m.k);
    }
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    const mbs_host *h = c->host;
    km_vocab_free(&c->m, h);
    h->free(h, c);
}

static mbs_status files(void *self, mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n),
                        void *sink) {
    const codec *c = self;
    return km_vocab_files(&c->m, c->host, c->stride, put, sink);
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_tokenizer tokenizer = {.struct_size = (uint32_t)sizeof(mbs_ext_tokenizer), .files = files};
    return self && strcmp(id, MBS_EXT_TOKENIZER) == 0 ? &tokenizer : NULL;
}

const mbs_codec_vt km_codec_vt = {
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
