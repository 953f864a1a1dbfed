/* letters.c - the tokenizer of a model of letters, as transformers reads it. */
#include "model/letters.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "model/new_folder.h"

/* The next token of a list of lines, without its end; NULL behind the last. */
static const char *next(const char **at, char *token, size_t size) {
    const size_t n = strcspn(*at, "\n");
    if (n == 0 || n >= size) {
        return NULL;
    }
    memcpy(token, *at, n);
    token[n] = '\0';
    *at += n + ((*at)[n] == '\n');
    return token;
}

/* Small letters are the large ones, every letter is a token, and what is none is [UNK]. */
static void tokenizer(const char *vocab, mbs_buf *b) {
    char token[64];
    const char *at = vocab;
    mbs_buf_puts(b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [");
    for (int id = 0, n = 0; next(&at, token, sizeof token); id++) {
        if (token[0] == '[') {
            mbs_buf_printf(b, "%s\n    {\"id\": %d, \"content\": ", n++ ? "," : "", id);
            mbs_json_put_string(b, token);
            mbs_buf_puts(b, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                            "\"special\": true}");
        }
    }
    mbs_buf_puts(b, "\n  ],\n  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [");
    at = vocab;
    for (int n = 0; next(&at, token, sizeof token);) {
        if (token[0] >= 'A' && token[0] <= 'Z' && !token[1]) {
            mbs_buf_printf(b, "%s\n    {\"type\": \"Replace\", \"pattern\": {\"String\": \"%c\"}, \"content\": \"%c\"}",
                           n++ ? "," : "", token[0] - 'A' + 'a', token[0]);
        }
    }
    mbs_buf_puts(b, "\n  ]},\n  \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\\\s\\\\S]\"}, "
                    "\"behavior\": \"Isolated\", \"invert\": false},\n  \"post_processor\": null,\n  \"decoder\": "
                    "{\"type\": \"Fuse\"},\n  \"model\": {\"type\": \"WordLevel\", \"vocab\": {");
    at = vocab;
    for (int id = 0; next(&at, token, sizeof token); id++) {
        mbs_buf_puts(b, id ? ", " : "");
        mbs_json_put_string(b, token);
        mbs_buf_printf(b, ": %d", id);
    }
    mbs_buf_puts(b, "}, \"unk_token\": \"[UNK]\"}\n}\n");
}

mbs_status mbs_letters_write(const char *folder, const char *vocab, mbs_err *err) {
    static const char config[] = "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"unk_token\": \"[UNK]\",\n"
                                 "  \"pad_token\": \"[PAD]\",\n  \"mask_token\": \"[MASK]\",\n"
                                 "  \"clean_up_tokenization_spaces\": false\n}\n";
    mbs_buf b = MBS_BUF_INIT;
    tokenizer(vocab, &b);
    mbs_status st = b.failed ? mbs_fail_memory(err, folder, b.len)
                             : mbs_new_folder_put(folder, "tokenizer.json", b.data, b.len, err);
    st = st < 0 ? st : mbs_new_folder_put(folder, "tokenizer_config.json", config, strlen(config), err);
    st = st < 0 ? st : mbs_new_folder_put(folder, "vocab.txt", vocab, strlen(vocab), err);
    mbs_buf_free(&b);
    return st;
}
