/* The host table: what a plugin may ask of us. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "mambaseq/ext/live.h"
#include "plug/block.h"
#include "plug/instance_impl.h"
#include "plug/params.h"

static mbs_instance *instance_of(const mbs_host *host) {
    /* The table is const for the plugin only; it is the first member of its instance. */
    return (mbs_instance *)(uintptr_t)host;
}

MBS_PRINTF(3, 4)
static void host_log(const mbs_host *host, int32_t level, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const mbs_host_env *env = &instance_of(host)->env;
    if (env->log) {
        env->log(env->log_ctx, level, text);
        return;
    }
    mbs_log_level as = level <= MBS_LOGLEVEL_WARNING ? MBS_LOG_WARNING
                       : level == MBS_LOGLEVEL_INFO  ? MBS_LOG_INFO
                                                     : MBS_LOG_DEBUG;
    mbs_log(as, "%s: %s", instance_of(host)->label, text);
}

/* The first error of a call wins. */
static void pend(mbs_instance *i, const mbs_err *e) {
    pthread_mutex_lock(&i->lock);
    if (i->pending.status == MBS_OK) {
        i->pending = *e;
    }
    pthread_mutex_unlock(&i->lock);
}

MBS_PRINTF(4, 5)
static mbs_status host_fail(const mbs_host *host, mbs_status status, const char *param, const char *fmt, ...) {
    mbs_instance *i = instance_of(host);
    mbs_err e;
    char text[sizeof e.what];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mbs_status rc = status < 0 ? status : MBS_ERR_INTERNAL; /* success is no way to fail */
    mbs_err_clear(&e);
    if (param) {
        mbs_fail(&e, rc, i->label, "parameter '%s': %s", param, text);
    } else {
        mbs_fail(&e, rc, i->label, "%s", text);
    }
    pend(i, &e);
    return rc;
}

MBS_PRINTF(2, 3)
static void host_hint(const mbs_host *host, const char *fmt, ...) {
    mbs_instance *i = instance_of(host);
    char text[sizeof i->hint];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&i->lock);
    if (!i->hint[0]) {
        memcpy(i->hint, text, sizeof text);
    }
    pthread_mutex_unlock(&i->lock);
}

static int refused(const mbs_host *host) {
    const mbs_host_env *env = &instance_of(host)->env;
    return env->refuse && env->refuse(env->refuse_ctx);
}

static void *host_alloc(const mbs_host *host, size_t bytes) {
    void *p = refused(host) ? NULL : mbs_alloc(bytes);
    if (p) {
        atomic_fetch_add_explicit(&instance_of(host)->pieces, 1, memory_order_relaxed);
    }
    return p;
}

static void *host_realloc(const mbs_host *host, void *p, size_t bytes) {
    void *grown = refused(host) ? NULL : mbs_realloc(p, bytes);
    if (grown && !p) {
        atomic_fetch_add_explicit(&instance_of(host)->pieces, 1, memory_order_relaxed);
    }
    return grown;
}

static void host_free(const mbs_host *host, void *p) {
    if (p) {
        atomic_fetch_sub_explicit(&instance_of(host)->pieces, 1, memory_order_relaxed);
    }
    mbs_free(p);
}

/* The call at hand will fail of it; the first wins. */
static void abuse(const mbs_host *host, const char *what) {
    mbs_instance *i = instance_of(host);
    pthread_mutex_lock(&i->lock);
    i->abuse = i->abuse ? i->abuse : what;
    pthread_mutex_unlock(&i->lock);
}

static mbs_block *host_block_new(const mbs_host *host, const char *type, int32_t dtype, int32_t ndim,
                                 const int64_t *shape) {
    mbs_block *b = refused(host) ? NULL : mbs_block_new(type, dtype, ndim, shape);
    if (b) {
        mbs_block_own(b, instance_of(host));
    }
    return b;
}

static void *host_block_side(const mbs_host *host, mbs_block *b, const char *name, int32_t dtype, int32_t width) {
    if (!mbs_block_is_live(b)) {
        abuse(host, "gave block_side something that is no block, or is one no more");
        return NULL;
    }
    return refused(host) ? NULL : mbs_block_side_new(b, name, dtype, width);
}

static mbs_block *host_block_ref(const mbs_host *host, mbs_block *b) {
    if (!mbs_block_is_live(b)) {
        abuse(host, "gave block_ref something that is no block, or is one no more");
        return NULL;
    }
    return mbs_block_ref(b);
}

static void host_block_unref(const mbs_host *host, mbs_block *b) {
    if (b && !mbs_block_is_live(b)) {
        abuse(host, "gave block_unref something that is no block, or is one no more");
        return;
    }
    mbs_block_unref(b);
}

static mbs_status host_output(const mbs_host *host, const char *path, uint32_t flags, const char *suffix,
                              const char **temp) {
    mbs_instance *i = instance_of(host);
    mbs_err e;
    mbs_err_clear(&e);
    *temp = NULL;
    if (!path || flags > MBS_OUTPUT_SCRATCH || (flags == MBS_OUTPUT_SCRATCH && (!suffix || !suffix[0]))) {
        return host_fail(host, MBS_ERR_INTERNAL, NULL, "the plugin declares an output without path or suffix");
    }
    if (!i->declares || i->desc->kind != MBS_KIND_WRITER) {
        return host_fail(host, MBS_ERR_INTERNAL, NULL, "the plugin declares the output '%s' outside of create and open",
                         path);
    }
    mbs_status rc = MBS_OK;
    if (flags == MBS_OUTPUT_SCRATCH && strcmp(path, "-") == 0) {
        return host_fail(host, MBS_ERR_CREATE, NULL, "there is no place for a working file beside standard output");
    }
    if (strcmp(path, "-") == 0) {
        return MBS_OK;
    }
    if (!i->env.outputs) {
        return host_fail(host, MBS_ERR_CREATE, NULL, "nothing may be written here, '%s' neither", path);
    }
    if (flags == MBS_OUTPUT_SCRATCH) {
        rc = mbs_outputs_scratch(i->env.outputs, path, suffix, temp, &e);
    } else {
        rc = mbs_outputs_add(i->env.outputs, path, i->env.force, temp, &e);
    }
    if (rc != MBS_OK) {
        mbs_err_where(&e, "%s", i->label);
        pend(i, &e);
    }
    return rc;
}

static mbs_status host_stdout_write(const mbs_host *host, const void *data, size_t bytes) {
    const char *p = data;
    while (bytes > 0) {
        /* SIGPIPE is not ignored: where the reader went away the process ends inside write, quietly (fault.h). */
        ssize_t n = write(STDOUT_FILENO, p, bytes);
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&wait, 1, 1000);
        } else if (n == 0 || errno != EINTR) {
            int why = n == 0 ? EIO : errno;
            return host_fail(host, MBS_ERR_IO, NULL, "cannot write to standard output: %s", strerror(why));
        }
    }
    return MBS_OK;
}

static mbs_status host_model_file(const mbs_host *host, const char *name, const char **data, size_t *bytes) {
    mbs_instance *i = instance_of(host);
    *data = NULL;
    *bytes = 0;
    if (!i->env.model_file || !name || !name[0] || strchr(name, '/') || name[0] == '.') {
        return MBS_ERR_NOINPUT;
    }
    return i->env.model_file(i->env.model_ctx, name, data, bytes);
}

static int32_t host_helpers(const mbs_host *host) {
    int n = instance_of(host)->env.helpers;
    return n > 0 ? n : 0;
}

static int32_t host_cancelled(const mbs_host *host) {
    (void)host;
    return mbs_stop_requested() != 0;
}

/* An instance counts once however often it says so. */
static void live_begin(const mbs_host *host) {
    mbs_instance *i = instance_of(host);
    if (!i->live) {
        i->live = 1;
        mbs_stop_live(1);
    }
}

static void live_done(const mbs_host *host) {
    mbs_instance *i = instance_of(host);
    if (i->live) {
        i->live = 0;
        mbs_stop_live(0);
    }
}

static int32_t live_ended(const mbs_host *host) {
    return instance_of(host)->live && mbs_stop_input_ended();
}

static const void *host_extension(const mbs_host *host, const char *id) {
    static const mbs_ext_live live = {
        .struct_size = (uint32_t)sizeof(mbs_ext_live), .begin = live_begin, .done = live_done, .ended = live_ended};
    int reader = instance_of(host)->desc->kind == MBS_KIND_READER && !instance_of(host)->env.isolate;
    return reader && strcmp(id, MBS_EXT_LIVE) == 0 ? &live : NULL;
}

void mbs_host_init(mbs_instance *i) {
    i->host = (mbs_host){
        .struct_size = (uint32_t)sizeof(mbs_host),
        .abi_major = MBS_ABI_MAJOR,
        .abi_minor = MBS_ABI_MINOR,
        .log = host_log,
        .fail = host_fail,
        .hint = host_hint,
        .alloc = host_alloc,
        .realloc = host_realloc,
        .free = host_free,
        .block_new = host_block_new,
        .block_side = host_block_side,
        .block_ref = host_block_ref,
        .block_unref = host_block_unref,
        .param_is_set = mbs_params_is_set,
        .param_bool = mbs_params_bool,
        .param_int = mbs_params_int,
        .param_float = mbs_params_float,
        .param_string = mbs_params_string,
        .param_count = mbs_params_count,
        .param_item = mbs_params_item,
        .output = host_output,
        .stdout_write = host_stdout_write,
        .model_file = host_model_file,
        .helpers = host_helpers,
        .cancelled = host_cancelled,
        .get_extension = host_extension,
    };
}
