/* Codec `gsm`: 20 ms of telephone speech to the 33 bytes of a GSM 06.10 frame (full rate), and back. */
#include <gsm.h>
#include <string.h>

#include "audio/dsp/packet.h"
#include "mambaseq/plugin.h"

static mbs_status begin(au_packet *p, double rate) {
    p->samples = 160;
    p->bytes = 33;
    if (rate > 0 && rate != 8000) {
        p->host->log(p->host, MBS_LOGLEVEL_WARNING, "GSM is made for 8000 Hz, and this has %g Hz (rate of the reader)",
                     rate);
    }
    return MBS_OK;
}

static void drop(void *coder, int decoding) {
    (void)decoding;
    gsm_destroy(coder);
}

static mbs_status fresh(au_packet *p, void **coder, int decoding) {
    if (*coder) {
        drop(*coder, decoding);
    }
    *coder = gsm_create();
    return *coder ? MBS_OK : p->host->fail(p->host, MBS_ERR_MEMORY, NULL, "no memory for a coder of GSM");
}

static int code(au_packet *p, void *coder, const int16_t *from, unsigned char *to) {
    gsm_signal samples[160]; /* which libgsm takes as if it wrote there */
    memcpy(samples, from, sizeof(samples));
    (void)p;
    gsm_encode(coder, samples, to);
    return 1;
}

static int sound(au_packet *p, void *coder, const unsigned char *from, int16_t *to) {
    gsm_byte bytes[33];
    memcpy(bytes, from, sizeof(bytes));
    (void)p;
    return gsm_decode(coder, bytes, to) == 0;
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    au_packet *p = NULL;
    (void)params;
    mbs_status st = au_packet_new(host, "gsm", &p);
    if (st == MBS_OK) {
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

static const mbs_descriptor gsm_codec = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "gsm",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "what a mobile telephone does to speech: 33 bytes for 20 ms (GSM 06.10 full rate)",
    .accepts = "pcm/f32",
    .produces = "tokens/i32",
    .decodes = "pcm/f32",
    .flags = MBS_DESC_NAMED | MBS_DESC_LOSSY,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&gsm_codec};

MBS_PLUGIN_DEFINE(gsm, descriptors, "libgsm");
