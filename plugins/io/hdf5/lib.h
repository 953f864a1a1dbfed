/*
 * lib.h - the HDF5 library, entered and left: quiet, without plugins, and its errors in our words.
 */
#ifndef MBS_HDF5_LIB_H
#define MBS_HDF5_LIB_H

#include "vfd.h"

#include "mambaseq/host.h"

/* What the library is told to do is process-wide, so it is put back at leave. */
typedef struct mbs_h5_lib {
    H5E_auto2_t print;
    void *print_data;
    hid_t driver;
} mbs_h5_lib;

/* MBS_ERR_UNAVAILABLE where the library is not the version that this was built for (it would abort the process). */
mbs_status mbs_h5_enter(mbs_h5_lib *lib, const mbs_host *host);
void mbs_h5_leave(mbs_h5_lib *lib);

/* Tells the host why a call of the library failed: the driver's errno (74), no memory (71), else the library's
 * innermost message with `otherwise`. `what` completes "cannot ": "build 'scores.h5'". */
mbs_status mbs_h5_fail(const mbs_host *host, const mbs_h5_io *io, mbs_status otherwise, const char *fmt, ...)
    MBS_ATTR_PRINTF(4, 5);

#endif
