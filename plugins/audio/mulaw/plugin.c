/* Codec `mulaw`: a sample to one of 256 levels, fine near zero and coarse far from it, and back. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/dsp/codec.h"
#include "audio/dsp/sample.h"
#include "mambaseq/plugin.h"

#define MU 255.0

enum { SASHIMI, TORCHAUDIO, G711 };
static const char *const variants[] = {"sashimi", "torchaudio", "g711"};

static double compressed(double y, double epsilon) {
    double v = log1p(MU * fabs(y + epsilon)) / log1p(MU);
    return y < 0 ? -v : v;
}

static int code(int variant, double y) {
    double q;
    if (variant == G711) {
        double v = round(y * 32768.0);
        return au_mulaw_code((int16_t)(v > 32767 ? 32767 : v));
    }
    if (variant == SASHIMI) {
        double u = (compressed(y, 1e-8) + 1.0) / 2.0;
        q = floor(u * (256.0 - 0.01) + 0.005);
    } else {
        q = floor((compressed(y, 0.0) + 1.0) / 2.0 * MU + 0.5);
    }
    return q < 0 ? 0 : q > 255 ? 255 : (int)q;
}

static float sample(int variant, int q) {
    if (variant == G711) {
        return (float)au_mulaw_sample((uint8_t)q) / 32768.0f;
    }
    double v = variant == SASHIMI ? (double)q / 128.0 - 1.0 : (double)q / MU * 2.0 - 1.0;
    double y = expm1(fabs(v) * log1p(MU)) / MU;
    return (float)(v < 0 ? -y : y);
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    au_codec *c = NULL;
    char name[48];
    mbs_status st = au_codec_new(host, params, &c);
    if (st != MBS_OK) {
        return st;
    }
    const char *word = host->param_string(params, "variant");
    for (int i = 0; i < 3; i++) {
        c->variant = strcmp(word, variants[i]) == 0 ? i : c->variant;
    }
    c->code = code;
    c->sample = sample;
    (void)snprintf(name, sizeof(name), "mulaw-%s", variants[c->variant]);
    au_codec_ready(c, name);
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
    MBS_PARAM_WORDS("variant", "sashimi", "sashimi|torchaudio|g711",
                    "whose mu-law: SaShiMi's (128 is silence), torchaudio's, or the bytes of G.711"),
    MBS_PARAM_WORDS("scale", "none", AU_SCALE_WORDS,
                    "before it: none, peak or minmax of the recording (read twice), or fixed: times gain"),
    MBS_PARAM_RANGE("gain", MBS_PARAM_FLOAT, (const char *)0, -1e6, 1e6, (const char *)0, "of scale: fixed, e.g. 0.5"),
};

static const mbs_descriptor mulaw = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "mulaw",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "one token per sample: 256 levels on a logarithmic scale",
    .accepts = "pcm/f32",
    .produces = "tokens/i32",
    .decodes = "pcm/f32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .flags = MBS_DESC_NAMED,
    .params = params,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&mulaw};

MBS_PLUGIN_DEFINE(mulaw, descriptors, (const char *)0);
