/* files.c - the letters as tokenizer files: WordLevel over single characters. */
#include <string.h>

#include "text/folder/files.h"
#include "vocab.h"

static int is_letter(const char *token) {
    return token[0] != '\0' && token[1] == '\0';
}

/* Of tokens that are there twice the first is meant: a map has room for one. */
static void put_token(const void *ctx, int32_t i, tf_text *t) {
    const bs_vocab *b = ctx;
    for (int32_t k = 0; k < i && is_letter(b->lines.tokens[i]); k++) {
        if (strcmp(b->lines.tokens[k], b->lines.tokens[i]) == 0) {
            tf_text_put(t, "\"[id ");
            tf_text_number(t, i);
            tf_text_put(t, "]\"");
            return;
        }
    }
    tf_text_json(t, b->lines.tokens[i]);
}

/* Letters of the other case, and U, as the letters that have their ids. */
static int replacements(const bs_vocab *b, char replace[][2][2]) {
    int n = 0;
    for (int c = 'A'; c <= 'z'; c++) {
        const int32_t id = b->id[c];
        if (id >= 0 && b->lines.tokens[id][0] != (char)c) {
            replace[n][0][0] = (char)c;
            replace[n][1][0] = b->lines.tokens[id][0];
            replace[n][0][1] = replace[n][1][1] = '\0';
            n++;
        }
    }
    return n;
}

mbs_status bs_vocab_files(const bs_vocab *b, const mbs_host *host,
                          mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink) {
    char replace[52][2][2];
    const tf_words words = {
        .v = &b->v,
        .replace = (const char(*)[2][2])replace,
        .n_replace = replacements(b, replace),
        .splitter = "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\\\s\\\\S]\"}, \"behavior\": \"Isolated\", "
                    "\"invert\": false}",
        .put_token = put_token,
        .ctx = b};
    tf_text t = {.host = host};
    tf_text_words(&t, &words);
    mbs_status st = tf_text_give(&t, "tokenizer.json", MBS_OK, put, sink);
    tf_text_config(&t, &b->v);
    st = tf_text_give(&t, "tokenizer_config.json", st, put, sink);
    tf_text_lines(&t, &b->v);
    return tf_text_give(&t, "vocab.txt", st, put, sink);
}
