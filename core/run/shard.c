#include "run/shard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "run/inputs.h"

struct mbs_shard_out {
    mbs_stages *s;
    const mbs_plan_set *sets;
    int n_sets;
    mbs_share share;
    const char *path; /* temporary */
    char *shown;      /* final */
    FILE *f;
    mbs_tap tap;
    mbs_buf buf;
    /* what is saved */
    int64_t ordinal; /* of the record at hand */
    uint64_t rows;   /* sum of its rows so far */
    uint64_t sum;    /* of all bytes written so far */
    int64_t bytes;
    int resumed;
};

static mbs_status bad_share(const char *text, mbs_err *err) {
    mbs_fail(err, MBS_ERR_USAGE, "run", "--shard %s: not i/n, as in --shard 2/8", text);
    mbs_err_fix(err, "n runs with i = 1 ... n share the input out; 'mambaseq merge' puts them together");
    return MBS_ERR_USAGE;
}

/* A number from 0, digits only; -1: it is none. */
static int64_t number(const char **at) {
    char *end = NULL;
    if (**at < '0' || **at > '9') {
        return -1;
    }
    errno = 0;
    long long v = strtoll(*at, &end, 10);
    *at = end;
    return errno ? -1 : v;
}

mbs_status mbs_share_parse(const char *text, mbs_share *out, mbs_err *err) {
    *out = (mbs_share){0, 0};
    if (!text) {
        return MBS_OK;
    }
    const char *at = text;
    int64_t i = number(&at);
    if (i < 0 || *at++ != '/') {
        return bad_share(text, err);
    }
    int64_t n = number(&at);
    if (n < 0 || *at) {
        return bad_share(text, err);
    }
    if (n < 1 || n > MBS_SHARD_MAX || i < 1 || i > n) {
        mbs_fail(err, MBS_ERR_USAGE, "run", "--shard %s: there is no shard %lld of %lld: %s", text, (long long)i,
                 (long long)n, n < 1 || n > MBS_SHARD_MAX ? "n goes from 1 to 65536" : "i goes from 1 to n");
        return MBS_ERR_USAGE;
    }
    *out = (mbs_share){i, n};
    return MBS_OK;
}

int64_t mbs_shard_together(const mbs_plan *plan) {
    return plan->task == MBS_TASK_VARIANT && mbs_task_variant_strands(plan->models[0]) & MBS_EDIT_MINUS ? 2 : 1;
}

uint64_t mbs_shard_sum(uint64_t sum, const void *data, size_t n) {
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) {
        sum = (sum ^ p[i]) * 0x100000001b3u;
    }
    return sum;
}

uint64_t mbs_shard_sum_rows(uint64_t sum, const mbs_block *b, int64_t from, int64_t n) {
    size_t width = mbs_dtype_size(b->dtype);
    for (int32_t i = 1; i < b->ndim; i++) {
        width *= (size_t)b->shape[i];
    }
    return mbs_shard_sum(sum, (const char *)b->data + (size_t)from * width, (size_t)n * width);
}

uint64_t mbs_shard_sum_edits(const mbs_record *record) {
    uint64_t sum = MBS_SHARD_SUM;
    for (int64_t i = 0; i < record->n_attrs; i++) {
        sum = mbs_shard_sum(sum, record->attrs[i].value, strlen(record->attrs[i].value) + 1);
    }
    return sum;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static mbs_status put(mbs_shard_out *o, const void *data, size_t n, mbs_err *err) {
    if (n && fwrite(data, 1, n, o->f) != n) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, o->shown, "cannot write");
    }
    o->sum = mbs_shard_sum(o->sum, data, n);
    o->bytes += (int64_t)n;
    return MBS_OK;
}

/* The entry in o->buf. */
static mbs_status put_entry(mbs_shard_out *o, char tag, mbs_err *err) {
    mbs_buf *b = &o->buf;
    if (b->failed || b->len > UINT32_MAX) {
        return mbs_fail_memory(err, o->shown, b->len);
    }
    uint32_t len = (uint32_t)b->len;
    unsigned char head[5] = {(unsigned char)tag, (unsigned char)len, (unsigned char)(len >> 8),
                             (unsigned char)(len >> 16), (unsigned char)(len >> 24)};
    mbs_status st = put(o, head, sizeof head, err);
    return st == MBS_OK ? put(o, b->data, b->len, err) : st;
}

static void put_text(mbs_buf *b, const char *text) {
    mbs_buf_put_u32(b, text != NULL);
    mbs_buf_put_bytes(b, text ? text : "", text ? strlen(text) : 0);
}

static void put_record(mbs_buf *b, const mbs_record *r, const mbs_record *of) {
    mbs_buf_put_u32(b, (uint32_t)r->strand);
    mbs_buf_put_i64(b, r->index);
    mbs_buf_put_i64(b, r->source);
    put_text(b, r->name);
    put_text(b, r->description);
    put_text(b, r->label);
    mbs_buf_put_i64(b, r->start);
    mbs_buf_put_i64(b, r->length);
    mbs_buf_put_i64(b, r->context);
    mbs_buf_put_u32(b, r->origin != NULL && r->origin == of->origin);
    mbs_buf_put_i64(b, r->n_attrs);
    for (int64_t i = 0; i < r->n_attrs; i++) {
        put_text(b, r->attrs[i].key);
        put_text(b, r->attrs[i].value);
    }
}

static size_t rows_bytes(int32_t dtype, const int64_t *shape, int32_t ndim) {
    size_t n = mbs_dtype_size(dtype);
    for (int32_t i = 0; i < ndim; i++) {
        n *= (size_t)shape[i];
    }
    return n;
}

static mbs_status on_block(void *self, const mbs_record *of, const mbs_block *out, mbs_err *err) {
    mbs_shard_out *o = self;
    mbs_buf *b = &o->buf;
    mbs_shard_whose whose = out->record == of                      ? MBS_SHARD_STREAM
                            : o->s->plan->task == MBS_TASK_VARIANT ? MBS_SHARD_EDITS
                                                                   : MBS_SHARD_OWN;
    mbs_buf_clear(b);
    mbs_buf_put_u32(b, (uint32_t)whose);
    put_text(b, out->type);
    mbs_buf_put_u32(b, (uint32_t)out->dtype);
    mbs_buf_put_u32(b, (uint32_t)out->ndim);
    for (int32_t i = 0; i < out->ndim; i++) {
        mbs_buf_put_i64(b, out->shape[i]);
    }
    mbs_buf_put_i64(b, out->start);
    mbs_buf_put_i64(b, out->end);
    mbs_buf_put_u32(b, out->flags);
    mbs_buf_put_u32(b, (uint32_t)out->n_sides);
    for (int32_t i = 0; i < out->n_sides; i++) {
        put_text(b, out->sides[i].name);
        mbs_buf_put_u32(b, (uint32_t)out->sides[i].dtype);
        mbs_buf_put_u32(b, (uint32_t)out->sides[i].width);
    }
    if (whose == MBS_SHARD_EDITS) {
        mbs_buf_put_i64(b, out->record->index);
        mbs_buf_put_i64(b, out->record->start);
        mbs_buf_put_i64(b, out->record->length);
        mbs_buf_put_i64(b, (int64_t)mbs_shard_sum_edits(out->record));
    } else if (whose == MBS_SHARD_OWN) {
        put_record(b, out->record, of);
    }
    mbs_status st = put_entry(o, 'B', err);
    st = st == MBS_OK ? put(o, out->data, rows_bytes(out->dtype, out->shape, out->ndim), err) : st;
    for (int32_t i = 0; i < out->n_sides && st == MBS_OK; i++) {
        int64_t shape[2] = {out->shape[0], out->sides[i].width};
        st = put(o, out->sides[i].data, rows_bytes(out->sides[i].dtype, shape, 2), err);
    }
    return st;
}

static mbs_status on_begin(void *self, const mbs_record *record, int64_t ordinal, mbs_err *err) {
    mbs_shard_out *o = self;
    (void)record;
    (void)err;
    o->ordinal = ordinal;
    o->rows = MBS_SHARD_SUM;
    return MBS_OK;
}

static void on_rows(void *self, const mbs_block *block, int64_t from, int64_t n) {
    mbs_shard_out *o = self;
    o->rows = mbs_shard_sum_rows(o->rows, block, from, n);
}

static mbs_status on_end(void *self, const mbs_record *record, mbs_err *err) {
    mbs_shard_out *o = self;
    mbs_buf_clear(&o->buf);
    mbs_buf_put_i64(&o->buf, o->ordinal);
    put_text(&o->buf, record->name);
    mbs_buf_put_i64(&o->buf, record->start);
    mbs_buf_put_i64(&o->buf, record->length);
    mbs_buf_put_i64(&o->buf, (int64_t)o->rows);
    return put_entry(o, 'E', err);
}

static mbs_status on_save(void *self, mbs_buf *out, mbs_err *err) {
    mbs_shard_out *o = self;
    if (fflush(o->f) != 0) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, o->shown, "cannot write");
    }
    mbs_buf_put_i64(out, o->ordinal);
    mbs_buf_put_i64(out, (int64_t)o->rows);
    mbs_buf_put_i64(out, (int64_t)o->sum);
    mbs_buf_put_i64(out, o->bytes);
    return MBS_OK;
}

const mbs_tap *mbs_shard_out_tap(mbs_shard_out *o) {
    o->tap = (mbs_tap){o, on_begin, on_rows, on_block, on_end, on_save};
    return &o->tap;
}

mbs_status mbs_shard_out_restore(mbs_shard_out *o, mbs_cursor *in, mbs_err *err) {
    o->ordinal = mbs_cursor_i64(in);
    o->rows = (uint64_t)mbs_cursor_i64(in);
    o->sum = (uint64_t)mbs_cursor_i64(in);
    o->bytes = mbs_cursor_i64(in);
    o->resumed = 1;
    struct stat sb;
    if (in->failed || o->bytes < 0) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "it is cut short");
    }
    if (stat(o->path, &sb) != 0 || sb.st_size < o->bytes) {
        return mbs_fail(err, MBS_ERR_DATA, o->shown, "less is there than the journal says");
    }
    return MBS_OK;
}

/* --- the beginning and the end ------------------------------------------------------------------------------------ */

static mbs_status refuse(const char *why, const char *fix, mbs_err *err) {
    mbs_fail(err, MBS_ERR_USAGE, "run", "--shard: %s", why);
    mbs_err_fix(err, "%s", fix);
    return MBS_ERR_USAGE;
}

static void note_pipe(void *ctx, const char *path) {
    struct stat sb;
    int pipe = mbs_path_is_std(path) || (stat(path, &sb) == 0 && !S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode));
    *(int *)ctx |= pipe;
}

static mbs_status check(const mbs_stages *s, mbs_err *err) {
    int pipe = 0;
    mbs_inputs_each(s->plan->reader, note_pipe, &pipe);
    if (pipe) {
        return refuse("an input is a pipe, and each shard reads all of it, and merge does", "write it to a file first",
                      err);
    }
    if (mbs_path_is_std(s->plan->file)) {
        return refuse("the pipeline comes from standard input, and merge reads it again", "write it to a file first",
                      err);
    }
    if (s->state_temp) {
        return refuse("save_state keeps the state behind one prompt, of which there are no parts", "run it as it is",
                      err);
    }
    if (mbs_task_facts_of(s->plan->task)->is & MBS_TASK_UNDIVIDED) {
        return refuse("a compressed container is one stream, which has no parts that could be made apart",
                      "run it as it is", err);
    }
    return MBS_OK;
}

mbs_status mbs_shard_out_new(mbs_stages *s, const mbs_plan_set *sets, int n_sets, mbs_share share, mbs_shard_out **out,
                             mbs_err *err) {
    *out = NULL;
    mbs_status st = check(s, err);
    if (st != MBS_OK) {
        return st;
    }
    int first = 0;
    while (first < mbs_outputs_count(s->outputs) && mbs_outputs_direct(s->outputs, first)) {
        first++;
    }
    if (first == mbs_outputs_count(s->outputs)) {
        return refuse("no output is a file, and what merge reads stands beside the first", "give one with -o FILE",
                      err);
    }
    mbs_shard_out *o = mbs_calloc(1, sizeof *o);
    if (!o) {
        return mbs_fail_memory(err, "run", sizeof *o);
    }
    o->s = s;
    o->sets = sets;
    o->n_sets = n_sets;
    o->share = share;
    o->sum = MBS_SHARD_SUM;
    mbs_buf name = MBS_BUF_INIT;
    mbs_buf_printf(&name, "%s" MBS_SHARD_SUFFIX, mbs_outputs_path(s->outputs, first));
    o->shown = name.failed ? NULL : mbs_strdup(mbs_buf_str(&name));
    mbs_buf_free(&name);
    st = o->shown ? mbs_outputs_add(s->outputs, o->shown, s->env.force, &o->path, err) : mbs_fail_memory(err, "run", 0);
    if (st != MBS_OK) {
        mbs_shard_out_free(o);
        return st;
    }
    *out = o;
    return MBS_OK;
}

static mbs_status put_head(mbs_shard_out *o, const mbs_stream_header *h, mbs_err *err) {
    mbs_buf *b = &o->buf;
    mbs_buf_clear(b);
    mbs_buf_put_i64(b, o->share.i);
    mbs_buf_put_i64(b, o->share.n);
    put_text(b, o->s->plan->file);
    mbs_buf_put_i64(b, o->n_sets);
    for (int i = 0; i < o->n_sets; i++) {
        put_text(b, o->sets[i].path);
        put_text(b, o->sets[i].value);
        mbs_buf_put_u32(b, (uint32_t)o->sets[i].raw);
        put_text(b, o->sets[i].origin);
    }
    mbs_buf_put_i64(b, mbs_outputs_count(o->s->outputs));
    for (int i = 0; i < mbs_outputs_count(o->s->outputs); i++) {
        put_text(b, mbs_outputs_path(o->s->outputs, i));
    }
    mbs_buf_put_i64(b, h->n_attrs);
    for (int64_t i = 0; i < h->n_attrs; i++) {
        put_text(b, h->attrs[i].key);
        put_text(b, h->attrs[i].value);
    }
    mbs_status st = put(o, MBS_SHARD_MAGIC, 8, err);
    return st == MBS_OK ? put_entry(o, 'H', err) : st;
}

mbs_status mbs_shard_out_open(mbs_shard_out *o, const mbs_stream_header *header, mbs_err *err) {
    o->f = fopen(o->path, o->resumed ? "r+b" : "wb");
    if (!o->f) {
        return mbs_fail_errno(err, MBS_ERR_CREATE, errno, o->shown, "cannot write");
    }
    if (!o->resumed) {
        return put_head(o, header, err);
    }
    if (ftruncate(fileno(o->f), (off_t)o->bytes) != 0 || fseeko(o->f, (off_t)o->bytes, SEEK_SET) != 0) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, o->shown, "cannot go on in it");
    }
    return MBS_OK;
}

mbs_status mbs_shard_out_finish(mbs_shard_out *o, int64_t records, mbs_err *err) {
    mbs_buf_clear(&o->buf);
    mbs_buf_put_i64(&o->buf, records);
    mbs_buf_put_i64(&o->buf, (int64_t)o->sum);
    mbs_status st = put_entry(o, 'Z', err);
    FILE *f = o->f;
    o->f = NULL;
    if (fclose(f) != 0 && st == MBS_OK) {
        st = mbs_fail_errno(err, MBS_ERR_IO, errno, o->shown, "cannot write");
    }
    return st;
}

void mbs_shard_out_free(mbs_shard_out *o) {
    if (o) {
        if (o->f) {
            (void)fclose(o->f);
        }
        mbs_buf_free(&o->buf);
        mbs_free(o->shown);
        mbs_free(o);
    }
}
