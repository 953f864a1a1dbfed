/*
 * fakehost.h - a host table for driving one plugin by hand: it counts what the plugin takes, keeps what it says, and
 * can fail an allocation.
 *
 *   fake_host h;
 *   fake_init(&h, descriptor);
 *   fake_set(&h, "path", "x.fa");        again for another item of a list; what is not set has its default
 *   vt->create(&h.host, fake_params(&h), &self);
 *   ...
 *   fake_end(&h);                        checks that everything was given back
 */
#ifndef MBS_TEST_FAKEHOST_H
#define MBS_TEST_FAKEHOST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mambaseq/plugin.h"
#include "support/test.h"

#define FAKE_VALUES 64

typedef struct fake_host {
    mbs_host host; /* first: a host pointer is a fake_host pointer */
    const mbs_descriptor *desc;
    const char *key[FAKE_VALUES];
    char *value[FAKE_VALUES];
    int n_values;
    const char *file_name[4]; /* of the model's folder */
    const char *file_text[4];
    mbs_status status; /* of the first fail since fake_clear */
    char why[1024];
    char param[64];
    char hint[1024];
    char log[4096];
    long allocations, live, blocks;
    long fail_at; /* the allocation with this number gets NULL; 0: none */
    long fails;
    int cancelled;
} fake_host;

static inline fake_host *fake_of(const mbs_host *host) {
    return (fake_host *)(uintptr_t)host;
}

__attribute__((format(printf, 3, 0))) static inline void fake_vtext(char *to, size_t n, const char *fmt, va_list ap) {
    size_t len = strlen(to);
    vsnprintf(to + len, n - len, fmt, ap);
}

MBS_ATTR_PRINTF(3, 4) static inline void fake_log(const mbs_host *host, int32_t level, const char *fmt, ...) {
    (void)level;
    fake_host *h = fake_of(host);
    va_list ap;
    va_start(ap, fmt);
    fake_vtext(h->log, sizeof(h->log) - 1, fmt, ap);
    va_end(ap);
    memcpy(h->log + strlen(h->log), "\n", 2);
}

MBS_ATTR_PRINTF(4, 5)
static inline mbs_status fake_fail(const mbs_host *host, mbs_status status, const char *param, const char *fmt, ...) {
    fake_host *h = fake_of(host);
    CHECK(status < 0, "fail with status %d", (int)status);
    h->fails++;
    if (h->status == 0) {
        h->status = status;
        snprintf(h->param, sizeof(h->param), "%s", param ? param : "");
        va_list ap;
        va_start(ap, fmt);
        fake_vtext(h->why, sizeof(h->why), fmt, ap);
        va_end(ap);
    }
    return status;
}

MBS_ATTR_PRINTF(2, 3) static inline void fake_hint(const mbs_host *host, const char *fmt, ...) {
    fake_host *h = fake_of(host);
    h->hint[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    fake_vtext(h->hint, sizeof(h->hint), fmt, ap);
    va_end(ap);
}

static inline int fake_refuses(fake_host *h) {
    return ++h->allocations == h->fail_at;
}

static inline void *fake_alloc(const mbs_host *host, size_t bytes) {
    fake_host *h = fake_of(host);
    void *p = fake_refuses(h) ? NULL : malloc(bytes ? bytes : 1);
    h->live += p != NULL;
    return p;
}

static inline void *fake_realloc(const mbs_host *host, void *p, size_t bytes) {
    fake_host *h = fake_of(host);
    void *grown = fake_refuses(h) ? NULL : realloc(p, bytes ? bytes : 1);
    h->live += grown && !p;
    return grown;
}

static inline void fake_free(const mbs_host *host, void *p) {
    fake_of(host)->live -= p != NULL;
    free(p);
}

typedef struct fake_block {
    mbs_block b; /* first */
    int count;
    int64_t rows;
} fake_block;

static inline size_t fake_size(int32_t dtype) {
    return dtype == MBS_U8 ? 1 : dtype == MBS_I32 || dtype == MBS_F32 ? 4 : 8;
}

static inline mbs_block *fake_block_new(const mbs_host *host, const char *type, int32_t dtype, int32_t ndim,
                                        const int64_t *shape) {
    fake_host *h = fake_of(host);
    fake_block *f = fake_refuses(h) ? NULL : calloc(1, sizeof(*f));
    if (!f) {
        return NULL;
    }
    size_t n = fake_size(dtype);
    for (int i = 0; i < ndim; i++) {
        CHECK(shape[i] >= 0);
        f->b.shape[i] = shape[i];
        n *= (size_t)shape[i];
    }
    f->b.struct_size = (uint32_t)sizeof(f->b);
    f->b.type = type;
    f->b.dtype = dtype;
    f->b.ndim = ndim;
    f->b.data = malloc(n ? n : 1); /* not a byte more: the sanitizers see the end */
    memset(f->b.data, 0xee, n);
    f->rows = shape[0];
    f->count = 1;
    h->blocks++;
    return &f->b;
}

static inline void *fake_block_side(const mbs_host *host, mbs_block *b, const char *name, int32_t dtype,
                                    int32_t width) {
    CHECK(b->n_sides < MBS_MAX_SIDES);
    if (fake_refuses(fake_of(host))) {
        return NULL;
    }
    size_t n = (size_t)((fake_block *)b)->rows * fake_size(dtype) * (size_t)width;
    void *data = malloc(n ? n : 1);
    memset(data, 0xee, n);
    b->sides[b->n_sides++] = (mbs_side){name, dtype, width, data};
    return data;
}

static inline mbs_block *fake_block_ref(const mbs_host *host, mbs_block *b) {
    (void)host;
    ((fake_block *)b)->count++;
    return b;
}

static inline void fake_block_unref(const mbs_host *host, mbs_block *b) {
    fake_block *f = (fake_block *)b;
    if (f && --f->count == 0) {
        for (int i = 0; i < b->n_sides; i++) {
            free(b->sides[i].data);
        }
        free(b->data);
        free(f);
        fake_of(host)->blocks--;
    }
}

static inline const mbs_side *fake_side(const mbs_block *b, const char *name) {
    for (int i = 0; i < b->n_sides; i++) {
        if (strcmp(b->sides[i].name, name) == 0) {
            return &b->sides[i];
        }
    }
    return NULL;
}

static inline const mbs_param *fake_row(const fake_host *h, const char *key) {
    for (uint32_t i = 0; i < h->desc->n_params; i++) {
        if (strcmp(h->desc->params[i].key, key) == 0) {
            return &h->desc->params[i];
        }
    }
    CHECK(0, "no parameter '%s'", key);
    return NULL;
}

static inline fake_host *fake_of_params(const mbs_params *params) {
    return (fake_host *)(uintptr_t)params;
}

static inline int64_t fake_count(const mbs_params *params, const char *key) {
    fake_host *h = fake_of_params(params);
    int64_t n = 0;
    (void)fake_row(h, key);
    for (int i = 0; i < h->n_values; i++) {
        n += strcmp(h->key[i], key) == 0;
    }
    return n;
}

static inline const char *fake_item(const mbs_params *params, const char *key, int64_t at) {
    fake_host *h = fake_of_params(params);
    for (int i = 0; i < h->n_values; i++) {
        if (strcmp(h->key[i], key) == 0 && at-- == 0) {
            return h->value[i];
        }
    }
    return NULL;
}

static inline const char *fake_value(const mbs_params *params, const char *key) {
    const char *told = fake_item(params, key, 0);
    return told ? told : fake_row(fake_of_params(params), key)->def;
}

static inline int32_t fake_is_set(const mbs_params *params, const char *key) {
    return fake_value(params, key) != NULL;
}

static inline int64_t fake_int(const mbs_params *params, const char *key) {
    const char *v = fake_value(params, key);
    return v ? strtoll(v, NULL, 10) : 0;
}

static inline double fake_float(const mbs_params *params, const char *key) {
    const char *v = fake_value(params, key);
    return v ? strtod(v, NULL) : 0;
}

static inline int32_t fake_bool(const mbs_params *params, const char *key) {
    const char *v = fake_value(params, key);
    return v && strcmp(v, "true") == 0;
}

static inline const char *fake_string(const mbs_params *params, const char *key) {
    const char *v = fake_value(params, key);
    int32_t type = fake_row(fake_of_params(params), key)->type;
    int number = type == MBS_PARAM_SIZE || type == MBS_PARAM_INT;
    return v && number && v[0] >= '0' && v[0] <= '9' ? NULL : v;
}

static inline mbs_status fake_model_file(const mbs_host *host, const char *name, const char **data, size_t *bytes) {
    fake_host *h = fake_of(host);
    for (int i = 0; i < 4; i++) {
        if (h->file_name[i] && strcmp(h->file_name[i], name) == 0) {
            *data = h->file_text[i];
            *bytes = strlen(h->file_text[i]);
            return MBS_OK;
        }
    }
    return MBS_ERR_NOINPUT;
}

static inline int32_t fake_helpers(const mbs_host *host) {
    (void)host;
    return 0;
}

static inline int32_t fake_cancelled(const mbs_host *host) {
    return fake_of(host)->cancelled;
}

static inline const void *fake_extension(const mbs_host *host, const char *id) {
    (void)host;
    (void)id;
    return NULL;
}

static inline void fake_init(fake_host *h, const mbs_descriptor *desc) {
    memset(h, 0, sizeof(*h));
    h->desc = desc;
    h->host = (mbs_host){
        .struct_size = (uint32_t)sizeof(mbs_host),
        .abi_major = MBS_ABI_MAJOR,
        .abi_minor = MBS_ABI_MINOR,
        .log = fake_log,
        .fail = fake_fail,
        .hint = fake_hint,
        .alloc = fake_alloc,
        .realloc = fake_realloc,
        .free = fake_free,
        .block_new = fake_block_new,
        .block_side = fake_block_side,
        .block_ref = fake_block_ref,
        .block_unref = fake_block_unref,
        .param_is_set = fake_is_set,
        .param_bool = fake_bool,
        .param_int = fake_int,
        .param_float = fake_float,
        .param_string = fake_string,
        .param_count = fake_count,
        .param_item = fake_item,
        .model_file = fake_model_file,
        .helpers = fake_helpers,
        .cancelled = fake_cancelled,
        .get_extension = fake_extension,
    };
}

static inline const mbs_params *fake_params(fake_host *h) {
    return (const mbs_params *)(const void *)h;
}

static inline void fake_set(fake_host *h, const char *key, const char *value) {
    CHECK(h->n_values < FAKE_VALUES);
    (void)fake_row(h, key);
    h->key[h->n_values] = key;
    h->value[h->n_values++] = strdup(value);
}

static inline void fake_model(fake_host *h, const char *name, const char *text) {
    int i = 0;
    while (h->file_name[i]) {
        i++;
    }
    h->file_name[i] = name;
    h->file_text[i] = text;
}

/* Forgets what was said. */
static inline void fake_clear(fake_host *h) {
    h->status = 0;
    h->why[0] = h->param[0] = h->hint[0] = h->log[0] = '\0';
}

static inline void fake_end(fake_host *h) {
    CHECK_INT(h->live, 0);
    CHECK_INT(h->blocks, 0);
    for (int i = 0; i < h->n_values; i++) {
        free(h->value[i]);
    }
}

#endif
