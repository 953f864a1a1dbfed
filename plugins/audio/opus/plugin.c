/* Codec `opus`: 20 ms of sound to an Opus packet of constant size, and back. */
#include <opus.h>

#include "audio/dsp/packet.h"
#include "mambaseq/plugin.h"

#define FRAMES_A_SECOND 50

static void drop(void *coder, int decoding) {
    if (decoding) {
        opus_decoder_destroy(coder);
    } else {
        opus_encoder_destroy(coder);
    }
}

static int rate_of(const au_packet *p) {
    return p->rate > 0 ? (int)p->rate : 16000;
}

static mbs_status failed(const au_packet *p, int code) {
    return p->host->fail(p->host, code == OPUS_ALLOC_FAIL ? MBS_ERR_MEMORY : MBS_ERR_INTERNAL, NULL, "Opus: %s",
                         opus_strerror(code));
}

/* Coders are made once and begin anew at every record. */
static mbs_status fresh(au_packet *p, void **coder, int decoding) {
    int code = OPUS_OK;
    if (*coder) {
        code = decoding ? opus_decoder_ctl(*coder, OPUS_RESET_STATE) : opus_encoder_ctl(*coder, OPUS_RESET_STATE);
    } else if (decoding) {
        *coder = opus_decoder_create(rate_of(p), 1, &code);
    } else {
        *coder = opus_encoder_create(rate_of(p), 1, OPUS_APPLICATION_AUDIO, &code);
        code = code == OPUS_OK ? opus_encoder_ctl(*coder, OPUS_SET_VBR(0)) : code;
        code = code == OPUS_OK ? opus_encoder_ctl(*coder, OPUS_SET_BITRATE((opus_int32)p->option)) : code;
    }
    return code == OPUS_OK ? MBS_OK : failed(p, code);
}

static mbs_status begin(au_packet *p, double rate) {
    const mbs_host *h = p->host;
    int hz = rate_of(p);
    opus_int32 ahead = 0;
    if (hz != 8000 && hz != 12000 && hz != 16000 && hz != 24000 && hz != 48000) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, NULL, "Opus knows 8000, 12000, 16000, 24000 and 48000 Hz, not %g", rate);
        h->hint(h, "rate: 16000 of the reader resamples");
        return st;
    }
    mbs_status st = fresh(p, &p->coders[0][0], 0);
    int code = st == MBS_OK ? opus_encoder_ctl(p->coders[0][0], OPUS_GET_LOOKAHEAD(&ahead)) : OPUS_OK;
    p->samples = hz / FRAMES_A_SECOND;
    p->bytes = p->option / 8 / FRAMES_A_SECOND;
    p->delay = ahead;
    return code == OPUS_OK ? st : failed(p, code);
}

static int code(au_packet *p, void *coder, const int16_t *from, unsigned char *to) {
    return opus_encode(coder, from, (int)p->samples, to, (opus_int32)p->bytes) == (opus_int32)p->bytes;
}

static int sound(au_packet *p, void *coder, const unsigned char *from, int16_t *to) {
    return opus_packet_get_nb_samples(from, (opus_int32)p->bytes, (opus_int32)(p->samples * FRAMES_A_SECOND)) ==
               (int)p->samples &&
           opus_decode(coder, from, (opus_int32)p->bytes, to, (int)p->samples, 0) == (int)p->samples;
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    au_packet *p = NULL;
    mbs_status st = au_packet_new(host, "opus", &p);
    if (st == MBS_OK) {
        p->option = host->param_int(params, "bitrate");
        p->begin = begin;
        p->drop = drop;
        p->fresh = fresh;
        p->code = code;
        p->sound = sound;
        *self = p;
    }
    return st;
}

static const mbs_codec_vt vt = {
    .struct_size = (uint32_t)sizeof(mbs_codec_vt),
    .create = create,
    .open = au_packet_open,
    .vocab = au_packet_vocab,
    .encode = au_packet_encode,
    .decode = au_packet_decode,
    .close = au_packet_close,
    .destroy = au_packet_destroy,
};

static const mbs_param params[] = {
    MBS_PARAM_RANGE("bitrate", MBS_PARAM_INT, "16000", 6000, 256000, "bits",
                    "a second, in whole bytes of 20 ms (steps of 400), e.g. 12000"),
};

static const mbs_descriptor opus_codec = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "opus",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "what a call over the internet does to sound: packets of Opus of constant size, 20 ms each",
    .accepts = "pcm/f32",
    .produces = "tokens/i32",
    .decodes = "pcm/f32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .flags = MBS_DESC_NAMED | MBS_DESC_LOSSY,
    .params = params,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&opus_codec};

MBS_PLUGIN_DEFINE(opus, descriptors, "libopus");
