/* check_letters.c - a model of letters and the complement that its config tells: ids of A C G T come from the folder's
 * own vocabulary, or from the table of tokenizers that are code. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/caduceus.h"
#include "model/describe.h"

static const char letters[] = "ACGT";

/* Where an id was found: the letter in either case, the large one counts. */
static void see(const char *token, size_t len, int64_t id, int64_t ids[4]) {
    const char upper = len == 1 ? (char)(token[0] & ~0x20) : '\0';
    const char *at = upper ? strchr(letters, upper) : NULL;
    if (at && (ids[at - letters] < 0 || token[0] == upper)) {
        ids[at - letters] = id;
    }
}

static void see_lines(const char *text, size_t len, int64_t ids[4]) {
    int64_t id = 0;
    for (size_t i = 0; i < len; id++) {
        const char *end = memchr(text + i, '\n', len - i);
        const size_t n = end ? (size_t)(end - (text + i)) : len - i;
        see(text + i, n > 0 && text[i + n - 1] == '\r' ? n - 1 : n, id, ids);
        i += n + 1;
    }
}

static void see_map(const mbs_json *vocab, int64_t ids[4]) {
    for (mbs_json_iter it = mbs_json_first(vocab); mbs_json_kind_of(vocab) == MBS_JSON_OBJECT && it.key;
         mbs_json_next(&it)) {
        int64_t id;
        if (mbs_json_as_int(it.value, &id)) {
            see(it.key, strlen(it.key), id, ids);
        }
    }
}

/* A file of the folder as JSON; NULL where it is not there or none, which is somebody else's to complain about. */
static mbs_json *load(const char *folder, const char *name, mbs_status *st) {
    mbs_json *doc = NULL;
    mbs_err why = {0};
    char *path = mbs_path_join(folder, name);
    *st = path ? MBS_OK : MBS_ERR_MEMORY;
    if (path && mbs_path_exists(path)) {
        mbs_status read = mbs_json_load(path, MBS_JSON_MAX, &doc, &why);
        *st = read == MBS_ERR_MEMORY ? read : MBS_OK;
    }
    mbs_free(path);
    return doc;
}

/* vocab.txt, vocab.json, tokenizer.json: the first that there is; *name is NULL without one. */
static mbs_status of_files(const char *folder, const char **name, int64_t ids[4]) {
    static const char *const json[] = {"vocab.json", "tokenizer.json"};
    mbs_status st = MBS_OK;
    char *text = NULL;
    size_t len = 0;
    mbs_err why = {0};
    char *path = mbs_path_join(folder, "vocab.txt");
    if (path && mbs_path_exists(path) && mbs_path_read(path, MBS_JSON_MAX, &text, &len, &why) >= 0) {
        *name = "vocab.txt";
        see_lines(text, len, ids);
    }
    st = path && why.status != MBS_ERR_MEMORY ? MBS_OK : MBS_ERR_MEMORY;
    for (int i = 0; i < 2 && !*name && st >= 0; i++) {
        mbs_json *doc = load(folder, json[i], &st);
        if (doc) {
            *name = json[i];
            see_map(i == 0 ? doc : mbs_json_get(mbs_json_get(doc, "model"), "vocab"), ids);
        }
        mbs_json_free(doc);
    }
    mbs_free(text);
    mbs_free(path);
    return st;
}

mbs_status mbs_model_folder_preset(const char *folder, const mbs_preset **out, mbs_err *err) {
    const char *class_name = NULL;
    mbs_status st;
    *out = NULL;
    mbs_json *doc = load(folder, "tokenizer_config.json", &st);
    if (mbs_json_as_string(mbs_json_get(doc, "tokenizer_class"), &class_name)) {
        *out = mbs_preset_of_class(class_name);
    }
    mbs_json_free(doc);
    return st < 0 ? mbs_fail_memory(err, folder, 0) : MBS_OK;
}

static int64_t complement_of(const mbs_json *map, int64_t id) {
    char key[24];
    int64_t to = id;
    snprintf(key, sizeof key, "%" PRId64, id);
    return mbs_json_as_int(mbs_json_get(map, key), &to) ? to : id;
}

mbs_status mbs_model_check_letters(const char *folder, mbs_err *err) {
    int64_t ids[4] = {-1, -1, -1, -1};
    const char *where = NULL;
    const mbs_preset *preset = NULL;
    mbs_status st = of_files(folder, &where, ids);
    if (st < 0) {
        return mbs_fail_memory(err, folder, 0);
    }
    if (!where) {
        st = mbs_model_folder_preset(folder, &preset, err);
        where = preset ? preset->classes + 1 : "";
        see_lines(preset ? preset->tokens : "", preset ? strlen(preset->tokens) : 0, ids);
    }
    mbs_json *doc = NULL;
    if (st >= 0) {
        doc = load(folder, "config.json", &st);
        st = st < 0 ? mbs_fail_memory(err, folder, 0) : MBS_OK;
    }
    const mbs_json *map = mbs_json_get(doc, "complement_map");
    for (int i = 0; i < 4 && st >= 0 && mbs_json_len(map) > 0; i++) {
        const int64_t to = complement_of(map, ids[i]);
        if (ids[0] >= 0 && ids[1] >= 0 && ids[2] >= 0 && ids[3] >= 0 && to != ids[3 - i]) {
            st = mbs_fail(err, MBS_ERR_DATA, folder,
                          "config.json: complement_map takes %c, id %" PRId64 ", to %" PRId64 ", but %c has id %" PRId64
                          " in the vocabulary of %.*s",
                          letters[i], ids[i], to, letters[3 - i], ids[3 - i], (int)strcspn(where, " "), where);
            mbs_err_fix(err, "take config.json and the tokenizer's files of one and the same model");
        }
    }
    mbs_json_free(doc);
    return st;
}
