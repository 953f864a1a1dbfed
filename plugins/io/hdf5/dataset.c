#include <string.h>

#include "build.h"

hid_t mbs_h5_file_type(int32_t dtype) {
    switch (dtype) {
    case MBS_U8:
        return H5T_STD_U8LE;
    case MBS_I32:
        return H5T_STD_I32LE;
    case MBS_I64:
        return H5T_STD_I64LE;
    case MBS_F64:
        return H5T_IEEE_F64LE;
    default:
        return H5T_IEEE_F32LE;
    }
}

hid_t mbs_h5_memory_type(int32_t dtype) {
    switch (dtype) {
    case MBS_U8:
        return H5T_NATIVE_UINT8;
    case MBS_I32:
        return H5T_NATIVE_INT32;
    case MBS_I64:
        return H5T_NATIVE_INT64;
    case MBS_F64:
        return H5T_NATIVE_DOUBLE;
    default:
        return H5T_NATIVE_FLOAT;
    }
}

mbs_status mbs_h5_build_failed(mbs_h5_builder *b, const char *what) {
    return mbs_h5_fail(b->host, &b->io, MBS_ERR_INTERNAL, "build %s of '%s'", what, b->w->path);
}

mbs_status mbs_h5_put_group(mbs_h5_builder *b, const char *path) {
    hid_t gcpl = H5Pcreate(H5P_GROUP_CREATE);
    int bad = gcpl < 0 || H5Pset_obj_track_times(gcpl, 0) < 0;
    hid_t id = bad ? -1 : H5Gcreate2(b->file, path, H5P_DEFAULT, gcpl, H5P_DEFAULT);
    bad = bad || id < 0;
    mbs_status st = bad || b->io.error ? mbs_h5_build_failed(b, path) : MBS_OK;
    if (id >= 0) {
        H5Gclose(id);
    }
    if (gcpl >= 0) {
        H5Pclose(gcpl);
    }
    return st;
}

/* Creates the dataset, in one piece where chunk_rows is 0 or there are no values. < 0 on failure. */
static hid_t create_dataset(mbs_h5_builder *b, const mbs_h5_dataset *d, int64_t chunk_rows) {
    hsize_t chunk[MBS_MAX_DIMS];
    int whole = chunk_rows == 0;
    for (int i = 0; i < d->ndim; i++) {
        chunk[i] = i == 0 ? (hsize_t)chunk_rows : d->dims[i];
        whole = whole || d->dims[i] == 0;
    }
    hid_t id = -1;
    hid_t space = H5Screate_simple(d->ndim, d->dims, NULL);
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    int bad = space < 0 || dcpl < 0 || H5Pset_obj_track_times(dcpl, 0) < 0;
    if (!bad && !whole) {
        bad = H5Pset_chunk(dcpl, d->ndim, chunk) < 0;
        bad = bad || (b->w->gzip && d->element > 1 && H5Pset_shuffle(dcpl) < 0);
        bad = bad || (b->w->gzip && H5Pset_deflate(dcpl, (unsigned)b->w->gzip) < 0);
    }
    if (!bad) {
        id = H5Dcreate2(b->file, d->path, d->file_type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    }
    if (dcpl >= 0) {
        H5Pclose(dcpl);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    return id;
}

static int write_rows(hid_t id, const mbs_h5_dataset *d, int64_t first, int64_t n, const void *data) {
    hsize_t start[MBS_MAX_DIMS] = {(hsize_t)first};
    hsize_t count[MBS_MAX_DIMS];
    memcpy(count, d->dims, sizeof count);
    count[0] = (hsize_t)n;
    hid_t from = H5Screate_simple(d->ndim, count, NULL);
    hid_t to = H5Dget_space(id);
    int ok = from >= 0 && to >= 0 && H5Sselect_hyperslab(to, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
             H5Dwrite(id, d->memory_type, from, to, H5P_DEFAULT, data) >= 0;
    if (to >= 0) {
        H5Sclose(to);
    }
    if (from >= 0) {
        H5Sclose(from);
    }
    return ok;
}

static mbs_status write_all(mbs_h5_builder *b, hid_t id, const mbs_h5_dataset *d, int64_t step, void *buf) {
    int64_t rows = (int64_t)d->dims[0];
    for (int64_t first = 0; first < rows; first += step) {
        int64_t n = rows - first < step ? rows - first : step;
        if (b->host->cancelled(b->host)) {
            return b->host->fail(b->host, MBS_ERR_STOPPED, NULL, "stopped while '%s' was built", b->w->path);
        }
        mbs_status st = d->fill(b, d->ctx, first, n, buf);
        if (st < 0) {
            return st;
        }
        if (!write_rows(id, d, first, n, buf) || b->io.error) {
            return mbs_h5_build_failed(b, d->path);
        }
    }
    return MBS_OK;
}

mbs_status mbs_h5_put_dataset(mbs_h5_builder *b, const mbs_h5_dataset *d) {
    int64_t width = 1, bytes;
    for (int i = 1; i < d->ndim; i++) {
        width *= (int64_t)d->dims[i]; /* checked with the first block */
    }
    int64_t step = d->chunk_rows ? d->chunk_rows : width > 0 && width < MBS_H5_CHUNK ? MBS_H5_CHUNK / width : 1;
    step = step < (int64_t)d->dims[0] ? step : (int64_t)d->dims[0];
    if (__builtin_mul_overflow(step * width, (int64_t)d->element, &bytes) || bytes > (int64_t)UINT32_MAX) {
        return b->host->fail(b->host, MBS_ERR_DATA, NULL, "rows of %lld values are too wide for a chunk of HDF5",
                             (long long)width);
    }
    hid_t id = create_dataset(b, d, step);
    if (id < 0 || b->io.error) {
        mbs_status st = mbs_h5_build_failed(b, d->path);
        if (id >= 0) {
            H5Dclose(id);
        }
        return st;
    }
    mbs_status st = MBS_OK;
    if (bytes > 0) {
        void *buf = b->host->alloc(b->host, (size_t)bytes);
        st =
            buf ? write_all(b, id, d, step, buf)
                : b->host->fail(b->host, MBS_ERR_MEMORY, NULL, "no memory for a chunk of %lld bytes", (long long)bytes);
        if (buf) {
            b->host->free(b->host, buf);
        }
    }
    if (H5Dclose(id) < 0 && st >= 0) {
        st = mbs_h5_build_failed(b, d->path);
    }
    return st;
}

mbs_status mbs_h5_put_list(mbs_h5_builder *b, const char *path, int32_t dtype, int64_t n, mbs_h5_fill fill,
                           const void *ctx) {
    mbs_h5_dataset d = {.path = path,
                        .file_type = mbs_h5_file_type(dtype),
                        .memory_type = mbs_h5_memory_type(dtype),
                        .element = mbs_element_size(dtype),
                        .ndim = 1,
                        .dims = {(hsize_t)n},
                        .fill = fill,
                        .ctx = ctx};
    return mbs_h5_put_dataset(b, &d);
}

mbs_status mbs_h5_put_texts(mbs_h5_builder *b, const char *path, int64_t n, mbs_h5_text get, const void *ctx) {
    mbs_h5_dataset d = {
        .path = path, .file_type = b->text, .memory_type = b->text, .element = sizeof(char *), .ndim = 1, .dims = {0}};
    mbs_text t = {.host = b->host};
    d.dims[0] = (hsize_t)n;
    hid_t id = create_dataset(b, &d, 0);
    mbs_status st = id < 0 ? mbs_h5_build_failed(b, path) : MBS_OK;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        t.len = 0;
        get(ctx, i, &t);
        mbs_text_append(&t, "", 1);
        const char *text = t.data;
        if (t.failed) {
            st = b->host->fail(b->host, MBS_ERR_MEMORY, NULL, "no memory for the texts of %s", path);
        } else if (!write_rows(id, &d, i, 1, &text) || b->io.error) {
            st = mbs_h5_build_failed(b, path);
        }
    }
    mbs_text_free(&t);
    if (id >= 0 && H5Dclose(id) < 0 && st >= 0) {
        st = mbs_h5_build_failed(b, path);
    }
    return st;
}

static mbs_status put_attr(mbs_h5_builder *b, const char *key, hid_t file_type, hid_t memory_type, const void *value) {
    hid_t acpl = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    hid_t space = H5Screate(H5S_SCALAR);
    int bad = acpl < 0 || space < 0 || H5Pset_char_encoding(acpl, H5T_CSET_UTF8) < 0;
    hid_t id = bad ? -1 : H5Acreate2(b->file, key, file_type, space, acpl, H5P_DEFAULT);
    bad = id < 0 || H5Awrite(id, memory_type, value) < 0 || b->io.error;
    mbs_status st = bad ? mbs_h5_build_failed(b, "an attribute") : MBS_OK;
    if (id >= 0) {
        H5Aclose(id);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    if (acpl >= 0) {
        H5Pclose(acpl);
    }
    return st;
}

mbs_status mbs_h5_put_int_attr(mbs_h5_builder *b, const char *key, int64_t value) {
    return put_attr(b, key, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

mbs_status mbs_h5_put_text_attr(mbs_h5_builder *b, const char *key, const char *value) {
    mbs_text t = {.host = b->host};
    mbs_text_append_utf8(&t, value, strlen(value));
    mbs_text_append(&t, "", 1);
    const char *text = t.data;
    mbs_status st = t.failed ? b->host->fail(b->host, MBS_ERR_MEMORY, NULL, "no memory for attribute '%s'", key)
                             : put_attr(b, key, b->text, b->text, &text);
    mbs_text_free(&t);
    return st;
}
