#include "tensor.h"

#include <string.h>

#include "text/folder/jsonmap.h"

static const char *bad_shape(void) {
    return "its tensor has not one or two dimensions";
}

/* NULL, or why a tensor is none of ids. */
static const char *read_tensor(const char *value, tk_tensor *t) {
    static const char *const known[] = {"I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"};
    char type[16];
    int64_t dims[2] = {1, 0};
    int64_t offsets[2] = {0, 0};
    int64_t want;
    int n = 0;
    int k = 0;
    t->size = 0;
    if (!tf_json_string(tf_json_member(value, "dtype"), type, sizeof type)) {
        return "a tensor of its header has no type";
    }
    for (int i = 0; i < 8; i++) {
        if (strcmp(type, known[i]) == 0) {
            t->size = 1 << (i / 2);
            t->is_signed = i % 2 == 0;
        }
    }
    if (t->size == 0) {
        return "its tensor does not hold whole numbers";
    }
    for (const char *v = tf_json_item(tf_json_member(value, "shape")); v; v = tf_json_item_next(v)) {
        if (n == 2 || !tf_json_int(v, &dims[n]) || dims[n] < 0) {
            return bad_shape();
        }
        n++;
    }
    for (const char *v = tf_json_item(tf_json_member(value, "data_offsets")); v; v = tf_json_item_next(v)) {
        if (k == 2 || !tf_json_int(v, &offsets[k++])) {
            return "its header is damaged: data_offsets";
        }
    }
    t->rows = n == 2 ? dims[0] : 1;
    t->length = n == 2 ? dims[1] : dims[0];
    t->listed = n == 1;
    t->begin = offsets[0];
    t->end = offsets[1];
    if (n == 0) {
        return bad_shape();
    }
    return k != 2 || t->begin < 0 || t->end < t->begin || __builtin_mul_overflow(t->rows, t->length, &want) ||
                   __builtin_mul_overflow(want, t->size, &want) || want != t->end - t->begin
               ? "its tensor is not as long as its shape says"
               : NULL;
}

const char *tk_tensor_find(const char *header, const char *name, tk_tensor *t) {
    const char *key;
    int found = 0;
    if (name) {
        const char *value = strcmp(name, "__metadata__") == 0 ? NULL : tf_json_member(header, name);
        return value ? read_tensor(value, t) : "has no tensor of that name";
    }
    const char *tokens = tf_json_member(header, "tokens");
    if (tokens) {
        return read_tensor(tokens, t);
    }
    for (const char *v = tf_json_first(header, &key); v; v = tf_json_next(v, &key)) {
        tk_tensor one;
        int beside = strncmp(key, "\"offset\"", 8) == 0 || strncmp(key, "\"padding\"", 9) == 0; /* writer safetensors */
        if (!beside && strncmp(key, "\"__metadata__\"", 14) != 0 && !read_tensor(v, &one)) {
            *t = one;
            found++;
        }
    }
    return found == 1   ? NULL
           : found == 0 ? "has no tensor of whole numbers in one or two dimensions"
                        : "has several tensors of whole numbers: name one with 'tensor'";
}
