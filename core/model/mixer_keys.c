/* mixer_keys.c - sizes of a layer by the names that its mixer has for them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mixer.h"

/* The place of `value` among the words of "a|b", or -1. */
static int place_of(const char *value, const char *words) {
    size_t len = strlen(value);
    int place = 0;
    for (const char *p = words; p; place++) {
        if (len && strncmp(p, value, len) == 0 && (p[len] == '|' || p[len] == '\0')) {
            return place;
        }
        p = strchr(p, '|');
        p = p ? p + 1 : NULL;
    }
    return -1;
}

const mbs_mixer_key *mbs_mixer_find_key(const mbs_mixer *mixer, const char *name) {
    for (const mbs_mixer_key *k = mixer->keys; k->name; k++) {
        if (strcmp(k->name, name) == 0) {
            return k;
        }
    }
    return NULL;
}

static void store(const mbs_mixer_key *k, double value, mbs_layer_sizes *z) {
    char *at = (char *)z + k->at;
    if (k->kind == MBS_KEY_INTEGER) {
        int64_t v = (int64_t)value;
        memcpy(at, &v, sizeof v);
    } else if (k->kind == MBS_KEY_NUMBER) {
        memcpy(at, &value, sizeof value);
    } else {
        int v = (int)value;
        memcpy(at, &v, sizeof v);
    }
}

static double stored(const mbs_mixer_key *k, const mbs_layer_sizes *z) {
    const char *at = (const char *)z + k->at;
    if (k->kind == MBS_KEY_INTEGER) {
        int64_t v;
        memcpy(&v, at, sizeof v);
        return (double)v;
    }
    if (k->kind == MBS_KEY_NUMBER) {
        double v;
        memcpy(&v, at, sizeof v);
        return v;
    }
    int v;
    memcpy(&v, at, sizeof v);
    return v;
}

void mbs_mixer_usual_sizes(const mbs_mixer *mixer, mbs_layer_sizes *out) {
    memset(out, 0, sizeof *out);
    for (const mbs_mixer_key *k = mixer->keys; k->name; k++) {
        store(k, k->usual, out);
    }
}

static mbs_status refuse(const mbs_mixer_key *k, mbs_status status, const char *value, mbs_err *err) {
    if (k->kind == MBS_KEY_BOOLEAN) {
        return mbs_fail(err, status, NULL, "'%s' is true or false, not '%.64s'", k->name, value);
    }
    if (k->kind == MBS_KEY_WORD) {
        return mbs_fail(err, status, NULL, "'%s' is %s, not '%.64s'", k->name, k->words, value);
    }
    return mbs_fail(err, status, NULL, "'%s' is %s from %g to %g%s%s, not '%.64s'", k->name,
                    k->kind == MBS_KEY_INTEGER ? "an integer" : "a number", k->min, k->max, k->words ? " or " : "",
                    k->words ? k->words : "", value);
}

static int in_range(const mbs_mixer_key *k, double v) {
    return v >= k->min && v <= k->max && (k->kind != MBS_KEY_INTEGER || v == floor(v));
}

mbs_status mbs_mixer_set_key(const mbs_mixer_key *k, const char *value, mbs_layer_sizes *out, mbs_err *err) {
    mbs_layer_sizes unused;
    double v;
    int known = 0;
    out = out ? out : &unused;
    if (k->kind == MBS_KEY_BOOLEAN) {
        v = strcmp(value, "true") == 0;
        known = v > 0 || strcmp(value, "false") == 0;
    } else if (k->kind == MBS_KEY_WORD) {
        v = place_of(value, k->words);
        known = v >= 0;
    } else if (k->words && strcmp(value, k->words) == 0) {
        v = 0;
        known = 1;
    } else {
        char *end;
        v = strtod(value, &end);
        known = value[0] != '\0' && *end == '\0' && strspn(value, "0123456789.eE+-") == strlen(value) && in_range(k, v);
    }
    if (!known) {
        return refuse(k, MBS_ERR_CONFIG, value, err);
    }
    store(k, v, out);
    return MBS_OK;
}

/* A JSON value as mbs_mixer_set_key takes it; what is no scalar has no such text. */
static const char *text_of(const mbs_json *v, char out[64]) {
    const char *word;
    double number;
    int flag;
    if (mbs_json_as_string(v, &word)) {
        snprintf(out, 64, "%.60s", word);
    } else if (mbs_json_as_bool(v, &flag)) {
        snprintf(out, 64, "%s", flag ? "true" : "false");
    } else if (mbs_json_as_double(v, &number)) {
        snprintf(out, 64, "%.17g", number);
    } else {
        snprintf(out, 64, "something else");
    }
    return out;
}

static mbs_status no_key(const mbs_mixer *mixer, const char *name, mbs_err *err) {
    char list[400] = "";
    size_t at = 0;
    for (const mbs_mixer_key *k = mixer->keys; k->name && at < sizeof list; k++) {
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", k->name);
    }
    mbs_fail(err, MBS_ERR_DATA, NULL, "'%.64s' is not a key of a layer of mixer '%s'", name, mixer->name);
    mbs_err_fix(err, "the keys are mixer, count%s%s", at ? ", " : "", list);
    return MBS_ERR_DATA;
}

mbs_status mbs_mixer_read_keys(const mbs_mixer *mixer, const mbs_json *obj, const char *const *known,
                               mbs_layer_sizes *out, mbs_err *err) {
    char text[64];
    for (mbs_json_iter it = mbs_json_first(obj); it.key; mbs_json_next(&it)) {
        const mbs_mixer_key *k = mbs_mixer_find_key(mixer, it.key);
        int other = 0;
        for (const char *const *w = known; *w; w++) {
            other |= strcmp(*w, it.key) == 0;
        }
        if (other || mbs_json_kind_of(it.value) == MBS_JSON_NULL) {
            continue;
        }
        if (!k) {
            return no_key(mixer, it.key, err);
        }
        mbs_err why = {0};
        if (mbs_mixer_set_key(k, text_of(it.value, text), out, &why) < 0) {
            return mbs_fail(err, MBS_ERR_DATA, NULL, "%s", why.what);
        }
    }
    return MBS_OK;
}

void mbs_mixer_put_keys(const mbs_mixer *mixer, const mbs_layer_sizes *z, int all, const char *between, mbs_buf *out) {
    for (const mbs_mixer_key *k = mixer->keys; k->name; k++) {
        double v = stored(k, z);
        if (!all && k->kind != MBS_KEY_BOOLEAN && v == k->usual) {
            continue;
        }
        mbs_buf_printf(out, "%s\"%s\": ", between, k->name);
        if (k->kind == MBS_KEY_BOOLEAN) {
            mbs_buf_puts(out, v != 0 ? "true" : "false");
        } else if (k->kind == MBS_KEY_WORD) {
            const char *word = k->words;
            for (int i = (int)v; i > 0; i--) {
                word = strchr(word, '|') + 1;
            }
            mbs_buf_printf(out, "\"%.*s\"", (int)strcspn(word, "|"), word);
        } else if (k->kind == MBS_KEY_NUMBER) {
            mbs_json_put_double(out, v);
        } else if (v == 0 && k->words) {
            mbs_buf_printf(out, "\"%s\"", k->words);
        } else {
            mbs_buf_printf(out, "%" PRId64, (int64_t)v);
        }
    }
}
