/*
 * caduceus.h - folders of Caduceus and PlantCAD: their config, what they call their tensors, their vocabularies.
 *
 * Every layer has two mixers of one kind, `mamba_fwd` that reads forward and `mamba_rev` that reads backward. With rcps
 * the rows are two streams [a | b] of d_model channels each, and b is kept here in its own reading: row t of b' is row
 * L - 1 - t of b with its channels reversed, so that both streams go through the very same layers; see whole.c.
 */
#ifndef MBS_MODEL_CADUCEUS_H
#define MBS_MODEL_CADUCEUS_H

#include "base/json.h"
#include "model/weights.h"

/* Of a config of model_type "caduceus", whose keys that the original layout has too were read: the others. */
mbs_status mbs_caduceus_parse(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err);

/* The names below `backbone`; those that a folder has. */
void mbs_caduceus_names(const mbs_model_config *c, const char *backbone, mbs_names *names);
void mbs_caduceus_find(const mbs_st_set *set, const mbs_model_config *c, mbs_names *names);
/* "...mamba_fwd." or "...mamba_rev." of a layer. */
void mbs_caduceus_prefix(const mbs_names *names, int64_t layer, int reverse, char out[64]);
/* The tensors of both mixers of a layer; tied ones once, or marked where they stand there twice. */
void mbs_caduceus_declare(const mbs_model_config *c, int64_t layer, const mbs_names *names, mbs_specs *specs);
/* The complement maps of a folder: they count more than the config's, and must be sound too. */
mbs_status mbs_caduceus_maps(const mbs_st_set *set, const mbs_names *names, mbs_model_config *c, mbs_err *err);

/* The complement maps that a folder of a model with rcps has beside its weights, behind them in the file: their number,
 * and their declarations, which point into `names`; then their values. */
size_t mbs_caduceus_map_decls(const mbs_model_config *c, mbs_names *names, mbs_st_decl out[2]);
mbs_status mbs_caduceus_put_maps(const mbs_model_config *c, mbs_st_writer *w, mbs_err *err);
/* Tied projections of a folder that stand there twice are the same (whole_load.c); else MBS_ERR_DATA with both names.
 */
mbs_status mbs_both_check_twins(const mbs_st_set *set, const mbs_model_config *c, const mbs_names *names, mbs_err *err);

/* Tokenizers whose ids are fixed in their code: see mambaseq/presets.h. */
typedef struct mbs_preset {
    const char *name, *classes, *tokens, *before, *after;
} mbs_preset;
/* The preset that a folder's model uses: by its number of rows and its complement; NULL where none fits. */
const mbs_preset *mbs_caduceus_preset(const mbs_model_config *c);
/* By the name of a class; NULL: none. */
const mbs_preset *mbs_preset_of_class(const char *name);
/* Id of its token for masking; -1: none. */
int mbs_preset_mask(const mbs_preset *p);

#endif
