/*
 * convert.h - a model folder written anew: config.json, one model.safetensors, the tokenizer's files.
 */
#ifndef MBS_MODEL_CONVERT_H
#define MBS_MODEL_CONVERT_H

#include <stdint.h>

#include "base/err.h"

typedef struct mbs_convert_report {
    int64_t tensors;
    int64_t dropped; /* heads that are the embedding once more */
    int64_t bytes;   /* of tensors, in the new file */
    int files;       /* copied as they are */
} mbs_convert_report;

/* `dtype`: "keep", or "f32", "bf16", "f16" for the matrices that model.dtype speaks of (with f32 all tensors); what is
 * small stays as it is. The model is checked as mbs_model_open checks it, but for the values; those that `dtype` cannot
 * hold are an error. `out` appears whole or not at all; with `force` a folder that holds only such files is replaced.
 * The same folder gives the same bytes. */
mbs_status mbs_model_convert(const char *folder, const char *out, const char *dtype, int force,
                             mbs_convert_report *report, mbs_err *err);

#endif
