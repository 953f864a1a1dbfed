/* Tests of what is delivered: whole, in any cut, beside another, there and back, from a saved place. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "plug/check/rig.h"

/* A writer that takes anything may still refuse a type, with words; one that names its types may not. */
static int refuses(const mbs_check *c, const mbs_rig *r) {
    return strcmp(c->desc->accepts, "*") == 0 && !r->open && !mbs_rig_broke(r) && !mbs_rig_silent(r);
}

static void whole_writer(mbs_check *c) {
    int n = mbs_rig_types(c);
    int taken = 0;
    for (int t = 0; !mbs_check_decided(c) && t < n; t++) {
        mbs_rig r;
        mbs_rig_how how = {.type = t};
        mbs_status st = mbs_rig_whole(c, &how, &r);
        if (st != MBS_OK && (!refuses(c, &r) || (taken == 0 && t == n - 1))) {
            (void)mbs_check_fail(c, "'%s': %s", r.feed.type, mbs_rig_line(&r));
        }
        taken += st == MBS_OK;
        mbs_rig_free(&r);
    }
}

void mbs_check_data_whole(mbs_check *c) {
    mbs_rig r;
    if (!mbs_rig_ready(c)) {
        return;
    }
    if (c->desc->kind == MBS_KIND_WRITER) {
        whole_writer(c);
        return;
    }
    mbs_rig_how how = {.style = mbs_rig_style(c)};
    mbs_status st = mbs_rig_whole(c, &how, &r);
    int made_up = c->desc->kind == MBS_KIND_CODEC && !c->o->sample;
    if (st == MBS_ERR_DATA && made_up && !mbs_rig_broke(&r) && !mbs_rig_silent(&r)) {
        (void)mbs_check_skip(c, "refuses what was made up (%s): give a sample with --sample", mbs_rig_line(&r));
    } else if (st != MBS_OK) {
        (void)mbs_check_fail(c, "%s", mbs_rig_line(&r));
    } else if (r.tape.n_marks == 0) {
        (void)mbs_check_skip(c, "the sample holds no record");
    }
    mbs_rig_free(&r);
}

static void compare(mbs_check *c, const mbs_rig *a, const mbs_rig *b, const char *what) {
    mbs_buf why = MBS_BUF_INIT;
    if (mbs_tape_differs(&a->tape, &b->tape, &why)) {
        (void)mbs_check_fail(c, "%s: %s", what, mbs_buf_str(&why));
    }
    mbs_buf_free(&why);
}

void mbs_check_data_chunks(mbs_check *c) {
    static const int64_t sizes[] = {4096, 7, 1};
    char what[64];
    mbs_feed_style style = mbs_rig_style(c);
    for (int t = 0; !mbs_check_decided(c) && t < mbs_rig_types(c); t++) {
        mbs_rig whole;
        mbs_rig_how how = {.type = t, .style = style};
        mbs_check_note(c, "whole");
        mbs_status st = mbs_rig_whole(c, &how, &whole);
        for (size_t i = 0; st == MBS_OK && !mbs_check_decided(c) && i < sizeof sizes / sizeof sizes[0]; i++) {
            mbs_rig cut;
            how.rows = sizes[i];
            (void)snprintf(what, sizeof what, "blocks of %lld rows", (long long)sizes[i]);
            mbs_check_note(c, "%s", what);
            if (mbs_rig_must(c, &how, &cut) == 0) {
                compare(c, &whole, &cut, what);
            }
            mbs_rig_free(&cut);
        }
        if (st != MBS_OK && c->desc->kind != MBS_KIND_WRITER) {
            (void)mbs_check_fail(c, "%s", mbs_rig_line(&whole));
        }
        mbs_rig_free(&whole);
    }
}

void mbs_check_data_interleaved(mbs_check *c) {
    mbs_rig alone;
    mbs_rig two[2];
    mbs_status st[2] = {MBS_OK, MBS_OK};
    mbs_feed_style style = mbs_rig_style(c);
    mbs_rig_how how = {.style = style, .rows = 61};
    const mbs_rig_how each[2] = {{.style = style, .rows = 61, .folder = "a"},
                                 {.style = style, .rows = 13, .folder = "b"}};
    if (mbs_rig_must(c, &how, &alone)) {
        mbs_rig_free(&alone);
        return;
    }
    for (int k = 0; k < 2; k++) {
        st[k] = mbs_rig_new(c, &each[k], &two[k]);
    }
    for (int k = 0; k < 2; k++) {
        st[k] = st[k] == MBS_OK ? mbs_rig_open(&two[k]) : st[k];
    }
    while (st[0] == MBS_OK || st[1] == MBS_OK) {
        for (int k = 0; k < 2; k++) {
            st[k] = st[k] == MBS_OK ? mbs_rig_step(&two[k]) : st[k];
        }
    }
    for (int k = 1; k >= 0; k--) {
        st[k] = st[k] == MBS_END ? mbs_rig_close(&two[k]) : st[k];
        if (st[k] != MBS_OK) {
            (void)mbs_check_fail(c, "beside another instance: %s", mbs_rig_line(&two[k]));
        } else {
            compare(c, &alone, &two[k], "beside another instance");
        }
    }
    for (int k = 0; k < 2; k++) {
        mbs_rig_free(&two[k]);
    }
    mbs_rig_free(&alone);
}

static int is_plain(const char *text) {
    for (; *text; text++) {
        if (*text < ' ' || *text > '~') {
            return 0;
        }
    }
    return 1;
}

/* Ids that decode can write, in a random order. Of those with a text of ASCII only, where there are any: ids that are
 * parts of characters need not make a text that can be read. */
static mbs_block *make_tokens(const mbs_vocab *v, mbs_record *record, uint64_t seed, int64_t n) {
    mbs_block *b = mbs_block_new("tokens/i32", MBS_I32, 1, &n);
    int32_t *can = mbs_calloc((size_t)v->size, sizeof *can);
    int32_t n_can = 0;
    for (int plain = 1; plain >= 0 && n_can == 0; plain--) {
        for (int32_t i = 0; can && i < v->size; i++) {
            if (v->decodable[i] && (!plain || is_plain(v->tokens[i]))) {
                can[n_can++] = i;
            }
        }
    }
    if (!b || !can || n_can == 0) {
        mbs_block_unref(b);
        mbs_free(can);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t w[4];
        mbs_rng_words(seed, 7, (uint64_t)i, w);
        ((int32_t *)b->data)[i] = can[w[0] % (uint32_t)n_can];
    }
    mbs_free(can);
    b->flags = MBS_SEQ_START | MBS_SEQ_END;
    b->end = n;
    mbs_block_hold_record(b, record);
    return b;
}

/* A whole record through one call of a fresh codec. */
static mbs_status through(mbs_check *c, int decode, mbs_block *in, mbs_block **out, mbs_rig *r) {
    mbs_rig_how how = {0};
    mbs_status st = mbs_rig_new(c, &how, r);
    if (st == MBS_OK) {
        mbs_check_at(c, "open");
        mbs_stream_header header = r->feed.header;
        header.channels = !decode && strcmp(in->type, "pcm/f32") == 0 ? in->shape[1] : header.channels;
        st = mbs_codec_open(r->i, decode ? NULL : &header, &r->err);
    }
    if (st == MBS_OK) {
        mbs_check_at(c, decode ? "decode" : "encode");
        st = decode ? mbs_codec_decode(r->i, in, out, &r->err) : mbs_codec_encode(r->i, in, out, &r->err);
    }
    mbs_check_at(c, "");
    if (st == MBS_OK && !*out) {
        st = mbs_fail(&r->err, MBS_ERR_INTERNAL, NULL, "%s of a whole record gave nothing",
                      decode ? "decode" : "encode");
    }
    if (st != MBS_OK) {
        (void)mbs_check_fail(c, "%s", mbs_rig_line(r));
    }
    return st;
}

static void own_record(mbs_block *b, mbs_record *record) {
    mbs_block_hold_record(b, record);
    b->flags = MBS_SEQ_START | MBS_SEQ_END;
    b->start = 0;
    b->end = b->shape[0];
}

static int same_rows(const mbs_block *a, const mbs_block *b) {
    return a->shape[0] == b->shape[0] && memcmp(a->data, b->data, (size_t)a->shape[0] * mbs_dtype_size(a->dtype)) == 0;
}

/* text = decode(ids): then decode(encode(text)) must be text again. */
static void codec_there_and_back(mbs_check *c) {
    mbs_rig r[4];
    mbs_block *text = NULL;
    mbs_block *ids = NULL;
    mbs_block *again = NULL;
    mbs_rig_how how = {0};
    mbs_record plain = {.struct_size = sizeof plain, .strand = '+', .name = "made", .length = -1};
    mbs_record *record = mbs_record_copy(&plain);
    memset(r, 0, sizeof r);
    for (int i = 0; i < 4; i++) {
        r[i].c = c;
    }
    mbs_status st = record ? mbs_rig_new(c, &how, &r[0]) : MBS_ERR_MEMORY;
    st = st == MBS_OK ? mbs_codec_open(r[0].i, NULL, &r[0].err) : st;
    if (st != MBS_OK) {
        (void)mbs_check_fail(c, "open for decode alone: %s", mbs_rig_line(&r[0]));
    }
    const mbs_vocab *v = st == MBS_OK ? mbs_codec_vocab(r[0].i) : NULL;
    mbs_block *made = v ? make_tokens(v, record, c->o->seed, 500) : NULL;
    if (st == MBS_OK && !made) {
        (void)mbs_check_skip(c, "it decodes no id");
    }
    if (made && through(c, 1, made, &text, &r[1]) == MBS_OK) {
        own_record(text, record);
        if (through(c, 0, text, &ids, &r[2]) == MBS_OK) {
            own_record(ids, record);
            if (through(c, 1, ids, &again, &r[3]) == MBS_OK && !same_rows(text, again)) {
                (void)mbs_check_fail(c, "%lld rows that decode wrote come back as %lld others",
                                     (long long)text->shape[0], (long long)again->shape[0]);
            }
        }
    }
    mbs_block_unref(again);
    mbs_block_unref(ids);
    mbs_block_unref(text);
    mbs_block_unref(made);
    for (int i = 0; i < 4; i++) {
        mbs_rig_free(&r[i]);
    }
    mbs_record_free(record);
}

static int names_type(const char *types, const char *type) {
    size_t len = strlen(type);
    for (const char *p = types; (p = strstr(p, type)) != NULL; p += len) {
        if ((p == types || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0')) {
            return 1;
        }
    }
    return 0;
}

/* The writer of the reader's own library and type, or NULL. One that gives back the records themselves adds what a
 * model says of them, and without a model there is nothing to write. */
static const mbs_descriptor *own_writer(const mbs_check *c) {
    for (uint32_t i = 0; i < c->entry->n_descriptors; i++) {
        const mbs_descriptor *d = c->entry->descriptors[i];
        if (d->kind == MBS_KIND_WRITER && names_type(d->accepts, c->desc->produces) && mbs_rig_path_row(d) &&
            !(d->flags & MBS_DESC_ORIGIN)) {
            return d;
        }
    }
    return NULL;
}

/* Everything that the reader reads goes into the writer. */
static mbs_status copy(mbs_rig *from, mbs_rig *to) {
    mbs_record *record = NULL;
    mbs_status st = MBS_OK;
    while (st == MBS_OK) {
        mbs_block *b = NULL;
        st = mbs_reader_read(from->i, 64, &b, &from->err);
        if (st != MBS_OK) {
            break;
        }
        if (b->flags & MBS_SEQ_START) {
            mbs_record_free(record);
            record = mbs_record_copy(b->record);
        }
        if (record) {
            mbs_tape_block(&from->tape, b);
            mbs_block_hold_record(b, record);
        }
        st = record ? mbs_writer_write(to->i, b, &to->err) : MBS_ERR_MEMORY;
        mbs_block_unref(b);
    }
    mbs_tape_end(&from->tape, 1);
    mbs_record_free(record);
    st = st == MBS_END ? mbs_writer_drain(to->i, &to->err) : st;
    st = st == MBS_OK ? mbs_instance_close(to->i, &to->err) : st;
    return st == MBS_OK ? mbs_outputs_commit(to->outputs, &to->err) : st;
}

static void reader_there_and_back(mbs_check *c, const mbs_descriptor *writer) {
    mbs_check w = *c;
    mbs_rig from;
    mbs_rig to;
    /* A recording is called as its file is, and this is another file. */
    mbs_rig_how how = {.bare = strcmp(c->desc->produces, "pcm/f32") == 0 ? MBS_TAPE_ROWS : MBS_TAPE_NAMES};
    w.desc = writer;
    mbs_status st = mbs_rig_new(c, &how, &from);
    st = st == MBS_OK ? mbs_rig_open(&from) : st;
    mbs_status wst = mbs_rig_new(&w, &how, &to);
    if (st == MBS_OK && wst == MBS_OK) {
        wst = mbs_outputs_prepare(to.outputs, 0, &to.err);
        wst = wst == MBS_OK ? mbs_writer_open(to.i, from.header, &to.err) : wst;
        st = wst == MBS_OK ? copy(&from, &to) : wst;
    }
    if (st != MBS_OK || wst != MBS_OK) {
        (void)mbs_check_fail(c, "%s", mbs_rig_line(to.err.status ? &to : &from));
    } else {
        mbs_rig again;
        how.path = mbs_outputs_path(to.outputs, 0);
        if (mbs_rig_must(c, &how, &again) == 0) {
            compare(c, &from, &again, "written and read again");
        }
        mbs_rig_free(&again);
    }
    mbs_rig_free(&from);
    mbs_rig_free(&to);
}

void mbs_check_data_roundtrip(mbs_check *c) {
    if (c->desc->kind == MBS_KIND_READER) {
        const mbs_descriptor *writer = own_writer(c);
        if (!writer) {
            (void)mbs_check_skip(c, "the library has no writer of what this reader reads");
        } else if (mbs_rig_ready(c)) {
            reader_there_and_back(c, writer);
        }
    } else if (!c->desc->decodes) {
        (void)mbs_check_skip(c, "it does not decode");
    } else if (c->desc->flags & MBS_DESC_LOSSY) {
        (void)mbs_check_skip(c, "it is lossy by intent (MBS_DESC_LOSSY)");
    } else if (!names_type(c->desc->accepts, c->desc->decodes)) {
        (void)mbs_check_skip(c, "what it decodes to is not what it encodes");
    } else if (mbs_rig_ready(c)) {
        codec_there_and_back(c);
    }
}

/* Runs `steps` steps, saves, goes on a little as a run that dies later would, and is left. */
static mbs_status first_part(mbs_check *c, const mbs_rig_how *how, int steps, mbs_buf *place, mbs_rig *r,
                             mbs_tape *tape, mbs_feed *at) {
    mbs_status st = mbs_rig_new(c, how, r);
    st = st == MBS_OK ? mbs_rig_open(r) : st;
    for (int i = 0; i < steps && st == MBS_OK; i++) {
        st = mbs_rig_step(r);
    }
    if (st != MBS_OK) {
        return st;
    }
    mbs_check_at(c, "save");
    st = mbs_instance_save(r->i, place, &r->err);
    mbs_check_at(c, "");
    *tape = r->tape;
    *at = r->feed;
    memset(&r->tape, 0, sizeof r->tape);
    for (int i = 0; i < 2 && st == MBS_OK; i++) {
        st = mbs_rig_step(r);
    }
    if (r->outputs) {
        mbs_check_at(c, "destroy");
        mbs_instance_free(r->i);
        r->i = NULL;
        mbs_outputs_keep(r->outputs);
    }
    return st < 0 ? st : MBS_OK;
}

static mbs_status second_part(mbs_check *c, const mbs_rig_how *how, mbs_rig *r, mbs_tape *tape, const mbs_feed *at) {
    mbs_status st = mbs_rig_new(c, how, r);
    st = st == MBS_OK ? mbs_rig_open(r) : st;
    r->tape = *tape;
    memset(tape, 0, sizeof *tape);
    if (r->fed && at->row > 0) { /* up to where the first part was */
        mbs_block *b = NULL;
        while (st == MBS_OK && (r->feed.record < at->record || r->feed.row < at->row)) {
            st = mbs_feed_next(&r->feed, how->rows, &b);
            mbs_block_unref(b);
        }
    } else if (r->fed) {
        r->feed.record = at->record;
        r->feed.text_at = at->text_at;
    }
    while (st == MBS_OK) {
        st = mbs_rig_step(r);
    }
    return st == MBS_END ? mbs_rig_close(r) : st;
}

static void from_place(mbs_check *c, const mbs_rig *whole, mbs_rig_how how, int steps) {
    mbs_rig a;
    mbs_rig b;
    mbs_tape tape = {0};
    mbs_feed at;
    mbs_buf place = MBS_BUF_INIT;
    char what[64];
    char folder[32];
    (void)snprintf(what, sizeof what, "saved after %d blocks and restored", steps);
    mbs_check_note(c, "%s", what);
    (void)snprintf(folder, sizeof folder, "place%d", steps);
    how.folder = folder;
    mbs_status st = first_part(c, &how, steps, &place, &a, &tape, &at);
    if (st != MBS_OK) {
        (void)mbs_check_fail(c, "%s: %s", what, mbs_rig_line(&a));
    } else {
        how.restore = &place;
        if (second_part(c, &how, &b, &tape, &at) != MBS_OK) {
            (void)mbs_check_fail(c, "%s: %s", what, mbs_rig_line(&b));
        } else {
            compare(c, whole, &b, what);
        }
        mbs_rig_free(&b);
    }
    mbs_rig_free(&a);
    mbs_tape_free(&tape);
    mbs_buf_free(&place);
}

void mbs_check_checkpoint(mbs_check *c) {
    mbs_rig whole;
    mbs_rig_how how = {.rows = 512, .style = mbs_rig_style(c)};
    int steps = 0;
    mbs_status st = mbs_rig_new(c, &how, &whole);
    if (st == MBS_OK && !mbs_instance_can_checkpoint(whole.i)) {
        (void)mbs_check_skip(c, "it has no mambaseq.checkpoint/1");
        mbs_rig_free(&whole);
        return;
    }
    st = st == MBS_OK ? mbs_rig_open(&whole) : st;
    for (; st == MBS_OK; steps++) {
        st = mbs_rig_step(&whole);
    }
    st = st == MBS_END ? mbs_rig_close(&whole) : st;
    if (st != MBS_OK) {
        (void)mbs_check_fail(c, "%s", mbs_rig_line(&whole));
    }
    int last = 0;
    for (int k = 0; k < 5 && !mbs_check_decided(c); k++) {
        int at = 1 + (steps - 2) * k / 5;
        if (at > last && at < steps) {
            from_place(c, &whole, how, at);
            last = at;
        }
    }
    mbs_rig_free(&whole);
}
