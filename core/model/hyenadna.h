/*
 * hyenadna.h - folders of HyenaDNA as its port to transformers writes them (model_type "hyenadna"): their config, what
 * they call their tensors, and how they are written. Layers are of mixer hyena (hyena.h) with layer norm and an MLP.
 */
#ifndef MBS_MODEL_HYENADNA_H
#define MBS_MODEL_HYENADNA_H

#include "base/buf.h"
#include "base/json.h"
#include "model/weights.h"

#define MBS_MODEL_TYPE_HYENADNA "hyenadna"

/* All of the config but tokens and classes. Errors do not know the file. */
mbs_status mbs_hyenadna_parse(const mbs_json *doc, mbs_model_config *c, mbs_err *err);
/* The config's lines up to the last, without the braces. */
void mbs_hyenadna_put(const mbs_model_config *c, mbs_buf *b);

/* The names below `backbone`; those that a folder has. */
void mbs_hyenadna_names(const char *backbone, mbs_names *names);
void mbs_hyenadna_find(const mbs_st_set *set, mbs_names *names);
/* The filter's sines share one tensor of frequencies, which a file may hold three times: they must be the same. From
 * here on the config has it once. */
mbs_status mbs_hyenadna_aliases(const mbs_st_set *set, const mbs_names *names, mbs_model_config *c, mbs_err *err);

#endif
