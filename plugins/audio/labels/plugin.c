/* Writer `labels`: events in a recording, from the probabilities of classes, or the surprise of a model, over time. */
#include "labels.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, - for standard output, e.g. events.txt"),
    MBS_PARAM_WORDS("format", "auto", "auto|audacity|rttm|raven|srt|tsv|jsonl",
                    "auto: by the path: .txt audacity, .selections.txt raven, .rttm, .srt, .jsonl, else tsv"),
    MBS_PARAM("threshold", MBS_PARAM_LIST, (const char *)0,
              "probability that an event begins at, 0.5 where not told; dog=0.7 for one class; of task score bits a "
              "token, 8 where not told, e.g. [0.5, dog=0.7]"),
    MBS_PARAM_RANGE("every", MBS_PARAM_DURATION, (const char *)0, 0, 86400, (const char *)0,
                    "of task score: how long the pieces are whose bits are looked at; left out: 500ms, e.g. 1s"),
    MBS_PARAM_RANGE("hysteresis", MBS_PARAM_FLOAT, "0.1", 0, 1, (const char *)0,
                    "an event goes on while the probability is not this much below the threshold, e.g. 0.2"),
    MBS_PARAM_RANGE("min_duration", MBS_PARAM_DURATION, "0", 0, 86400, (const char *)0,
                    "shorter events are left out, e.g. 100ms"),
    MBS_PARAM_RANGE("max_gap", MBS_PARAM_DURATION, "0", 0, 86400, (const char *)0,
                    "two events of a class with no more than this between them are one, e.g. 200ms"),
    MBS_PARAM("ignore", MBS_PARAM_LIST, (const char *)0,
              "classes that are not written (silence, background), e.g. [silence, background]"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_BOOL, MBS_PARAM_F_NO_RESULT, 0u, "header", "true", 0, 0, (const char *)0,
     (const char *)0, "whether a tsv or raven file begins with a line of column names"},
};

static const mbs_descriptor labels = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "labels",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "events in time, for Audacity, Raven, RTTM, SRT, TSV and JSON lines",
    .accepts = "class/f32 score/f32",
    .suffixes = ".tsv .jsonl .txt .rttm .srt",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &lb_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&labels};

MBS_PLUGIN_DEFINE(labels, descriptors, (const char *)0);
