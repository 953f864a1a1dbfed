/*
 * json.h - JSON as models come with it: config.json, the index of sharded weights, tokenizer files.
 *
 * Strict JSON (json-c lets pass keys in single quotes and "1."), except that NaN, Infinity and -Infinity are numbers,
 * as Python writes them. Of a key given twice the last counts. `null` counts as not there, as None does in a config.
 * All values belong to the document and live until its root is freed; a `const mbs_json *` may be NULL anywhere and
 * then behaves as null.
 *
 *   mbs_json *doc;
 *   if (mbs_json_load("config.json", MBS_JSON_MAX, &doc, err)) return err->status;
 *   int64_t d = mbs_json_int(doc, "d_model", 0, err);
 *   double eps = mbs_json_double(doc, "layer_norm_epsilon", 1e-5, err);
 *   if (err->status) ...        one check behind many getters: the first error stays
 */
#ifndef MBS_BASE_JSON_H
#define MBS_BASE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mbs_buf;
typedef struct mbs_json mbs_json;

#define MBS_JSON_MAX ((size_t)64 << 20) /* bytes; a cap for files that nobody expects to be large */
#define MBS_JSON_DEPTH 64

typedef enum mbs_json_kind {
    MBS_JSON_NULL = 0,
    MBS_JSON_BOOL,
    MBS_JSON_INT,
    MBS_JSON_DOUBLE,
    MBS_JSON_STRING,
    MBS_JSON_ARRAY,
    MBS_JSON_OBJECT
} mbs_json_kind;

/* `name` is what messages call the text: "config.json:3:17: not valid JSON: ...". MBS_ERR_DATA for a text that is not
 * JSON, too deep, or null as a whole. */
mbs_status mbs_json_parse(const char *name, const char *text, size_t len, mbs_json **root, mbs_err *err);
/* Reads and parses a file of at most `limit` bytes. */
mbs_status mbs_json_load(const char *path, size_t limit, mbs_json **root, mbs_err *err);
void mbs_json_free(mbs_json *root);

/* Looking at a value. */
mbs_json_kind mbs_json_kind_of(const mbs_json *v);
size_t mbs_json_len(const mbs_json *v);                           /* of an array or object, else 0 */
const mbs_json *mbs_json_at(const mbs_json *v, size_t i);         /* of an array; NULL past its end */
const mbs_json *mbs_json_get(const mbs_json *v, const char *key); /* of an object; NULL where missing or null */
int mbs_json_has(const mbs_json *v, const char *key);             /* also true for a null */
/* 1 and *out, or 0 (and *out untouched) where the value is not such a one. A double without a fraction is an integer
 * too, an integer is a double too. A string is borrowed; one with a NUL in it is refused. */
int mbs_json_as_int(const mbs_json *v, int64_t *out);
int mbs_json_as_double(const mbs_json *v, double *out);
int mbs_json_as_bool(const mbs_json *v, int *out);
int mbs_json_as_string(const mbs_json *v, const char **out);

/* Members of an object by key: the default where the key is missing or null, and MBS_ERR_DATA in err ("'d_model': an
 * integer is wanted, not a string") with the default where the type is wrong. */
int64_t mbs_json_int(const mbs_json *obj, const char *key, int64_t otherwise, mbs_err *err);
/* As above, and an error outside min..max. The default is not checked. */
int64_t mbs_json_int_in(const mbs_json *obj, const char *key, int64_t otherwise, int64_t min, int64_t max,
                        mbs_err *err);
/* As mbs_json_int; the string "auto" gives `automatic`. */
int64_t mbs_json_int_auto(const mbs_json *obj, const char *key, int64_t otherwise, int64_t automatic, mbs_err *err);
double mbs_json_double(const mbs_json *obj, const char *key, double otherwise, mbs_err *err);
int mbs_json_bool(const mbs_json *obj, const char *key, int otherwise, mbs_err *err);
const char *mbs_json_string(const mbs_json *obj, const char *key, const char *otherwise, mbs_err *err);
const mbs_json *mbs_json_array(const mbs_json *obj, const char *key, mbs_err *err);  /* NULL: not there */
const mbs_json *mbs_json_object(const mbs_json *obj, const char *key, mbs_err *err); /* NULL: not there */
/* MBS_ERR_DATA "'vocab_size' is missing" unless the key is there and not null. */
mbs_status mbs_json_need(const mbs_json *obj, const char *key, mbs_err *err);

/* Members in the order of the text:
 *   for (mbs_json_iter it = mbs_json_first(obj); it.key; mbs_json_next(&it)) */
typedef struct mbs_json_iter {
    const char *key; /* NULL behind the last */
    const mbs_json *value;
    const void *at;
} mbs_json_iter;
mbs_json_iter mbs_json_first(const mbs_json *obj);
void mbs_json_next(mbs_json_iter *it);

/* Writing: a quoted string (bytes that are not UTF-8 become U+FFFD), and a number in the fewest digits that read back
 * as the same double (NaN and infinities as null, which every reader takes). */
void mbs_json_put_string(struct mbs_buf *b, const char *s);
void mbs_json_put_double(struct mbs_buf *b, double v);

#endif
