/*
 * scale.h - how loud a recording is made before it is quantised.
 */
#ifndef AU_SCALE_H
#define AU_SCALE_H

#include "mambaseq/block.h"
#include "mambaseq/host.h"

#define AU_SCALE_WORDS "none|peak|minmax|fixed"

typedef enum au_scale_kind {
    AU_SCALE_NONE,
    AU_SCALE_PEAK,   /* the loudest sample becomes 1 */
    AU_SCALE_MINMAX, /* least to -1, greatest to 1, as SaShiMi's loader does: the zero line moves */
    AU_SCALE_FIXED   /* times `gain` */
} au_scale_kind;

/* y = (x + shift) * factor - drop */
typedef struct au_scale {
    au_scale_kind kind;
    double gain;
    double shift, factor, drop; /* of the record at hand */
    int64_t clipped;            /* samples that lay outside of [-1, 1] afterwards */
    int64_t known;              /* for the record at hand */
} au_scale;

/* From the parameters `scale` and `gain`. */
mbs_status au_scale_params(au_scale *s, const mbs_host *host, const mbs_params *params);
/* Refuses what has to be read twice and cannot be. */
mbs_status au_scale_open(const au_scale *s, const mbs_host *host, const mbs_stream_header *in);
/* At the first block of a record. */
mbs_status au_scale_begin(au_scale *s, const mbs_host *host, const mbs_record *record);
/* One sample, clipped. */
double au_scale_of(au_scale *s, float x);
/* Says how much was clipped. */
void au_scale_close(const au_scale *s, const mbs_host *host);

#endif
