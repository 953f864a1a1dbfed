#include "run/rowcode.h"

/* One coder for both ways: with an encoder it puts `bit`, with a decoder it gives what is there. */
typedef struct way {
    mbs_encoder *e;
    mbs_decoder *d;
} way;

static int code_bit(const way *w, mbs_coder_bit *p, int bit) {
    if (w->e) {
        mbs_encode_bit(w->e, p, bit);
        return bit;
    }
    return mbs_decode_bit(w->d, p);
}

/* Eight bits, the highest first, in a tree of 256 nodes. */
static uint8_t code_tree(const way *w, mbs_coder_bit *tree, uint8_t byte) {
    uint32_t node = 1;
    for (int i = 7; i >= 0; i--) {
        node = node << 1 | (uint32_t)code_bit(w, &tree[node], byte >> i & 1);
    }
    return (uint8_t)node;
}

static uint32_t slot_of(uint32_t context, uint32_t node) {
    uint32_t h = (context * 256u + node) * 2654435761u ^ (context >> 11) * 2246822519u;
    return (h ^ h >> 15) & (MBS_ROWCODE_SLOTS - 1);
}

/* Both contexts learn; the longer one is believed once it has been there before. */
static uint8_t code_byte(mbs_rowcode *r, const way *w, uint8_t byte) {
    uint32_t place = r->kind != MBS_ROW_BYTE ? 0u : r->run < 2 ? 1u : 2u;
    uint32_t due = r->line >= r->last_line ? 3u : 0u;
    uint32_t context = (r->bytes & 0xffffffu) | (place + due) << 24;
    mbs_coder_bit *near = r->near + (size_t)(r->bytes & 0xff) * 256;
    uint32_t node = 1;
    for (int i = 7; i >= 0; i--) {
        mbs_coder_bit *far = &r->far[slot_of(context, node)];
        int known = (*far & 1023u) >= 2;
        int bit = code_bit(w, known ? far : &near[node], byte >> i & 1);
        mbs_coder_learn(known ? &near[node] : far, bit);
        node = node << 1 | (uint32_t)bit;
    }
    r->bytes = r->bytes << 8 | (node & 0xff);
    return (uint8_t)node;
}

static int code_kind(mbs_rowcode *r, const way *w, int kind, uint8_t *byte) {
    int due = r->run >= r->last[r->kind];
    int full = r->line >= r->last_line;
    int early = r->run > 3 ? 3 : (int)r->run;
    int coded = code_bit(w, &r->kinds[r->kind][full][due][early], kind != MBS_ROW_TOKEN);
    if (coded == MBS_ROW_BYTE) {
        if (code_bit(w, &r->end, kind == MBS_ROW_END)) {
            return MBS_ROW_END;
        }
        *byte = code_byte(r, w, *byte);
    }
    r->line++;
    if (coded == MBS_ROW_BYTE && *byte == '\n') {
        r->last_line = r->line - 1;
        r->line = 0;
    }
    if (coded != r->kind) {
        r->last[r->kind] = r->run;
        r->kind = coded;
        r->run = 0;
    }
    r->run++;
    return coded;
}

static uint8_t code_spelling(mbs_rowcode *r, const way *w, uint8_t spelling) {
    mbs_coder_bit *same = &r->same[r->spelling > 3 ? 3 : r->spelling];
    if (!code_bit(w, same, spelling == r->spelling)) {
        r->spelling = code_tree(w, r->spellings, spelling);
    }
    return (uint8_t)r->spelling;
}

void mbs_rowcode_put_kind(mbs_rowcode *r, mbs_encoder *e, int kind, uint8_t byte) {
    (void)code_kind(r, &(way){.e = e}, kind, &byte);
}

void mbs_rowcode_put_spelling(mbs_rowcode *r, mbs_encoder *e, uint8_t spelling) {
    (void)code_spelling(r, &(way){.e = e}, spelling);
}

int mbs_rowcode_get_kind(mbs_rowcode *r, mbs_decoder *d, uint8_t *byte) {
    *byte = 0;
    return code_kind(r, &(way){.d = d}, MBS_ROW_TOKEN, byte);
}

uint8_t mbs_rowcode_get_spelling(mbs_rowcode *r, mbs_decoder *d) {
    return code_spelling(r, &(way){.d = d}, 0);
}
