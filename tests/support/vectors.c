#include "support/vectors.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensor {
    const char *name;
    const char *dtype;
    int dims;
    int64_t shape[8];
    int64_t count;
    void *data;
} tensor;

struct vec_file {
    json_object *header;
    tensor *tensors;
    int count;
    char path[4096];
};

static _Noreturn void die(const char *path, const char *what, const char *which) {
    fprintf(stderr, "vectors: %s: %s: %s\n", path, what, which);
    exit(1);
}

static unsigned char *read_all(const char *path, size_t *size) {
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END)) {
        die(path, "cannot open", "");
    }
    *size = (size_t)ftell(in);
    rewind(in);
    unsigned char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, in) != *size) {
        die(path, "cannot read", "");
    }
    fclose(in);
    return bytes;
}

static void load_tensor(vec_file *f, const char *name, json_object *entry, const unsigned char *data, size_t size) {
    tensor *t = &f->tensors[f->count++];
    json_object *dtype = NULL;
    json_object *shape = NULL;
    json_object *offsets = NULL;
    if (!json_object_object_get_ex(entry, "dtype", &dtype) || !json_object_object_get_ex(entry, "shape", &shape) ||
        !json_object_object_get_ex(entry, "data_offsets", &offsets)) {
        die(f->path, "damaged entry", name);
    }
    t->name = name;
    t->dtype = json_object_get_string(dtype);
    t->dims = (int)json_object_array_length(shape);
    t->count = 1;
    if (t->dims > 8) {
        die(f->path, "too many dimensions", name);
    }
    for (int i = 0; i < t->dims; i++) {
        t->shape[i] = json_object_get_int64(json_object_array_get_idx(shape, (size_t)i));
        t->count *= t->shape[i];
    }
    size_t from = (size_t)json_object_get_int64(json_object_array_get_idx(offsets, 0));
    size_t to = (size_t)json_object_get_int64(json_object_array_get_idx(offsets, 1));
    size_t each = strcmp(t->dtype, "F32") == 0 ? 4 : 8;
    if (from > to || to > size || to - from != (size_t)t->count * each) {
        die(f->path, "bad offsets", name);
    }
    t->data = malloc(to - from + 1);
    if (!t->data) {
        die(f->path, "no memory", name);
    }
    memcpy(t->data, data + from, to - from);
}

vec_file *vec_open(const char *name) {
    vec_file *f = calloc(1, sizeof *f);
    if (!f) {
        die(name, "no memory", "");
    }
    if (strchr(name, '/')) {
        snprintf(f->path, sizeof f->path, "%s", name);
    } else {
        const char *dir = getenv("MBS_VECTORS"); /* where the tests run elsewhere than they were built */
        snprintf(f->path, sizeof f->path, "%s/%s.safetensors", dir ? dir : MBS_VECTORS_DIR, name);
    }
    size_t size = 0;
    unsigned char *bytes = read_all(f->path, &size);
    uint64_t head = 0;
    for (int i = 7; size >= 8 && i >= 0; i--) {
        head = head << 8 | bytes[i];
    }
    if (size < 8 || head > size - 8) {
        die(f->path, "no safetensors header", "");
    }
    json_tokener *tok = json_tokener_new();
    f->header = json_tokener_parse_ex(tok, (const char *)bytes + 8, (int)head);
    json_tokener_free(tok);
    if (!f->header) {
        die(f->path, "header is not JSON", "");
    }
    f->tensors = calloc((size_t)json_object_object_length(f->header) + 1, sizeof *f->tensors);
    if (!f->tensors) {
        die(f->path, "no memory", "");
    }
    json_object_object_foreach(f->header, key, entry) {
        if (strcmp(key, "__metadata__") != 0) {
            load_tensor(f, key, entry, bytes + 8 + head, size - 8 - (size_t)head);
        }
    }
    free(bytes);
    return f;
}

void vec_close(vec_file *f) {
    for (int i = 0; i < f->count; i++) {
        free(f->tensors[i].data);
    }
    free(f->tensors);
    json_object_put(f->header);
    free(f);
}

static const tensor *find(const vec_file *f, const char *name) {
    for (int i = 0; i < f->count; i++) {
        if (strcmp(f->tensors[i].name, name) == 0) {
            return &f->tensors[i];
        }
    }
    return NULL;
}

static const tensor *need(const vec_file *f, const char *name, const char *dtype) {
    const tensor *t = find(f, name);
    if (!t) {
        die(f->path, "no such tensor", name);
    }
    if (dtype && strcmp(t->dtype, dtype) != 0) {
        die(f->path, "tensor has another type", name);
    }
    return t;
}

int vec_has(const vec_file *f, const char *name) {
    return find(f, name) != NULL;
}

int vec_shape(const vec_file *f, const char *name, int64_t *shape) {
    const tensor *t = need(f, name, NULL);
    for (int i = 0; shape && i < t->dims; i++) {
        shape[i] = t->shape[i];
    }
    return t->dims;
}

int64_t vec_count(const vec_file *f, const char *name) {
    return need(f, name, NULL)->count;
}
const float *vec_f32(const vec_file *f, const char *name) {
    return need(f, name, "F32")->data;
}
const double *vec_f64(const vec_file *f, const char *name) {
    return need(f, name, "F64")->data;
}
const int64_t *vec_i64(const vec_file *f, const char *name) {
    return need(f, name, "I64")->data;
}

const char *vec_meta(const vec_file *f, const char *key) {
    json_object *meta = NULL;
    json_object *value = NULL;
    if (!json_object_object_get_ex(f->header, "__metadata__", &meta) || !json_object_object_get_ex(meta, key, &value)) {
        return NULL;
    }
    return json_object_get_string(value);
}

static double worse(double worst, double got, double want) {
    double err = fabs(got - want);
    if (isnan(got) && isnan(want)) {
        return worst;
    }
    if (got == want) {
        return worst;
    }
    return isnan(err) ? (double)INFINITY : fmax(worst, err);
}

double vec_maxrel(const float *got, const double *want, int64_t n) {
    double err = 0;
    double top = 0;
    for (int64_t i = 0; i < n; i++) {
        err = worse(err, (double)got[i], want[i]);
        top = isfinite(want[i]) ? fmax(top, fabs(want[i])) : top;
    }
    return err == 0 ? 0 : err / top;
}

double vec_maxrel_f32(const float *got, const float *want, int64_t n) {
    double err = 0;
    double top = 0;
    for (int64_t i = 0; i < n; i++) {
        err = worse(err, (double)got[i], (double)want[i]);
        top = isfinite(want[i]) ? fmax(top, fabs((double)want[i])) : top;
    }
    return err == 0 ? 0 : err / top;
}
