/* net_file.c - the values of a net in files, in models and in the hands of tests. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "model/caduceus.h"
#include "train/net_impl.h"

#define SUMS "mambaseq.sums"

static mbs_status find(const mbs_net *net, const char *name, size_t n, const net_tensor **out, mbs_err *err) {
    int i = mbs_net_find(net, name);
    if (i < 0 || (size_t)net->tensors[i].n != n) {
        return mbs_fail(err, MBS_ERR_INTERNAL, name, i < 0 ? "no such tensor" : "has another number of elements");
    }
    *out = &net->tensors[i];
    return MBS_OK;
}

mbs_status mbs_net_get(mbs_net *net, const char *name, int gradient, float *out, size_t n, mbs_err *err) {
    const net_tensor *t = NULL;
    mbs_status st = find(net, name, n, &t, err);
    if (st >= 0 && gradient && !t->trained) {
        st = mbs_fail(err, MBS_ERR_INTERNAL, name, "has no gradient: it stays as it is");
    }
    st = st < 0 || !gradient ? st : mbs_net_gather(net, err);
    return st < 0 ? st : mbs_net_read(net, t, gradient ? net->g : net->w, out, err);
}

mbs_status mbs_net_set(mbs_net *net, const char *name, const float *values, size_t n, mbs_err *err) {
    const net_tensor *t = NULL;
    mbs_status st = find(net, name, n, &t, err);
    st = st < 0 ? st : mbs_net_write(net, t, net->w, values, err);
    return st < 0 ? st : mbs_net_refresh_named(net, err);
}

/* --- models ---------------------------------------------------------------------------------------------------------
 */

static mbs_status check_finite(const char *name, const float *v, size_t n, mbs_err *err) {
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            mbs_fail(err, MBS_ERR_DATA, name, "value %zu of this tensor is not finite", i);
            mbs_err_fix(err, "training diverged: take an earlier checkpoint");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

static mbs_status give_values(void *ctx, const char *name, float *out, int64_t n, mbs_err *err) {
    mbs_status st = mbs_net_get(ctx, name, 0, out, (size_t)n, err);
    return st < 0 ? st : check_finite(name, out, (size_t)n, err);
}

mbs_status mbs_net_model(mbs_net *net, mbs_model **out, mbs_err *err) {
    mbs_model_options options = {.dtype = "f32", .math = "f32"};
    return mbs_model_of_values(&net->cfg, give_values, net, &options, net->ctx, out, err);
}

/* --- files ----------------------------------------------------------------------------------------------------------
 */

/* Part `which` of a file: the weights, or a moment, whose tensors have a letter and a dot before their names. */
typedef struct series {
    const char *prefix;
    mbk_buf *buf;
    int trained; /* of trained tensors only */
} series;

#define SERIES 3

static void all_series(const mbs_net *net, series out[SERIES]) {
    out[0] = (series){"", net->w, 0};
    out[1] = (series){"m.", net->m, 1};
    out[2] = (series){"v.", net->v, 1};
}

static mbs_status to_bf16(const char *name, float *values, size_t n, mbs_err *err) {
    uint16_t *out = (uint16_t *)(void *)values; /* in place: what is written lies behind what is read */
    for (size_t i = 0; i < n; i++) {
        uint16_t h = mbs_st_bf16(values[i]);
        if ((h & 0x7f80u) == 0x7f80u) {
            mbs_fail(err, MBS_ERR_DATA, name, "holds a number that bf16 cannot hold");
            mbs_err_fix(err, "take output.dtype f32");
            return MBS_ERR_DATA;
        }
        memcpy((char *)out + i * 2, &h, 2);
    }
    return MBS_OK;
}

typedef struct writing {
    mbs_net *net;
    mbs_st_writer w;
    float *room; /* of the largest tensor */
    mbs_err *err;
} writing;

static mbs_status open_room(writing *o) {
    size_t most = 0;
    for (int i = 0; i < o->net->n_tensors; i++) {
        size_t n = (size_t)o->net->tensors[i].n;
        most = n > most ? n : most;
    }
    o->room = mbs_alloc(most * sizeof *o->room);
    return o->room ? MBS_OK : mbs_fail_memory(o->err, NULL, most * sizeof *o->room);
}

static mbs_status put(writing *o, const net_tensor *t, const series *s, mbs_dtype dtype, uint64_t *sum) {
    size_t bytes = (size_t)t->n * sizeof *o->room;
    mbs_status st = mbs_net_read(o->net, t, s->buf, o->room, o->err);
    st = st < 0 ? st : check_finite(t->spec.name, o->room, (size_t)t->n, o->err);
    if (st >= 0 && dtype == MBS_DT_BF16) {
        st = to_bf16(t->spec.name, o->room, (size_t)t->n, o->err);
        bytes /= 2;
    }
    *sum = st < 0 ? 0 : mbs_fingerprint(0, o->room, bytes);
    return st < 0 ? st : mbs_st_writer_add(&o->w, o->room, bytes, o->err);
}

static mbs_st_decl declare(const net_tensor *t, const char *name, mbs_dtype dtype) {
    mbs_st_decl d = {name, dtype, t->spec.ndim, {0}};
    memcpy(d.dims, t->spec.dims, sizeof t->spec.dims);
    return d;
}

/* A matrix as bf16; all else is small, and wants its digits. */
static mbs_dtype dtype_of(const net_tensor *t, mbs_dtype dtype) {
    return t->spec.matrix ? dtype : MBS_DT_F32;
}

mbs_status mbs_net_write_weights(mbs_net *net, const char *folder, mbs_dtype dtype, mbs_err *err) {
    writing o = {.net = net, .err = err};
    series s[SERIES];
    all_series(net, s);
    char *path = mbs_path_join(folder, "model.safetensors");
    mbs_st_decl *decls = mbs_calloc((size_t)net->n_tensors + 2, sizeof *decls);
    mbs_names names;
    mbs_status st = path && decls ? open_room(&o) : mbs_fail_memory(err, folder, 1);
    for (int i = 0; i < net->n_tensors && st >= 0; i++) {
        decls[i] = declare(&net->tensors[i], net->tensors[i].spec.name, dtype_of(&net->tensors[i], dtype));
    }
    if (st >= 0) {
        size_t maps = mbs_caduceus_map_decls(&net->cfg, &names, decls + net->n_tensors);
        st = mbs_st_writer_open(path, decls, (size_t)net->n_tensors + maps, &o.w, err);
        for (int i = 0; i < net->n_tensors && st >= 0; i++) {
            uint64_t sum;
            st = put(&o, &net->tensors[i], &s[0], decls[i].dtype, &sum);
        }
        st = st < 0 ? st : mbs_caduceus_put_maps(&net->cfg, &o.w, err);
        if (o.w.path) {
            mbs_err late = {0};
            mbs_status closed = mbs_st_writer_close(&o.w, st < 0 ? &late : err);
            st = st < 0 ? st : closed;
        }
    }
    mbs_free(o.room);
    mbs_free(decls);
    mbs_free(path);
    return st;
}

/* One tensor of a state file. */
typedef struct item {
    const net_tensor *t;
    series s;
    char name[MBS_NAME_ROOM + 8];
} item;

static mbs_status list_items(const mbs_net *net, item **out, size_t *n, mbs_err *err) {
    series s[SERIES];
    all_series(net, s);
    *n = 0;
    *out = mbs_calloc((size_t)net->n_tensors * SERIES, sizeof **out);
    if (!*out) {
        return mbs_fail_memory(err, NULL, (size_t)net->n_tensors * SERIES * sizeof **out);
    }
    for (int k = 0; k < SERIES; k++) {
        for (int i = 0; i < net->n_tensors; i++) {
            item *it = &(*out)[*n];
            if (!s[k].trained || net->tensors[i].trained) {
                *it = (item){.t = &net->tensors[i], .s = s[k]};
                (void)snprintf(it->name, sizeof it->name, "%s%s", s[k].prefix, it->t->spec.name);
                (*n)++;
            }
        }
    }
    return MBS_OK;
}

static mbs_status save_items(writing *o, const char *path, const item *items, size_t n, mbs_st_decl *decls,
                             uint64_t *sums) {
    for (size_t i = 0; i < n; i++) {
        decls[i] = declare(items[i].t, items[i].name, MBS_DT_F32);
    }
    decls[n] = (mbs_st_decl){SUMS, MBS_DT_U64, 1, {(int64_t)n}};
    mbs_status st = mbs_st_writer_open(path, decls, n + 1, &o->w, o->err);
    if (st < 0) {
        return st;
    }
    for (size_t i = 0; i < n && st >= 0; i++) {
        st = put(o, items[i].t, &items[i].s, MBS_DT_F32, &sums[i]);
    }
    st = st < 0 ? st : mbs_st_writer_add(&o->w, sums, n * sizeof *sums, o->err);
    mbs_err late = {0};
    mbs_status closed = mbs_st_writer_close(&o->w, st < 0 ? &late : o->err);
    return st < 0 ? st : closed;
}

mbs_status mbs_net_save(mbs_net *net, const char *path, mbs_err *err) {
    writing o = {.net = net, .err = err};
    item *items;
    size_t n;
    mbs_status st = list_items(net, &items, &n, err);
    if (st < 0) {
        return st;
    }
    mbs_st_decl *decls = mbs_calloc(n + 1, sizeof *decls);
    uint64_t *sums = mbs_calloc(n, sizeof *sums);
    st = decls && sums ? open_room(&o) : mbs_fail_memory(err, path, n * sizeof *decls);
    st = st < 0 ? st : save_items(&o, path, items, n, decls, sums);
    mbs_free(o.room);
    mbs_free(decls);
    mbs_free(sums);
    mbs_free(items);
    return st;
}

/* --- reading back ---------------------------------------------------------------------------------------------------
 */

static mbs_status wrong(const char *path, const char *name, const char *what, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, path, "tensor '%s' %s", name, what);
    mbs_err_fix(err, "take another checkpoint of this run");
    return MBS_ERR_DATA;
}

/* The values of an item, which the file has to hold in the shape of the net. */
static mbs_status locate(const mbs_st *file, const item *it, float *room, mbs_err *err) {
    const mbs_st_tensor *t = mbs_st_find(file, it->name, strlen(it->name));
    const mbs_spec *spec = &it->t->spec;
    if (!t) {
        return wrong(mbs_st_path(file), it->name, "is missing: of another model", err);
    }
    if (t->dtype != MBS_DT_F32 || t->ndim != spec->ndim ||
        memcmp(mbs_st_dims(file, t), spec->dims, (size_t)t->ndim * sizeof spec->dims[0]) != 0) {
        return wrong(mbs_st_path(file), it->name, "has another shape or type: of another model", err);
    }
    memcpy(room, mbs_st_data(file, t), (size_t)it->t->n * sizeof *room);
    return MBS_OK;
}

static mbs_status read_sums(const mbs_st *file, size_t n, const unsigned char **out, mbs_err *err) {
    const mbs_st_tensor *t = mbs_st_find(file, SUMS, strlen(SUMS));
    if (!t || t->dtype != MBS_DT_U64 || mbs_st_elements(t) != (int64_t)n || mbs_st_count(file) != n + 1) {
        return wrong(mbs_st_path(file), SUMS, "is not that of this model", err);
    }
    *out = mbs_st_data(file, t);
    return MBS_OK;
}

/* First all are checked, then all are taken: a damaged file changes nothing. */
static mbs_status load_items(writing *o, const mbs_st *file, const item *items, size_t n) {
    const unsigned char *sums = NULL;
    mbs_status st = MBS_OK;
    for (size_t i = 0; i < 2 * n && st >= 0; i++) {
        const item *it = &items[i % n];
        st = locate(file, it, o->room, o->err);
        if (st >= 0 && i == 0) {
            st = read_sums(file, n, &sums, o->err);
        }
        if (st >= 0 && i < n) {
            uint64_t want;
            memcpy(&want, sums + i * sizeof want, sizeof want);
            if (mbs_fingerprint(0, o->room, (size_t)it->t->n * sizeof *o->room) != want) {
                st = wrong(mbs_st_path(file), it->name, "is damaged", o->err);
            }
        } else if (st >= 0) {
            st = mbs_net_write(o->net, it->t, it->s.buf, o->room, o->err);
        }
    }
    return st;
}

mbs_status mbs_net_load(mbs_net *net, const char *path, mbs_err *err) {
    writing o = {.net = net, .err = err};
    item *items;
    size_t n;
    mbs_st *file;
    mbs_status st = list_items(net, &items, &n, err);
    st = st < 0 ? st : open_room(&o);
    if (st >= 0) {
        st = mbs_st_open(path, &file, err);
        if (st >= 0) {
            st = load_items(&o, file, items, n);
            mbs_st_close(file);
        }
        st = st < 0 ? st : mbs_net_refresh_named(net, err);
    }
    if (st >= 0) {
        mbs_net_clear(net);
    }
    mbs_free(o.room);
    mbs_free(items);
    return st;
}
