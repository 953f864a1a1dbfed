#include "plug/check/rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "plug/instance_impl.h"
#include "plug/params.h"
#include "plug/registry.h"
#include "plug/slab.h"

#define TEXT_MOST ((size_t)256 << 10)

const mbs_param *mbs_rig_path_row(const mbs_descriptor *d) {
    for (uint32_t i = 0; i < d->n_params; i++) {
        const mbs_param *row = mbs_param_row(d->params, d->n_params, i);
        if (d->kind == MBS_KIND_WRITER ? (row->flags & MBS_PARAM_F_OUTPUT) != 0
                                       : d->kind == MBS_KIND_READER && strcmp(row->key, "path") == 0) {
            return row;
        }
    }
    return NULL;
}

int mbs_rig_types(const mbs_check *c) {
    char type[64];
    int n = 0;
    while (c->desc->kind == MBS_KIND_WRITER && mbs_feed_type(c->desc->accepts, n, type, sizeof type) == 0) {
        n++;
    }
    return n > 0 ? n : 1;
}

int64_t mbs_rig_live(void) {
    mbs_slab_trim();
    return mbs_alloc_live();
}

/* The --param with that key, or NULL. */
static const char *told(const mbs_check *c, const char *key) {
    size_t len = strlen(key);
    for (int i = 0; i < c->o->n_params; i++) {
        if (strncmp(c->o->params[i], key, len) == 0 && c->o->params[i][len] == '=') {
            return c->o->params[i] + len + 1;
        }
    }
    return NULL;
}

int mbs_rig_creatable(mbs_check *c) {
    const mbs_descriptor *d = c->desc;
    const mbs_param *path = mbs_rig_path_row(d);
    for (uint32_t i = 0; i < d->n_params; i++) {
        const mbs_param *row = mbs_param_row(d->params, d->n_params, i);
        if (row->flags & MBS_PARAM_F_REQUIRED && row != path && !told(c, row->key)) {
            return mbs_check_skip(c, "the parameter '%s' is required: give one with --param %s=...", row->key,
                                  row->key);
        }
    }
    return 1;
}

int mbs_rig_ready(mbs_check *c) {
    const mbs_descriptor *d = c->desc;
    char type[64];
    if (!mbs_rig_creatable(c)) {
        return 0;
    }
    if (d->kind == MBS_KIND_WRITER && (d->flags & MBS_DESC_ORIGIN)) {
        return mbs_check_skip(c, "it needs records of its own library (MBS_DESC_ORIGIN), which cannot be made up");
    }
    if (d->kind == MBS_KIND_READER && mbs_rig_path_row(d) && !c->o->sample && !told(c, "path")) {
        return mbs_check_skip(c, "a reader needs a file to read: give one with --sample");
    }
    if (d->kind != MBS_KIND_READER && mbs_feed_type(d->accepts, 0, type, sizeof type)) {
        return mbs_check_skip(c, "nothing of the type '%s' can be made up", d->accepts);
    }
    return 1;
}

mbs_feed_style mbs_rig_style(mbs_check *c) {
    mbs_rig r;
    mbs_rig_how how = {.style = MBS_FEED_RICH};
    if (c->desc->kind != MBS_KIND_CODEC) {
        return MBS_FEED_RICH;
    }
    mbs_status st = mbs_rig_whole(c, &how, &r);
    int plain = st == MBS_ERR_DATA && !mbs_rig_broke(&r);
    mbs_rig_free(&r);
    return plain ? MBS_FEED_PLAIN : MBS_FEED_RICH;
}

static int set(mbs_rig *r, const char *key, const char *text) {
    mbs_buf why = MBS_BUF_INIT;
    int bad = mbs_params_set(r->params, key, &text, 1, 0, &why) != MBS_OK;
    if (bad) {
        mbs_fail(&r->err, MBS_ERR_CONFIG, NULL, "%s", mbs_buf_str(&why));
    }
    mbs_buf_free(&why);
    return bad;
}

/* The writer's file in its folder: the first suffix of the format, so that writers that look at it are pleased. */
static int set_output(mbs_rig *r, const mbs_param *row) {
    char path[4600];
    const char *suffixes = r->c->desc->suffixes ? r->c->desc->suffixes : "";
    char name[32];
    (void)snprintf(name, sizeof name, "w%d", ++r->c->n_outputs);
    int n = snprintf(path, sizeof path, "%s/%s", r->c->folder, r->how.folder ? r->how.folder : name);
    (void)mkdir(path, 0700);
    (void)snprintf(path + n, sizeof path - (size_t)n, "/out%.*s", (int)strcspn(suffixes, " "), suffixes);
    return set(r, row->key, path);
}

static int set_params(mbs_rig *r) {
    const mbs_check *c = r->c;
    const mbs_descriptor *d = c->desc;
    const mbs_param *path = mbs_rig_path_row(d);
    r->params = mbs_params_new(d->params, d->n_params);
    if (!r->params) {
        return mbs_fail_memory(&r->err, "plugin check", 0) != MBS_OK;
    }
    for (uint32_t i = 0; i < d->n_params; i++) {
        const mbs_param *row = mbs_param_row(d->params, d->n_params, i);
        const char *text = told(c, row->key);
        if (row == path && d->kind == MBS_KIND_READER) {
            text = r->how.path ? r->how.path : c->o->sample ? c->o->sample : text;
        }
        if (row == path && d->kind == MBS_KIND_WRITER ? set_output(r, row) : text && set(r, row->key, text)) {
            return -1;
        }
    }
    return r->how.key && set(r, r->how.key, r->how.value);
}

static int refuse(void *ctx) {
    mbs_rig *r = ctx;
    r->requests++;
    r->refused |= r->requests == r->how.refuse_at;
    return r->requests == r->how.refuse_at;
}

/* A codec that was given a sample gets its lines. */
static void feed(mbs_rig *r) {
    const mbs_check *c = r->c;
    char type[64] = "";
    (void)mbs_feed_type(c->desc->accepts, c->desc->kind == MBS_KIND_WRITER ? r->how.type : 0, type, sizeof type);
    if (c->desc->kind == MBS_KIND_CODEC && c->o->sample && r->how.style != MBS_FEED_WILD && strstr(type, "/u8")) {
        (void)mbs_path_read(c->o->sample, TEXT_MOST, &r->text, &r->text_len, NULL);
    }
    mbs_feed_init(&r->feed, type, r->how.style, c->o->seed + r->how.seed, r->text, r->text_len);
    r->fed = 1;
}

mbs_status mbs_rig_new(mbs_check *c, const mbs_rig_how *how, mbs_rig *r) {
    char label[128];
    memset(r, 0, sizeof *r);
    r->c = c;
    r->how = *how;
    r->tape.bare = how->bare;
    if (set_params(r)) {
        return r->err.status;
    }
    if (c->desc->kind == MBS_KIND_WRITER) {
        r->outputs = mbs_outputs_new();
        if (!r->outputs) {
            return mbs_fail_memory(&r->err, "plugin check", 0);
        }
    }
    if (c->desc->kind != MBS_KIND_READER) {
        feed(r);
    }
    mbs_host_env env = {.outputs = r->outputs, .refuse = refuse, .refuse_ctx = r};
    (void)snprintf(label, sizeof label, "%s '%.64s'", mbs_kind_name(c->desc->kind), c->desc->id);
    mbs_check_at(c, "create");
    mbs_status st = mbs_instance_new(c->desc, r->params, &env, label, &r->i, &r->err);
    mbs_check_at(c, "");
    return st;
}

mbs_status mbs_rig_open(mbs_rig *r) {
    mbs_check *c = r->c;
    mbs_status st = MBS_OK;
    if (r->outputs) {
        st = mbs_outputs_prepare(r->outputs, r->how.restore != NULL, &r->err);
    }
    if (st == MBS_OK && r->how.restore) {
        mbs_check_at(c, "restore");
        st = mbs_instance_restore(r->i, mbs_buf_str(r->how.restore), r->how.restore->len, &r->err);
    }
    mbs_check_at(c, "open");
    if (st == MBS_OK) {
        st = c->desc->kind == MBS_KIND_READER  ? mbs_reader_open(r->i, &r->header, &r->err)
             : c->desc->kind == MBS_KIND_CODEC ? mbs_codec_open(r->i, &r->feed.header, &r->err)
                                               : mbs_writer_open(r->i, &r->feed.header, &r->err);
    }
    mbs_check_at(c, "");
    r->open = st == MBS_OK;
    return st;
}

static mbs_status step_reader(mbs_rig *r) {
    int64_t left = (r->how.most > 0 ? r->how.most : MBS_RIG_MOST_ROWS) - r->tape.rows;
    int64_t rows = r->how.rows > 0 && r->how.rows < left ? r->how.rows : left;
    mbs_block *b = NULL;
    if (left <= 0) {
        mbs_tape_end(&r->tape, 0);
        return MBS_END;
    }
    mbs_check_at(r->c, "read");
    mbs_status st = mbs_reader_read(r->i, rows, &b, &r->err);
    mbs_check_at(r->c, "");
    if (st == MBS_OK) {
        mbs_tape_block(&r->tape, b);
        mbs_block_unref(b);
    } else if (st == MBS_END) {
        mbs_tape_end(&r->tape, 1);
    }
    return st == MBS_AGAIN ? MBS_OK : st;
}

static mbs_status step_codec(mbs_rig *r) {
    mbs_block *in = NULL;
    mbs_block *out = NULL;
    mbs_status st = mbs_feed_next(&r->feed, r->how.rows, &in);
    if (st == MBS_OK) {
        mbs_check_at(r->c, "encode");
        st = mbs_codec_encode(r->i, in, &out, &r->err);
    } else if (st == MBS_END) {
        mbs_check_at(r->c, "drain");
        st = mbs_codec_drain(r->i, &out, &r->err);
    }
    mbs_check_at(r->c, "");
    if (st == MBS_OK && out) {
        mbs_tape_block(&r->tape, out);
    } else if (st == MBS_END) {
        mbs_tape_end(&r->tape, 1);
    }
    mbs_block_unref(out);
    mbs_block_unref(in);
    return st;
}

static mbs_status step_writer(mbs_rig *r) {
    mbs_block *in = NULL;
    mbs_status st = mbs_feed_next(&r->feed, r->how.rows, &in);
    if (st == MBS_OK) {
        mbs_check_at(r->c, "write");
        st = mbs_writer_write(r->i, in, &r->err);
    } else if (st == MBS_END) {
        mbs_check_at(r->c, "drain");
        st = mbs_writer_drain(r->i, &r->err);
        st = st == MBS_OK ? MBS_END : st;
    }
    mbs_check_at(r->c, "");
    mbs_block_unref(in);
    return st;
}

mbs_status mbs_rig_step(mbs_rig *r) {
    mbs_status st = r->ended                              ? MBS_END
                    : r->c->desc->kind == MBS_KIND_READER ? step_reader(r)
                    : r->c->desc->kind == MBS_KIND_CODEC  ? step_codec(r)
                                                          : step_writer(r);
    r->ended = st == MBS_END;
    if (st >= 0 && (r->tape.failed || r->tape.bytes.failed)) {
        st = mbs_fail_memory(&r->err, "plugin check", r->tape.bytes.len);
    }
    return st;
}

/* What a writer made goes on the tape, under its final name and without the folder. */
static mbs_status tape_files(mbs_rig *r) {
    mbs_status st = MBS_OK;
    for (int i = 0; i < mbs_outputs_count(r->outputs) && st == MBS_OK; i++) {
        char *bytes = NULL;
        size_t len = 0;
        char *name = mbs_path_base(mbs_outputs_path(r->outputs, i));
        st = mbs_path_read(mbs_outputs_temp(r->outputs, i), (size_t)1 << 30, &bytes, &len, &r->err);
        if (st == MBS_OK) {
            mbs_tape_bytes(&r->tape, name ? name : "file", bytes, len);
        }
        mbs_free(name);
        mbs_free(bytes);
    }
    return st;
}

mbs_status mbs_rig_close(mbs_rig *r) {
    mbs_check_at(r->c, "close");
    mbs_status st = mbs_instance_close(r->i, &r->err);
    mbs_check_at(r->c, "");
    r->closed = st == MBS_OK;
    return st == MBS_OK && r->outputs ? tape_files(r) : st;
}

void mbs_rig_free(mbs_rig *r) {
    mbs_check_at(r->c, "destroy");
    mbs_instance_free(r->i);
    mbs_check_at(r->c, "");
    mbs_params_free(r->params);
    mbs_outputs_free(r->outputs);
    if (r->fed) {
        mbs_feed_free(&r->feed);
    }
    mbs_free(r->text);
    mbs_tape_free(&r->tape);
    r->i = NULL;
    r->params = NULL;
    r->outputs = NULL;
    r->text = NULL;
}

mbs_status mbs_rig_whole(mbs_check *c, const mbs_rig_how *how, mbs_rig *r) {
    mbs_status st = mbs_rig_new(c, how, r);
    if (st == MBS_OK) {
        st = mbs_rig_open(r);
    }
    while (st == MBS_OK) {
        st = mbs_rig_step(r);
    }
    return st == MBS_END ? mbs_rig_close(r) : st;
}

int mbs_rig_must(mbs_check *c, const mbs_rig_how *how, mbs_rig *r) {
    if (mbs_rig_whole(c, how, r) != MBS_OK) {
        (void)mbs_check_fail(c, "%s", mbs_rig_line(r));
        return -1;
    }
    return 0;
}

int mbs_rig_broke(const mbs_rig *r) {
    return strcmp(r->err.fix, MBS_BLAME_FIX) == 0;
}

int mbs_rig_silent(const mbs_rig *r) {
    return strstr(r->err.what, MBS_SILENT_WORDS) != NULL;
}

const char *mbs_rig_line(mbs_rig *r) {
    mbs_err e = r->err;
    e.fix[0] = '\0';
    /* Nobody reads the error after it was shown: the line takes its place. */
    mbs_err_line(&e, r->err.what, sizeof r->err.what);
    r->err.where[0] = '\0';
    return r->err.what;
}
