/* Codec `pcm`: a sample to its 8-bit code, or to the two bytes of its 16-bit code, and back. */
#include <math.h>
#include <string.h>

#include "audio/dsp/codec.h"
#include "mambaseq/plugin.h"

/* `variant` is the number of bits. */
static int code(int variant, double y) {
    int half = 1 << (variant - 1);
    double v = round(y * half) + half;
    return v > 2 * half - 1 ? 2 * half - 1 : (int)v;
}

static float sample(int variant, int q) {
    int half = 1 << (variant - 1);
    return (float)(q - half) / (float)half;
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    au_codec *c = NULL;
    mbs_status st = au_codec_new(host, params, &c);
    if (st != MBS_OK) {
        return st;
    }
    c->variant = strcmp(host->param_string(params, "bits"), "16") == 0 ? 16 : 8;
    c->per_sample = c->variant / 8;
    c->code = code;
    c->sample = sample;
    au_codec_ready(c, c->variant == 16 ? "pcm-16" : "pcm-8");
    *self = c;
    return MBS_OK;
}

static const mbs_codec_vt vt = {
    .struct_size = (uint32_t)sizeof(mbs_codec_vt),
    .create = create,
    .open = au_codec_open,
    .vocab = au_codec_vocab,
    .encode = au_codec_encode,
    .decode = au_codec_decode,
    .close = au_codec_close,
    .destroy = au_codec_destroy,
    .get_extension = au_codec_extension,
};

static const mbs_param params[] = {
    MBS_PARAM_WORDS("bits", "8", "8|16", "8: a token for each sample; 16: two, the high byte first"),
    MBS_PARAM_WORDS("scale", "none", AU_SCALE_WORDS,
                    "before it: none, peak or minmax of the recording (read twice), or fixed: times gain"),
    MBS_PARAM_RANGE("gain", MBS_PARAM_FLOAT, (const char *)0, -1e6, 1e6, (const char *)0, "of scale: fixed, e.g. 0.5"),
};

static const mbs_descriptor pcm = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "pcm",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "one token per sample (8 bits) or two (16 bits), on a linear scale",
    .accepts = "pcm/f32",
    .produces = "tokens/i32",
    .decodes = "pcm/f32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .flags = MBS_DESC_NAMED,
    .params = params,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&pcm};

MBS_PLUGIN_DEFINE(pcm, descriptors, (const char *)0);
