/*
 * format.h - from the words of mbs_model_options to what the backend is told, and what that takes.
 */
#ifndef MBS_MODEL_FORMAT_H
#define MBS_MODEL_FORMAT_H

#include "model/model.h"
#include "model/weights.h"

/* MBS_ERR_CONFIG for a word that is none. `set` and `specs` decide what auto is;
 * without them (a fresh model) it is f32. */
mbs_status mbs_format_resolve(const mbs_model_options *options, const mbs_st_set *set, const mbs_specs *specs,
                              mbk_format *out, mbs_err *err);
/* Whether a word of model.math multiplies whole numbers, which is for int8 weights on the CPU; NULL: no. */
int mbs_math_whole(const char *math);
/* Bytes that the weights take on the CPU when held so. */
int64_t mbs_format_bytes(const mbs_specs *specs, mbk_format format);

#endif
