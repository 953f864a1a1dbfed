/* files.c - the vocabulary as tokenizer files: WordLevel over stretches side by side, or, where stretches overlap, over
 * words with blanks between them, as DNABERT is given them. */
#include <string.h>

#include "kmer.h"
#include "text/folder/files.h"

static void put_splitter(const km_vocab *m, int stride, tf_text *t) {
    if (stride < m->k) {
        tf_text_put(t, "{\"type\": \"WhitespaceSplit\"}");
        return;
    }
    tf_text_put(t, "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\\\s\\\\S]{");
    tf_text_number(t, m->k);
    tf_text_put(t, "}\"}, \"behavior\": \"Removed\", \"invert\": true}"); /* what fills no stretch is left out */
}

/* A token as the letters that the normalizer leaves. Of several spellings of a stretch the first has the id, and the
 * one that is spelt so already takes its name. */
static void put_token(const km_vocab *m, int32_t i, tf_text *t) {
    char letters[KM_K_MAX + 1] = "";
    const int32_t code = m->code[i];
    for (int p = 0; code >= 0 && p < m->k; p++) {
        letters[p] = "ACGT"[code >> 2 * (m->k - 1 - p) & 3];
    }
    const int first = code >= 0 && m->id[code] == i;
    const int named = code >= 0 && !first && strcmp(letters, m->v.tokens[i]) == 0;
    tf_text_json(t, first ? letters : m->v.tokens[named ? m->id[code] : i]);
}

static void put_tokenizer(const km_vocab *m, int stride, tf_text *t) {
    static const char small[] = "acgtuU";
    static const char large[] = "ACGTTT";
    tf_text_put(t, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": ");
    tf_text_special(t, &m->v);
    tf_text_put(t, ",\n  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [");
    for (int i = 0; small[i]; i++) {
        const char from[] = {small[i], '\0'};
        const char to[] = {large[i], '\0'};
        tf_text_put(t, i ? ",\n    " : "\n    ");
        tf_text_put(t, "{\"type\": \"Replace\", \"pattern\": {\"String\": ");
        tf_text_json(t, from);
        tf_text_put(t, "}, \"content\": ");
        tf_text_json(t, to);
        tf_text_put(t, "}");
    }
    tf_text_put(t, "\n  ]},\n  \"pre_tokenizer\": ");
    put_splitter(m, stride, t);
    tf_text_put(t, ",\n  \"post_processor\": null,\n  \"decoder\": {\"type\": \"Fuse\"},\n  \"model\": {\"type\": "
                   "\"WordLevel\", \"vocab\": {");
    for (int32_t i = 0; i < m->v.size; i++) {
        tf_text_put(t, i ? ", " : "");
        put_token(m, i, t);
        tf_text_put(t, ": ");
        tf_text_number(t, i);
    }
    tf_text_put(t, "}, \"unk_token\": ");
    tf_text_json(t, m->v.unk >= 0 ? m->v.tokens[m->v.unk] : "[UNK]");
    tf_text_put(t, "}\n}\n");
}

mbs_status km_vocab_files(const km_vocab *m, const mbs_host *host, int stride,
                          mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink) {
    tf_text t = {.host = host};
    put_tokenizer(m, stride, &t);
    mbs_status st = tf_text_give(&t, "tokenizer.json", MBS_OK, put, sink);
    tf_text_config(&t, &m->v);
    st = tf_text_give(&t, "tokenizer_config.json", st, put, sink);
    for (int32_t i = 0; i < m->v.size; i++) {
        tf_text_put(&t, m->v.tokens[i]);
        tf_text_put(&t, "\n");
    }
    return tf_text_give(&t, "vocab.txt", st, put, sink);
}
