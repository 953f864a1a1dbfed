#include <kiss_fftr.h>
#include <math.h>
#include <string.h>

#include "mambaseq/codec.h"
#include "mambaseq/ext/checkpoint.h"

extern const mbs_codec_vt lm_codec_vt;

#define PI 3.14159265358979323846
#define VERSION 1
#define FFT_MAX ((int64_t)1 << 20)
#define CHANNELS_MAX 64

/* Between two blocks; kept over a resume, with `width` past samples of each channel behind it. */
typedef struct place {
    int64_t version;
    int64_t fill;  /* samples since the end of the last row, below hop */
    int64_t begun; /* a block of this record was given */
    int64_t width, channels;
} place;

typedef struct codec {
    const mbs_host *host;
    const mbs_params *params;
    int64_t bands, width, hop, size; /* size: of the transform, a power of two */
    double floor_value;
    place at;
    float *past;   /* width x channels: the newest samples */
    float *weight; /* width: Hann */
    float *mel;    /* bands x bins, triangles */
    float *frame;  /* size samples */
    kiss_fft_cpx *spectrum;
    kiss_fftr_cfg fft;
    void *saved;
    size_t saved_len;
} codec;

static void destroy(void *self) {
    codec *c = self;
    const mbs_host *h = c->host;
    void *all[] = {c->past, c->weight, c->mel, c->frame, c->spectrum, c->fft, c->saved};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        h->free(h, all[i]);
    }
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
    size_t past = (size_t)(c->width * c->at.channels) * sizeof(float);
    size_t need = 0;
    (void)kiss_fftr_alloc((int)c->size, 0, NULL, &need);
    c->past = h->alloc(h, past);
    c->weight = h->alloc(h, (size_t)c->width * sizeof(float));
    c->mel = h->alloc(h, (size_t)c->bands * bins * sizeof(float));
    c->frame = h->alloc(h, (size_t)c->size * sizeof(float));
    c->spectrum = h->alloc(h, bins * sizeof(*c->spectrum));
    c->fft = h->alloc(h, need);
    if (!c->past || !c->weight || !c->mel || !c->frame || !c->spectrum || !c->fft ||
        !kiss_fftr_alloc((int)c->size, 0, c->fft, &need)) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a transform of %lld samples", (long long)c->size);
    }
    memset(c->past, 0, past);
    memset(c->frame, 0, (size_t)c->size * sizeof(float));
    for (int64_t i = 0; i < c->width; i++) {
        c->weight[i] = (float)(0.5 - 0.5 * cos(2.0 * PI * (double)i / (double)c->width));
    }
    make_mel(c, rate, low, high);
    return MBS_OK;
}

static mbs_status take_saved(codec *c) {
    place at;
    int whole = c->saved_len >= sizeof(at);
    if (whole) {
        memcpy(&at, c->saved, sizeof(at));
        whole = at.version == VERSION && at.fill >= 0 && at.fill < c->hop && (at.begun == 0 || at.begun == 1) &&
                at.width == c->width && at.channels == c->at.channels &&
                c->saved_len == sizeof(at) + (size_t)(c->width * c->at.channels) * sizeof(float);
    }
    if (!whole) {
        return c->host->fail(c->host, MBS_ERR_DATA, NULL, "the saved place does not fit");
    }
    c->at = at;
    memcpy(c->past, (const char *)c->saved + sizeof(at), c->saved_len - sizeof(at));
    return MBS_OK;
}

static mbs_status open_codec(void *self, const mbs_stream_header *in) {
    codec *c = self;
    const mbs_host *h = c->host;
    if (!in || !(in->rate > 0) || in->channels < 1 || in->channels > CHANNELS_MAX) {
        return h->fail(h, MBS_ERR_DATA, NULL, "the input has no rate, or not 1 to %d channels", CHANNELS_MAX);
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
    c->width = c->at.width = (int64_t)width;
    c->hop = (int64_t)hop;
    c->at.version = VERSION;
    c->at.channels = in->channels;
    for (c->size = 2; c->size < c->width; c->size *= 2) {
    }
    mbs_status st = make_tables(c, in->rate, low, high);
    return st == MBS_OK && c->saved ? take_saved(c) : st;
}

static const mbs_vocab *vocab(void *self) {
    (void)self;
    return NULL;
}

static mbs_status check(const codec *c, const mbs_block *in) {
    const float *x = in->data;
    if (in->dtype != MBS_F32 || in->ndim != 2 || in->shape[1] != c->at.channels) {
        return c->host->fail(c->host, MBS_ERR_INTERNAL, NULL, "a block of '%s' where samples were due", in->type);
    }
    for (int64_t i = 0; i < in->shape[0] * c->at.channels; i++) {
        if (!isfinite(x[i])) {
            return c->host->fail(c->host, MBS_ERR_DATA, NULL, "record '%.100s': sample %lld is no finite number",
                                 in->record->name, (long long)(in->start + i / c->at.channels) + 1);
        }
    }
    return MBS_OK;
}

/* One row of one channel: the window that ends `end` samples into the block, silence behind its n samples. */
static void transform(codec *c, const float *x, int64_t n, int64_t end, int64_t channel, float *to) {
    int64_t channels = c->at.channels;
    int64_t bins = c->size / 2 + 1;
    for (int64_t i = 0; i < c->width; i++) {
        int64_t at = end - c->width + i;
        float v = at < 0 ? c->past[(c->width + at) * channels + channel] : at < n ? x[at * channels + channel] : 0.0f;
        c->frame[i] = v * c->weight[i];
    }
    kiss_fftr(c->fft, c->frame, c->spectrum);
    for (int64_t b = 0; b < c->bands; b++) {
        double sum = 0;
        for (int64_t k = 0; k < bins; k++) {
            double re = (double)c->spectrum[k].r;
            double im = (double)c->spectrum[k].i;
            sum += (double)c->mel[b * bins + k] * (re * re + im * im);
        }
        to[b] = (float)log(sum + c->floor_value);
    }
}

static void remember(codec *c, const float *x, int64_t n) {
    int64_t all = c->width * c->at.channels;
    int64_t fresh = n * c->at.channels;
    int64_t keep = fresh < all ? all - fresh : 0;
    memmove(c->past, c->past + (all - keep), (size_t)keep * sizeof(*c->past));
    if (all > keep) {
        memcpy(c->past + keep, x + (fresh - (all - keep)), (size_t)(all - keep) * sizeof(*c->past));
    }
}

static mbs_status encode(void *self, const mbs_block *in, mbs_block **out) {
    codec *c = self;
    const mbs_host *h = c->host;
    *out = NULL;
    mbs_status st = check(c, in);
    if (st != MBS_OK) {
        return st;
    }
    if (in->flags & MBS_SEQ_START) {
        c->at.fill = c->at.begun = 0;
        memset(c->past, 0, (size_t)(c->width * c->at.channels) * sizeof(float));
    }
    int64_t n = in->shape[0];
    int ends = (in->flags & MBS_SEQ_END) != 0;
    int64_t ready = c->at.fill + n;
    int64_t rows = ready / c->hop + (ends && ready % c->hop > 0);
    mbs_block *b = NULL;
    if (rows > 0 || ends) {
        int64_t shape[2] = {rows, c->bands * c->at.channels};
        b = h->block_new(h, "frames/f32", MBS_F32, 2, shape);
        int64_t *interval = b ? h->block_side(h, b, "interval", MBS_I64, 2) : NULL;
        if (!interval) {
            h->block_unref(h, b);
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld rows", (long long)rows);
        }
        for (int64_t i = 0; i < rows; i++) {
            int64_t end = (i + 1) * c->hop - c->at.fill;
            for (int64_t k = 0; k < c->at.channels; k++) {
                transform(c, in->data, n, end, k, (float *)b->data + i * shape[1] + k * c->bands);
            }
            interval[2 * i] = in->start + end - c->hop;
            interval[2 * i + 1] = in->start + (end < n ? end : n);
        }
        b->flags = (c->at.begun ? 0u : MBS_SEQ_START) | (ends ? MBS_SEQ_END : 0u);
        b->record = in->record;
        b->start = rows > 0 ? interval[0] : in->end;
        b->end = rows > 0 ? interval[2 * rows - 1] : in->end;
        c->at.begun = 1;
    }
    remember(c, in->data, n);
    c->at.fill = ready % c->hop;
    *out = b;
    return MBS_OK;
}

static mbs_status close_codec(void *self) {
    (void)self;
    return MBS_OK;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    codec *c = self;
    mbs_status st = put(sink, &c->at, sizeof(c->at));
    if (st >= 0 && c->past) {
        st = put(sink, c->past, (size_t)(c->width * c->at.channels) * sizeof(*c->past));
    }
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    codec *c = self;
    void *copy = c->host->realloc(c->host, c->saved, n + 1);
    if (!copy) {
        return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for the saved place");
    }
    memcpy(copy, bytes, n);
    c->saved = copy;
    c->saved_len = n;
    return MBS_OK;
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
