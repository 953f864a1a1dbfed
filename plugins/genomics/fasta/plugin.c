/* Reader `fasta`: FASTA and FASTQ, plain, gzip or bgzip, as streams of letters. Writer `fasta`: letters in lines. */
#include "reader.h"
#include "writer.h"

const mbs_param fa_params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL, "what to read; - for standard input, e.g. genome.fa.gz"),
    MBS_PARAM("regions", MBS_PARAM_LIST, NULL,
              "what to read: chr:beg-end (1-based, closed), chr:beg, chr, or one .bed file, e.g. "
              "[\"chr1:10001-20000\", chrM]"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_SIZE, MBS_PARAM_F_RANGE, 0u, "flank", "1024", 0, 1e12, "all", "bases",
     "bases in front of a region that the model sees and no output has"},
    MBS_PARAM_WORDS("format", "auto", "auto|fasta|fastq", "what the files are; auto looks at the first byte"),
    MBS_PARAM("mask", MBS_PARAM_PATH, NULL,
              "a .bed file: its regions are marked beside the letters (side channel mask), for task impute, e.g. "
              "repeats.bed"),
    MBS_PARAM("quality", MBS_PARAM_BOOL, "false", "FASTQ: whether qualities ride along (side channel quality)"),
    MBS_PARAM(
        "label", MBS_PARAM_STRING, "none",
        "what class a record is of: none; folder (the one that its file lies in; the path may be a folder of such "
        "folders); description; or a key of the header line, as class=, e.g. folder"),
};
const uint32_t fa_n_params = (uint32_t)(sizeof(fa_params) / sizeof(fa_params[0]));

static const mbs_descriptor fasta = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "fasta",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "FASTA and FASTQ files, plain, gzip or bgzip",
    .produces = "bases/u8",
    .suffixes = ".fa .fasta .fna .ffn .fq .fastq .fa.gz .fasta.gz .fna.gz .ffn.gz .fq.gz .fastq.gz .fa.bgz .fasta.bgz",
    .n_params = (uint32_t)(sizeof(fa_params) / sizeof(fa_params[0])),
    .params = fa_params,
    .vt = &fa_reader_vt,
};

static const mbs_param writer_params[] = {
    MBS_PARAM_OUTPUT("path", "FASTA to write; - for standard output, e.g. filled.fa"),
    MBS_PARAM_RANGE("width", MBS_PARAM_SIZE, "60", 0, 1e9, "letters",
                    "letters of a line, 0: a record is one line, e.g. 80"),
};

static const mbs_descriptor fasta_writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "fasta",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "letters as FASTA: what a model generated, or what a reader gave",
    .accepts = "bases/u8",
    .suffixes = ".fa .fasta .fna .ffn",
    .n_params = (uint32_t)(sizeof(writer_params) / sizeof(writer_params[0])),
    .params = writer_params,
    .vt = &fa_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&fasta, &fasta_writer};

MBS_PLUGIN_DEFINE(fasta, descriptors, "htslib");
