/* Codec `bases`: letters of a sequence to ids of a model's vocabulary, one for one, and back. */
#include "mambaseq/plugin.h"

extern const mbs_codec_vt bs_codec_vt;

static const mbs_param params[] = {
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_PATH, 0u, 0u, "vocab", "auto", 0, 0, "auto|caduceus|songlab",
     (const char *)0, "auto (the model's own, else caduceus), caduceus, songlab, or a file with one token a line"},
    MBS_PARAM_WORDS("iupac", "unk", "unk|skip|error",
                    "letters for several bases that the vocabulary lacks: feed [UNK], feed nothing, or refuse"),
    MBS_PARAM_WORDS(
        "special_tokens", "auto", "auto|none",
        "tokens around a record: auto feeds those that the model's own tokenizer adds, none leaves them out"),
    MBS_PARAM_WORDS("soft_mask", "none", "none|mask", "mask marks lower-case letters for writers"),
    MBS_PARAM(
        "spelling", MBS_PARAM_BOOL, "false",
        "letters as they stood ride along: turned back they keep their case and IUPAC letters; task impute has it"),
};

static const mbs_descriptor bases = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "bases",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "one token per base",
    .accepts = "bases/u8",
    .produces = "tokens/i32",
    .decodes = "bases/u8",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &bs_codec_vt,
};
static const mbs_descriptor *const descriptors[] = {&bases};

MBS_PLUGIN_DEFINE(bases, descriptors, (const char *)0);
