#include "model/convert.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/describe.h"
#include "model/new_folder.h"
#include "model/weights.h"

enum { BLOCK = 1 << 16, COPY_MAX = 64 << 20 };

static const char *const files[] = {
    "config.json", "model.safetensors", MBS_FOLDER_TOKENIZER, "generation_config.json", "preprocessor_config.json",
    NULL};

/* A tensor on its way. */
typedef struct moved {
    const mbs_st *file;
    const mbs_st_tensor *t;
    mbs_dtype to;
    char *name;
} moved;

typedef struct conversion {
    const char *folder;
    const char *out;
    int keep;
    mbs_dtype dtype;
    mbs_st_set set;
    mbs_specs specs;
    moved *items;
    size_t n;
    mbs_convert_report *report;
    mbs_err *err;
} conversion;

/* --- which tensors, as what ------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const moved *)a)->name, ((const moved *)b)->name);
}

static mbs_dtype type_of(const conversion *c, const mbs_st_tensor *t, const mbs_spec *spec) {
    mbs_dtype was = (mbs_dtype)t->dtype;
    int all = c->dtype == MBS_DT_F32;
    return c->keep || !mbs_dtype_is_float(was) || !(all || spec->matrix) ? was : c->dtype;
}

/* Tied weights are written once: a head that is the table itself, of which a .bin tells the place twice. */
static int is_table_again(const mbs_st_tensor *t, const mbs_st *file, const mbs_spec *spec, const mbs_st_tensor *table,
                          const mbs_st *table_file) {
    return spec->tied && file == table_file && t->begin == table->begin && t->end == table->end;
}

static mbs_status choose(conversion *c, const mbs_names *names) {
    const mbs_st *table_file;
    const mbs_st_tensor *table = mbs_st_set_find(&c->set, names->embedding, &table_file);
    c->items = mbs_calloc(c->specs.n, sizeof *c->items);
    if (!c->items) {
        return mbs_fail_memory(c->err, c->folder, c->specs.n * sizeof *c->items);
    }
    for (size_t i = 0; i < c->specs.n; i++) {
        const mbs_spec *spec = &c->specs.items[i];
        const mbs_st *file = NULL;
        const mbs_st_tensor *t = mbs_st_set_find(&c->set, spec->name, &file);
        if (!t) {
            continue; /* the check let it pass */
        }
        if (table && is_table_again(t, file, spec, table, table_file)) {
            c->report->dropped++;
            continue;
        }
        moved *m = &c->items[c->n];
        *m = (moved){file, t, type_of(c, t, spec), mbs_strdup(spec->name)};
        if (!m->name) {
            return mbs_fail_memory(c->err, c->folder, sizeof spec->name);
        }
        c->n++;
    }
    qsort(c->items, c->n, sizeof *c->items, by_name);
    return MBS_OK;
}

/* --- values ------------------------------------------------------------------------------------------------------ */

static uint16_t to_f16(float f) {
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    uint16_t sign = (uint16_t)(b >> 16 & 0x8000u);
    b &= 0x7FFFFFFFu;
    if (b >= 0x7F800000u) {
        return (uint16_t)(sign | (b > 0x7F800000u ? 0x7E00u : 0x7C00u));
    }
    if (b < 0x38800000u) { /* below the least normal half: a multiple of 2^-24, which a float's addition rounds to */
        float v;
        memcpy(&v, &b, sizeof v);
        v += 0.5f;
        memcpy(&b, &v, sizeof b);
        return (uint16_t)(sign | (b - 0x3F000000u));
    }
    b += 0xFFFu + (b >> 13 & 1);
    b -= 112u << 23;
    return (uint16_t)(sign | (b >= 0x0F800000u ? 0x7C00u : b >> 13));
}

static int is_finite_bits(uint16_t h, mbs_dtype to) {
    unsigned exponent = to == MBS_DT_BF16 ? 0x7F80u : 0x7C00u;
    return (h & exponent) != exponent;
}

/* Writes `n` values of f32 as `to`; 0 where one that was finite is not any more. */
static int narrow(const float *from, size_t n, mbs_dtype to, uint16_t *out) {
    int fits = 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        out[i] = to == MBS_DT_BF16 ? mbs_st_bf16(from[i]) : to_f16(from[i]);
        fits &= is_finite_bits(out[i], to) || (bits & 0x7F800000u) == 0x7F800000u;
    }
    return fits;
}

static mbs_status cannot_hold(const conversion *c, const moved *m) {
    mbs_fail(c->err, MBS_ERR_DATA, mbs_st_path(m->file), "tensor '%.120s' has values that %s cannot hold", m->name,
             mbs_dtype_name(m->to));
    mbs_err_fix(c->err, "take --dtype bf16 or f32");
    return MBS_ERR_DATA;
}

/* `wide` and `narrowed` have room for BLOCK values. */
static mbs_status write_values(const conversion *c, const moved *m, mbs_st_writer *w, float *wide, uint16_t *narrowed) {
    mbs_dtype from = (mbs_dtype)m->t->dtype;
    const unsigned char *data = mbs_st_data(m->file, m->t);
    size_t n = (size_t)mbs_st_elements(m->t);
    size_t size = mbs_st_dtype_size(from);
    if (from == m->to) {
        return mbs_st_writer_add(w, data, n * size, c->err);
    }
    mbs_status st = MBS_OK;
    for (size_t at = 0; at < n && st >= 0; at += BLOCK) {
        size_t k = n - at < BLOCK ? n - at : BLOCK;
        mbs_st_widen(from, data + at * size, k, wide);
        if (m->to == MBS_DT_F32) {
            st = mbs_st_writer_add(w, wide, k * sizeof *wide, c->err);
        } else {
            st = narrow(wide, k, m->to, narrowed) ? mbs_st_writer_add(w, narrowed, k * sizeof *narrowed, c->err)
                                                  : cannot_hold(c, m);
        }
    }
    return st;
}

static mbs_status write_all(const conversion *c, mbs_st_writer *w) {
    float *wide = mbs_alloc(BLOCK * sizeof *wide);
    uint16_t *narrowed = mbs_alloc(BLOCK * sizeof *narrowed);
    mbs_status st = wide && narrowed ? MBS_OK : mbs_fail_memory(c->err, c->out, BLOCK * sizeof *wide);
    for (size_t i = 0; i < c->n && st >= 0; i++) {
        st = write_values(c, &c->items[i], w, wide, narrowed);
    }
    mbs_free(wide);
    mbs_free(narrowed);
    return st;
}

static mbs_status write_weights(conversion *c, const char *folder) {
    mbs_st_writer w;
    char *path = mbs_path_join(folder, "model.safetensors");
    mbs_st_decl *decls = mbs_calloc(c->n + 1, sizeof *decls);
    mbs_status st = path && decls ? MBS_OK : mbs_fail_memory(c->err, folder, c->n * sizeof *decls);
    for (size_t i = 0; i < c->n && st >= 0; i++) {
        const moved *m = &c->items[i];
        decls[i] = (mbs_st_decl){m->name, m->to, m->t->ndim, {0}};
        memcpy(decls[i].dims, mbs_st_dims(m->file, m->t), (size_t)m->t->ndim * sizeof decls[i].dims[0]);
        c->report->bytes += mbs_st_elements(m->t) * (int64_t)mbs_st_dtype_size(m->to);
    }
    st = st < 0 ? st : mbs_st_writer_open(path, decls, c->n, &w, c->err);
    if (st >= 0) {
        mbs_err late = {0};
        st = write_all(c, &w);
        mbs_status closed = mbs_st_writer_close(&w, st < 0 ? &late : c->err);
        st = st < 0 ? st : closed;
    }
    c->report->tensors = (int64_t)c->n;
    mbs_free(decls);
    mbs_free(path);
    return st;
}

/* --- the other files --------------------------------------------------------------------------------------------- */

/* The names that the type of the weights goes by in a config.json. */
static int names_type(const char *key, size_t len) {
    static const char *const keys[] = {"\"torch_dtype\"", "\"dtype\""};
    return (len == strlen(keys[0]) && memcmp(key, keys[0], len) == 0) ||
           (len == strlen(keys[1]) && memcmp(key, keys[1], len) == 0);
}

/* Behind the string that begins at `at`; NULL: it does not end. */
static const char *string_end(const char *at) {
    for (at++; *at && *at != '"'; at++) {
        at += at[0] == '\\' && at[1];
    }
    return *at ? at + 1 : NULL;
}

/* What config.json says of the type of its weights is made true: "torch_dtype": "float32" -> what they are now. Keys of
 * objects inside (quantization_config, say) speak of something else and stay. */
static void put_config(const char *text, mbs_dtype dtype, mbs_buf *out) {
    const char *name = dtype == MBS_DT_BF16 ? "bfloat16" : dtype == MBS_DT_F16 ? "float16" : "float32";
    const char *done = text;
    int depth = 0;
    for (const char *at = text; at && *at;) {
        if (*at != '"') {
            depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
            at++;
            continue;
        }
        const char *end = string_end(at);
        const char *value = end ? end + strspn(end, " \t\r\n") : NULL;
        value = value && *value == ':' ? value + 1 + strspn(value + 1, " \t\r\n") : NULL;
        const char *value_end = value && *value == '"' ? string_end(value) : NULL;
        if (value_end && depth == 1 && names_type(at, (size_t)(end - at))) {
            mbs_buf_append(out, done, (size_t)(value - done));
            mbs_buf_printf(out, "\"%s\"", name);
            done = end = value_end;
        }
        at = end;
    }
    mbs_buf_puts(out, done);
}

static mbs_status copy_files(conversion *c, const char *to) {
    mbs_status st = MBS_OK;
    for (int i = 0; files[i] && st >= 0; i++) {
        char *path = mbs_path_join(c->folder, files[i]);
        char *data = NULL;
        size_t len = 0;
        if (!path) {
            return mbs_fail_memory(c->err, c->folder, strlen(files[i]));
        }
        if (strcmp(files[i], "model.safetensors") != 0 && mbs_path_exists(path)) {
            mbs_buf config = MBS_BUF_INIT;
            st = mbs_path_read(path, COPY_MAX, &data, &len, c->err);
            if (st >= 0 && i == 0 && !c->keep) {
                put_config(data, c->dtype, &config);
                st = config.failed ? mbs_fail_memory(c->err, path, len)
                                   : mbs_new_folder_put(to, files[i], config.data, config.len, c->err);
            } else if (st >= 0) {
                st = mbs_new_folder_put(to, files[i], data, len, c->err);
            }
            mbs_buf_free(&config);
            c->report->files++;
        }
        mbs_free(data);
        mbs_free(path);
    }
    return st;
}

static mbs_status write_folder(conversion *c, int force) {
    mbs_new_folder f;
    if (mbs_path_same(c->folder, c->out)) {
        mbs_fail(c->err, MBS_ERR_USAGE, c->out, "is the folder that is read");
        mbs_err_fix(c->err, "give the output another name");
        return MBS_ERR_USAGE;
    }
    mbs_status st = mbs_new_folder_begin(c->out, files, force, &f, c->err);
    if (st < 0) {
        return st;
    }
    st = copy_files(c, f.temp);
    st = st < 0 ? st : write_weights(c, f.temp);
    st = mbs_new_folder_end(&f, st, c->err);
    if (st < 0) {
        mbs_err_kept(c->err, "nothing was written to %s", c->out);
    }
    return st;
}

mbs_status mbs_model_convert(const char *folder, const char *out, const char *dtype, int force,
                             mbs_convert_report *report, mbs_err *err) {
    conversion c = {.folder = folder, .out = out, .report = report, .err = err};
    mbs_model_config cfg;
    mbs_names names;
    memset(report, 0, sizeof *report);
    c.keep = strcmp(dtype, "keep") == 0;
    c.dtype = strcmp(dtype, "bf16") == 0 ? MBS_DT_BF16 : strcmp(dtype, "f16") == 0 ? MBS_DT_F16 : MBS_DT_F32;
    mbs_status st = mbs_config_load(folder, &cfg, err);
    st = st < 0 ? st : mbs_model_check_letters(folder, err);
    st = st < 0 ? st : mbs_st_set_open(folder, &c.set, err);
    if (st < 0) {
        return st;
    }
    st = mbs_specs_of_set(&c.set, &cfg, &names, &c.specs, err);
    st = st < 0 ? st : choose(&c, &names);
    st = st < 0 ? st : write_folder(&c, force);
    for (size_t i = 0; i < c.n; i++) {
        mbs_free(c.items[i].name);
    }
    mbs_free(c.items);
    mbs_specs_free(&c.specs);
    mbs_st_set_close(&c.set);
    return st;
}
