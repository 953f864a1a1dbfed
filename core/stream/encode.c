#include "stream/encode.h"

#include <string.h>
#include <time.h>

#include "base/stop.h"

void mbs_encode_init(mbs_encode_stage *e, mbs_source_stage *source, mbs_instance *codec) {
    memset(e, 0, sizeof(*e));
    e->source = source;
    e->codec = codec;
}

/* Live inputs have nothing yet now and then: wait without burning a core. */
static mbs_status pause_for_input(mbs_err *err) {
    if (mbs_stop_requested()) {
        return mbs_fail(err, MBS_ERR_STOPPED, NULL, "stopped while waiting for input");
    }
    struct timespec ts = {0, 2000000};
    nanosleep(&ts, NULL);
    return MBS_OK;
}

static mbs_status drain(mbs_encode_stage *e, mbs_block **out, mbs_err *err) {
    e->draining = 1;
    return e->codec ? mbs_codec_drain(e->codec, out, err) : MBS_END;
}

static mbs_status there_and_back(mbs_encode_stage *e, mbs_block **out, mbs_err *err) {
    mbs_block *tokens = *out;
    mbs_status st = mbs_codec_decode(e->codec, tokens, out, err);
    mbs_block_unref(tokens);
    return st;
}

mbs_status mbs_encode_next(mbs_encode_stage *e, int64_t max_rows, mbs_block **out, mbs_err *err) {
    *out = NULL;
    while (!e->draining) {
        mbs_block *in = NULL;
        mbs_status st = mbs_source_next(e->source, max_rows, &in, err);
        if (st == MBS_AGAIN) {
            if (e->no_wait) {
                return st;
            }
            st = pause_for_input(err);
            if (st != MBS_OK) {
                return st;
            }
            continue;
        }
        if (st == MBS_END) {
            break;
        }
        if (st != MBS_OK) {
            return st;
        }
        if (!e->codec || !e->source->reader) { /* empty prompts are tokens already */
            *out = in;
            return MBS_OK;
        }
        st = mbs_codec_encode(e->codec, in, out, err);
        if (st == MBS_OK && *out && e->decode) {
            st = there_and_back(e, out, err);
        }
        mbs_block_unref(in);
        if (st != MBS_OK || *out) {
            return st;
        }
    }
    mbs_status st = drain(e, out, err);
    return st == MBS_OK && *out && e->decode ? there_and_back(e, out, err) : st;
}
