/*
 * writer.h - the writer `vcf`: the records that the reader `vcf` read, each with MSQ_LLR.
 */
#ifndef VF_WRITER_H
#define VF_WRITER_H

#include <htslib/kstring.h>
#include <htslib/vcf.h>

#include "io/rowfile/span.h"
#include "mambaseq/plugin.h"
#include "record.h"

#define VF_LLR "MSQ_LLR"
#define VF_WHY "MSQ_WHY"

typedef struct vf_writer {
    const mbs_host *host;
    const mbs_params *params;
    const char *path;
    const char *temp;  /* NULL: standard output */
    const char *index; /* temporary path, NULL: none */
    const char *mode;  /* "w", "wz", "wb" */
    int long_contig;   /* .tbi does not reach its end */
    const mbs_stream_header *stream;

    htsFile *fp;
    bcf_hdr_t *hdr;        /* of the records' reader, with our lines */
    int n_tags, n_contigs; /* that the reader's header had when ours was made */
    bcf1_t *b;
    kstring_t line, why;
    float *values;
    int64_t cap_values;
} vf_writer;

extern const mbs_writer_vt vf_writer_vt;

/* header.c: w->hdr of a record's header, or (NULL) of the contigs of the stream; with our lines. */
mbs_status vf_writer_header(vf_writer *w, const bcf_hdr_t *from);

#endif
