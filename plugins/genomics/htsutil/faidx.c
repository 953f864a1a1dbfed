/* The index files that samtools faidx and bgzip -r write. Parsed here: a count in them is never an amount of memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "genomics/htsutil/index.h"
#include "genomics/htsutil/names.h"

#define LINE_MAX_BYTES 65536
#define HEADER_LOOK 8192
#define LOOK_AT 20000 /* names, for a message */

/* The file `suffix` beside in->path; NULL where there is none or it is older than the data. */
static FILE *open_beside(const fa_bytes *in, const char *suffix, int64_t *size) {
    const mbs_host *host = in->host;
    size_t n = strlen(in->path) + strlen(suffix) + 1;
    char *path = host->alloc(host, n);
    if (!path) {
        return NULL;
    }
    (void)snprintf(path, n, "%s%s", in->path, suffix);
    FILE *f = fopen(path, "rbe");
    struct stat own;
    struct stat data;
    if (f && (fstat(fileno(f), &own) != 0 || fstat(in->fd, &data) != 0 || !S_ISREG(own.st_mode))) {
        (void)fclose(f);
        f = NULL;
    }
    if (f && own.st_mtim.tv_sec < data.st_mtim.tv_sec) { /* whole seconds: copying a folder has no order within one */
        host->log(host, MBS_LOGLEVEL_WARNING, "%s is older than %s: not used", path, in->path);
        (void)fclose(f);
        f = NULL;
    }
    *size = f ? (int64_t)own.st_size : 0;
    host->free(host, path);
    return f;
}

/* A decimal number up to the next tab or the line's end. */
static int number(const char **at, int64_t *value) {
    char *end;
    errno = 0;
    if (**at < '0' || **at > '9') {
        return 0;
    }
    long long v = strtoll(*at, &end, 10);
    if (errno || (*end != '\t' && *end != '\0')) {
        return 0;
    }
    *value = v;
    *at = *end ? end + 1 : end;
    return 1;
}

/* NAME LENGTH OFFSET LINEBASES LINEWIDTH, by tabs. */
static int parse_line(char *line, fa_entry *e) {
    char *tab = strchr(line, '\t');
    if (!tab) {
        return 0;
    }
    const char *at = tab + 1;
    int64_t bases;
    int64_t width;
    if (!number(&at, &e->length) || !number(&at, &e->offset) || !number(&at, &bases) || !number(&at, &width) || *at) {
        return 0;
    }
    *tab = '\0';
    e->lines = (fa_lines){bases, width, 0, 0};
    if (e->offset < 1 || (e->length > 0 && (bases < 1 || width < bases || width - bases > 2))) {
        return 0;
    }
    int64_t end;
    return e->length == 0 ||
           (!__builtin_mul_overflow(e->length / bases, width, &end) && !__builtin_add_overflow(end, width, &end) &&
            !__builtin_add_overflow(end, e->offset, &end));
}

static mbs_status read_fai(fa_index *x, FILE *f, const mbs_host *host, int64_t keep) {
    char *line = host->alloc(host, LINE_MAX_BYTES);
    if (!line) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory to read an index");
    }
    mbs_status st = MBS_OK;
    fa_entry last = {0};
    while (st == MBS_OK && fgets(line, LINE_MAX_BYTES, f)) {
        size_t n = strlen(line);
        fa_entry e = {0};
        if (n == 0 || line[n - 1] != '\n') {
            st = MBS_END; /* cut off, or no text */
            break;
        }
        line[n - 1] = '\0';
        if (!parse_line(line, &e) || e.offset <= last.offset ||
            __builtin_add_overflow(x->n_bases, e.length, &x->n_bases)) {
            st = MBS_END;
            break;
        }
        x->n_records++;
        if (x->n_records > keep) { /* only the first and the last stay, for the check */
            x->n = 1;
            x->names_len = strlen(fa_index_name(x, 0)) + 1;
        }
        st = fa_index_add(host, x, line, strlen(line), &e);
        last = e;
    }
    if (st == MBS_OK && (ferror(f) || x->n_records == 0)) {
        st = MBS_END;
    }
    host->free(host, line);
    return st;
}

static uint64_t le64(const unsigned char *b) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | b[i];
    }
    return v;
}

static mbs_status read_gzi(fa_index *x, FILE *f, int64_t size, const fa_bytes *in) {
    unsigned char b[16];
    if (fread(b, 1, 8, f) != 8) {
        return MBS_END;
    }
    uint64_t n = le64(b);
    if (size < 8 || n != (uint64_t)(size - 8) / 16 || (uint64_t)size != 8 + 16 * n) {
        return MBS_END;
    }
    fa_mark last = {0, 0};
    x->marks.exact = 1;
    mbs_status st = fa_mark_add(in->host, &x->marks, last);
    for (uint64_t i = 0; st == MBS_OK && i < n; i++) {
        if (fread(b, 1, 16, f) != 16) {
            return MBS_END;
        }
        uint64_t where = le64(b);
        uint64_t at = le64(b + 8);
        /* blocks follow each other in the file and hold at most 64 KiB */
        if (where >= (uint64_t)in->size || where <= (uint64_t)(last.where >> 16) || at < (uint64_t)last.at ||
            at - (uint64_t)last.at > 65536) {
            return MBS_END;
        }
        last = (fa_mark){(int64_t)at, (int64_t)(where << 16)};
        st = fa_mark_add(in->host, &x->marks, last);
    }
    return st == MBS_OK ? st : in->host->fail(in->host, st, NULL, "no memory for the index of %s", in->path);
}

/* Reads up to n bytes from `at` on; -1 where the input fails. */
static int64_t look(fa_bytes *in, int64_t at, char *to, int64_t n) {
    if (fa_seek(in, at) != 0) {
        return -1;
    }
    int64_t got = 0;
    while (got < n) {
        int c = fa_peek(in);
        if (c == FA_BROKEN) {
            return -1;
        }
        if (c == FA_EOF) {
            break;
        }
        int64_t part = (int64_t)(in->len - in->pos);
        part = part < n - got ? part : n - got;
        memcpy(to + got, in->buf + in->pos, (size_t)part);
        in->pos += (size_t)part;
        got += part;
    }
    return got;
}

/* Is the line that ends at `n` in text the header of `name`? A longer header than was looked at is let pass. */
static int header_fits(const char *text, int64_t n, int64_t offset, const char *name) {
    if (n < 1 || text[n - 1] != '\n') {
        return 0;
    }
    int64_t from = n - 1;
    while (from > 0 && text[from - 1] != '\n') {
        from--;
    }
    if (from == 0 && offset > n) {
        return 1;
    }
    if (text[from++] != '>') {
        return 0;
    }
    while (text[from] == ' ' || text[from] == '\t') {
        from++; /* the line ends with its end */
    }
    int64_t len = (int64_t)strlen(name);
    return len <= n - from - 1 && memcmp(text + from, name, (size_t)len) == 0 &&
           strchr(" \t\r\n", text[from + len]) != NULL;
}

const char *fa_index_by_chr(const fa_index *x, const char *name) {
    for (int64_t i = 0; i < x->n && i < LOOK_AT; i++) {
        const char *own = fa_index_name(x, i);
        if (hu_names_differ_by_chr(name, strlen(name), own, strlen(own))) {
            return own;
        }
    }
    return NULL;
}

int fa_index_fits(const fa_index *x, int64_t i, fa_bytes *in, int is_last) {
    const fa_entry *e = &x->list[i];
    const mbs_host *host = in->host;
    char *text = host->alloc(host, HEADER_LOOK);
    if (!text) {
        in->failed = MBS_ERR_MEMORY;
        (void)snprintf(in->why, sizeof(in->why), "no memory to compare it with its index");
        return FA_BROKEN;
    }
    int64_t n = e->offset < HEADER_LOOK ? e->offset : HEADER_LOOK;
    int64_t got = look(in, e->offset - n, text, n);
    int fits = got < 0 ? FA_BROKEN : got == n && header_fits(text, n, e->offset, fa_index_name(x, i));
    /* behind the last letter: line ends, then the next record or nothing */
    int64_t from = e->length > 0 ? fa_entry_offset(e, e->length - 1) : e->offset - 1;
    if (fits == 1) {
        got = look(in, from, text, 1);
        fits = got < 0 ? FA_BROKEN : got == 1 && (e->length == 0 || text[0] > ' ');
    }
    if (fits == 1) {
        int c = fa_peek(in);
        fits = e->length == 0 || c == '\n' || c == '\r' || c < 0;
        while (c == '\n' || c == '\r') {
            in->pos++;
            c = fa_peek(in);
        }
        fits = c == FA_BROKEN ? c : fits && c == (is_last ? FA_EOF : '>');
    }
    host->free(host, text);
    return fits;
}

mbs_status fa_index_load(fa_index *x, fa_bytes *in, int64_t keep) {
    const mbs_host *host = in->host;
    if (in->kind == FA_GZIP || !in->regular) {
        return MBS_END;
    }
    int64_t size;
    FILE *f = open_beside(in, ".fai", &size);
    if (!f) {
        return MBS_END;
    }
    mbs_status st = read_fai(x, f, host, keep);
    (void)fclose(f);
    int64_t gzi = 0;
    if (st == MBS_OK && in->kind == FA_BGZIP) {
        f = open_beside(in, ".gzi", &gzi);
        st = f ? read_gzi(x, f, gzi, in) : MBS_END;
        if (f) {
            (void)fclose(f);
        } else {
            host->log(host, MBS_LOGLEVEL_DEBUG, "%s has no .gzi: its .fai is not used", in->path);
            return MBS_END;
        }
    }
    if (st == MBS_OK) {
        in->marks = &x->marks;
        int fits = fa_index_fits(x, 0, in, x->n_records == 1);
        if (fits == 1 && x->n > 1) {
            fits = fa_index_fits(x, x->n - 1, in, 1);
        }
        in->marks = NULL;
        if (fits == FA_BROKEN && in->failed == MBS_ERR_MEMORY) {
            return fa_bytes_fail(in, ""); /* says nothing about the index */
        }
        st = fits == 1 ? MBS_OK : MBS_END;
    }
    if (st == MBS_END) {
        host->log(host, MBS_LOGLEVEL_WARNING, "the index of %s does not fit it: not used", in->path);
    }
    x->from_file = st == MBS_OK;
    return st;
}
