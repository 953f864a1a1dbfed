/*
 * vfd.h - the file under an HDF5 file: a driver of ours instead of the library's own.
 *
 * The library's POSIX driver reports a failed write while caches are flushed at close; HDF5 1.10 then crashes in
 * H5Dclose or at exit (disk full, file-size limit). This driver never fails a write: it remembers the first error,
 * keeps what could not be written in memory (bounded by the library's caches, since the builder stops at once), so that
 * the library closes its file in good order, and the builder then reports the error with its errno. It also takes no
 * locks (those are the host's) and opens nothing by name.
 */
#ifndef MBS_HDF5_VFD_H
#define MBS_HDF5_VFD_H

#include <hdf5.h>

typedef struct mbs_h5_kept mbs_h5_kept;

typedef struct mbs_h5_io {
    int fd; /* owned by whoever made this */
    int writable;
    int error;         /* errno of the first failure, 0 while there is none */
    mbs_h5_kept *kept; /* writes behind the first failure, oldest first */
    mbs_h5_kept *last;
} mbs_h5_io;

/* Registers the driver; < 0 on failure. H5FDunregister takes it back. */
hid_t mbs_h5_vfd_register(void);
/* Makes `fapl` use the driver on `io`, which must outlive the file. */
herr_t mbs_h5_vfd_use(hid_t fapl, hid_t driver, mbs_h5_io *io);
/* Frees what was kept in memory. */
void mbs_h5_vfd_forget(mbs_h5_io *io);

#endif
