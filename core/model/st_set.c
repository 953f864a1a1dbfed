/* st_set.c - the weight files of a folder: one, or the shards of an index; safetensors, else PyTorch's own. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "model/safetensors.h"
#include "model/torch_bin.h"

#define MAX_SHARDS 1000

/* The forms of a folder's weights; the first that is there counts. */
typedef struct weight_form {
    const char *single;
    const char *index;
    mbs_status (*open)(const char *path, mbs_st **out, mbs_err *err);
} weight_form;

static const weight_form forms[] = {
    {"model.safetensors", "model.safetensors.index.json", mbs_st_open},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", mbs_torch_open},
};

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* `name` must be a plain file name, and the file behind it must lie in the folder. The Hugging Face cache is the one
 * known exception: its folders hold links to ../../blobs. */
static mbs_status check_name(const char *folder, const char *index, const char *name, mbs_err *err) {
    if (!name[0] || name[0] == '.' || strchr(name, '/') || strlen(name) > NAME_MAX) {
        return mbs_fail(err, MBS_ERR_DATA, index, "'%.200s' is not a file name within the folder", name);
    }
    char *path = mbs_path_join(folder, name);
    char *real = path ? realpath(path, NULL) : NULL;
    char *home = realpath(folder, NULL);
    char *in = real ? mbs_path_dir(real) : NULL;
    char *blobs = home ? mbs_path_join(home, "../../blobs") : NULL;
    char *cache = blobs ? realpath(blobs, NULL) : NULL;
    mbs_status st = MBS_OK;
    if (!path || (real && !in) || (home && !blobs)) {
        st = mbs_fail_memory(err, index, strlen(name));
    } else if (!real) {
        st = mbs_fail(err, MBS_ERR_NOINPUT, index, "names the file '%s', which is not in the folder", name);
        mbs_err_fix(err, "download the folder again, all files of it");
    } else if (!home || (strcmp(in, home) != 0 && !(cache && strcmp(in, cache) == 0))) {
        st = mbs_fail(err, MBS_ERR_DATA, index, "'%s' is a link that leads out of the folder, to %s", name, real);
        mbs_err_fix(err, "put the file itself into the folder");
    }
    free(cache);
    free(home);
    free(real);
    mbs_free(blobs);
    mbs_free(in);
    mbs_free(path);
    return st;
}

static mbs_status add_file(mbs_st_set *set, const weight_form *form, const char *folder, const char *name,
                           mbs_err *err) {
    char *path = mbs_path_join(folder, name);
    if (!path) {
        return mbs_fail_memory(err, folder, strlen(name));
    }
    mbs_status st = form->open(path, &set->files[set->n_files], err);
    set->n_files += st >= 0;
    mbs_free(path);
    return st;
}

/* The distinct file names of the index, sorted. */
static mbs_status file_names(const mbs_json *map, const char *index, const char ***out, size_t *n, mbs_err *err) {
    size_t count = 0;
    const char **names = mbs_calloc(mbs_json_len(map) + 1, sizeof *names);
    if (!names) {
        return mbs_fail_memory(err, index, (mbs_json_len(map) + 1) * sizeof *names);
    }
    *out = names;
    for (mbs_json_iter it = mbs_json_first(map); it.key; mbs_json_next(&it)) {
        if (!mbs_json_as_string(it.value, &names[count])) {
            return mbs_fail(err, MBS_ERR_DATA, index, "tensor '%.120s': its file is not a name", it.key);
        }
        count++;
    }
    qsort(names, count, sizeof *names, by_name);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++) {
        if (distinct == 0 || strcmp(names[distinct - 1], names[i]) != 0) {
            names[distinct++] = names[i];
        }
    }
    *n = distinct;
    if (distinct == 0 || distinct > MAX_SHARDS) {
        return mbs_fail(err, MBS_ERR_DATA, index, "names %zu files; 1 to %d were expected", distinct, MAX_SHARDS);
    }
    return MBS_OK;
}

/* Every tensor of the index is where it says, and none is in two files. */
static mbs_status check_map(const mbs_st_set *set, const mbs_json *map, const char *const *names, mbs_err *err) {
    for (mbs_json_iter it = mbs_json_first(map); it.key; mbs_json_next(&it)) {
        const char *name = "";
        mbs_json_as_string(it.value, &name);
        size_t k = 0;
        while (strcmp(names[k], name) != 0) {
            k++;
        }
        if (!mbs_st_find(set->files[k], it.key, strlen(it.key))) {
            return mbs_fail(err, MBS_ERR_DATA, set->index_path, "tensor '%.120s' is not in %s as the index says",
                            it.key, name);
        }
    }
    for (size_t k = 0; k < set->n_files; k++) {
        for (size_t i = 0; i < mbs_st_count(set->files[k]); i++) {
            const mbs_st_tensor *t = mbs_st_at(set->files[k], i);
            for (size_t other = 0; other < k; other++) {
                if (mbs_st_find(set->files[other], t->name, t->name_len)) {
                    return mbs_fail(err, MBS_ERR_DATA, set->index_path, "tensor '%.*s' is in %s and in %s",
                                    t->name_len > 120 ? 120 : (int)t->name_len, t->name, names[other], names[k]);
                }
            }
        }
    }
    return MBS_OK;
}

static mbs_status open_shards(const char *folder, const weight_form *form, mbs_st_set *set, mbs_err *err) {
    mbs_json *doc;
    const char **names = NULL;
    size_t n = 0;
    mbs_status st = mbs_json_load(set->index_path, MBS_JSON_MAX, &doc, err);
    if (st < 0) {
        return st;
    }
    const mbs_json *map = mbs_json_get(doc, "weight_map");
    if (mbs_json_kind_of(map) != MBS_JSON_OBJECT) {
        st = mbs_fail(err, MBS_ERR_DATA, set->index_path, "'weight_map' is missing or is not an object");
    } else {
        st = file_names(map, set->index_path, &names, &n, err);
    }
    if (st >= 0) {
        set->files = mbs_calloc(n, sizeof *set->files);
        st = set->files ? MBS_OK : mbs_fail_memory(err, set->index_path, n * sizeof *set->files);
    }
    for (size_t i = 0; i < n && st >= 0; i++) {
        st = check_name(folder, set->index_path, names[i], err);
        if (st >= 0) {
            st = add_file(set, form, folder, names[i], err);
        }
    }
    if (st >= 0) {
        st = check_map(set, map, names, err);
    }
    mbs_free(names);
    mbs_json_free(doc);
    return st;
}

/* The first file by name that is weights in a form that is not read; 0 where there is none. */
static int find_other(const char *folder, char *out, size_t size) {
    static const char *const ends[] = {".ckpt", ".pt", ".pth", ".msgpack", ".h5", ".gguf", ".bin", ".safetensors"};
    DIR *d = opendir(folder);
    out[0] = '\0';
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
            if (mbs_text_ends(e->d_name, ends[i]) && (!out[0] || strcmp(e->d_name, out) < 0)) {
                (void)snprintf(out, size, "%s", e->d_name);
            }
        }
    }
    if (d) {
        closedir(d);
    }
    return out[0] != '\0';
}

static mbs_status nothing_here(const char *folder, mbs_err *err) {
    char other[NAME_MAX + 1];
    if (!find_other(folder, other, sizeof other)) {
        mbs_fail(err, MBS_ERR_NOINPUT, folder, "no model.safetensors or pytorch_model.bin here, nor an index of them");
        mbs_err_fix(err, "name a model folder as transformers saves it");
        return MBS_ERR_NOINPUT;
    }
    mbs_fail(err, MBS_ERR_NOINPUT, folder, "no model.safetensors or pytorch_model.bin here, and %.120s is not read",
             other);
    if (mbs_text_ends(other, ".safetensors")) {
        mbs_err_fix(err, "if these are all the weights, rename it to model.safetensors");
    } else if (mbs_text_ends(other, ".bin")) {
        mbs_err_fix(err, "if these are all the weights, rename it to pytorch_model.bin");
    } else if (mbs_text_ends(other, ".ckpt") || mbs_text_ends(other, ".pt") || mbs_text_ends(other, ".pth")) {
        mbs_err_fix(err,
                    "if you trust who made it, save its weights alone in Python: c = torch.load('%.60s', "
                    "map_location='cpu'); w = c.get('state_dict', c); torch.save({k.removeprefix('model.'): v for k, "
                    "v in w.items()}, 'pytorch_model.bin')",
                    other);
    } else {
        mbs_err_fix(err, "load it where it was made and save it with transformers (save_pretrained)");
    }
    return MBS_ERR_NOINPUT;
}

/* 1 where the folder has weights of this form, which are then opened; 0 where not. */
static mbs_status open_form(const char *folder, const weight_form *form, mbs_st_set *set, mbs_err *err) {
    char *single = mbs_path_join(folder, form->single);
    char *index = mbs_path_join(folder, form->index);
    mbs_status st = 0;
    if (!single || !index) {
        st = mbs_fail_memory(err, folder, strlen(folder));
    } else if (mbs_path_exists(single)) {
        set->files = mbs_calloc(1, sizeof *set->files);
        st = set->files ? add_file(set, form, folder, form->single, err)
                        : mbs_fail_memory(err, folder, sizeof *set->files);
        st = st < 0 ? st : 1;
    } else if (mbs_path_exists(index)) {
        set->index_path = index;
        index = NULL;
        st = open_shards(folder, form, set, err);
        st = st < 0 ? st : 1;
    }
    mbs_free(single);
    mbs_free(index);
    return st;
}

mbs_status mbs_st_set_open(const char *folder, mbs_st_set *set, mbs_err *err) {
    mbs_status st = 0;
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < sizeof forms / sizeof *forms && st == 0; i++) {
        st = open_form(folder, &forms[i], set, err);
    }
    st = st == 0 ? nothing_here(folder, err) : st;
    if (st < 0) {
        mbs_st_set_close(set);
        return st;
    }
    return MBS_OK;
}

void mbs_st_set_close(mbs_st_set *set) {
    for (size_t i = 0; i < set->n_files; i++) {
        mbs_st_close(set->files[i]);
    }
    mbs_free(set->files);
    mbs_free(set->index_path);
    memset(set, 0, sizeof *set);
}

const mbs_st_tensor *mbs_st_set_find(const mbs_st_set *set, const char *name, const mbs_st **st) {
    for (size_t i = 0; i < set->n_files; i++) {
        const mbs_st_tensor *t = mbs_st_find(set->files[i], name, strlen(name));
        if (t) {
            if (st) {
                *st = set->files[i];
            }
            return t;
        }
    }
    return NULL;
}
