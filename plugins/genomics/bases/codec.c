#include <string.h>

#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/tokenizer.h"
#include "vocab.h"

extern const mbs_codec_vt bs_codec_vt;

#define POLICY_UNK 0
#define POLICY_SKIP 1
#define POLICY_ERROR 2

static const char *const policy_names[] = {"unk", "skip", "error"};

/* What is reported at the end; kept over a resume. */
typedef struct counts {
    int64_t letters;   /* other than A C G T, in rows that are written */
    int64_t records;   /* with such a letter */
    int64_t in_record; /* the record being read has one */
} counts;

typedef struct codec {
    const mbs_host *host;
    const mbs_params *params;
    bs_vocab vocab;
    int policy;
    int soft_mask;
    int spelling;
    counts seen;
} codec;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    codec *c = host->alloc(host, sizeof(*c));
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof(*c));
    c->host = host;
    c->params = params;
    const char *policy = host->param_string(params, "iupac");
    for (int i = 0; i < 3; i++) {
        c->policy = strcmp(policy, policy_names[i]) == 0 ? i : c->policy;
    }
    c->soft_mask = strcmp(host->param_string(params, "soft_mask"), "mask") == 0;
    c->spelling = host->param_bool(params, "spelling");
    *self = c;
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    (void)in;
    codec *c = self;
    const mbs_host *h = c->host;
    const char *which = h->param_string(c->params, "vocab");
    if (strcmp(which, "auto") != 0 && tf_folder_has_vocab(h)) {
        h->log(h, MBS_LOGLEVEL_WARNING, "the model folder has a vocabulary of its own, '%s' is used instead", which);
    }
    int special = strcmp(h->param_string(c->params, "special_tokens"), "auto") == 0;
    mbs_status st = bs_vocab_load(&c->vocab, h, which);
    return st == MBS_OK && special ? tf_around_auto(&c->vocab.around, h, NULL, NULL, &c->vocab.v) : st;
}

static const mbs_vocab *vocab(void *self) {
    return &((codec *)self)->vocab.v;
}

static const char *record_name(const mbs_block *b) {
    return b->record && b->record->name ? b->record->name : "";
}

/* A byte that cannot be fed. Positions are shown as people count them, from 1. */
static mbs_status refuse(const codec *c, const mbs_block *in, int64_t row, uint8_t byte) {
    const mbs_host *h = c->host;
    const char *name = record_name(in);
    long long position = (long long)(in->start + row) + 1;
    if (c->vocab.id[byte] == BS_AMBIGUOUS) {
        mbs_status st =
            h->fail(h, MBS_ERR_DATA, "iupac", "record '%.100s', position %lld: the letter %c, %s", name, position, byte,
                    c->policy == POLICY_ERROR ? "and iupac is error" : "and the vocabulary has no [UNK]");
        h->hint(h, c->policy == POLICY_ERROR ? "iupac: unk feeds [UNK], iupac: skip feeds nothing"
                                             : "iupac: skip feeds nothing");
        return st;
    }
    mbs_status st =
        byte > ' ' && byte < 127
            ? h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s', position %lld: '%c' (0x%02x) is not a base", name,
                      position, byte, byte)
            : h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s', position %lld: the byte 0x%02x is not a base", name,
                      position, byte);
    if (byte == '>') {
        h->hint(h, "a line break is missing in front of a header");
    } else {
        h->hint(h, "bases are A, C, G, T, U, N and the IUPAC letters; take gaps, stops and proteins out of the input");
    }
    return st;
}

/* Ids of n letters; *others counts those that are not scored. */
static mbs_status translate(const codec *c, const mbs_block *in, int32_t *to, int64_t *others) {
    const uint8_t *from = in->data;
    const int32_t ambiguous = c->policy == POLICY_SKIP ? -1 : c->vocab.v.unk;
    const int refused = c->policy == POLICY_ERROR || (c->policy == POLICY_UNK && c->vocab.v.unk < 0);
    int64_t n_others = 0;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        int32_t id = c->vocab.id[from[i]];
        if (id < 0) {
            if (id == BS_NONE || refused) {
                return refuse(c, in, i, from[i]);
            }
            id = ambiguous;
        }
        to[i] = id;
        n_others += !c->vocab.scored[from[i]];
    }
    *others = n_others;
    return MBS_OK;
}

/* Rows in front of record->start are fed and not written: they are in no count. */
static void count(codec *c, const mbs_block *in) {
    const uint8_t *from = in->data;
    int64_t first = in->record ? in->record->start - in->start : 0;
    int64_t n = 0;
    for (int64_t i = first > 0 ? first : 0; i < in->shape[0]; i++) {
        n += !c->vocab.scored[from[i]];
    }
    c->seen.letters += n;
    c->seen.records += n > 0 && !c->seen.in_record;
    c->seen.in_record |= n > 0;
}

static int32_t size_of(int32_t dtype) {
    return dtype == MBS_U8                        ? 1
           : dtype == MBS_I32 || dtype == MBS_F32 ? 4
           : dtype == MBS_I64 || dtype == MBS_F64 ? 8
                                                  : 0;
}

/* What rides with the letters rides with the ids. */
static int copy_sides(const codec *c, const mbs_block *in, mbs_block *out) {
    for (int32_t k = 0; k < in->n_sides; k++) {
        const mbs_side *s = &in->sides[k];
        int own = strcmp(s->name, "scored") == 0 || (c->soft_mask && strcmp(s->name, "mask") == 0) ||
                  (c->spelling && (strcmp(s->name, "spelled") == 0 || strcmp(s->name, "unknown") == 0));
        size_t bytes = (size_t)in->shape[0] * (size_t)s->width * (size_t)size_of(s->dtype);
        if (own || size_of(s->dtype) == 0) {
            continue;
        }
        void *to = c->host->block_side(c->host, out, s->name, s->dtype, s->width);
        if (!to) {
            return 0;
        }
        if (bytes) {
            memcpy(to, s->data, bytes);
        }
    }
    return 1;
}

/* The letters as they stand, and which of them stand for any base. */
static int add_spelling(const codec *c, const mbs_block *in, mbs_block *out) {
    if (!c->spelling) {
        return 1;
    }
    const uint8_t *from = in->data;
    uint8_t *spelled = c->host->block_side(c->host, out, "spelled", MBS_U8, 1);
    uint8_t *unknown = spelled ? c->host->block_side(c->host, out, "unknown", MBS_U8, 1) : NULL;
    for (int64_t i = 0; unknown && i < in->shape[0]; i++) {
        spelled[i] = from[i];
        unknown[i] = from[i] == 'N' || from[i] == 'n';
    }
    return unknown != NULL;
}

static int add_sides(const codec *c, const mbs_block *in, mbs_block *out, int64_t others) {
    const uint8_t *from = in->data;
    if (others > 0) {
        uint8_t *scored = c->host->block_side(c->host, out, "scored", MBS_U8, 1);
        if (!scored) {
            return 0;
        }
        for (int64_t i = 0; i < in->shape[0]; i++) {
            scored[i] = c->vocab.scored[from[i]];
        }
    }
    if (c->soft_mask) {
        uint8_t *mask = c->host->block_side(c->host, out, "mask", MBS_U8, 1);
        if (!mask) {
            return 0;
        }
        for (int64_t i = 0; i < in->shape[0]; i++) {
            mask[i] = from[i] >= 'a' && from[i] <= 'z';
        }
    }
    return add_spelling(c, in, out) && copy_sides(c, in, out);
}

static void follow(mbs_block *out, const mbs_block *in) {
    out->flags = in->flags;
    out->record = in->record;
    out->start = in->start;
    out->end = in->end;
}

static mbs_status no_memory(const codec *c, const mbs_block *in) {
    return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld rows", (long long)in->shape[0]);
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    *out = NULL;
    if (in->dtype != MBS_U8) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where letters were due", in->type);
    }
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, in->shape);
    if (!b) {
        return no_memory(c, in);
    }
    if (in->flags & MBS_SEQ_START) {
        c->seen.in_record = 0;
    }
    int64_t others = 0;
    mbs_status st = translate(c, in, b->data, &others);
    if (st == MBS_OK && !add_sides(c, in, b, others)) {
        st = no_memory(c, in);
    }
    if (st != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    if (others > 0) {
        count(c, in);
    }
    follow(b, in);
    *out = b;
    return MBS_OK;
}

/* The letter of a token; with `spelled`, what stood there, or another letter in its case. -1: it is no base. */
static int letter_of(const bs_vocab *v, int32_t id, const uint8_t *spelled) {
    int32_t stands = !spelled ? -1 : v->id[*spelled] < 0 ? v->v.unk : v->id[*spelled];
    if (spelled && (id < 0 || id == stands)) {
        return *spelled;
    }
    int k = 0;
    while (k < 4 && v->letter_id[k] != id) {
        k++;
    }
    return k == 4 ? -1 : spelled && *spelled >= 'a' && *spelled <= 'z' ? v->letter[k] | 0x20 : v->letter[k];
}

static const uint8_t *spelled_of(const mbs_block *b) {
    for (int32_t k = 0; k < b->n_sides; k++) {
        if (strcmp(b->sides[k].name, "spelled") == 0 && b->sides[k].dtype == MBS_U8 && b->sides[k].width == 1) {
            return b->sides[k].data;
        }
    }
    return NULL;
}

static mbs_status decode(void *self, const mbs_block *tokens, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    const bs_vocab *v = &c->vocab;
    *out = NULL;
    if (tokens->dtype != MBS_I32) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where tokens were due", tokens->type);
    }
    mbs_block *b = h->block_new(h, "bases/u8", MBS_U8, 1, tokens->shape);
    if (!b) {
        return no_memory(c, tokens);
    }
    const int32_t *from = tokens->data;
    const uint8_t *spelled = c->spelling ? spelled_of(tokens) : NULL;
    uint8_t *to = b->data;
    for (int64_t i = 0; i < tokens->shape[0]; i++) {
        int letter = letter_of(v, from[i], spelled ? spelled + i : NULL);
        if (letter < 0) {
            h->block_unref(h, b);
            int named = from[i] >= 0 && from[i] < v->v.size;
            return h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s', position %lld: token %d (%.40s) is not a base",
                           record_name(tokens), (long long)(tokens->start + i) + 1, from[i],
                           named ? v->lines.tokens[from[i]] : "not of the vocabulary");
        }
        to[i] = (uint8_t)letter;
    }
    follow(b, tokens);
    *out = b;
    return MBS_OK;
}

static mbs_status close_codec(void *self) {
    codec *c = self;
    if (c->seen.letters > 0) {
        c->host->log(c->host, MBS_LOGLEVEL_INFO, "%lld letter%s other than ACGT in %lld record%s (policy %s)",
                     (long long)c->seen.letters, c->seen.letters == 1 ? "" : "s", (long long)c->seen.records,
                     c->seen.records == 1 ? "" : "s", policy_names[c->policy]);
    }
    return MBS_OK;
}

static void destroy(void *self) {
    codec *c = self;
    const mbs_host *h = c->host;
    bs_vocab_free(&c->vocab, h);
    h->free(h, c);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    codec *c = self;
    mbs_status st = put(sink, &c->seen, sizeof(c->seen));
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    counts seen;
    if (n != sizeof(seen)) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved counts are %zu bytes, not %zu", n, sizeof(seen));
    }
    memcpy(&seen, bytes, n);
    if (seen.letters < 0 || seen.records < 0 || seen.in_record < 0 || seen.in_record > 1) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved counts are damaged");
    }
    c->seen = seen;
    return MBS_OK;
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static mbs_status files(void *self, mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n),
                        void *sink) {
    const codec *c = self;
    return bs_vocab_files(&c->vocab, c->host, put, sink);
}

static const mbs_ext_tokenizer tokenizer = {
    .struct_size = (uint32_t)sizeof(mbs_ext_tokenizer),
    .files = files,
};

static const void *extension(void *self, const char *id) {
    return !self                                 ? NULL
           : strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? (const void *)&checkpoint
           : strcmp(id, MBS_EXT_TOKENIZER) == 0  ? (const void *)&tokenizer
                                                 : NULL;
}

const mbs_codec_vt bs_codec_vt = {
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
