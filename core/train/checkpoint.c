#include "train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/sha256.h"
#include "model/new_folder.h"
#include "model/weights.h"
#include "train/checkpoint_impl.h"

#define MAGIC "MBSTRAIN"
#define STATE "state"
#define STATE_LIMIT ((size_t)1 << 26)
#define PIECE ((size_t)1 << 20)

/* --- identity -------------------------------------------------------------------------------------------------------
 */

/* A line of a text: its key and its value. Returns where the next begins, NULL at the end. */
typedef struct line {
    const char *key, *value;
    int key_len, value_len;
} line;

static const char *next_line(const char *at, line *out) {
    if (!*at) {
        return NULL;
    }
    size_t len = strcspn(at, "\n");
    const char *colon = memchr(at, ':', len);
    size_t key = colon ? (size_t)(colon - at) : len;
    size_t value = key < len ? key + 1 + (at[key + 1] == ' ') : len;
    *out = (line){at, at + value, (int)key, (int)(len - value)};
    return at + len + (at[len] == '\n');
}

static int find_line(const char *text, const line *like, line *out) {
    for (const char *at = text; (at = next_line(at, out));) {
        if (out->key_len == like->key_len && memcmp(out->key, like->key, (size_t)like->key_len) == 0) {
            return 1;
        }
    }
    return 0;
}

static mbs_status refuse(const line *was, const line *is, mbs_err *err) {
    const line *any = is ? is : was;
    if (was && is) {
        mbs_fail(err, MBS_ERR_DATA, "checkpoint", "cannot resume: '%.*s' differs: it was '%.*s', now it is '%.*s'",
                 any->key_len, any->key, was->value_len > 300 ? 300 : was->value_len, was->value,
                 is->value_len > 300 ? 300 : is->value_len, is->value);
    } else {
        mbs_fail(err, MBS_ERR_DATA, "checkpoint", "cannot resume: '%.*s' differs: it was %s, now it is %s",
                 any->key_len, any->key, was ? "given" : "not given", is ? "given" : "not given");
    }
    mbs_err_fix(err, "resume with what it was started with, or start afresh with --force and without --resume");
    return MBS_ERR_DATA;
}

mbs_status mbs_identity_same(const char *was, const char *is, mbs_err *err) {
    line now, old;
    for (const char *at = is; (at = next_line(at, &now));) {
        int there = find_line(was, &now, &old);
        if (!there || old.value_len != now.value_len || memcmp(old.value, now.value, (size_t)now.value_len) != 0) {
            return refuse(there ? &old : NULL, &now, err);
        }
    }
    for (const char *at = was; (at = next_line(at, &old));) {
        if (!find_line(is, &old, &now)) {
            return refuse(&old, NULL, err);
        }
    }
    return MBS_OK;
}

/* --- files ----------------------------------------------------------------------------------------------------------
 */

static mbs_status sum_file(const char *path, uint64_t *sum, mbs_err *err) {
    unsigned char *buffer = mbs_alloc(PIECE);
    if (!buffer) {
        return mbs_fail_memory(err, path, PIECE);
    }
    FILE *f = fopen(path, "rbe");
    mbs_status st = f ? MBS_OK : mbs_fail_errno(err, MBS_ERR_IO, errno, path, "cannot be read");
    *sum = 0;
    for (size_t n = 1; st >= 0 && n > 0;) {
        n = fread(buffer, 1, PIECE, f);
        *sum = mbs_fingerprint(*sum, buffer, n);
    }
    if (f && st >= 0 && ferror(f)) {
        st = mbs_fail_errno(err, MBS_ERR_IO, errno, path, "cannot be read");
    }
    if (f) {
        fclose(f);
    }
    mbs_free(buffer);
    return st;
}

static char *step_path(const mbs_workplace *w, int64_t step, const char *tail) {
    char name[64];
    (void)snprintf(name, sizeof name, "step-%" PRId64 "%s", step, tail);
    return mbs_path_join(w->folder, name);
}

static void put_state(mbs_buf *b, const mbs_train_state *s) {
    mbs_buf_put_i64(b, s->step);
    mbs_buf_put_i64(b, s->evaluated);
    mbs_buf_put_i64(b, s->seen);
    mbs_buf_put_f64(b, s->seconds);
    mbs_buf_put_i64(b, s->best_step);
    mbs_buf_put_f64(b, s->best_loss);
    mbs_buf_put_i64(b, s->worse);
    mbs_buf_put_i64(b, (int64_t)s->best_sum);
    mbs_buf_put_f64(b, s->loss);
    mbs_buf_put_f64(b, s->weight);
    mbs_buf_put_f64(b, s->step_seconds);
    mbs_buf_put_i64(b, s->tokens);
}

static void get_state(mbs_cursor *c, mbs_train_state *s) {
    s->step = mbs_cursor_i64(c);
    s->evaluated = mbs_cursor_i64(c);
    s->seen = mbs_cursor_i64(c);
    s->seconds = mbs_cursor_f64(c);
    s->best_step = mbs_cursor_i64(c);
    s->best_loss = mbs_cursor_f64(c);
    s->worse = mbs_cursor_i64(c);
    s->best_sum = (uint64_t)mbs_cursor_i64(c);
    s->loss = mbs_cursor_f64(c);
    s->weight = mbs_cursor_f64(c);
    s->step_seconds = mbs_cursor_f64(c);
    s->tokens = mbs_cursor_i64(c);
}

/* Names and sums of all files of a folder but the state. */
static mbs_status put_files(const char *folder, mbs_buf *b, mbs_err *err) {
    DIR *d = opendir(folder);
    if (!d) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, folder, "cannot be looked into");
    }
    mbs_status st = MBS_OK;
    for (struct dirent *e = readdir(d); e && st >= 0; e = readdir(d)) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, STATE) == 0) {
            continue;
        }
        uint64_t sum = 0;
        char *path = mbs_path_join(folder, e->d_name);
        st = path ? sum_file(path, &sum, err) : mbs_fail_memory(err, folder, 1);
        mbs_buf_put_bytes(b, e->d_name, strlen(e->d_name));
        mbs_buf_put_i64(b, (int64_t)sum);
        mbs_free(path);
    }
    closedir(d);
    return st;
}

static mbs_status write_state(const char *folder, const char *identity, const mbs_train_state *state, mbs_err *err) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf files = MBS_BUF_INIT;
    char hex[65];
    mbs_status st = put_files(folder, &files, err);
    mbs_buf_puts(&b, MAGIC);
    mbs_buf_put_bytes(&b, identity, strlen(identity));
    put_state(&b, state);
    mbs_buf_put_bytes(&b, mbs_buf_str(&files), files.len);
    mbs_sha256_of(mbs_buf_str(&b), b.len, hex);
    mbs_buf_append(&b, hex, 64);
    if (st >= 0 && (b.failed || files.failed)) {
        st = mbs_fail_memory(err, folder, b.len);
    }
    st = st < 0 ? st : mbs_new_folder_put(folder, STATE, b.data, b.len, err);
    mbs_buf_free(&files);
    mbs_buf_free(&b);
    return st;
}

static mbs_status fill(const char *folder, const mbs_train_job *job, mbs_err *err) {
    char *optimizer = mbs_path_join(folder, "optimizer.safetensors");
    mbs_status st = optimizer ? MBS_OK : mbs_fail_memory(err, folder, 1);
    if (st >= 0 && job->write_rest) {
        st = job->write_rest(job->write_rest_ctx, folder, err);
    }
    st = st < 0 ? st : mbs_net_write_weights(job->net, folder, MBS_DT_F32, err);
    st = st < 0 ? st : mbs_net_save(job->net, optimizer, err);
    mbs_free(optimizer);
    return st;
}

static mbs_status give_name(const mbs_workplace *w, const char *part, const char *path, mbs_err *err) {
    mbs_workplace_sweep(path); /* one that was damaged */
    int failed = mbs_path_sync_dir(part);
    if (!failed && rename(part, path) != 0) {
        failed = errno;
    }
    failed = failed ? failed : mbs_path_sync_dir(w->folder);
    return failed ? mbs_fail_errno(err, MBS_ERR_IO, failed, path, "the checkpoint cannot be given its name") : MBS_OK;
}

/* All older than the last two. Each is renamed first, so that none is ever half there under its name. */
static void drop_old(const mbs_workplace *w) {
    int64_t step = mbs_checkpoint_before(w->folder, w->newest);
    while (step > 0 && (step = mbs_checkpoint_before(w->folder, step)) > 0) {
        char *path = step_path(w, step, "");
        char *part = step_path(w, step, ".part");
        if (path && part && rename(path, part) == 0) {
            mbs_workplace_sweep(part);
        }
        mbs_free(path);
        mbs_free(part);
    }
}

static mbs_status make_part(const char *part, mbs_err *err) {
    mbs_workplace_sweep(part);
    return mkdir(part, 0777) == 0 ? MBS_OK : mbs_fail_errno(err, MBS_ERR_IO, errno, part, "cannot be created");
}

mbs_status mbs_checkpoint_write(mbs_workplace *w, const mbs_train_job *job, const char *identity,
                                const mbs_train_state *state, mbs_err *err) {
    char *path = step_path(w, state->step, "");
    char *part = step_path(w, state->step, ".part");
    mbs_status st = MBS_OK;
    if (!path || !part) {
        st = mbs_fail_memory(err, w->folder, 1);
    } else {
        st = make_part(part, err);
        st = st < 0 ? st : fill(part, job, err);
        st = st < 0 ? st : write_state(part, identity, state, err);
        st = st < 0 ? st : give_name(w, part, path, err);
        if (st < 0) {
            mbs_workplace_sweep(part);
            mbs_err_where(err, "checkpoint of step %" PRId64, state->step);
            mbs_err_fix(err, "make room, then run the same command with --resume");
        }
    }
    if (st >= 0) {
        w->newest = state->step;
        drop_old(w);
    }
    mbs_free(path);
    mbs_free(part);
    return st;
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

static mbs_status damaged(mbs_err *err, const char *where, const char *why) {
    return mbs_fail(err, MBS_ERR_DATA, where, "%s", why);
}

static mbs_status check_files(const char *folder, mbs_cursor files, mbs_err *err) {
    while (files.left > 0 && !files.failed) {
        size_t n = 0;
        const char *name = mbs_cursor_bytes(&files, &n);
        uint64_t wanted = (uint64_t)mbs_cursor_i64(&files), sum = 0;
        char *plain = files.failed ? NULL : mbs_strndup(name, n);
        char *path = plain ? mbs_path_join(folder, plain) : NULL;
        mbs_status st = path ? sum_file(path, &sum, err) : damaged(err, folder, "its list of files is cut");
        if (st >= 0 && sum != wanted) {
            st = damaged(err, path, "its checksum is another");
        }
        mbs_free(plain);
        mbs_free(path);
        if (st < 0) {
            return st;
        }
    }
    return MBS_OK;
}

/* Whether a checkpoint is sound, and what it says. `other` tells that it is, but of another run. */
static mbs_status read_one(const char *folder, const char *identity, mbs_train_state *state, int *other, mbs_err *err) {
    char *path = mbs_path_join(folder, STATE);
    char *data = NULL;
    size_t n = 0;
    mbs_status st = path ? mbs_path_read(path, STATE_LIMIT, &data, &n, err) : mbs_fail_memory(err, folder, 1);
    char hex[65] = "";
    if (st >= 0 && n >= 72) {
        mbs_sha256_of(data, n - 64, hex);
    }
    if (st >= 0 && (n < 72 || memcmp(data, MAGIC, 8) != 0 || memcmp(hex, data + n - 64, 64) != 0)) {
        st = damaged(err, path, "its checksum is another");
    }
    if (st >= 0) {
        mbs_cursor c = {(const unsigned char *)data + 8, n - 72, 0};
        size_t id_len = 0, list_len = 0;
        const char *id = mbs_cursor_bytes(&c, &id_len);
        char *was = mbs_strndup(id ? id : "", id ? id_len : 0);
        get_state(&c, state);
        const unsigned char *list = mbs_cursor_bytes(&c, &list_len);
        if (!was || c.failed) {
            st = was ? damaged(err, path, "written by another version") : mbs_fail_memory(err, path, id_len);
        } else {
            st = mbs_identity_same(was, identity, err);
            *other = st < 0;
        }
        st = st < 0 ? st : check_files(folder, (mbs_cursor){list, list_len, 0}, err);
        mbs_free(was);
    }
    mbs_free(data);
    mbs_free(path);
    return st;
}

static mbs_status load_net(const char *folder, mbs_net *net, mbs_err *err) {
    char *path = mbs_path_join(folder, "optimizer.safetensors");
    mbs_status st = path ? mbs_net_load(net, path, err) : mbs_fail_memory(err, folder, 1);
    mbs_free(path);
    return st;
}

/* The damaged ones stand in no way of what comes now. */
static void drop_damaged(const mbs_workplace *w, int64_t sound) {
    for (int64_t step; (step = mbs_workplace_newest(w->folder)) > sound;) {
        char *path = step_path(w, step, "");
        if (path) {
            mbs_workplace_sweep(path);
        }
        mbs_free(path);
        if (mbs_workplace_newest(w->folder) == step) {
            return; /* it cannot be removed */
        }
    }
}

mbs_status mbs_checkpoint_read(mbs_workplace *w, const mbs_train_job *job, const char *identity, mbs_train_state *state,
                               int *found, mbs_err *err) {
    int64_t first = mbs_workplace_newest(w->folder);
    *found = 0;
    for (int64_t step = first; step > 0; step = mbs_checkpoint_before(w->folder, step)) {
        mbs_err why = {0};
        int other = 0;
        char *path = step_path(w, step, "");
        mbs_status st = path ? read_one(path, identity, state, &other, &why) : mbs_fail_memory(&why, w->folder, 1);
        if (st >= 0) {
            st = load_net(path, job->net, err);
            w->newest = step;
            *found = st >= 0;
            drop_damaged(w, step);
            mbs_free(path);
            return st;
        }
        if (other || !path || st == MBS_ERR_MEMORY) {
            mbs_free(path);
            *err = why;
            return st;
        }
        mbs_log(MBS_LOG_WARNING, "the checkpoint %s is damaged (%s: %s): trying the one before", path, why.where,
                why.what);
        mbs_free(path);
    }
    if (first == 0) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_DATA, w->folder, "none of its checkpoints is sound");
    mbs_err_fix(err, "start afresh with --force and without --resume");
    return MBS_ERR_DATA;
}

/* --- the best weights -----------------------------------------------------------------------------------------------
 */

mbs_status mbs_best_write(const mbs_workplace *w, mbs_net *net, mbs_train_state *state, mbs_err *err) {
    char *path = mbs_path_join(w->folder, "best.safetensors");
    char *part = mbs_path_join(w->folder, "best.part");
    mbs_status st = path && part ? mbs_net_save(net, part, err) : mbs_fail_memory(err, w->folder, 1);
    st = st < 0 ? st : sum_file(part, &state->best_sum, err);
    if (st >= 0 && rename(part, path) != 0) {
        st = mbs_fail_errno(err, MBS_ERR_IO, errno, path, "cannot be given its name");
    }
    if (st < 0 && part) {
        unlink(part);
        mbs_err_fix(err, "make room, then run the same command with --resume");
    }
    mbs_free(path);
    mbs_free(part);
    return st;
}

mbs_status mbs_best_read(const mbs_workplace *w, mbs_net *net, const mbs_train_state *state, mbs_err *err) {
    char *path = mbs_path_join(w->folder, "best.safetensors");
    uint64_t sum = 0;
    mbs_status st = path ? sum_file(path, &sum, err) : mbs_fail_memory(err, w->folder, 1);
    if (st >= 0 && sum != state->best_sum) {
        st = damaged(err, path, "the best weights are damaged: their checksum is another");
        mbs_err_fix(err, "start afresh with --force and without --resume, or take the weights of the last checkpoint");
    }
    st = st < 0 ? st : mbs_net_load(net, path, err);
    mbs_free(path);
    return st;
}
