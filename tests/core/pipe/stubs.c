#include "stubs.h"

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    (void)host;
    (void)params;
    *self = NULL;
    return MBS_ERR_INTERNAL;
}

static mbs_status plain(void *self) {
    (void)self;
    return MBS_ERR_INTERNAL;
}

static void destroy(void *self) {
    (void)self;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    (void)self;
    (void)header;
    return MBS_ERR_INTERNAL;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    (void)self;
    (void)max_rows;
    (void)out;
    return MBS_ERR_INTERNAL;
}

static mbs_status open_header(void *self, const mbs_stream_header *header) {
    (void)self;
    (void)header;
    return MBS_ERR_INTERNAL;
}

static const mbs_vocab *vocab(void *self) {
    (void)self;
    return NULL;
}

static mbs_status recode(void *self, const mbs_block *in, mbs_block **out) {
    (void)self;
    (void)in;
    (void)out;
    return MBS_ERR_INTERNAL;
}

static mbs_status write_block(void *self, const mbs_block *block) {
    (void)self;
    (void)block;
    return MBS_ERR_INTERNAL;
}

static const mbs_reader_vt reader_vt = {.struct_size = sizeof reader_vt,
                                        .create = create,
                                        .open = reader_open,
                                        .read = reader_read,
                                        .close = plain,
                                        .destroy = destroy};
static const mbs_codec_vt codec_vt = {.struct_size = sizeof codec_vt,
                                      .create = create,
                                      .open = open_header,
                                      .vocab = vocab,
                                      .encode = recode,
                                      .decode = recode,
                                      .close = plain,
                                      .destroy = destroy};
static const mbs_writer_vt writer_vt = {.struct_size = sizeof writer_vt,
                                        .create = create,
                                        .open = open_header,
                                        .write = write_block,
                                        .drain = plain,
                                        .close = plain,
                                        .destroy = destroy};

static const mbs_param fasta_params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL, "file to read, - for standard input"),
    MBS_PARAM("regions", MBS_PARAM_LIST, NULL, "parts to read, chr1:1,000-2,000"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_SIZE, MBS_PARAM_F_RANGE, 0u, "flank", "1024", 0, 1e12, "all", "bases",
     "bases read before a region and not written"},
    MBS_PARAM("mask", MBS_PARAM_BOOL, "false", "keep lower case as a mask"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_SIZE, MBS_PARAM_F_DEPRECATED, 0u, "context", NULL, 0, 0, NULL, "bases",
     "use flank"},
};
static const mbs_param path_params[] = {MBS_PARAM_REQUIRED("path", MBS_PARAM_PATH, NULL, "file to read")};
static const mbs_param bases_params[] = {
    MBS_PARAM("vocab", MBS_PARAM_STRING, "auto", "vocabulary: auto, caduceus, songlab or a file"),
    MBS_PARAM_WORDS("other", "unk", "unk|skip|error", "what the state sees of a letter that is no base"),
};
static const mbs_param hdf5_params[] = {
    MBS_PARAM_OUTPUT("path", "file to write"),
    MBS_PARAM_WORDS("compression", "gzip", "gzip|none", "how chunks of the file are stored"),
};
static const mbs_param table_params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, - for standard output"),
    MBS_PARAM_WORDS("format", "tsv", "tsv|jsonl", "lines of columns or of JSON"),
};
static const mbs_param track_params[] = {MBS_PARAM_OUTPUT("path", "file to write")};

#define ROWS(TABLE) (uint32_t)(sizeof(TABLE) / sizeof((TABLE)[0])), 0u, TABLE
#define NAMED(KIND, ID) (uint32_t)sizeof(mbs_descriptor), KIND, ID, "1.0.0", "MIT", "a stub"

static const mbs_descriptor fasta = {
    NAMED(MBS_KIND_READER, "fasta"), NULL, "bases/u8", NULL, ".fa .fa.gz", NULL, ROWS(fasta_params), &reader_vt};
static const mbs_descriptor wave = {
    NAMED(MBS_KIND_READER, "wave"), NULL, "pcm/f32", NULL, ".wav", NULL, ROWS(path_params), &reader_vt};
static const mbs_descriptor bases = {
    NAMED(MBS_KIND_CODEC, "bases"), "bases/u8", "tokens/i32", "bases/u8", NULL, NULL, ROWS(bases_params), &codec_vt};
static const mbs_descriptor mulaw = {
    NAMED(MBS_KIND_CODEC, "mulaw"), "pcm/f32", "tokens/i32", NULL, NULL, NULL, 0u, 0u, NULL, &codec_vt};
static const mbs_descriptor pcm = {
    NAMED(MBS_KIND_CODEC, "pcm"), "pcm/f32", "tokens/i32", NULL, NULL, NULL, 0u, MBS_DESC_NAMED, NULL, &codec_vt};
static const mbs_descriptor frames = {
    NAMED(MBS_KIND_CODEC, "frames"), "pcm/f32", "frames/f32", NULL, NULL, NULL, 0u, 0u, NULL, &codec_vt};
static const mbs_descriptor kmer = {
    NAMED(MBS_KIND_CODEC, "kmer"), "bases/u8 rows/f32", "tokens/i32", NULL, NULL, NULL, 0u, 0u, NULL, &codec_vt};
static const mbs_descriptor hdf5 = {
    NAMED(MBS_KIND_WRITER, "hdf5"), "*", NULL, NULL, ".h5", "hdf5", ROWS(hdf5_params), &writer_vt};
static const mbs_descriptor table = {
    NAMED(MBS_KIND_WRITER, "table"), "*", NULL, NULL, ".tsv", NULL, ROWS(table_params), &writer_vt};
static const mbs_descriptor track = {
    NAMED(MBS_KIND_WRITER, "track"), "score/f32 class/f32", NULL, NULL, ".bw", NULL, ROWS(track_params), &writer_vt};

static const mbs_descriptor *const all[] = {&fasta, &wave, &bases, &mulaw, &pcm, &frames, &hdf5, &table, &track};
const mbs_plugin_entry_table test_stub_entry = {
    sizeof test_stub_entry, MBS_ABI_MAJOR, MBS_ABI_MINOR, 0u, sizeof all / sizeof all[0], 0u, all, NULL};
static const mbs_descriptor *const more[] = {&kmer};
const mbs_plugin_entry_table test_stub_kmer_entry = {
    sizeof test_stub_kmer_entry, MBS_ABI_MAJOR, MBS_ABI_MINOR, 0u, 1u, 0u, more, NULL};
