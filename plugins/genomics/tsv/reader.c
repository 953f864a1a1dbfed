#include "reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reader_destroy(void *self) {
    tv_reader *r = self;
    const mbs_host *h = r->host;
    fa_bytes_close(&r->in);
    tv_row_free(r);
    fa_text_free(h, &r->name);
    h->free(h, r->sources);
    h->free(h, r);
}

static mbs_status reader_create(const mbs_host *host, const mbs_params *params, void **self) {
    tv_reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->params = params;
    r->in.fd = -1;
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .strand = '+', .index = -1};
    r->n_files = host->param_count(params, "path");
    mbs_status st = MBS_OK;
    if (r->n_files < 1) {
        st = host->fail(host, MBS_ERR_CONFIG, "path", "no file to read");
    }
    r->sources = st == MBS_OK ? host->alloc(host, (size_t)r->n_files * sizeof(*r->sources)) : NULL;
    if (st == MBS_OK && !r->sources) {
        st = host->fail(host, MBS_ERR_MEMORY, "path", "no memory for %lld files", (long long)r->n_files);
    }
    int streams = 0;
    for (int64_t i = 0; st == MBS_OK && i < r->n_files; i++) {
        r->sources[i].path = host->param_item(params, "path", i);
        streams += strcmp(r->sources[i].path, "-") == 0;
    }
    if (streams > 1) {
        st = host->fail(host, MBS_ERR_CONFIG, "path", "standard input can be read only once");
    }
    if (st != MBS_OK) {
        reader_destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

/* ---- columns ---- */

static const char *cell(const tv_reader *r, int64_t column) {
    return r->row.text.s + r->row.at[column];
}

static size_t cell_length(const tv_reader *r, int64_t column) {
    size_t end = column + 1 < r->row.n ? r->row.at[column + 1] : r->row.text.len;
    return end - r->row.at[column] - 1;
}

/* The column of a name in the first row, or of a number; -1: none. A '#' in front of the first name is not part of it.
 */
static int64_t find_column(const tv_reader *r, const char *word, int named) {
    for (int64_t i = 0; named && i < r->row.n; i++) {
        const char *name = cell(r, i);
        if (strcmp(name, word) == 0 || (i == 0 && name[0] == '#' && strcmp(name + 1, word) == 0)) {
            return i;
        }
    }
    char *end;
    long v = strtol(word, &end, 10);
    return word[0] >= '1' && word[0] <= '9' && *end == '\0' && v <= r->row.n ? v - 1 : -1;
}

static mbs_status no_column(tv_reader *r, const char *param, const char *word, int named) {
    const mbs_host *h = r->host;
    char list[200] = "";
    size_t len = 0;
    for (int64_t i = 0; named && i < r->row.n && len + 60 < sizeof(list); i++) {
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%.40s", i ? ", " : "", cell(r, i));
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, param, "%s:%lld: there is no column '%.60s' among the %lld",
                            fa_show(r->in.path), (long long)r->row.line, word, (long long)r->row.n);
    if (named) {
        h->hint(
            h, "the columns are %s; say with '%s' which of them it is%s, or header: false where the first line is none",
            list, param, strcmp(param, "label") == 0 ? " (label: none: there is none)" : "");
    } else {
        h->hint(h, "without a header line columns are numbers from 1 on, as %s: 1%s", param,
                strcmp(param, "label") == 0 ? ", or label: none" : "");
    }
    return st;
}

/* What the first row says; it stays to be read where it is no header. */
static mbs_status find_columns(tv_reader *r) {
    const mbs_host *h = r->host;
    int named = h->param_bool(r->params, "header");
    const char *sequence = h->param_string(r->params, "sequence");
    const char *label = h->param_string(r->params, "label");
    const char *name = h->param_string(r->params, "name");
    r->columns = r->row.n;
    r->sequence = find_column(r, sequence, named);
    r->label = strcmp(label, "none") == 0 ? -1 : find_column(r, label, named);
    r->name_at = find_column(r, name ? name : "name", named);
    if (r->sequence < 0) {
        return no_column(r, "sequence", sequence, named);
    }
    if (r->label < 0 && strcmp(label, "none") != 0) {
        return no_column(r, "label", label, named);
    }
    return r->name_at < 0 && name ? no_column(r, "name", name, named) : MBS_OK;
}

/* The byte-order mark with which spreadsheets begin what they save as UTF-8: no part of the first column's name. */
static void skip_mark(fa_bytes *in) {
    (void)fa_peek(in);
    if (in->len - in->pos >= 3 && memcmp(in->buf + in->pos, "\xef\xbb\xbf", 3) == 0) {
        in->pos += 3;
    }
}

/* Opens the file and reads its first row: MBS_END where there is none. */
static mbs_status open_file(tv_reader *r, int64_t file) {
    const char *format = r->host->param_string(r->params, "format");
    mbs_status st = fa_bytes_open(&r->in, r->host, r->sources[file].path, "path");
    if (st != MBS_OK) {
        return st;
    }
    r->is_open = 1;
    r->row.separator = strcmp(format, "tsv") == 0 ? '\t' : strcmp(format, "csv") == 0 ? ',' : 0;
    r->row.next = 1;
    r->first = 1;
    if (!fa_has_end(&r->in)) {
        return r->host->fail(r->host, MBS_ERR_DATA, "path", "%s: truncated: the end-of-file block of bgzip is missing",
                             r->in.path);
    }
    skip_mark(&r->in);
    st = tv_row_read(r);
    if (st == MBS_END) {
        return r->host->fail(r->host, MBS_ERR_DATA, "path", "%s: empty: not even a line of column names",
                             fa_show(r->in.path));
    }
    return st == MBS_OK ? find_columns(r) : st;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    tv_reader *r = self;
    for (int64_t i = r->n_files - 1; i >= 0; i--) { /* the first one stays open */
        fa_bytes_close(&r->in);
        r->is_open = 0;
        if (i > 0 && strcmp(r->sources[i].path, "-") == 0) {
            continue;
        }
        mbs_status st = open_file(r, i);
        if (st != MBS_OK) {
            return st;
        }
    }
    r->header = (mbs_stream_header){
        .struct_size = (uint32_t)sizeof(mbs_stream_header),
        .type = "bases/u8",
        .unit = "base",
        .channels = 1,
        .n_records = -1,
        .n_units = -1,
        .n_sources = r->n_files,
        .sources = r->sources,
    };
    *header = &r->header;
    return MBS_OK;
}

/* ---- records ---- */

static mbs_status take_row(tv_reader *r) {
    const mbs_host *h = r->host;
    mbs_record *rec = &r->record;
    char number[32];
    if (r->row.n != r->columns) {
        return tv_fail(r, "%lld column%s, and the first line has %lld", (long long)r->row.n, r->row.n == 1 ? "" : "s",
                       (long long)r->columns);
    }
    r->length = (int64_t)cell_length(r, r->sequence);
    const unsigned char *letters = (const unsigned char *)cell(r, r->sequence);
    for (int64_t i = 0; i < r->length; i++) {
        if (letters[i] <= ' ' || letters[i] >= 0x7f) {
            return tv_fail(r, "letter %lld of the sequence is the byte 0x%02x", (long long)i + 1, letters[i]);
        }
    }
    rec->index++;
    (void)snprintf(number, sizeof(number), "row%lld", (long long)rec->index + 1);
    const char *name = r->name_at >= 0 ? cell(r, r->name_at) : number;
    mbs_status st = fa_text_set(h, &r->name, name, strlen(name));
    rec->name = r->name.s;
    rec->source = r->file;
    rec->length = r->length;
    rec->label = r->label >= 0 ? cell(r, r->label) : NULL;
    if (st == MBS_OK && rec->label && !rec->label[0]) {
        st = tv_fail(r, "record '%.100s' has an empty label", name);
        h->hint(h, "give every row a label, or label: none");
    }
    r->position = 0;
    r->inside = st == MBS_OK;
    return st;
}

static mbs_status next_row(tv_reader *r) {
    const mbs_host *h = r->host;
    while (r->file < r->n_files) {
        mbs_status st = MBS_OK;
        if (!r->is_open) {
            st = open_file(r, r->file);
        }
        /* The first row was read to find the columns; without a header it is a record too. */
        if (st == MBS_OK && !(r->first && !h->param_bool(r->params, "header"))) {
            st = tv_row_read(r);
        }
        r->first = 0;
        if (st != MBS_END) {
            return st == MBS_OK ? take_row(r) : st;
        }
        fa_bytes_close(&r->in);
        r->is_open = 0;
        r->file++;
    }
    return MBS_END;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    tv_reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    mbs_status st = r->inside ? MBS_OK : next_row(r);
    if (st != MBS_OK) {
        return st;
    }
    int64_t n = r->length - r->position;
    n = n < max_rows ? n : max_rows;
    n = n < FA_WINDOW ? n : FA_WINDOW;
    int64_t shape[1] = {n};
    mbs_block *b = h->block_new(h, "bases/u8", MBS_U8, 1, shape);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld bases", (long long)n);
    }
    if (n > 0) {
        memcpy(b->data, cell(r, r->sequence) + r->position, (size_t)n);
    }
    int end = r->position + n == r->length;
    b->flags = (r->position == 0 ? MBS_SEQ_START : 0) | (end ? MBS_SEQ_END : 0);
    b->record = &r->record;
    b->start = r->position;
    b->end = r->position + n;
    r->position += n;
    r->inside = !end;
    *out = b;
    return MBS_OK;
}

static mbs_status reader_close(void *self) {
    tv_reader *r = self;
    fa_bytes_close(&r->in);
    r->is_open = 0;
    return MBS_OK;
}

const mbs_reader_vt tv_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = reader_create,
    .open = reader_open,
    .read = reader_read,
    .close = reader_close,
    .destroy = reader_destroy,
};
