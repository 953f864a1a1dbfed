/* What class a record is of: the folder that its file lies in, its description, or a word of it. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "reader.h"

mbs_status fa_label_params(fa_reader *r) {
    const mbs_host *h = r->host;
    const char *word = h->param_string(r->params, "label");
    size_t n = word ? strlen(word) : 0;
    r->label_kind = FA_LABEL_NONE;
    if (n == 0 || strcmp(word, "none") == 0) {
        return MBS_OK;
    }
    if (strcmp(word, "folder") == 0) {
        r->label_kind = FA_LABEL_FOLDER;
        return MBS_OK;
    }
    r->label_kind = strcmp(word, "description") == 0 ? FA_LABEL_DESCRIPTION : FA_LABEL_KEY;
    r->label_key = word;
    if (r->label_kind == FA_LABEL_KEY && (n < 2 || word[n - 1] != '=')) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, "label",
                    "'label' is '%.100s', must be none, folder, description, or a key of the header line with "
                    "its equals sign, as in 'class='",
                    word);
        return st;
    }
    if (r->by_region) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "label", "regions are found by an index, which has no header lines");
        h->hint(h, "use label: folder, or leave out the regions");
        return st;
    }
    return MBS_OK;
}

/* The folder that a file lies in, by its name as it was written: "a/b/x.fa" -> "b". 0: it has none with a name. */
static int folder_of(const char *path, const char **name, size_t *n) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) {
        return 0;
    }
    const char *begin = slash;
    while (begin > path && begin[-1] != '/') {
        begin--;
    }
    *name = begin;
    *n = (size_t)(slash - begin);
    return *n > 0 && !(*n == 1 && begin[0] == '.') && !(*n == 2 && begin[0] == '.' && begin[1] == '.');
}

/* The value behind r->label_key in `text`, which begins a word: up to a blank, or between quotes. */
static int value_of(const char *text, const char *key, const char **value, size_t *n) {
    size_t len = strlen(key);
    for (const char *p = text; p && *p;) {
        p += strspn(p, " \t");
        if (strncmp(p, key, len) == 0) {
            int quoted = p[len] == '"';
            *value = p + len + quoted;
            *n = strcspn(*value, quoted ? "\"" : " \t");
            return 1;
        }
        p += strcspn(p, " \t");
    }
    return 0;
}

mbs_status fa_label_set(fa_reader *r) {
    const mbs_host *h = r->host;
    const char *text = r->record.description ? r->record.description : "";
    const char *label = text;
    size_t n = strlen(text);
    r->record.label = NULL;
    if (r->label_kind == FA_LABEL_NONE) {
        return MBS_OK;
    }
    if (r->label_kind == FA_LABEL_FOLDER && !folder_of(r->files[r->record.source].path, &label, &n)) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "path", "label: folder, and '%.200s' lies in no folder with a name",
                                r->files[r->record.source].path);
        h->hint(h, "name the files as CLASS/FILE, or the folder that holds a folder for each class");
        return st;
    }
    if (r->label_kind == FA_LABEL_KEY && !value_of(text, r->label_key, &label, &n)) {
        return fa_parse_fail(&r->parser, "no '%s' in the header line", r->label_key);
    }
    if (n == 0) {
        return fa_parse_fail(&r->parser, "an empty label%s",
                             r->label_kind == FA_LABEL_DESCRIPTION ? ": nothing stands behind its name" : "");
    }
    mbs_status st = fa_text_set(h, &r->label, label, n);
    r->record.label = r->label.s;
    return st;
}

/* ---- a folder of folders ---- */

static int has_letters(const char *name) {
    static const char *const ends[] = {".fa", ".fasta", ".fna", ".ffn", ".fq", ".fastq"};
    static const char *const packed[] = {"", ".gz", ".bgz"};
    size_t n = strlen(name);
    for (size_t i = 0; name[0] != '.' && i < sizeof(ends) / sizeof(ends[0]); i++) {
        for (size_t k = 0; k < sizeof(packed) / sizeof(packed[0]); k++) {
            size_t a = strlen(ends[i]);
            size_t b = strlen(packed[k]);
            if (n > a + b && strcmp(name + n - b, packed[k]) == 0 && memcmp(name + n - b - a, ends[i], a) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

static int is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static mbs_status add_path(fa_reader *r, const char *path) {
    const mbs_host *h = r->host;
    size_t n = strlen(path) + 1;
    char **grown = h->realloc(h, r->found, (size_t)(r->n_found + 1) * sizeof(*grown));
    char *copy = grown ? h->alloc(h, n) : NULL;
    r->found = grown ? grown : r->found;
    if (!copy) {
        return h->fail(h, MBS_ERR_MEMORY, "path", "no memory for the names of files");
    }
    memcpy(copy, path, n);
    r->found[r->n_found++] = copy;
    return MBS_OK;
}

/* Calls `each` for every entry of a folder but hidden ones. */
static mbs_status look_into(fa_reader *r, const char *folder, mbs_status (*each)(fa_reader *r, const char *path)) {
    const mbs_host *h = r->host;
    DIR *d = opendir(folder);
    mbs_status st =
        d ? MBS_OK : h->fail(h, MBS_ERR_NOINPUT, "path", "cannot look into '%s': %s", folder, strerror(errno));
    for (struct dirent *e = d ? readdir(d) : NULL; e && st == MBS_OK; e = readdir(d)) {
        size_t n = strlen(folder) + strlen(e->d_name) + 2;
        char *path = e->d_name[0] == '.' ? NULL : h->alloc(h, n);
        if (path) {
            size_t len = strlen(folder);
            memcpy(path, folder, len);
            path[len] = '/';
            memcpy(path + len + (folder[len - 1] != '/'), e->d_name, strlen(e->d_name) + 1);
            st = each(r, path);
            h->free(h, path);
        } else if (e->d_name[0] != '.') {
            st = h->fail(h, MBS_ERR_MEMORY, "path", "no memory for a name");
        }
    }
    if (d) {
        closedir(d);
    }
    return st;
}

static mbs_status in_class(fa_reader *r, const char *path) {
    const char *slash = strrchr(path, '/');
    return has_letters(slash + 1) && !is_folder(path) ? add_path(r, path) : MBS_OK;
}

static mbs_status in_top(fa_reader *r, const char *path) {
    const mbs_host *h = r->host;
    const char *slash = strrchr(path, '/');
    if (is_folder(path)) {
        int64_t before = r->n_found;
        mbs_status st = look_into(r, path, in_class);
        if (st == MBS_OK && r->n_found == before) {
            st = h->fail(h, MBS_ERR_NOINPUT, "path", "the folder '%s' holds no FASTA or FASTQ file", path);
            h->hint(h, "put sequences of that class there, or remove the folder");
        }
        return st;
    }
    if (!has_letters(slash + 1)) {
        return MBS_OK; /* a README, a list of sums */
    }
    mbs_status st =
        h->fail(h, MBS_ERR_DATA, "path", "'%s' lies beside the folders of the classes, in none of them", path);
    h->hint(h, "move it into the folder of its class");
    return st;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files in the order of their names: by class, then within it. */
static mbs_status list_folder(fa_reader *r, const char *folder) {
    const mbs_host *h = r->host;
    int64_t first = r->n_found;
    mbs_status st = look_into(r, folder, in_top);
    if (st == MBS_OK && r->n_found == first) {
        st = h->fail(h, MBS_ERR_NOINPUT, "path", "'%s' holds no folder with sequences", folder);
        h->hint(h, "with label: folder a folder holds one folder for each class");
    }
    if (st == MBS_OK) {
        qsort(r->found + first, (size_t)(r->n_found - first), sizeof(*r->found), by_bytes);
    }
    return st;
}

mbs_status fa_label_files(fa_reader *r) {
    const mbs_host *h = r->host;
    int folders = 0;
    for (int64_t i = 0; i < r->n_files; i++) {
        folders += is_folder(r->files[i].path);
    }
    if (r->label_kind != FA_LABEL_FOLDER || folders == 0) {
        return MBS_OK;
    }
    for (int64_t i = 0; i < r->n_files; i++) {
        const char *path = r->files[i].path;
        mbs_status st = is_folder(path) ? list_folder(r, path) : add_path(r, path);
        if (st != MBS_OK) {
            return st;
        }
    }
    fa_file *files = h->realloc(h, r->files, (size_t)r->n_found * sizeof(*files));
    r->files = files ? files : r->files;
    mbs_source *sources = files ? h->realloc(h, r->sources, (size_t)r->n_found * sizeof(*sources)) : NULL;
    if (!sources) {
        return h->fail(h, MBS_ERR_MEMORY, "path", "no memory for %lld files", (long long)r->n_found);
    }
    r->sources = sources;
    memset(r->files, 0, (size_t)r->n_found * sizeof(*r->files));
    r->n_files = r->n_found;
    for (int64_t i = 0; i < r->n_files; i++) {
        r->files[i].path = r->found[i];
    }
    return MBS_OK;
}

void fa_label_free(fa_reader *r) {
    for (int64_t i = 0; i < r->n_found; i++) {
        r->host->free(r->host, r->found[i]);
    }
    r->host->free(r->host, r->found);
    fa_text_free(r->host, &r->label);
}
