#include "run/coder.h"

#include <math.h>
#include <string.h>

#define TOP ((uint64_t)1 << 56)
#define BOTTOM ((uint64_t)1 << 48)
#define BIT_SCALE 22
#define SEEN_MAX 254u
#define COUNT_SCALE ((uint64_t)1 << 22)

void mbs_encoder_init(mbs_encoder *e) {
    memset(e, 0, sizeof(*e));
    e->range = TOP - 1;
    e->cache = -1;
}

/* The top byte of low goes out, behind those that wait to see whether a carry comes. */
static void shift_out(mbs_encoder *e) {
    if (e->low < TOP - BOTTOM || e->low >= TOP) {
        int carry = e->low >= TOP;
        if (e->cache >= 0) {
            mbs_buf_putc(&e->out, (char)(e->cache + carry));
        }
        for (; e->pending > 0; e->pending--) {
            mbs_buf_putc(&e->out, (char)(carry ? 0x00 : 0xff));
        }
        e->cache = (int32_t)((e->low >> 48) & 0xff);
    } else {
        e->pending++;
    }
    e->low = (e->low & (BOTTOM - 1)) << 8;
}

static void narrow(mbs_encoder *e, uint64_t from, uint64_t range) {
    e->low += from;
    e->range = range;
    while (e->range < BOTTOM) {
        e->range <<= 8;
        shift_out(e);
    }
}

void mbs_encode_range(mbs_encoder *e, uint32_t from, uint32_t n, uint32_t total) {
    uint64_t unit = e->range / total;
    /* What the division leaves over belongs to the last symbol. */
    narrow(e, unit * from, from + n == total ? e->range - unit * from : unit * n);
}

/* How much of 2^22 a bit of 1 gets: never nothing, never all. */
static uint32_t share_of(mbs_coder_bit p) {
    uint32_t one = p >> 10;
    return one < 16 ? 16 : one > (1u << BIT_SCALE) - 16 ? (1u << BIT_SCALE) - 16 : one;
}

/* The mean of what was seen, then a slow one of what was seen lately. */
static void learn(mbs_coder_bit *p, int bit) {
    int64_t one = *p >> 10;
    uint32_t seen = *p & 1023u;
    int64_t goal = bit ? ((int64_t)1 << BIT_SCALE) - 1 : 0;
    one += (goal - one) * 2 / (int64_t)(2 * seen + 3);
    *p = (uint32_t)one << 10 | (seen < SEEN_MAX ? seen + 1 : seen);
}

/* A bit that was never seen is as likely as not. */
static void wake(mbs_coder_bit *p) {
    if (*p == 0) {
        *p = (uint32_t)1 << (BIT_SCALE - 1 + 10);
    }
}

void mbs_coder_learn(mbs_coder_bit *p, int bit) {
    wake(p);
    learn(p, bit);
}

void mbs_encode_bit(mbs_encoder *e, mbs_coder_bit *p, int bit) {
    wake(p);
    uint64_t one = (e->range >> BIT_SCALE) * share_of(*p);
    narrow(e, bit ? 0 : one, bit ? one : e->range - one);
    learn(p, bit);
}

void mbs_encoder_flush(mbs_encoder *e) {
    for (int i = 0; i < 8; i++) {
        shift_out(e);
    }
}

void mbs_encoder_free(mbs_encoder *e) {
    mbs_buf_free(&e->out);
}

void mbs_decoder_init(mbs_decoder *d) {
    memset(d, 0, sizeof(*d));
    d->range = TOP - 1;
}

int64_t mbs_decoder_feed(mbs_decoder *d, const uint8_t *bytes, int64_t n) {
    memmove(d->hold, d->hold + d->at, (size_t)(d->n - d->at));
    d->n -= d->at;
    d->at = 0;
    int64_t room = MBS_CODER_HOLD - d->n;
    n = n < room ? n : room;
    memcpy(d->hold + d->n, bytes, (size_t)n);
    d->n += (int32_t)n;
    return n;
}

static uint8_t next_byte(mbs_decoder *d) {
    if (d->at < d->n) {
        return d->hold[d->at++];
    }
    d->missing++;
    return 0;
}

static void prime(mbs_decoder *d) {
    for (int i = 0; i < 7 && !d->primed; i++) {
        d->code = d->code << 8 | next_byte(d);
    }
    d->primed = 1;
}

static void take(mbs_decoder *d, uint64_t from, uint64_t range) {
    d->code -= from;
    d->range = range;
    while (d->range < BOTTOM) {
        d->range <<= 8;
        d->code = d->code << 8 | next_byte(d);
    }
}

uint32_t mbs_decode_point(mbs_decoder *d, uint32_t total) {
    prime(d);
    uint64_t at = d->code / (d->range / total);
    return at < total ? (uint32_t)at : total - 1;
}

void mbs_decode_range(mbs_decoder *d, uint32_t from, uint32_t n, uint32_t total) {
    uint64_t unit = d->range / total;
    take(d, unit * from, from + n == total ? d->range - unit * from : unit * n);
}

int mbs_decode_bit(mbs_decoder *d, mbs_coder_bit *p) {
    prime(d);
    wake(p);
    uint64_t one = (d->range >> BIT_SCALE) * share_of(*p);
    int bit = d->code < one;
    take(d, bit ? 0 : one, bit ? one : d->range - one);
    learn(p, bit);
    return bit;
}

/* 2^-(k / 2^16) in 2^31 parts, by multiplication with the powers that k is made of. */
static uint64_t power(uint64_t k) {
    static const uint32_t root[16] = {/* 2^-(2^-16), 2^-(2^-15), ... 2^-(1/2), in 2^32 parts */
                                      4294921870u, 4294876445u, 4294785595u, 4294603903u, 4294240540u, 4293513907u,
                                      4292061010u, 4289156690u, 4283353945u, 4271771996u, 4248701965u, 4202935003u,
                                      4112874773u, 3938502376u, 3611622603u, 3037000500u};
    uint64_t whole = k >> 16;
    if (whole > 40) {
        return 0;
    }
    uint64_t w = (uint64_t)1 << 31;
    for (int i = 0; i < 16; i++) {
        if (k >> i & 1) {
            w = w * root[i] >> 32;
        }
    }
    return w >> whole;
}

uint32_t mbs_coder_counts(const float *logits, const uint8_t *allowed, int32_t n, uint32_t *counts) {
    float most = -INFINITY;
    for (int32_t i = 0; logits && i < n; i++) {
        if (allowed[i] && isnan(logits[i])) {
            return 0;
        }
        most = allowed[i] && logits[i] > most ? logits[i] : most;
    }
    uint64_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        /* One product in double, of numbers that are exact: no machine rounds it otherwise. */
        double below = logits ? ((double)most - (double)logits[i]) * (1.4426950408889634074 * 65536) : 0;
        uint64_t w = !allowed[i] || !(below < 42.0 * 65536) ? 0 : power((uint64_t)below);
        counts[i] = (uint32_t)w;
        sum += w;
    }
    uint32_t total = 0;
    for (int32_t i = 0; i < n; i++) {
        counts[i] = allowed[i] && sum > 0 ? 1 + (uint32_t)(counts[i] * COUNT_SCALE / sum) : 0;
        total += counts[i];
    }
    return total;
}
