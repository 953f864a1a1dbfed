/*
 * sam.h - alignment files made of SAM text, for the tests of the reader and the writer `bam`.
 */
#ifndef GENOMICS_SAM_H
#define GENOMICS_SAM_H

#include <htslib/faidx.h>
#include <htslib/hts_log.h>
#include <htslib/sam.h>

#include "kit.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_bam;

/* Writes SAM text as `mode` ("w", "wb", "wc") into path; `reference` for CRAM, or NULL. `shift`: with an index, 0 .bai,
 * 14 .csi, -1 none. */
static inline void sam_make(const char *path, const char *mode, const char *text, const char *reference, int shift) {
    kit_write("made.sam", text, strlen(text));
    hts_set_log_level(HTS_LOG_OFF);
    htsFile *in = hts_open("made.sam", "r");
    htsFile *out = hts_open(path, mode);
    CHECK(in && out);
    if (reference) {
        CHECK_INT(hts_set_fai_filename(out, reference), 0);
    }
    sam_hdr_t *hdr = sam_hdr_read(in);
    bam1_t *b = bam_init1();
    CHECK(hdr && b && sam_hdr_write(out, hdr) == 0);
    int got;
    while ((got = sam_read1(in, hdr, b)) >= 0) {
        CHECK(sam_write1(out, hdr, b) >= 0);
    }
    CHECK_INT(got, -1);
    bam_destroy1(b);
    sam_hdr_destroy(hdr);
    CHECK(hts_close(in) == 0 && hts_close(out) == 0);
    if (shift >= 0) {
        CHECK_INT(sam_index_build(path, shift), 0);
    }
}

static inline const mbs_descriptor *sam_reader(void) {
    return mbs_plugin_entry_bam.descriptors[0];
}

static inline void sam_reading_all(reading *r, const char *const *params, int64_t max_rows) {
    reading_start_of(r, sam_reader(), params);
    if (reading_open(r) == MBS_OK) {
        reading_rest(r, max_rows);
    }
}

#endif
