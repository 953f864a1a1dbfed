/*
 * config_impl.h - what config.c, config_layers.c and those who write a config share. Nobody else includes it.
 */
#ifndef MBS_MODEL_CONFIG_IMPL_H
#define MBS_MODEL_CONFIG_IMPL_H

#include "base/buf.h"
#include "base/json.h"
#include "model/config.h"

#define MBS_MODEL_TYPE_OWN "mambaseq"

/* The words for what stands behind a mixer; 0 for another word. */
#define MBS_MLP_WORDS "gated|gelu|gelu_tanh"
int mbs_config_mlp_named(const char *word, mbs_mlp_kind *out);
const char *mbs_config_mlp_name(mbs_mlp_kind kind);

/* The original layout's `d_intermediate`; then, once the other layers' sizes are settled, `attn_layer_idx` and
 * `attn_cfg`. Errors do not know the file. */
mbs_status mbs_config_read_mlp(const mbs_json *doc, mbs_model_config *c, mbs_err *err);
mbs_status mbs_config_read_hybrid(const mbs_json *doc, mbs_model_config *c, mbs_err *err);
/* All of a config of our own but the tokens. */
mbs_status mbs_config_read_own(const mbs_json *doc, mbs_model_config *c, mbs_err *err);
/* The objects of `layers`, equal neighbours as one; `between` is a comma and what follows it. */
void mbs_config_put_layers(const mbs_model_config *c, const char *between, mbs_buf *b);
/* A JSON value as text that lies inside of `depth` objects. */
void mbs_config_put_value(mbs_buf *b, const mbs_json *v, int depth);

#endif
