#include "genomics/htsutil/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <htslib/hfile.h>
#include <htslib/hts_log.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK_EVERY (256 * 1024)
#define IDENTITY_BYTES 4096

const char *fa_show(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

mbs_status fa_mark_add(const mbs_host *host, fa_marks *m, fa_mark mark) {
    if (m->n == m->cap) {
        int64_t cap = m->cap ? m->cap * 2 : 64;
        fa_mark *list = host->realloc(host, m->list, (size_t)cap * sizeof(*list));
        if (!list) {
            return MBS_ERR_MEMORY;
        }
        m->list = list;
        m->cap = cap;
    }
    m->list[m->n++] = mark;
    return MBS_OK;
}

void fa_marks_free(const mbs_host *host, fa_marks *m) {
    host->free(host, m->list);
    memset(m, 0, sizeof(*m));
}

static int broken(fa_bytes *in, mbs_status status, const char *why) {
    in->failed = status;
    (void)snprintf(in->why, sizeof(in->why), "%s", why);
    return FA_BROKEN;
}

/* Says as well as can be known what htslib could not read. */
static int broken_data(fa_bytes *in) {
    char text[160];
    int e = herrno(in->fp->fp);
    if (e) {
        char words[96];
        (void)snprintf(text, sizeof(text), "cannot be read: %s", strerror_r(e, words, sizeof(words)));
        return broken(in, MBS_ERR_IO, text);
    }
    if (in->kind != FA_BGZIP) {
        return broken(in, MBS_ERR_DATA, "truncated or damaged gzip data");
    }
    char next;
    int at_end = hpeek(in->fp->fp, &next, 1) == 0;
    (void)snprintf(text, sizeof(text),
                   at_end ? "truncated: it ends inside the BGZF block at byte %lld"
                          : "damaged BGZF data near byte %lld",
                   (long long)in->fp->block_address);
    return broken(in, MBS_ERR_DATA, text);
}

static uint64_t identity_of(int fd, int64_t size) {
    unsigned char head[IDENTITY_BYTES];
    ssize_t n = pread(fd, head, sizeof(head), 0);
    uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)size;
    for (ssize_t i = 0; i < n; i++) {
        h = (h ^ head[i]) * UINT64_C(1099511628211);
    }
    return h ? h : 1;
}

static mbs_status open_failed(const mbs_host *host, const char *path, const char *param, int e) {
    char words[96];
    return host->fail(host, e == ENOMEM ? MBS_ERR_MEMORY : MBS_ERR_NOINPUT, param, "%s: cannot be opened: %s",
                      fa_show(path), strerror_r(e, words, sizeof(words)));
}

/* A BGZF on a descriptor of its own, from where `fd` stands. */
static BGZF *attach(int fd) {
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0) {
        return NULL;
    }
    BGZF *fp = bgzf_dopen(own, "r");
    if (!fp) {
        int e = errno;
        (void)close(own);
        errno = e;
    }
    return fp;
}

mbs_status fa_bytes_open(fa_bytes *in, const mbs_host *host, const char *path, const char *param) {
    memset(in, 0, sizeof(*in));
    in->host = host;
    in->path = path;
    in->size = -1;
    hts_set_log_level(HTS_LOG_OFF); /* its words would go to stderr; ours say more */
    /* open(2), not hopen: a path is a file here, whatever URL it looks like */
    in->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (in->fd < 0 || fstat(in->fd, &st) != 0) {
        mbs_status status = open_failed(host, path, param, errno);
        fa_bytes_close(in);
        return status;
    }
    if (S_ISDIR(st.st_mode)) {
        fa_bytes_close(in);
        return host->fail(host, MBS_ERR_NOINPUT, param, "%s: is a directory", path);
    }
    in->regular = S_ISREG(st.st_mode) && strcmp(path, "-") != 0;
    if (in->regular) {
        in->size = (int64_t)st.st_size;
        in->identity = identity_of(in->fd, in->size);
    }
    in->buf = host->alloc(host, FA_WINDOW);
    in->mark = -1;
    in->fp = in->buf ? attach(in->fd) : NULL;
    if (!in->fp) {
        mbs_status status = in->buf ? open_failed(host, path, param, errno)
                                    : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory to read %s", fa_show(path));
        fa_bytes_close(in);
        return status;
    }
    in->kind = bgzf_compression(in->fp);
    return MBS_OK;
}

void fa_bytes_close(fa_bytes *in) {
    if (in->fp) {
        (void)bgzf_close(in->fp); /* reading: what could fail has failed before */
    }
    if (in->fd >= 0 && in->host) {
        (void)close(in->fd);
    }
    if (in->host) {
        in->host->free(in->host, in->buf);
    }
    memset(in, 0, sizeof(*in));
    in->fd = -1;
}

/* A .gzi that is wrong in one place would give other letters: every block that is read is held against it. */
static int agrees(fa_bytes *in) {
    const fa_marks *m = in->marks;
    if (!m || !m->exact || in->mark < 0) {
        return 1;
    }
    while (in->mark < m->n && m->list[in->mark].where < in->where) {
        in->mark++; /* of an empty block */
    }
    if (in->mark == m->n || m->list[in->mark].where != in->where || m->list[in->mark].at != in->at) {
        return 0;
    }
    in->mark++;
    return 1;
}

int fa_fill(fa_bytes *in) {
    if (in->failed) {
        return FA_BROKEN;
    }
    if (in->eof) {
        return FA_EOF;
    }
    int c = bgzf_peek(in->fp);
    if (c == FA_BROKEN) {
        return broken_data(in);
    }
    if (c < 0) {
        in->eof = 1;
        if (in->kind == FA_BGZIP && in->fp->no_eof_block) {
            return broken(in, MBS_ERR_DATA, "truncated: the end-of-file block of bgzip is missing");
        }
        return FA_EOF;
    }
    in->at += (int64_t)in->len;
    in->where = in->kind == FA_GZIP ? 0 : bgzf_tell(in->fp);
    in->pos = in->len = 0;
    int ready = in->fp->block_length - in->fp->block_offset;
    if (ready <= 0 || ready > FA_WINDOW || !agrees(in)) {
        in->misfit = 1;
        return broken(in, MBS_ERR_DATA, "its .gzi index does not fit it");
    }
    if (bgzf_read(in->fp, in->buf, (size_t)ready) != ready) {
        return broken_data(in);
    }
    in->len = (size_t)ready;
    if (in->marks_made && in->kind == FA_BGZIP) {
        fa_marks *m = in->marks_made;
        if (m->n == 0 || in->at - m->list[m->n - 1].at >= MARK_EVERY) {
            if (fa_mark_add(in->host, m, (fa_mark){in->at, in->where}) != MBS_OK) {
                return broken(in, MBS_ERR_MEMORY, "no memory for its index");
            }
        }
    }
    return in->buf[0];
}

/* Reads on until `at`. */
static int forward(fa_bytes *in, int64_t at) {
    while (fa_tell(in) < at) {
        int c = fa_peek(in);
        if (c == FA_EOF) {
            return 0;
        }
        if (c == FA_BROKEN) {
            return FA_BROKEN;
        }
        if (in->host->cancelled(in->host)) {
            return broken(in, MBS_ERR_STOPPED, "stopped while looking for a place in it");
        }
        int64_t ahead = at - fa_tell(in);
        int64_t here = (int64_t)(in->len - in->pos);
        in->pos += (size_t)(ahead < here ? ahead : here);
    }
    return 0;
}

int fa_seek_from(fa_bytes *in, fa_mark from, int64_t at) {
    if (in->failed) {
        return FA_BROKEN;
    }
    if (bgzf_seek(in->fp, from.where, SEEK_SET) != 0) {
        return broken(in, herrno(in->fp->fp) ? MBS_ERR_IO : MBS_ERR_DATA, "cannot be sought in");
    }
    in->eof = 0;
    in->pos = in->len = 0;
    in->at = from.at;
    in->where = from.where;
    return forward(in, at);
}

static int rewind_gzip(fa_bytes *in) {
    (void)bgzf_close(in->fp);
    in->fp = NULL;
    if (lseek(in->fd, 0, SEEK_SET) != 0 || !(in->fp = attach(in->fd))) {
        return broken(in, MBS_ERR_IO, "cannot be read from its beginning again");
    }
    in->eof = 0;
    in->pos = in->len = 0;
    in->at = 0;
    if (!in->rewound) {
        in->host->log(in->host, MBS_LOGLEVEL_WARNING,
                      "%s is gzip, which cannot be sought in: it is read from its beginning for every step back "
                      "(bgzip and sorted regions are faster)",
                      in->path);
        in->rewound = 1;
    }
    return 0;
}

int fa_seek(fa_bytes *in, int64_t at) {
    if (in->failed) {
        return FA_BROKEN;
    }
    if (at >= in->at && at <= in->at + (int64_t)in->len) {
        in->pos = (size_t)(at - in->at);
        return 0;
    }
    if (in->kind == FA_PLAIN && in->regular) {
        if (at > in->size) {
            at = in->size;
        }
        if (at > INT64_MAX >> 16) {
            return broken(in, MBS_ERR_DATA, "is longer than can be sought in");
        }
        return fa_seek_from(in, (fa_mark){at, at << 16}, at);
    }
    if (in->kind == FA_BGZIP && in->marks && in->marks->n > 0) {
        int64_t lo = 0;
        int64_t hi = in->marks->n; /* the mark is in [lo, hi) */
        while (hi - lo > 1) {
            int64_t mid = lo + (hi - lo) / 2;
            *(in->marks->list[mid].at <= at ? &lo : &hi) = mid;
        }
        if (at > in->at && in->at >= in->marks->list[lo].at) {
            return forward(in, at);
        }
        lo -= in->marks->exact && lo > 0; /* the block before shows whether this one is where it should be */
        in->mark = lo;
        return fa_seek_from(in, in->marks->list[lo], at);
    }
    if (at < in->at) {
        int st = in->kind == FA_GZIP ? rewind_gzip(in) : fa_seek_from(in, (fa_mark){0, 0}, at);
        if (st != 0) {
            return st;
        }
    }
    return forward(in, at);
}

int fa_has_end(fa_bytes *in) {
    return in->kind != FA_BGZIP || !in->regular || bgzf_check_EOF(in->fp) > 0;
}

mbs_status fa_bytes_fail(const fa_bytes *in, const char *more) {
    mbs_status status = in->host->fail(in->host, in->failed, NULL, "%s: %s%s", fa_show(in->path), in->why, more);
    if (in->misfit) {
        in->host->hint(in->host, "make the indexes again: samtools faidx %s", in->path);
    } else if (in->failed == MBS_ERR_DATA && in->kind != FA_PLAIN) {
        in->host->hint(in->host, "copy or download the file again and compare its checksum");
    }
    return status;
}
