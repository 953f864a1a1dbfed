#include "vfd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

struct mbs_h5_kept {
    mbs_h5_kept *next;
    haddr_t addr;
    size_t size;
    unsigned char data[];
};

/* What a file access list carries: copied byte for byte by the library. */
typedef struct vfd_info {
    mbs_h5_io *io;
} vfd_info;

typedef struct vfd_file {
    H5FD_t pub; /* first: the library's part */
    mbs_h5_io *io;
    haddr_t eoa;
    haddr_t eof;
} vfd_file;

static const mbs_h5_io *io_of(const H5FD_t *f) {
    return ((const vfd_file *)f)->io;
}

static H5FD_t *vfd_open(const char *name, unsigned flags, hid_t fapl, haddr_t maxaddr) {
    (void)name;
    (void)maxaddr;
    const vfd_info *info = H5Pget_driver_info(fapl);
    struct stat st;
    if (!info || ((flags & H5F_ACC_RDWR) && !info->io->writable)) {
        return NULL;
    }
    if (fstat(info->io->fd, &st) != 0) {
        info->io->error = errno;
        return NULL;
    }
    if ((flags & H5F_ACC_TRUNC) && S_ISREG(st.st_mode)) {
        if (ftruncate(info->io->fd, 0) != 0) {
            info->io->error = errno;
            return NULL;
        }
        st.st_size = 0;
    }
    vfd_file *f = calloc(1, sizeof *f);
    if (!f) {
        return NULL;
    }
    f->io = info->io;
    f->eof = (haddr_t)st.st_size;
    return &f->pub;
}

static herr_t vfd_close(H5FD_t *file) {
    free(file);
    return 0;
}

static int vfd_cmp(const H5FD_t *a, const H5FD_t *b) {
    const mbs_h5_io *x = io_of(a);
    const mbs_h5_io *y = io_of(b);
    return x < y ? -1 : x > y;
}

static herr_t vfd_query(const H5FD_t *file, unsigned long *flags) {
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t vfd_get_eoa(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return ((const vfd_file *)file)->eoa;
}

static herr_t vfd_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t addr) {
    (void)type;
    ((vfd_file *)file)->eoa = addr;
    return 0;
}

static haddr_t vfd_get_eof(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return ((const vfd_file *)file)->eof;
}

/* Lays over `buf` what was kept. */
static void overlay(const mbs_h5_kept *k, haddr_t addr, size_t size, unsigned char *buf) {
    for (; k; k = k->next) {
        haddr_t lo = k->addr > addr ? k->addr : addr;
        haddr_t hi = k->addr + k->size < addr + size ? k->addr + k->size : addr + size;
        if (lo < hi) {
            memcpy(buf + (lo - addr), k->data + (lo - k->addr), (size_t)(hi - lo));
        }
    }
}

static herr_t vfd_read(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t addr, size_t size, void *buffer) {
    (void)type;
    (void)dxpl;
    mbs_h5_io *io = ((vfd_file *)file)->io;
    unsigned char *p = buffer;
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(io->fd, p + done, size - done, (off_t)(addr + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            io->error = io->error ? io->error : errno;
            return -1;
        }
        if (got == 0) {
            memset(p + done, 0, size - done); /* behind the end a file holds zeros, as far as the library cares */
            break;
        }
        done += (size_t)got;
    }
    overlay(io->kept, addr, size, p);
    return 0;
}

static void keep(mbs_h5_io *io, haddr_t addr, const unsigned char *data, size_t size) {
    mbs_h5_kept *k = malloc(sizeof *k + size);
    if (!k) {
        return; /* the file is lost already; the library will find zeros */
    }
    k->next = NULL;
    k->addr = addr;
    k->size = size;
    memcpy(k->data, data, size);
    if (io->last) {
        io->last->next = k;
    } else {
        io->kept = k;
    }
    io->last = k;
}

static herr_t vfd_write(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t addr, size_t size, const void *buffer) {
    (void)type;
    (void)dxpl;
    vfd_file *f = (vfd_file *)file;
    const unsigned char *p = buffer;
    size_t done = 0;
    while (done < size && !f->io->error) {
        ssize_t got = pwrite(f->io->fd, p + done, size - done, (off_t)(addr + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            f->io->error = got < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)got;
    }
    if (done < size) {
        keep(f->io, addr + done, p + done, size - done);
    }
    if (addr + size > f->eof) {
        f->eof = addr + size;
    }
    return 0;
}

static herr_t vfd_truncate(H5FD_t *file, hid_t dxpl, hbool_t closing) {
    (void)dxpl;
    (void)closing;
    vfd_file *f = (vfd_file *)file;
    if (f->eoa == f->eof) {
        return 0;
    }
    if (!f->io->error && ftruncate(f->io->fd, (off_t)f->eoa) != 0) {
        f->io->error = errno;
    }
    f->eof = f->eoa;
    return 0;
}

static const H5FD_class_t vfd_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600, /* 512 and up are free for anybody */
#endif
    .name = "mambaseq",
    .maxaddr = (((haddr_t)1 << 62) - 1),
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(vfd_info),
    .open = vfd_open,
    .close = vfd_close,
    .cmp = vfd_cmp,
    .query = vfd_query,
    .get_eoa = vfd_get_eoa,
    .set_eoa = vfd_set_eoa,
    .get_eof = vfd_get_eof,
    .read = vfd_read,
    .write = vfd_write,
    .truncate = vfd_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t mbs_h5_vfd_register(void) {
    return H5FDregister(&vfd_class);
}

herr_t mbs_h5_vfd_use(hid_t fapl, hid_t driver, mbs_h5_io *io) {
    vfd_info info = {io};
    return H5Pset_driver(fapl, driver, &info);
}

void mbs_h5_vfd_forget(mbs_h5_io *io) {
    while (io->kept) {
        mbs_h5_kept *k = io->kept;
        io->kept = k->next;
        free(k);
    }
    io->last = NULL;
}
