/* The calls of the three kinds. Each enters, calls, settles the answer, and verifies what came with it. */
#include <string.h>

#include "base/buf.h"
#include "plug/block.h"
#include "plug/instance_impl.h"
#include "plug/least.h"
#include "plug/vt.h"

static const mbs_reader_vt *reader_vt(const mbs_instance *i) {
    return i->desc->vt;
}

static const mbs_codec_vt *codec_vt(const mbs_instance *i) {
    return i->desc->vt;
}

static const mbs_writer_vt *writer_vt(const mbs_instance *i) {
    return i->desc->vt;
}

/* Takes a block from a plugin. A pointer that is no block of ours must not be followed. */
static mbs_status receive(mbs_instance *i, const char *call, mbs_status rc, mbs_block **b, mbs_err *err) {
    if (*b && !mbs_block_is_live(*b)) {
        *b = NULL;
        return mbs_call_lost(i, call, "gave a block that the host did not make, or that was given back already", err);
    }
    if (*b) {
        mbs_block_own(*b, NULL);
    }
    return rc;
}

static mbs_status reader_open(mbs_instance *i, mbs_err *err) {
    const mbs_stream_header *h = NULL;
    mbs_status rc = mbs_call_settle(i, "open", reader_vt(i)->open(i->self, &h), MBS_OK, err);
    if (rc != MBS_OK) {
        return rc;
    }
    mbs_buf why = MBS_BUF_INIT;
    if (mbs_verify_header(h, i->desc, &why)) {
        return mbs_call_reject(i, "open", &why, NULL, err);
    }
    i->state = MBS_STATE_RUNNING;
    size_t told = h->struct_size < sizeof *h ? h->struct_size : sizeof *h;
    memset(&i->header_known, 0, sizeof i->header_known);
    memcpy(&i->header_known, h, told);
    i->header_known.struct_size = (uint32_t)sizeof *h;
    i->header = &i->header_known;
    return MBS_OK;
}

/* What is verified may be garbage: a fault in it is the call's, so the call lasts until it is done. */
mbs_status mbs_reader_open(mbs_instance *i, const mbs_stream_header **header, mbs_err *err) {
    *header = NULL;
    mbs_status rc = mbs_call_enter(i, "open", MBS_KIND_READER, MBS_IN(MBS_STATE_CREATED), err);
    if (rc == MBS_OK) {
        rc = reader_open(i, err);
        mbs_call_leave(i);
        *header = i->header;
    }
    return rc;
}

static mbs_status reader_read(mbs_instance *i, int64_t max_rows, mbs_block **out, mbs_err *err) {
    mbs_block *b = NULL;
    mbs_status rc = reader_vt(i)->read(i->self, max_rows, &b);
    rc = receive(i, "read", mbs_call_settle(i, "read", rc, MBS_AGAIN, err), &b, err);
    mbs_buf why = MBS_BUF_INIT;
    if (rc != MBS_OK && b) {
        if (rc > 0) {
            mbs_buf_puts(&why, "gave a block and said that there is none");
            return mbs_call_reject(i, "read", &why, &b, err);
        }
        mbs_block_unref(b);
        return rc;
    }
    if (rc == MBS_END && mbs_verify_end(&i->track, &why)) {
        return mbs_call_reject(i, "read", &why, NULL, err);
    }
    if (rc == MBS_OK && mbs_verify_read(b, i->header, max_rows, &i->track, &why)) {
        return mbs_call_reject(i, "read", &why, &b, err);
    }
    if (rc == MBS_OK) {
        mbs_where_record(&i->where, b->record, i->track.in_record, b->end);
    }
    if (rc == MBS_END) {
        i->state = MBS_STATE_DRAINED;
    }
    *out = b;
    return rc;
}

mbs_status mbs_reader_read(mbs_instance *i, int64_t max_rows, mbs_block **out, mbs_err *err) {
    *out = NULL;
    if (i->state == MBS_STATE_DRAINED && i->desc->kind == MBS_KIND_READER) {
        return MBS_END;
    }
    mbs_status rc = mbs_call_enter(i, "read", MBS_KIND_READER, MBS_IN(MBS_STATE_RUNNING), err);
    if (rc == MBS_OK) {
        rc = reader_read(i, max_rows, out, err);
        mbs_call_leave(i);
    }
    return rc;
}

static mbs_status codec_open(mbs_instance *i, const mbs_stream_header *in, mbs_err *err) {
    mbs_status rc = codec_vt(i)->open(i->self, in);
    const mbs_vocab *v = rc == MBS_OK && codec_vt(i)->vocab ? codec_vt(i)->vocab(i->self) : NULL;
    rc = mbs_call_settle(i, "open", rc, MBS_OK, err);
    if (rc != MBS_OK) {
        return rc;
    }
    mbs_buf why = MBS_BUF_INIT;
    if (mbs_verify_vocab(v, i->desc, &why)) {
        return mbs_call_reject(i, "open", &why, NULL, err);
    }
    i->state = MBS_STATE_RUNNING;
    i->vocab = v;
    return MBS_OK;
}

mbs_status mbs_codec_open(mbs_instance *i, const mbs_stream_header *in, mbs_err *err) {
    mbs_status rc = mbs_call_enter(i, "open", MBS_KIND_CODEC, MBS_IN(MBS_STATE_CREATED), err);
    if (rc == MBS_OK) {
        rc = codec_open(i, in, err);
        mbs_call_leave(i);
    }
    return rc;
}

mbs_around mbs_vocab_around(const mbs_vocab *v) {
    mbs_around none = {0};
    return v && MBS_TOLD(mbs_vocab, v, after) ? (mbs_around){v->before, v->after, v->n_before, v->n_after} : none;
}

const mbs_vocab *mbs_codec_vocab(mbs_instance *i) {
    return i ? i->vocab : NULL;
}

typedef struct files_sink {
    mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n);
    void *sink;
    mbs_status st;        /* of put, the first that is not MBS_OK */
    const char *misnamed; /* the call's fault */
} files_sink;

static mbs_status take_file(void *sink, const char *name, const void *bytes, size_t n) {
    static const char *const known[] = {"tokenizer.json", "tokenizer_config.json",   "vocab.txt",        "vocab.json",
                                        "merges.txt",     "special_tokens_map.json", "added_tokens.json"};
    files_sink *f = sink;
    int found = 0;
    for (size_t k = 0; name && k < sizeof known / sizeof known[0]; k++) {
        found |= strcmp(name, known[k]) == 0;
    }
    if (!found || !bytes) {
        f->misnamed = "gave a file that is none of a tokenizer";
        return MBS_ERR_INTERNAL;
    }
    f->st = f->st == MBS_OK ? f->put(f->sink, name, bytes, n) : f->st;
    return f->st;
}

mbs_status mbs_codec_files(mbs_instance *i,
                           mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink,
                           mbs_err *err) {
    files_sink f = {.put = put, .sink = sink, .st = MBS_OK};
    if (!i->tokenizer) {
        return MBS_END;
    }
    mbs_status rc =
        mbs_call_enter(i, "files", MBS_KIND_CODEC, MBS_IN(MBS_STATE_RUNNING) | MBS_IN(MBS_STATE_DRAINED), err);
    if (rc == MBS_OK) {
        rc = i->tokenizer->files(i->self, take_file, &f);
        mbs_call_leave(i);
        rc = f.misnamed ? mbs_call_blame(i, "files", f.misnamed, err)
             : f.st < 0 ? f.st
                        : mbs_call_settle(i, "files", rc, MBS_OK, err);
    }
    return rc;
}

/* Takes what a codec gave besides its status: nothing may come with an error or an end. */
static mbs_status codec_answer(mbs_instance *i, const char *call, mbs_status rc, mbs_status most, mbs_block **b,
                               mbs_err *err) {
    rc = receive(i, call, mbs_call_settle(i, call, rc, most, err), b, err);
    if (rc != MBS_OK && *b) {
        mbs_block_unref(*b);
        *b = NULL;
    }
    return rc;
}

static void note_record(mbs_instance *i, const mbs_block *in) {
    if (in && in->record) {
        mbs_where_record(&i->where, in->record, 1, in->start);
    }
}

static mbs_status codec_encode(mbs_instance *i, const mbs_block *in, mbs_block **out, mbs_err *err) {
    mbs_block *b = NULL;
    note_record(i, in);
    mbs_status rc = codec_vt(i)->encode(i->self, in, &b);
    rc = codec_answer(i, "encode", rc, MBS_OK, &b, err);
    mbs_buf why = MBS_BUF_INIT;
    if (rc == MBS_OK && mbs_verify_encoded(b, in, i->desc->produces, i->vocab, &i->track, &why)) {
        return mbs_call_reject(i, "encode", &why, &b, err);
    }
    *out = b;
    return rc;
}

mbs_status mbs_codec_encode(mbs_instance *i, const mbs_block *in, mbs_block **out, mbs_err *err) {
    *out = NULL;
    mbs_status rc = mbs_call_enter(i, "encode", MBS_KIND_CODEC, MBS_IN(MBS_STATE_RUNNING), err);
    if (rc == MBS_OK) {
        rc = codec_encode(i, in, out, err);
        mbs_call_leave(i);
    }
    return rc;
}

static mbs_status codec_decode(mbs_instance *i, const mbs_block *tokens, mbs_block **out, mbs_err *err) {
    mbs_block *b = NULL;
    note_record(i, tokens);
    mbs_status rc = codec_vt(i)->decode(i->self, tokens, &b);
    rc = codec_answer(i, "decode", rc, MBS_OK, &b, err);
    mbs_buf why = MBS_BUF_INIT;
    if (rc == MBS_OK && b && mbs_verify_block(b, i->desc->decodes, &why)) {
        return mbs_call_reject(i, "decode", &why, &b, err);
    }
    *out = b;
    return rc;
}

mbs_status mbs_codec_decode(mbs_instance *i, const mbs_block *tokens, mbs_block **out, mbs_err *err) {
    *out = NULL;
    if (i->desc->kind == MBS_KIND_CODEC && (!i->desc->decodes || !codec_vt(i)->decode)) {
        mbs_fail(err, MBS_ERR_CONFIG, i->label, "this codec cannot turn tokens back");
        mbs_err_fix(err, "take a codec that decodes ('mambaseq plugin list' says which)");
        return MBS_ERR_CONFIG;
    }
    mbs_status rc = mbs_call_enter(i, "decode", MBS_KIND_CODEC, MBS_IN(MBS_STATE_RUNNING), err);
    if (rc == MBS_OK) {
        rc = codec_decode(i, tokens, out, err);
        mbs_call_leave(i);
    }
    return rc;
}

static mbs_status codec_drain(mbs_instance *i, mbs_block **out, mbs_err *err) {
    mbs_block *b = NULL;
    mbs_status rc = codec_vt(i)->drain ? codec_vt(i)->drain(i->self, &b) : MBS_END;
    rc = codec_answer(i, "drain", rc, MBS_END, &b, err);
    mbs_buf why = MBS_BUF_INIT;
    if (rc == MBS_OK && mbs_verify_block(b, i->desc->produces, &why)) {
        return mbs_call_reject(i, "drain", &why, &b, err);
    }
    if (rc == MBS_END) {
        i->state = MBS_STATE_DRAINED;
    }
    *out = b;
    return rc;
}

mbs_status mbs_codec_drain(mbs_instance *i, mbs_block **out, mbs_err *err) {
    *out = NULL;
    if (i->state == MBS_STATE_DRAINED && i->desc->kind == MBS_KIND_CODEC) {
        return MBS_END;
    }
    mbs_status rc = mbs_call_enter(i, "drain", MBS_KIND_CODEC, MBS_IN(MBS_STATE_RUNNING), err);
    if (rc == MBS_OK) {
        rc = codec_drain(i, out, err);
        mbs_call_leave(i);
    }
    return rc;
}

mbs_status mbs_writer_open(mbs_instance *i, const mbs_stream_header *header, mbs_err *err) {
    mbs_status rc = mbs_call_enter(i, "open", MBS_KIND_WRITER, MBS_IN(MBS_STATE_CREATED), err);
    if (rc != MBS_OK) {
        return rc;
    }
    i->declares = 1;
    rc = writer_vt(i)->open(i->self, header);
    i->declares = 0;
    mbs_call_leave(i);
    rc = mbs_call_settle(i, "open", rc, MBS_OK, err);
    if (rc == MBS_OK) {
        i->state = MBS_STATE_RUNNING;
    }
    return rc;
}

mbs_status mbs_writer_write(mbs_instance *i, const mbs_block *block, mbs_err *err) {
    mbs_status rc = mbs_call_enter(i, "write", MBS_KIND_WRITER, MBS_IN(MBS_STATE_RUNNING), err);
    if (rc != MBS_OK) {
        return rc;
    }
    note_record(i, block);
    rc = writer_vt(i)->write(i->self, block);
    mbs_call_leave(i);
    return mbs_call_settle(i, "write", rc, MBS_OK, err);
}

mbs_status mbs_writer_drain(mbs_instance *i, mbs_err *err) {
    mbs_status rc = mbs_call_enter(i, "drain", MBS_KIND_WRITER, MBS_IN(MBS_STATE_RUNNING), err);
    if (rc != MBS_OK) {
        return rc;
    }
    rc = writer_vt(i)->drain(i->self);
    mbs_call_leave(i);
    rc = mbs_call_settle(i, "drain", rc, MBS_OK, err);
    if (rc == MBS_OK) {
        i->state = MBS_STATE_DRAINED;
    }
    return rc;
}
