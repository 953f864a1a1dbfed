/*
 * bytes.h - the bytes of one input file, decompressed, through a window that can be looked into.
 *
 * A byte has two addresses: its offset in the decompressed data, and, for files that can be sought in, the place from
 * which its window can be read again (BGZF's virtual offset; for plain files the offset << 16).
 */
#ifndef FA_BYTES_H
#define FA_BYTES_H

#include <htslib/bgzf.h>
#include <stddef.h>
#include <stdint.h>

#include "mambaseq/host.h"

#define FA_WINDOW 65536 /* a BGZF block is never longer */

#define FA_PLAIN 0
#define FA_GZIP 1
#define FA_BGZIP 2

/* From here on, reading `where` gives the bytes from `at` on. In order of `at`. */
typedef struct fa_mark {
    int64_t at;
    int64_t where;
} fa_mark;

typedef struct fa_marks {
    fa_mark *list;
    int64_t n, cap;
    int exact; /* one mark for every BGZF block: from .gzi */
} fa_marks;

typedef struct fa_bytes {
    const mbs_host *host;
    const char *path; /* for messages; borrowed */
    BGZF *fp;
    int fd;            /* ours, beside the one of fp; -1: closed */
    int kind;          /* FA_PLAIN, ... */
    int regular;       /* a file that can be read twice */
    int64_t size;      /* on disk, -1 for a stream */
    uint64_t identity; /* of size and first bytes, 0 for a stream */
    uint8_t *buf;
    size_t pos, len; /* next byte and end of the window */
    int64_t at;      /* of buf[0] */
    int64_t where;   /* of buf[0] */
    int eof;
    int rewound;           /* the warning was given */
    const fa_marks *marks; /* where to seek to, or NULL */
    int64_t mark;          /* the one that the next block has to agree with, where marks are exact; -1: any */
    int misfit;            /* it did not */
    fa_marks *marks_made;  /* filled while reading, or NULL */
    mbs_status failed;     /* after FA_BROKEN */
    char why[200];         /* after FA_BROKEN: completes "x.fa.gz: " */
} fa_bytes;

#define FA_EOF (-1)
#define FA_BROKEN (-2)

/* What a message calls the file. */
const char *fa_show(const char *path);
/* Opens `path` ("-": standard input), which parameter `param` named. On failure it has told the host why. */
mbs_status fa_bytes_open(fa_bytes *in, const mbs_host *host, const char *path, const char *param);
void fa_bytes_close(fa_bytes *in);
/* The next byte without taking it; FA_EOF; FA_BROKEN. The window is not empty afterwards. */
static inline int fa_peek(fa_bytes *in);
int fa_fill(fa_bytes *in);
/* Offset of the next byte. */
static inline int64_t fa_tell(const fa_bytes *in);
/* Goes to an offset in the decompressed data; on a stream and in gzip only by reading. FA_BROKEN or 0. Behind the end
 * is no failure: the next byte is FA_EOF. */
int fa_seek(fa_bytes *in, int64_t at);
/* Goes to `at` through a place that `where` gave. */
int fa_seek_from(fa_bytes *in, fa_mark from, int64_t at);
/* 1 when the end-of-file block of a BGZF file is there or cannot be looked for. */
int fa_has_end(fa_bytes *in);
/* Tells the host the failure, with `more` behind it. */
mbs_status fa_bytes_fail(const fa_bytes *in, const char *more);

mbs_status fa_mark_add(const mbs_host *host, fa_marks *m, fa_mark mark);
void fa_marks_free(const mbs_host *host, fa_marks *m);

static inline int fa_peek(fa_bytes *in) {
    return in->pos < in->len ? in->buf[in->pos] : fa_fill(in);
}

static inline int64_t fa_tell(const fa_bytes *in) {
    return in->at + (int64_t)in->pos;
}

#endif
