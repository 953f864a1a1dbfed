#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mambaseq/plugin.h"

#define WINDOW 65536

extern const mbs_reader_vt tx_reader_vt;

typedef struct reader {
    const mbs_host *host;
    const mbs_params *params;
    const char *text; /* NULL: files */
    int by_line;
    mbs_source *sources;
    int64_t n_files;
    int64_t file;
    int fd; /* -1: not open */
    unsigned char *window;
    size_t at;        /* of the bytes in the window, the first that was not delivered */
    size_t used;      /* bytes in the window */
    int at_end;       /* no more bytes come behind them */
    int inside;       /* a record is open */
    int64_t line;     /* records of this file so far */
    int64_t position; /* within the record */
    char name[64];
    mbs_record record;
    mbs_stream_header header;
} reader;

static void close_file(reader *r) {
    if (r->fd > 0) {
        close(r->fd);
    }
    r->fd = -1;
    r->at = r->used = 0;
    r->at_end = 0;
    r->line = 0;
}

static void destroy(void *self) {
    reader *r = self;
    close_file(r);
    r->host->free(r->host, r->window);
    r->host->free(r->host, r->sources);
    r->host->free(r->host, r);
}

static mbs_status take_params(reader *r) {
    const mbs_host *h = r->host;
    int streams = 0;
    r->text = h->param_is_set(r->params, "text") ? h->param_string(r->params, "text") : NULL;
    r->n_files = h->param_is_set(r->params, "path") ? h->param_count(r->params, "path") : 0;
    r->by_line = strcmp(h->param_string(r->params, "split"), "line") == 0;
    if ((r->text != NULL) == (r->n_files > 0)) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, "path", r->text ? "both 'path' and 'text' are told" : "nothing to read");
        h->hint(h, r->text ? "take one of them out: --set reader.text=null"
                           : "name a file (path), or give the 'text' itself");
        return st;
    }
    r->n_files = r->text ? 1 : r->n_files;
    r->sources = h->alloc(h, (size_t)r->n_files * sizeof *r->sources);
    r->window = h->alloc(h, WINDOW);
    if (!r->sources || !r->window) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    for (int64_t i = 0; i < r->n_files; i++) {
        r->sources[i].path = r->text ? "text" : h->param_item(r->params, "path", i);
        streams += strcmp(r->sources[i].path, "-") == 0;
    }
    return streams > 1 ? h->fail(h, MBS_ERR_CONFIG, "path", "standard input can be read only once") : MBS_OK;
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof *r);
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof *r);
    r->host = host;
    r->params = params;
    r->fd = -1;
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof r->record, .strand = '.', .index = -1, .length = -1};
    mbs_status st = take_params(r);
    if (st != MBS_OK) {
        destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

static mbs_status open_file(reader *r, int64_t file) {
    const mbs_host *h = r->host;
    const char *path = r->sources[file].path;
    char words[96];
    struct stat info;
    if (r->text || strcmp(path, "-") == 0) {
        r->fd = 0;
        return MBS_OK;
    }
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &info) != 0) {
        return h->fail(h, MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s", path,
                       strerror_r(errno, words, sizeof words));
    }
    return S_ISDIR(info.st_mode) ? h->fail(h, MBS_ERR_NOINPUT, "path", "%s: is a folder", path) : MBS_OK;
}

static mbs_status open_reader(void *self, const mbs_stream_header **header) {
    reader *r = self;
    for (int64_t i = r->n_files - 1; i >= 0; i--) { /* all are there; the first stays open */
        close_file(r);
        mbs_status st = open_file(r, i);
        if (st != MBS_OK) {
            return st;
        }
    }
    r->header = (mbs_stream_header){.struct_size = (uint32_t)sizeof r->header,
                                    .type = "text/u8",
                                    .unit = "byte",
                                    .channels = 1,
                                    .n_records = r->by_line ? -1 : r->n_files,
                                    .n_units = r->text ? (int64_t)strlen(r->text) : -1,
                                    .n_sources = r->n_files,
                                    .sources = r->sources};
    *header = &r->header;
    return MBS_OK;
}

/* More bytes behind those in the window. */
static mbs_status fill(reader *r) {
    const mbs_host *h = r->host;
    memmove(r->window, r->window + r->at, r->used - r->at);
    r->used -= r->at;
    r->at = 0;
    if (r->text) {
        size_t left = strlen(r->text);
        size_t n = left < WINDOW - r->used ? left : WINDOW - r->used;
        memcpy(r->window + r->used, r->text, n);
        r->text += n;
        r->used += n;
        r->at_end = n == left;
        return MBS_OK;
    }
    while (!r->at_end && r->used < WINDOW) {
        ssize_t n = read(r->fd, r->window + r->used, WINDOW - r->used);
        char words[96];
        if (n < 0 && errno == EINTR) {
            if (h->cancelled(h)) {
                return h->fail(h, MBS_ERR_STOPPED, NULL, "stopped while waiting for input");
            }
            continue;
        }
        if (n < 0) {
            return h->fail(h, MBS_ERR_IO, "path", "%s: cannot be read: %s", r->sources[r->file].path,
                           strerror_r(errno, words, sizeof words));
        }
        r->at_end = n == 0;
        r->used += (size_t)n;
        if (n > 0) {
            break;
        }
    }
    return MBS_OK;
}

/* Two bytes to look at, or all that there are. */
static mbs_status look(reader *r) {
    mbs_status st = MBS_OK;
    while (st == MBS_OK && !r->at_end && r->used - r->at < 2) {
        st = fill(r);
    }
    return st;
}

static void begin(reader *r) {
    r->inside = 1;
    r->position = 0;
    r->line++;
    r->record.index++;
    r->record.source = r->file;
    long long number = r->by_line ? r->line : r->record.index + 1;
    (void)snprintf(r->name, sizeof r->name, "%s%lld", r->by_line ? "line" : "text", number);
    r->record.name = r->name;
}

/* MBS_END where no record is left. */
static mbs_status next_record(reader *r) {
    while (r->file < r->n_files) {
        int fresh = r->fd < 0;
        mbs_status st = fresh ? open_file(r, r->file) : MBS_OK;
        st = st == MBS_OK ? look(r) : st;
        if (st != MBS_OK) {
            return st;
        }
        /* An empty file is an empty record, but has no lines; behind the last newline there is no line. */
        if (r->used > r->at || (!r->by_line && r->line == 0)) {
            begin(r);
            return MBS_OK;
        }
        close_file(r);
        r->file++;
    }
    return MBS_END;
}

/* How many bytes of the window belong to the record, and with `*skip` how many behind them end it. */
static size_t extent(const reader *r, size_t most, size_t *skip, int *ends) {
    const unsigned char *p = r->window + r->at;
    size_t have = r->used - r->at;
    const unsigned char *newline = r->by_line ? memchr(p, '\n', have) : NULL;
    size_t n = newline ? (size_t)(newline - p) : have;
    *skip = 0;
    *ends = newline != NULL || r->at_end;
    if (newline) {
        *skip = 1;
        if (n > 0 && p[n - 1] == '\r') {
            n--;
            *skip = 2;
        }
    } else if (r->by_line && n > 0 && p[n - 1] == '\r' && !r->at_end) {
        n--; /* a newline may follow */
    }
    if (n > most) {
        *ends = 0;
        *skip = 0;
        n = most;
    }
    return n;
}

static mbs_status read_block(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    const mbs_host *h = r->host;
    size_t skip;
    int ends;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    mbs_status st = r->inside ? look(r) : next_record(r);
    if (st != MBS_OK) {
        return st;
    }
    int64_t n = (int64_t)extent(r, max_rows < WINDOW ? (size_t)max_rows : WINDOW, &skip, &ends);
    mbs_block *b = h->block_new(h, "text/u8", MBS_U8, 1, &n);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld bytes", (long long)n);
    }
    memcpy(b->data, r->window + r->at, (size_t)n);
    b->flags = (r->position == 0 ? MBS_SEQ_START : 0) | (ends ? MBS_SEQ_END : 0);
    b->record = &r->record;
    b->start = r->position;
    b->end = r->position + n;
    r->position += n;
    r->at += (size_t)n + skip;
    r->inside = !ends;
    *out = b;
    return MBS_OK;
}

static mbs_status close_reader(void *self) {
    close_file(self);
    return MBS_OK;
}

const mbs_reader_vt tx_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = create,
    .open = open_reader,
    .read = read_block,
    .close = close_reader,
    .destroy = destroy,
};
