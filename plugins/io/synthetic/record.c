#include "record.h"

#include <math.h>
#include <string.h>

/* Exponent of the law of gaps in MQAR: P(gap g) is proportional to g^(POWER - 1). */
#define POWER 0.01

/* What a number is drawn for; part of what it is a function of. */
enum { FILL = 1, PLACE, DATA, KEYS, VALUES, SLOTS, QUERY };

/* The finalizer of splitmix64: every bit of the answer depends on every bit of x. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t step(uint64_t key, uint64_t counter) {
    return mix(key + (counter + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t draw(const sy_record *r, int what, int64_t counter) {
    return step(step(r->key, (uint64_t)what), (uint64_t)counter);
}

/* Below n. n is far below 2^64, so that the remainder is as good as uniform. */
static int64_t below(const sy_record *r, int what, int64_t counter, int64_t n) {
    return (int64_t)(draw(r, what, counter) % (uint64_t)n);
}

/* In [0, 1). */
static double part(const sy_record *r, int what, int64_t counter) {
    return (double)(draw(r, what, counter) >> 11) * 0x1p-53;
}

static int take(uint8_t *flags, int64_t i) {
    uint8_t bit = (uint8_t)(1u << (i & 7));
    int taken = (flags[i >> 3] & bit) != 0;
    flags[i >> 3] |= bit;
    return taken;
}

static int has(const uint8_t *flags, int64_t i) {
    return (flags[i >> 3] >> (i & 7)) & 1;
}

mbs_status sy_record_new(sy_record *r, const mbs_host *host, const sy_spec *spec) {
    memset(r, 0, sizeof *r);
    r->host = host;
    r->spec = spec;
    size_t pairs = (size_t)spec->pairs;
    int ok = 1;
    if (spec->kind == SY_RECALL || spec->kind == SY_MQAR) {
        r->seen = host->alloc(host, (size_t)spec->vocab / 8 + 1);
        ok = r->seen != NULL;
    }
    if (spec->kind == SY_MQAR) {
        for (r->hash_size = 8; r->hash_size < 2 * spec->pairs; r->hash_size *= 2) {
        }
        r->keys = host->alloc(host, pairs * sizeof *r->keys);
        r->values = host->alloc(host, pairs * sizeof *r->values);
        r->slots = host->alloc(host, pairs * sizeof *r->slots);
        r->hash = host->alloc(host, (size_t)r->hash_size * sizeof *r->hash);
        ok = ok && r->keys && r->values && r->slots && r->hash;
    }
    return ok ? MBS_OK : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for %lld pairs", (long long)spec->pairs);
}

void sy_record_free(sy_record *r) {
    if (r->host) {
        r->host->free(r->host, r->seen);
        r->host->free(r->host, r->keys);
        r->host->free(r->host, r->values);
        r->host->free(r->host, r->slots);
        r->host->free(r->host, r->hash);
    }
    memset(r, 0, sizeof *r);
}

/* Pairs of distinct ids in [from, to), in the order in which they are drawn. */
static void draw_ids(sy_record *r, int what, int64_t from, int64_t to, int32_t *ids) {
    memset(r->seen, 0, (size_t)r->spec->vocab / 8 + 1);
    int64_t counter = 0;
    for (int64_t n = 0; n < r->spec->pairs;) {
        int64_t id = from + below(r, what, counter++, to - from);
        if (!take(r->seen, id)) {
            ids[n++] = (int32_t)id;
        }
    }
}

/* The place of a slot in the hash: where it is, or the free one where it belongs. */
static int64_t hash_at(const sy_record *r, int64_t slot) {
    uint64_t mask = (uint64_t)r->hash_size - 1;
    uint64_t at = mix((uint64_t)slot) & mask;
    while (r->hash[at] && r->slots[r->hash[at] - 1] != slot) {
        at = (at + 1) & mask;
    }
    return (int64_t)at;
}

/* A slot from 0 with P proportional to (slot + 1)^(POWER - 1): the law of a real x is inverted, and what the whole
 * numbers have less than their stretch of it is thrown back. In memory that does not grow with `space`. */
static int64_t draw_slot(const sy_record *r, int64_t space, int64_t *counter) {
    const double highest = POWER / (pow(2, POWER) - 1); /* of the ratio below, at g = 1 */
    double width = pow((double)space + 1, POWER) - 1;
    for (;;) {
        double u = part(r, SLOTS, (*counter)++);
        double v = part(r, SLOTS, (*counter)++);
        double g = floor(pow(1 + u * width, 1 / POWER));
        g = g < 1 ? 1 : g > (double)space ? (double)space : g;
        double stretch = (pow(g + 1, POWER) - pow(g, POWER)) / POWER;
        if (v * highest * stretch < pow(g, POWER - 1)) {
            return (int64_t)g - 1;
        }
    }
}

static void begin_mqar(sy_record *r) {
    const sy_spec *s = r->spec;
    draw_ids(r, KEYS, 1, s->vocab / 2, r->keys);
    draw_ids(r, VALUES, s->vocab / 2, s->vocab, r->values);
    memset(r->hash, 0, (size_t)r->hash_size * sizeof *r->hash);
    int64_t counter = 0;
    for (int64_t i = 0; i < s->pairs; i++) {
        int64_t slot;
        int64_t at;
        do {
            slot = draw_slot(r, (s->length - 2 * s->pairs) / 2, &counter);
            at = hash_at(r, slot);
        } while (r->hash[at]);
        r->slots[i] = slot;
        r->hash[at] = (int32_t)(i + 1);
    }
}

static int64_t recall_keys(const sy_record *r) {
    return (r->spec->vocab - 2) / 2;
}

static int32_t recall_value(const sy_record *r, int64_t key) {
    int64_t keys = recall_keys(r);
    return (int32_t)(keys + below(r, VALUES, key, keys));
}

/* One of the keys that are there, each as likely as the others. */
static void begin_recall(sy_record *r) {
    int64_t keys = recall_keys(r);
    int64_t found = 0;
    memset(r->seen, 0, (size_t)r->spec->vocab / 8 + 1);
    for (int64_t i = 0; i < r->spec->pairs && found < keys; i++) {
        found += !take(r->seen, below(r, KEYS, i, keys));
    }
    int64_t counter = 0;
    do {
        r->at = below(r, QUERY, counter++, keys);
    } while (!has(r->seen, r->at));
}

void sy_record_begin(sy_record *r, int64_t index) {
    const sy_spec *s = r->spec;
    r->key = step(step(s->seed, (uint64_t)s->kind), (uint64_t)index);
    r->row = r->laid = 0;
    if (s->kind == SY_INDUCTION) {
        r->at = below(r, PLACE, 0, s->length - 2);
    } else if (s->kind == SY_RECALL) {
        begin_recall(r);
    } else if (s->kind == SY_MQAR) {
        begin_mqar(r);
    }
}

int sy_record_place(sy_record *r, int64_t row, int64_t laid) {
    const sy_spec *s = r->spec;
    if (row < 0 || row >= s->length || laid < 0 || (s->kind != SY_COPYING && laid)) {
        return 0;
    }
    if (s->kind == SY_COPYING) {
        int64_t left = s->length - s->copy - row; /* rows for the rest of the data */
        if (laid > s->copy || laid > row || s->copy - laid > (left < 0 ? 0 : left)) {
            return 0;
        }
    }
    r->row = row;
    r->laid = laid;
    return 1;
}

/* Data among zeros, then as many markers, each of which asks for one of the data. */
static int32_t copying(sy_record *r, int32_t *target) {
    const sy_spec *s = r->spec;
    int64_t context = s->length - s->copy;
    int64_t data = r->row - context;
    if (r->row < context) {
        if (below(r, PLACE, r->row, context - r->row) >= s->copy - r->laid) {
            return 0;
        }
        data = r->laid++;
    }
    int32_t token = (int32_t)(1 + below(r, DATA, data, s->vocab - 2));
    if (r->row < context) {
        return token;
    }
    *target = token;
    return (int32_t)(s->vocab - 1);
}

/* Noise with a prefix somewhere; the last token is the prefix again, and asks for what stood behind the first. */
static int32_t induction(sy_record *r, int32_t *target) {
    const sy_spec *s = r->spec;
    int last = r->row == s->length - 1;
    if (last) {
        *target = (int32_t)below(r, FILL, r->at + 1, s->vocab - 1);
    }
    return (int32_t)(last || r->row == r->at ? s->vocab - 1 : below(r, FILL, r->row, s->vocab - 1));
}

/* Pairs of a key and its value, then a prefix and a key that was there, which asks for its value. */
static int32_t recall(sy_record *r, int32_t *target) {
    const sy_spec *s = r->spec;
    if (r->row == s->length - 2) {
        return (int32_t)(s->vocab - 1);
    }
    if (r->row == s->length - 1) {
        *target = recall_value(r, r->at);
        return (int32_t)r->at;
    }
    int64_t key = below(r, KEYS, r->row / 2, recall_keys(r));
    return r->row % 2 ? recall_value(r, key) : (int32_t)key;
}

/* Pairs, then each key once more in a slot of two tokens, where it asks for its value. */
static int32_t mqar(sy_record *r, int32_t *target) {
    const sy_spec *s = r->spec;
    int64_t behind = r->row - 2 * s->pairs;
    if (behind < 0) {
        return r->row % 2 ? r->values[r->row / 2] : r->keys[r->row / 2];
    }
    int32_t i = behind % 2 ? 0 : r->hash[hash_at(r, behind / 2)];
    if (i > 0) {
        *target = r->values[i - 1];
        return r->keys[i - 1];
    }
    return s->random_filler ? (int32_t)below(r, FILL, r->row, s->vocab) : 0;
}

void sy_record_fill(sy_record *r, int64_t n, int32_t *tokens, int32_t *targets) {
    static int32_t (*const make[])(sy_record *, int32_t *) = {copying, induction, recall, mqar};
    for (int64_t i = 0; i < n; i++, r->row++) {
        targets[i] = -1;
        tokens[i] = make[r->spec->kind](r, &targets[i]);
    }
}
