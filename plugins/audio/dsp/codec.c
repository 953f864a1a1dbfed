#include "audio/dsp/codec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mambaseq/ext/checkpoint.h"

#define VERSION 1
#define CHANNELS_MAX 1024

static mbs_status no_memory(const au_codec *c, int64_t rows) {
    return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld rows", (long long)rows);
}

mbs_status au_codec_new(const mbs_host *host, const mbs_params *params, au_codec **out) {
    au_codec *c = host->alloc(host, sizeof(*c));
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof(*c));
    c->host = host;
    c->per_sample = 1;
    c->channels = 1;
    c->at.version = VERSION;
    c->at.high = -1;
    mbs_status st = au_scale_params(&c->at.scale, host, params);
    if (st != MBS_OK) {
        host->free(host, c);
        c = NULL;
    }
    *out = c;
    return st;
}

void au_codec_ready(au_codec *c, const char *vocab_name) {
    (void)snprintf(c->name, sizeof(c->name), "%s", vocab_name);
    for (int i = 0; i < 256; i++) {
        (void)snprintf(c->texts[i], sizeof(c->texts[i]), "%d", i);
        c->tokens[i] = c->texts[i];
        c->decodable[i] = 1;
        c->levels[i] = c->per_sample == 1 ? c->sample(c->variant, i) : 0;
    }
    c->vocab = (mbs_vocab){
        .struct_size = (uint32_t)sizeof(mbs_vocab),
        .size = 256,
        .name = c->name,
        .tokens = c->tokens,
        .decodable = c->decodable,
        .unk = -1,
        .bos = -1,
        .eos = -1,
        .mask = -1,
        .unit = c->per_sample == 1 ? "sample" : "byte",
    };
}

mbs_status au_codec_open(void *self, const mbs_stream_header *in) {
    au_codec *c = self;
    c->channels = in ? in->channels : 1;
    if (c->channels < 1 || c->channels > CHANNELS_MAX) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the input has %lld channels", (long long)c->channels);
    }
    if (!c->row) {
        c->row = c->host->alloc(c->host, (size_t)c->channels * sizeof(float));
        if (!c->row) {
            return no_memory(c, 1);
        }
        memset(c->row, 0, (size_t)c->channels * sizeof(float));
    }
    return au_scale_open(&c->at.scale, c->host, in);
}

const mbs_vocab *au_codec_vocab(void *self) {
    return &((au_codec *)self)->vocab;
}

/* Where tokens are not one for a row they say themselves which row they are of. */
static int add_intervals(const au_codec *c, const mbs_block *in, mbs_block *b, int64_t each) {
    int64_t *to = each > 1 ? c->host->block_side(c->host, b, "interval", MBS_I64, 2) : NULL;
    for (int64_t i = 0; to && i < b->shape[0]; i++) {
        to[2 * i] = in->start + i / each;
        to[2 * i + 1] = to[2 * i] + 1;
    }
    return each == 1 || to;
}

mbs_status au_codec_encode(void *self, const mbs_block *in, mbs_block **out) {
    au_codec *c = self;
    const mbs_host *h = c->host;
    *out = NULL;
    if (in->dtype != MBS_F32 || in->ndim != 2 || in->shape[1] != c->channels) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where samples were due", in->type);
    }
    if (in->flags & MBS_SEQ_START) {
        mbs_status st = au_scale_begin(&c->at.scale, h, in->record);
        if (st != MBS_OK) {
            return st;
        }
    }
    int64_t each = c->channels * c->per_sample;
    int64_t n = in->shape[0] * c->channels;
    int64_t shape[1] = {in->shape[0] * each};
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, shape);
    if (!b) {
        return no_memory(c, shape[0]);
    }
    const float *from = in->data;
    int32_t *to = b->data;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(from[i])) {
            h->block_unref(h, b);
            mbs_status st = h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s': sample %lld is no finite number",
                                    in->record->name, (long long)(in->start + i / c->channels) + 1);
            h->hint(h,
                    "reader audio has nonfinite: zero for samples that are no number; one of 1e30, say, becomes none "
                    "when it is resampled: bring the recording to -1 to 1 first (sox FILE NEW gain -n)");
            return st;
        }
        int code = c->code(c->variant, au_scale_of(&c->at.scale, from[i]));
        if (c->per_sample == 2) {
            *to++ = code >> 8;
        }
        *to++ = code & 255;
    }
    if (!add_intervals(c, in, b, each)) {
        h->block_unref(h, b);
        return no_memory(c, shape[0]);
    }
    b->flags = in->flags;
    b->record = in->record;
    b->start = in->start;
    b->end = in->end;
    *out = b;
    return MBS_OK;
}

/* A sample more of the open row; the row is complete when it answers 1. */
static int take(au_codec *c, int32_t token) {
    if (c->per_sample == 2 && c->at.high < 0) {
        c->at.high = token;
        return 0;
    }
    c->row[c->at.column++] =
        c->per_sample == 1 ? c->levels[token] : c->sample(c->variant, (int)c->at.high << 8 | token);
    c->at.high = -1;
    if (c->at.column < c->channels) {
        return 0;
    }
    c->at.column = 0;
    return 1;
}

mbs_status au_codec_decode(void *self, const mbs_block *tokens, mbs_block **out) {
    au_codec *c = self;
    const mbs_host *h = c->host;
    int64_t each = c->channels * c->per_sample;
    *out = NULL;
    if (tokens->dtype != MBS_I32) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where tokens were due", tokens->type);
    }
    if (tokens->flags & MBS_SEQ_START) {
        c->at.next = tokens->start;
        c->at.high = -1;
        c->at.column = 0;
    }
    int64_t shape[2] = {tokens->shape[0] / each + 1, c->channels};
    mbs_block *b = h->block_new(h, "pcm/f32", MBS_F32, 2, shape);
    if (!b) {
        return no_memory(c, shape[0]);
    }
    const int32_t *from = tokens->data;
    float *to = b->data;
    int64_t rows = 0;
    for (int64_t i = 0; i < tokens->shape[0]; i++) {
        if (from[i] < 0 || from[i] > 255) {
            h->block_unref(h, b);
            return h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s': token %d is no code of %s", tokens->record->name,
                           from[i], c->name);
        }
        if (take(c, from[i])) {
            memcpy(to + rows * c->channels, c->row, (size_t)c->channels * sizeof(float));
            rows++;
        }
    }
    if ((tokens->flags & MBS_SEQ_END) && (c->at.high >= 0 || c->at.column > 0)) {
        h->log(h, MBS_LOGLEVEL_WARNING, "record '%.100s': the tokens end within a sample, which is left out",
               tokens->record->name);
    }
    b->shape[0] = rows;
    b->flags = tokens->flags;
    b->record = tokens->record;
    b->start = c->at.next;
    b->end = c->at.next += rows;
    *out = b;
    return MBS_OK;
}

mbs_status au_codec_close(void *self) {
    au_codec *c = self;
    au_scale_close(&c->at.scale, c->host);
    return MBS_OK;
}

void au_codec_destroy(void *self) {
    au_codec *c = self;
    const mbs_host *h = c->host;
    h->free(h, c->row);
    h->free(h, c);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    au_codec *c = self;
    mbs_status st = put(sink, &c->at, sizeof(c->at));
    if (st >= 0 && c->at.column > 0) {
        st = put(sink, c->row, (size_t)c->at.column * sizeof(float));
    }
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    au_codec *c = self;
    struct au_codec_place at;
    if (n < sizeof(at)) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place is cut short");
    }
    memcpy(&at, bytes, sizeof(at));
    if (at.version != VERSION || at.high < -1 || at.high > 255 || at.column < 0 || at.column >= CHANNELS_MAX ||
        n != sizeof(at) + (size_t)at.column * sizeof(float) || at.scale.kind != c->at.scale.kind) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place is damaged");
    }
    c->row = c->host->realloc(c->host, c->row, CHANNELS_MAX * sizeof(float));
    if (!c->row) {
        return no_memory(c, 1);
    }
    memset(c->row, 0, CHANNELS_MAX * sizeof(float));
    memcpy(c->row, (const char *)bytes + sizeof(at), (size_t)at.column * sizeof(float));
    c->at = at;
    return MBS_OK;
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

const void *au_codec_extension(void *self, const char *id) {
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}
