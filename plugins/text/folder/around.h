/*
 * around.h - the tokens that a model's own tokenizer puts in front of a record and behind it.
 */
#ifndef TF_AROUND_H
#define TF_AROUND_H

#include "mambaseq/codec.h"

typedef struct tf_around {
    int32_t before[MBS_AROUND_MAX];
    int32_t after[MBS_AROUND_MAX];
    int32_t n_before;
    int32_t n_after;
} tf_around;

/* special_tokens: auto. Goes by `tokenizer` and `config`, the texts of a tokenizer.json and a tokenizer_config.json;
 * where they are NULL, those of the model's folder. `v` has size and tokens; it then points into `a`, which has
 * to live as long. MBS_ERR_CONFIG where a token is asked for that the vocabulary does not have, MBS_ERR_DATA where a
 * file is damaged that decides. */
mbs_status tf_around_auto(tf_around *a, const mbs_host *host, const char *tokenizer, const char *config, mbs_vocab *v);

/* The name of tokenizer_class of tokenizer_config.json, as mambaseq/presets.h has it; NULL: another, or none. */
typedef struct tf_preset {
    const char *name, *classes, *tokens, *before, *after;
} tf_preset;
mbs_status tf_preset_of_folder(const mbs_host *host, const tf_preset **out);
/* By its name; NULL: none. */
const tf_preset *tf_preset_named(const char *name);

#endif
