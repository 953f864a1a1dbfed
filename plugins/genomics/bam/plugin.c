/* Reader `bam`: reads of BAM, CRAM and SAM files as streams of letters. Writer `bam`: the same records with a score. */
#include "reader.h"
#include "writer.h"

static const mbs_param params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL, "what to read; - for standard input, e.g. reads.bam"),
    MBS_PARAM("reference", MBS_PARAM_PATH, NULL,
              "FASTA with .fai: what a CRAM is decoded with, and what the contigs are held against, e.g. ref.fa.gz"),
    MBS_PARAM("allow_network", MBS_PARAM_BOOL, "false",
              "whether files and the sequences of a CRAM may come from the network"),
    MBS_PARAM("regions", MBS_PARAM_LIST, NULL,
              "reads that touch these: chr:beg-end (1-based, closed), chr:beg, chr, * (unplaced), or one .bed file, "
              "e.g. [\"chr1:10001-20000\", chrM]"),
    MBS_PARAM("require_flags", MBS_PARAM_STRING, "0",
              "flags that a record must have all of: 0x2, or PROPER_PAIR, e.g. PROPER_PAIR"),
    MBS_PARAM("exclude_flags", MBS_PARAM_STRING, "SECONDARY,SUPPLEMENTARY",
              "flags that a record must have none of; what is told replaces the default, e.g. "
              "\"SECONDARY,SUPPLEMENTARY,DUP\""),
    MBS_PARAM_RANGE("min_mapq", MBS_PARAM_INT, "0", 0, 255, NULL, "least mapping quality, e.g. 20"),
    MBS_PARAM("expr", MBS_PARAM_STRING, NULL,
              "a filter as of samtools view -e, mapq >= 30 && [NM] <= 2, e.g. \"mapq >= 30 && [NM] <= 2\""),
    MBS_PARAM("allow_truncated", MBS_PARAM_BOOL, "false", "read a file without end-of-file block as far as it goes"),
    MBS_PARAM("quality", MBS_PARAM_BOOL, "false", "whether qualities ride along (side channel quality)"),
    MBS_PARAM_WORDS("orientation", "stored", "stored|sequenced",
                    "letters as the file has them, or of reverse reads the reverse complement, as they were sequenced"),
};

static const mbs_descriptor bam_reader = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "bam",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "reads of BAM, CRAM and SAM files",
    .produces = "bases/u8",
    .suffixes = ".bam .cram .sam .sam.gz",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .flags = MBS_DESC_ISOLATE,
    .params = params,
    .vt = &bm_reader_vt,
};

static const mbs_param writer_params[] = {
    MBS_PARAM_OUTPUT("path",
                     "file to write: BAM, or SAM where it ends in .sam; - is SAM on standard output, e.g. scored.bam"),
    MBS_PARAM("score_tag", MBS_PARAM_STRING, "lp",
              "tag of the mean log-probability of the scored bases (float), e.g. ml"),
    MBS_PARAM("count_tag", MBS_PARAM_STRING, "ln", "tag of how many bases were scored (integer); empty: none, e.g. mn"),
    MBS_PARAM("second_tag", MBS_PARAM_STRING, NULL,
              "two models: tag of the mean under the second one (float), lq where not said, e.g. lb"),
    MBS_PARAM(
        "odds_tag", MBS_PARAM_STRING, NULL,
        "two models: tag of the log odds, ln P of the read under the first less that under the second (float), lo "
        "where not said, e.g. od"),
    MBS_PARAM_WORDS("unit", "nats", "nats|bits", "of the score: natural or binary logarithm"),
    MBS_PARAM_WORDS("write_index", "auto", "auto|yes|no",
                    "index beside a .bam (.bai, .csi for long contigs); auto: where the input is sorted by coordinate"),
};

static const mbs_descriptor bam_writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "bam",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "the records of the reader bam with a score in their tags",
    .accepts = "score/f32 scores/f32",
    .suffixes = ".bam .sam",
    .n_params = (uint32_t)(sizeof(writer_params) / sizeof(writer_params[0])),
    .flags = MBS_DESC_ORIGIN,
    .params = writer_params,
    .vt = &bm_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&bam_reader, &bam_writer};

MBS_PLUGIN_DEFINE(bam, descriptors, "htslib");
