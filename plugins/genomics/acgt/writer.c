#include <ctype.h>
#include <math.h>
#include <string.h>

#include "acgt.h"

static const char letters[AC_LETTERS + 1] = "ACGT";

/* "dir/p.bw" with the letter: "dir/p.A.bw". */
static char *path_of(const mbs_host *h, const char *path, char letter) {
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(path, '.');
    size_t n = strlen(path);
    size_t head = dot && dot != path && (!slash || dot > slash + 1) ? (size_t)(dot - path) : n;
    char *out = h->alloc(h, n + 3);
    if (out) {
        memcpy(out, path, head);
        out[head] = '.';
        out[head + 1] = letter;
        memcpy(out + head + 2, path + head, n - head + 1);
    }
    return out;
}

static void ac_destroy(void *self) {
    ac_writer *w = self;
    const mbs_host *h = w->host;
    for (int k = 0; k < AC_LETTERS; k++) {
        if (w->track[k]) {
            bw_writer_vt.destroy(w->track[k]);
        }
        h->free(h, w->path[k]);
    }
    h->free(h, w);
}

static mbs_status ac_create(const mbs_host *host, const mbs_params *params, void **self) {
    const char *path = host->param_string(params, "path");
    if (strcmp(path, "-") == 0) {
        host->hint(host, "name a file, as path: p.bw");
        return host->fail(host, MBS_ERR_CONFIG, "path", "four bigWig files cannot be written to standard output");
    }
    ac_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->probability = strcmp(host->param_string(params, "value"), "probability") == 0;
    mbs_status st = MBS_OK;
    for (int k = 0; k < AC_LETTERS && st >= 0; k++) {
        w->path[k] = path_of(host, path, letters[k]);
        st = w->path[k] ? bw_make(host, w->path[k], 1, &w->track[k])
                        : host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a path");
    }
    if (st < 0) {
        ac_destroy(w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

/* The columns that a header names; without one A, C, G and T are the first four. */
static mbs_status find_columns(ac_writer *w, const char *names) {
    const mbs_host *h = w->host;
    for (int k = 0; k < AC_LETTERS; k++) {
        w->column[k] = names ? -1 : k;
    }
    int64_t i = 0;
    for (const char *at = names; at && *at; i++) {
        size_t n = strcspn(at, "\t");
        const char *letter = n == 1 ? strchr(letters, toupper((unsigned char)*at)) : NULL;
        if (letter && *letter && w->column[letter - letters] < 0) {
            w->column[letter - letters] = i;
        }
        at += n + (at[n] != '\0');
    }
    for (int k = 0; k < AC_LETTERS; k++) {
        if (w->column[k] < 0) {
            mbs_status st = h->fail(h, MBS_ERR_CONFIG, NULL, "the model's vocabulary has no token '%c'", letters[k]);
            h->hint(h, "take a model of single letters");
            return st;
        }
    }
    return MBS_OK;
}

static mbs_status ac_open(void *self, const mbs_stream_header *header) {
    ac_writer *w = self;
    const char *predicts = mbs_header_attr(header, "predicts");
    w->next = !predicts || strcmp(predicts, "itself") != 0;
    mbs_status st = find_columns(w, mbs_header_attr(header, "columns"));
    for (int k = 0; k < AC_LETTERS && st >= 0; k++) {
        st = bw_writer_vt.open(w->track[k], header);
    }
    return st;
}

/* What a row of logits says of the four letters; nothing where it is none. */
static int of_row(const ac_writer *w, const float *row, int64_t width, float out[AC_LETTERS]) {
    double most = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < width; i++) {
        if (isnan(row[i])) {
            return 0;
        }
        most = (double)row[i] > most ? (double)row[i] : most;
    }
    for (int64_t i = 0; i < width; i++) {
        sum += exp((double)row[i] - most);
    }
    double norm = most + log(sum);
    for (int k = 0; k < AC_LETTERS; k++) {
        double v = (double)row[w->column[k]] - norm;
        out[k] = (float)(w->probability ? exp(v) : v);
    }
    return 1;
}

/* Moves w->before over the rows of a block; column k of what they say goes to `to`. */
static void fill(ac_writer *w, const mbs_block *b, float *to[AC_LETTERS]) {
    const uint8_t *scored = mbs_side_data(b, "scored", MBS_U8, 1);
    int64_t width = b->shape[1];
    int turned = b->record->strand == '-';
    for (int64_t i = 0; i < b->shape[0]; i++) {
        float now[AC_LETTERS] = {0};
        int there = of_row(w, (const float *)b->data + i * width, width, now);
        int known = (w->next ? w->before.there : there) && there && (!scored || scored[i]);
        for (int k = 0; k < AC_LETTERS; k++) {
            int from = turned ? AC_LETTERS - 1 - k : k; /* of ACGT the other end is the complement */
            to[k][i] = !known ? NAN : w->next ? w->before.of[from] : now[from];
        }
        if (there) { /* a row without input says nothing, and the one before goes on */
            w->before.there = 1;
            memcpy(w->before.of, now, sizeof(now));
        }
    }
}

static mbs_status ac_write(void *self, const mbs_block *b) {
    ac_writer *w = self;
    const mbs_host *h = w->host;
    for (int k = 0; k < AC_LETTERS; k++) {
        if (b->dtype != MBS_F32 || b->ndim != 2 || b->shape[1] <= w->column[k]) {
            return h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s': the rows are not logits of all four letters",
                           b->record->name);
        }
    }
    if (b->flags & MBS_SEQ_START) {
        memset(&w->before, 0, sizeof(w->before));
    }
    mbs_block *one[AC_LETTERS] = {0};
    float *to[AC_LETTERS] = {0};
    int64_t shape[2] = {b->shape[0], 1};
    const int64_t *interval = mbs_side_data(b, "interval", MBS_I64, 2);
    mbs_status st = MBS_OK;
    for (int k = 0; k < AC_LETTERS && st >= 0; k++) {
        one[k] = h->block_new(h, "score/f32", MBS_F32, 2, shape);
        int64_t *places = one[k] && interval ? h->block_side(h, one[k], "interval", MBS_I64, 2) : NULL;
        if (!one[k] || (interval && !places)) {
            st = h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld values", (long long)shape[0]);
            break;
        }
        if (interval) {
            memcpy(places, interval, (size_t)shape[0] * 2 * sizeof(*places));
        }
        to[k] = one[k]->data;
        one[k]->record = b->record;
        one[k]->flags = b->flags;
        one[k]->start = b->start;
        one[k]->end = b->end;
    }
    if (st >= 0) {
        fill(w, b, to);
    }
    for (int k = 0; k < AC_LETTERS; k++) {
        st = st < 0 ? st : bw_writer_vt.write(w->track[k], one[k]);
        h->block_unref(h, one[k]);
    }
    return st;
}

static mbs_status ac_drain(void *self) {
    ac_writer *w = self;
    mbs_status st = MBS_OK;
    for (int k = 0; k < AC_LETTERS && st >= 0; k++) {
        st = bw_writer_vt.drain(w->track[k]);
    }
    return st;
}

static mbs_status ac_close(void *self) {
    ac_writer *w = self;
    mbs_status st = MBS_OK;
    for (int k = 0; k < AC_LETTERS; k++) {
        mbs_status one = bw_writer_vt.close(w->track[k]);
        st = st < 0 ? st : one;
    }
    return st;
}

/* ---- checkpoints: the four of the tracks, each behind its length, and what the row before said ---- */

typedef struct collecting {
    const mbs_host *host;
    char *data;
    size_t n, cap;
} collecting;

static mbs_status collect(void *ctx, const void *bytes, size_t n) {
    collecting *c = ctx;
    if (n > c->cap - c->n) {
        size_t cap = 2 * (c->n + n);
        char *data = c->host->realloc(c->host, c->data, cap);
        if (!data) {
            return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for a checkpoint");
        }
        c->data = data;
        c->cap = cap;
    }
    memcpy(c->data + c->n, bytes, n);
    c->n += n;
    return MBS_OK;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    ac_writer *w = self;
    collecting c = {.host = w->host};
    mbs_status st = put(sink, &w->before, sizeof(w->before));
    for (int k = 0; k < AC_LETTERS && st >= 0; k++) {
        c.n = 0;
        st = bw_checkpoint.save(w->track[k], collect, &c);
        int64_t n = (int64_t)c.n;
        st = st < 0 ? st : put(sink, &n, sizeof(n));
        st = st < 0 ? st : put(sink, c.data, c.n);
    }
    w->host->free(w->host, c.data);
    return st;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    ac_writer *w = self;
    const char *p = bytes;
    mbs_status st = MBS_OK;
    int sound = n >= sizeof(w->before);
    if (sound) {
        memcpy(&w->before, p, sizeof(w->before));
        p += sizeof(w->before);
        n -= sizeof(w->before);
    }
    for (int k = 0; k < AC_LETTERS && sound && st >= 0; k++) {
        int64_t own = -1;
        sound = n >= sizeof(own);
        if (sound) {
            memcpy(&own, p, sizeof(own));
            p += sizeof(own);
            n -= sizeof(own);
            sound = own >= 0 && (uint64_t)own <= n;
        }
        if (sound) {
            st = bw_checkpoint.restore(w->track[k], p, (size_t)own);
            p += own;
            n -= (size_t)own;
        }
    }
    if (st >= 0 && (!sound || n != 0)) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path[0]);
    }
    return st;
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *ac_extension(void *self, const char *id) {
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_writer_vt ac_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = ac_create,
    .open = ac_open,
    .write = ac_write,
    .drain = ac_drain,
    .close = ac_close,
    .destroy = ac_destroy,
    .get_extension = ac_extension,
};
