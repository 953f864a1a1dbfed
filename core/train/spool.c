#include "train/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "model/weights.h"

#define BUFFER ((size_t)1 << 16)
#define PIECE ((size_t)1 << 20)

/* What a byte of the flags says; 0, also in a hole of the file: scored and not masked. */
#define UNSCORED 1u
#define MASKED 2u

/* One file of values of `width` bytes, one for each token. It is made when the first value comes that is not 0. */
typedef struct lane {
    int fd;
    size_t width;
    int64_t at; /* bytes written; those before the first are a hole */
    unsigned char *buffer;
    size_t fill;
    const unsigned char *map; /* behind finish */
} lane;

/* Tokens from `token` on lie at `coordinate` and behind it, one by one. */
typedef struct run {
    int64_t token;
    int64_t coordinate;
} run;

typedef struct entry {
    int64_t begin, end;
    int64_t first_run;
    const char *name;
    const char *label;
    uint64_t group;
    int copy;
} entry;

struct mbs_spool {
    char *folder;
    int64_t vocab;
    int64_t frame_width; /* 0: ids */
    int64_t tokens;
    lane ids, flags, target; /* target: one more than it is */
    entry *records;
    size_t n_records, cap_records;
    run *runs;
    size_t n_runs, cap_runs;
    int64_t next; /* coordinate of the next id */
    int64_t due;  /* coordinate that the next token has if no run begins with it */
    mbs_arena *names;
    int finished;
    uint64_t fingerprint;
};

mbs_status mbs_spool_new(const char *folder, int64_t vocab_size, mbs_spool **out, mbs_err *err) {
    *out = NULL;
    mbs_spool *s = mbs_calloc(1, sizeof *s);
    if (!s) {
        return mbs_fail_memory(err, folder, sizeof *s);
    }
    s->vocab = vocab_size;
    s->ids = (lane){.fd = -1, .width = vocab_size <= 1 << 8 ? 1 : vocab_size <= 1 << 16 ? 2 : 4};
    s->flags = (lane){.fd = -1, .width = 1};
    s->target = (lane){.fd = -1, .width = sizeof(int32_t)};
    s->folder = mbs_strdup(folder);
    s->names = mbs_arena_new();
    if (!s->folder || !s->names) {
        mbs_spool_free(s);
        return mbs_fail_memory(err, folder, strlen(folder));
    }
    *out = s;
    return MBS_OK;
}

mbs_status mbs_spool_new_frames(const char *folder, int64_t width, mbs_spool **out, mbs_err *err) {
    mbs_status st = mbs_spool_new(folder, 0, out, err);
    if (st >= 0) {
        (*out)->frame_width = width;
        (*out)->ids.width = (size_t)width * sizeof(float);
    }
    return st;
}

static void free_lane(const mbs_spool *s, lane *l) {
    if (l->map) {
        munmap((void *)(uintptr_t)l->map, (size_t)s->tokens * l->width);
    }
    if (l->fd >= 0) {
        close(l->fd);
    }
    mbs_free(l->buffer);
}

void mbs_spool_free(mbs_spool *s) {
    if (s) {
        free_lane(s, &s->ids);
        free_lane(s, &s->flags);
        free_lane(s, &s->target);
        mbs_free(s->records);
        mbs_free(s->runs);
        mbs_arena_free(s->names);
        mbs_free(s->folder);
        mbs_free(s);
    }
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static mbs_status no_room(const mbs_spool *s, const lane *l, int errnum, mbs_err *err) {
    mbs_fail_errno(err, MBS_ERR_IO, errnum, s->folder, "the tokens of the input cannot be kept");
    mbs_err_fix(err, "make room there: they take %zu byte%s each", l->width, l->width == 1 ? "" : "s");
    return MBS_ERR_IO;
}

static mbs_status open_lane(const mbs_spool *s, lane *l, mbs_err *err) {
    char *path = mbs_path_join(s->folder, ".mbs-spool-XXXXXX");
    l->buffer = mbs_alloc(BUFFER);
    if (!path || !l->buffer) {
        mbs_free(path);
        return mbs_fail_memory(err, s->folder, BUFFER);
    }
    l->fd = mkostemp(path, O_CLOEXEC);
    mbs_status st = MBS_OK;
    if (l->fd < 0) {
        int gone = errno == ENOENT || errno == ENOTDIR;
        st = gone ? mbs_fail(err, MBS_ERR_CREATE, s->folder, "there is no such folder to write to")
                  : mbs_fail_errno(err, MBS_ERR_CREATE, errno, s->folder, "no file for the tokens can be made there");
        mbs_err_fix(err, gone ? "make the folder first: mkdir -p '%s'" : "write to a folder where you may create files",
                    s->folder);
    } else {
        unlink(path);
        l->at = s->tokens * (int64_t)l->width;
        /* A hole that is mapped kills where the disk is full once it is looked at. */
        int full = l->at > 0 ? posix_fallocate(l->fd, 0, (off_t)l->at) : 0;
        st = full ? no_room(s, l, full, err) : MBS_OK;
    }
    mbs_free(path);
    return st;
}

static mbs_status flush_lane(const mbs_spool *s, lane *l, mbs_err *err) {
    for (size_t done = 0; done < l->fill;) {
        ssize_t n = pwrite(l->fd, l->buffer + done, l->fill - done, (off_t)(l->at + (int64_t)done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return no_room(s, l, n < 0 ? errno : ENOSPC, err);
        }
        done += (size_t)n;
    }
    l->at += (int64_t)l->fill;
    l->fill = 0;
    return MBS_OK;
}

static mbs_status put(const mbs_spool *s, lane *l, uint32_t value, mbs_err *err) {
    if (l->fd < 0) {
        if (value == 0 && l != &s->ids) {
            return MBS_OK;
        }
        mbs_status st = open_lane(s, l, err);
        if (st < 0) {
            return st;
        }
    }
    if (l->width == 1) {
        l->buffer[l->fill] = (unsigned char)value;
    } else if (l->width == 2) {
        memcpy(l->buffer + l->fill, &(uint16_t){(uint16_t)value}, 2);
    } else {
        memcpy(l->buffer + l->fill, &value, 4);
    }
    l->fill += l->width;
    return l->fill == BUFFER ? flush_lane(s, l, err) : MBS_OK;
}

mbs_status mbs_spool_record_begin(mbs_spool *s, const char *name, const char *label, int64_t start, mbs_err *err) {
    entry *grown = mbs_grow(s->records, &s->cap_records, s->n_records + 1, sizeof *grown);
    if (!grown) {
        return mbs_fail_memory(err, s->folder, (s->n_records + 1) * sizeof *grown);
    }
    s->records = grown;
    entry *e = &s->records[s->n_records];
    const char *before = s->n_records > 0 ? e[-1].label : NULL;
    *e = (entry){.begin = s->tokens, .end = s->tokens, .first_run = (int64_t)s->n_runs};
    e->name = mbs_arena_strdup(s->names, name ? name : "");
    /* Records of one class often come together. */
    e->label = label && before && strcmp(label, before) == 0 ? before
               : label                                       ? mbs_arena_strdup(s->names, label)
                                                             : NULL;
    if (!e->name || (label && !e->label)) {
        return mbs_fail_memory(err, s->folder, name ? strlen(name) : 1);
    }
    s->n_records++;
    s->next = start;
    return MBS_OK;
}

void mbs_spool_record_group(mbs_spool *s, const char *group) {
    uint64_t sum = mbs_fingerprint(1, group, strlen(group));
    s->records[s->n_records - 1].group = sum ? sum : 1;
}

void mbs_spool_record_copy(mbs_spool *s) {
    s->records[s->n_records - 1].copy = 1;
}

/* The next token lies at `coordinate`. */
static mbs_status place(mbs_spool *s, int64_t coordinate, mbs_err *err) {
    const entry *e = &s->records[s->n_records - 1];
    if (s->tokens == e->begin || coordinate != s->due) {
        run *grown = mbs_grow(s->runs, &s->cap_runs, s->n_runs + 1, sizeof *grown);
        if (!grown) {
            return mbs_fail_memory(err, s->folder, (s->n_runs + 1) * sizeof *grown);
        }
        s->runs = grown;
        s->runs[s->n_runs++] = (run){s->tokens, coordinate};
    }
    s->due = coordinate + 1;
    return MBS_OK;
}

static mbs_status add_one(mbs_spool *s, int32_t id, int64_t i, const mbs_spool_sides *sides, mbs_err *err) {
    unsigned flags = 0;
    uint32_t target = 0;
    if (sides) {
        flags = (sides->scored && !sides->scored[i] ? UNSCORED : 0) | (sides->mask && sides->mask[i] ? MASKED : 0);
        target = sides->target && sides->target[i] >= 0 ? (uint32_t)sides->target[i] + 1 : 0;
    }
    if (id >= s->vocab || (int64_t)target > s->vocab) {
        return mbs_fail(err, MBS_ERR_DATA, s->records[s->n_records - 1].name,
                        "token %lld: %s %lld is outside of the vocabulary of %lld", (long long)s->next,
                        id >= s->vocab ? "the id" : "the target",
                        id >= s->vocab ? (long long)id : (long long)target - 1, (long long)s->vocab);
    }
    mbs_status st = place(s, s->next, err);
    st = st < 0 ? st : put(s, &s->ids, (uint32_t)id, err);
    st = st < 0 ? st : put(s, &s->flags, flags, err);
    st = st < 0 ? st : put(s, &s->target, target, err);
    s->tokens += st >= 0;
    return st;
}

/* The bytes of a row, which may be more than the buffer. */
static mbs_status put_bytes(const mbs_spool *s, lane *l, const void *bytes, size_t n, mbs_err *err) {
    mbs_status st = l->fd < 0 ? open_lane(s, l, err) : MBS_OK;
    for (size_t at = 0; at < n && st >= 0;) {
        size_t more = n - at < BUFFER - l->fill ? n - at : BUFFER - l->fill;
        memcpy(l->buffer + l->fill, (const char *)bytes + at, more);
        l->fill += more;
        at += more;
        st = l->fill == BUFFER ? flush_lane(s, l, err) : MBS_OK;
    }
    return st;
}

mbs_status mbs_spool_add_frames(mbs_spool *s, const float *frames, int64_t n, const int64_t *coordinates,
                                mbs_err *err) {
    if (s->n_records == 0 || s->finished || s->frame_width == 0) {
        return mbs_fail(err, MBS_ERR_INTERNAL, s->folder, "frames outside of a record");
    }
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        st = place(s, coordinates[i], err);
        st = st < 0 ? st : put_bytes(s, &s->ids, frames + i * s->frame_width, s->ids.width, err);
        s->tokens += st >= 0;
    }
    s->records[s->n_records - 1].end = s->tokens;
    return st;
}

mbs_status mbs_spool_add(mbs_spool *s, const int32_t *ids, int64_t n, const mbs_spool_sides *sides, mbs_err *err) {
    if (s->n_records == 0 || s->finished) {
        return mbs_fail(err, MBS_ERR_INTERNAL, s->folder, "tokens outside of a record");
    }
    if (sides && sides->coordinate) {
        s->next = *sides->coordinate;
    }
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        st = ids[i] >= 0 ? add_one(s, ids[i], i, sides, err) : MBS_OK;
        s->next++;
    }
    s->records[s->n_records - 1].end = s->tokens;
    return st;
}

static mbs_status map_lane(mbs_spool *s, lane *l, mbs_err *err) {
    if (l->fd < 0) {
        return MBS_OK;
    }
    mbs_status st = flush_lane(s, l, err);
    size_t bytes = (size_t)s->tokens * l->width;
    if (st >= 0 && bytes > 0) {
        void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, l->fd, 0);
        if (map == MAP_FAILED) {
            return mbs_fail_errno(err, MBS_ERR_IO, errno, s->folder, "the tokens of the input cannot be mapped");
        }
        l->map = map;
    }
    close(l->fd);
    l->fd = -1;
    mbs_free(l->buffer);
    l->buffer = NULL;
    return st;
}

static uint64_t sum_lane(const mbs_spool *s, const lane *l, uint64_t sum) {
    size_t bytes = l->map ? (size_t)s->tokens * l->width : 0;
    sum = mbs_fingerprint(sum, &bytes, sizeof bytes);
    for (size_t at = 0; at < bytes; at += PIECE) {
        sum = mbs_fingerprint(sum, l->map + at, bytes - at < PIECE ? bytes - at : PIECE);
    }
    return sum;
}

mbs_status mbs_spool_finish(mbs_spool *s, mbs_err *err) {
    mbs_status st = map_lane(s, &s->ids, err);
    st = st < 0 ? st : map_lane(s, &s->flags, err);
    st = st < 0 ? st : map_lane(s, &s->target, err);
    if (st < 0) {
        return st;
    }
    uint64_t sum = sum_lane(s, &s->ids, (uint64_t)(s->vocab + s->frame_width));
    sum = sum_lane(s, &s->flags, sum);
    sum = sum_lane(s, &s->target, sum);
    sum = mbs_fingerprint(sum, s->runs, s->n_runs * sizeof *s->runs);
    for (size_t i = 0; i < s->n_records; i++) {
        const entry *e = &s->records[i];
        sum = mbs_fingerprint(sum, &e->begin, sizeof e->begin);
        sum = mbs_fingerprint(sum, e->name, strlen(e->name));
        sum = e->label ? mbs_fingerprint(sum, e->label, strlen(e->label)) : sum;
        sum = e->group ? mbs_fingerprint(sum, &e->group, sizeof e->group) : sum;
        sum = e->copy ? mbs_fingerprint(sum, &e->copy, sizeof e->copy) : sum;
    }
    s->fingerprint = sum;
    s->finished = 1;
    return MBS_OK;
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

int64_t mbs_spool_tokens(const mbs_spool *s) {
    return s->tokens;
}

int64_t mbs_spool_frame_width(const mbs_spool *s) {
    return s->frame_width;
}

void mbs_spool_get_frames(const mbs_spool *s, int64_t from, int64_t n, float *out) {
    if (n > 0) {
        memcpy(out, s->ids.map + (size_t)from * s->ids.width, (size_t)n * s->ids.width);
    }
}

int64_t mbs_spool_records(const mbs_spool *s) {
    return (int64_t)s->n_records;
}

mbs_spool_record mbs_spool_at(const mbs_spool *s, int64_t record) {
    const entry *e = &s->records[record];
    return (mbs_spool_record){e->begin, e->end, e->name, e->label, e->group, e->copy};
}

int mbs_spool_has_targets(const mbs_spool *s) {
    return s->target.map != NULL;
}

uint64_t mbs_spool_fingerprint(const mbs_spool *s) {
    return s->fingerprint;
}

int64_t mbs_spool_token_at(const mbs_spool *s, int64_t record, int64_t coordinate) {
    const entry *e = &s->records[record];
    size_t last = (size_t)record + 1 < s->n_records ? (size_t)e[1].first_run : s->n_runs;
    for (size_t i = (size_t)e->first_run; i < last; i++) {
        const run *r = &s->runs[i];
        int64_t end = i + 1 < last ? r[1].token : e->end;
        if (coordinate < r->coordinate + (end - r->token)) {
            return coordinate <= r->coordinate ? r->token : r->token + (coordinate - r->coordinate);
        }
    }
    return e->end;
}

static void get_ids(const lane *l, int64_t from, int64_t n, int32_t *ids) {
    const unsigned char *p = l->map + from * (int64_t)l->width;
    if (l->width == 1) {
        for (int64_t i = 0; i < n; i++) {
            ids[i] = p[i];
        }
    } else if (l->width == 2) {
        for (int64_t i = 0; i < n; i++) {
            uint16_t v;
            memcpy(&v, p + 2 * i, sizeof v);
            ids[i] = v;
        }
    } else {
        memcpy(ids, p, (size_t)n * sizeof *ids);
    }
}

void mbs_spool_get(const mbs_spool *s, int64_t from, int64_t n, int32_t *ids, uint8_t *scored, uint8_t *mask,
                   int32_t *target) {
    if (n <= 0) {
        return;
    }
    if (ids && s->frame_width == 0) {
        get_ids(&s->ids, from, n, ids);
    }
    const unsigned char *flags = s->flags.map ? s->flags.map + from : NULL;
    for (int64_t i = 0; scored && i < n; i++) {
        scored[i] = !flags || !(flags[i] & UNSCORED);
    }
    for (int64_t i = 0; mask && i < n; i++) {
        mask[i] = flags && (flags[i] & MASKED);
    }
    if (target && s->target.map) {
        memcpy(target, s->target.map + from * (int64_t)sizeof *target, (size_t)n * sizeof *target);
    }
    for (int64_t i = 0; target && i < n; i++) {
        target[i] = s->target.map ? target[i] - 1 : -1;
    }
}
