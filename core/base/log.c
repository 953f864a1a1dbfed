#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define WIPE "\r\x1b[K"

static _Atomic int threshold = MBS_LOG_INFO;

/* Guards what follows and keeps lines whole. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mbs_buf *capture;
static char status[256];

void mbs_log_set_level(mbs_log_level level) {
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

mbs_log_level mbs_log_get_level(void) {
    return (mbs_log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

void mbs_log_capture(mbs_buf *into) {
    pthread_mutex_lock(&lock);
    capture = into;
    pthread_mutex_unlock(&lock);
}

/* There is nowhere to report that stderr cannot be written. */
static void to_stderr(const char *text, size_t len) {
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n < 0 && errno != EINTR) {
            return;
        }
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
}

static const char *prefix(mbs_log_level level) {
    switch (level) {
    case MBS_LOG_ERROR:
        return "mambaseq: error: ";
    case MBS_LOG_WARNING:
        return "mambaseq: warning: ";
    case MBS_LOG_DEBUG:
        return "mambaseq: debug: ";
    case MBS_LOG_INFO:
        break;
    }
    return "mambaseq: ";
}

/* Writes prefix and text as one line, in one write(2) as long as it fits `line`. */
static void emit(mbs_log_level level, const char *text, size_t len) {
    char small[4096];
    const char *front = prefix(level);
    /* Every byte may become \xNN; behind it go the line end and the status line. */
    size_t size = sizeof small;
    char *line = small;
    size_t extra = strlen(WIPE) + strlen(front) + 1 + sizeof status;
    if (len > (size - extra) / 4 && len < SIZE_MAX / 8) {
        char *big = mbs_alloc(len * 4 + extra);
        if (big) {
            line = big;
            size = len * 4 + extra;
        }
    }
    pthread_mutex_lock(&lock);
    size_t n = 0;
    if (!capture && status[0]) {
        memcpy(line, WIPE, strlen(WIPE));
        n = strlen(WIPE);
    }
    memcpy(line + n, front, strlen(front));
    n += strlen(front);
    n += mbs_text_escape(line + n, size - n - 1 - sizeof status, text, len);
    line[n++] = '\n';
    if (capture) {
        mbs_buf_append(capture, line, n);
    } else {
        memcpy(line + n, status, strlen(status));
        to_stderr(line, n + strlen(status));
    }
    pthread_mutex_unlock(&lock);
    if (line != small) {
        mbs_free(line);
    }
}

void mbs_log(mbs_log_level level, const char *fmt, ...) {
    if ((int)level > (int)mbs_log_get_level()) {
        return;
    }
    char small[1024];
    char *text = small;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) {
        return;
    }
    size_t len = (size_t)n;
    if (len >= sizeof small) {
        char *big = mbs_alloc(len + 1);
        if (big) {
            va_start(ap, fmt);
            vsnprintf(big, len + 1, fmt, ap);
            va_end(ap);
            text = big;
        } else {
            len = sizeof small - 1;
        }
    }
    emit(level, text, len);
    if (text != small) {
        mbs_free(text);
    }
}

void mbs_log_err(const mbs_err *err) {
    char line[3 * sizeof(mbs_err)];
    mbs_err_line(err, line, sizeof line);
    emit(MBS_LOG_ERROR, line, strlen(line));
}

void mbs_log_raw(const char *line) {
    mbs_buf whole = MBS_BUF_INIT;
    pthread_mutex_lock(&lock);
    if (capture) {
        mbs_buf_printf(capture, "%s\n", line);
    } else {
        mbs_buf_printf(&whole, "%s%s\n%s", status[0] ? WIPE : "", line, status);
        to_stderr(mbs_buf_str(&whole), whole.len);
    }
    pthread_mutex_unlock(&lock);
    mbs_buf_free(&whole);
}

void mbs_log_status(const char *text) {
    char line[sizeof status + sizeof WIPE];
    pthread_mutex_lock(&lock);
    int shown = status[0] != '\0';
    mbs_text_escape(status, sizeof status, text ? text : "", text ? strlen(text) : 0);
    if (shown || status[0]) {
        int n = snprintf(line, sizeof line, "%s%s", WIPE, status);
        to_stderr(line, (size_t)n);
    }
    pthread_mutex_unlock(&lock);
}
