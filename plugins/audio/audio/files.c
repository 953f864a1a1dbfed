/* Which recordings there are: files, folders of them (one for each class), manifests. */
#include <dirent.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "reader.h"

static mbs_status no_memory(au_reader *r) {
    return r->host->fail(r->host, MBS_ERR_MEMORY, "path", "no memory for the names of %lld files",
                         (long long)r->n_items);
}

static char *copy_text(const mbs_host *h, const char *text, size_t n) {
    char *copy = h->alloc(h, n + 1);
    if (copy) {
        memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}

/* The source of a path: the last one where it is the same, as in manifests of pieces. */
static int64_t source_of(au_reader *r, const char *path) {
    const mbs_host *h = r->host;
    if (r->n_sources > 0 && strcmp(r->paths[r->n_sources - 1], path) == 0) {
        return r->n_sources - 1;
    }
    if ((r->n_sources & (r->n_sources - 1)) == 0) { /* room doubles at powers of two */
        size_t room = r->n_sources ? (size_t)r->n_sources * 2 : 1;
        char **grown = h->realloc(h, r->paths, room * sizeof(*grown));
        if (!grown) {
            return -1;
        }
        r->paths = grown;
    }
    char *copy = copy_text(h, path, strlen(path));
    if (!copy) {
        return -1;
    }
    r->paths[r->n_sources] = copy;
    return r->n_sources++;
}

mbs_status au_files_add(au_reader *r, const char *path, const char *label, size_t label_len, double start,
                        double seconds) {
    const mbs_host *h = r->host;
    if (r->n_items == r->room) {
        int64_t room = r->room ? r->room * 2 : 16;
        au_item *grown = h->realloc(h, r->items, (size_t)room * sizeof(*grown));
        if (!grown) {
            return no_memory(r);
        }
        r->items = grown;
        r->room = room;
    }
    au_item *it = &r->items[r->n_items];
    *it = (au_item){.source = source_of(r, path), .start = start, .seconds = seconds, .frames = -1};
    it->label = label ? copy_text(h, label, label_len) : NULL;
    if (it->source < 0 || (label && !it->label)) {
        h->free(h, it->label); /* not of the items yet */
        return no_memory(r);
    }
    r->n_items++;
    return MBS_OK;
}

mbs_status au_files_speaker(au_reader *r, const char *speaker, size_t len) {
    au_item *it = &r->items[r->n_items - 1];
    r->host->free(r->host, it->speaker);
    it->speaker = copy_text(r->host, speaker, len);
    return it->speaker ? MBS_OK : no_memory(r);
}

/* Who each is of, where an expression finds it in the path and no manifest has said it. */
static mbs_status find_speakers(au_reader *r) {
    const mbs_host *h = r->host;
    const char *text = h->param_is_set(r->params, "speaker") ? h->param_string(r->params, "speaker") : NULL;
    regex_t re;
    char why[200];
    int bad = text ? regcomp(&re, text, REG_EXTENDED) : 0;
    if (!text) {
        return MBS_OK;
    }
    if (bad || re.re_nsub < 1) {
        (void)regerror(bad, &re, why, sizeof(why));
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "speaker", "'%.100s': %s", text, bad ? why : "no group in it");
        h->hint(h, "as in '/([^/_]+)_[0-9]+[.]wav$' for anna_017.wav");
        if (!bad) {
            regfree(&re);
        }
        return st;
    }
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < r->n_items && st == MBS_OK; i++) {
        regmatch_t at[2];
        const char *path = r->paths[r->items[i].source];
        if (r->items[i].speaker) {
            continue;
        }
        if (regexec(&re, path, 2, at, 0) != 0 || at[1].rm_so < 0) {
            st = h->fail(h, MBS_ERR_DATA, "speaker", "the path '%.200s' does not match '%.100s'", path, text);
            continue;
        }
        r->items[i].speaker = copy_text(h, path + at[1].rm_so, (size_t)(at[1].rm_eo - at[1].rm_so));
        st = r->items[i].speaker ? MBS_OK : no_memory(r);
    }
    regfree(&re);
    return st;
}

static int is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *ending(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && !strchr(dot, '/') ? dot : "";
}

static int is_sound(const char *path) {
    static const char *const endings[] = {".wav",  ".flac", ".ogg", ".oga", ".opus", ".mp3",  ".aif", ".aiff",
                                          ".aifc", ".au",   ".snd", ".caf", ".w64",  ".rf64", ".wve", ".voc"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        if (strcasecmp(ending(path), endings[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The folder that a file lies in: "a/b/x.wav" -> "b". 0: none with a name. */
static size_t folder_of(const char *path, const char **name) {
    const char *slash = strrchr(path, '/');
    const char *begin = slash;
    while (begin && begin > path && begin[-1] != '/') {
        begin--;
    }
    *name = begin;
    size_t n = begin ? (size_t)(slash - begin) : 0;
    return (n == 1 && begin[0] == '.') || (n == 2 && begin[0] == '.' && begin[1] == '.') ? 0 : n;
}

static mbs_status add_file(au_reader *r, const char *path, int labelled) {
    const mbs_host *h = r->host;
    const char *label = NULL;
    if (r->labels == AU_LABEL_TRACK) {
        return au_track_of_sound(r, path);
    }
    size_t n = labelled ? folder_of(path, &label) : 0;
    if (labelled && n == 0) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, "path", "label: folder, and '%.200s' lies in no folder with a name", path);
        h->hint(h, "name the files as CLASS/FILE, or the folder that holds a folder for each class");
        return st;
    }
    return au_files_add(r, path, n ? label : NULL, n, r->start, r->seconds);
}

typedef struct names {
    char **list;
    size_t n;
} names;

static void names_free(const mbs_host *h, names *l) {
    for (size_t i = 0; i < l->n; i++) {
        h->free(h, l->list[i]);
    }
    h->free(h, l->list);
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths of what lies in a folder, hidden entries left out, by name. */
static mbs_status list(au_reader *r, const char *folder, names *out) {
    const mbs_host *h = r->host;
    DIR *d = opendir(folder);
    mbs_status st =
        d ? MBS_OK : h->fail(h, MBS_ERR_NOINPUT, "path", "cannot look into '%s': %s", folder, strerror(errno));
    for (struct dirent *e = d ? readdir(d) : NULL; e && st == MBS_OK; e = readdir(d)) {
        if (e->d_name[0] == '.') {
            continue;
        }
        size_t len = strlen(folder);
        size_t slash = len > 0 && folder[len - 1] != '/';
        char **grown = h->realloc(h, out->list, (out->n + 1) * sizeof(*grown));
        out->list = grown ? grown : out->list;
        char *path = grown ? h->alloc(h, len + slash + strlen(e->d_name) + 1) : NULL;
        if (!path) {
            st = no_memory(r);
            break;
        }
        memcpy(path, folder, len);
        path[len] = '/';
        memcpy(path + len + slash, e->d_name, strlen(e->d_name) + 1);
        out->list[out->n++] = path;
    }
    if (d) {
        (void)closedir(d);
    }
    if (out->n > 1) {
        qsort(out->list, out->n, sizeof(*out->list), by_bytes);
    }
    return st;
}

/* The sounds that lie in a folder itself. */
static mbs_status add_folder(au_reader *r, const char *folder, int labelled, int64_t *added) {
    names in = {NULL, 0};
    mbs_status st = list(r, folder, &in);
    for (size_t i = 0; i < in.n && st == MBS_OK; i++) {
        if (is_sound(in.list[i]) && !is_folder(in.list[i])) {
            st = add_file(r, in.list[i], labelled);
            *added += st == MBS_OK;
        }
    }
    names_free(r->host, &in);
    return st;
}

/* A folder of sounds, or of one folder for each class. */
static mbs_status add_tree(au_reader *r, const char *folder) {
    const mbs_host *h = r->host;
    names in = {NULL, 0};
    int64_t own = 0;
    int64_t below = 0;
    mbs_status st = add_folder(r, folder, r->labels == AU_LABEL_FOLDER, &own);
    st = st == MBS_OK ? list(r, folder, &in) : st;
    for (size_t i = 0; i < in.n && st == MBS_OK; i++) {
        int64_t added = 0;
        st = is_folder(in.list[i]) ? add_folder(r, in.list[i], r->labels != AU_LABEL_NONE, &added) : MBS_OK;
        below += added;
    }
    names_free(h, &in);
    if (st == MBS_OK && own > 0 && below > 0 && r->labels == AU_LABEL_AUTO) {
        st = h->fail(h, MBS_ERR_DATA, "path", "'%s' holds sounds and folders with sounds: what are their classes",
                     folder);
        h->hint(h, "move the %lld files beside the folders into one of them, or read without classes (label: none)",
                (long long)own);
    } else if (st == MBS_OK && own + below == 0) {
        st = h->fail(h, MBS_ERR_NOINPUT, "path", "the folder '%s' holds no sound", folder);
        h->hint(h, "it is to hold sound files, or a folder of them for each class");
    }
    return st;
}

static int has_tracks(const au_reader *r) {
    int found = 0;
    for (int64_t i = 0; i < r->host->param_count(r->params, "path"); i++) {
        found |= strcasecmp(ending(r->host->param_item(r->params, "path", i)), ".txt") == 0;
    }
    return found;
}

mbs_status au_files_find(au_reader *r) {
    const mbs_host *h = r->host;
    int64_t n = h->param_count(r->params, "path");
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < n && st == MBS_OK; i++) {
        const char *path = h->param_item(r->params, "path", i);
        if (is_folder(path)) {
            st = add_tree(r, path);
        } else if (strcasecmp(ending(path), ".tsv") == 0) {
            st = au_manifest_read(r, path);
        } else if (strcasecmp(ending(path), ".txt") == 0) {
            st = au_track_alone(r, path);
        } else {
            st = add_file(r, path, r->labels == AU_LABEL_FOLDER);
        }
    }
    if (st == MBS_OK && r->background && r->labels != AU_LABEL_TRACK && !has_tracks(r)) {
        st = h->fail(h, MBS_ERR_CONFIG, "background", "it is of what lies between labels, and there is no label track");
        h->hint(h, "label: track reads the NAME.txt beside each sound; or name the .txt");
    }
    st = st == MBS_OK ? find_speakers(r) : st;
    int streams = 0;
    for (int64_t i = 0; i < r->n_items; i++) {
        streams += strcmp(r->paths[r->items[i].source], "-") == 0;
    }
    if (st == MBS_OK && streams > 1) {
        st = h->fail(h, MBS_ERR_CONFIG, "path", "standard input can be read only once");
    }
    r->sources = st == MBS_OK ? h->alloc(h, (size_t)r->n_sources * sizeof(*r->sources) + 1) : NULL;
    for (int64_t i = 0; r->sources && i < r->n_sources; i++) {
        r->sources[i].path = r->paths[i];
    }
    return st != MBS_OK || r->sources ? st : no_memory(r);
}

void au_files_free(au_reader *r) {
    const mbs_host *h = r->host;
    for (int64_t i = 0; i < r->n_items; i++) {
        h->free(h, r->items[i].label);
        h->free(h, r->items[i].speaker);
    }
    for (int64_t i = 0; i < r->n_sources; i++) {
        h->free(h, r->paths[i]);
    }
    h->free(h, r->items);
    h->free(h, r->paths);
    h->free(h, r->sources);
}
