/* Copies of a recording, each in another way: what a model should not mind. */
#include <math.h>
#include <string.h>

#include "audio/dsp/dither.h"
#include "reader.h"

#define PI 3.14159265358979323846
#define FRAMES_MAX ((int64_t)1 << 26) /* a recording that is varied stands in memory */

/* A number, or what it is where nobody tells it. */
static double number(const au_reader *r, const char *key, double usual) {
    return r->host->param_is_set(r->params, key) ? r->host->param_float(r->params, key) : usual;
}

mbs_status au_vary_params(au_reader *r) {
    const mbs_host *h = r->host;
    au_vary *v = &r->vary;
    static const char *const keys[] = {"augment_gain", "augment_speed",   "augment_snr",  "augment_band",
                                       "augment_seed", "augment_channel", "augment_shift"};
    v->copies = h->param_int(r->params, "augment");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (v->copies == 0 && h->param_is_set(r->params, keys[i])) {
            mbs_status st = h->fail(h, MBS_ERR_CONFIG, keys[i], "it says how copies differ, and augment is 0");
            h->hint(h, "augment: 3, say, gives each recording three times more");
            return st;
        }
    }
    v->seed = h->param_is_set(r->params, "augment_seed") ? (uint64_t)h->param_int(r->params, "augment_seed") : 1;
    v->gain = number(r, "augment_gain", 9);
    v->speed = number(r, "augment_speed", 0.1);
    v->snr = number(r, "augment_snr", 10);
    v->band = number(r, "augment_band", 0.5);
    v->channel = number(r, "augment_channel", 0.3);
    v->shift = number(r, "augment_shift", 0.2);
    return MBS_OK;
}

/* ---- draws: a number follows from the seed, the recording's name and place, the copy and what it is for ---- */

static double draw(uint64_t key, uint64_t what) {
    return (double)(au_mixed(key ^ au_mixed(what)) >> 11) / 9007199254740992.0;
}

static double between(uint64_t key, uint64_t what, double low, double high) {
    return low + draw(key, what) * (high - low);
}

enum { SPEED, SHIFT, BAND, LOW, HIGH, SNR, COLOUR, GAIN, CHANNEL, NOISE };

static uint64_t key_of(const au_reader *r) {
    uint64_t key = au_mixed(r->vary.seed);
    for (const char *p = r->name; *p; p++) {
        key = au_mixed(key ^ (unsigned char)*p);
    }
    key = au_mixed(key ^ (uint64_t)r->record.start);
    return au_mixed(key ^ (uint64_t)r->copy);
}

/* ---- what is done to samples: n frames of `channels` in x ---- */

/* Second-order low or high pass, its poles those of Butterworth (bilinear transform). */
static void pass(float *x, int64_t n, int64_t channels, double cut, int high) {
    double w = 2 * PI * cut;
    double alpha = sin(w) / sqrt(2.0);
    double c = cos(w);
    double b1 = high ? -(1 + c) : 1 - c;
    double b0 = fabs(b1) / 2;
    for (int64_t k = 0; k < channels; k++) {
        double x1 = 0;
        double x2 = 0;
        double y1 = 0;
        double y2 = 0;
        for (int64_t i = 0; i < n; i++) {
            double in = (double)x[i * channels + k];
            double y = (b0 * in + b1 * x1 + b0 * x2 + 2 * c * y1 - (1 - alpha) * y2) / (1 + alpha);
            x2 = x1;
            x1 = in;
            y2 = y1;
            y1 = y;
            x[i * channels + k] = (float)y;
        }
    }
}

static double rms(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return n > 0 ? sqrt(sum / (double)n) : 0;
}

/* Noise of a spectrum between white and falling, so many dB below the sound as it is on the whole. */
static void add_noise(float *x, int64_t n, uint64_t key, double snr) {
    double pole = between(key, COLOUR, 0, 0.9);
    double level = rms(x, n) * pow(10, -snr / 20) * sqrt(3.0 * (1 - pole * pole));
    double y = 0;
    for (int64_t i = 0; i < n; i++) {
        y = pole * y + 2 * draw(key + NOISE, (uint64_t)i) - 1;
        x[i] = (float)((double)x[i] + level * y);
    }
}

static void turn_up(float *x, int64_t n, double db) {
    double most = 0;
    double gain = pow(10, db / 20);
    for (int64_t i = 0; i < n; i++) {
        double a = fabs((double)x[i]);
        most = a > most ? a : most;
    }
    gain = most * gain > 1 ? 1 / most : gain;
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)((double)x[i] * gain);
    }
}

/* A telephone: its band, and the 8 bits of G.711. */
static void telephone(float *x, int64_t n, int64_t channels, double rate) {
    pass(x, n, channels, 300 / rate < 0.4 ? 300 / rate : 0.4, 1);
    if (3400 / rate < 0.45) {
        pass(x, n, channels, 3400 / rate, 0);
    }
    for (int64_t i = 0; i < n * channels; i++) {
        double v = round((double)x[i] * 32768.0);
        int16_t code = (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
        x[i] = (float)au_mulaw_sample(au_mulaw_code(code)) / 32768.0f;
    }
}

/* ---- one recording ---- */

static mbs_status grow(au_reader *r, float **p, int64_t *room, int64_t frames) {
    if (frames > FRAMES_MAX) {
        mbs_status st = r->host->fail(r->host, MBS_ERR_DATA, "augment", "%s: longer than %lld samples", r->in.path,
                                      (long long)FRAMES_MAX);
        r->host->hint(r->host, "recordings that are varied stand in memory: give pieces of it (duration, a manifest)");
        return st;
    }
    if (frames > *room) {
        int64_t n = frames > 2 * *room ? frames : 2 * *room;
        float *grown = r->host->realloc(r->host, *p, (size_t)(n * r->header.channels) * sizeof(float));
        if (!grown) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %lld frames", (long long)n);
        }
        *p = grown;
        *room = n;
    }
    return MBS_OK;
}

static mbs_status read_whole(au_reader *r, float **x, int64_t *room, int64_t *n) {
    mbs_status st = MBS_OK;
    for (*n = 0; st == MBS_OK;) {
        int64_t got = 0;
        st = grow(r, x, room, *n + AU_STEP);
        st = st == MBS_OK ? au_pull(r, *x + *n * r->header.channels, AU_STEP, 50, &got) : st;
        *n += got;
        if (st == MBS_OK && r->host->cancelled(r->host)) {
            st = r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped while a recording was varied");
        }
    }
    return st == MBS_END ? MBS_OK : st;
}

/* Faster by `ratio`, behind `before` frames of silence, into v->made. */
static mbs_status respeed(au_reader *r, const float *x, int64_t n, double ratio, int64_t before) {
    au_vary *v = &r->vary;
    int64_t channels = r->header.channels;
    int64_t want = au_resampled(n, ratio, 1);
    au_resampler q;
    mbs_status st = grow(r, &v->made, &v->room, before + want);
    if (st != MBS_OK) {
        return st;
    }
    memset(v->made, 0, (size_t)((before + want) * channels) * sizeof(float));
    v->n = before + want;
    st = au_resampler_new(&q, r->host, ratio, 1, channels);
    int64_t at = 0;
    int64_t used = 0;
    for (int64_t got = 1; st == MBS_OK && at < want && (got > 0 || used < n);) {
        int64_t took = 0;
        st = au_resampler_run(&q, r->host, used < n ? x + used * channels : NULL, n - used, &took,
                              v->made + (before + at) * channels, want - at, &got);
        used += took;
        at += got;
    }
    au_resampler_free(&q);
    return st;
}

mbs_status au_vary_make(au_reader *r) {
    au_vary *v = &r->vary;
    float *x = NULL;
    int64_t room = 0;
    int64_t n = 0;
    uint64_t key = key_of(r);
    int64_t channels = r->header.channels;
    double rate = (double)r->rate;
    mbs_status st = read_whole(r, &x, &room, &n);
    if (st == MBS_OK) {
        double ratio = exp(between(key, SPEED, -1, 1) * log1p(v->speed));
        st = respeed(r, x, n, ratio, (int64_t)floor(draw(key, SHIFT) * v->shift * rate + 0.5));
    }
    r->host->free(r->host, x);
    if (st != MBS_OK) {
        return st;
    }
    if (draw(key, BAND) < v->band) {
        pass(v->made, v->n, channels, fmin(between(key, LOW, 50, 400) / rate, 0.4), 1);
        pass(v->made, v->n, channels, between(key, HIGH, 0.5, 0.95) / 2, 0);
    }
    add_noise(v->made, v->n * channels, key, between(key, SNR, v->snr, v->snr + 30));
    turn_up(v->made, v->n * channels, between(key, GAIN, -v->gain, v->gain));
    if (draw(key, CHANNEL) < v->channel) {
        telephone(v->made, v->n, channels, rate);
    }
    return MBS_OK;
}
