#include "model/torch_bin.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "model/pickle.h"
#include "model/st_impl.h"
#include "model/zip.h"

typedef struct opened {
    mbs_st *st;
    mbs_zip zip;
    char prefix[256]; /* "archive/": the folder of data.pkl within */
    mbs_arena *arena; /* of the tensors; their names stand in the file */
    mbs_pickled_tensor *tensors;
    size_t n;
    uint64_t made_size;
    mbs_err *err;
} opened;

static int shown(size_t len) {
    return len > 120 ? 120 : (int)len;
}

static mbs_status bad_tensor(const opened *o, const mbs_pickled_tensor *t, const char *why) {
    return mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "tensor '%.*s': %s", shown(t->name_len), t->name, why);
}

static const mbs_zip_member *member(const opened *o, const char *rest, size_t len) {
    char name[600];
    int n = snprintf(name, sizeof name, "%s%.*s", o->prefix, len > 300 ? 300 : (int)len, rest);
    return n > 0 && len <= 300 ? mbs_zip_find(&o->zip, name, (size_t)n) : NULL;
}

/* What a file that is no such archive is. */
static mbs_status wrong_kind(const opened *o) {
    static const unsigned char magic[] = {0x80, 2,    0x8A, 10,   0x6C, 0xFC, 0x9C,
                                          0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19};
    const unsigned char *p = o->st->map;
    if (o->st->size >= sizeof magic && memcmp(p, magic, sizeof magic) == 0) {
        mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "a checkpoint of a PyTorch before 1.6, which is not read");
        mbs_err_fix(o->err, "load it in Python with torch.load(..., weights_only=True) and torch.save it again");
    } else if (o->st->size >= 8 && memcmp(p, "version ", 8) == 0) {
        mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "not the weights: a pointer that Git LFS left in their place");
        mbs_err_fix(o->err, "fetch the file itself: git lfs pull, or huggingface-cli download");
    } else {
        mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "not a PyTorch checkpoint: it does not begin as a zip archive");
    }
    return MBS_ERR_DATA;
}

/* The one member named FOLDER/data.pkl. */
static mbs_status find_pickle(opened *o, const mbs_zip_member **out) {
    static const char end[] = "/data.pkl";
    size_t len = sizeof end - 1;
    *out = NULL;
    for (size_t i = 0; i < o->zip.n; i++) {
        const mbs_zip_member *m = &o->zip.members[i];
        if (m->name_len > len && memcmp(m->name + m->name_len - len, end, len) == 0 &&
            !memchr(m->name, '/', m->name_len - len)) {
            if (*out) {
                return mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "holds two pickles: not a PyTorch checkpoint");
            }
            *out = m;
        }
    }
    if (!*out || (*out)->name_len - len + 2 > sizeof o->prefix) {
        return mbs_fail(o->err, MBS_ERR_DATA, o->st->path,
                        "holds no data.pkl in a folder of its own: not a PyTorch checkpoint");
    }
    size_t n = (*out)->name_len - len + 1;
    memcpy(o->prefix, (*out)->name, n);
    if (memchr(o->prefix, 0, n)) {
        return mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "a name with a NUL byte");
    }
    if ((*out)->size > MBS_PICKLE_MAX) {
        return mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "a pickle of %" PRIu64 " bytes, at most %zu are read",
                        (*out)->size, MBS_PICKLE_MAX);
    }
    return mbs_zip_check(&o->zip, *out, o->err);
}

static mbs_status check_order(const opened *o) {
    const mbs_zip_member *m = member(o, "byteorder", 9);
    if (m && (m->size != 6 || memcmp(o->zip.data + m->at, "little", 6) != 0)) {
        return mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "was written on a big-endian machine, which is not read");
    }
    return MBS_OK;
}

/* Elements, whether they stand one behind the other, and that all lie within the storage. */
static mbs_status check_view(const opened *o, const mbs_pickled_tensor *t, int64_t *elements, int *dense) {
    int64_t last = t->offset;
    int64_t n = 1;
    if (t->offset < 0) {
        return bad_tensor(o, t, "begins before its storage");
    }
    for (int k = 0; k < t->ndim; k++) {
        if (t->dims[k] < 0 || t->strides[k] < 0) {
            return bad_tensor(o, t, "a negative size or stride");
        }
        if (mbs_mul_i64_overflow(n, t->dims[k], &n)) {
            return bad_tensor(o, t, "its size overflows");
        }
    }
    *dense = 1;
    *elements = n;
    if (n == 0) {
        return MBS_OK;
    }
    int64_t wanted = 1;
    for (int k = t->ndim - 1; k >= 0; k--) {
        int64_t step;
        if (t->dims[k] == 1) {
            continue;
        }
        *dense &= t->strides[k] == wanted;
        wanted *= t->dims[k];
        if (mbs_mul_i64_overflow(t->dims[k] - 1, t->strides[k], &step) || mbs_add_i64_overflow(last, step, &last)) {
            return bad_tensor(o, t, "its strides overflow");
        }
    }
    if (last >= t->storage_n) {
        return mbs_fail(o->err, MBS_ERR_DATA, o->st->path,
                        "tensor '%.*s': reaches element %" PRId64 " of a storage of %" PRId64, shown(t->name_len),
                        t->name, last, t->storage_n);
    }
    if (n > t->storage_n) {
        /* What a file says of its size is not believed where it does not hold as much. */
        mbs_status st = bad_tensor(o, t, "has more elements than its storage: strides that overlap, as of expand()");
        mbs_err_fix(o->err, "save it again in Python with .clone(memory_format=torch.contiguous_format) of that "
                            "tensor, or as safetensors");
        return st;
    }
    return MBS_OK;
}

static mbs_status find_storage(const opened *o, const mbs_pickled_tensor *t, const mbs_zip_member **out) {
    char rest[320];
    int64_t bytes;
    int n = snprintf(rest, sizeof rest, "data/%.*s", t->storage_len > 200 ? 200 : (int)t->storage_len, t->storage);
    const mbs_zip_member *m = member(o, rest, (size_t)n);
    if (!m || t->storage_len > 200) {
        return mbs_fail(o->err, MBS_ERR_DATA, o->st->path, "tensor '%.*s': its storage '%.*s' is not in the archive",
                        shown(t->name_len), t->name, shown(t->storage_len), t->storage);
    }
    if (mbs_mul_i64_overflow(t->storage_n, (int64_t)mbs_st_dtype_size(t->dtype), &bytes) || (uint64_t)bytes > m->size) {
        return mbs_fail(o->err, MBS_ERR_DATA, o->st->path,
                        "tensor '%.*s': a storage of %" PRId64 " elements of %s, of which the archive has %" PRIu64
                        " bytes",
                        shown(t->name_len), t->name, t->storage_n, mbs_dtype_name(t->dtype), m->size);
    }
    *out = m;
    return MBS_OK;
}

/* Places in order of the row-major elements of a view. */
static void gather(const mbs_pickled_tensor *t, const unsigned char *storage, size_t size, unsigned char *out,
                   int64_t n) {
    int64_t index[MBS_ST_MAX_RANK] = {0};
    int64_t at = t->offset;
    for (int64_t i = 0; i < n; i++) {
        memcpy(out + (size_t)i * size, storage + (size_t)at * size, size);
        for (int k = t->ndim - 1; k >= 0; k--) {
            at += t->strides[k];
            if (++index[k] < t->dims[k]) {
                break;
            }
            at -= t->strides[k] * t->dims[k];
            index[k] = 0;
        }
    }
}

/* Room for the views, which the pages of the file cannot stand for. */
static mbs_status make_room(opened *o) {
    uint64_t sum = 0;
    for (size_t i = 0; i < o->n; i++) {
        int64_t n = 0;
        int dense = 1;
        mbs_status st = check_view(o, &o->tensors[i], &n, &dense);
        if (st < 0) {
            return st;
        }
        sum += dense ? 0 : (uint64_t)n * mbs_st_dtype_size(o->tensors[i].dtype);
        if (sum > o->st->size + ((uint64_t)16 << 20)) {
            return bad_tensor(o, &o->tensors[i], "the views of storages are larger than the whole file");
        }
    }
    o->made_size = 0;
    o->st->made = sum ? mbs_alloc((size_t)sum) : NULL;
    return sum && !o->st->made ? mbs_fail_memory(o->err, o->st->path, (size_t)sum) : MBS_OK;
}

static mbs_status place(opened *o, const mbs_pickled_tensor *t, mbs_st_tensor *out) {
    const mbs_zip_member *m = NULL;
    int64_t n = 0;
    int dense = 1;
    size_t size = mbs_st_dtype_size(t->dtype);
    st_header *h = &o->st->header;
    mbs_status st = check_view(o, t, &n, &dense);
    st = st < 0 ? st : find_storage(o, t, &m);
    if (st < 0) {
        return st;
    }
    *out = (mbs_st_tensor){.name = t->name,
                           .name_len = (uint32_t)t->name_len,
                           .dims_at = (uint32_t)h->n_dims,
                           .dtype = (uint8_t)t->dtype,
                           .ndim = (uint8_t)t->ndim};
    memcpy(h->dims + h->n_dims, t->dims, (size_t)t->ndim * sizeof *h->dims);
    h->n_dims += (size_t)t->ndim;
    if (n == 0) {
        return MBS_OK;
    }
    if (dense) {
        out->begin = m->at + (uint64_t)t->offset * size;
    } else {
        out->begin = o->st->size + o->made_size;
        gather(t, o->st->map + m->at, size, o->st->made + o->made_size, n);
        o->made_size += (uint64_t)n * size;
    }
    out->end = out->begin + (uint64_t)n * size;
    return MBS_OK;
}

static mbs_status place_all(opened *o) {
    st_header *h = &o->st->header;
    mbs_status st = make_room(o);
    if (st < 0) {
        return st;
    }
    h->tensors = mbs_calloc(o->n + 1, sizeof *h->tensors);
    h->dims = mbs_calloc(o->n + 1, MBS_ST_MAX_RANK * sizeof *h->dims);
    if (!h->tensors || !h->dims) {
        return mbs_fail_memory(o->err, o->st->path, (o->n + 1) * MBS_ST_MAX_RANK * sizeof *h->dims);
    }
    for (size_t i = 0; i < o->n && st >= 0; i++) {
        st = place(o, &o->tensors[i], &h->tensors[i]);
    }
    h->count = o->n;
    return st < 0 ? st : mbs_st_index(o->st, o->err);
}

/* The sums of all storages, read once for it. */
static mbs_status check_sums(const opened *o) {
    char data[300];
    int n = snprintf(data, sizeof data, "%sdata/", o->prefix);
    mbs_status st = MBS_OK;
    for (size_t i = 0; i < o->zip.n && st >= 0; i++) {
        const mbs_zip_member *m = &o->zip.members[i];
        if (m->name_len > (size_t)n && memcmp(m->name, data, (size_t)n) == 0) {
            st = mbs_zip_check(&o->zip, m, o->err);
        }
    }
    return st;
}

static mbs_status read_archive(opened *o) {
    const mbs_zip_member *pickle;
    mbs_st *f = o->st;
    if (!mbs_zip_looks_like(f->map, f->size)) {
        return wrong_kind(o);
    }
    mbs_status st = mbs_zip_open(f->path, f->map, f->size, &o->zip, o->err);
    st = st < 0 ? st : find_pickle(o, &pickle);
    st = st < 0 ? st : check_order(o);
    if (st >= 0) {
        o->arena = mbs_arena_new();
        st = o->arena ? mbs_pickle_read(f->path, f->map + pickle->at, (size_t)pickle->size, o->arena, &o->tensors,
                                        &o->n, o->err)
                      : mbs_fail_memory(o->err, f->path, 1);
    }
    st = st < 0 ? st : check_sums(o);
    return st < 0 ? st : place_all(o);
}

mbs_status mbs_torch_open(const char *path, mbs_st **out, mbs_err *err) {
    opened o = {.err = err};
    *out = NULL;
    mbs_status st = mbs_st_map(path, "PyTorch checkpoint", &o.st, err);
    if (st < 0) {
        return st;
    }
    st = read_archive(&o);
    mbs_zip_close(&o.zip);
    mbs_arena_free(o.arena);
    if (st >= 0) {
        *out = o.st;
    } else {
        mbs_st_close(o.st);
    }
    return st;
}
