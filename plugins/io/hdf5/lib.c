#include "lib.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mbs_status mbs_h5_enter(mbs_h5_lib *lib, const mbs_host *host) {
    unsigned major = 0, minor = 0, release = 0;
    memset(lib, 0, sizeof *lib);
    /* The macros of hdf5.h compare versions as well, and abort the process where they differ: be first. */
    if (H5get_libversion(&major, &minor, &release) < 0 || major != H5_VERS_MAJOR || minor != H5_VERS_MINOR ||
        release != H5_VERS_RELEASE) {
        return host->fail(host, MBS_ERR_UNAVAILABLE, NULL, "built for HDF5 %d.%d.%d, and the library here is %u.%u.%u",
                          H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE, major, minor, release);
    }
    /* A file that names an unknown filter would make the library dlopen whatever HDF5_PLUGIN_PATH holds. */
    if (H5PLset_loading_state(0) < 0 || H5Eget_auto2(H5E_DEFAULT, &lib->print, &lib->print_data) < 0 ||
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0) {
        return host->fail(host, MBS_ERR_INTERNAL, NULL, "HDF5 cannot be set up");
    }
    lib->driver = mbs_h5_vfd_register();
    if (lib->driver < 0) {
        H5Eset_auto2(H5E_DEFAULT, lib->print, lib->print_data);
        return host->fail(host, MBS_ERR_INTERNAL, NULL, "HDF5 does not take the file driver");
    }
    return MBS_OK;
}

void mbs_h5_leave(mbs_h5_lib *lib) {
    H5FDunregister(lib->driver);
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, lib->print, lib->print_data);
}

typedef struct innermost {
    char text[256];
    int memory;
} innermost;

static herr_t look(unsigned n, const H5E_error2_t *e, void *data) {
    innermost *in = data;
    if (n == 0) {
        snprintf(in->text, sizeof in->text, "%s: %s", e->func_name ? e->func_name : "HDF5",
                 e->desc ? e->desc : "failed");
        for (char *p = in->text; *p; p++) {
            *p = *p == '\n' ? ' ' : *p;
        }
    }
    if (e->maj_num == H5E_RESOURCE && e->min_num == H5E_NOSPACE) {
        in->memory = 1;
    }
    return 0;
}

mbs_status mbs_h5_fail(const mbs_host *host, const mbs_h5_io *io, mbs_status otherwise, const char *fmt, ...) {
    char what[512];
    innermost in = {"HDF5 failed and did not say why", 0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (io && io->error) {
        if (io->error == ENOSPC || io->error == EDQUOT) {
            host->hint(host,
                       "free space on the disk of the output: the rows are spooled beside it and then built into it");
        }
        return host->fail(host, MBS_ERR_IO, "path", "cannot %s: %s", what, strerror(io->error));
    }
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look, &in);
    if (in.memory) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "cannot %s: no memory (%s)", what, in.text);
    }
    return host->fail(host, otherwise, NULL, "cannot %s: %s", what, in.text);
}
