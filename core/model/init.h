/*
 * init.h - a fresh model: random weights by the rules of the reference, as a folder that transformers reads.
 */
#ifndef MBS_MODEL_INIT_H
#define MBS_MODEL_INIT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/config.h"

#define MBS_INIT_DNA 1u   /* also vocab.txt and the complement map of DNA letters; asks for 12 ids in 16 rows */
#define MBS_INIT_FORCE 2u /* replace a model that stands at `folder` */
#define MBS_INIT_BF16 4u  /* the config says that the weights are BF16 */

/* Writes config.json, model.safetensors [and vocab.txt] into a hidden folder beside `folder` and renames it: the name
 * never holds half a model. The bytes depend on the config, the flag DNA and the seed only. MBS_ERR_CREATE where
 * something stands there already; with FORCE a folder is replaced if it holds nothing but such files. */
mbs_status mbs_model_init(const char *folder, const mbs_model_config *cfg, uint64_t seed, unsigned flags, mbs_err *err);

/* The parts of it, for who writes the weights himself. */
/* MBS_ERR_CONFIG for a config that cannot be written: an unknown mixer, a norm that its layout has not. */
mbs_status mbs_model_init_check(const mbs_model_config *cfg, unsigned flags, mbs_err *err);
/* config.json as text. */
void mbs_model_put_config(const mbs_model_config *cfg, unsigned flags, mbs_buf *out);
/* config.json and, with DNA, the files of its tokenizer (letters.h) into a folder that is there. */
mbs_status mbs_model_write_config(const char *folder, const mbs_model_config *cfg, unsigned flags, mbs_err *err);
/* vocab.txt of MBS_INIT_DNA. */
const char *mbs_model_dna_vocab(const mbs_model_config *cfg);

#endif
