/* Reader `alsa`: a capture device as a recording without an end. */
#include "mambaseq/plugin.h"

extern const mbs_reader_vt al_reader_vt;

static const mbs_param params[] = {
    MBS_PARAM("path", MBS_PARAM_STRING, "default",
              "the device: default, hw:1, plughw:1,0 (arecord -L lists them), e.g. plughw:1,0"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_SIZE, 0u, 0u, "rate", "auto", 0, 0, "auto", "Hz",
     "rate to capture at; auto: the model's (preprocessor_config.json), else 16000, e.g. 16k"},
    MBS_PARAM("duration", MBS_PARAM_DURATION, (const char *)0,
              "how long to listen; left out: until the first Ctrl-C, e.g. 10s"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_DURATION, MBS_PARAM_F_RANGE | MBS_PARAM_F_NO_RESULT, 0u, "latency", "100ms",
     0.001, 10, (const char *)0, (const char *)0, "how long samples wait for others before they go on, e.g. 20ms"},
};

static const mbs_descriptor reader = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "alsa",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "a microphone: what a capture device of ALSA hears, until Ctrl-C",
    .produces = "pcm/f32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &al_reader_vt,
};
static const mbs_descriptor *const descriptors[] = {&reader};

MBS_PLUGIN_DEFINE(alsa, descriptors, "alsa-lib");
