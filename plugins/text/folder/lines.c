#include "text/folder/lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "text/folder/jsonmap.h"

#define FILE_MAX_BYTES (16 * 1024 * 1024)
#define TOKEN_MAX 64

static mbs_status no_memory(const mbs_host *host) {
    return host->fail(host, MBS_ERR_MEMORY, "vocab", "no memory for a vocabulary");
}

void tf_lines_free(tf_lines *l, const mbs_host *host) {
    host->free(host, l->text);
    host->free(host, l->tokens);
    l->text = NULL;
    l->tokens = NULL;
}

static const char *model_file(const mbs_host *host, const char *name, size_t *n) {
    const char *data = NULL;
    return host->model_file(host, name, &data, n) == MBS_OK ? data : NULL;
}

mbs_status tf_folder_json(const mbs_host *host, const char *name, const char **text) {
    size_t n = 0;
    *text = model_file(host, name, &n);
    const char *bad = *text ? tf_json_damage(*text, n) : NULL;
    if (!bad) {
        return MBS_OK;
    }
    int line = 1;
    for (const char *p = *text; p < bad; p++) {
        line += *p == '\n';
    }
    mbs_status st =
        host->fail(host, MBS_ERR_DATA, "vocab", "%s of the model's folder, line %d: %s", name, line,
                   bad == *text + n ? "damaged: it ends before its JSON does" : "damaged: no JSON from here");
    host->hint(host, "fetch the model's folder again");
    return st;
}

mbs_status tf_lines_split(tf_lines *l, const mbs_host *host, const char *what, const char *text, size_t n) {
    size_t name = strlen(what) + 1;
    l->text = host->alloc(host, name + n + 1);
    if (!l->text) {
        return no_memory(host);
    }
    memcpy(l->text, what, name);
    char *at = l->text + name;
    memcpy(at, text, n);
    at[n] = '\0';
    if (strlen(at) != n) {
        return host->fail(host, MBS_ERR_DATA, "vocab", "%s: a NUL byte: not a list of tokens", what);
    }
    while (n > 0 && (at[n - 1] == '\n' || at[n - 1] == '\r')) {
        at[--n] = '\0';
    }
    int32_t lines = 1;
    for (size_t i = 0; i < n; i++) {
        lines += at[i] == '\n';
        if (lines > l->most) {
            return host->fail(host, MBS_ERR_DATA, "vocab", "%s: more than %d tokens", what, l->most);
        }
    }
    l->tokens = host->alloc(host, (size_t)lines * sizeof(*l->tokens));
    if (!l->tokens) {
        return no_memory(host);
    }
    for (int32_t i = 0; i < lines; i++) {
        l->tokens[i] = at;
        char *end = at + strcspn(at, "\n");
        int last = *end == '\0';
        *end = '\0';
        if (end > at && end[-1] == '\r') {
            end[-1] = '\0';
        }
        if (*at == '\0') {
            return host->fail(host, MBS_ERR_DATA, "vocab", "%s:%d: an empty token", what, i + 1);
        }
        at = last ? end : end + 1;
    }
    l->n = lines;
    return MBS_OK;
}

int32_t tf_lines_find(const tf_lines *l, const char *const *names) {
    for (; *names; names++) {
        for (int32_t i = 0; i < l->n; i++) {
            if (strcmp(l->tokens[i], *names) == 0) {
                return i;
            }
        }
    }
    return -1;
}

void tf_lines_special(const tf_lines *l, mbs_vocab *v) {
    static const char *const unk[] = {"[UNK]", "<unk>", "<UNK>", NULL};
    static const char *const bos[] = {"[BOS]", "<bos>", "<s>", NULL};
    static const char *const eos[] = {"[EOS]", "<eos>", "</s>", "[SEP]", NULL};
    static const char *const mask[] = {"[MASK]", "<mask>", NULL};
    v->unk = tf_lines_find(l, unk);
    v->bos = tf_lines_find(l, bos);
    v->eos = tf_lines_find(l, eos);
    v->mask = tf_lines_find(l, mask);
}

/* {"A": 7, ...}: the tokens in the order of their ids, one a line. */
static mbs_status from_map(tf_lines *l, const mbs_host *host, const char *what, const char *map) {
    const char *key;
    int64_t size = 0;
    int64_t id;
    for (const char *v = tf_json_first(map, &key); v; v = tf_json_next(v, &key)) {
        if (!tf_json_int(v, &id) || id < 0 || id >= l->most) {
            return host->fail(host, MBS_ERR_DATA, "vocab", "%s: an id that is not 0 to %d", what, l->most - 1);
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
    for (const char *v = tf_json_first(map, &key); v; v = tf_json_next(v, &key)) {
        char token[TOKEN_MAX];
        if (tf_json_int(v, &id) && id >= 0 && id < size && tf_json_string(key, token, sizeof(token)) &&
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
    mbs_status st = tf_lines_split(l, host, what, text, len);
    host->free(host, slots);
    host->free(host, text);
    return st;
}

mbs_status tf_lines_folder(tf_lines *l, const mbs_host *host) {
    size_t n = 0;
    const char *text = model_file(host, "vocab.txt", &n);
    if (text && n > 0) {
        return tf_lines_split(l, host, "vocab.txt", text, n);
    }
    if (text) {
        return host->fail(host, MBS_ERR_DATA, "vocab", "vocab.txt of the model's folder: empty");
    }
    mbs_status st = tf_folder_json(host, "vocab.json", &text);
    if (st == MBS_OK) {
        st = text ? from_map(l, host, "vocab.json", text) : MBS_END;
    }
    if (st == MBS_END) {
        st = tf_folder_json(host, "tokenizer.json", &text);
        st = st != MBS_OK ? st
             : text       ? from_map(l, host, "tokenizer.json", tf_json_member(tf_json_member(text, "model"), "vocab"))
                          : MBS_END;
    }
    return st;
}

int tf_folder_has_vocab(const mbs_host *host) {
    static const char *const names[] = {"vocab.txt", "vocab.json", "tokenizer.json"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (model_file(host, names[i], &n)) {
            return 1;
        }
    }
    return 0;
}

mbs_status tf_lines_file(tf_lines *l, const mbs_host *host, const char *path, const char *words_of) {
    char words[96];
    FILE *f = fopen(path, "rbe");
    if (!f) {
        mbs_status st = host->fail(host, MBS_ERR_NOINPUT, "vocab", "%s: cannot be opened: %s", path,
                                   strerror_r(errno, words, sizeof(words)));
        host->hint(host, "vocab is %s, or a file with one token a line", words_of);
        return st;
    }
    char *text = host->alloc(host, FILE_MAX_BYTES + 1);
    mbs_status st = text ? MBS_OK : no_memory(host);
    size_t n = 0;
    if (st == MBS_OK) {
        n = fread(text, 1, FILE_MAX_BYTES + 1, f);
        if (ferror(f)) {
            st = host->fail(host, MBS_ERR_IO, "vocab", "%s: cannot be read: %s", path,
                            strerror_r(errno, words, sizeof(words)));
        } else if (n > FILE_MAX_BYTES || n == 0) {
            st = host->fail(host, MBS_ERR_DATA, "vocab", n ? "%s: longer than a vocabulary may be" : "%s: empty file",
                            path);
        }
    }
    (void)fclose(f);
    if (st == MBS_OK) {
        st = tf_lines_split(l, host, path, text, n);
    }
    host->free(host, text);
    return st;
}
