#include "plug/instance.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "mambaseq/ext/inspect.h"
#include "plug/block.h"
#include "plug/instance_impl.h"
#include "plug/isolate.h"
#include "plug/least.h"
#include "plug/registry.h"
#include "plug/vt.h"

static const void *extension(const mbs_descriptor *d, void *self, const char *id) {
    mbs_vt_extension_fn get = mbs_vt_extension(d);
    return get ? get(self, id) : NULL;
}

/* An instance without a plugin's self in it. */
static mbs_instance *instance_alloc(const mbs_descriptor *desc, const mbs_host_env *env, const char *label,
                                    mbs_err *err) {
    mbs_instance *i = mbs_calloc(1, sizeof *i);
    if (i && pthread_mutex_init(&i->lock, NULL) != 0) {
        mbs_free(i);
        i = NULL;
    }
    if (i) {
        i->desc = desc;
        i->track.index = -1;
        if (env) {
            i->env = *env;
        }
        i->label = mbs_strdup(label);
        i->group = desc->serial_group ? mbs_group_join(desc->serial_group) : NULL;
    }
    if (!i || !i->label || (desc->serial_group && !i->group) || mbs_where_begin(&i->where, i->label, desc)) {
        mbs_instance_free(i);
        mbs_fail_memory(err, label, sizeof *i);
        return NULL;
    }
    mbs_host_init(i);
    return i;
}

mbs_status mbs_instance_new(const mbs_descriptor *desc, const mbs_params *params, const mbs_host_env *env,
                            const char *label, mbs_instance **out, mbs_err *err) {
    *out = NULL;
    mbs_instance *i = instance_alloc(desc, env, label, err);
    if (!i) {
        return MBS_ERR_MEMORY;
    }
    if (i->env.isolate && desc->kind != MBS_KIND_WRITER) {
        desc = i->desc = mbs_isolate_descriptor(i, desc);
    }
    void *self = NULL;
    mbs_status rc = mbs_call_enter(i, "create", 0, MBS_IN(MBS_STATE_NONE), err);
    if (rc == MBS_OK) {
        i->declares = 1;
        rc = mbs_vt_create(desc)(&i->host, params, &self);
        i->declares = 0;
        if (rc == MBS_OK && self) {
            const mbs_ext_checkpoint *c = extension(desc, self, MBS_EXT_CHECKPOINT);
            i->checkpoint = c && c->struct_size >= MBS_LEAST_CHECKPOINT && c->save && c->restore ? c : NULL;
            const mbs_ext_edits *e = desc->kind == MBS_KIND_READER ? extension(desc, self, MBS_EXT_EDITS) : NULL;
            i->edits = e && e->struct_size >= MBS_LEAST_EDITS && e->want && e->next ? e : NULL;
            const mbs_ext_tokenizer *t = desc->kind == MBS_KIND_CODEC ? extension(desc, self, MBS_EXT_TOKENIZER) : NULL;
            i->tokenizer = t && t->struct_size >= MBS_LEAST_TOKENIZER && t->files ? t : NULL;
        }
        mbs_call_leave(i);
        rc = mbs_call_settle(i, "create", rc, MBS_OK, err);
    }
    if (rc == MBS_OK && !self) {
        rc = mbs_call_blame(i, "create", "succeeded and gave no instance", err);
    }
    if (rc != MBS_OK) {
        mbs_instance_free(i);
        return rc;
    }
    i->self = self;
    i->state = MBS_STATE_CREATED;
    *out = i;
    return MBS_OK;
}

/* What destroy should have given back. Not an error: the output is whole. */
static void report_leaks(const mbs_instance *i) {
    long long pieces = (long long)atomic_load(&i->pieces);
    int blocks = mbs_block_owned(i);
    if (pieces > 0 || blocks > 0) {
        mbs_log(MBS_LOG_WARNING, "%s: plugin '%s' %s leaks: %lld pieces of memory and %d blocks were not given back",
                i->label, i->desc->id, i->desc->version, pieces, blocks);
    }
}

void mbs_instance_free(mbs_instance *i) {
    if (!i) {
        return;
    }
    if (i->self) {
        mbs_group_lock(i->group);
        mbs_where_enter(&i->where, "destroy");
        mbs_vt_destroy(i->desc)(i->self);
        mbs_where_leave(&i->where);
        mbs_group_unlock(i->group);
        report_leaks(i);
    }
    if (i->live) {
        mbs_stop_live(0);
    }
    mbs_where_end(&i->where);
    mbs_group_leave(i->group);
    pthread_mutex_destroy(&i->lock);
    mbs_free(i->label);
    mbs_free(i);
}

int mbs_instance_can_checkpoint(const mbs_instance *i) {
    return i->checkpoint != NULL;
}

int mbs_codec_has_files(const mbs_instance *i) {
    return i->tokenizer != NULL;
}

/* What a saved place begins with: where the stream of blocks stood, for the checks after it continues. */
static void put_track(mbs_buf *out, const mbs_track *t) {
    mbs_buf_put_u32(out, (uint32_t)t->in_record);
    mbs_buf_put_i64(out, t->index);
    mbs_buf_put_i64(out, t->at);
}

static mbs_status save_put(void *sink, const void *bytes, size_t n) {
    mbs_buf *out = sink;
    mbs_buf_append(out, bytes, n);
    return out->failed ? MBS_ERR_MEMORY : MBS_OK;
}

mbs_status mbs_instance_save(mbs_instance *i, mbs_buf *out, mbs_err *err) {
    if (!i->checkpoint) {
        return mbs_fail(err, MBS_ERR_UNAVAILABLE, i->label, "plugin '%s' cannot say where it stands", i->desc->id);
    }
    mbs_status rc = mbs_call_enter(
        i, "save", 0, MBS_IN(MBS_STATE_CREATED) | MBS_IN(MBS_STATE_RUNNING) | MBS_IN(MBS_STATE_DRAINED), err);
    if (rc != MBS_OK) {
        return rc;
    }
    put_track(out, &i->track);
    rc = i->checkpoint->save(i->self, save_put, out);
    mbs_call_leave(i);
    if (out->failed) {
        i->state = MBS_STATE_FAILED;
        return mbs_fail_memory(err, i->label, out->len);
    }
    return mbs_call_settle(i, "save", rc, MBS_OK, err);
}

mbs_status mbs_instance_restore(mbs_instance *i, const void *bytes, size_t n, mbs_err *err) {
    if (!i->checkpoint) {
        return mbs_fail(err, MBS_ERR_UNAVAILABLE, i->label, "plugin '%s' cannot continue from a place", i->desc->id);
    }
    mbs_cursor c = {bytes, n, 0};
    mbs_track t = {.in_record = (int)mbs_cursor_u32(&c)};
    t.index = mbs_cursor_i64(&c);
    t.at = mbs_cursor_i64(&c);
    if (c.failed || t.in_record < 0 || t.in_record > 1 || t.index < -1 || t.at < 0) {
        return mbs_fail(err, MBS_ERR_DATA, i->label, "the saved place is damaged");
    }
    mbs_status rc = mbs_call_enter(i, "restore", 0, MBS_IN(MBS_STATE_CREATED), err);
    if (rc != MBS_OK) {
        return rc;
    }
    i->track = t;
    rc = i->checkpoint->restore(i->self, c.p, c.left);
    mbs_call_leave(i);
    return mbs_call_settle(i, "restore", rc, MBS_OK, err);
}

mbs_status mbs_instance_close(mbs_instance *i, mbs_err *err) {
    unsigned states = MBS_IN(MBS_STATE_DRAINED);
    if (i->desc->kind != MBS_KIND_WRITER) {
        states |= MBS_IN(MBS_STATE_RUNNING);
    }
    mbs_status rc = mbs_call_enter(i, "close", 0, states, err);
    if (rc != MBS_OK) {
        return rc;
    }
    rc = mbs_vt_close(i->desc)(i->self);
    mbs_call_leave(i);
    rc = mbs_call_settle(i, "close", rc, MBS_OK, err);
    if (rc == MBS_OK) {
        i->state = MBS_STATE_CLOSED;
        i->header = NULL;
        i->vocab = NULL;
    }
    return rc;
}

mbs_status mbs_descriptor_describe(const mbs_descriptor *desc, const char *path,
                                   void (*put)(void *sink, const char *key, const char *value), void *sink,
                                   mbs_err *err) {
    char label[128];
    (void)snprintf(label, sizeof label, "%s '%.64s'", mbs_kind_name(desc->kind), desc->id);
    mbs_instance *i = instance_alloc(desc, NULL, label, err);
    if (!i) {
        return MBS_ERR_MEMORY;
    }
    mbs_status rc = mbs_call_enter(i, "describe", 0, MBS_IN(MBS_STATE_NONE), err);
    if (rc == MBS_OK) {
        const mbs_ext_inspect *x = extension(desc, NULL, MBS_EXT_INSPECT);
        int able = x && x->struct_size >= MBS_LEAST_INSPECT && x->describe;
        rc = able ? x->describe(&i->host, path, put, sink) : MBS_ERR_UNAVAILABLE;
        mbs_call_leave(i);
        rc = able ? mbs_call_settle(i, "describe", rc, MBS_OK, err)
                  : mbs_fail(err, rc, label, "this plugin cannot say what a file holds");
    }
    mbs_instance_free(i);
    return rc;
}
