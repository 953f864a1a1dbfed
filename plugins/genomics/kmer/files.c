/* files.c - the vocabulary as tokenizer files: WordLevel over stretches side by side, or, where stretches overlap, over
 * words with blanks between them, as DNABERT is given them. */
#include <stdio.h>
#include <string.h>

#include "kmer.h"
#include "text/folder/files.h"

/* A token as the letters that the normalizer leaves. Of several spellings of a stretch the first has the id, and the
 * one that is spelt so already takes its name. */
static void put_token(const void *ctx, int32_t i, tf_text *t) {
    const km_vocab *m = ctx;
    char letters[KM_K_MAX + 1] = "";
    const int32_t code = m->code[i];
    for (int p = 0; code >= 0 && p < m->k; p++) {
        letters[p] = "ACGT"[code >> 2 * (m->k - 1 - p) & 3];
    }
    const int first = code >= 0 && m->id[code] == i;
    const int named = code >= 0 && !first && strcmp(letters, m->v.tokens[i]) == 0;
    tf_text_json(t, first ? letters : m->v.tokens[named ? m->id[code] : i]);
}

mbs_status km_vocab_files(const km_vocab *m, const mbs_host *host, int stride,
                          mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink) {
    static const char upper[][2][2] = {{"a", "A"}, {"c", "C"}, {"g", "G"}, {"t", "T"}, {"u", "T"}, {"U", "T"}};
    char side_by_side[160];
    /* What fills no stretch is left out. */
    (void)snprintf(side_by_side, sizeof side_by_side,
                   "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\\\s\\\\S]{%d}\"}, \"behavior\": \"Removed\", "
                   "\"invert\": true}",
                   m->k);
    const tf_words words = {.v = &m->v,
                            .replace = upper,
                            .n_replace = 6,
                            .splitter = stride < m->k ? "{\"type\": \"WhitespaceSplit\"}" : side_by_side,
                            .put_token = put_token,
                            .ctx = m};
    tf_text t = {.host = host};
    tf_text_words(&t, &words);
    mbs_status st = tf_text_give(&t, "tokenizer.json", MBS_OK, put, sink);
    tf_text_config(&t, &m->v);
    st = tf_text_give(&t, "tokenizer_config.json", st, put, sink);
    tf_text_lines(&t, &m->v);
    return tf_text_give(&t, "vocab.txt", st, put, sink);
}
