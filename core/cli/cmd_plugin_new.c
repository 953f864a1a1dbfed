/* cmd_plugin_new.c - `mambaseq plugin new`: a folder that builds a plugin, from share:template. Files of common/ and of
 * the kind's own folder are copied with @WORDS@ replaced and ".in" taken off; plugin.c.in becomes NAME.c. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "cli/cli.h"
#include "model/new_folder.h"

#define MAX_FILES 16
#define MAX_BYTES ((size_t)1 << 18)
#define MAX_NAME 48
#define SUFFIX ".in"

/* What stands for the words of a template. */
typedef struct words {
    const char *name;
    const char *source; /* tabseq.c */
    int cxx;
} words;

/* A file of the template and how it is called in the new folder. */
typedef struct copies {
    char *from[MAX_FILES];
    char *to[MAX_FILES + 1]; /* ended by NULL, as mbs_new_folder takes it */
    int n;
} copies;

static void copies_free(copies *c) {
    for (int i = 0; i < c->n; i++) {
        mbs_free(c->from[i]);
        mbs_free(c->to[i]);
    }
}

static mbs_status check_name(const char *name, mbs_err *err) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    int starts = name[0] >= 'a' && name[0] <= 'z';
    if (starts && name[n] == '\0' && n <= MAX_NAME) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_USAGE, "plugin new", "'%s' is not a name for a plugin: %s", name,
             starts && name[n] == '\0' ? "it is too long" : "lower-case letters, digits and _, a letter first");
    mbs_err_fix(err, "the name becomes a file (mbsp_NAME.so) and an id: take one such as my_format");
    return MBS_ERR_USAGE;
}

static const char *value_of(const words *w, const char *word, size_t len) {
    const struct {
        const char *word;
        const char *value;
    } table[] = {{"NAME", w->name},
                 {"SOURCE", w->source},
                 {"LANGUAGE", w->cxx ? "CXX" : "C"},
                 {"COMPILER", w->cxx ? "CXX" : "CC"},
                 {"FLAGS", w->cxx ? "CXXFLAGS" : "CFLAGS"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strlen(table[i].word) == len && memcmp(table[i].word, word, len) == 0) {
            return table[i].value;
        }
    }
    return NULL;
}

static void expand(const words *w, const char *text, mbs_buf *out) {
    while (*text) {
        size_t plain = strcspn(text, "@");
        mbs_buf_append(out, text, plain);
        text += plain;
        if (*text == '@') {
            size_t len = strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
            const char *value = text[1 + len] == '@' ? value_of(w, text + 1, len) : NULL;
            if (value) {
                mbs_buf_puts(out, value);
                text += len + 2;
            } else {
                mbs_buf_putc(out, *text++);
            }
        }
    }
}

static int is_template(const struct dirent *e) {
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > strlen(SUFFIX) && strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX) == 0;
}

/* "plugin.c.in" -> NAME.c, NULL where it is for the other language; "Makefile.in" -> "Makefile". */
static char *name_of(const words *w, const char *file) {
    if (strncmp(file, "plugin.", 7) == 0) {
        return strcmp(file, w->cxx ? "plugin.cc.in" : "plugin.c.in") == 0 ? mbs_strdup(w->source) : NULL;
    }
    char *name = mbs_strdup(file);
    if (name) {
        name[strlen(name) - strlen(SUFFIX)] = '\0';
    }
    return name;
}

/* Adds the files of one folder of the template. */
static mbs_status collect(const char *folder, const words *w, copies *c, mbs_err *err) {
    struct dirent **list = NULL;
    char *dir = mbs_path_resolve(folder);
    int n = dir ? scandir(dir, &list, is_template, alphasort) : 0;
    mbs_status st = dir ? MBS_OK : mbs_fail_memory(err, folder, strlen(folder));
    if (dir && n <= 0) {
        st = mbs_fail(err, MBS_ERR_UNAVAILABLE, dir, "there is no template");
        mbs_err_fix(err, "install mambaseq again: share/mambaseq/template belongs to it");
    }
    for (int i = 0; i < n; i++) {
        char *to = st == MBS_OK && c->n < MAX_FILES ? name_of(w, list[i]->d_name) : NULL;
        if (to) {
            c->from[c->n] = mbs_path_join(dir, list[i]->d_name);
            c->to[c->n] = to;
            st = c->from[c->n++] ? MBS_OK : mbs_fail_memory(err, folder, strlen(folder));
        }
        free(list[i]);
    }
    free(list);
    mbs_free(dir);
    return st;
}

static mbs_status put_file(const char *folder, const char *from, const char *to, const words *w, mbs_err *err) {
    char *text = NULL;
    size_t len = 0;
    mbs_buf out = MBS_BUF_INIT;
    mbs_status st = mbs_path_read(from, MAX_BYTES, &text, &len, err);
    if (st == MBS_OK) {
        expand(w, text, &out);
        st = out.failed ? mbs_fail_memory(err, from, len)
                        : mbs_new_folder_put(folder, to, mbs_buf_str(&out), out.len, err);
    }
    mbs_buf_free(&out);
    mbs_free(text);
    return st;
}

static mbs_status make(const char *folder, const char *kind, const words *w, mbs_err *err) {
    copies c = {.n = 0};
    mbs_new_folder made;
    mbs_buf own = MBS_BUF_INIT;
    mbs_buf_printf(&own, "share:template/%s", kind);
    mbs_status st =
        own.failed ? mbs_fail_memory(err, kind, strlen(kind)) : collect("share:template/common", w, &c, err);
    if (st == MBS_OK) {
        st = collect(mbs_buf_str(&own), w, &c, err);
    }
    if (st == MBS_OK) {
        st = mbs_new_folder_begin(folder, (const char *const *)c.to, 0, &made, err);
        if (st == MBS_OK) {
            for (int i = 0; i < c.n && st >= 0; i++) {
                st = put_file(made.temp, c.from[i], c.to[i], w, err);
            }
            st = mbs_new_folder_end(&made, st, err);
        } else if (err->status == MBS_ERR_CREATE) {
            err->fix[0] = '\0'; /* there is no --force here */
            mbs_err_fix(err, "take another name, or another place with -o FOLDER");
        }
    }
    mbs_buf_free(&own);
    copies_free(&c);
    return st;
}

int mbs_cmd_plugin_new(const mbs_opt_values *v) {
    mbs_err err;
    mbs_buf source = MBS_BUF_INIT;
    const char *name = mbs_opt_operand(v, 0);
    const char *kind = mbs_opt_text(v, MBS_OPT_KIND);
    const char *told = mbs_opt_text(v, MBS_OPT_OUTPUT);
    const char *folder = told ? told : name;
    int cxx = strcmp(mbs_opt_text(v, MBS_OPT_LANG), "c++") == 0;
    mbs_err_clear(&err);
    mbs_status st = check_name(name, &err);
    if (st == MBS_OK) {
        mbs_buf_printf(&source, "%s.%s", name, cxx ? "cc" : "c");
        words w = {name, mbs_buf_str(&source), cxx};
        st = source.failed ? mbs_fail_memory(&err, name, strlen(name)) : make(folder, kind, &w, &err);
    }
    mbs_buf_free(&source);
    if (st != MBS_OK) {
        return mbs_cli_fail(&err);
    }
    mbs_log(MBS_LOG_INFO, "made %s: a %s in %s; next: cd %s && make test", folder, kind, cxx ? "C++" : "C", folder);
    return 0;
}
