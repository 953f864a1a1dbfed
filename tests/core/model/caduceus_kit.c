#include "caduceus_kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "model/safetensors.h"
#include "model_kit.h"
#include "support/tmp.h"

#define GOLDEN(FUSED)                                                                                                  \
    "{\"architectures\": [\"CaduceusForMaskedLM\"], \"model_type\": \"caduceus\", \"d_model\": 8, \"n_layer\": 2, "    \
    "\"vocab_size\": 12, \"ssm_cfg\": {\"d_state\": 4, \"d_conv\": 4, \"expand\": 2, \"dt_rank\": \"auto\", "          \
    "\"use_fast_path\": true}, \"rms_norm\": true, \"residual_in_fp32\": false, \"fused_add_norm\": " FUSED ", "       \
    "\"pad_vocab_size_multiple\": 8, \"norm_epsilon\": 1e-5, \"bidirectional\": true, \"rcps\": true, "                \
    "\"bidirectional_strategy\": \"add\", \"bidirectional_weight_tie\": true, \"complement_map\": " CADUCEUS_MAP "}"
const char caduceus_golden_fused[] = GOLDEN("true");
const char caduceus_golden_plain[] = GOLDEN("false");

/* Where the config says that norms are wrapped, they are called so. */
static void name_of(const mbs_st_tensor *t, int wrapped, char *out, size_t size) {
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)t->name_len, t->name);
    char *norm = strstr(name, "norm.weight");
    norm = norm ? norm + 4 : strstr(name, "norm_f.weight");
    if (wrapped && norm) {
        char *dot = strrchr(name, '.');
        *dot = '\0';
        snprintf(out, size, "%.90s.submodule.weight", name);
    } else {
        snprintf(out, size, "%.120s", name);
    }
}

void caduceus_golden_folder(const char *folder, const char *config) {
    mbs_err err = {0};
    mbs_st *st;
    mbs_st_writer w;
    mbs_st_decl decls[64];
    char names[64][128];
    size_t from[64];
    size_t n = 0;
    char path[512];
    OK(mbs_st_open(CADUCEUS_GOLDEN, &st, &err), &err);
    for (size_t i = 0; i < mbs_st_count(st); i++) {
        const mbs_st_tensor *t = mbs_st_at(st, i);
        if (strncmp(t->name, "caduceus.", 9) == 0) {
            name_of(t, config == caduceus_golden_plain, names[n], sizeof names[n]);
            decls[n] = (mbs_st_decl){names[n], (mbs_dtype)t->dtype, t->ndim, {0}};
            memcpy(decls[n].dims, mbs_st_dims(st, t), (size_t)t->ndim * sizeof(int64_t));
            from[n++] = i;
        }
    }
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    OK(mbs_st_writer_open(path, decls, n, &w, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const mbs_st_tensor *t = mbs_st_at(st, from[i]);
        OK(mbs_st_writer_add(&w, mbs_st_data(st, t), (size_t)(t->end - t->begin), &err), &err);
    }
    OK(mbs_st_writer_close(&w, &err), &err);
    mbs_st_close(st);
    snprintf(path, sizeof path, "%s/config.json", folder);
    test_tmp_write(path, config);
}

/* Values that a trained model could have: a fresh one hardly mixes. */
static mbs_status value(void *ctx, const char *name, float *out, int64_t n, mbs_err *err) {
    uint64_t stream = 0;
    (void)ctx;
    (void)err;
    for (const char *p = name; *p; p++) {
        stream = stream * 131 + (unsigned char)*p;
    }
    for (int64_t i = 0; i < n; i++) {
        double r = mbs_rng_normal(7, stream, (uint64_t)i);
        out[i] = strstr(name, "norm") || strstr(name, ".D")                ? (float)(1 + 0.2 * r)
                 : strstr(name, "A_log")                                   ? (float)(0.5 + 0.5 * r)
                 : strstr(name, "dt_proj.bias") || strstr(name, "dt_bias") ? (float)(-2 + 0.3 * r)
                                                                           : (float)(0.3 * r);
    }
    return MBS_OK;
}

mbs_model *caduceus_drawn(const char *config, mbk_ctx *ctx) {
    mbs_err err = {0};
    mbs_model_config cfg;
    mbs_model *m;
    OK(mbs_config_parse(config, strlen(config), "config.json", &cfg, &err), &err);
    OK(mbs_model_of_values(&cfg, value, NULL, NULL, ctx, &m, &err), &err);
    return m;
}

void caduceus_bases(int32_t *ids, int64_t n, uint64_t seed) {
    for (int64_t i = 0; i < n; i++) {
        ids[i] = i % 50 == 49 ? 11 : (int32_t)(7 + 4 * mbs_rng_uniform(seed, 3, (uint64_t)i));
    }
}

void caduceus_rc(const int32_t *ids, int32_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        int32_t id = ids[n - 1 - i];
        out[i] = id >= 7 && id <= 10 ? 17 - id : id;
    }
}
