#include "kit.h"

#include <fcntl.h>
#include <htslib/bgzf.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mambaseq/ext/checkpoint.h"

static const mbs_descriptor *reader(void) {
    return mbs_plugin_entry_fasta.descriptors[0];
}

static const mbs_reader_vt *vt(const reading *r) {
    return r->h.desc->vt;
}

static void append(reading *r, const char *s, size_t n) {
    if (r->len + n + 1 > r->cap) {
        r->cap = (r->len + n + 1) * 2;
        r->text = realloc(r->text, r->cap);
        CHECK(r->text != NULL);
    }
    memcpy(r->text + r->len, s, n);
    r->len += n;
    r->text[r->len] = '\0';
}

void reading_start(reading *r, const char *const *params) {
    reading_start_of(r, reader(), params);
}

void reading_start_of(reading *r, const mbs_descriptor *desc, const char *const *params) {
    memset(r, 0, sizeof(*r));
    fake_init(&r->h, desc);
    for (; params[0]; params += 2) {
        fake_set(&r->h, params[0], params[1]);
    }
    append(r, "", 0);
}

mbs_status reading_open(reading *r) {
    r->status = r->self ? MBS_OK : vt(r)->create(&r->h.host, fake_params(&r->h), &r->self);
    if (r->status == MBS_OK) {
        r->status = vt(r)->open(r->self, &r->header);
    }
    return r->status;
}

static void begin_record(reading *r, const mbs_block *b) {
    const mbs_record *rec = b->record;
    char text[256];
    int n = snprintf(text, sizeof(text), ">%.60s|%.60s|src %d start %lld len %lld ctx %lld\n", rec->name,
                     rec->description ? rec->description : "", (int)rec->source, (long long)rec->start,
                     (long long)rec->length, (long long)rec->context);
    append(r, text, (size_t)n);
    CHECK_INT(rec->index, r->records);
    r->records++;
    r->next = rec->start - rec->context;
}

mbs_status reading_step(reading *r, int64_t max_rows) {
    mbs_block *b = NULL;
    r->status = vt(r)->read(r->self, max_rows, &b);
    if (r->status != MBS_OK) {
        CHECK(!b, "a block with status %d", (int)r->status);
        CHECK(r->status > 0 || r->h.status == r->status, "status %d without a message", (int)r->status);
        return r->status;
    }
    CHECK(b && b->record && b->record->name);
    CHECK_STR(b->type, "bases/u8");
    CHECK_INT(b->ndim, 1);
    CHECK(b->shape[0] <= max_rows);
    CHECK(b->shape[0] > 0 || (b->flags & MBS_SEQ_END));
    CHECK_INT(r->inside, !(b->flags & MBS_SEQ_START));
    if (b->flags & MBS_SEQ_START) {
        begin_record(r, b);
    }
    CHECK_INT(b->start, r->next);
    CHECK_INT(b->end - b->start, b->shape[0]);
    append(r, b->data, (size_t)b->shape[0]);
    if (r->look) {
        r->look(r, b);
    }
    r->next = b->end;
    r->rows += b->shape[0];
    r->blocks++;
    r->inside = !(b->flags & MBS_SEQ_END);
    if (!r->inside) {
        append(r, "\n", 1);
        int64_t length = b->record->length;
        CHECK(length < 0 || r->next == b->record->start + length, "length %lld, %lld delivered", (long long)length,
              (long long)(r->next - b->record->start));
    }
    fake_block_unref(&r->h.host, b);
    return MBS_OK;
}

mbs_status reading_rest(reading *r, int64_t max_rows) {
    while (reading_step(r, max_rows) == MBS_OK) {
    }
    return r->status;
}

void reading_end(reading *r) {
    if (r->self) {
        if (r->status >= 0) {
            CHECK_INT(vt(r)->close(r->self), MBS_OK);
        }
        vt(r)->destroy(r->self);
    }
    free(r->text);
    fake_end(&r->h);
}

void reading_all(reading *r, const char *const *params, int64_t max_rows) {
    reading_start(r, params);
    if (reading_open(r) == MBS_OK) {
        reading_rest(r, max_rows);
    }
}

typedef struct bytes {
    char *s;
    size_t n;
} bytes;

static mbs_status put(void *sink, const void *from, size_t n) {
    bytes *b = sink;
    b->s = realloc(b->s, b->n + n + 1);
    CHECK(b->s != NULL);
    memcpy(b->s + b->n, from, n);
    b->n += n;
    return MBS_OK;
}

void *reading_save(reading *r, size_t *n) {
    bytes b = {NULL, 0};
    const mbs_ext_checkpoint *x = vt(r)->get_extension(r->self, MBS_EXT_CHECKPOINT);
    CHECK(x != NULL);
    CHECK_INT(x->save(r->self, put, &b), MBS_OK);
    *n = b.n;
    return b.s;
}

mbs_status reading_restore(reading *r, const void *place, size_t n) {
    r->status = vt(r)->create(&r->h.host, fake_params(&r->h), &r->self);
    if (r->status != MBS_OK) {
        return r->status;
    }
    const mbs_ext_checkpoint *x = vt(r)->get_extension(r->self, MBS_EXT_CHECKPOINT);
    CHECK(x != NULL);
    r->status = x->restore(r->self, place, n);
    return r->status == MBS_OK ? reading_open(r) : r->status;
}

void kit_write(const char *path, const void *from, size_t n) {
    (void)unlink(path); /* writing over a file makes ext4 wait for the disk */
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(from, 1, n, f) == n && fclose(f) == 0, "%s", path);
}

void *kit_read(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL, "%s", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *s = malloc(*n + 1);
    CHECK(s && fread(s, 1, *n, f) == *n);
    s[*n] = '\0';
    fclose(f);
    return s;
}

static void compress(const char *path, const void *from, size_t n, const char *mode) {
    (void)unlink(path);
    BGZF *f = bgzf_open(path, mode);
    CHECK(f && bgzf_write(f, from, n) == (ssize_t)n && bgzf_close(f) == 0, "%s", path);
}

void kit_bgzip(const char *path, const void *from, size_t n) {
    compress(path, from, n, "w");
}

void kit_gzip(const char *path, const void *from, size_t n) {
    compress(path, from, n, "wg");
}

void kit_age(const char *path, int seconds) {
    struct stat st;
    CHECK(stat(path, &st) == 0);
    struct timespec t[2] = {st.st_atim, st.st_mtim};
    t[1].tv_sec += seconds;
    CHECK(utimensat(AT_FDCWD, path, t, 0) == 0);
}

uint64_t kit_random(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
