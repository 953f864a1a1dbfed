/*
 * front.h - the front end of a model that takes frames instead of token ids: a row of `frame_width` numbers (a piece of
 * sound, a spectrum) becomes a row of the residual stream through one matrix and a bias, where other models look a row
 * up in their table. Frames that overlap make of it a strided convolution over samples.
 *
 * Its tensors are frontend.weight (d_model, frame_width) and frontend.bias (d_model) of the backbone. Such a model has
 * no table and no language head: it classifies and embeds.
 */
#ifndef MBS_MODEL_FRONT_H
#define MBS_MODEL_FRONT_H

#include "base/json.h"
#include "model/impl.h"

/* The key of config.json, the same in both layouts. */
#define MBS_FRONT_KEY "mambaseq_frame_width"

/* What config.json says of frames, once the sizes are there: a model of frames has no ids. */
void mbs_front_parse(const mbs_json *doc, mbs_model_config *c, mbs_err *err);
/* The first tensors of such a model; `backbone` is the prefix of their names. */
void mbs_front_declare(const mbs_model_config *c, const char *backbone, mbs_specs *s);
mbs_status mbs_front_load(mbs_model *m, mbs_loader *ld);
void mbs_front_free(mbs_model *m);
/* n frames hold finite numbers; `at` is the number of the first, for the message. */
mbs_status mbs_front_check(const float *frames, int64_t n, int64_t width, int64_t at, const char *where, mbs_err *err);

#endif
