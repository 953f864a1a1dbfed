/*
 * torch_bin.h - pytorch_model.bin as torch.save writes it: a zip archive of a pickle and the bytes of storages. Opens
 * as what a safetensors file opens as; nothing in it is executed (pickle.h).
 */
#ifndef MBS_MODEL_TORCH_BIN_H
#define MBS_MODEL_TORCH_BIN_H

#include "model/safetensors.h"

/* As mbs_st_open. Every tensor lies within its storage and every storage within the file, and its sum is right. */
mbs_status mbs_torch_open(const char *path, mbs_st **out, mbs_err *err);

#endif
