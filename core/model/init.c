#include "model/init.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/caduceus.h"
#include "model/config_impl.h"
#include "model/front.h"
#include "model/hyenadna.h"
#include "model/letters.h"
#include "model/mixer.h"
#include "model/new_folder.h"

#define BLOCK 16384

static const char dna_vocab[] = "[CLS]\n[SEP]\n[BOS]\n[MASK]\n[PAD]\n[RESERVED]\n[UNK]\nA\nC\nG\nT\n[UNUSED]\n";
/* As Caduceus' tokenizer has it in its code. */
static const char caduceus_vocab[] = "[CLS]\n[SEP]\n[BOS]\n[MASK]\n[PAD]\n[RESERVED]\n[UNK]\nA\nC\nG\nT\nN\n";

/* --- config.json ----------------------------------------------------------------------------------------------------
 */

static const char *truth(int v) {
    return v ? "true" : "false";
}

/* `name` with its indent: "  \"d_model\"". */
static void put_whole(mbs_buf *b, const char *name, int64_t v) {
    mbs_buf_printf(b, "%s: %" PRId64 ",\n", name, v);
}

static void put_double(mbs_buf *b, const char *name, double v) {
    mbs_buf_printf(b, "%s: ", name);
    mbs_json_put_double(b, v);
    mbs_buf_puts(b, ",\n");
}

/* The inner width in units of the model's, a whole number where it is one. */
static void put_expand(mbs_buf *b, const char *name, const mbs_model_config *c) {
    if (c->d_inner % c->d_model == 0) {
        put_whole(b, name, c->d_inner / c->d_model);
    } else {
        put_double(b, name, (double)c->d_inner / (double)c->d_model);
    }
}

static void put_token(mbs_buf *b, const char *name, int id) {
    if (id < 0) {
        mbs_buf_printf(b, "%s: null,\n", name);
    } else {
        put_whole(b, name, id);
    }
}

/* What a row of the input is: an id, or a frame. */
static void put_inputs(mbs_buf *b, const mbs_model_config *c, int64_t vocab) {
    if (c->frame_width > 0) {
        put_whole(b, "  \"" MBS_FRONT_KEY "\"", c->frame_width);
    } else {
        put_whole(b, "  \"vocab_size\"", vocab);
    }
}

static void transformers_config(const mbs_model_config *c, unsigned flags, mbs_buf *b) {
    const mbs_mixer *mixer = mbs_mixer_of_type(c->model_type);
    mbs_buf_printf(b, "  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n", mixer->architecture,
                   mixer->model_type);
    put_inputs(b, c, c->vocab_rows);
    put_whole(b, "  \"hidden_size\"", c->d_model);
    put_whole(b, "  \"state_size\"", c->d_state);
    put_whole(b, "  \"num_hidden_layers\"", c->n_layer);
    put_whole(b, "  \"intermediate_size\"", c->d_inner);
    put_expand(b, "  \"expand\"", c);
    put_whole(b, "  \"conv_kernel\"", c->d_conv);
    mixer->write(c, &c->every, "  ", b);
    put_double(b, "  \"layer_norm_epsilon\"", c->norm_eps);
    mbs_buf_printf(b, "  \"hidden_act\": \"silu\",\n  \"use_bias\": %s,\n  \"use_conv_bias\": %s,\n",
                   truth(c->use_bias), truth(c->use_conv_bias));
    mbs_buf_printf(b, "  \"residual_in_fp32\": true,\n  \"tie_word_embeddings\": %s,\n", truth(c->tie_embeddings));
    put_token(b, "  \"bos_token_id\"", c->bos);
    put_token(b, "  \"eos_token_id\"", c->eos);
    put_token(b, "  \"pad_token_id\"", c->pad);
    mbs_buf_printf(b, "  \"torch_dtype\": \"%s\"", flags & MBS_INIT_BF16 ? "bfloat16" : "float32");
}

/* The layers of attention, and their sizes. */
static void put_hybrid(const mbs_model_config *c, mbs_buf *b) {
    const mbs_layer_kind *attention = NULL;
    mbs_buf_puts(b, "  \"attn_layer_idx\": [");
    for (int64_t i = 0; i < c->n_layer; i++) {
        const mbs_layer_kind *k = &c->kind[c->kind_of[i]];
        if (k->mixer != mbs_mixer_of_type(c->model_type)) {
            mbs_buf_printf(b, "%s%" PRId64, attention ? ", " : "", i);
            attention = k;
        }
    }
    mbs_buf_puts(b, "],\n");
    if (attention) {
        mbs_buf keys = MBS_BUF_INIT;
        mbs_mixer_put_keys(attention->mixer, &attention->sizes, 0, ",\n    ", &keys);
        b->failed |= keys.failed;
        mbs_buf_printf(b, "  \"attn_cfg\": {\n    \"causal\": true%s\n  },\n", mbs_buf_str(&keys));
        mbs_buf_free(&keys);
    }
}

static void original_config(const mbs_model_config *c, mbs_buf *b) {
    const mbs_mixer *mixer = mbs_mixer_of_type(c->model_type);
    put_whole(b, "  \"d_model\"", c->d_model);
    put_whole(b, "  \"n_layer\"", c->n_layer);
    put_inputs(b, c, c->vocab_size);
    mbs_buf_puts(b, "  \"ssm_cfg\": {\n");
    if (mixer != &mbs_mixer_mamba1) { /* the default, which the first versions of the original code had no key for */
        mbs_buf_printf(b, "    \"layer\": \"%s\",\n", mixer->original);
    }
    put_whole(b, "    \"d_state\"", c->d_state);
    put_whole(b, "    \"d_conv\"", c->d_conv);
    put_expand(b, "    \"expand\"", c);
    mixer->write(c, &c->every, "    ", b);
    mbs_buf_printf(b, "    \"bias\": %s,\n    \"conv_bias\": %s\n  },\n", truth(c->use_bias), truth(c->use_conv_bias));
    if (c->mlp != MBS_MLP_NONE) {
        put_whole(b, "  \"d_intermediate\"", c->d_mlp);
    }
    if (c->n_kinds > 0) {
        put_hybrid(c, b);
    }
    mbs_buf_printf(b, "  \"rms_norm\": %s,\n", truth(c->norm == MBS_NORM_RMS));
    put_double(b, "  \"norm_epsilon\"", c->norm_eps);
    mbs_buf_printf(b, "  \"residual_in_fp32\": %s,\n", truth(c->layout != MBS_LAYOUT_CADUCEUS));
    if (c->frame_width == 0) {
        put_whole(b, "  \"pad_vocab_size_multiple\"", (c->vocab_size + 7) / 8 * 8 == c->vocab_rows ? 8 : c->vocab_rows);
    }
    mbs_buf_printf(b, "  \"tie_embeddings\": %s", truth(c->tie_embeddings));
}

/* What the published folders say; a token that the model does not know is null. */
static void caduceus_config(const mbs_model_config *c, unsigned flags, mbs_buf *b) {
    mbs_buf_puts(b, "  \"architectures\": [\"CaduceusForMaskedLM\"],\n  \"model_type\": \"caduceus\",\n");
    mbs_buf_printf(b, "  \"bidirectional\": %s,\n  \"bidirectional_strategy\": \"%s\",\n",
                   truth(c->both != MBS_ONE_WAY), c->both == MBS_BOTH_MULTIPLY ? "ew_multiply" : "add");
    mbs_buf_printf(b, "  \"bidirectional_weight_tie\": %s,\n  \"rcps\": %s,\n  \"fused_add_norm\": %s,\n",
                   truth(c->both_tied), truth(c->rcps), truth(!c->rcps || c->rc_swap));
    put_token(b, "  \"bos_token_id\"", c->bos);
    put_token(b, "  \"eos_token_id\"", c->eos);
    put_token(b, "  \"pad_token_id\"", c->pad);
    mbs_buf_printf(b, "  \"torch_dtype\": \"%s\",\n", flags & MBS_INIT_BF16 ? "bfloat16" : "float32");
    original_config(c, b);
    if (!c->tie_embeddings) {
        mbs_buf_puts(b, ",\n  \"tie_word_embeddings\": false");
    }
}

static void own_config(const mbs_model_config *c, mbs_buf *b) {
    mbs_buf_printf(b, "  \"model_type\": \"%s\",\n", MBS_MODEL_TYPE_OWN);
    put_inputs(b, c, c->vocab_size);
    if (c->frame_width == 0) {
        put_whole(b, "  \"vocab_rows\"", c->vocab_rows);
    }
    put_whole(b, "  \"d_model\"", c->d_model);
    put_whole(b, "  \"n_layer\"", c->n_layer);
    mbs_buf_puts(b, "  \"layers\": [");
    mbs_config_put_layers(c, ",\n    ", b);
    mbs_buf_puts(b, "\n  ],\n");
    if (c->mlp != MBS_MLP_NONE) {
        mbs_buf_printf(b, "  \"mlp\": {\"kind\": \"%s\", \"width\": %" PRId64 "},\n", mbs_config_mlp_name(c->mlp),
                       c->d_mlp);
    }
    mbs_buf_printf(b, "  \"norm\": \"%s\",\n", c->norm == MBS_NORM_RMS ? "rms" : "layer");
    put_double(b, "  \"norm_eps\"", c->norm_eps);
    put_token(b, "  \"bos_token_id\"", c->bos);
    put_token(b, "  \"eos_token_id\"", c->eos);
    put_token(b, "  \"pad_token_id\"", c->pad);
    mbs_buf_printf(b, "  \"tie_embeddings\": %s", truth(c->tie_embeddings));
}

/* A with T, C with G; every other id with itself. */
static const int16_t dna_complement[] = {0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15};

static void put_complement_map(const int16_t *map, int64_t rows, mbs_buf *b) {
    mbs_buf_puts(b, ",\n  \"complement_map\": {");
    for (int64_t i = 0; i < rows; i++) {
        mbs_buf_printf(b, "%s\n    \"%" PRId64 "\": %d", i ? "," : "", i, (int)map[i]);
    }
    mbs_buf_puts(b, "\n  }");
}

void mbs_model_put_config(const mbs_model_config *c, unsigned flags, mbs_buf *b) {
    mbs_buf_puts(b, "{\n");
    if (c->layout == MBS_LAYOUT_CADUCEUS) {
        caduceus_config(c, flags, b);
    } else if (c->layout == MBS_LAYOUT_TRANSFORMERS) {
        transformers_config(c, flags, b);
    } else if (c->layout == MBS_LAYOUT_OWN) {
        own_config(c, b);
    } else if (c->layout == MBS_LAYOUT_HYENADNA) {
        mbs_hyenadna_put(c, b);
    } else {
        original_config(c, b);
    }
    if (c->rcps) {
        put_complement_map(c->complement, c->vocab_rows, b);
    } else if (flags & MBS_INIT_DNA) {
        put_complement_map(dna_complement, c->vocab_rows, b);
    }
    mbs_buf_puts(b, "\n}\n");
}

const char *mbs_model_dna_vocab(const mbs_model_config *c) {
    return c->layout == MBS_LAYOUT_CADUCEUS ? caduceus_vocab : dna_vocab;
}

mbs_status mbs_model_write_config(const char *folder, const mbs_model_config *c, unsigned flags, mbs_err *err) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_model_put_config(c, flags, &b);
    mbs_status st =
        b.failed ? mbs_fail_memory(err, folder, b.len) : mbs_new_folder_put(folder, "config.json", b.data, b.len, err);
    mbs_buf_free(&b);
    if (st >= 0 && (flags & MBS_INIT_DNA)) {
        st = mbs_letters_write(folder, mbs_model_dna_vocab(c), err);
    }
    return st;
}

/* --- weights --------------------------------------------------------------------------------------------------------
 */

static mbs_status draw_tensor(const mbs_spec *spec, uint64_t seed, float *block, mbs_st_writer *w, mbs_err *err) {
    int64_t n = 1;
    for (int k = 0; k < spec->ndim; k++) {
        n *= spec->dims[k];
    }
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t count = n - at < BLOCK ? n - at : BLOCK;
        mbs_spec_draw(spec, seed, at, count, block);
        mbs_status st = mbs_st_writer_add(w, block, (size_t)count * sizeof *block, err);
        if (st < 0) {
            return st;
        }
    }
    return MBS_OK;
}

static mbs_status draw_all(const mbs_specs *specs, uint64_t seed, mbs_st_writer *w, mbs_err *err) {
    float *block = mbs_alloc(BLOCK * sizeof *block);
    mbs_status st = block ? MBS_OK : mbs_fail_memory(err, w->path, BLOCK * sizeof *block);
    for (size_t i = 0; i < specs->n && st >= 0; i++) {
        st = draw_tensor(&specs->items[i], seed, block, w, err);
    }
    mbs_free(block);
    return st;
}

static mbs_status write_weights(const char *folder, const mbs_model_config *c, uint64_t seed, mbs_err *err) {
    mbs_names names;
    mbs_specs specs;
    mbs_st_writer w;
    mbs_names_of_config(c, &names);
    mbs_status st = mbs_specs_model(c, &names, 0, &specs, err);
    if (st < 0) {
        return st;
    }
    char *path = mbs_path_join(folder, "model.safetensors");
    mbs_st_decl *decls = mbs_calloc(specs.n + 2, sizeof *decls);
    if (!path || !decls) {
        st = mbs_fail_memory(err, folder, specs.n * sizeof *decls);
    } else {
        for (size_t i = 0; i < specs.n; i++) {
            decls[i] = (mbs_st_decl){specs.items[i].name, MBS_DT_F32, specs.items[i].ndim, {0}};
            memcpy(decls[i].dims, specs.items[i].dims, sizeof specs.items[i].dims);
        }
        size_t maps = mbs_caduceus_map_decls(c, &names, decls + specs.n);
        st = mbs_st_writer_open(path, decls, specs.n + maps, &w, err);
        if (st >= 0) {
            st = draw_all(&specs, seed, &w, err);
            st = st < 0 ? st : mbs_caduceus_put_maps(c, &w, err);
            mbs_err late = {0};
            mbs_status closed = mbs_st_writer_close(&w, st < 0 ? &late : err);
            st = st < 0 ? st : closed;
        }
    }
    mbs_free(decls);
    mbs_free(path);
    mbs_specs_free(&specs);
    return st;
}

mbs_status mbs_model_init_check(const mbs_model_config *c, unsigned flags, mbs_err *err) {
    const mbs_mixer *mixer = mbs_mixer_of_type(c->model_type);
    mbs_status known = mbs_mixers_known(c, err);
    if (known < 0) {
        return known;
    }
    if (c->layout == MBS_LAYOUT_ORIGINAL && !mixer->original) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "the original layout, the only one with layer norm, knows no mixer '%s'",
                 mixer->name);
        mbs_err_fix(err, "take 'norm': rms");
        return MBS_ERR_CONFIG;
    }
    if (c->layout == MBS_LAYOUT_TRANSFORMERS && c->norm == MBS_NORM_LAYER) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL,
                        "transformers knows no layer norm in this model: take the original layout");
    }
    if ((flags & MBS_INIT_DNA) && (c->vocab_size > 16 || c->vocab_rows != 16)) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "the vocabulary of DNA letters has 16 rows, not %" PRId64,
                        c->vocab_rows);
    }
    return MBS_OK;
}

mbs_status mbs_model_init(const char *folder, const mbs_model_config *cfg, uint64_t seed, unsigned flags,
                          mbs_err *err) {
    static const char *const ours[] = {"config.json", "model.safetensors", MBS_LETTERS_FILES, NULL};
    mbs_new_folder f;
    mbs_status st = mbs_model_init_check(cfg, flags, err);
    if (st >= 0) {
        st = mbs_new_folder_begin(folder, ours, (flags & MBS_INIT_FORCE) != 0, &f, err);
    }
    if (st < 0) {
        return st;
    }
    st = mbs_model_write_config(f.temp, cfg, flags & MBS_INIT_DNA, err);
    if (st >= 0) {
        st = write_weights(f.temp, cfg, seed, err);
    }
    st = mbs_new_folder_end(&f, st, err);
    if (st < 0) {
        mbs_err_kept(err, "nothing was written to %s", folder);
    }
    return st;
}
