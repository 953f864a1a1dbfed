/*
 * place.h - where a model can be computed: every backend computes Mamba-1 and Mamba-2, a device not all of what the CPU
 * does beside them.
 */
#ifndef MBS_MODEL_PLACE_H
#define MBS_MODEL_PLACE_H

#include "model/backend.h"
#include "model/config.h"

/* MBS_ERR_UNAVAILABLE where this backend cannot compute such a model, with what it cannot do. */
mbs_status mbs_model_runs_on(const mbs_model_config *c, const mbk_ctx *ctx, mbs_err *err);
/* That error: the device cannot `what`. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
mbs_status
mbs_backend_cannot(const mbk_ctx *ctx, mbs_err *err, const char *what, ...);
/* A device that nobody asked for by name (auto) and that cannot compute the model, or not in `math` (NULL: f32), gives
 * way to the CPU, with one line on stderr. Else nothing changes: whoever opens the model says what is wrong. */
mbs_status mbs_backend_suit(mbs_backend *b, const mbs_model_config *c, const char *math, int threads, mbs_err *err);

#endif
