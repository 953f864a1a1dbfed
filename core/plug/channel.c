#include "plug/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plug/slab.h"

#define MAGIC 0x6d627331u
#define STEP ((size_t)1 << 20)

static int map(mbs_area *a, size_t bytes) {
    void *at = a->at ? mremap(a->at, a->bytes, bytes, MREMAP_MAYMOVE)
                     : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
    if (at == MAP_FAILED) {
        return errno;
    }
    a->at = at;
    a->bytes = bytes;
    return 0;
}

int mbs_area_make(mbs_area *a, size_t bytes) {
    memset(a, 0, sizeof *a);
    a->fd = memfd_create("mambaseq-blocks", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (a->fd < 0) {
        return errno;
    }
    int bad = ftruncate(a->fd, (off_t)bytes) != 0 ? errno : 0;
    if (!bad && fcntl(a->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        bad = errno;
    }
    bad = bad ? bad : map(a, bytes);
    if (bad) {
        mbs_area_free(a);
    }
    return bad;
}

int mbs_area_attach(mbs_area *a, int fd) {
    struct stat st;
    memset(a, 0, sizeof *a);
    a->fd = fd;
    return fstat(fd, &st) != 0 ? errno : st.st_size <= 0 ? EINVAL : map(a, (size_t)st.st_size);
}

int mbs_area_room(mbs_area *a, size_t need) {
    if (need <= a->bytes) {
        return 0;
    }
    if (need > MBS_AREA_MAX) {
        return EFBIG;
    }
    size_t bytes = (need + need / 4 + STEP - 1) / STEP * STEP;
    if (ftruncate(a->fd, (off_t)bytes) != 0) {
        return errno;
    }
    return map(a, bytes);
}

int mbs_area_follow(mbs_area *a, uint64_t bytes) {
    struct stat st;
    if (bytes <= a->bytes) {
        return 0;
    }
    if (bytes > MBS_AREA_MAX || fstat(a->fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size < bytes) {
        return EPROTO;
    }
    return map(a, (size_t)bytes);
}

void mbs_area_free(mbs_area *a) {
    if (a->at) {
        munmap(a->at, a->bytes);
    }
    if (a->fd > 0) {
        close(a->fd);
    }
    memset(a, 0, sizeof *a);
}

void *mbs_area_copy(const mbs_area *a, size_t bytes) {
    void *copy = mbs_slab_get(bytes);
    if (copy) {
        memcpy(copy, a->at, bytes);
    }
    return copy;
}

void mbs_put_raw(mbs_put *p, const void *data, size_t n) {
    size_t end = 0;
    if (p->failed || mbs_add_overflow(p->at, n, &end) || mbs_area_room(p->area, end)) {
        p->failed = 1;
        return;
    }
    if (n) {
        memcpy(p->area->at + p->at, data, n);
    }
    p->at = end;
}

void mbs_put_u32(mbs_put *p, uint32_t v) {
    mbs_put_raw(p, &v, sizeof v);
}

void mbs_put_i64(mbs_put *p, int64_t v) {
    mbs_put_raw(p, &v, sizeof v);
}

void mbs_put_f64(mbs_put *p, double v) {
    mbs_put_raw(p, &v, sizeof v);
}

void mbs_put_text(mbs_put *p, const char *s) {
    size_t n = s ? strlen(s) + 1 : 0; /* with its NUL: 0 is NULL */
    mbs_put_i64(p, (int64_t)n);
    mbs_put_raw(p, s, n);
}

void mbs_put_align(mbs_put *p) {
    static const char zeros[64];
    mbs_put_raw(p, zeros, (64 - p->at % 64) % 64);
}

const char *mbs_take_text(mbs_cursor *c) {
    size_t n = 0;
    const char *s = mbs_cursor_bytes(c, &n);
    if (c->failed || n == 0) {
        return NULL;
    }
    if (s[n - 1] != '\0') {
        c->failed = 1;
        return NULL;
    }
    return s;
}

void mbs_msg_init(mbs_msg *m, uint32_t op, int64_t seq) {
    memset(m, 0, sizeof *m);
    m->magic = MAGIC;
    m->op = op;
    m->seq = seq;
}

int mbs_msg_send(int fd, const mbs_msg *m, int wait) {
    size_t n = offsetof(mbs_msg, text) + m->text_bytes;
    for (;;) {
        ssize_t sent = send(fd, m, n, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
        if (sent == (ssize_t)n) {
            return 0;
        }
        if (sent >= 0 || errno != EINTR) {
            return sent >= 0 ? EIO : errno;
        }
    }
}

int mbs_msg_receive(int fd, mbs_msg *m) {
    size_t head = offsetof(mbs_msg, text);
    memset(m, 0, sizeof *m);
    ssize_t n = recv(fd, m, sizeof *m, 0);
    if (n < 0) {
        return errno == ECONNRESET ? 0 : -errno;
    }
    if (n == 0) {
        return 0;
    }
    if ((size_t)n < head || m->magic != MAGIC || m->op == 0 || m->op >= MBS_OP_LAST ||
        m->text_bytes != (size_t)n - head || m->text_bytes >= sizeof m->text) {
        return -EPROTO;
    }
    m->text[m->text_bytes] = '\0';
    return 1;
}
