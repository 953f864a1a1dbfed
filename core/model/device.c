#include "model/device.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/places.h"

mbs_status mbs_device_parse(const char *word, mbs_device_choice *out, mbs_err *err) {
    *out = (mbs_device_choice){MBS_DEVICE_AUTO, -1};
    if (!word || strcmp(word, "auto") == 0) {
        return MBS_OK;
    }
    if (strcmp(word, "cpu") == 0) {
        out->kind = MBS_DEVICE_CPU;
        return MBS_OK;
    }
    size_t digits = strncmp(word, "cuda:", 5) == 0 ? strspn(word + 5, "0123456789") : 0;
    if (strcmp(word, "cuda") == 0 || (digits >= 1 && digits <= 4 && word[5 + digits] == '\0')) {
        out->kind = MBS_DEVICE_CUDA;
        out->index = digits ? (int32_t)strtol(word + 5, NULL, 10) : -1;
        return MBS_OK;
    }
    return mbs_fail(err, MBS_ERR_USAGE, "device", "'%.40s' is none of auto, cpu, cuda and cuda:N", word);
}

/* --- finding -------------------------------------------------------------------------------------------------------
 */

typedef struct looking {
    mbs_device_module *m;
    mbs_buf places; /* where it was not */
} looking;

static mbs_status refuse(const char *path, const mbs_buf *why, mbs_err *err) {
    mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "the CUDA backend is not loaded: it %s", why->data ? why->data : "");
    mbs_err_fix(err, "let only its owner write there, or use --device cpu");
    return MBS_ERR_UNAVAILABLE;
}

/* MBS_END: found. */
static mbs_status look(void *arg, const char *folder, mbs_err *err) {
    looking *l = arg;
    mbs_buf why = MBS_BUF_INIT;
    mbs_buf_printf(&l->places, "%s%s", l->places.len ? ", " : "", folder);
    if (l->places.failed) {
        return mbs_fail_memory(err, "device", strlen(folder));
    }
    if (folder[0] != '/') {
        return MBS_OK; /* a relative folder is refused to plugins too */
    }
    char *path = mbs_path_join(folder, MBK_CUDA_MODULE);
    if (!path) {
        return mbs_fail_memory(err, "device", strlen(folder));
    }
    if (!mbs_path_exists(path) || strlen(path) >= sizeof l->m->path) {
        mbs_free(path);
        return MBS_OK;
    }
    (void)snprintf(l->m->path, sizeof l->m->path, "%s", path);
    mbs_trust t = mbs_trust_folder(folder, &why);
    const char *judged = folder;
    if (t == MBS_TRUST_WARN) {
        mbs_log(MBS_LOG_WARNING, "%s: %s", folder, mbs_buf_str(&why));
    }
    if (t != MBS_TRUST_REFUSED) {
        mbs_buf_clear(&why);
        judged = path;
        t = mbs_trust_file(path, &why);
        if (t == MBS_TRUST_WARN) {
            mbs_log(MBS_LOG_WARNING, "%s: %s", path, mbs_buf_str(&why));
        }
    }
    mbs_status st = t == MBS_TRUST_REFUSED ? refuse(judged, &why, err) : MBS_END;
    mbs_buf_free(&why);
    mbs_free(path);
    return st;
}

mbs_status mbs_device_find(mbs_device_module *m, mbs_err *err) {
    looking l = {m, MBS_BUF_INIT};
    memset(m, 0, sizeof *m);
    mbs_status st = mbs_places_each(look, &l, err);
    if (st == MBS_OK) {
        st = mbs_fail(err, MBS_ERR_UNAVAILABLE, "device",
                      "the CUDA backend is not installed: there is no " MBK_CUDA_MODULE " in %s",
                      mbs_buf_str(&l.places));
        mbs_err_fix(err, "install or build it (-DMBS_CUDA=ON), or use --device cpu");
    }
    mbs_buf_free(&l.places);
    return st == MBS_END ? MBS_OK : st;
}

/* --- loading -------------------------------------------------------------------------------------------------------
 */

mbs_status mbs_device_load(mbs_device_module *m, mbs_err *err) {
    dlerror();
    void *handle = dlopen(m->path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *text = dlerror();
        size_t len = strlen(m->path);
        text = text ? text : "no reason given";
        text += strncmp(text, m->path, len) == 0 && strncmp(text + len, ": ", 2) == 0 ? len + 2 : 0;
        mbs_fail(err, MBS_ERR_UNAVAILABLE, m->path, "the CUDA backend cannot be loaded: %s", text);
        mbs_err_fix(err, "build or install it again for this machine, or use --device cpu");
        return MBS_ERR_UNAVAILABLE;
    }
    const mbk_module *t = dlsym(handle, MBK_MODULE_SYMBOL);
    if (!t || t->size != sizeof *t || strcmp(t->abi, MBK_ABI) != 0 || t->ops_size != sizeof(mbk_ops)) {
        const char *theirs = !t ? "none that can be told" : t->size != sizeof *t ? "one of another shape" : t->abi;
        mbs_fail(err, MBS_ERR_UNAVAILABLE, m->path,
                 "the CUDA backend belongs to another build of mambaseq: %s, and this is %s", theirs, MBK_ABI);
        mbs_err_fix(err, "install the program and its backend together, or use --device cpu");
        return MBS_ERR_UNAVAILABLE;
    }
    m->table = t;
    return MBS_OK;
}

/* --- opening -------------------------------------------------------------------------------------------------------
 */

mbs_status mbs_device_open(const mbs_device_module *m, int32_t index, mbk_ctx **out, char *name, size_t room,
                           mbs_err *err) {
    char why[512] = "";
    int32_t n = 0;
    mbk_status st = m->table->count(&n, why, sizeof why);
    if (st == MBS_OK && index >= n) {
        m->table->describe(0, name, room);
        mbs_fail(err, MBS_ERR_UNAVAILABLE, "device", "there is no cuda:%d here: this machine has %d (cuda:0 is %s)",
                 (int)index, (int)n, name);
        mbs_err_fix(err, n == 1 ? "use --device cuda" : "use --device cuda:0 to cuda:%d", (int)n - 1);
        return MBS_ERR_UNAVAILABLE;
    }
    index = index < 0 ? 0 : index;
    st = st < 0 ? st : m->table->open(index, out, why, sizeof why);
    if (st < 0) {
        mbs_fail(err, st, "device", MBS_DEVICE_NOT "%s", why);
        mbs_err_fix(err, "use --device cpu");
        return st;
    }
    m->table->describe(index, name, room);
    return MBS_OK;
}
