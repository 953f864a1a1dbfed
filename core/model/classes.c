#include "model/classes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/config_impl.h"
#include "model/hyenadna.h"
#include "model/mixer.h"
#include "model/new_folder.h"

void mbs_classes_free(mbs_classes *c) {
    for (int64_t i = 0; c->names && i < c->n; i++) {
        mbs_free(c->names[i]);
    }
    mbs_free(c->names);
    *c = (mbs_classes){0};
}

static int has_control(const char *s) {
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            return 1;
        }
    }
    return 0;
}

/* Takes over a copy of `name` as class k, which has none yet. */
static mbs_status take_name(mbs_classes *c, int64_t k, const char *name, const char *where, mbs_err *err) {
    if (!name[0] || has_control(name)) {
        mbs_fail(err, MBS_ERR_DATA, where, "'id2label': class %" PRId64 " has %s", k,
                 name[0] ? "a control character in its name" : "an empty name");
        mbs_err_fix(err, "give every class a name of printable characters");
        return MBS_ERR_DATA;
    }
    for (int64_t i = 0; i < c->n; i++) {
        if (c->names[i] && strcmp(c->names[i], name) == 0) {
            mbs_fail(err, MBS_ERR_DATA, where, "'id2label': classes %" PRId64 " and %" PRId64 " are both '%.100s'",
                     i < k ? i : k, i < k ? k : i, name);
            mbs_err_fix(err, "give every class a name of its own");
            return MBS_ERR_DATA;
        }
    }
    c->names[k] = mbs_strdup(name);
    return c->names[k] ? MBS_OK : mbs_fail_memory(err, where, strlen(name) + 1);
}

static mbs_status reserve(mbs_classes *c, int64_t n, const char *where, mbs_err *err) {
    c->names = mbs_calloc((size_t)n, sizeof *c->names);
    c->n = c->names ? n : 0;
    return c->names ? MBS_OK : mbs_fail_memory(err, where, (size_t)n * sizeof *c->names);
}

/* The number that a key of id2label is, -1 where it is none. */
static int64_t number_of(const char *text) {
    int64_t v = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 6 || (text[0] == '0' && n > 1)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        v = v * 10 + (text[i] - '0');
    }
    return v;
}

static mbs_status read_names(const mbs_json *map, const char *where, mbs_classes *out, mbs_err *err) {
    int64_t n = (int64_t)mbs_json_len(map);
    mbs_status st = reserve(out, n, where, err);
    for (mbs_json_iter it = mbs_json_first(map); it.key && st >= 0; mbs_json_next(&it)) {
        int64_t k = number_of(it.key);
        const char *name;
        if (k < 0 || k >= n) {
            st = mbs_fail(err, MBS_ERR_DATA, where,
                          "'id2label': the key '%.40s' is not one of \"0\" to \"%" PRId64 "\"", it.key, n - 1);
            mbs_err_fix(err, "number %" PRId64 " classes from 0 on, without holes", n);
        } else if (!mbs_json_as_string(it.value, &name)) {
            st = mbs_fail(err, MBS_ERR_DATA, where, "'id2label': class %" PRId64 " has a name that is not text", k);
        } else {
            st = take_name(out, k, name, where, err);
        }
    }
    return st;
}

/* Where label2id is there it has to say the same; transformers writes both. */
static mbs_status check_inverse(const mbs_json *inverse, const mbs_classes *c, const char *where, mbs_err *err) {
    if (!inverse || (int64_t)mbs_json_len(inverse) != c->n) {
        return inverse ? mbs_fail(err, MBS_ERR_DATA, where, "'label2id' has %zu classes and 'id2label' %" PRId64,
                                  mbs_json_len(inverse), c->n)
                       : MBS_OK;
    }
    for (int64_t i = 0; i < c->n; i++) {
        int64_t k = -1;
        if (!mbs_json_as_int(mbs_json_get(inverse, c->names[i]), &k) || k != i) {
            mbs_fail(err, MBS_ERR_DATA, where,
                     "'label2id' and 'id2label' do not agree about class %" PRId64 ", '%.100s'", i, c->names[i]);
            mbs_err_fix(err, "delete 'label2id', or mend it");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

mbs_status mbs_classes_of_config(const mbs_json *config, const char *where, mbs_classes *out, mbs_err *err) {
    mbs_err local = {0}; /* the getters do not know the file's name */
    *out = (mbs_classes){0};
    int64_t n = mbs_json_int_in(config, "num_labels", 0, 1, MBS_CLASSES_MAX, &local);
    const mbs_json *names = mbs_json_object(config, "id2label", &local);
    const mbs_json *inverse = mbs_json_object(config, "label2id", &local);
    if (local.status < 0) {
        mbs_fail(err, local.status, where, "%s", local.what);
        mbs_err_fix(err, "%s", local.fix);
        return local.status;
    }
    if (mbs_json_len(names) == 0) {
        out->n = n;
        return MBS_OK;
    }
    mbs_status st = MBS_OK;
    if (mbs_json_len(names) > MBS_CLASSES_MAX || (n && n != (int64_t)mbs_json_len(names))) {
        st = mbs_fail(err, MBS_ERR_DATA, where, "'id2label' names %zu classes, and %s %" PRId64, mbs_json_len(names),
                      n ? "'num_labels' says" : "there may be", n ? n : (int64_t)MBS_CLASSES_MAX);
    }
    st = st < 0 ? st : read_names(names, where, out, err);
    st = st < 0 ? st : check_inverse(inverse, out, where, err);
    if (st < 0) {
        mbs_classes_free(out);
    }
    return st;
}

mbs_status mbs_classes_load(const char *folder, mbs_classes *out, mbs_err *err) {
    char *path = mbs_path_join(folder, "config.json");
    mbs_json *doc = NULL;
    *out = (mbs_classes){0};
    if (!path) {
        return mbs_fail_memory(err, folder, strlen(folder));
    }
    mbs_status st = mbs_json_load(path, MBS_JSON_MAX, &doc, err);
    if (st >= 0) {
        st = mbs_classes_of_config(doc, path, out, err);
        mbs_json_free(doc);
    }
    mbs_free(path);
    return st;
}

mbs_status mbs_classes_new(const char *const *names, int64_t n, const char *where, mbs_classes *out, mbs_err *err) {
    *out = (mbs_classes){0};
    if (n < 2 || n > MBS_CLASSES_MAX) {
        mbs_fail(err, MBS_ERR_DATA, where, "%" PRId64 " class%s: a classifier has 2 to %d", n, n == 1 ? "" : "es",
                 MBS_CLASSES_MAX);
        mbs_err_fix(err, "give sequences of at least two classes");
        return MBS_ERR_DATA;
    }
    mbs_status st = reserve(out, n, where, err);
    for (int64_t i = 0; i < n && st >= 0; i++) {
        st = take_name(out, i, names[i], where, err);
    }
    if (st < 0) {
        mbs_classes_free(out);
    }
    return st;
}

int64_t mbs_classes_find(const mbs_classes *c, const char *label) {
    for (int64_t i = 0; c->names && i < c->n; i++) {
        if (strcmp(c->names[i], label) == 0) {
            return i;
        }
    }
    int64_t k = number_of(label);
    return k < c->n ? k : -1;
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static void indent(mbs_buf *b, int depth) {
    mbs_buf_putc(b, '\n');
    for (int i = 0; i < depth; i++) {
        mbs_buf_puts(b, "  ");
    }
}

static void put_list(mbs_buf *b, const mbs_json *v, int depth) {
    mbs_buf_putc(b, '[');
    for (size_t i = 0; i < mbs_json_len(v); i++) {
        mbs_buf_puts(b, i ? ", " : "");
        mbs_config_put_value(b, mbs_json_at(v, i), depth + 1);
    }
    mbs_buf_putc(b, ']');
}

static void put_object(mbs_buf *b, const mbs_json *v, int depth) {
    int n = 0;
    mbs_buf_putc(b, '{');
    for (mbs_json_iter it = mbs_json_first(v); it.key; mbs_json_next(&it)) {
        mbs_buf_puts(b, n++ ? "," : "");
        indent(b, depth + 1);
        mbs_json_put_string(b, it.key);
        mbs_buf_puts(b, ": ");
        mbs_config_put_value(b, it.value, depth + 1);
    }
    if (n) {
        indent(b, depth);
    }
    mbs_buf_putc(b, '}');
}

void mbs_config_put_value(mbs_buf *b, const mbs_json *v, int depth) {
    int truth = 0;
    int64_t whole = 0;
    double number = 0;
    const char *text = "";
    switch (mbs_json_kind_of(v)) {
    case MBS_JSON_BOOL:
        mbs_json_as_bool(v, &truth);
        mbs_buf_puts(b, truth ? "true" : "false");
        break;
    case MBS_JSON_INT:
        mbs_json_as_int(v, &whole);
        mbs_buf_printf(b, "%" PRId64, whole);
        break;
    case MBS_JSON_DOUBLE:
        mbs_json_as_double(v, &number);
        mbs_json_put_double(b, number);
        break;
    case MBS_JSON_STRING:
        mbs_json_as_string(v, &text);
        mbs_json_put_string(b, text);
        break;
    case MBS_JSON_ARRAY:
        put_list(b, v, depth);
        break;
    case MBS_JSON_OBJECT:
        put_object(b, v, depth);
        break;
    case MBS_JSON_NULL:
    default:
        mbs_buf_puts(b, "null");
    }
}

static int is_ours(const char *key) {
    static const char *const ours[] = {"architectures", "num_labels", "id2label", "label2id", "mambaseq_pool"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcmp(key, ours[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* "MambaForCausalLM" -> "MambaForSequenceClassification". */
static void put_architecture(mbs_buf *b, const mbs_json *config) {
    const char *type = "mamba";
    mbs_json_as_string(mbs_json_get(config, "model_type"), &type);
    const mbs_mixer *mixer = mbs_mixer_of_type(type);
    const char *name = mixer && mixer->architecture                 ? mixer->architecture
                       : strcmp(type, MBS_MODEL_TYPE_HYENADNA) == 0 ? "HyenaDNAForCausalLM"
                       : strcmp(type, "caduceus") == 0              ? "CaduceusForMaskedLM"
                                                                    : "MambaForCausalLM";
    const char *end = strstr(name, "For");
    mbs_buf_printf(b, "\n  \"architectures\": [\"%.*sForSequenceClassification\"]",
                   end ? (int)(end - name) : (int)strlen(name), name);
}

static void put_head(mbs_buf *b, const mbs_classes *c, mbs_pooling pool) {
    mbs_buf_printf(b, ",\n  \"num_labels\": %" PRId64 ",\n  \"id2label\": {", c->n);
    for (int64_t i = 0; i < c->n; i++) {
        mbs_buf_printf(b, "%s\n    \"%" PRId64 "\": ", i ? "," : "", i);
        mbs_json_put_string(b, c->names[i]);
    }
    mbs_buf_puts(b, "\n  },\n  \"label2id\": {");
    for (int64_t i = 0; i < c->n; i++) {
        mbs_buf_puts(b, i ? ",\n    " : "\n    ");
        mbs_json_put_string(b, c->names[i]);
        mbs_buf_printf(b, ": %" PRId64, i);
    }
    mbs_buf_printf(b, "\n  },\n  \"mambaseq_pool\": \"%s\"\n}\n", mbs_pooling_name(pool));
}

mbs_status mbs_classes_write(const char *folder, const mbs_classes *c, mbs_pooling pool, mbs_err *err) {
    char *path = mbs_path_join(folder, "config.json");
    mbs_json *doc = NULL;
    mbs_buf b = MBS_BUF_INIT;
    mbs_status st = path ? mbs_json_load(path, MBS_JSON_MAX, &doc, err) : mbs_fail_memory(err, folder, strlen(folder));
    if (st >= 0 && mbs_json_kind_of(doc) != MBS_JSON_OBJECT) {
        st = mbs_fail(err, MBS_ERR_DATA, path, "not a model's config: not a JSON object");
    }
    if (st >= 0) {
        mbs_buf_putc(&b, '{');
        put_architecture(&b, doc);
        for (mbs_json_iter it = mbs_json_first(doc); it.key; mbs_json_next(&it)) {
            if (!is_ours(it.key)) {
                mbs_buf_puts(&b, ",\n  ");
                mbs_json_put_string(&b, it.key);
                mbs_buf_puts(&b, ": ");
                mbs_config_put_value(&b, it.value, 1);
            }
        }
        put_head(&b, c, pool);
        st = b.failed ? mbs_fail_memory(err, path, b.len)
                      : mbs_new_folder_put(folder, "config.json", b.data, b.len, err);
    }
    mbs_json_free(doc);
    mbs_buf_free(&b);
    mbs_free(path);
    return st;
}
