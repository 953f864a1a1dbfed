/* What a model's folder says about its letters: vocab.txt, vocab.json, tokenizer.json, config.json. */
#include <stdio.h>
#include <string.h>

#include "jsonmap.h"
#include "vocab.h"

#define TOKEN_MAX 64

static const char *model_file(const mbs_host *host, const char *name, size_t *n) {
    const char *data = NULL;
    return host->model_file(host, name, &data, n) == MBS_OK ? data : NULL;
}

/* {"A": 7, ...}: the tokens in the order of their ids, one a line. */
static mbs_status from_map(bs_vocab *b, const mbs_host *host, const char *what, const char *map) {
    const char *key;
    int64_t size = 0;
    int64_t id;
    for (const char *v = bs_json_first(map, &key); v; v = bs_json_next(v, &key)) {
        if (!bs_json_int(v, &id) || id < 0 || id >= BS_SIZE_MAX) {
            return host->fail(host, MBS_ERR_DATA, "vocab", "%s: an id that is not 0 to %d", what, BS_SIZE_MAX - 1);
        }
        size = id + 1 > size ? id + 1 : size;
    }
    if (size == 0) {
        return MBS_END;
    }
    char *slots = host->alloc(host, (size_t)size * TOKEN_MAX);
    char *text = host->alloc(host, (size_t)size * (TOKEN_MAX + 1));
    if (!slots || !text) {
        host->free(host, slots);
        host->free(host, text);
        return host->fail(host, MBS_ERR_MEMORY, "vocab", "no memory for %s", what);
    }
    memset(slots, 0, (size_t)size * TOKEN_MAX);
    for (const char *v = bs_json_first(map, &key); v; v = bs_json_next(v, &key)) {
        char token[TOKEN_MAX];
        if (bs_json_int(v, &id) && id >= 0 && id < size && bs_json_string(key, token, sizeof(token)) &&
            token[0] != '\0' && !strpbrk(token, "\r\n")) {
            memcpy(slots + id * TOKEN_MAX, token, strlen(token) + 1);
        }
    }
    size_t len = 0;
    for (int64_t i = 0; i < size; i++) {
        const char *token = slots + i * TOKEN_MAX;
        int wrote = *token ? snprintf(text + len, TOKEN_MAX + 1, "%s\n", token)
                           : snprintf(text + len, TOKEN_MAX + 1, "[id %lld]\n", (long long)i); /* a hole, or too long */
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    mbs_status st = bs_vocab_lines(b, host, what, text, len);
    host->free(host, slots);
    host->free(host, text);
    return st;
}

mbs_status bs_folder_vocab(bs_vocab *b, const mbs_host *host) {
    size_t n = 0;
    const char *text = model_file(host, "vocab.txt", &n);
    if (text && n > 0) {
        return bs_vocab_lines(b, host, "vocab.txt", text, n);
    }
    text = model_file(host, "vocab.json", &n);
    mbs_status st = text ? from_map(b, host, "vocab.json", text) : MBS_END;
    if (st == MBS_END && (text = model_file(host, "tokenizer.json", &n)) != NULL) {
        st = from_map(b, host, "tokenizer.json", bs_json_member(bs_json_member(text, "model"), "vocab"));
    }
    return st;
}

int bs_folder_has_vocab(const mbs_host *host) {
    static const char *const names[] = {"vocab.txt", "vocab.json", "tokenizer.json"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (model_file(host, names[i], &n)) {
            return 1;
        }
    }
    return 0;
}

mbs_status bs_folder_no_special(const mbs_host *host) {
    static const char *const keys[] = {"add_bos_token", "add_eos_token"};
    size_t n = 0;
    const char *text = model_file(host, "tokenizer_config.json", &n);
    for (size_t i = 0; text && i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = bs_json_start(bs_json_member(text, keys[i]));
        if (value && strncmp(value, "true", 4) == 0) {
            mbs_status st = host->fail(host, MBS_ERR_CONFIG, "special_tokens",
                                       "tokenizer_config.json puts tokens around a record (%s), which this version "
                                       "does not feed",
                                       keys[i]);
            host->hint(host, "special_tokens: none runs without them, with other numbers than the model's tokenizer");
            return st;
        }
    }
    return MBS_OK;
}

mbs_status bs_folder_complement(bs_vocab *b, const mbs_host *host) {
    size_t n = 0;
    const char *map = bs_json_member(model_file(host, "config.json", &n), "complement_map");
    const char *key;
    if (!bs_json_first(map, &key)) {
        return MBS_OK; /* the letters pair as they do everywhere */
    }
    for (int32_t i = 0; i < b->v.size; i++) {
        b->complement[i] = i;
    }
    for (const char *v = bs_json_first(map, &key); v; v = bs_json_next(v, &key)) {
        char name[16];
        int64_t from;
        int64_t to;
        if (!bs_json_string(key, name, sizeof(name)) || !bs_json_int(name, &from) || !bs_json_int(v, &to) || from < 0 ||
            to < 0 || (from < b->v.size) != (to < b->v.size)) {
            return host->fail(host, MBS_ERR_DATA, "vocab", "config.json: complement_map is not a map of ids");
        }
        if (from < b->v.size) {
            b->complement[from] = (int32_t)to;
        }
    }
    for (int32_t i = 0; i < b->v.size; i++) {
        if (b->complement[b->complement[i]] != i) {
            return host->fail(host, MBS_ERR_DATA, "vocab",
                              "config.json: complement_map takes %d to %d, and %d to %d: not back", i, b->complement[i],
                              b->complement[i], b->complement[b->complement[i]]);
        }
    }
    if (b->complement[b->letter_id[0]] != b->letter_id[3] || b->complement[b->letter_id[1]] != b->letter_id[2]) {
        mbs_status st =
            host->fail(host, MBS_ERR_DATA, "vocab",
                       "config.json: complement_map does not pair A with T and C with G of vocabulary %s", b->v.name);
        host->hint(host, "the model has another vocabulary: name it with vocab");
        return st;
    }
    return MBS_OK;
}
