#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mambaseq/plugin.h"
#include "tensor.h"

extern const mbs_reader_vt tk_reader_vt;

#define BLOCK_ROWS 65536
#define HEADER_MAX 65536
#define ST_HEADER_MAX ((int64_t)100 << 20)
#define EMPTY_MAX 1000000

/* An open file. */
typedef struct npy {
    int fd;               /* -1: none */
    int64_t data_at;      /* first byte of the numbers */
    int64_t rows, length; /* records, ids in each */
    int64_t *offsets;     /* rows + 1: where each record begins among all ids; NULL: every `length` of them */
    int64_t ids;          /* of all records */
    int size, is_signed;
    int is_npy;
} npy;

typedef struct reader {
    const mbs_host *host;
    const mbs_params *params;
    int64_t vocab; /* 0: not told */
    mbs_source *sources;
    int64_t n_files;
    int64_t file;
    npy in;
    char *names; /* of tensors, each with a NUL behind it; NULL: not told */
    int64_t n_names, which;
    const char *tensor; /* the one that is read */
    int64_t row, position;
    unsigned char *bytes; /* BLOCK_ROWS ids as they stand in the file */
    char name[160];
    char vocab_text[24];
    mbs_attr attr;
    mbs_record record;
    mbs_stream_header header;
} reader;

static void close_file(reader *r) {
    if (r->in.fd >= 0) {
        close(r->in.fd);
    }
    r->host->free(r->host, r->in.offsets);
    r->in = (npy){.fd = -1};
    r->row = r->position = 0;
}

static void destroy(void *self) {
    reader *r = self;
    close_file(r);
    r->host->free(r->host, r->names);
    r->host->free(r->host, r->sources);
    r->host->free(r->host, r->bytes);
    r->host->free(r->host, r);
}

/* "a, b"; a comma of a name has a backslash before it. */
static mbs_status split_names(reader *r) {
    const mbs_host *h = r->host;
    const char *told = h->param_is_set(r->params, "tensor") ? h->param_string(r->params, "tensor") : NULL;
    r->n_names = 1;
    if (!told) {
        return MBS_OK;
    }
    char *to = r->names = h->alloc(h, strlen(told) + 2);
    if (!to) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    r->n_names = 0;
    for (const char *at = told; at;) {
        size_t n = 0;
        for (at += strspn(at, " "); *at && *at != ','; at++) {
            at += at[0] == '\\' && at[1] == ',';
            to[n++] = *at;
        }
        while (n > 0 && to[n - 1] == ' ') {
            n--;
        }
        if (n == 0) {
            return h->fail(h, MBS_ERR_CONFIG, "tensor", "'%.100s' has an empty name", told);
        }
        to[n] = '\0';
        to += n + 1;
        r->n_names++;
        at = *at ? at + 1 : NULL;
    }
    return MBS_OK;
}

/* The name of tensor `which`; NULL: it was not told. */
static const char *tensor_name(const reader *r, int64_t which) {
    const char *name = r->names;
    for (int64_t i = 0; name && i < which; i++) {
        name += strlen(name) + 1;
    }
    return name;
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof *r);
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof *r);
    r->host = host;
    r->params = params;
    r->in.fd = -1;
    r->vocab = host->param_is_set(params, "vocab") ? host->param_int(params, "vocab") : 0;
    r->n_files = host->param_count(params, "path");
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof r->record, .strand = '.', .index = -1};
    r->sources = host->alloc(host, (size_t)(r->n_files > 0 ? r->n_files : 1) * sizeof *r->sources);
    r->bytes = host->alloc(host, BLOCK_ROWS * 8);
    mbs_status st = MBS_OK;
    if (!r->sources || !r->bytes) {
        st = host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    } else if (r->n_files < 1) {
        st = host->fail(host, MBS_ERR_CONFIG, "path", "no file to read");
    }
    st = st == MBS_OK ? split_names(r) : st;
    for (int64_t i = 0; st == MBS_OK && i < r->n_files; i++) {
        r->sources[i].path = host->param_item(params, "path", i);
    }
    if (st != MBS_OK) {
        destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

static mbs_status bad(const reader *r, int64_t file, const char *why) {
    return r->host->fail(r->host, MBS_ERR_DATA, "path", "%s: %s", r->sources[file].path, why);
}

static int read_at(int fd, void *to, size_t n, int64_t at) {
    unsigned char *p = to;
    while (n > 0) {
        ssize_t got = pread(fd, p, n, at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return 0;
        }
        p += got;
        n -= (size_t)got;
        at += got;
    }
    return 1;
}

/* The text behind 'key': in the header, or NULL. */
static const char *value_of(const char *header, const char *key) {
    char quoted[32];
    (void)snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    return at ? at + strlen(quoted) + strspn(at + strlen(quoted), " ") : NULL;
}

static mbs_status read_type(reader *r, int64_t file, const char *header) {
    static const char *const known[] = {"'|i1'", "'|u1'", "'<i2'", "'<u2'", "'<i4'", "'<u4'", "'<i8'", "'<u8'"};
    const char *type = value_of(header, "descr");
    for (int i = 0; i < 8 && type; i++) {
        if (strncmp(type, known[i], 5) == 0) {
            r->in.size = 1 << (i / 2);
            r->in.is_signed = i % 2 == 0;
            return MBS_OK;
        }
    }
    mbs_status st = bad(r, file, "does not hold whole numbers of this byte order");
    r->host->hint(r->host, "save ids as numpy.int32 or numpy.int64");
    return st;
}

/* The only rows that no byte stands for. */
static int too_many_empty(const reader *r) {
    return !r->in.offsets && r->in.length == 0 && r->in.rows > EMPTY_MAX;
}

static mbs_status refuse_empty(const reader *r, int64_t file) {
    mbs_status st = bad(r, file, "its header tells of more than a million records without an id");
    r->host->hint(r->host, "save ids as rows of at least one, or leave the file out");
    return st;
}

static mbs_status read_shape(reader *r, int64_t file, const char *header, int64_t bytes) {
    const char *p = value_of(header, "shape");
    const char *order = value_of(header, "fortran_order");
    int64_t dims[2] = {1, 0};
    int n = 0;
    if (!p || *p != '(' || !order || strncmp(order, "False", 5) != 0) {
        return bad(r, file, "its header is not that of rows of ids (fortran_order: False)");
    }
    for (p++; *p && *p != ')'; p += strspn(p, ", ")) {
        char *end;
        errno = 0;
        long long v = strtoll(p, &end, 10);
        if (end == p || errno || v < 0 || n == 2) {
            return bad(r, file, "has not one or two dimensions");
        }
        dims[n++] = v;
        p = end;
    }
    if (n == 0) {
        return bad(r, file, "has not one or two dimensions");
    }
    r->in.rows = n == 2 ? dims[0] : 1;
    r->in.length = n == 2 ? dims[1] : dims[0];
    r->in.is_npy = 1;
    if (too_many_empty(r)) {
        return refuse_empty(r, file);
    }
    int64_t want;
    if (__builtin_mul_overflow(r->in.rows, r->in.length, &want) || __builtin_mul_overflow(want, r->in.size, &want) ||
        want != bytes) {
        return bad(r, file, "its numbers are not as many as its header says: truncated, or not a .npy file");
    }
    r->in.ids = r->in.rows * r->in.length;
    return MBS_OK;
}

/* A header of `len` bytes from `at` on, with a NUL behind it. */
static mbs_status read_header(reader *r, int64_t file, int64_t at, int64_t len, char **header) {
    *header = r->host->alloc(r->host, (size_t)len + 1);
    if (!*header) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for a header");
    }
    mbs_status st = read_at(r->in.fd, *header, (size_t)len, at) ? MBS_OK : bad(r, file, "cannot be read");
    (*header)[st == MBS_OK ? len : 0] = '\0';
    return st;
}

/* Records of a list of ids, as writer `safetensors` tells them: a tensor `offset` of n + 1 places, from 0 to its end.
 * One that is something else says nothing. `data_at`: of the first tensor's first byte. */
static mbs_status read_offsets(reader *r, int64_t file, const char *header, int64_t data_at, int64_t bytes) {
    tk_tensor o;
    if (tk_tensor_find(header, "offset", &o) || o.size != 8 || o.rows != 1 || o.length < 1) {
        return MBS_OK;
    }
    if (o.end > bytes - data_at) {
        return bad(r, file, "its tensor 'offset' goes beyond its end: truncated");
    }
    int64_t *offsets = r->host->alloc(r->host, (size_t)o.length * sizeof *offsets);
    if (!offsets) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %" PRId64 " offsets", o.length);
    }
    if (!read_at(r->in.fd, offsets, (size_t)o.length * sizeof *offsets, data_at + o.begin)) {
        r->host->free(r->host, offsets);
        return bad(r, file, "cannot be read");
    }
    int fits = offsets[0] == 0 && offsets[o.length - 1] == r->in.ids;
    for (int64_t i = 1; i < o.length && fits; i++) {
        fits = offsets[i] >= offsets[i - 1];
    }
    if (!fits) {
        r->host->free(r->host, offsets);
        return MBS_OK;
    }
    r->in.offsets = offsets;
    r->in.rows = o.length - 1;
    return MBS_OK;
}

static mbs_status open_tensor(reader *r, int64_t file, const unsigned char head[12], int64_t bytes) {
    const char *name = tensor_name(r, r->which);
    uint64_t len = 0;
    char *header = NULL;
    tk_tensor t;
    for (int i = 0; i < 8; i++) {
        len |= (uint64_t)head[i] << 8 * i;
    }
    if (len > (uint64_t)ST_HEADER_MAX || (int64_t)len + 8 > bytes) {
        return bad(r, file, "its header goes beyond its end: truncated");
    }
    mbs_status st = read_header(r, file, 8, (int64_t)len, &header);
    const char *why = st == MBS_OK ? tk_tensor_find(header, name, &t) : NULL;
    if (why && name) {
        st = r->host->fail(r->host, MBS_ERR_DATA, "tensor", "%s: '%.100s': %s", r->sources[file].path, name, why);
        if (r->n_names > 1) {
            r->host->hint(r->host, "commas part names; one that belongs to a name is written as \\,");
        }
    } else if (why) {
        st = bad(r, file, why);
    } else if (st == MBS_OK && t.end > bytes - 8 - (int64_t)len) {
        st = bad(r, file, "its tensor goes beyond its end: truncated");
    }
    if (st == MBS_OK) {
        r->in.data_at = 8 + (int64_t)len + t.begin;
        r->in.rows = t.rows;
        r->in.length = t.length;
        r->in.ids = t.rows * t.length;
        r->in.size = t.size;
        r->in.is_signed = t.is_signed;
        r->tensor = name;
        st = t.listed && !(name && strcmp(name, "offset") == 0) ? read_offsets(r, file, header, 8 + (int64_t)len, bytes)
                                                                : MBS_OK;
    }
    r->host->free(r->host, header);
    if (st != MBS_OK) {
        return st;
    }
    return too_many_empty(r) ? refuse_empty(r, file) : MBS_OK;
}

static mbs_status open_file(reader *r, int64_t file) {
    static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    unsigned char head[12] = {0};
    struct stat info;
    char words[96];
    r->in.fd = open(r->sources[file].path, O_RDONLY | O_CLOEXEC);
    if (r->in.fd < 0 || fstat(r->in.fd, &info) != 0) {
        return r->host->fail(r->host, MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s", r->sources[file].path,
                             strerror_r(errno, words, sizeof words));
    }
    if (S_ISREG(info.st_mode) && read_at(r->in.fd, head, sizeof head, 0) && head[8] == '{' && head[7] == 0) {
        return open_tensor(r, file, head, info.st_size);
    }
    if (!S_ISREG(info.st_mode) || !read_at(r->in.fd, head, sizeof head, 0) || memcmp(head, magic, sizeof magic) != 0 ||
        head[6] < 1 || head[6] > 3) {
        return bad(r, file, "not a .npy or .safetensors file");
    }
    int64_t at = head[6] == 1 ? 10 : 12;
    int64_t len = head[8] | head[9] << 8 | (head[6] == 1 ? 0 : (int64_t)head[10] << 16 | (int64_t)head[11] << 24);
    if (len > HEADER_MAX || at + len > info.st_size) {
        return bad(r, file, "its header goes beyond its end: truncated");
    }
    char *header = NULL;
    mbs_status st = read_header(r, file, at, len, &header);
    r->in.data_at = at + len;
    st = st == MBS_OK ? read_type(r, file, header) : st;
    st = st == MBS_OK ? read_shape(r, file, header, info.st_size - r->in.data_at) : st;
    r->host->free(r->host, header);
    return st;
}

static mbs_status open_reader(void *self, const mbs_stream_header **header) {
    reader *r = self;
    int64_t records = 0;
    int64_t units = 0;
    for (int64_t k = r->n_files * r->n_names - 1; k >= 0; k--) { /* all are sound; the first stays open */
        const int64_t i = k / r->n_names;
        close_file(r);
        r->which = k % r->n_names;
        mbs_status st = open_file(r, i);
        if (st != MBS_OK) {
            return st;
        }
        if (r->in.is_npy && r->which > 0) { /* it has no names */
            continue;
        }
        if (__builtin_add_overflow(records, r->in.rows, &records) || __builtin_add_overflow(units, r->in.ids, &units)) {
            return bad(r, i, "there are more ids in all files than can be counted");
        }
    }
    (void)snprintf(r->vocab_text, sizeof r->vocab_text, "%" PRId64, r->vocab);
    r->attr = (mbs_attr){"vocab_size", r->vocab_text};
    r->header = (mbs_stream_header){.struct_size = (uint32_t)sizeof r->header,
                                    .type = "tokens/i32",
                                    .unit = "token",
                                    .channels = 1,
                                    .n_records = records,
                                    .n_units = units,
                                    .n_sources = r->n_files,
                                    .sources = r->sources,
                                    .n_attrs = r->vocab > 0,
                                    .attrs = &r->attr};
    *header = &r->header;
    return MBS_OK;
}

static int64_t number(const npy *in, const unsigned char *p) {
    uint64_t v = 0;
    memcpy(&v, p, (size_t)in->size);
    int shift = 64 - 8 * in->size;
    return in->is_signed ? (int64_t)(v << shift) >> shift : v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static mbs_status take_ids(const reader *r, int32_t *to, int64_t n) {
    int64_t most = r->vocab > 0 ? r->vocab - 1 : INT32_MAX;
    for (int64_t i = 0; i < n; i++) {
        int64_t v = number(&r->in, r->bytes + i * r->in.size);
        if (v > most) {
            return r->host->fail(r->host, MBS_ERR_DATA, NULL, "record '%s', position %lld: the id %lld is beyond %lld",
                                 r->name, (long long)(r->position + i) + 1, (long long)v, (long long)most);
        }
        to[i] = v < 0 ? -1 : (int32_t)v;
    }
    return MBS_OK;
}

static int64_t row_length(const npy *in, int64_t row) {
    return in->offsets ? in->offsets[row + 1] - in->offsets[row] : in->length;
}

static int64_t row_begin(const npy *in, int64_t row) {
    return in->offsets ? in->offsets[row] : row * in->length;
}

/* MBS_END where no record is left. */
static mbs_status next_record(reader *r) {
    while (r->file < r->n_files) {
        mbs_status st = r->in.fd < 0 ? open_file(r, r->file) : MBS_OK;
        if (st != MBS_OK) {
            return st;
        }
        if (r->row < r->in.rows) {
            r->record.index++;
            r->record.source = r->file;
            r->record.length = row_length(&r->in, r->row);
            if (r->n_names > 1 && r->tensor) {
                (void)snprintf(r->name, sizeof r->name, "%.120s:%lld", r->tensor, (long long)r->row + 1);
            } else {
                (void)snprintf(r->name, sizeof r->name, "row%lld", (long long)r->record.index + 1);
            }
            r->record.name = r->name;
            return MBS_OK;
        }
        r->which = r->in.is_npy || r->which + 1 == r->n_names ? 0 : r->which + 1;
        close_file(r);
        r->file += r->which == 0;
    }
    return MBS_END;
}

static mbs_status read_block(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    mbs_status st = r->position == 0 ? next_record(r) : MBS_OK;
    if (st != MBS_OK) {
        return st;
    }
    const int64_t length = row_length(&r->in, r->row);
    int64_t n = length - r->position;
    n = n < max_rows ? n : max_rows;
    n = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    int64_t at = r->in.data_at + (row_begin(&r->in, r->row) + r->position) * r->in.size;
    if (!read_at(r->in.fd, r->bytes, (size_t)(n * r->in.size), at)) {
        return h->fail(h, MBS_ERR_IO, "path", "%s: cannot be read", r->sources[r->file].path);
    }
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, &n);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld ids", (long long)n);
    }
    st = take_ids(r, b->data, n);
    if (st != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    int ends = r->position + n == length;
    b->flags = (r->position == 0 ? MBS_SEQ_START : 0) | (ends ? MBS_SEQ_END : 0);
    b->record = &r->record;
    b->start = r->position;
    b->end = r->position + n;
    r->position = ends ? 0 : r->position + n;
    r->row += ends;
    *out = b;
    return MBS_OK;
}

static mbs_status close_reader(void *self) {
    close_file(self);
    return MBS_OK;
}

const mbs_reader_vt tk_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = create,
    .open = open_reader,
    .read = read_block,
    .close = close_reader,
    .destroy = destroy,
};
