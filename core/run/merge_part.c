#include "run/merge_part.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"

#define ENTRY_MAX ((uint32_t)1 << 28)
#define ITEMS_MAX ((int64_t)1 << 20)

mbs_status mbs_part_damaged(const mbs_part *p, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, p->path, "the shard is damaged");
    mbs_err_fix(err, "run it again: --shard %lld/%lld --force", (long long)p->share.i, (long long)p->share.n);
    return MBS_ERR_DATA;
}

mbs_status mbs_part_bytes(mbs_part *p, void *to, size_t n, mbs_err *err) {
    if (n && fread(to, 1, n, p->f) != n) {
        return ferror(p->f) ? mbs_fail_errno(err, MBS_ERR_IO, errno, p->path, "cannot read") : mbs_part_damaged(p, err);
    }
    p->sum = mbs_shard_sum(p->sum, to, n);
    return MBS_OK;
}

mbs_status mbs_part_look(mbs_part *p, mbs_err *err) {
    if (p->tag) {
        return MBS_OK;
    }
    unsigned char head[5];
    p->before = p->sum;
    mbs_status st = mbs_part_bytes(p, head, sizeof head, err);
    if (st != MBS_OK) {
        return st;
    }
    uint32_t len = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
    if (len > ENTRY_MAX) {
        return mbs_part_damaged(p, err);
    }
    char *grown = mbs_grow(p->entry, &p->cap, (size_t)len + 1, 1);
    if (!grown) {
        return mbs_fail_memory(err, p->path, len);
    }
    p->entry = grown;
    st = mbs_part_bytes(p, p->entry, len, err);
    p->tag = (char)head[0];
    p->in = (mbs_cursor){(const unsigned char *)p->entry, len, 0};
    return st;
}

void mbs_part_taken(mbs_part *p) {
    p->tag = 0;
}

const char *mbs_part_text(mbs_cursor *in, mbs_arena *arena, int *failed) {
    int there = mbs_cursor_u32(in) != 0;
    size_t n = 0;
    const void *p = mbs_cursor_bytes(in, &n);
    if (in->failed || !there) {
        return NULL;
    }
    char *text = mbs_arena_alloc(arena, n + 1);
    if (!text) {
        *failed = 1;
    } else if (n) {
        memcpy(text, p, n);
    }
    return text;
}

/* How many items follow, and room for them. */
static void *items(mbs_cursor *in, int64_t *n, size_t size, mbs_arena *arena, int *failed) {
    *n = mbs_cursor_i64(in);
    if (in->failed || *n < 0 || *n > ITEMS_MAX) {
        in->failed |= 1;
        *n = 0;
    }
    void *to = mbs_arena_alloc(arena, (size_t)(*n + 1) * size);
    *n = to ? *n : 0;
    *failed |= !to;
    return to;
}

static mbs_status read_head(mbs_part *p, mbs_arena *arena, mbs_err *err) {
    mbs_status st = mbs_part_look(p, err);
    if (st != MBS_OK) {
        return st;
    }
    mbs_cursor *in = &p->in;
    int no_memory = 0;
    p->share.i = mbs_cursor_i64(in);
    p->share.n = mbs_cursor_i64(in);
    p->pipeline = mbs_part_text(in, arena, &no_memory);
    p->sets = items(in, &p->n_sets, sizeof *p->sets, arena, &no_memory);
    for (int64_t i = 0; i < p->n_sets; i++) {
        p->sets[i].path = mbs_part_text(in, arena, &no_memory);
        p->sets[i].value = mbs_part_text(in, arena, &no_memory);
        p->sets[i].raw = (int)mbs_cursor_u32(in);
        p->sets[i].origin = mbs_part_text(in, arena, &no_memory);
        in->failed |= !p->sets[i].path || !p->sets[i].value || !p->sets[i].origin;
    }
    p->outputs = items(in, &p->n_outputs, sizeof *p->outputs, arena, &no_memory);
    for (int64_t i = 0; i < p->n_outputs; i++) {
        p->outputs[i] = mbs_part_text(in, arena, &no_memory);
        in->failed |= !p->outputs[i];
    }
    p->attrs = items(in, &p->n_attrs, sizeof *p->attrs, arena, &no_memory);
    for (int64_t i = 0; i < p->n_attrs; i++) {
        p->attrs[i].key = mbs_part_text(in, arena, &no_memory);
        p->attrs[i].value = mbs_part_text(in, arena, &no_memory);
        in->failed |= !p->attrs[i].key || !p->attrs[i].value;
    }
    if (no_memory) {
        return mbs_fail_memory(err, p->path, 0);
    }
    int fine = p->tag == 'H' && !in->failed && in->left == 0 && p->pipeline && p->share.n >= 1 &&
               p->share.n <= MBS_SHARD_MAX && p->share.i >= 1 && p->share.i <= p->share.n;
    mbs_part_taken(p);
    return fine ? MBS_OK : mbs_part_damaged(p, err);
}

/* Whether a shard's file is there: opens it. */
static int open_at(mbs_part *p, const char *path) {
    char magic[8];
    p->f = mbs_path_is_dir(path) ? NULL : fopen(path, "rb");
    if (p->f && fread(magic, 1, 8, p->f) == 8 && memcmp(magic, MBS_SHARD_MAGIC, 8) == 0) {
        p->sum = mbs_shard_sum(MBS_SHARD_SUM, magic, 8);
        p->path = mbs_strdup(path);
        return 1;
    }
    if (p->f) {
        (void)fclose(p->f);
        p->f = NULL;
    }
    return 0;
}

mbs_status mbs_part_open(mbs_part *p, const char *path, mbs_arena *arena, mbs_err *err) {
    memset(p, 0, sizeof *p);
    mbs_buf beside = MBS_BUF_INIT;
    mbs_buf_printf(&beside, "%s" MBS_SHARD_SUFFIX, path);
    int found = open_at(p, path) || open_at(p, mbs_buf_str(&beside));
    int other = !found && mbs_path_exists(mbs_buf_str(&beside));
    mbs_status st = MBS_OK;
    if (!found && errno == EMFILE) {
        st = mbs_fail_errno(err, MBS_ERR_IO, EMFILE, path, "cannot open");
        mbs_err_fix(err, "raise the number of open files: ulimit -n");
    } else if (!found) {
        st = mbs_fail(err, other ? MBS_ERR_DATA : MBS_ERR_NOINPUT, path, "it is no shard of a run, and %s is %s",
                      mbs_buf_str(&beside), other ? "none" : "not there");
        mbs_err_fix(err, "give what 'mambaseq run --shard i/n -o FILE' wrote; FILE" MBS_SHARD_SUFFIX
                         " belongs to it and is there when that run has ended");
    } else if (!p->path) {
        st = mbs_fail_memory(err, path, 0);
    }
    mbs_buf_free(&beside);
    return st == MBS_OK ? read_head(p, arena, err) : st;
}

void mbs_part_close(mbs_part *p) {
    if (p->f) {
        (void)fclose(p->f);
    }
    mbs_free(p->path);
    mbs_free(p->entry);
    memset(p, 0, sizeof *p);
}
