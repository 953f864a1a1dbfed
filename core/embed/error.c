/* error.c - how a call of the library answers, and what it makes of the caller's structs. */
#include <string.h>

#include "base/text.h"
#include "embed/embed.h"
#include "mambaseq/version.h"

const char *mbs_lm_version(void) {
    return MBS_VERSION;
}

static void put(char *out, size_t size, const char *text) {
    mbs_text_escape(out, size, text, strlen(text));
}

mbs_status mbs_lm_answer(mbs_lm_error *err, mbs_status st, const mbs_err *e) {
    if (!err || err->struct_size < MBS_LM_LEAST_ERROR) {
        return st;
    }
    err->status = st;
    err->where[0] = err->what[0] = err->fix[0] = '\0';
    if (st < 0) {
        put(err->where, sizeof err->where, e->where);
        put(err->what, sizeof err->what, e->status ? e->what : "the call failed");
        put(err->fix, sizeof err->fix, e->fix);
    }
    return st;
}

const char *mbs_lm_error_line(const mbs_lm_error *err, char *out, size_t size) {
    if (!out || size == 0) {
        return out;
    }
    out[0] = '\0';
    if (err && err->struct_size >= MBS_LM_LEAST_ERROR) {
        const char *parts[] = {err->where, err->where[0] ? ": " : "", err->what, err->fix[0] ? "; " : "", err->fix};
        size_t len = 0;
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            len += mbs_text_escape(out + len, size - len, parts[i], strlen(parts[i]));
        }
    }
    return out;
}

mbs_status mbs_lm_take(void *to, size_t size, const void *from, size_t least, const char *name, mbs_err *e) {
    uint32_t told;
    memcpy(&told, from, sizeof told);
    if (told < least) {
        mbs_fail(e, MBS_ERR_USAGE, name, "struct_size is %u, at least %zu was expected", (unsigned)told, least);
        mbs_err_fix(e, "begin with the struct's INIT value, or set struct_size to its size");
        return MBS_ERR_USAGE;
    }
    for (size_t i = size; i < told; i++) {
        if (((const unsigned char *)from)[i] != 0) {
            mbs_fail(e, MBS_ERR_UNAVAILABLE, name, "byte %zu is set, but libmambaseq %s knows only %zu of them", i,
                     MBS_VERSION, size);
            mbs_err_fix(e, "use the library that belongs to the header");
            return MBS_ERR_UNAVAILABLE;
        }
    }
    memcpy(to, from, told < size ? told : size);
    return MBS_OK;
}
