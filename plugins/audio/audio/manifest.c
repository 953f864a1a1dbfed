/* A manifest: TSV with a line of column names, of which path, label, start and duration are read. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

#define COLUMNS 64
#define BYTES_MAX ((size_t)1 << 30)

enum { PATH, LABEL, START, DURATION, SPEAKER, KNOWN };
static const char *const known[KNOWN] = {"path", "label", "start", "duration", "speaker"};

typedef struct manifest {
    au_reader *r;
    const char *path;
    long long line;
    int at[KNOWN]; /* column of each, -1: none */
    int n;         /* columns */
} manifest;

static mbs_status bad(const manifest *m, const char *what, const char *text) {
    return m->r->host->fail(m->r->host, MBS_ERR_DATA, "path", "%s:%lld: %s '%.80s'", m->path, m->line, what, text);
}

/* Cuts a line at its tabs. */
static int split(char *line, char **cells) {
    int n = 0;
    for (char *at = line; at && n < COLUMNS; n++) {
        cells[n] = at;
        at = strchr(at, '\t');
        if (at) {
            *at++ = '\0';
        }
    }
    return n;
}

static mbs_status take_names(manifest *m, char **cells, int n) {
    m->n = n;
    for (int k = 0; k < KNOWN; k++) {
        m->at[k] = -1;
        for (int i = 0; i < n; i++) {
            const char *name = cells[i] + (i == 0 && strncmp(cells[i], "\xef\xbb\xbf", 3) == 0 ? 3 : 0); /* of Excel */
            name += i == 0 && name[0] == '#';
            m->at[k] = strcmp(name, known[k]) == 0 ? i : m->at[k];
        }
    }
    if (m->at[PATH] < 0) {
        mbs_status st = bad(m, "no column 'path' in", cells[0]);
        m->r->host->hint(m->r->host, "the first line of a manifest names its columns: path, and of label, start, "
                                     "duration (seconds) and speaker what there is, with tabs between");
        return st;
    }
    return MBS_OK;
}

static mbs_status number(const manifest *m, char **cells, int which, double *to) {
    const char *text = m->at[which] >= 0 ? cells[m->at[which]] : "";
    char *end;
    if (!text[0] || strcmp(text, ".") == 0) {
        return MBS_OK;
    }
    double v = strtod(text, &end);
    if (*end != '\0' || !isfinite(v) || v < 0) {
        return bad(m, which == START ? "start is no time in seconds:" : "duration is no time in seconds:", text);
    }
    if (v > AU_SECONDS_MAX) {
        mbs_status st = bad(m, which == START ? "start is too late:" : "duration is too long:", text);
        m->r->host->hint(m->r->host, "times are in seconds, at most a thousand million; '.' is none");
        return st;
    }
    *to = v;
    return MBS_OK;
}

static mbs_status take_row(manifest *m, char **cells, int n) {
    au_reader *r = m->r;
    if (n != m->n) {
        char count[64];
        (void)snprintf(count, sizeof(count), "%d, the first line %d", n, m->n);
        return bad(m, "columns:", count);
    }
    const char *path = cells[m->at[PATH]];
    const char *slash = strrchr(m->path, '/');
    const char *label = m->at[LABEL] >= 0 && r->labels != AU_LABEL_NONE ? cells[m->at[LABEL]] : NULL;
    double start = r->start;
    double seconds = r->seconds;
    mbs_status st = number(m, cells, START, &start);
    st = st == MBS_OK ? number(m, cells, DURATION, &seconds) : st;
    if (st != MBS_OK) {
        return st;
    }
    if (!path[0] || strcmp(path, "-") == 0) {
        return bad(m, "a manifest names files, not", path);
    }
    if (label && !label[0]) {
        return bad(m, "an empty label of", path);
    }
    label = label && strcmp(label, ".") == 0 ? NULL : label;
    size_t folder = path[0] == '/' || !slash ? 0 : (size_t)(slash - m->path) + 1;
    char *full = r->host->alloc(r->host, folder + strlen(path) + 1);
    if (!full) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, "path", "no memory for a name");
    }
    memcpy(full, m->path, folder);
    memcpy(full + folder, path, strlen(path) + 1);
    st = au_files_add(r, full, label, label ? strlen(label) : 0, start, seconds);
    r->host->free(r->host, full);
    const char *speaker = m->at[SPEAKER] >= 0 ? cells[m->at[SPEAKER]] : "";
    return st == MBS_OK && speaker[0] && strcmp(speaker, ".") != 0 ? au_files_speaker(r, speaker, strlen(speaker)) : st;
}

static mbs_status take_lines(manifest *m, char *text) {
    char *cells[COLUMNS];
    mbs_status st = MBS_OK;
    int64_t before = m->r->n_items;
    for (char *line = text; line && *line && st == MBS_OK;) {
        char *next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\r') {
            line[n - 1] = '\0';
        }
        m->line++;
        if (m->n == 0) {
            st = take_names(m, cells, split(line, cells));
        } else if (*line) {
            st = take_row(m, cells, split(line, cells));
        }
        line = next;
    }
    if (st == MBS_OK && m->r->n_items == before) {
        st = m->r->host->fail(m->r->host, MBS_ERR_DATA, "path", "%s: a manifest without a recording", m->path);
    }
    return st;
}

mbs_status au_manifest_read(au_reader *r, const char *path) {
    const mbs_host *h = r->host;
    manifest m = {.r = r, .path = path};
    FILE *f = fopen(path, "rbe");
    if (!f) {
        return h->fail(h, MBS_ERR_NOINPUT, "path", "%s: cannot be opened: %s", path, strerror(errno));
    }
    char *text = NULL;
    size_t n = 0;
    size_t room = 0;
    mbs_status st = MBS_OK;
    for (size_t got = 1; st == MBS_OK && got > 0; n += got) {
        if (n + 1 >= room) {
            room = room ? room * 2 : 65536;
            char *grown = room <= BYTES_MAX ? h->realloc(h, text, room) : NULL;
            if (!grown) {
                st = h->fail(h, MBS_ERR_MEMORY, "path", "%s: no memory for a manifest of %zu bytes", path, n);
                break;
            }
            text = grown;
        }
        got = fread(text + n, 1, room - 1 - n, f);
    }
    if (st == MBS_OK && ferror(f)) {
        st = h->fail(h, MBS_ERR_IO, "path", "%s: cannot be read: %s", path, strerror(errno));
    }
    (void)fclose(f);
    if (st == MBS_OK) {
        text[n] = '\0';
        st = strlen(text) == n ? take_lines(&m, text)
                               : h->fail(h, MBS_ERR_DATA, "path", "%s: a NUL byte: not a manifest", path);
    }
    h->free(h, text);
    return st;
}
