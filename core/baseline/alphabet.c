#include "baseline/alphabet.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static int complement_of(const mbs_vocab *vocab, int id) {
    int32_t c = vocab->complement[id];
    return c >= 0 && c < vocab->size ? c : id;
}

mbs_status mbs_alphabet_make(const mbs_vocab *vocab, const uint8_t *seen, mbs_alphabet *out, mbs_err *err) {
    memset(out, 0, sizeof *out);
    out->letters = mbs_calloc((size_t)vocab->size + 1, sizeof *out->letters);
    if (!out->letters) {
        return mbs_fail_memory(err, "baseline", (size_t)vocab->size * sizeof *out->letters);
    }
    out->n_ids = vocab->size;
    (void)snprintf(out->vocab, sizeof out->vocab, "%s", vocab->name ? vocab->name : "");
    out->complements = vocab->complement != NULL;
    for (int32_t id = 0; id < vocab->size; id++) {
        out->letters[id] = seen[id] ? 1 : 0;
    }
    for (int32_t id = 0; out->complements && id < vocab->size; id++) {
        if (seen[id]) {
            out->letters[complement_of(vocab, id)] = 1;
        }
    }
    for (int32_t id = 0; id < vocab->size; id++) {
        out->letters[id] = out->letters[id] ? (int16_t)(out->n < MBS_ALPHABET_MAX ? out->n : -1) : -1;
        out->n += out->letters[id] >= 0;
        if (out->letters[id] < 0 && seen[id]) {
            mbs_fail(err, MBS_ERR_DATA, "baseline", "the input has more than %d kinds of token", MBS_ALPHABET_MAX);
            mbs_err_fix(err, "leave out --baseline: tables of counts are for small vocabularies");
            return MBS_ERR_DATA;
        }
    }
    if (out->n == 0) {
        return mbs_fail(err, MBS_ERR_DATA, "baseline", "no token of the input is scored");
    }
    for (out->bits = 1; out->n > 1 << out->bits;) {
        out->bits++;
    }
    for (int32_t id = 0; out->complements && id < vocab->size; id++) {
        if (out->letters[id] >= 0) {
            int other = out->letters[complement_of(vocab, id)];
            out->complement[out->letters[id]] = (uint8_t)(other >= 0 ? other : out->letters[id]);
        }
    }
    return MBS_OK;
}

void mbs_alphabet_free(mbs_alphabet *a) {
    mbs_free(a->letters);
    memset(a, 0, sizeof *a);
}

int mbs_alphabet_letter(const mbs_alphabet *a, int32_t id) {
    return id >= 0 && id < a->n_ids ? a->letters[id] : -1;
}
