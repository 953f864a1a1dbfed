/*
 * writer.h - the writer `vcf`: the records that the reader `vcf` read, each with MSQ_LLR.
 */
#ifndef VF_WRITER_H
#define VF_WRITER_H

#include <htslib/kstring.h>
#include <htslib/vcf.h>

#include "io/rowfile/span.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"
#include "record.h"

#define VF_LLR "MSQ_LLR"
#define VF_WHY "MSQ_WHY"
#define VF_PROBABILITY "MSQ_P"

/* A gap of task impute whose bases are coming. */
typedef struct vf_gap {
    int state;            /* 0: none; 1 filled, 2 left as it is */
    int64_t start, end;   /* of what came */
    float whole;          /* probability of the fill as a whole */
    kstring_t stood, put; /* letters; of one that is left only the first */
    kstring_t each;       /* probabilities, as VCF has them */
} vf_gap;

typedef struct vf_writer {
    const mbs_host *host;
    const mbs_params *params;
    const char *path;
    const char *temp;  /* NULL: standard output */
    const char *index; /* temporary path, NULL: none */
    const char *mode;  /* "w", "wz", "wb" */
    int tbi;           /* the index is a .tbi */
    char beyond[256];  /* the first record that lies behind the end of its contig, "" where none does */
    const mbs_stream_header *stream;

    int resumed;    /* the file is there, and not open yet */
    int64_t kept;   /* bytes of it */
    kstring_t tail; /* letters that come next, to be compressed */

    htsFile *fp;
    bcf_hdr_t *hdr;        /* of the records' reader, with our lines */
    int n_tags, n_contigs; /* that the reader's header had when ours was made */
    bcf1_t *b;
    kstring_t line, why;
    float *values;
    int64_t cap_values;
    int fills; /* of task impute: no records of a reader */
    vf_gap gap;
} vf_writer;

extern const mbs_writer_vt vf_writer_vt;

/* header.c: w->hdr of a record's header, or (NULL) of the contigs of the stream; with our lines. */
mbs_status vf_writer_header(vf_writer *w, const bcf_hdr_t *from);
/* writer.c */
mbs_status vf_writer_begin(vf_writer *w, const bcf_hdr_t *from);
mbs_status vf_writer_put(vf_writer *w); /* w->b */
/* checkpoint.c: opens the file where the run that is resumed left it. */
mbs_status vf_writer_go_on(vf_writer *w);
extern const mbs_ext_checkpoint vf_writer_checkpoint;
/* fills.c: records of what task impute filled in. */
int vf_fills_describe(vf_writer *w); /* nonzero without memory */
mbs_status vf_fills_write(vf_writer *w, const mbs_block *b);
void vf_fills_free(vf_writer *w);

#endif
