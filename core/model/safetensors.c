#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/st_impl.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is little-endian and is read as it stands"
#endif

static const struct {
    const char *name;
    size_t size;
} dtypes[MBS_DT_COUNT] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
    {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8},
};

const char *mbs_dtype_name(mbs_dtype dtype) {
    return (unsigned)dtype < MBS_DT_COUNT ? dtypes[dtype].name : "unknown";
}

size_t mbs_st_dtype_size(mbs_dtype dtype) {
    return (unsigned)dtype < MBS_DT_COUNT ? dtypes[dtype].size : 0;
}

int mbs_dtype_parse(const char *name, size_t len) {
    for (int i = 0; i < MBS_DT_COUNT; i++) {
        if (strlen(dtypes[i].name) == len && memcmp(dtypes[i].name, name, len) == 0) {
            return i;
        }
    }
    return -1;
}

static int shown(const mbs_st_tensor *t) {
    return t->name_len > 120 ? 120 : (int)t->name_len;
}

/* Seeded, so that a file cannot be made to collide. */
static uint64_t hash(uint64_t seed, const char *name, size_t len) {
    uint64_t h = seed ^ len;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t w = 0;
        memcpy(&w, name + i, len - i < 8 ? len - i : 8);
        h = (h ^ w) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    h *= 0xBF58476D1CE4E5B9u;
    return h ^ h >> 32;
}

/* The slot that holds `name`, or the empty one where it belongs. */
static size_t slot_of(const mbs_st *st, const char *name, size_t len) {
    size_t mask = st->n_slots - 1;
    size_t at = (size_t)hash(st->seed, name, len) & mask;
    while (st->slots[at]) {
        const mbs_st_tensor *t = &st->header.tensors[st->slots[at] - 1];
        if (t->name_len == len && memcmp(t->name, name, len) == 0) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

mbs_status mbs_st_index(mbs_st *st, mbs_err *err) {
    st->n_slots = 16;
    while (st->n_slots / 3 < st->header.count / 2 + 1) {
        st->n_slots *= 2;
    }
    st->slots = mbs_calloc(st->n_slots, sizeof *st->slots);
    if (!st->slots) {
        return mbs_fail_memory(err, st->path, st->n_slots * sizeof *st->slots);
    }
    if (getrandom(&st->seed, sizeof st->seed, GRND_NONBLOCK) != (ssize_t)sizeof st->seed) {
        st->seed = (uint64_t)(uintptr_t)st;
    }
    for (size_t i = 0; i < st->header.count; i++) {
        const mbs_st_tensor *t = &st->header.tensors[i];
        size_t at = slot_of(st, t->name, t->name_len);
        if (st->slots[at]) {
            return mbs_fail(err, MBS_ERR_DATA, st->path, "tensor '%.*s' is there twice", shown(t), t->name);
        }
        st->slots[at] = (uint32_t)(i + 1);
    }
    return MBS_OK;
}

static int by_data(const void *a, const void *b) {
    const mbs_st_tensor *x = a;
    const mbs_st_tensor *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

/* Bytes that a tensor's shape and type ask for; nonzero where that does not fit 63 bits. */
static int shape_bytes(const mbs_st *st, const mbs_st_tensor *t, uint64_t *bytes) {
    int64_t n = (int64_t)mbs_st_dtype_size((mbs_dtype)t->dtype);
    for (int k = 0; k < t->ndim; k++) {
        if (mbs_mul_i64_overflow(n, st->header.dims[t->dims_at + (uint32_t)k], &n)) {
            return 1;
        }
    }
    *bytes = (uint64_t)n;
    return 0;
}

static const char *shape_of(const mbs_st *st, const mbs_st_tensor *t, char *out, size_t size) {
    return mbs_st_shape_text(mbs_st_dims(st, t), t->ndim, out, size);
}

/* The one place that decides whether the entries fit the data; every reader relies on it. */
static mbs_status validate(mbs_st *st, mbs_err *err) {
    uint64_t data_size = st->size - st->data_at;
    uint64_t at = 0;
    int sorted = 1;
    for (size_t i = 1; i < st->header.count && sorted; i++) {
        sorted = by_data(&st->header.tensors[i - 1], &st->header.tensors[i]) <= 0;
    }
    if (!sorted) {
        qsort(st->header.tensors, st->header.count, sizeof *st->header.tensors, by_data);
    }
    for (size_t i = 0; i < st->header.count; i++) {
        const mbs_st_tensor *t = &st->header.tensors[i];
        uint64_t bytes;
        char dims[200];
        if (shape_bytes(st, t, &bytes)) {
            return mbs_fail(err, MBS_ERR_DATA, st->path, "tensor '%.*s': the size of %s %s overflows", shown(t),
                            t->name, mbs_dtype_name((mbs_dtype)t->dtype), shape_of(st, t, dims, sizeof dims));
        }
        if (t->begin > t->end || t->end > data_size) {
            return mbs_fail(err, MBS_ERR_DATA, st->path,
                            "tensor '%.*s': bytes %" PRIu64 " to %" PRIu64 " are not within the %" PRIu64
                            " bytes of data: the file is truncated or its header is wrong",
                            shown(t), t->name, t->begin, t->end, data_size);
        }
        if (t->end - t->begin != bytes) {
            return mbs_fail(err, MBS_ERR_DATA, st->path,
                            "tensor '%.*s': %s %s needs %" PRIu64 " bytes, its range holds %" PRIu64, shown(t), t->name,
                            mbs_dtype_name((mbs_dtype)t->dtype), shape_of(st, t, dims, sizeof dims), bytes,
                            t->end - t->begin);
        }
        if (t->begin != at) {
            return mbs_fail(err, MBS_ERR_DATA, st->path, "tensor '%.*s': %s at byte %" PRIu64 " of the data", shown(t),
                            t->name, t->begin > at ? "a hole before it" : "it overlaps its neighbour", t->begin);
        }
        at = t->end;
    }
    if (at != data_size) {
        return mbs_fail(err, MBS_ERR_DATA, st->path, "%" PRIu64 " bytes behind the last tensor belong to none",
                        data_size - at);
    }
    return MBS_OK;
}

static mbs_status map_file(mbs_st *st, const char *kind, mbs_err *err) {
    struct stat info;
    int fd = open(st->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer is refused, not waited for */
    if (fd < 0 || fstat(fd, &info) != 0) {
        int errnum = errno;
        if (fd >= 0) {
            close(fd);
        }
        return mbs_fail_errno(err, MBS_ERR_NOINPUT, errnum, st->path, "cannot be opened");
    }
    if (!S_ISREG(info.st_mode) || info.st_size < 8) {
        close(fd);
        return S_ISREG(info.st_mode)
                   ? mbs_fail(err, MBS_ERR_DATA, st->path, "not a %s: only %lld bytes", kind, (long long)info.st_size)
                   : mbs_fail(err, MBS_ERR_NOINPUT, st->path, "not a regular file");
    }
    st->size = (uint64_t)info.st_size;
    void *map = mmap(NULL, (size_t)st->size, PROT_READ, MAP_PRIVATE, fd, 0);
    int errnum = errno;
    close(fd);
    if (map == MAP_FAILED) {
        return mbs_fail_errno(err, MBS_ERR_IO, errnum, st->path, "cannot be mapped");
    }
    st->map = map;
    return MBS_OK;
}

static mbs_status read_header(mbs_st *st, mbs_err *err) {
    uint64_t n;
    memcpy(&n, st->map, sizeof n);
    if (n > MBS_ST_MAX_HEADER) {
        return mbs_fail(err, MBS_ERR_DATA, st->path,
                        "a header of %" PRIu64 " bytes is more than %" PRIu64 ": not a safetensors file", n,
                        MBS_ST_MAX_HEADER);
    }
    if (n > st->size - 8) {
        return mbs_fail(err, MBS_ERR_DATA, st->path,
                        "truncated: the header has %" PRIu64 " bytes, the file only %" PRIu64, n, st->size);
    }
    st->data_at = 8 + n;
    mbs_status status = st_header_parse(st->path, (const char *)st->map + 8, (size_t)n, &st->header, err);
    if (status >= 0) {
        status = validate(st, err);
    }
    return status < 0 ? status : mbs_st_index(st, err);
}

mbs_status mbs_st_map(const char *path, const char *kind, mbs_st **out, mbs_err *err) {
    *out = NULL;
    mbs_st *st = mbs_calloc(1, sizeof *st);
    char *copy = st ? mbs_strdup(path) : NULL;
    if (!copy) {
        mbs_free(st);
        return mbs_fail_memory(err, path, sizeof *st);
    }
    st->path = copy;
    mbs_status status = map_file(st, kind, err);
    if (status < 0) {
        mbs_st_close(st);
        return status;
    }
    *out = st;
    return MBS_OK;
}

mbs_status mbs_st_open(const char *path, mbs_st **out, mbs_err *err) {
    mbs_st *st;
    *out = NULL;
    mbs_status status = mbs_st_map(path, "safetensors file", &st, err);
    if (status < 0) {
        return status;
    }
    status = read_header(st, err);
    if (status < 0) {
        mbs_st_close(st);
        return status;
    }
    *out = st;
    return MBS_OK;
}

void mbs_st_close(mbs_st *st) {
    if (!st) {
        return;
    }
    if (st->map) {
        munmap(st->map, (size_t)st->size);
    }
    st_header_free(&st->header);
    mbs_free(st->made);
    mbs_free(st->slots);
    mbs_free(st->path);
    mbs_free(st);
}

const char *mbs_st_path(const mbs_st *st) {
    return st->path;
}

uint64_t mbs_st_file_size(const mbs_st *st) {
    return st->size;
}

size_t mbs_st_count(const mbs_st *st) {
    return st->header.count;
}

const mbs_st_tensor *mbs_st_at(const mbs_st *st, size_t i) {
    return &st->header.tensors[i];
}

const mbs_st_tensor *mbs_st_find(const mbs_st *st, const char *name, size_t name_len) {
    uint32_t at = st->slots[slot_of(st, name, name_len)];
    return at ? &st->header.tensors[at - 1] : NULL;
}

const int64_t *mbs_st_dims(const mbs_st *st, const mbs_st_tensor *t) {
    static const int64_t none[1];
    return t->ndim ? st->header.dims + t->dims_at : none;
}

int64_t mbs_st_elements(const mbs_st_tensor *t) {
    return (int64_t)((t->end - t->begin) / mbs_st_dtype_size((mbs_dtype)t->dtype));
}

const unsigned char *mbs_st_data(const mbs_st *st, const mbs_st_tensor *t) {
    return t->begin < st->size ? st->map + st->data_at + t->begin : st->made + (t->begin - st->size);
}

const char *mbs_st_shape_text(const int64_t *dims, int ndim, char *out, size_t size) {
    size_t at = (size_t)snprintf(out, size, "[");
    for (int k = 0; k < ndim && at < size; k++) {
        at += (size_t)snprintf(out + at, size - at, "%s%" PRId64, k ? ", " : "", dims[k]);
    }
    if (at < size) {
        snprintf(out + at, size - at, "]");
    }
    return out;
}
