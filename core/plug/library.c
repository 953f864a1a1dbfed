#include "plug/library.h"

#include <dlfcn.h>
#include <string.h>

#include "plug/fault.h"
#include "plug/registry.h"

/* What the loader's sentence means for the one who reads it. */
static void advise(const char *text, mbs_err *err) {
    const char *missing = strstr(text, ": cannot open shared object file");
    const char *undefined = strstr(text, "undefined symbol: ");
    const char *version = strstr(text, "' not found (required by");
    if (missing) {
        mbs_err_fix(err, "install the package that holds %.*s", (int)(missing - text), text);
    } else if (undefined || version) {
        mbs_err_fix(err, "it was built against another version of a library that it uses: build it again here");
    } else if (strstr(text, "invalid ELF header") || strstr(text, "file too short") ||
               strstr(text, "wrong ELF class") || strstr(text, "cannot open shared object file")) {
        mbs_err_fix(err, "this is not a shared library for this machine: build or copy it again");
    }
}

static mbs_status open_library(const char *path, const mbs_plugin_entry_table **entry, mbs_err *err) {
    dlerror();
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *text = dlerror();
        text = text ? text : "no reason given";
        size_t len = strlen(path);
        /* The loader begins with the path where the fault is in this very file; it stands in `where` already. */
        const char *said = strncmp(text, path, len) == 0 && strncmp(text + len, ": ", 2) == 0 ? text + len + 2 : text;
        mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "the plugin cannot be loaded: %s", said);
        advise(said, err);
        return MBS_ERR_UNAVAILABLE;
    }
    mbs_fault_learn(path, dlsym(handle, MBS_PLUGIN_SYMBOL));
    const mbs_plugin_entry_table *e = dlsym(handle, MBS_PLUGIN_SYMBOL);
    if (!e) {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "not a mambaseq plugin: it does not export '%s'", MBS_PLUGIN_SYMBOL);
        mbs_err_fix(err, "its author ends plugin.c with MBS_PLUGIN_DEFINE(...)");
        return MBS_ERR_UNAVAILABLE;
    }
    mbs_status rc = mbs_entry_check(e, path, err);
    if (rc == MBS_OK) {
        *entry = e;
    }
    return rc;
}

mbs_status mbs_library_open(const char *path, const mbs_plugin_entry_table **entry, mbs_err *err) {
    mbs_fault_loading(path); /* constructors run, and tables may point into nowhere */
    mbs_status rc = open_library(path, entry, err);
    mbs_fault_loading(NULL);
    return rc;
}
