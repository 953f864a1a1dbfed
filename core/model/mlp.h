/*
 * mlp.h - the block behind a layer's mixer, where the config has one (cfg.mlp): a norm of its own, then
 *
 *   gated       fc1 (2 W, d) -> y | gate; fc2 (d, W) of y silu(gate); no biases, as the original code has it
 *   gelu        fc1 (W, d) -> y; fc2 (d, W) of gelu(y); with biases
 *   gelu_tanh   likewise, gelu by its approximation with tanh
 *
 * It has the table of a mixer, with no state; it is none of mbs_mixers.
 *
 * A model is worked off block by block: each layer's mixer, then its MLP where there is one.
 */
#ifndef MBS_MODEL_MLP_H
#define MBS_MODEL_MLP_H

#include "model/mixer.h"

extern const mbs_mixer mbs_block_mlp;
/* In its place behind a layer that nests others (model/pool.h): it does nothing and has no tensors. */
extern const mbs_mixer mbs_block_none;

/* Blocks of a layer. */
static inline int64_t mbs_config_blocks(const mbs_model_config *c) {
    return c->mlp == MBS_MLP_NONE ? 1 : 2;
}

/* What block b (from 0 to n_layer * mbs_config_blocks) does; its layer is b / mbs_config_blocks. */
static inline const mbs_mixer *mbs_mixer_of_block(const mbs_model_config *c, int64_t b) {
    int64_t each = mbs_config_blocks(c);
    const mbs_mixer *mixer = mbs_mixer_of_layer(c, b / each);
    return b % each == 0 ? mixer : mixer->nests ? &mbs_block_none : &mbs_block_mlp;
}

/* The names of a block's norm (`mixers` where it is a mixer's, as the layout has it) and of what its tensors begin with
 * ("mixer.", "mlp."). */
static inline const char *mbs_block_norm(const mbs_mixer *block, const char *mixers) {
    return block == &mbs_block_mlp ? "norm2" : mixers;
}
static inline const char *mbs_block_prefix(const mbs_mixer *block) {
    return block == &mbs_block_mlp ? "mlp." : "mixer.";
}

#endif
