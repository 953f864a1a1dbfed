/* Codec `bpe`: text to the ids of a byte-level BPE tokenizer (tokenizer.json), and back. */
#include "mambaseq/plugin.h"

extern const mbs_codec_vt bp_codec_vt;

static const mbs_param params[] = {
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_PATH, 0u, 0u, "vocab", "auto", 0, 0, "auto", (const char *)0,
     "auto (tokenizer.json of the model's folder), or such a file, e.g. my/tokenizer.json"},
    MBS_PARAM_WORDS(
        "special_tokens", "auto", "auto|none",
        "tokens around a record: auto feeds those that the model's own tokenizer adds, none leaves them out"),
};

static const mbs_descriptor bpe = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "bpe",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "byte-level BPE by a model's tokenizer.json",
    .accepts = "text/u8",
    .produces = "tokens/i32",
    .decodes = "text/u8",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .flags = MBS_DESC_NAMED,
    .params = params,
    .vt = &bp_codec_vt,
};
static const mbs_descriptor *const descriptors[] = {&bpe};

MBS_PLUGIN_DEFINE(bpe, descriptors, (const char *)0);
