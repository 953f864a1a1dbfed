#include "audio/dsp/packet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static mbs_status no_memory(const au_packet *p, int64_t rows) {
    return p->host->fail(p->host, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld rows", (long long)rows);
}

mbs_status au_packet_new(const mbs_host *host, const char *name, au_packet **out) {
    au_packet *p = host->alloc(host, sizeof(*p));
    *out = p;
    if (!p) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(p, 0, sizeof(*p));
    p->host = host;
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    for (int i = 0; i < 256; i++) {
        (void)snprintf(p->texts[i], sizeof(p->texts[i]), "%d", i);
        p->tokens[i] = p->texts[i];
        p->decodable[i] = 1;
    }
    p->vocab = (mbs_vocab){
        .struct_size = (uint32_t)sizeof(mbs_vocab),
        .size = 256,
        .name = p->name,
        .tokens = p->tokens,
        .decodable = p->decodable,
        .unk = -1,
        .bos = -1,
        .eos = -1,
        .mask = -1,
        .unit = "byte",
    };
    return MBS_OK;
}

mbs_status au_packet_open(void *self, const mbs_stream_header *in) {
    au_packet *p = self;
    p->channels = in ? in->channels : 1;
    p->rate = in ? in->rate : 0;
    if (p->channels < 1 || p->channels > AU_PACKET_CHANNELS) {
        mbs_status st = p->host->fail(p->host, MBS_ERR_CONFIG, NULL, "the input has %lld channels, 1 to %d are coded",
                                      (long long)p->channels, AU_PACKET_CHANNELS);
        p->host->hint(p->host, "channels: mix, left or a number of the reader gives one");
        return st;
    }
    return p->begin(p, p->rate);
}

const mbs_vocab *au_packet_vocab(void *self) {
    return &((au_packet *)self)->vocab;
}

static mbs_status fresh(au_packet *p, int decoding) {
    mbs_status st = MBS_OK;
    for (int64_t c = 0; c < p->channels && st == MBS_OK; c++) {
        st = p->fresh(p, &p->coders[decoding][c], decoding);
    }
    return st;
}

/* Row i of a block to where the packets are gathered. */
static mbs_status take(au_packet *p, const mbs_block *in, int64_t i) {
    const float *x = (const float *)in->data + i * p->channels;
    for (int64_t c = 0; c < p->channels; c++) {
        if (isfinite(x[c])) {
            double v = round((double)x[c] * 32768.0);
            p->clipped += v > 32767 || v < -32768;
            p->in[c][p->filled] = (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
            continue;
        }
        mbs_status st = p->host->fail(p->host, MBS_ERR_DATA, NULL, "record '%.100s': sample %lld is no finite number",
                                      in->record->name, (long long)(in->start + i) + 1);
        p->host->hint(p->host, "reader audio has nonfinite: zero for such recordings");
        return st;
    }
    p->filled++;
    return MBS_OK;
}

/* The packet at hand to `to`, with the place of each byte: that of the packet, as far as the input goes. */
static mbs_status put(au_packet *p, int64_t end, int32_t *to, int64_t *interval) {
    unsigned char bytes[AU_PACKET_BYTES];
    int64_t stop = p->from + p->samples < end ? p->from + p->samples : end;
    for (int64_t c = 0; c < p->channels; c++) {
        memset(p->in[c] + p->filled, 0, (size_t)(p->samples - p->filled) * sizeof(*p->in[c]));
        if (!p->code(p, p->coders[0][c], p->in[c], bytes)) {
            return p->host->fail(p->host, MBS_ERR_INTERNAL, NULL, "the coder failed at sample %lld",
                                 (long long)p->from + 1);
        }
        for (int64_t i = 0; i < p->bytes; i++, interval += 2) {
            *to++ = bytes[i];
            interval[0] = p->from < stop ? p->from : stop;
            interval[1] = stop;
        }
    }
    p->from += p->samples;
    p->filled = 0;
    return MBS_OK;
}

static mbs_status encode_into(au_packet *p, const mbs_block *in, int64_t packets, mbs_block *b, int64_t *interval) {
    int64_t done = 0;
    int64_t each = p->bytes * p->channels;
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < in->shape[0] && st == MBS_OK; i++) {
        st = take(p, in, i);
        if (st == MBS_OK && p->filled == p->samples) {
            st = put(p, in->end, (int32_t *)b->data + done * each, interval + 2 * done * each);
            done++;
        }
    }
    for (; done < packets && st == MBS_OK; done++) {
        st = put(p, in->end, (int32_t *)b->data + done * each, interval + 2 * done * each);
    }
    return st;
}

mbs_status au_packet_encode(void *self, const mbs_block *in, mbs_block **out) {
    au_packet *p = self;
    const mbs_host *h = p->host;
    *out = NULL;
    if (in->dtype != MBS_F32 || in->ndim != 2 || in->shape[1] != p->channels) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where samples were due", in->type);
    }
    if (in->flags & MBS_SEQ_START) {
        mbs_status st = fresh(p, 0);
        if (st != MBS_OK) {
            return st;
        }
        p->filled = p->begun = 0;
        p->from = in->start;
    }
    int ends = (in->flags & MBS_SEQ_END) != 0;
    int64_t ready = p->filled + in->shape[0];
    int any = p->begun || ready > 0;
    int64_t packets = ends && any ? (ready + p->delay + p->samples - 1) / p->samples : ready / p->samples;
    if (packets == 0 && !ends) { /* later */
        mbs_status st = MBS_OK;
        for (int64_t i = 0; i < in->shape[0] && st == MBS_OK; i++) {
            st = take(p, in, i);
        }
        return st;
    }
    int64_t shape[1] = {packets * p->bytes * p->channels};
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, shape);
    int64_t *interval = b ? h->block_side(h, b, "interval", MBS_I64, 2) : NULL;
    if (!interval) {
        h->block_unref(h, b);
        return no_memory(p, shape[0]);
    }
    int64_t start = p->from < in->end ? p->from : in->end;
    mbs_status st = encode_into(p, in, packets, b, interval);
    if (st != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    b->flags = (p->begun ? 0u : MBS_SEQ_START) | (in->flags & MBS_SEQ_END);
    b->record = in->record;
    b->start = start;
    b->end = ends || p->from > in->end ? in->end : p->from;
    p->begun = 1;
    *out = b;
    return MBS_OK;
}

/* The packet that is complete, to `to` without what is dropped. Gives how many samples. */
static int64_t open_packet(au_packet *p, float *to) {
    int16_t pcm[AU_PACKET_SAMPLES];
    int64_t skip = p->delay - p->dropped < p->samples ? p->delay - p->dropped : p->samples;
    for (int64_t c = 0; c < p->channels; c++) {
        if (!p->sound(p, p->coders[1][c], p->out + c * p->bytes, pcm)) {
            memset(pcm, 0, sizeof(pcm));
            p->broken++;
        }
        for (int64_t i = skip; i < p->samples; i++) {
            to[(i - skip) * p->channels + c] = (float)pcm[i] / 32768.0f;
        }
    }
    p->dropped += skip;
    p->got = 0;
    return p->samples - skip;
}

mbs_status au_packet_decode(void *self, const mbs_block *tokens, mbs_block **out) {
    au_packet *p = self;
    const mbs_host *h = p->host;
    *out = NULL;
    if (tokens->dtype != MBS_I32) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where tokens were due", tokens->type);
    }
    if (tokens->flags & MBS_SEQ_START) {
        mbs_status st = fresh(p, 1);
        if (st != MBS_OK) {
            return st;
        }
        p->next = tokens->start;
        p->got = p->dropped = 0;
    }
    int64_t each = p->bytes * p->channels;
    int64_t shape[2] = {(p->got + tokens->shape[0]) / each * p->samples, p->channels};
    mbs_block *b = h->block_new(h, "pcm/f32", MBS_F32, 2, shape);
    if (!b) {
        return no_memory(p, shape[0]);
    }
    const int32_t *from = tokens->data;
    int64_t rows = 0;
    for (int64_t i = 0; i < tokens->shape[0]; i++) {
        if (from[i] < 0 || from[i] > 255) {
            h->block_unref(h, b);
            return h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s': token %d is no code of %s", tokens->record->name,
                           from[i], p->name);
        }
        p->out[p->got++] = (unsigned char)from[i];
        if (p->got == each) {
            rows += open_packet(p, (float *)b->data + rows * p->channels);
        }
    }
    if ((tokens->flags & MBS_SEQ_END) && p->got > 0) {
        h->log(h, MBS_LOGLEVEL_WARNING, "record '%.100s': the tokens end within a packet, which is left out",
               tokens->record->name);
    }
    b->shape[0] = rows;
    b->flags = tokens->flags;
    b->record = tokens->record;
    b->start = p->next;
    b->end = p->next += rows;
    *out = b;
    return MBS_OK;
}

mbs_status au_packet_close(void *self) {
    au_packet *p = self;
    if (p->clipped > 0) {
        p->host->log(p->host, MBS_LOGLEVEL_WARNING, "%lld sample%s outside of -1 to 1 clipped", (long long)p->clipped,
                     p->clipped == 1 ? " was" : "s were");
    }
    if (p->broken > 0) {
        p->host->log(p->host, MBS_LOGLEVEL_WARNING, "%lld packet%s no %s: silence in %s place", (long long)p->broken,
                     p->broken == 1 ? " was" : "s were", p->name, p->broken == 1 ? "its" : "their");
    }
    return MBS_OK;
}

void au_packet_destroy(void *self) {
    au_packet *p = self;
    for (int decoding = 0; decoding < 2; decoding++) {
        for (int c = 0; c < AU_PACKET_CHANNELS; c++) {
            if (p->coders[decoding][c]) {
                p->drop(p->coders[decoding][c], decoding);
            }
        }
    }
    p->host->free(p->host, p);
}
