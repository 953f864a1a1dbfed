/* Reader `audio`: recordings of every format that libsndfile reads, raw PCM and streams, as frames of floats.
 * Writer `audio`: the way back. */
#include "reader.h"
#include "writer.h"

static const mbs_param reader_params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL,
                       "sound files, folders of them (of one for each class), manifests (.tsv), "
                       "label tracks (.txt) beside sound; - for standard input, e.g. [one.wav, two.flac]"),
    MBS_PARAM_WORDS("format", "auto", "auto|" AU_FORMAT_WORDS,
                    "auto: the file has a header; else the layout of raw samples without one"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_INT, MBS_PARAM_F_RANGE, 0u, "input_rate", (const char *)0, 1, AU_RATE_MAX,
     (const char *)0, "Hz", "rate of raw samples, e.g. 8000"},
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_INT, MBS_PARAM_F_RANGE, 0u, "input_channels", (const char *)0, 1,
     AU_CHANNELS_MAX, (const char *)0, (const char *)0, "channels of raw samples; left out: 1, e.g. 2"},
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_SIZE, 0u, 0u, "channels", "mix", 0, 0, "mix|left|right|each|all",
     (const char *)0, "mix (their mean), left, right, a number from 1 on, each (a record each), all (as columns)"},
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_SIZE, 0u, 0u, "rate", "auto", 0, 0, "auto", "Hz",
     "rate of what is given; auto: the model's (preprocessor_config.json), else that of the files, e.g. 16000"},
    MBS_PARAM("start", MBS_PARAM_DURATION, "0", "where in each file to begin, e.g. 1.5s"),
    MBS_PARAM("duration", MBS_PARAM_DURATION, (const char *)0,
              "how much of each file at most; left out: all, e.g. 30s"),
    MBS_PARAM_WORDS("label", "auto", "auto|folder|track|none",
                    "class of a recording: folder: the one it lies in; auto: that in a folder of folders, and what a "
                    "manifest says; track: the labels of NAME.txt beside it, each a recording"),
    MBS_PARAM(
        "background", MBS_PARAM_STRING, (const char *)0,
        "with label tracks: class of what lies before and between the labels; left out: it is not read, e.g. silence"),
    MBS_PARAM("speaker", MBS_PARAM_STRING, (const char *)0,
              "who a recording is of: an extended regular expression whose first group in the path says it, e.g. "
              "'/([0-9]+)_[^/]*$'"),
    MBS_PARAM_RANGE("augment", MBS_PARAM_INT, "0", 0, 1000, (const char *)0,
                    "for training: so many copies of each recording behind it, each varied in another way as the "
                    "following say; copies are never held out, e.g. 3"),
    MBS_PARAM_RANGE("augment_speed", MBS_PARAM_FLOAT, (const char *)0, 0, 1, (const char *)0,
                    "copies: share by which pace and pitch rise or fall at most; left out: 0.1, e.g. 0.15"),
    MBS_PARAM_RANGE("augment_shift", MBS_PARAM_DURATION, (const char *)0, 0, 60, (const char *)0,
                    "copies: silence before them at most; left out: 200ms, e.g. 100ms"),
    MBS_PARAM_RANGE("augment_band", MBS_PARAM_FLOAT, (const char *)0, 0, 1, (const char *)0,
                    "copies: share that goes through a narrower band; left out: 0.5, e.g. 0.8"),
    MBS_PARAM_RANGE(
        "augment_snr", MBS_PARAM_FLOAT, (const char *)0, -60, 200, "dB",
        "copies: how far below the sound its noise lies at least; at most 30 dB more; left out: 10, e.g. 5"),
    MBS_PARAM_RANGE("augment_gain", MBS_PARAM_FLOAT, (const char *)0, 0, 60, "dB",
                    "copies: how much louder or softer at most; never so loud that it clips; left out: 9, e.g. 12"),
    MBS_PARAM_RANGE("augment_channel", MBS_PARAM_FLOAT, (const char *)0, 0, 1, (const char *)0,
                    "copies: share that goes through a telephone (300 to 3400 Hz, G.711); left out: 0.3, e.g. 0.5"),
    MBS_PARAM("augment_seed", MBS_PARAM_INT, (const char *)0,
              "copies: the same seed makes the same ones; left out: 1, e.g. 7"),
    MBS_PARAM_WORDS("nonfinite", "error", "error|zero",
                    "samples that are not a number or infinite: refuse, or silence"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_DURATION, MBS_PARAM_F_RANGE | MBS_PARAM_F_NO_RESULT, 0u, "latency", "100ms",
     0, 60, (const char *)0, (const char *)0,
     "how long samples of a stream wait for others before they go on, e.g. 20ms"},
};

static const mbs_descriptor reader = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "audio",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "recordings: WAV, FLAC, OGG, MP3 and what else libsndfile reads, raw PCM, streams",
    .produces = "pcm/f32",
    .suffixes = ".wav .flac .ogg .opus .mp3 .aiff .aif .au .caf .w64 .rf64 .raw",
    .n_params = (uint32_t)(sizeof(reader_params) / sizeof(reader_params[0])),
    .params = reader_params,
    .vt = &au_reader_vt,
};

static const mbs_param writer_params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, - for standard output (wav and raw, as they come), e.g. out.wav"),
    MBS_PARAM_WORDS("format", "auto", "auto|wav|flac|ogg|raw", "auto: by the ending of the path, else wav"),
    MBS_PARAM_WORDS("encoding", "auto", "auto|" AU_FORMAT_WORDS, "how a sample is stored; auto: s16le"),
    MBS_PARAM_RANGE("gain", MBS_PARAM_FLOAT, "1", -1e6, 1e6, (const char *)0, "every sample times this, e.g. 0.5"),
    MBS_PARAM_WORDS("dither", "none", "none|tpdf", "noise of one step before rounding, which takes distortion away"),
    MBS_PARAM_RANGE("quality", MBS_PARAM_FLOAT, (const char *)0, 0, 1, (const char *)0,
                    "of ogg; left out: 0.4, e.g. 0.7"),
    MBS_PARAM_RANGE("gap", MBS_PARAM_DURATION, "0", 0, 3600, (const char *)0,
                    "silence between two records, e.g. 500ms"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_INT, MBS_PARAM_F_RANGE, 0u, "rate", (const char *)0, 1, AU_RATE_MAX,
     (const char *)0, "Hz", "where what comes does not say it, e.g. 16000"},
};

static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "audio",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "writes sound: WAV (RF64 where it is long), FLAC, OGG Vorbis, raw samples",
    .accepts = "pcm/f32",
    .suffixes = ".wav .flac .ogg .oga .raw .pcm .rf64",
    .n_params = (uint32_t)(sizeof(writer_params) / sizeof(writer_params[0])),
    .params = writer_params,
    .vt = &au_writer_vt,
};

static const mbs_descriptor *const descriptors[] = {&reader, &writer};

MBS_PLUGIN_DEFINE(audio, descriptors, "libsndfile, soxr");
