/* codec.c - a record on its way: bytes, characters, NFC, words, ids. What cannot be decided yet waits for more. */
#include <string.h>

#include "bpe.h"
#include "mambaseq/ext/tokenizer.h"
#include "unicode.h"

extern const mbs_codec_vt bp_codec_vt;

#define UNIT_MAX 4096 /* characters that NFC has to see at once */

typedef struct codec {
    const mbs_host *host;
    const mbs_params *params;
    bp_model m;
    bp_room room;
    /* characters that NFC has not finished, and where in the source they began */
    uint32_t unit[4 * UNIT_MAX + 16];
    size_t n_unit;
    int64_t unit_at;
    unsigned char cut[4]; /* the beginning of a character */
    size_t n_cut;
    /* text that has no ids yet: byte i came from source position src[i] */
    unsigned char *text;
    int64_t *src;
    size_t used, cap;
    size_t clean; /* no added token begins in front of this byte */
    int64_t end;  /* where the text in hand ends in the source */
    /* ids for the block to come, with their places */
    int32_t *ids;
    int64_t *places;
    size_t n_ids, ids_cap;
    int began; /* a block of this record was given */
} codec;

static mbs_status no_memory(const codec *c) {
    return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for a piece of text");
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    codec *c = host->alloc(host, sizeof *c);
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof *c);
    c->host = host;
    c->params = params;
    *self = c;
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    codec *c = self;
    (void)in;
    int special = strcmp(c->host->param_string(c->params, "special_tokens"), "auto") == 0;
    return bp_load(&c->m, c->host, c->host->param_string(c->params, "vocab"), special);
}

static const mbs_vocab *vocab(void *self) {
    return &((codec *)self)->m.v;
}

/* --- text -----------------------------------------------------------------------------------------------------------
 */

static int put_text(codec *c, const unsigned char *p, size_t n, int64_t at, int each) {
    if (c->used + n + 1 > c->cap) {
        size_t cap = (c->cap ? 2 * c->cap : 4096) + n;
        unsigned char *text = c->host->realloc(c->host, c->text, cap);
        c->text = text ? text : c->text;
        int64_t *src = text ? c->host->realloc(c->host, c->src, cap * sizeof *src) : NULL;
        if (!src) {
            return 0;
        }
        c->src = src;
        c->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        c->text[c->used] = p[i];
        c->src[c->used++] = at + (each ? (int64_t)i : 0);
    }
    return 1;
}

/* What NFC makes of the characters that waited. */
static int end_unit(codec *c) {
    unsigned char bytes[4];
    int same = c->n_unit == 1;
    uint32_t was = c->unit[0];
    size_t n =
        c->m.nfc && (!same || was >= 0x300) ? bp_nfc(c->unit, c->n_unit, sizeof c->unit / sizeof *c->unit) : c->n_unit;
    int whole = same && n == 1 && c->unit[0] == was;
    c->n_unit = 0;
    for (size_t i = 0; i < n; i++) {
        if (!put_text(c, bytes, (size_t)bp_put_utf8(c->unit[i], bytes), c->unit_at, whole)) {
            return 0;
        }
    }
    return 1;
}

static mbs_status take_character(codec *c, const mbs_block *in, uint32_t ch, int64_t at) {
    if (c->n_unit > 0 && (!c->m.nfc || bp_nfc_starts(ch)) && !end_unit(c)) {
        return no_memory(c);
    }
    if (c->n_unit == UNIT_MAX) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "record '%.100s', byte %lld: more than %d combining marks",
                             in->record->name, (long long)at + 1, UNIT_MAX);
    }
    if (c->n_unit == 0) {
        c->unit_at = at;
    }
    c->unit[c->n_unit++] = ch;
    return MBS_OK;
}

static mbs_status not_utf8(const codec *c, const mbs_block *in, int64_t at) {
    mbs_status st = c->host->fail(c->host, MBS_ERR_DATA, NULL, "record '%.100s', byte %lld: not UTF-8",
                                  in->record->name, (long long)at + 1);
    c->host->hint(c->host, "convert the text (iconv -t UTF-8), or take the codec bytes");
    return st;
}

static mbs_status take_bytes(codec *c, const mbs_block *in) {
    const unsigned char *p = in->data;
    const unsigned char *end = p + in->shape[0];
    int64_t at = in->start - (int64_t)c->n_cut;
    mbs_status st = MBS_OK;
    while (p < end && st == MBS_OK) {
        uint32_t ch;
        unsigned char joined[8];
        size_t more = (size_t)(end - p) < 4 ? (size_t)(end - p) : 4;
        memcpy(joined, c->cut, c->n_cut);
        memcpy(joined + c->n_cut, p, more);
        int n = bp_utf8(joined, joined + c->n_cut + more, &ch);
        if (n == 0) {
            return not_utf8(c, in, at);
        }
        if (n < 0) { /* at most three bytes, and no more are here */
            memcpy(c->cut + c->n_cut, p, more);
            c->n_cut += more;
            return MBS_OK;
        }
        st = take_character(c, in, ch, at);
        p += (size_t)n - c->n_cut;
        c->n_cut = 0;
        at += n;
    }
    return st;
}

/* --- ids ------------------------------------------------------------------------------------------------------------
 */

/* Text bytes [from, to) have this id. */
static int put_id(codec *c, int32_t id, size_t from, size_t to) {
    if (c->n_ids == c->ids_cap) {
        size_t cap = c->ids_cap ? 2 * c->ids_cap : 1024;
        int32_t *ids = c->host->realloc(c->host, c->ids, cap * sizeof *ids);
        c->ids = ids ? ids : c->ids;
        int64_t *places = ids ? c->host->realloc(c->host, c->places, 2 * cap * sizeof *places) : NULL;
        if (!places) {
            return 0;
        }
        c->places = places;
        c->ids_cap = cap;
    }
    c->ids[c->n_ids] = id;
    c->places[2 * c->n_ids] = c->src[from];
    c->places[2 * c->n_ids + 1] = to < c->used ? c->src[to] : c->end;
    c->n_ids++;
    return 1;
}

static int put_word(codec *c, size_t from, size_t n) {
    if (!bp_merge_word(&c->m, c->host, &c->room, c->text + from, n)) {
        return 0;
    }
    for (int32_t i = 0; i >= 0; i = c->room.nodes[i].next) {
        size_t at = from + (size_t)i;
        if (!put_id(c, c->room.nodes[i].id, at, at + (size_t)c->room.nodes[i].len)) {
            return 0;
        }
    }
    return 1;
}

/* The first added token from `at` on, the longest there; its place and *which, or where the search ended. */
static size_t find_added(const codec *c, size_t at, int final, const bp_added **which) {
    const bp_model *m = &c->m;
    size_t limit = final || m->n_added == 0 ? c->used : c->used < m->added_max ? 0 : c->used - m->added_max + 1;
    *which = NULL;
    for (; at < limit; at++) {
        for (int32_t k = 0; m->first[c->text[at]] && k < m->n_added; k++) {
            const bp_added *t = &m->added[k];
            if (t->len <= c->used - at && memcmp(t->text, c->text + at, t->len) == 0) {
                *which = t;
                return at;
            }
        }
    }
    return at;
}

/* Gives ids to all that is decided; what is left moves to the front. */
static mbs_status make_ids(codec *c, const mbs_block *in, int final) {
    size_t at = 0;
    int more = 1;
    while (more && at < c->used) {
        const bp_added *t;
        size_t stop = find_added(c, c->clean > at ? c->clean : at, final, &t);
        int ends = t != NULL || final;
        while (!ends && stop > at && (c->text[stop] & 0xC0) == 0x80) {
            stop--; /* whole characters */
        }
        while (at < stop) {
            size_t n = bp_next_word(c->text + at, c->text + stop, ends);
            if (n == 0) {
                break;
            }
            if (!put_word(c, at, n)) {
                return no_memory(c);
            }
            at += n;
        }
        c->clean = stop;
        more = t != NULL;
        if (t && !put_id(c, t->id, at, at + t->len)) {
            return no_memory(c);
        }
        at += t ? t->len : 0;
    }
    if (c->used > at) {
        memmove(c->text, c->text + at, c->used - at);
        memmove(c->src, c->src + at, (c->used - at) * sizeof *c->src);
    }
    c->used -= at;
    c->clean = c->clean > at ? c->clean - at : 0;
    return c->used > BP_WORD_MAX
               ? c->host->fail(c->host, MBS_ERR_DATA, NULL, "record '%.100s', byte %lld: a word of more than %zu bytes",
                               in->record->name, (long long)c->src[0] + 1, BP_WORD_MAX)
               : MBS_OK;
}

static mbs_status give(codec *c, const mbs_block *in, mbs_block **out) {
    const mbs_host *h = c->host;
    int ends = (in->flags & MBS_SEQ_END) != 0;
    int64_t n = (int64_t)c->n_ids;
    if (n == 0 && !ends) {
        return MBS_OK;
    }
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, &n);
    int64_t *places = b ? h->block_side(h, b, "interval", MBS_I64, 2) : NULL;
    if (!places) {
        h->block_unref(h, b);
        return no_memory(c);
    }
    if (n > 0) {
        memcpy(b->data, c->ids, (size_t)n * sizeof *c->ids);
        memcpy(places, c->places, (size_t)n * 2 * sizeof *c->places);
    }
    b->flags = (c->began ? 0 : MBS_SEQ_START) | (ends ? MBS_SEQ_END : 0);
    b->record = in->record;
    b->start = n > 0 ? c->places[0] : in->end;
    b->end = n > 0 ? c->places[2 * n - 1] : in->end;
    c->began = 1;
    c->n_ids = 0;
    *out = b;
    return MBS_OK;
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    int final = (in->flags & MBS_SEQ_END) != 0;
    *out = NULL;
    if (in->dtype != MBS_U8) {
        return c->host->fail(c->host, MBS_ERR_INTERNAL, NULL, "a block of '%s' where text was due", in->type);
    }
    if (in->flags & MBS_SEQ_START) {
        c->n_unit = c->n_cut = c->used = c->clean = c->n_ids = 0;
        c->began = 0;
    }
    mbs_status st = take_bytes(c, in);
    if (st == MBS_OK && final && c->n_cut > 0) {
        st = not_utf8(c, in, in->end - (int64_t)c->n_cut);
    }
    if (st == MBS_OK && final && c->n_unit > 0 && !end_unit(c)) {
        st = no_memory(c);
    }
    c->end = c->n_unit > 0 ? c->unit_at : in->end - (int64_t)c->n_cut;
    st = st == MBS_OK ? make_ids(c, in, final) : st;
    return st == MBS_OK ? give(c, in, out) : st;
}

static mbs_status decode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    const bp_model *m = &c->m;
    int64_t n = 0;
    *out = NULL;
    if (in->dtype != MBS_I32) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where tokens were due", in->type);
    }
    const int32_t *ids = in->data;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        if (ids[i] < 0 || ids[i] >= m->v.size || !m->decodable[ids[i]]) {
            return h->fail(h, MBS_ERR_DATA, NULL, "token %d is not one of '%s'", ids[i], m->name);
        }
        n += (int64_t)m->bytes[ids[i]].len;
    }
    mbs_block *b = h->block_new(h, "text/u8", MBS_U8, 1, &n);
    if (!b) {
        return no_memory(c);
    }
    unsigned char *to = b->data;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        memcpy(to, m->pool + m->bytes[ids[i]].at, m->bytes[ids[i]].len);
        to += m->bytes[ids[i]].len;
    }
    b->flags = in->flags;
    b->record = in->record;
    b->start = in->start;
    b->end = in->end;
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
    bp_free(&c->m, h);
    h->free(h, c->room.nodes);
    h->free(h, c->room.heap);
    h->free(h, c->text);
    h->free(h, c->src);
    h->free(h, c->ids);
    h->free(h, c->places);
    h->free(h, c);
}

static mbs_status files(void *self, mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n),
                        void *sink) {
    const codec *c = self;
    return bp_files(&c->m, c->host, put, sink);
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_tokenizer tokenizer = {.struct_size = (uint32_t)sizeof(mbs_ext_tokenizer), .files = files};
    return self && strcmp(id, MBS_EXT_TOKENIZER) == 0 ? &tokenizer : NULL;
}

const mbs_codec_vt bp_codec_vt = {
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
