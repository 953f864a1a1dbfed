/* What every call into a plugin has in common: its state, its locks, and what becomes of its answer. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "plug/instance_impl.h"
#include "plug/least.h"
#include "plug/registry.h"

static const char *state_name(mbs_state s) {
    static const char *const names[] = {"not created", "created", "open", "drained", "closed", "failed"};
    return names[s];
}

mbs_status mbs_call_enter(mbs_instance *i, const char *call, int32_t kind, unsigned states, mbs_err *err) {
    if ((kind != 0 && i->desc->kind != kind) || !(states & MBS_IN(i->state))) {
        return mbs_fail(err, MBS_ERR_INTERNAL, i->label, "%s is called while the %s is %s", call,
                        mbs_kind_name(i->desc->kind), state_name(i->state));
    }
    if (atomic_fetch_add(&i->calls, 1) != 0) {
        atomic_fetch_sub(&i->calls, 1);
        return mbs_fail(err, MBS_ERR_INTERNAL, i->label, "%s is called during another call", call);
    }
    pthread_mutex_lock(&i->lock);
    mbs_err_clear(&i->pending);
    i->hint[0] = '\0';
    i->abuse = NULL;
    pthread_mutex_unlock(&i->lock);
    mbs_group_lock(i->group);
    mbs_where_enter(&i->where, call);
    return MBS_OK;
}

void mbs_call_leave(mbs_instance *i) {
    mbs_where_leave(&i->where);
    mbs_group_unlock(i->group);
    atomic_fetch_sub(&i->calls, 1);
}

static int known_status(mbs_status rc) {
    static const mbs_status list[] = {MBS_ERR_USAGE,    MBS_ERR_DATA,   MBS_ERR_NOINPUT, MBS_ERR_UNAVAILABLE,
                                      MBS_ERR_INTERNAL, MBS_ERR_MEMORY, MBS_ERR_CREATE,  MBS_ERR_IO,
                                      MBS_ERR_STOPPED,  MBS_ERR_CONFIG};
    for (size_t k = 0; k < sizeof list / sizeof list[0]; k++) {
        if (list[k] == rc) {
            return 1;
        }
    }
    return 0;
}

mbs_status mbs_call_blame(mbs_instance *i, const char *call, const char *what, mbs_err *err) {
    i->state = MBS_STATE_FAILED;
    mbs_fail(err, MBS_ERR_INTERNAL, i->label, "plugin '%s' %s: %s %s", i->desc->id, i->desc->version, call, what);
    mbs_err_fix(err, MBS_BLAME_FIX);
    return MBS_ERR_INTERNAL;
}

mbs_status mbs_call_lost(mbs_instance *i, const char *call, const char *what, mbs_err *err) {
    char place[256];
    mbs_words words = {place, 0, sizeof place};
    place[0] = '\0';
    mbs_where_put(&i->where, &words);
    i->state = MBS_STATE_FAILED;
    mbs_fail(err, MBS_ERR_UNAVAILABLE, i->label, "plugin '%s' %s: %s %s, %s", i->desc->id, i->desc->version, call, what,
             place);
    mbs_err_fix(err, "this is a mistake in the plugin, tell its author");
    return MBS_ERR_UNAVAILABLE;
}

mbs_status mbs_call_settle(mbs_instance *i, const char *call, mbs_status rc, mbs_status most, mbs_err *err) {
    char text[64];
    pthread_mutex_lock(&i->lock);
    const char *abuse = i->abuse;
    pthread_mutex_unlock(&i->lock);
    if (abuse) {
        return mbs_call_lost(i, call, abuse, err);
    }
    if (rc >= 0 && rc <= most) {
        return rc;
    }
    if (rc > 0 || !known_status(rc)) {
        (void)snprintf(text, sizeof text, "answered %d, which is no status", rc);
        return mbs_call_blame(i, call, text, err);
    }
    i->state = MBS_STATE_FAILED;
    pthread_mutex_lock(&i->lock);
    mbs_err said = i->pending;
    char hint[sizeof i->hint];
    memcpy(hint, i->hint, sizeof hint);
    pthread_mutex_unlock(&i->lock);
    if (said.status != MBS_OK) {
        said.status = rc;
    } else if (rc == MBS_ERR_STOPPED) {
        mbs_fail(&said, rc, i->label, "stopped");
    } else if (rc == MBS_ERR_MEMORY) {
        mbs_fail(&said, rc, i->label, "out of memory in %s", call);
        mbs_err_fix(&said, "free some memory, or take a smaller chunk or fewer threads");
    } else {
        mbs_fail(&said, rc, i->label, "plugin '%s' %s failed in %s (status %d) and " MBS_SILENT_WORDS, i->desc->id,
                 i->desc->version, call, rc);
        mbs_err_fix(&said, "run again with -v, and tell its author");
    }
    if (hint[0]) {
        mbs_err_fix(&said, "%s", hint);
    }
    if (err && err->status == MBS_OK) {
        *err = said;
    }
    return rc;
}

mbs_status mbs_call_reject(mbs_instance *i, const char *call, mbs_buf *why, mbs_block **block, mbs_err *err) {
    const mbs_record *r = block && *block ? (*block)->record : NULL;
    if (r && r->struct_size >= MBS_LEAST_RECORD && r->name) {
        mbs_buf_printf(why, ", record %lld '%.64s'", (long long)r->index + 1, r->name);
    }
    mbs_status rc = mbs_call_blame(i, call, mbs_buf_str(why), err);
    mbs_buf_free(why);
    if (block) {
        mbs_block_unref(*block);
        *block = NULL;
    }
    return rc;
}
