/* What task variant holds: units of the stream that are still needed, and edits that wait for theirs. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "run/task_variant.h"

static mbs_status grow(task_variant *t, int64_t want, mbs_err *err) {
    if (want <= t->cap) {
        return MBS_OK;
    }
    int64_t cap = want + want / 2;
    void *ids = mbs_realloc(t->ids, (size_t)cap * sizeof(*t->ids));
    t->ids = ids ? ids : t->ids;
    void *scored = ids ? mbs_realloc(t->scored, (size_t)cap) : NULL;
    t->scored = scored ? scored : t->scored;
    void *lp = scored ? mbs_realloc(t->logprob, (size_t)cap * sizeof(*t->logprob)) : NULL;
    t->logprob = lp ? lp : t->logprob;
    if (!lp) {
        return mbs_fail_memory(err, "model", (size_t)cap * 9);
    }
    t->cap = cap;
    return MBS_OK;
}

mbs_status mbs_variant_add_units(task_variant *t, const mbs_block *tokens, int64_t from, int64_t n, mbs_err *err) {
    const mbs_side *scored = mbs_block_side_find(tokens, "scored");
    if (tokens->end - tokens->start != tokens->shape[0] || mbs_block_side_find(tokens, "interval")) {
        mbs_fail(err, MBS_ERR_CONFIG, tokens->record->name, "task variant: the codec gives %lld tokens for %lld units",
                 (long long)tokens->shape[0], (long long)(tokens->end - tokens->start));
        mbs_err_fix(err, "take a codec and a model with one token a letter");
        return MBS_ERR_CONFIG;
    }
    mbs_status st = grow(t, t->n + n, err);
    if (st != MBS_OK) {
        return st;
    }
    memcpy(t->ids + t->n, (const int32_t *)tokens->data + from, (size_t)n * sizeof(*t->ids));
    for (int64_t i = 0; i < n; i++) {
        t->scored[t->n + i] = !scored || ((const uint8_t *)scored->data)[from + i] != 0;
        t->logprob[t->n + i] = NAN;
    }
    t->n += n;
    return MBS_OK;
}

void mbs_variant_drop_units(task_variant *t) {
    int64_t keep = t->groups && t->groups->pos < t->passed ? t->groups->pos : t->passed;
    int64_t n = keep - t->base;
    if (t->n == 0 || n < t->n - n) { /* each unit is moved once at most */
        return;
    }
    memmove(t->ids, t->ids + n, (size_t)(t->n - n) * sizeof(*t->ids));
    memmove(t->scored, t->scored + n, (size_t)(t->n - n));
    memmove(t->logprob, t->logprob + n, (size_t)(t->n - n) * sizeof(*t->logprob));
    t->n -= n;
    t->base = keep;
}

static void free_group(edit_group *g) {
    if (g) {
        mbs_record_free(g->record);
        mbs_free(g->alts);
        mbs_free(g->ids);
        mbs_free(g->scored);
        mbs_free(g);
    }
}

void mbs_variant_pop(task_variant *t) {
    edit_group *g = t->groups;
    if (g) {
        t->groups = g->next;
        t->last = t->groups ? t->last : NULL;
        t->site = t->site == g ? g->next : t->site;
        free_group(g);
    }
}

/* The units of an alternative as what the codec takes. NULL without memory. */
static mbs_block *units_block(const char *type, const int32_t *units, int64_t n, const mbs_record *record) {
    int bytes = strcmp(type, "bases/u8") == 0;
    mbs_block *b = mbs_block_new(bytes ? "bases/u8" : "tokens/i32", bytes ? MBS_U8 : MBS_I32, 1, &n);
    for (int64_t i = 0; b && i < n; i++) {
        if (bytes) {
            ((uint8_t *)b->data)[i] = (uint8_t)units[i];
        } else {
            ((int32_t *)b->data)[i] = units[i];
        }
    }
    if (b) {
        b->record = record;
        b->start = 0;
        b->end = n;
        b->flags = MBS_SEQ_START | MBS_SEQ_END;
    }
    return b;
}

/* Tokens of n units of alternative a, to the group's from a->at on. */
static mbs_status encode(task_variant *t, edit_group *g, edit_alt *a, const int32_t *units, mbs_err *err) {
    const mbs_record alone = {.struct_size = (uint32_t)sizeof(alone),
                              .strand = '+',
                              .index = g->record->index,
                              .name = g->record->name,
                              .length = a->n};
    mbs_block *letters = units_block(t->env.unit_type, units, a->n, &alone);
    mbs_block *b = letters;
    mbs_status st = letters ? MBS_OK : mbs_fail_memory(err, "model", (size_t)a->n);
    if (st == MBS_OK && t->env.edit_codec) {
        b = NULL;
        st = mbs_codec_encode(t->env.edit_codec, letters, &b, err);
        mbs_block_unref(letters);
    }
    if (st == MBS_OK && (!b || b->shape[0] != a->n)) {
        st = mbs_fail(err, MBS_ERR_CONFIG, g->record->name, "task variant: the codec gives %lld tokens for %lld units",
                      (long long)(b ? b->shape[0] : 0), (long long)a->n);
        mbs_err_fix(err, "take a codec and a model with one token a letter");
    }
    if (st == MBS_OK) {
        const mbs_side *scored = mbs_block_side_find(b, "scored");
        memcpy(g->ids + a->at, b->data, (size_t)a->n * sizeof(*g->ids));
        for (int64_t i = 0; i < a->n; i++) {
            g->scored[a->at + i] = !scored || ((const uint8_t *)scored->data)[i] != 0;
        }
    }
    mbs_block_unref(b);
    return st;
}

static int64_t count_units(const int32_t *units) {
    int64_t n = 0;
    while (units[n] >= 0) {
        n++;
    }
    return n;
}

static mbs_status fill(task_variant *t, edit_group *g, const mbs_block *b, mbs_err *err) {
    const int64_t *rows = b->data;
    const mbs_side *side = mbs_block_side_find(b, "inserted");
    const int32_t *units = side ? side->data : NULL;
    int64_t total = 0;
    for (int64_t i = 0; i < g->n; i++) {
        const int64_t *row = rows + 3 * i;
        edit_alt *a = &g->alts[i];
        a->reason = row[1] < 0 ? (int)row[2] : (int)MBS_EDIT_SCORED;
        a->at = total;
        a->n = row[1] < 0 ? 0 : count_units(units + row[2]);
        total += a->n;
    }
    g->ids = mbs_alloc((size_t)(total + 1) * sizeof(*g->ids));
    g->scored = mbs_alloc((size_t)total + 1);
    mbs_status st = g->ids && g->scored ? MBS_OK : mbs_fail_memory(err, "model", (size_t)total * 5);
    for (int64_t i = 0; i < g->n && st == MBS_OK; i++) {
        if (g->alts[i].n > 0) {
            st = encode(t, g, &g->alts[i], units + rows[3 * i + 2], err);
        }
    }
    return st;
}

static mbs_status take(task_variant *t, const mbs_block *b, mbs_err *err) {
    edit_group *g = mbs_calloc(1, sizeof(*g));
    if (g) {
        g->record = mbs_record_copy(b->record);
        g->n = b->shape[0];
        g->alts = mbs_calloc((size_t)g->n + 1, sizeof(*g->alts));
        g->pos = b->start;
        g->end = b->end;
    }
    mbs_status st = g && g->record && g->alts ? fill(t, g, b, err) : mbs_fail_memory(err, "model", sizeof(*g));
    if (st == MBS_OK && t->last && g->pos < t->last->pos) {
        st = mbs_fail(err, MBS_ERR_INTERNAL, g->record->name, "the reader tells edits out of order");
    }
    if (st != MBS_OK) {
        free_group(g);
        return st;
    }
    /* Strand + of a run over strand - alone has the edits and no units. */
    g->ran = !t->minus && !(t->strands & MBS_EDIT_PLUS);
    if (t->last) {
        t->last->next = g;
    } else {
        t->groups = g;
    }
    t->last = g;
    t->site = t->site || g->ran ? t->site : g;
    return MBS_OK;
}

mbs_status mbs_variant_pull(task_variant *t, int64_t before, mbs_err *err) {
    mbs_status st = MBS_OK;
    /* While one waits that has not run, the next can wait with the reader. */
    while (st == MBS_OK && t->told < before && !t->site) {
        mbs_block *b = NULL;
        st = mbs_reader_next_edits(t->env.reader, before, &b, err);
        if (st == MBS_OK) {
            st = take(t, b, err);
            mbs_block_unref(b);
        } else if (st == MBS_END) {
            t->told = before;
            return MBS_OK;
        }
    }
    return st;
}
