/* describe_vocab.c - which tokenizer file a model folder has, and what is in it. Codecs read such files for themselves
 * and know more of them; this only counts, so that a user sees what there is. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "model/describe.h"

#define SHOWN 16 /* tokens named at most */

typedef struct words {
    char *out;
    size_t size;
    size_t at;
    int n;
} words;

static void put(words *w, const char *text) {
    size_t len = strlen(text);
    if (len < w->size - w->at) {
        memcpy(w->out + w->at, text, len + 1);
        w->at += len;
    }
}

static void put_token(words *w, const char *token, size_t len) {
    char shown[64];
    if (w->n++ < SHOWN) {
        (void)mbs_text_escape(shown, sizeof shown, token, len < 12 ? len : 12);
        put(w, " ");
        put(w, shown);
    }
}

static void put_end(words *w, size_t total) {
    put(w, total > SHOWN ? " ..." : "");
}

static void put_count(words *w, const char *name, size_t total) {
    char text[96];
    snprintf(text, sizeof text, "%s, %zu token%s:", name, total, total == 1 ? "" : "s");
    put(w, text);
}

/* A token a line. */
static mbs_status of_lines(const char *path, words *w, mbs_err *err) {
    char *data = NULL;
    size_t len = 0;
    mbs_status st = mbs_path_read(path, MBS_JSON_MAX, &data, &len, err);
    if (st < 0) {
        return st;
    }
    while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r')) {
        len--;
    }
    size_t total = len > 0;
    for (size_t i = 0; i < len; i++) {
        total += data[i] == '\n';
    }
    put_count(w, "vocab.txt", total);
    for (size_t i = 0; i < len && w->n < SHOWN;) {
        const char *end = memchr(data + i, '\n', len - i);
        size_t n = end ? (size_t)(end - data) - i : len - i;
        put_token(w, data + i, n > 0 && data[i + n - 1] == '\r' ? n - 1 : n);
        i += n + 1;
    }
    put_end(w, total);
    mbs_free(data);
    return MBS_OK;
}

/* An object of tokens and their ids, or (unigram models) a list of pairs, which is only counted. */
static mbs_status of_map(const char *path, const char *name, words *w) {
    mbs_json *doc = NULL;
    mbs_err why;
    mbs_err_clear(&why);
    mbs_status st = mbs_json_load(path, MBS_JSON_MAX, &doc, &why);
    if (st == MBS_ERR_MEMORY) {
        return st;
    }
    const mbs_json *vocab = doc;
    if (strcmp(name, "tokenizer.json") == 0) {
        vocab = mbs_json_get(mbs_json_get(doc, "model"), "vocab");
    }
    size_t total = mbs_json_len(vocab);
    if (total == 0) {
        put(w, name);
        put(w, doc ? ", which names no tokens" : ", which is not JSON");
        mbs_json_free(doc);
        return MBS_OK;
    }
    put_count(w, name, total);
    /* By id where they are few and dense, which those of letters are. */
    for (int64_t id = 0; id < SHOWN && mbs_json_kind_of(vocab) == MBS_JSON_OBJECT; id++) {
        for (mbs_json_iter it = mbs_json_first(vocab); it.key; mbs_json_next(&it)) {
            int64_t mine = -1;
            if (mbs_json_as_int(it.value, &mine) && mine == id) {
                put_token(w, it.key, strlen(it.key));
                break;
            }
        }
    }
    put_end(w, total);
    mbs_json_free(doc);
    return MBS_OK;
}

mbs_status mbs_model_describe_vocab(const char *folder, char *out, size_t size, mbs_err *err) {
    static const char *const names[] = {"vocab.txt", "vocab.json", "tokenizer.json"};
    words w = {out, size, 0, 0};
    mbs_status st = MBS_OK;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names && w.at == 0 && st >= 0; i++) {
        char *path = mbs_path_join(folder, names[i]);
        if (!path) {
            return mbs_fail_memory(err, folder, strlen(folder));
        }
        if (mbs_path_exists(path)) {
            st = i == 0 ? of_lines(path, &w, err) : of_map(path, names[i], &w);
            st = st == MBS_ERR_MEMORY ? mbs_fail_memory(err, path, 0) : st;
        }
        mbs_free(path);
    }
    if (st >= 0 && w.at == 0) {
        put(&w, "none in the folder");
    }
    return st;
}
