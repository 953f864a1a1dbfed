/* Codec `kmer`: stretches of k letters to ids of a model's vocabulary, and back. */
#include "mambaseq/plugin.h"
#include "kmer.h"

extern const mbs_codec_vt km_codec_vt;

#define LEARNT(key, def, help)                                                                                         \
    {                                                                                                                  \
        (uint32_t)sizeof(mbs_param), MBS_PARAM_INT, MBS_PARAM_F_RANGE | MBS_PARAM_F_LEARNT, 0u, key, def, 1, KM_K_MAX, \
            (const char *)0, "letters", help                                                                           \
    }

static const mbs_param params[] = {
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_PATH, 0u, 0u, "vocab", "auto", 0, 0, "auto|generated", (const char *)0,
     "auto (the model's own, else generated), generated (DNABERT's), or a file with one token a line"},
    LEARNT("k", NULL, "letters of a token (default: those of the vocabulary's longest, 6 of a generated one), e.g. 6"),
    LEARNT("stride", "1",
           "letters from one token to the next: 1 as DNABERT, k for tokens side by side; not above k, e.g. 6"),
    MBS_PARAM_WORDS("iupac", "unk", "unk|error",
                    "tokens with other letters than A C G T U: feed [UNK], which is not scored, or refuse"),
    MBS_PARAM_WORDS(
        "special_tokens", "auto", "auto|none",
        "tokens around a record: auto feeds those that the model's own tokenizer adds, none leaves them out"),
};

static const mbs_descriptor kmer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "kmer",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "stretches of k bases as tokens",
    .accepts = "bases/u8",
    .produces = "tokens/i32",
    .decodes = "bases/u8",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .flags = MBS_DESC_NAMED,
    .params = params,
    .vt = &km_codec_vt,
};
static const mbs_descriptor *const descriptors[] = {&kmer};

MBS_PLUGIN_DEFINE(kmer, descriptors, (const char *)0);
