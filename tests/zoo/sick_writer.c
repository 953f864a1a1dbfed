#include "zoo/sick.h"

typedef struct writer {
    const mbs_host *host;
    char *extra; /* SICK_CLOSES */
    const char *path, *temp;
    FILE *f;
    int64_t resumed, letters;
} writer;

static FILE *shared_file; /* SICK_SHARED */

static FILE *file_of(writer *w) {
    return HOW == SICK_SHARED ? shared_file : w->f;
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    mbs_status st = sick_begin(host, params);
    writer *w = st == MBS_OK ? host->alloc(host, sizeof *w) : NULL;
    if (!w && (HOW != SICK_NO_TEST || st != MBS_OK)) {
        return st != MBS_OK ? st : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof *w);
    w->host = host;
    w->path = host->param_string(params, "path");
    st = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
    if (st != MBS_OK) {
        host->free(host, w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

static mbs_status open_file(void *self, const mbs_stream_header *header) {
    writer *w = self;
    (void)header;
    if (HOW == SICK_CLOSES) {
        w->extra = w->host->alloc(w->host, 10);
    }
    w->f = fopen(HOW == SICK_FINAL ? w->path : w->temp, w->resumed ? "r+b" : "wb");
    if (!w->f || (w->resumed && (ftruncate(fileno(w->f), w->resumed) != 0 || fseek(w->f, 0, SEEK_END) != 0))) {
        return w->host->fail(w->host, MBS_ERR_CREATE, "path", "%s cannot be made", w->path);
    }
    shared_file = w->f;
    sick_disturb();
    return MBS_OK;
}

static mbs_status write_block(void *self, const mbs_block *b) {
    writer *w = self;
    FILE *f = file_of(w);
    if (b->dtype != MBS_U8) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "letters only");
    }
    if (HOW == SICK_BACK) {
        static const char other[] = "N";
        (void)fwrite(other, 1, b->shape[0] > 0, f);
    }
    size_t n = fwrite(b->data, 1, (size_t)b->shape[0], f);
    if (b->flags & MBS_SEQ_END || HOW == SICK_SPLIT) {
        n += putc('\n', f) == '\n';
        n -= !(b->flags & MBS_SEQ_END);
    }
    if (HOW == SICK_FULL) {
        return MBS_OK;
    }
    if (n != (size_t)b->shape[0] + ((b->flags & MBS_SEQ_END) != 0)) {
        return HOW == SICK_MUTE ? MBS_ERR_IO
                                : w->host->fail(w->host, MBS_ERR_IO, NULL, "%s cannot be written", w->path);
    }
    return MBS_OK;
}

static mbs_status drain(void *self) {
    writer *w = self;
    if (HOW == SICK_BESIDE) {
        FILE *f = fopen("sick.index", "wb");
        if (f) {
            (void)fclose(f);
        }
    }
#ifdef SICK_PAIR
    return MBS_OK; /* a last line would be a record */
#endif
    if (HOW != SICK_LAZY && fputs("end\n", file_of(w)) < 0 && HOW != SICK_FULL) {
        return w->host->fail(w->host, MBS_ERR_IO, NULL, "%s cannot be written", w->path);
    }
    return MBS_OK;
}

static mbs_status close_file(void *self) {
    writer *w = self;
    w->host->free(w->host, w->extra);
    w->extra = NULL;
    if (HOW == SICK_LAZY) {
        return fflush(w->f) == 0 ? MBS_OK : w->host->fail(w->host, MBS_ERR_IO, NULL, "%s cannot be written", w->path);
    }
    FILE *f = w->f;
    w->f = NULL;
    if (fclose(f) != 0 && HOW != SICK_FULL) {
        return HOW == SICK_MUTE ? MBS_ERR_IO
                                : w->host->fail(w->host, MBS_ERR_IO, NULL, "%s cannot be written", w->path);
    }
    return MBS_OK;
}

static void destroy(void *self) {
    writer *w = self;
    if (w->f) {
        if (HOW == SICK_LAZY) {
            (void)fputs("end\n", w->f);
        }
        (void)fclose(w->f);
    }
    w->host->free(w->host, w);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    writer *w = self;
    int64_t at = fflush(w->f) == 0 ? (int64_t)ftell(w->f) : -1;
    if (at < 0) {
        return w->host->fail(w->host, MBS_ERR_IO, NULL, "%s cannot be written", w->path);
    }
    return put(sink, &at, sizeof at);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    writer *w = self;
    if (n != sizeof w->resumed) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the saved place is damaged");
    }
    memcpy(&w->resumed, bytes, n);
    w->resumed += HOW == SICK_PLACE;
    return MBS_OK;
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_checkpoint ext = {.struct_size = sizeof ext, .save = save, .restore = restore};
    (void)self;
    return HOW == SICK_EXTENSION || strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &ext : NULL;
}

static const mbs_writer_vt vt = {.struct_size = sizeof vt,
                                 .create = create,
                                 .open = open_file,
                                 .write = write_block,
                                 .drain = drain,
                                 .close = close_file,
                                 .destroy = destroy,
                                 .get_extension = extension};
#ifdef SICK_PAIR
extern const mbs_descriptor sick_writer;
const mbs_descriptor sick_writer
#else
static const mbs_descriptor descriptor
#endif
    = {.struct_size = sizeof(mbs_descriptor),
       .kind = MBS_KIND_WRITER,
       .id = ZOO_ID,
       .version = "1.0.0",
       .licence = "MIT",
       .summary = "letters, a record a line",
       .accepts = "bases/u8",
       .suffixes = ".lines",
       .n_params = 2,
       .params = sick_out_params,
       .vt = &vt};
#ifndef SICK_PAIR
static const mbs_descriptor *const list[] = {&descriptor};
MBS_PLUGIN_DEFINE(sick_writer, list, NULL);
#endif
