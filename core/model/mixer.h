/*
 * mixer.h - what a layer mixes tokens with, as a small table. A mixer is one file (mamba1.c), one test and one row of
 * the list in mixer_table.c.
 *
 * Every layer of a model has a mixer of its own (mbs_mixer_of_layer) and its own part of the state, so a model may mix
 * mixers, and a mixer may differ from layer to layer: what is asked about a layer is asked with its index.
 *
 * A layer computes out += Mixer(in) over the rows of a chunk and moves its part of the stream's state. The state is f32
 * in the backend's own layout; canonical is the layout of the reference, which files and other levels understand.
 */
#ifndef MBS_MODEL_MIXER_H
#define MBS_MODEL_MIXER_H

#include "base/buf.h"
#include "base/json.h"
#include "model/weights.h"

/* A size of a layer that a shape and a config.json of our own may say. */
typedef enum mbs_mixer_key_kind { MBS_KEY_INTEGER, MBS_KEY_NUMBER, MBS_KEY_BOOLEAN, MBS_KEY_WORD } mbs_mixer_key_kind;
typedef struct mbs_mixer_key {
    const char *name; /* NULL ends a table */
    mbs_mixer_key_kind kind;
    size_t at; /* MBS_SIZE_AT: of an int64_t (INTEGER), a double (NUMBER), an int (BOOLEAN, WORD) */
    double min, max;
    double usual;      /* where nothing is said; of a WORD its place among the words */
    const char *words; /* WORD: "a|b"; INTEGER: a word that stands for 0 ("auto"), or NULL */
    const char *help;
} mbs_mixer_key;
#define MBS_SIZE_AT(member) offsetof(mbs_layer_sizes, member)

/* Those that several mixers have; one name has one kind and one meaning. */
#define MBS_KEY_D_STATE(usual_)                                                                                        \
    {                                                                                                                  \
        "d_state", MBS_KEY_INTEGER, MBS_SIZE_AT(d_state), 1, 4096, usual_, NULL,                                       \
            "states of a channel; 16 with mamba1, 128 with mamba2, 64 with s4, s4d and h3"                             \
    }
#define MBS_KEY_EXPAND                                                                                                 \
    { "expand", MBS_KEY_NUMBER, MBS_SIZE_AT(expand), 1e-3, 1024, 2, NULL, "inner width in units of d_model" }
#define MBS_KEY_D_CONV                                                                                                 \
    { "d_conv", MBS_KEY_INTEGER, MBS_SIZE_AT(d_conv), 1, 16, 4, NULL, "taps of the convolution" }
#define MBS_KEY_BIAS                                                                                                   \
    { "bias", MBS_KEY_BOOLEAN, MBS_SIZE_AT(use_bias), 0, 1, 0, NULL, "in_proj and out_proj have biases" }
#define MBS_KEY_CONV_BIAS                                                                                              \
    { "conv_bias", MBS_KEY_BOOLEAN, MBS_SIZE_AT(use_conv_bias), 0, 1, 1, NULL, "the convolution has a bias" }

typedef struct mbs_mixer_call {
    mbk_ctx *ctx;
    mbk_mat out;    /* (L, d_model): the residual stream, to which the block's output is added */
    mbk_mat in;     /* (L, d_model), after the norm */
    mbk_buf *state; /* state_floats floats at state_at */
    int64_t state_at;
    mbk_buf *scratch;     /* scratch_floats(max rows) floats, contents of no meaning between calls */
    int64_t scratch_rows; /* the most rows that L can be */
    int64_t position;     /* of in's first row in the sequence: 0 after a reset */
    /* Not NULL: row i of in is the next of a stream of its own, whose state is lanes[i] at state_at; see `lanes` of the
     * mixer. Then there are no starts, and nothing is kept. */
    mbk_buf *const *lanes;
    mbk_starts starts; /* rows of in at which other sequences begin: position 0 and no state; see `many` */
    /* What of earlier positions is needed beside the state: past_floats for each, position x in row x % past_rows, from
     * past_at on. past_rows is past_most, or at least as many as the sequence has positions so far, the call's own
     * among them. The mixer puts those there. NULL: the mixer has none, or all sequences begin in the call and nobody
     * asks for what comes behind it (training). */
    mbk_buf *past;
    int64_t past_at, past_rows;
    /* Where layers at a lower rate go on after forward has returned (model/later.h); NULL: they do not. */
    struct mbs_later *later;
    mbk_buf *keep;   /* what backward needs of this call: keep_floats(scratch_rows) floats at keep_at; NULL: */
    int64_t keep_at; /* nothing is kept */
} mbs_mixer_call;

/* A tensor of a layer that is trained, in the order of `declare`. */
typedef struct mbs_mixer_param {
    mbk_mat w; /* f32, (rows, cols) as declared, (cols, rows) where declare says mbs_specs_turned */
    mbk_mat g; /* its gradient, to which backward adds; buf == NULL for all tensors of a layer that stays as it is */
} mbs_mixer_param;

/* Backward over the rows of a forward call that kept. */
typedef struct mbs_mixer_back {
    mbs_mixer_call call; /* as forward was given it, keep included; `out` and `state` are not used, the scratch holds
                          * mbs_mixer_train.scratch_floats */
    mbk_mat dout;        /* (L, d_model): gradient of what the block added; stays */
    mbk_mat din;         /* out (L, d_model): gradient of `in` */
    mbk_buf *dstate;   /* state_floats at dstate_at, laid out as the state: the gradient of the state after the call */
    int64_t dstate_at; /* comes in, that of the state before it goes out */
    mbk_buf *dpast;    /* likewise of the past, at call.past_at; NULL as there */
} mbs_mixer_back;

/* What a mixer needs so that its layers can be trained. A step goes refresh -> {forward with keep -> backward}* ->
 * gather; where the rows of a sequence are cut into calls does not change the gradient beyond rounding. */
typedef struct mbs_mixer_train {
    /* A layer over masters (params: as many as declare says; borrowed, copied by value), which forward takes too. Its
     * matrices are packed by the first refresh. */
    mbs_status (*make)(const mbs_model_config *cfg, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err);
    void (*unmake)(mbk_ctx *ctx, void *layer);
    /* Packs what products use anew from the masters. Columns up to those of `widest` are reserved. */
    mbk_status (*refresh)(mbk_ctx *ctx, void *layer);
    int64_t (*keep_floats)(const mbs_model_config *cfg, int64_t index, int64_t rows);
    int64_t (*scratch_floats)(const mbs_model_config *cfg, int64_t index, int64_t rows); /* of backward */
    mbk_status (*backward)(void *layer, const mbs_mixer_back *back);
    /* Adds to the gradients of the params what backward summed up for all calls of a step together (of a long filter
     * that of its taps, which goes through the network that makes it once), or, without `add`, forgets it. `scratch`
     * as backward's. NULL: backward leaves nothing. */
    mbk_status (*gather)(mbk_ctx *ctx, void *layer, mbk_buf *scratch, int add);
    /* Rows after which a CPU's caches no longer hold what goes from one operation to the next, where cuts cost nothing
     * else; a multiple of 64. 0: as many rows at once as there is room for. */
    int64_t rows;
} mbs_mixer_train;

/* What a layer does for a row, for those who measure. */
#define MBS_MIXER_MATRICES 6
typedef struct mbs_mixer_work {
    struct {
        const char *name; /* static */
        int64_t n_out, n_in;
    } matrix[MBS_MIXER_MATRICES];
    int matrices;
    int64_t conv;  /* channels of the convolution */
    double scan;   /* operations of the recurrence with its gate; an exponential counts as 16 */
    int64_t small; /* weights beside the matrices */
    double state;  /* floats of the state that one row alone reads and writes */
    double seen;   /* operations, and floats read, for each position that a row sees (attention), */
    double seen_state;
    int64_t window; /* of which there are so many at most; 0: all up to its own */
} mbs_mixer_work;
#define MBS_MIXER_EXP 16

typedef struct mbs_mixer {
    const char *name;         /* in a shape, and for people */
    const char *model_type;   /* of config.json as transformers writes it; NULL: not known there */
    const char *architecture; /* likewise, "MambaForCausalLM" */
    int whole;                /* forward is given all rows of a sequence in one call, and no state (model/whole.h) */
    int many;                 /* forward heeds call->starts; 0: it is never given any */
    int lanes;                /* forward heeds call->lanes; 0: it is never given any; 2: only where the streams stand at
                               * one position, which is the call's */
    int64_t period;           /* forward of one row depends on the position modulo this only; 0: in other ways */
    const char *original;     /* ssm_cfg.layer of the original layout; NULL: not known there */
    const mbs_mixer_key *keys; /* its sizes, as a shape and our own layout say them */
    /* What a config that does not say means, as transformers has it. The original layout takes d_state from here. */
    mbs_model_config usual;
    /* Reads the mixer's own keys, of `ssm` (the original's ssm_cfg) in that layout, else of `doc`; what all mixers have
     * is read, d_inner too. The first error stays in err. NULL with both names of those layouts. */
    void (*read)(const mbs_json *doc, const mbs_json *ssm, mbs_model_config *cfg, mbs_err *err);
    /* Fills the sizes of a layer that are 0 and follow from others, and refuses those that contradict each other.
     * d_inner is there where `expand` is said. */
    mbs_status (*settle)(const mbs_model_config *cfg, mbs_layer_sizes *sizes, mbs_err *err);
    /* The mixer's own keys in one of the two public layouts, the config's, one a line that begins with `indent` and
     * ends with a comma. NULL as `read`. */
    void (*write)(const mbs_model_config *cfg, const mbs_layer_sizes *sizes, const char *indent, mbs_buf *out);
    /* Switches on what the tensors decide (biases); NULL where they decide nothing. Asked for every layer, whose
     * tensors begin with `layer` ("backbone.layers.0.mixer."). */
    void (*detect)(const mbs_st_set *set, const char *layer, mbs_layer_sizes *sizes);
    /* The tensors of one layer, without the layer's prefix. */
    void (*declare)(const mbs_model_config *cfg, int64_t index, mbs_specs *specs);
    int64_t (*state_floats)(const mbs_model_config *cfg, int64_t index);
    /* Floats that each position leaves behind for later ones (mbs_mixer_call.past), and of how many positions at most,
     * 0: of all, so that memory grows with the record. Both NULL where the state is all that is carried. */
    int64_t (*past_floats)(const mbs_model_config *cfg, int64_t index);
    int64_t (*past_most)(const mbs_model_config *cfg, int64_t index);
    int64_t (*scratch_floats)(const mbs_model_config *cfg, int64_t index, int64_t rows);
    /* The most columns of a matrix that forward hands to an operation: what the backend reserves scratch for. */
    int64_t (*widest)(const mbs_model_config *cfg, int64_t index);
    /* Reads the tensors below ld->prefix. */
    mbs_status (*load)(const mbs_model_config *cfg, int64_t index, mbs_loader *ld, void **layer);
    void (*unload)(mbk_ctx *ctx, void *layer);
    mbk_status (*forward)(const void *layer, const mbs_mixer_call *call);
    void (*work)(const mbs_model_config *cfg, int64_t index, mbs_mixer_work *out);
    /* Between the layouts of the state, in host memory; both hold state_floats. */
    void (*save)(const mbs_model_config *cfg, int64_t index, const float *device, float *canonical);
    void (*restore)(const mbs_model_config *cfg, int64_t index, const float *canonical, float *device);
    /* Runs of the state after so many positions that mean something, in the canonical layout: run i is `floats` from
     * `at` on; 0: there are no more. A saved state holds them alone, so it does not tell for how many positions there
     * was room. NULL: all of it, at any position. */
    int (*used)(const mbs_model_config *cfg, int64_t index, int64_t positions, int i, int64_t *at, int64_t *floats);
    const mbs_mixer_train *train; /* NULL: models with it run but cannot be trained */
    /* Most positions of a sequence; NULL: any. */
    int64_t (*longest)(const mbs_model_config *cfg, int64_t index);
    /* Bytes that a layer and a stream's state of it take with room for so many positions, and those that it needs while
     * it is made or runs, which all layers share; 0 where they do not follow from its longest sequence, NULL: they
     * never do. `reach` of its sizes says for how many there is room. */
    double (*room)(const mbs_model_config *cfg, int64_t index, int64_t positions, double *shared);
    int outer;    /* its layers cannot stand within others */
    int rescales; /* load heeds ld->rate_scale */
    int bare;     /* it is given the rows as they are: there is no norm before it, and `in` may be `out` */
    int nests;    /* it has layers within (model/pool.h), whose sizes its own do not tell */
    /* Whether this backend computes the layer: NULL where all do, else by mbs_backend_cannot (place.c asks). */
    mbs_status (*fits)(const mbs_model_config *cfg, int64_t index, const mbk_ctx *ctx, mbs_err *err);
} mbs_mixer;

extern const mbs_mixer mbs_mixer_mamba1;
extern const mbs_mixer mbs_mixer_mamba2;
extern const mbs_mixer mbs_mixer_attention;
extern const mbs_mixer mbs_mixer_s4;
extern const mbs_mixer mbs_mixer_s4d;
extern const mbs_mixer mbs_mixer_h3;
extern const mbs_mixer mbs_mixer_hyena;
extern const mbs_mixer mbs_mixer_lstm;
extern const mbs_mixer mbs_mixer_gru;
extern const mbs_mixer mbs_mixer_pool;

/* Ends with NULL. */
extern const mbs_mixer *const mbs_mixers[];

/* NULL where no mixer is of this type. */
const mbs_mixer *mbs_mixer_of_type(const char *model_type);
/* What layer `index` mixes with; the config must be known. A model with several mixers is told apart here. */
const mbs_mixer *mbs_mixer_of_layer(const mbs_model_config *cfg, int64_t index);
/* Whether every layer has a mixer; else an error with the type that nobody knows. */
mbs_status mbs_mixers_known(const mbs_model_config *cfg, mbs_err *err);
/* Where layers with `room` take more than `bytes` together: room for fewer positions, 256 2^i of them, which changes no
 * bit of what they give (layers within others keep theirs). MBS_ERR_MEMORY where 256 are too many. `bytes` 0: no limit
 * but what the machine has. */
mbs_status mbs_mixers_limit(mbs_model_config *cfg, int64_t bytes, mbs_err *err);
/* MBS_ERR_MEMORY where they take more than the machine has, before anything is tried. */
mbs_status mbs_mixers_fit_machine(const mbs_model_config *cfg, mbs_err *err);
/* Whether a limit means something for any of its layers. */
int mbs_mixers_limited(const mbs_model_config *cfg);
/* Refuses (MBS_ERR_DATA) a sequence of so many positions where a layer has fewer; MBS_ERR_MEMORY where it has them, and
 * room for fewer. */
mbs_status mbs_mixers_reach(const mbs_model_config *cfg, int64_t positions, const char *where, mbs_err *err);
/* By the other words; NULL where none has this one. */
const mbs_mixer *mbs_mixer_named(const char *name);
const mbs_mixer *mbs_mixer_of_original(const char *layer);

typedef enum mbs_mixer_word { MBS_MIXER_NAME, MBS_MIXER_TYPE, MBS_MIXER_ORIGINAL } mbs_mixer_word;
/* The accepted words of a kind with `between` between them, "mamba, ...", for messages. */
void mbs_mixer_words(mbs_mixer_word kind, const char *between, char *out, size_t size);

/* --- tables of keys (mixer_keys.c) */
const mbs_mixer_key *mbs_mixer_find_key(const mbs_mixer *mixer, const char *name); /* NULL: it has no such key */
/* Sizes where nothing is said. */
void mbs_mixer_usual_sizes(const mbs_mixer *mixer, mbs_layer_sizes *out);
/* A value as text. MBS_ERR_CONFIG with what would fit; `out` may be NULL to check alone. */
mbs_status mbs_mixer_set_key(const mbs_mixer_key *key, const char *value, mbs_layer_sizes *out, mbs_err *err);
/* All keys of the object but those of `known` (a NULL-terminated list), which are somebody else's. MBS_ERR_DATA for one
 * that the mixer has not, by name. */
mbs_status mbs_mixer_read_keys(const mbs_mixer *mixer, const mbs_json *obj, const char *const *known,
                               mbs_layer_sizes *out, mbs_err *err);
/* `"key": value` of each key, with `between` before it; without `all` only of truths and of what is not usual. */
void mbs_mixer_put_keys(const mbs_mixer *mixer, const mbs_layer_sizes *sizes, int all, const char *between,
                        mbs_buf *out);

#endif
