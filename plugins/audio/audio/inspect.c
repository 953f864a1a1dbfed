/* What a recording is, for `mambaseq inspect`: read through once as it lies there, neither mixed nor resampled. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "reader.h"

typedef struct listener {
    void (*put)(void *sink, const char *key, const char *value);
    void *sink;
} listener;

MBS_ATTR_PRINTF(3, 4)
static void put(const listener *l, const char *key, const char *fmt, ...) {
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    l->put(l->sink, key, text);
}

static mbs_status describe(const mbs_host *host, const char *path,
                           void (*tell)(void *sink, const char *key, const char *value), void *sink) {
    const au_layout layout = {.format = AU_NONE};
    const listener l = {tell, sink};
    au_input in;
    mbs_status st = au_input_open(&in, host, path, &layout);
    if (st != MBS_OK) {
        return st;
    }
    float *frames = host->alloc(host, (size_t)(AU_STEP * in.channels) * sizeof *frames);
    st = frames ? MBS_OK : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for %d frames", AU_STEP);
    int64_t n = 0;
    double peak = 0;
    while (st == MBS_OK || st == MBS_AGAIN) {
        int64_t got = 0;
        st = au_input_read(&in, frames, AU_STEP, 100, &got);
        for (int64_t i = 0; st == MBS_OK && i < got * in.channels; i++) {
            double a = fabs((double)frames[i]);
            peak = a > peak ? a : peak;
        }
        n += st == MBS_OK ? got : 0;
        if (st >= 0 && host->cancelled(host)) {
            st = host->fail(host, MBS_ERR_STOPPED, NULL, "stopped");
        }
    }
    if (st == MBS_END) {
        put(&l, "format", "%s", in.what);
        put(&l, "rate", "%lld", (long long)in.rate);
        put(&l, "channels", "%lld", (long long)in.channels);
        put(&l, "samples", "%lld", (long long)n);
        put(&l, "seconds", "%.9g", (double)n / (double)in.rate);
        put(&l, "peak", "%.6g", peak);
        if (in.channels > 1) {
            put(&l, "to run", "reader.channels: mix (their mean, the default), left, right, a number, each or all");
        }
        st = MBS_OK;
    }
    host->free(host, frames);
    au_input_close(&in);
    return st;
}

const mbs_ext_inspect au_inspect = {.struct_size = (uint32_t)sizeof(mbs_ext_inspect), .describe = describe};
