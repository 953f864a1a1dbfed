/* Reader `vcf`: variants and the reference that they change. Writer `vcf`: the same records with a likelihood ratio,
 * or what task impute filled in. */
#include "reader.h"
#include "writer.h"

static const mbs_param params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATH, NULL, "VCF or BCF, sorted; - for standard input, e.g. calls.vcf.gz"),
    MBS_PARAM_REQUIRED("reference", MBS_PARAM_PATH, NULL,
                       "FASTA that the variants were called on: plain or bgzip, e.g. ref.fa.gz"),
    MBS_PARAM_WORDS(
        "ref_mismatch", "error", "error|mark",
        "a REF or contig that the FASTA does not have: refuse the file, or keep the record without a score"),
    MBS_PARAM("allow_truncated", MBS_PARAM_BOOL, "false", "read a file without end-of-file block as far as it goes"),
};

static const mbs_descriptor vcf_reader = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "vcf",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "variants of VCF and BCF files, and the reference that they change",
    .produces = "bases/u8",
    .suffixes = ".vcf .vcf.gz .bcf",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &vf_reader_vt,
};

static const mbs_param writer_params[] = {
    MBS_PARAM_OUTPUT(
        "path", "file to write, of the type that its name ends with; - is VCF on standard output, e.g. scored.vcf.gz"),
    MBS_PARAM("write_index", MBS_PARAM_BOOL, "false", "index beside a .vcf.gz (.tbi, .csi for long contigs) or .bcf"),
};

static const mbs_descriptor vcf_writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "vcf",
    .version = "0.1.0",
    .licence = "MIT",
    .summary =
        "the records of the reader vcf with what task variant says of their alleles; or what task impute filled in",
    .accepts = "variant/f32 bases/u8",
    .suffixes = ".vcf .vcf.gz .bcf",
    .n_params = (uint32_t)(sizeof(writer_params) / sizeof(writer_params[0])),
    .flags = MBS_DESC_ORIGIN,
    .params = writer_params,
    .vt = &vf_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&vcf_reader, &vcf_writer};

MBS_PLUGIN_DEFINE(vcf, descriptors, "htslib");
