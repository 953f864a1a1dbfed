#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void mbs_err_clear(mbs_err *err) {
    if (err) {
        memset(err, 0, sizeof *err);
    }
}

/* Adds text to a string of `size` bytes; what does not fit is cut off. */
static void add(char *out, size_t size, const char *text) {
    size_t len = strlen(out);
    size_t more = strnlen(text, size - len - 1);
    memcpy(out + len, text, more);
    out[len + more] = '\0';
}

/* True where `err` can take a new error. The first one wins. */
static int begin(mbs_err *err, mbs_status status, const char *where) {
    if (!err || err->status != MBS_OK) {
        return 0;
    }
    mbs_err_clear(err);
    err->status = status;
    snprintf(err->where, sizeof err->where, "%s", where ? where : "");
    return 1;
}

mbs_status mbs_fail(mbs_err *err, mbs_status status, const char *where, const char *fmt, ...) {
    if (begin(err, status, where)) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->what, sizeof err->what, fmt, ap);
        va_end(ap);
    }
    return status;
}

mbs_status mbs_fail_errno(mbs_err *err, mbs_status status, int errnum, const char *where, const char *fmt, ...) {
    if (begin(err, status, where)) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->what, sizeof err->what, fmt, ap);
        va_end(ap);
        /* The reason matters more than the end of a long text. */
        const char *why = strerror(errnum);
        size_t most = sizeof err->what - strlen(why) - 3;
        if (strlen(err->what) > most) {
            err->what[most] = '\0';
        }
        add(err->what, sizeof err->what, ": ");
        add(err->what, sizeof err->what, why);
    }
    return status;
}

mbs_status mbs_fail_memory(mbs_err *err, const char *where, size_t bytes) {
    mbs_fail(err, MBS_ERR_MEMORY, where, "out of memory: %zu bytes were not available", bytes);
    mbs_err_fix(err, "free some memory, or take a smaller chunk or fewer threads");
    return MBS_ERR_MEMORY;
}

void mbs_err_fix(mbs_err *err, const char *fmt, ...) {
    if (err && err->status != MBS_OK && !err->fix[0]) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->fix, sizeof err->fix, fmt, ap);
        va_end(ap);
    }
}

void mbs_err_kept(mbs_err *err, const char *fmt, ...) {
    if (err && err->status != MBS_OK && !err->kept[0]) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->kept, sizeof err->kept, fmt, ap);
        va_end(ap);
    }
}

void mbs_err_where(mbs_err *err, const char *fmt, ...) {
    if (!err || err->status == MBS_OK) {
        return;
    }
    char front[sizeof err->where];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(front, sizeof front, fmt, ap);
    va_end(ap);
    if (err->where[0]) {
        add(front, sizeof front, ": ");
        add(front, sizeof front, err->where);
    }
    memcpy(err->where, front, sizeof front);
}

void mbs_err_line(const mbs_err *err, char *out, size_t size) {
    if (size == 0) {
        return;
    }
    out[0] = '\0';
    const char *parts[4] = {err->where, err->what, err->kept, err->fix};
    const char *between = "";
    size_t len = 0;
    for (int i = 0; i < 4; i++) {
        if (parts[i][0] == '\0') {
            continue;
        }
        len += mbs_text_escape(out + len, size - len, between, strlen(between));
        len += mbs_text_escape(out + len, size - len, parts[i], strlen(parts[i]));
        between = i == 0 ? ": " : "; ";
    }
}

int mbs_exit_code(mbs_status status) {
    return status < 0 ? -status : 0;
}
