/* A container back into bytes; every frame is checked before anybody sees it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"

#define MAX_ATTRS 8

typedef struct reader {
    const mbs_host *host;
    mbs_source source;
    FILE *in;
    int64_t total;
    int64_t at; /* given so far */
    int32_t pos, len;
    int begun, ended;
    mbs_stream_header header;
    mbs_record record;
    mbs_attr attrs[MAX_ATTRS];
    char text[MZ_HEADER_MAX + 1];
    char keys[MAX_ATTRS][32];
    uint8_t frame[MZ_FRAME];
} reader;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->source.path = host->param_string(params, "path");
    *self = r;
    return MBS_OK;
}

static mbs_status damaged(reader *r, const char *why) {
    mbs_status st = r->host->fail(r->host, MBS_ERR_DATA, "path", "%s: %s", r->source.path, why);
    r->host->hint(r->host, "copy or make the container again");
    return st;
}

static mbs_status get(reader *r, void *to, size_t n) {
    if (fread(to, 1, n, r->in) == n) {
        return MBS_OK;
    }
    if (ferror(r->in)) {
        char words[96];
        return r->host->fail(r->host, MBS_ERR_IO, "path", "%s: cannot be read: %s", r->source.path,
                             strerror_r(errno, words, sizeof(words)));
    }
    return damaged(r, "truncated: it ends before its end is told");
}

/* Lines "key: value" become the attributes packed_key. */
static mbs_status take_header(reader *r) {
    int64_t n = 0;
    for (char *line = r->text; *line;) {
        char *end = strchr(line, '\n');
        char *colon = strstr(line, ": ");
        if (!end || !colon || colon > end || n == MAX_ATTRS || colon - line > 20) {
            return damaged(r, "its header is damaged");
        }
        *end = *colon = '\0';
        (void)snprintf(r->keys[n], sizeof(r->keys[n]), "packed_%s", line);
        r->attrs[n] = (mbs_attr){r->keys[n], colon + 2};
        n++;
        line = end + 1;
    }
    r->header.n_attrs = n;
    r->header.attrs = r->attrs;
    return MBS_OK;
}

static mbs_status read_header(reader *r) {
    uint8_t head[MZ_MAGIC_BYTES + 4];
    uint8_t crc[4];
    mbs_status st = get(r, head, MZ_MAGIC_BYTES);
    if (st == MBS_OK && memcmp(head, MZ_MAGIC, MZ_MAGIC_BYTES) != 0) {
        return damaged(r, memcmp(head, "MBZ", 3) == 0 ? "it is of another format, or went through a text mode transfer"
                                                      : "it is not a container of task compress");
    }
    st = st == MBS_OK ? get(r, head + MZ_MAGIC_BYTES, 4) : st;
    uint32_t n = st == MBS_OK ? mz_get_u32(head + MZ_MAGIC_BYTES) : 0;
    if (st == MBS_OK && n > MZ_HEADER_MAX) {
        return damaged(r, "its header is damaged");
    }
    st = st == MBS_OK ? get(r, r->text, n) : st;
    st = st == MBS_OK ? get(r, crc, 4) : st;
    if (st == MBS_OK && (mz_crc(r->text, n) != mz_get_u32(crc) || memchr(r->text, '\0', n))) {
        return damaged(r, "its header is damaged");
    }
    return st == MBS_OK ? take_header(r) : st;
}

static mbs_status open_reader(void *self, const mbs_stream_header **header) {
    reader *r = self;
    int std = strcmp(r->source.path, "-") == 0;
    int fd = std ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(r->source.path, O_RDONLY | O_CLOEXEC);
    r->in = fd >= 0 ? fdopen(fd, "rb") : NULL;
    if (!r->in) {
        char words[96];
        int e = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return r->host->fail(r->host, MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s", r->source.path,
                             strerror_r(e, words, sizeof(words)));
    }
    r->header = (mbs_stream_header){.struct_size = sizeof(r->header),
                                    .type = "code/u8",
                                    .unit = "byte",
                                    .channels = 1,
                                    .n_records = 1,
                                    .n_units = -1,
                                    .n_sources = 1,
                                    .sources = &r->source};
    r->record = (mbs_record){.struct_size = sizeof(r->record), .strand = '.', .name = "file", .length = -1};
    *header = &r->header;
    return read_header(r);
}

/* The next frame, or the end, behind which nothing may follow. */
static mbs_status next_frame(reader *r) {
    uint8_t number[12];
    mbs_status st = get(r, number, 4);
    uint32_t n = st == MBS_OK ? mz_get_u32(number) : 0;
    if (st != MBS_OK) {
        return st;
    }
    if (n > MZ_FRAME) {
        return damaged(r, "the length of a frame is damaged");
    }
    if (n == 0) {
        st = get(r, number, 12);
        if (st == MBS_OK && (mz_crc(number, 8) != mz_get_u32(number + 8) || mz_get_i64(number) != r->total)) {
            return damaged(r, "its end is damaged, or frames are missing");
        }
        if (st == MBS_OK && fgetc(r->in) != EOF) {
            return damaged(r, "something follows its end");
        }
        r->ended = st == MBS_OK;
        return st;
    }
    st = get(r, r->frame, n);
    st = st == MBS_OK ? get(r, number, 4) : st;
    if (st == MBS_OK && mz_crc(r->frame, n) != mz_get_u32(number)) {
        return damaged(r, "a frame is damaged");
    }
    r->pos = 0;
    r->len = (int32_t)n;
    r->total += n;
    return st;
}

static mbs_status read_block(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    const mbs_host *h = r->host;
    if (r->ended) {
        return MBS_END;
    }
    mbs_status st = r->pos == r->len ? next_frame(r) : MBS_OK;
    if (st != MBS_OK) {
        return st;
    }
    int64_t n = r->ended ? 0 : r->len - r->pos;
    n = n < max_rows ? n : max_rows;
    mbs_block *b = h->block_new(h, "code/u8", MBS_U8, 1, &n);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld bytes", (long long)n);
    }
    memcpy(b->data, r->frame + r->pos, (size_t)n);
    r->pos += (int32_t)n;
    b->flags = (r->begun ? 0u : MBS_SEQ_START) | (r->ended ? MBS_SEQ_END : 0u);
    b->record = &r->record;
    b->start = r->at;
    b->end = r->at += n;
    r->begun = 1;
    *out = b;
    return MBS_OK;
}

static mbs_status close_reader(void *self) {
    (void)self; /* the last frame was held against the end */
    return MBS_OK;
}

static void destroy(void *self) {
    reader *r = self;
    if (r->in) {
        (void)fclose(r->in);
    }
    r->host->free(r->host, r);
}

const mbs_reader_vt mz_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = create,
    .open = open_reader,
    .read = read_block,
    .close = close_reader,
    .destroy = destroy,
};
