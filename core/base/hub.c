#include "base/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"

static const char scheme[] = "hf:";

int mbs_hub_is(const char *path) {
    return strncmp(path, scheme, sizeof scheme - 1) == 0;
}

/* Set and not empty. */
static const char *told(const char *key) {
    const char *v = getenv(key);
    return v && v[0] ? v : NULL;
}

/* The folder with models--ORG--NAME in it; empty where nothing says where. */
static void cache_folder(mbs_buf *b) {
    const char *v;
    if ((v = told("HF_HUB_CACHE"))) {
        mbs_buf_puts(b, v);
    } else if ((v = told("HF_HOME"))) {
        mbs_buf_printf(b, "%s/hub", v);
    } else if ((v = told("XDG_CACHE_HOME"))) {
        mbs_buf_printf(b, "%s/huggingface/hub", v);
    } else if ((v = told("HOME"))) {
        mbs_buf_printf(b, "%s/.cache/huggingface/hub", v);
    }
}

typedef struct hub_name {
    char repo[200]; /* ORG/NAME, or NAME */
    char rev[100];  /* "main" where none is told */
} hub_name;

/* Letters, digits and ._- only, so that nothing leads out of the cache. */
static int is_part(const char *s, size_t n) {
    int dots = 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-')) {
            return 0;
        }
        dots &= c == '.';
    }
    return n > 0 && !dots;
}

static int read_name(const char *path, hub_name *out) {
    const char *name = path + sizeof scheme - 1;
    const char *at = strchr(name, '@');
    size_t n = at ? (size_t)(at - name) : strlen(name);
    const char *slash = memchr(name, '/', n);
    size_t org = slash ? (size_t)(slash - name) : 0;
    const char *rest = slash ? slash + 1 : name;
    if (n >= sizeof out->repo || (slash && !is_part(name, org)) || !is_part(rest, n - (size_t)(rest - name)) ||
        (at && (strlen(at + 1) >= sizeof out->rev || !is_part(at + 1, strlen(at + 1))))) {
        return 0;
    }
    (void)snprintf(out->repo, sizeof out->repo, "%.*s", (int)n, name);
    (void)snprintf(out->rev, sizeof out->rev, "%s", at ? at + 1 : "main");
    return 1;
}

/* models--ORG--NAME within the cache. */
static void repo_folder(const hub_name *name, mbs_buf *b) {
    cache_folder(b);
    mbs_buf_puts(b, "/models--");
    for (const char *p = name->repo; *p; p++) {
        mbs_buf_puts(b, *p == '/' ? "--" : (char[]){*p, 0});
    }
}

/* The commit that refs/REV names, or 0. */
static int read_ref(const char *repo, const char *rev, char out[100]) {
    mbs_buf path = MBS_BUF_INIT;
    char *text = NULL;
    size_t len = 0;
    mbs_err ignored = {0};
    mbs_buf_printf(&path, "%s/refs/%s", repo, rev);
    int ok = !path.failed && mbs_path_exists(path.data) && mbs_path_read(path.data, 4096, &text, &len, &ignored) >= 0;
    if (ok) {
        len = strcspn(text, " \r\n");
        ok = len < 100 && is_part(text, len);
        (void)snprintf(out, 100, "%.*s", ok ? (int)len : 0, text);
    }
    mbs_free(text);
    mbs_buf_free(&path);
    return ok;
}

char *mbs_hub_find(const char *path) {
    hub_name name;
    char commit[100];
    mbs_buf b = MBS_BUF_INIT;
    if (!mbs_hub_is(path) || !read_name(path, &name)) {
        return NULL;
    }
    repo_folder(&name, &b);
    if (b.failed || !read_ref(b.data, name.rev, commit)) {
        memcpy(commit, name.rev, sizeof commit);
    }
    mbs_buf_printf(&b, "/snapshots/%s", commit);
    char *found = !b.failed && mbs_path_is_dir(b.data) ? mbs_strdup(b.data) : NULL;
    mbs_buf_free(&b);
    return found;
}

char *mbs_hub_shown(const char *path) {
    mbs_buf cache = MBS_BUF_INIT;
    mbs_buf out = MBS_BUF_INIT;
    cache_folder(&cache);
    mbs_buf_puts(&cache, "/models--");
    const char *rest = !cache.failed && strncmp(path, cache.data, cache.len) == 0 ? path + cache.len : NULL;
    const char *snap = rest ? strstr(rest, "/snapshots/") : NULL;
    const char *commit = snap ? snap + strlen("/snapshots/") : NULL;
    size_t n = commit ? strcspn(commit, "/") : 0;
    if (commit && commit[n] == '\0' && is_part(commit, n)) {
        char main_commit[100];
        mbs_buf repo = MBS_BUF_INIT;
        mbs_buf_puts(&out, scheme);
        for (const char *p = rest; p < snap; p++) {
            int cut = p[0] == '-' && p[1] == '-';
            mbs_buf_putc(&out, cut ? '/' : *p);
            p += cut;
        }
        mbs_buf_append(&repo, path, (size_t)(snap - path));
        if (repo.failed || !read_ref(repo.data, "main", main_commit) || strcmp(main_commit, commit) != 0) {
            mbs_buf_printf(&out, "@%s", commit);
        }
        mbs_buf_free(&repo);
    }
    char *shown = out.len && !out.failed ? mbs_strdup(out.data) : NULL;
    mbs_buf_free(&out);
    mbs_buf_free(&cache);
    return shown;
}

mbs_status mbs_hub_absent(const char *path, mbs_err *err) {
    hub_name name;
    mbs_buf cache = MBS_BUF_INIT;
    if (!read_name(path, &name)) {
        mbs_fail(err, MBS_ERR_NOINPUT, path, "not a name on the Hugging Face hub");
        mbs_err_fix(err, "write hf:ORG/NAME or hf:ORG/NAME@REVISION");
        return MBS_ERR_NOINPUT;
    }
    cache_folder(&cache);
    mbs_fail(err, MBS_ERR_NOINPUT, path, "not in the local cache of Hugging Face (%.300s), and nothing is downloaded",
             mbs_buf_str(&cache));
    if (strcmp(name.rev, "main") == 0) {
        mbs_err_fix(err, "download it: huggingface-cli download %s", name.repo);
    } else {
        mbs_err_fix(err, "download it: huggingface-cli download %s --revision %s", name.repo, name.rev);
    }
    mbs_buf_free(&cache);
    return MBS_ERR_NOINPUT;
}

int mbs_hub_comes_along(const char *folder) {
    mbs_buf name = MBS_BUF_INIT;
    mbs_buf_printf(&name, "share:models/%s", folder);
    char *path = strchr(folder, '/') || name.failed ? NULL : mbs_path_resolve(name.data);
    int yes = folder[0] && path && mbs_path_is_dir(path);
    mbs_free(path);
    mbs_buf_free(&name);
    return yes;
}

mbs_status mbs_hub_need(const char *folder, mbs_err *err) {
    if (mbs_path_is_dir(folder)) {
        return MBS_OK;
    }
    if (mbs_hub_is(folder)) {
        return mbs_hub_absent(folder, err);
    }
    mbs_fail(err, MBS_ERR_NOINPUT, folder, mbs_path_exists(folder) ? "not a folder" : "no such folder");
    if (mbs_hub_comes_along(folder)) {
        mbs_err_fix(err, "did you mean 'share:models/%s'?", folder);
    } else {
        mbs_err_fix(err, "name a model folder that holds config.json and model.safetensors");
    }
    return MBS_ERR_NOINPUT;
}
