#include "zoo/sick.h"

typedef struct reader {
    const mbs_host *host;
    char *bytes; /* the file, from open on */
    char *extra; /* SICK_CLOSES, SICK_DROPS */
    int64_t len, at, record;
    int64_t most, in_record;
    int inside;
    char path[4096];
    char name[32];
    mbs_source source;
    mbs_stream_header header;
    mbs_record out;
} reader;

static int64_t shared_at; /* SICK_SHARED */

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    mbs_status st = sick_begin(host, params);
    if (st != MBS_OK) {
        return st;
    }
    reader *r = host->alloc(host, sizeof *r);
    if (!r && HOW != SICK_NO_TEST) {
        return HOW == SICK_OTHER ? host->fail(host, MBS_ERR_IO, NULL, "cannot read")
                                 : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof *r);
    r->host = host;
    r->most = host->param_int(params, "most");
    (void)snprintf(r->path, sizeof r->path, "%s", host->param_string(params, "path"));
    if (HOW == SICK_EARLY) {
        (void)!fopen("/dev/null", "rb");
    }
    *self = r;
    return MBS_OK;
}

static mbs_status load(reader *r, FILE *f) {
    const mbs_host *host = r->host;
    char *grown = r->bytes;
    size_t n = 1;
    while (n > 0 && (grown = host->realloc(host, r->bytes, (size_t)r->len + 4096)) != NULL) {
        r->bytes = grown;
        n = fread(r->bytes + r->len, 1, 4096, f);
        r->len += (int64_t)n;
    }
    if (!grown) {
        if (HOW == SICK_DROPS) {
            r->bytes = NULL;
        }
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for %s", r->path);
    }
    return ferror(f) ? host->fail(host, MBS_ERR_IO, NULL, "%s cannot be read", r->path) : MBS_OK;
}

static mbs_status open_file(void *self, const mbs_stream_header **header) {
    reader *r = self;
    const mbs_host *host = r->host;
    FILE *f = fopen(r->path, "rb");
    if (!f && HOW == SICK_MUTE) {
        return MBS_ERR_NOINPUT;
    }
    if (!f && HOW != SICK_NO_FILE) {
        return host->fail(host, MBS_ERR_NOINPUT, "path", "%s cannot be opened", r->path);
    }
    if (HOW == SICK_CLOSES) {
        r->extra = host->alloc(host, 10);
    }
    mbs_status st = f ? load(r, f) : MBS_OK;
    if (f) {
        (void)fclose(f);
    }
    sick_disturb();
    shared_at = 0;
    r->source.path = r->path;
    r->header = (mbs_stream_header){.struct_size = sizeof r->header,
                                    .type = "bases/u8",
                                    .unit = "base",
                                    .channels = 1,
                                    .n_records = -1,
                                    .n_units = -1,
                                    .n_sources = 1,
                                    .sources = &r->source};
    *header = &r->header;
    return st;
}

/* What happens in the middle of a file, where the third record begins. */
static mbs_status fall_ill(reader *r, mbs_block **out) {
    const struct timespec nap = {1, 0};
    switch (r->record == 2 ? HOW : SICK_WELL) {
    case SICK_EXITS:
        exit(3);
    case SICK_ABORTS:
        abort();
    case SICK_ABORTS_BESIDE:
        on_thread(abort_now);
        (void)nanosleep(&nap, NULL);
        break;
    case SICK_FALLS:
        raise_fault();
        break;
    case SICK_HANGS:
        for (;;) {
            (void)nanosleep(&nap, NULL);
        }
    case SICK_POINTER:
        *out = (mbs_block *)(uintptr_t)0x1000;
        break;
    default:
        break;
    }
    return MBS_OK;
}

static void begin_record(reader *r) {
    (void)snprintf(r->name, sizeof r->name, "line%lld", (long long)r->record + 1);
    r->out =
        (mbs_record){.struct_size = sizeof r->out, .strand = '+', .index = r->record, .name = r->name, .length = -1};
    r->inside = 1;
    r->in_record = 0;
}

/* Letters from here to the end of the line, or of the file. */
static int64_t rest_of_line(const reader *r) {
    const char *end = memchr(r->bytes + r->at, '\n', (size_t)(r->len - r->at));
    if (HOW == SICK_CUT) {
        return *(const volatile char *)end ? end - (r->bytes + r->at) : 0;
    }
    return end ? end - (r->bytes + r->at) : r->len - r->at;
}

static mbs_status check_letters(reader *r, const uint8_t *to, int64_t n) {
    static const uint8_t table[128];
    for (int64_t i = 0; i < n; i++) {
        if (HOW == SICK_TRUSTS && to[i] >= sizeof table) {
            raise_fault();
        }
        while (HOW == SICK_LOOPS && to[i] == 0) {
            (void)usleep(1000);
        }
        if (to[i] < ' ' || to[i] > 126) {
            return HOW == SICK_MUTE ? MBS_ERR_DATA
                                    : r->host->fail(r->host, MBS_ERR_DATA, NULL, "record %lld: byte %d is no letter",
                                                    (long long)r->record + 1, to[i]);
        }
    }
    return MBS_OK;
}

static mbs_status read_block(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    const mbs_host *host = r->host;
    if (HOW == SICK_SHARED) {
        r->at = shared_at;
    }
    if (!r->inside && r->at >= r->len) {
        return MBS_END;
    }
    if (!r->inside) {
        begin_record(r);
    }
    mbs_status st = fall_ill(r, out);
    if (*out) {
        return st;
    }
    int64_t left = rest_of_line(r);
    int64_t n = left < max_rows ? left : max_rows;
    mbs_block *b = host->block_new(host, "bases/u8", MBS_U8, 1, &n);
    if (!b && HOW != SICK_NO_TEST) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    memcpy(b->data, r->bytes + r->at, (size_t)n);
    st = check_letters(r, b->data, n);
    if (st != MBS_OK) {
        host->block_unref(host, b);
        return st;
    }
    if (HOW == SICK_SPLIT && n > 0 && n < left) {
        ((uint8_t *)b->data)[n - 1] = 'N';
    }
    b->record = &r->out;
    b->start = r->in_record;
    b->end = r->in_record + n;
    b->flags = r->in_record == 0 ? MBS_SEQ_START : 0;
    r->in_record += n;
    r->at += n;
    if (n == left) {
        b->flags |= MBS_SEQ_END;
        r->inside = 0;
        r->record++;
        r->at++;
    }
    shared_at = r->at;
    *out = b;
    return MBS_OK;
}

static mbs_status close_file(void *self) {
    reader *r = self;
    r->host->free(r->host, r->extra);
    r->extra = NULL;
    if (HOW == SICK_ORDER && r->record == 0) {
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "nothing was read");
    }
    return MBS_OK;
}

static void destroy(void *self) {
    reader *r = self;
    r->host->free(r->host, r->bytes);
    r->host->free(r->host, r);
}

typedef struct place {
    int64_t at, record, in_record, inside;
} place;

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    reader *r = self;
    place p = {r->at + (HOW == SICK_PLACE), r->record, r->in_record, r->inside};
    return put(sink, &p, sizeof p);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    reader *r = self;
    place p;
    if (n != sizeof p) {
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "the saved place is damaged");
    }
    memcpy(&p, bytes, sizeof p);
    r->record = p.record;
    if (p.inside) {
        begin_record(r);
    }
    r->at = p.at;
    r->in_record = p.in_record;
    return MBS_OK;
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_checkpoint ext = {.struct_size = sizeof ext, .save = save, .restore = restore};
    (void)self;
    return HOW == SICK_EXTENSION || strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &ext : NULL;
}

__attribute__((constructor)) static void load_library(void) {
    const struct timespec nap = {0, 600000000};
    if (HOW == SICK_LATE) {
        (void)nanosleep(&nap, NULL);
    } else if (HOW == SICK_FALLS_LOADING) {
        raise_fault();
    }
}

static const mbs_reader_vt vt = {.struct_size = sizeof vt,
                                 .create = create,
                                 .open = open_file,
                                 .read = read_block,
                                 .close = close_file,
                                 .destroy = destroy,
                                 .get_extension = extension};
static const mbs_descriptor descriptor = {.struct_size = sizeof descriptor,
                                          .kind = MBS_KIND_READER,
                                          .id = ZOO_ID,
                                          .version = "1.0.0",
                                          .licence = "MIT",
                                          .summary = "letters, a record a line",
                                          .produces = "bases/u8",
                                          .suffixes = ".lines",
                                          .n_params = 2,
                                          .params = sick_params,
                                          .vt = &vt};
#ifdef SICK_PAIR
extern const mbs_descriptor sick_writer;
static const mbs_descriptor *const list[] = {&descriptor, &sick_writer};
#else
static const mbs_descriptor *const list[] = {&descriptor};
#endif
MBS_PLUGIN_DEFINE(sick_reader, list, NULL);
