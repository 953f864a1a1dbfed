/* The bytes of a stream. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "input.h"
#include "io/rowfile/nameless.h"
#include "mambaseq/ext/live.h"

#define SLICE 50 /* ms between two looks at whether the run is to stop */

int au_ended(const au_input *in) {
    const mbs_ext_live *live = in->live ? in->host->get_extension(in->host, MBS_EXT_LIVE) : NULL;
    return live && live->ended(in->host);
}

int au_fill(au_input *in, int wait) {
    if (in->pos > 0) {
        memmove(in->window, in->window + in->pos, in->len - in->pos);
        in->len -= in->pos;
        in->pos = 0;
    }
    for (int waited = 0; !in->eof;) {
        if (au_ended(in)) {
            in->eof = 1;
            in->left = in->left < 0 ? -1 : 0;
            break;
        }
        struct pollfd p = {.fd = in->fd, .events = POLLIN};
        int slice = wait - waited < SLICE ? wait - waited : SLICE;
        int ready = in->regular ? 1 : poll(&p, 1, slice);
        if (ready > 0) {
            ssize_t n = read(in->fd, in->window + in->len, AU_WINDOW - in->len);
            if (n > 0) {
                in->len += (size_t)n;
                return 1;
            }
            if (n < 0 && errno != EINTR && errno != EAGAIN) {
                return AU_BROKEN;
            }
            in->eof = n == 0;
        } else if (ready < 0 && errno != EINTR) {
            return AU_BROKEN;
        } else if ((waited += slice) >= wait) {
            return 0;
        }
    }
    return AU_EOF;
}

int au_need(au_input *in, size_t n) {
    while (in->len - in->pos < n) {
        int got = au_fill(in, SLICE);
        if (got < 0) {
            return got;
        }
        if (in->host->cancelled(in->host)) {
            return AU_BROKEN;
        }
    }
    return 1;
}

mbs_status au_read_failed(au_input *in) {
    if (in->host->cancelled(in->host)) {
        return in->host->fail(in->host, MBS_ERR_STOPPED, NULL, "stopped while waiting for input");
    }
    return in->host->fail(in->host, MBS_ERR_IO, "path", "%s: cannot be read: %s", au_show(in->path), strerror(errno));
}

static int put_all(int fd, const unsigned char *p, size_t n) {
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno != EINTR) {
            return -1;
        }
        p += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return 0;
}

mbs_status au_spool(au_input *in) {
    const mbs_host *h = in->host;
    int fd = mbs_rowfile_nameless();
    int bad = fd < 0;
    int got = 1;
    while (!bad && got >= 0) {
        bad = put_all(fd, in->window + in->pos, in->len - in->pos) != 0;
        in->pos = in->len = 0;
        got = bad || h->cancelled(h) ? AU_BROKEN : au_fill(in, SLICE);
    }
    mbs_status st = MBS_OK;
    if (bad) {
        st = h->fail(h, MBS_ERR_IO, "path", "%s: cannot be kept in a temporary file: %s", au_show(in->path),
                     strerror(errno));
        h->hint(h, "such a container cannot be decoded as it comes: set TMPDIR to a folder with room for it, or name a "
                   "file");
    } else if (got == AU_BROKEN) {
        st = au_read_failed(in);
    } else if (lseek(fd, 0, SEEK_SET) != 0) {
        st = h->fail(h, MBS_ERR_IO, "path", "the temporary file cannot be read: %s", strerror(errno));
    }
    if (st != MBS_OK) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return st;
    }
    (void)close(in->fd);
    in->fd = fd;
    in->regular = 1;
    in->eof = 0;
    return MBS_OK;
}
