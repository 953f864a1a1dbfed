/*
 * Three plugins that die when they are told: `how` says of what, `call` in which call, `record` on which (from 0). With
 * how: nothing they are sound, and the reader and the writer can continue from a place. The file of `mended`, where it
 * exists, heals all of them: what an author does between a crash and --resume.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"

typedef struct mortal {
    const mbs_host *host;
    const char *how, *call;
    int64_t dies_on;
    int64_t records, length, index, at;
    mbs_stream_header header;
    mbs_source source;
    mbs_record record;
    char name[32];
    FILE *file;
    const char *temp;
} mortal;

static volatile int zero;
static int *volatile nowhere;

/* gcc must not see that this never returns. */
static int deep(volatile char *from, int n) {
    volatile char frame[4096];
    frame[n % 4096] = from[0];
    return n > 1 << 30 ? 0 : deep(frame, n + 1) + frame[7];
}

static void *on_a_thread(void *arg) {
    mortal *m = arg;
    if (strcmp(m->how, "thread_abort") == 0) {
        abort();
    }
    *nowhere = 1;
    return NULL;
}

static void hang(const mortal *m) {
    struct timespec t = {0, 20000000};
    while (strcmp(m->how, "deaf") == 0 || !m->host->cancelled(m->host)) {
        nanosleep(&t, NULL);
    }
}

static void die(mortal *m) {
    pthread_t t;
    if (strcmp(m->how, "segv") == 0) {
        *nowhere = 1;
    } else if (strcmp(m->how, "fpe") == 0) {
        zero = 7 / zero;
    } else if (strcmp(m->how, "ill") == 0) {
        raise(SIGILL);
    } else if (strcmp(m->how, "bus") == 0) {
        raise(SIGBUS);
    } else if (strcmp(m->how, "abort") == 0) {
        abort();
    } else if (strcmp(m->how, "kill") == 0) {
        raise(SIGKILL);
    } else if (strcmp(m->how, "stack") == 0) {
        char c = 0;
        zero = deep(&c, 1);
    } else if (strncmp(m->how, "thread_", 7) == 0) {
        if (pthread_create(&t, NULL, on_a_thread, m) == 0) {
            pthread_join(t, NULL);
        }
    } else if (strcmp(m->how, "exit") == 0) {
        _exit(0);
    } else if (strcmp(m->how, "hang") == 0 || strcmp(m->how, "deaf") == 0) {
        hang(m);
    } else if (strcmp(m->how, "unref") == 0) {
        m->host->block_unref(m->host, (mbs_block *)(void *)m);
    } else if (strcmp(m->how, "leak") == 0) {
        (void)!m->host->alloc(m->host, 100);
    }
}

static void maybe(mortal *m, const char *call, int64_t record) {
    if (strcmp(m->call, call) == 0 && (record < 0 || record == m->dies_on)) {
        die(m);
    }
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    mortal *m = host->alloc(host, sizeof *m);
    if (!m) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory");
    }
    memset(m, 0, sizeof *m);
    m->host = host;
    const char *mended = host->param_string(params, "mended");
    m->how = mended && access(mended, F_OK) == 0 ? "nothing" : host->param_string(params, "how");
    m->call = host->param_string(params, "call");
    const char *spared = host->param_string(params, "unless");
    for (int64_t i = 0; spared && i < host->param_count(params, "path"); i++) {
        m->how = strcmp(host->param_item(params, "path", i), spared) == 0 ? "nothing" : m->how;
    }
    m->dies_on = host->param_int(params, "record");
    m->records = host->param_int(params, "records");
    m->length = host->param_int(params, "length");
    if (host->param_bool(params, "writes")) {
        mbs_status rc = host->output(host, host->param_string(params, "path"), MBS_OUTPUT_FILE, NULL, &m->temp);
        if (rc != MBS_OK) {
            host->free(host, m);
            return rc;
        }
    }
    maybe(m, "create", -1);
    *self = m;
    return MBS_OK;
}

static void destroy(void *self) {
    mortal *m = self;
    maybe(m, "destroy", -1);
    if (m->file) {
        fclose(m->file);
    }
    m->host->free(m->host, m);
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    mortal *m = self;
    maybe(m, "open", -1);
    m->source.path = "mortal";
    m->header = (mbs_stream_header){.struct_size = sizeof m->header,
                                    .type = "bases/u8",
                                    .unit = "base",
                                    .channels = 1,
                                    .n_records = m->records,
                                    .n_units = m->records * m->length,
                                    .n_sources = 1,
                                    .sources = &m->source};
    *header = strcmp(m->how, "bad_header") == 0 ? (const mbs_stream_header *)(const void *)(m->name + 1) : &m->header;
    if (strcmp(m->how, "far_header") == 0) {
        *header = (const mbs_stream_header *)(uintptr_t)0x1000;
    }
    return MBS_OK;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    mortal *m = self;
    if (m->index == m->records) {
        return MBS_END;
    }
    /* In the middle of the record where it comes in pieces. */
    if (m->at >= m->length / 2 || max_rows >= m->length) {
        maybe(m, "read", m->index);
    }
    if (m->host->cancelled(m->host)) {
        return MBS_ERR_STOPPED;
    }
    int bad = strcmp(m->call, "read") == 0 && m->index == m->dies_on;
    if (bad && strcmp(m->how, "bad_block") == 0) {
        *out = (mbs_block *)(void *)((char *)self + 64);
        return MBS_OK;
    }
    int64_t rows = m->length - m->at < max_rows ? m->length - m->at : max_rows;
    mbs_block *b = m->host->block_new(m->host, "bases/u8", MBS_U8, 1, &rows);
    if (!b) {
        return m->host->fail(m->host, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    for (int64_t i = 0; i < rows; i++) {
        ((uint8_t *)b->data)[i] = (uint8_t) "ACGT"[(m->index * 5 + m->at + i) % 4];
    }
    (void)snprintf(m->name, sizeof m->name, "rec%lld", (long long)m->index);
    m->record = (mbs_record){
        .struct_size = sizeof m->record, .strand = '+', .index = m->index, .name = m->name, .length = m->length};
    b->record = bad && strcmp(m->how, "bad_record") == 0 ? (const mbs_record *)(uintptr_t)0x10 : &m->record;
    if (bad && strcmp(m->how, "moved_data") == 0) {
        b->data = m;
    }
    b->start = m->at;
    b->end = m->at + rows;
    b->flags = m->at == 0 ? MBS_SEQ_START : 0;
    m->at += rows;
    if (m->at == m->length) {
        b->flags |= MBS_SEQ_END;
        m->at = 0;
        m->index++;
    }
    *out = b;
    return MBS_OK;
}

static mbs_status close_it(void *self) {
    mortal *m = self;
    maybe(m, "close", -1);
    FILE *f = m->file;
    m->file = NULL;
    return f && fclose(f) != 0 ? m->host->fail(m->host, MBS_ERR_IO, NULL, "cannot close") : MBS_OK;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    mortal *m = self;
    int64_t place[2] = {m->index, m->at};
    maybe(m, "save", -1);
    return put(sink, place, sizeof place);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    mortal *m = self;
    int64_t place[2];
    if (n != sizeof place) {
        return m->host->fail(m->host, MBS_ERR_DATA, NULL, "not a place of this reader");
    }
    memcpy(place, bytes, n);
    m->index = place[0];
    m->at = place[1];
    return MBS_OK;
}

static const void *reader_extension(void *self, const char *id) {
    static const mbs_ext_checkpoint checkpoint = {sizeof checkpoint, 0, save, restore};
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

static mbs_status codec_open(void *self, const mbs_stream_header *in) {
    (void)in;
    maybe(self, "open", -1);
    return MBS_OK;
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    mortal *m = self;
    maybe(m, "encode", in->record->index);
    mbs_block *b = m->host->block_new(m->host, "bases/u8", MBS_U8, 1, in->shape);
    if (!b) {
        return m->host->fail(m->host, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    memcpy(b->data, in->data, (size_t)in->shape[0]);
    b->record = in->record;
    b->start = in->start;
    b->end = in->end;
    b->flags = in->flags;
    *out = b;
    return MBS_OK;
}

static mbs_status writer_open(void *self, const mbs_stream_header *header) {
    mortal *m = self;
    (void)header;
    maybe(m, "open", -1);
    m->file = m->temp ? fopen(m->temp, "w") : NULL;
    return m->file ? MBS_OK : m->host->fail(m->host, MBS_ERR_CREATE, "path", "cannot be opened");
}

static mbs_status write_it(void *self, const mbs_block *b) {
    mortal *m = self;
    maybe(m, "write", b->record->index);
    return fwrite(b->data, 1, (size_t)b->shape[0], m->file) == (size_t)b->shape[0]
               ? MBS_OK
               : m->host->fail(m->host, MBS_ERR_IO, NULL, "cannot write");
}

static mbs_status drain(void *self) {
    maybe(self, "drain", -1);
    return MBS_OK;
}

#define COMMON                                                                                                         \
    MBS_PARAM("how", MBS_PARAM_STRING, "nothing", "what it dies of"),                                                  \
        MBS_PARAM("call", MBS_PARAM_STRING, "read", "the call in which it does"),                                      \
        MBS_PARAM("record", MBS_PARAM_INT, "0", "the record on which it does, from 0"),                                \
        MBS_PARAM("mended", MBS_PARAM_STRING, NULL, "a file whose existence heals it"),                                \
        MBS_PARAM("unless", MBS_PARAM_STRING, NULL, "an item of the reader's path on which it stays sound"),           \
        MBS_PARAM("records", MBS_PARAM_INT, "4", "records of the reader"),                                             \
        MBS_PARAM("length", MBS_PARAM_INT, "10", "bases of each")

static const mbs_param params[] = {COMMON, MBS_PARAM("path", MBS_PARAM_PATHS, NULL, "not looked at"),
                                   MBS_PARAM("writes", MBS_PARAM_BOOL, "false", "not for readers")};
static const mbs_param writer_params[] = {COMMON, MBS_PARAM_OUTPUT("path", "file to write"),
                                          MBS_PARAM("writes", MBS_PARAM_BOOL, "true", "always")};
static const mbs_reader_vt reader_vt = {sizeof reader_vt, 0,        create,  reader_open,
                                        reader_read,      close_it, destroy, reader_extension};
static const mbs_codec_vt codec_vt = {.struct_size = sizeof codec_vt,
                                      .create = create,
                                      .open = codec_open,
                                      .encode = encode,
                                      .close = close_it,
                                      .destroy = destroy};
static const mbs_writer_vt writer_vt = {.struct_size = sizeof writer_vt,
                                        .create = create,
                                        .open = writer_open,
                                        .write = write_it,
                                        .drain = drain,
                                        .close = close_it,
                                        .destroy = destroy};

#define DESCRIBE(KIND, TABLE, VT, ...)                                                                                 \
    {                                                                                                                  \
        .struct_size = sizeof(mbs_descriptor), .kind = KIND, .id = ZOO_ID, .version = "1.0.0", .licence = "MIT",       \
        .summary = "dies when it is told", .n_params = sizeof TABLE / sizeof TABLE[0], .params = TABLE, .vt = &(VT),   \
        __VA_ARGS__                                                                                                    \
    }
static const mbs_descriptor reader = DESCRIBE(MBS_KIND_READER, params, reader_vt, .produces = "bases/u8");
static const mbs_descriptor codec =
    DESCRIBE(MBS_KIND_CODEC, params, codec_vt, .accepts = "bases/u8", .produces = "bases/u8");
static const mbs_descriptor writer = DESCRIBE(MBS_KIND_WRITER, writer_params, writer_vt, .accepts = "*");
static const mbs_descriptor *const list[] = {&reader, &codec, &writer};
MBS_PLUGIN_DEFINE(mortal, list, NULL);
