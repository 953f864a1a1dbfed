#include <kiss_fftr.h>
#include <math.h>
#include <string.h>

#include "audio/dsp/hop.h"
#include "mambaseq/ext/checkpoint.h"

extern const mbs_codec_vt lm_codec_vt;

#define PI 3.14159265358979323846
#define FFT_MAX ((int64_t)1 << 20)

typedef struct codec {
    const mbs_host *host;
    const mbs_params *params;
    int64_t bands, width, size; /* size: of the transform, a power of two */
    double floor_value;
    au_hop rows;
    float *weight; /* width: Hann */
    float *mel;    /* bands x bins, triangles */
    float *frame;  /* size samples */
    kiss_fft_cpx *spectrum;
    kiss_fftr_cfg fft;
} codec;

static void destroy(void *self) {
    codec *c = self;
    const mbs_host *h = c->host;
    void *all[] = {c->weight, c->mel, c->frame, c->spectrum, c->fft};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        h->free(h, all[i]);
    }
    au_hop_free(&c->rows);
    h->free(h, c);
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    codec *c = host->alloc(host, sizeof(*c));
    if (!c) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a codec");
    }
    memset(c, 0, sizeof(*c));
    c->host = host;
    c->params = params;
    c->bands = host->param_int(params, "bands");
    c->floor_value = host->param_float(params, "floor");
    *self = c;
    return MBS_OK;
}

static double mel_of(double hz) {
    return 2595.0 * log10(1.0 + hz / 700.0);
}

static double hz_of(double mel) {
    return 700.0 * (pow(10.0, mel / 2595.0) - 1.0);
}

/* Triangles that stand equally wide on the mel scale; each is 1 at its middle. */
static void make_mel(codec *c, double rate, double low, double high) {
    int64_t bins = c->size / 2 + 1;
    double from = mel_of(low);
    double step = (mel_of(high) - from) / (double)(c->bands + 1);
    for (int64_t b = 0; b < c->bands; b++) {
        double left = hz_of(from + step * (double)b);
        double middle = hz_of(from + step * (double)(b + 1));
        double right = hz_of(from + step * (double)(b + 2));
        for (int64_t k = 0; k < bins; k++) {
            double hz = rate * (double)k / (double)c->size;
            double up = (hz - left) / (middle - left);
            double down = (right - hz) / (right - middle);
            double v = up < down ? up : down;
            c->mel[b * bins + k] = v > 0 ? (float)v : 0.0f;
        }
    }
}

static mbs_status make_tables(codec *c, double rate, double low, double high) {
    const mbs_host *h = c->host;
    size_t bins = (size_t)c->size / 2 + 1;
    size_t need = 0;
    (void)kiss_fftr_alloc((int)c->size, 0, NULL, &need);
    c->weight = h->alloc(h, (size_t)c->width * sizeof(float));
    c->mel = h->alloc(h, (size_t)c->bands * bins * sizeof(float));
    c->frame = h->alloc(h, (size_t)c->size * sizeof(float));
    c->spectrum = h->alloc(h, bins * sizeof(*c->spectrum));
    c->fft = h->alloc(h, need);
    if (!c->weight || !c->mel || !c->frame || !c->spectrum || !c->fft ||
        !kiss_fftr_alloc((int)c->size, 0, c->fft, &need)) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a transform of %lld samples", (long long)c->size);
    }
    memset(c->frame, 0, (size_t)c->size * sizeof(float));
    for (int64_t i = 0; i < c->width; i++) {
        c->weight[i] = (float)(0.5 - 0.5 * cos(2.0 * PI * (double)i / (double)c->width));
    }
    make_mel(c, rate, low, high);
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    codec *c = self;
    const mbs_host *h = c->host;
    if (!in || !(in->rate > 0)) {
        return h->fail(h, MBS_ERR_DATA, NULL, "the input has no rate");
    }
    double high = h->param_is_set(c->params, "high") ? h->param_float(c->params, "high") : in->rate / 2;
    double low = h->param_float(c->params, "low");
    double width = floor(h->param_float(c->params, "window") * in->rate + 0.5);
    double hop = floor(h->param_float(c->params, "hop") * in->rate + 0.5);
    if (!(width >= 2 && width <= (double)FFT_MAX)) {
        return h->fail(h, MBS_ERR_CONFIG, "window", "%g samples at %g Hz, must be 2 to %lld", width, in->rate,
                       (long long)FFT_MAX);
    }
    if (!(hop >= 1 && hop <= (double)FFT_MAX)) {
        return h->fail(h, MBS_ERR_CONFIG, "hop", "%g samples at %g Hz, must be 1 to %lld", hop, in->rate,
                       (long long)FFT_MAX);
    }
    if (!(low < high) || high > in->rate / 2) {
        return h->fail(h, MBS_ERR_CONFIG, "high", "bands from %g to %g Hz, must lie below %g, half of the rate", low,
                       high, in->rate / 2);
    }
    c->width = (int64_t)width;
    for (c->size = 2; c->size < c->width; c->size *= 2) {
    }
    mbs_status st = make_tables(c, in->rate, low, high);
    return st == MBS_OK ? au_hop_open(&c->rows, h, c->width, (int64_t)hop, in->channels) : st;
}

static const mbs_vocab *vocab(void *self) {
    (void)self;
    return NULL;
}

/* A row: the bands of one channel behind those of another. */
static void make(void *self, const float *window, float *to) {
    codec *c = self;
    int64_t channels = c->rows.at.channels;
    int64_t bins = c->size / 2 + 1;
    for (int64_t k = 0; k < channels; k++, to += c->bands) {
        for (int64_t i = 0; i < c->width; i++) {
            c->frame[i] = window[i * channels + k] * c->weight[i];
        }
        kiss_fftr(c->fft, c->frame, c->spectrum);
        for (int64_t b = 0; b < c->bands; b++) {
            double sum = 0;
            for (int64_t f = 0; f < bins; f++) {
                double re = (double)c->spectrum[f].r;
                double im = (double)c->spectrum[f].i;
                sum += (double)c->mel[b * bins + f] * (re * re + im * im);
            }
            to[b] = (float)log(sum + c->floor_value);
        }
    }
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    return au_hop_encode(&c->rows, in, c->bands * c->rows.at.channels, make, c, out);
}

static mbs_status close_codec(void *self) {
    (void)self;
    return MBS_OK;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    return au_hop_save(&((codec *)self)->rows, put, sink);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    return au_hop_restore(&c->rows, c->host, bytes, n);
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *extension(void *self, const char *id) {
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_codec_vt lm_codec_vt = {
    .struct_size = (uint32_t)sizeof(mbs_codec_vt),
    .create = create,
    .open = open_codec,
    .vocab = vocab,
    .encode = encode,
    .close = close_codec,
    .destroy = destroy,
    .get_extension = extension,
};
