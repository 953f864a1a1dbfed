#include "model/start.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/config_impl.h"
#include "model/new_folder.h"

mbs_status mbs_start_add(mbs_classes *names, const char *name, const char *where, int64_t *k, mbs_err *err) {
    for (*k = 0; *k < names->n; ++*k) {
        if (strcmp(names->names[*k], name) == 0) {
            return MBS_OK;
        }
    }
    int control = !name[0];
    for (const char *p = name; *p; p++) {
        control |= (unsigned char)*p < 0x20 || *p == 0x7f;
    }
    if (control || names->n >= MBS_CLASSES_MAX) {
        mbs_fail(err, MBS_ERR_DATA, where,
                 control ? "a label that is empty or has a control character" : "too many labels");
        mbs_err_fix(err, "give every class a name of printable characters, %d at most", MBS_CLASSES_MAX);
        return MBS_ERR_DATA;
    }
    char **grown = mbs_realloc(names->names, ((size_t)names->n + 1) * sizeof *grown);
    char *copy = grown ? mbs_strdup(name) : NULL;
    names->names = grown ? grown : names->names;
    if (!copy) {
        return mbs_fail_memory(err, where, strlen(name) + 1);
    }
    names->names[names->n++] = copy;
    return MBS_OK;
}

mbs_status mbs_start_of_config(const mbs_json *config, int64_t vocab_rows, int64_t *token, mbs_classes *names,
                               mbs_err *err) {
    const mbs_json *start = mbs_json_object(config, MBS_START_KEY, err);
    *token = 0;
    *names = (mbs_classes){0};
    if (err->status < 0 || !start) {
        return err->status;
    }
    const mbs_json *list = mbs_json_array(start, "classes", err);
    *token = mbs_json_int_in(start, "token", 0, 1, vocab_rows > 1 ? vocab_rows - 1 : 1, err);
    mbs_status st = err->status < 0 ? err->status : mbs_json_need(start, "token", err);
    for (size_t i = 0; i < mbs_json_len(list) && st >= 0; i++) {
        const char *name = "";
        int64_t k = 0;
        mbs_json_as_string(mbs_json_at(list, i), &name);
        st = mbs_start_add(names, name, NULL, &k, err);
        if (st >= 0 && k != (int64_t)i) {
            st = mbs_fail(err, MBS_ERR_DATA, NULL, "'" MBS_START_KEY ".classes' has '%.100s' twice", name);
        }
    }
    if (st >= 0 && *token + names->n >= vocab_rows) {
        st = mbs_fail(err, MBS_ERR_DATA, NULL,
                      "'" MBS_START_KEY "': token %" PRId64 " with %" PRId64 " classes, and the table has %" PRId64
                      " rows",
                      *token, names->n, vocab_rows);
    }
    if (st < 0) {
        mbs_err_fix(err, "\"" MBS_START_KEY "\": {\"token\": 256, \"classes\": [\"one\", \"two\"]}, say");
        mbs_classes_free(names);
    }
    return st;
}

mbs_status mbs_start_load(const char *folder, mbs_classes *names, mbs_err *err) {
    char *path = mbs_path_join(folder, "config.json");
    mbs_json *doc = NULL;
    int64_t token = 0;
    *names = (mbs_classes){0};
    mbs_status st = path ? mbs_json_load(path, MBS_JSON_MAX, &doc, err) : mbs_fail_memory(err, folder, strlen(folder));
    st = st < 0 ? st : mbs_start_of_config(doc, INT32_MAX, &token, names, err);
    mbs_json_free(doc);
    mbs_free(path);
    return st;
}

static void put_start(mbs_buf *b, int64_t token, const mbs_classes *names) {
    mbs_buf_printf(b, ",\n  \"" MBS_START_KEY "\": {\n    \"token\": %" PRId64 ",\n    \"classes\": [", token);
    for (int64_t i = 0; i < names->n; i++) {
        mbs_buf_puts(b, i ? ", " : "");
        mbs_json_put_string(b, names->names[i]);
    }
    mbs_buf_puts(b, "]\n  }\n}\n");
}

mbs_status mbs_start_write(const char *folder, int64_t token, const mbs_classes *names, mbs_err *err) {
    char *path = mbs_path_join(folder, "config.json");
    mbs_json *doc = NULL;
    mbs_buf b = MBS_BUF_INIT;
    int n = 0;
    mbs_status st = path ? mbs_json_load(path, MBS_JSON_MAX, &doc, err) : mbs_fail_memory(err, folder, strlen(folder));
    for (mbs_json_iter it = mbs_json_first(doc); st >= 0 && it.key; mbs_json_next(&it)) {
        if (strcmp(it.key, MBS_START_KEY) != 0) {
            mbs_buf_puts(&b, n++ ? ",\n  " : "{\n  ");
            mbs_json_put_string(&b, it.key);
            mbs_buf_puts(&b, ": ");
            mbs_config_put_value(&b, it.value, 1);
        }
    }
    if (st >= 0) {
        put_start(&b, token, names);
        st = b.failed || n == 0 ? mbs_fail_memory(err, path, b.len)
                                : mbs_new_folder_put(folder, "config.json", b.data, b.len, err);
    }
    mbs_json_free(doc);
    mbs_buf_free(&b);
    mbs_free(path);
    return st;
}
