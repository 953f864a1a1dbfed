#include "baseline/levels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MU 255.0

typedef struct level {
    double low, high;
    int letter;
} level;

/* From the logarithmic scale, both -1 to 1. */
static double expanded(double v) {
    double y = expm1(fmin(fabs(v), 1.0) * log1p(MU)) / MU;
    return v < 0 ? -y : y;
}

/* A code of G.711 is a sign, the exponent of two and four bits behind it, all bits turned. */
static level g711_cell(int id) {
    int c = ~id & 255;
    int exponent = c >> 4 & 7;
    double low = ((16 + (c & 15)) << (exponent + 3)) - 132.0;
    double high = low + (8 << exponent);
    low = fmax(low, 0) / 32768.0;
    high = c == 255 || c == 127 ? 1.0 : high / 32768.0;
    return c & 128 ? (level){-high, -low, 0} : (level){low, high, 0};
}

static level cell_of(const mbs_alphabet *a, int id) {
    if (strcmp(a->vocab, "mulaw-g711") == 0 && id < 256) {
        return g711_cell(id);
    }
    if (strcmp(a->vocab, "mulaw-sashimi") == 0) { /* floor(u x 255.99 + 0.005), u from 0 to 1 */
        return (level){expanded((id - 0.005) / 127.995 - 1), expanded((id + 0.995) / 127.995 - 1), 0};
    }
    if (strcmp(a->vocab, "mulaw-torchaudio") == 0) { /* floor(u x 255 + 0.5) */
        return (level){expanded((id - 0.5) / 127.5 - 1), expanded((id + 0.5) / 127.5 - 1), 0};
    }
    double half = a->n_ids > 1 ? a->n_ids / 2.0 : 1;
    return (level){(id - half - 0.5) / half, (id - half + 0.5) / half, 0};
}

static int by_value(const void *a, const void *b) {
    const level *x = a;
    const level *y = b;
    double d = (x->low + x->high) - (y->low + y->high);
    return d < 0 ? -1 : d > 0 ? 1 : x->letter - y->letter;
}

void mbs_levels_make(const mbs_alphabet *a, mbs_levels *out) {
    level all[MBS_ALPHABET_MAX];
    uint8_t known[MBS_ALPHABET_MAX] = {0};
    memset(out, 0, sizeof *out);
    for (int32_t id = 0; id < a->n_ids; id++) {
        int letter = a->letters[id];
        if (letter >= 0 && !known[letter]) {
            known[letter] = 1;
            all[out->n] = cell_of(a, id);
            all[out->n++].letter = letter;
        }
    }
    qsort(all, (size_t)out->n, sizeof *all, by_value);
    for (int k = 0; k < out->n; k++) {
        out->rank[all[k].letter] = (uint8_t)k;
        out->value[k] = (all[k].low + all[k].high) / 2;
        out->width[k] = all[k].high - all[k].low;
        if (k > 0) {
            out->edge[k - 1] = (all[k - 1].high + all[k].low) / 2;
        }
    }
}
