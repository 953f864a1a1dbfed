/*
 * packet.h - a codec whose tokens are the bytes of packets of one size, each of which stands for so many samples: what
 * a telephone or a radio does to sound. All of it but the coder itself. Each channel has a coder of its own, and their
 * packets follow one another.
 *
 * A record is coded by a fresh coder; its last packet is filled with silence, so that decoding gives whole packets. A
 * packet that no coder would have written (a model made it up) is decoded as silence and counted.
 */
#ifndef AU_PACKET_H
#define AU_PACKET_H

#include "mambaseq/codec.h"

#define AU_PACKET_SAMPLES 960
#define AU_PACKET_BYTES 640
#define AU_PACKET_CHANNELS 8

typedef struct au_packet {
    const mbs_host *host;
    int64_t samples, bytes; /* of a packet; once open says so */
    int64_t delay;          /* samples by which what is decoded comes late: dropped, and coded behind the end */
    /* A coder at the beginning of a record, a new one where *coder is NULL. MBS_ERR_MEMORY without one. */
    mbs_status (*fresh)(struct au_packet *p, void **coder, int decoding);
    int (*code)(struct au_packet *p, void *coder, const int16_t *from, unsigned char *to); /* 0 where it cannot */
    int (*sound)(struct au_packet *p, void *coder, const unsigned char *from, int16_t *to);
    /* Told at open: the rate (0: not known). Sets samples, bytes, delay. */
    mbs_status (*begin)(struct au_packet *p, double rate);
    void (*drop)(void *coder, int decoding);
    void *coders[2][AU_PACKET_CHANNELS]; /* [decoding] */
    double rate;
    int64_t channels;
    int64_t option; /* the coder's own */

    mbs_vocab vocab;
    char name[48];
    const char *tokens[256];
    char texts[256][4];
    uint8_t decodable[256];
    int16_t in[AU_PACKET_CHANNELS][AU_PACKET_SAMPLES];
    unsigned char out[AU_PACKET_CHANNELS * AU_PACKET_BYTES];
    int64_t filled, got;   /* samples of each channel in `in`, bytes in `out` */
    int64_t from;          /* coordinate of in[.][0] */
    int64_t next, dropped; /* of the next decoded sample; of the delay */
    int begun;
    int64_t clipped, broken;
} au_packet;

/* Memory for an instance; the calls are set, then it is ready. */
mbs_status au_packet_new(const mbs_host *host, const char *name, au_packet **out);

/* The calls of mbs_codec_vt but create. */
mbs_status au_packet_open(void *self, const mbs_stream_header *in);
const mbs_vocab *au_packet_vocab(void *self);
mbs_status au_packet_encode(void *self, const mbs_block *in, mbs_block **out);
mbs_status au_packet_decode(void *self, const mbs_block *tokens, mbs_block **out);
mbs_status au_packet_close(void *self);
void au_packet_destroy(void *self);

#endif
