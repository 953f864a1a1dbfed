#include "stream/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/sha256.h"

#define MAGIC "MBSJRNL1"
/* A journal holds one model state and small things. */
#define JOURNAL_LIMIT ((size_t)1 << 34)

void mbs_journal_free(mbs_journal *j) {
    mbs_buf_free(&j->identity);
    mbs_buf_free(&j->reader);
    mbs_buf_free(&j->codec);
    mbs_buf_free(&j->carry);
    mbs_buf_free(&j->sink);
}

void mbs_journal_add_identity(mbs_buf *identity, const char *key, const char *value) {
    mbs_buf_put_bytes(identity, key, strlen(key));
    mbs_buf_put_bytes(identity, value, strlen(value));
}

static void put_place(mbs_buf *b, const mbs_place *p) {
    mbs_buf_put_i64(b, p->records_begun);
    mbs_buf_put_i64(b, p->rows);
    mbs_buf_put_u32(b, (uint32_t)p->phase);
}

static void get_place(mbs_cursor *c, mbs_place *p) {
    p->records_begun = mbs_cursor_i64(c);
    p->rows = mbs_cursor_i64(c);
    uint32_t phase = mbs_cursor_u32(c);
    p->phase = (mbs_phase)phase;
    c->failed |= phase > MBS_PHASE_FINISHING || p->records_begun < 0 || p->rows < 0;
}

mbs_status mbs_journal_write(const mbs_journal *j, const char *path, const char *previous, mbs_err *err) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_puts(&b, MAGIC);
    mbs_buf_put_bytes(&b, j->identity.data, j->identity.len);
    put_place(&b, &j->place);
    put_place(&b, &j->from);
    mbs_buf_put_u32(&b, (uint32_t)j->has_input);
    mbs_buf_put_u32(&b, (uint32_t)j->pending_start);
    mbs_buf_put_bytes(&b, j->reader.data, j->reader.len);
    mbs_buf_put_bytes(&b, j->codec.data, j->codec.len);
    mbs_buf_put_bytes(&b, j->carry.data, j->carry.len);
    mbs_buf_put_bytes(&b, j->sink.data, j->sink.len);
    char hex[65];
    mbs_sha256_of(b.data, b.len, hex);
    mbs_buf_append(&b, hex, 64);
    mbs_status st = MBS_OK;
    /* A section that ran out of memory would be cut short under a valid checksum. */
    if (b.failed || j->identity.failed || j->reader.failed || j->codec.failed || j->carry.failed || j->sink.failed) {
        st = mbs_fail_memory(err, "journal", b.len);
    } else if (previous && rename(path, previous) != 0 && errno != ENOENT) {
        st = mbs_fail_errno(err, MBS_ERR_IO, errno, previous, "cannot keep the previous journal");
    } else {
        st = mbs_path_write_atomic(path, b.data, b.len, err);
    }
    mbs_buf_free(&b);
    return st;
}

static void get_buf(mbs_cursor *c, mbs_buf *out) {
    size_t n = 0;
    const void *p = mbs_cursor_bytes(c, &n);
    if (!c->failed) {
        mbs_buf_clear(out);
        mbs_buf_append(out, p, n);
    }
}

static mbs_status read_one(mbs_journal *j, const char *path, mbs_err *err) {
    if (!mbs_path_exists(path)) {
        return mbs_fail(err, MBS_ERR_NOINPUT, path, "no journal");
    }
    char *data = NULL;
    size_t n = 0;
    mbs_status st = mbs_path_read(path, JOURNAL_LIMIT, &data, &n, err);
    if (st != MBS_OK) {
        return st;
    }
    char hex[65] = "";
    if (n >= 8 + 64) {
        mbs_sha256_of(data, n - 64, hex);
    }
    if (n < 8 + 64 || memcmp(data, MAGIC, 8) != 0 || memcmp(hex, data + n - 64, 64) != 0) {
        mbs_free(data);
        return mbs_fail(err, MBS_ERR_DATA, path, "the journal is damaged");
    }
    mbs_cursor c = {(const unsigned char *)data + 8, n - 8 - 64, 0};
    get_buf(&c, &j->identity);
    get_place(&c, &j->place);
    get_place(&c, &j->from);
    j->has_input = (int)mbs_cursor_u32(&c);
    j->pending_start = (int)mbs_cursor_u32(&c);
    get_buf(&c, &j->reader);
    get_buf(&c, &j->codec);
    get_buf(&c, &j->carry);
    get_buf(&c, &j->sink);
    int bad =
        c.failed || j->identity.failed || j->reader.failed || j->codec.failed || j->carry.failed || j->sink.failed;
    mbs_free(data);
    return bad ? mbs_fail(err, MBS_ERR_DATA, path, "the journal is damaged") : MBS_OK;
}

mbs_status mbs_journal_read(mbs_journal *j, const char *path, const char *previous, int *used_previous, mbs_err *err) {
    *used_previous = 0;
    memset(j, 0, sizeof(*j));
    mbs_err first;
    mbs_err_clear(&first);
    mbs_status st = read_one(j, path, &first);
    if (st == MBS_OK || !previous) {
        if (st != MBS_OK) {
            *err = first;
        }
        return st;
    }
    mbs_journal_free(j);
    memset(j, 0, sizeof(*j));
    mbs_err second;
    mbs_err_clear(&second);
    if (read_one(j, previous, &second) == MBS_OK) {
        *used_previous = 1;
        return MBS_OK;
    }
    mbs_journal_free(j);
    memset(j, 0, sizeof(*j));
    *err = first;
    return st;
}

/* Narrows two texts of several lines to the first line that differs. */
static void narrow(const char **a, size_t *na, const char **b, size_t *nb) {
    for (;;) {
        const char *ea = *na ? memchr(*a, '\n', *na) : NULL;
        const char *eb = *nb ? memchr(*b, '\n', *nb) : NULL;
        size_t la = ea ? (size_t)(ea - *a) : *na;
        size_t lb = eb ? (size_t)(eb - *b) : *nb;
        if (!ea || !eb || la != lb || memcmp(*a, *b, la) != 0) {
            *na = la;
            *nb = lb;
            return;
        }
        *a = ea + 1;
        *b = eb + 1;
        *na -= la + 1;
        *nb -= lb + 1;
    }
}

mbs_status mbs_journal_same_run(const mbs_journal *j, const mbs_buf *identity, mbs_err *err) {
    mbs_cursor old = {(const unsigned char *)j->identity.data, j->identity.len, 0};
    mbs_cursor now = {(const unsigned char *)identity->data, identity->len, 0};
    while (old.left || now.left) {
        size_t nk = 0, nv = 0, ok = 0, ov = 0;
        const char *new_key = mbs_cursor_bytes(&now, &nk);
        const char *new_val = mbs_cursor_bytes(&now, &nv);
        const char *old_key = mbs_cursor_bytes(&old, &ok);
        const char *old_val = mbs_cursor_bytes(&old, &ov);
        int same = !old.failed && !now.failed && nk == ok && nv == ov &&
                   (nk == 0 || memcmp(new_key, old_key, nk) == 0) && (nv == 0 || memcmp(new_val, old_val, nv) == 0);
        if (!same) {
            if (old.failed || now.failed) {
                return mbs_fail(err, MBS_ERR_DATA, "journal",
                                "it was written by another version or another kind of run");
            }
            narrow(&old_val, &ov, &new_val, &nv);
            mbs_status st = mbs_fail(err, MBS_ERR_DATA, "journal",
                                     "cannot resume: the %.*s differs: it was '%.*s', now it is '%.*s'", (int)nk,
                                     new_key, (int)(ov > 300 ? 300 : ov), old_val, (int)(nv > 300 ? 300 : nv), new_val);
            mbs_err_fix(err, "run it without --resume to start afresh, or with what it was started with");
            return st;
        }
    }
    return MBS_OK;
}
