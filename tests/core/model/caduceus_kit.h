/*
 * caduceus_kit.h - models that read both ways, for tests: the golden one as a folder, and small drawn ones.
 */
#ifndef MBS_TEST_CADUCEUS_KIT_H
#define MBS_TEST_CADUCEUS_KIT_H

#include "model/model.h"

#define CADUCEUS_GOLDEN MBS_SOURCE_DIR "/tests/data/reference/caduceus_ps.safetensors"

#define CADUCEUS_MAP                                                                                                   \
    "{\"0\": 0, \"1\": 1, \"2\": 2, \"3\": 3, \"4\": 4, \"5\": 5, \"6\": 6, \"7\": 10, \"8\": 9, \"9\": 8, "           \
    "\"10\": 7, \"11\": 11, \"12\": 12, \"13\": 13, \"14\": 14, \"15\": 15}"

/* The folder of the golden model in the current one, with this config.json. */
void caduceus_golden_folder(const char *folder, const char *config);
extern const char caduceus_golden_fused[], caduceus_golden_plain[];

/* A model drawn for this config.json, all weights moved well away from where training begins. */
mbs_model *caduceus_drawn(const char *config, mbk_ctx *ctx);

/* Uniform bases, every 50th an N. */
void caduceus_bases(int32_t *ids, int64_t n, uint64_t seed);
void caduceus_rc(const int32_t *ids, int32_t *out, int64_t n);

#endif
