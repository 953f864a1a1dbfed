/* Writer `report`: a page of HTML of what was heard. */
#include "report.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "file to write (.html), - for standard output, e.g. report.html"),
    MBS_PARAM_RANGE("audio", MBS_PARAM_DURATION, "60s", 0, 60, (const char *)0,
                    "how much sound the page holds at most, for listening; 0: none, e.g. 20s"),
};

static const mbs_descriptor report = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "report",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "one HTML page: waveform, spectrogram, probabilities over time, sound to listen to",
    .accepts = "class/f32",
    .suffixes = ".html .htm",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &rp_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&report};

MBS_PLUGIN_DEFINE(report, descriptors, "libsndfile kissfft");
