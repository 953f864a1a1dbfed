/*
 * impl.h - what the files of core/model share beyond their headers. Nobody else includes it but their tests.
 */
#ifndef MBS_MODEL_IMPL_H
#define MBS_MODEL_IMPL_H

#include <sys/stat.h>

#include "base/sha256.h"
#include "model/classes.h"
#include "model/mixer.h"
#include "model/mlp.h"
#include "model/model.h"

/* A block: a norm, and a layer's mixer or MLP behind it. */
typedef struct mbs_layer {
    int64_t index; /* of the layer */
    mbk_buf *norm_w;
    mbk_buf *norm_b; /* layer norm only */
    const mbs_mixer *mixer;
    void *weights; /* the mixer's */
    void *reverse; /* likewise, of the one that reads backward; NULL: there is none */
    /* The block's part of a session's state, in floats. */
    int64_t state_at;
    int64_t state_floats;
    int64_t past_floats; /* of a position; 0: none */
    int64_t past_most;   /* positions; 0: all */
} mbs_layer;

/* A file that the model was read from, as it was then. */
typedef struct mbs_model_file {
    char *path;
    struct stat info;
} mbs_model_file;

struct mbs_model {
    mbs_model_config cfg;
    mbk_ctx *ctx;
    char *folder;
    int64_t parameters;
    mbk_format format;
    char arithmetic[64];
    int64_t weight_bytes;
    uint64_t fingerprint; /* of sizes and weights: whose state a blob is */
    mbk_weight *table;    /* (vocab_rows, d_model); NULL where frames come in: */
    mbk_weight *front;    /* (d_model, frame_width) */
    mbk_buf *front_bias;
    mbk_weight *head;    /* the table itself where they are tied; NULL: no language head */
    mbk_weight *head_rc; /* the head's rows at the complements, for the other stream; NULL: there is none */
    mbk_buf *norm_w;
    mbk_buf *norm_b;
    mbs_layer *layers; /* blocks: with MLPs two a layer, else one */
    int64_t n_blocks;
    int64_t state_floats;  /* of all layers */
    int64_t state_most;    /* of the block with most */
    int64_t past_floats;   /* of a position in all blocks; 0: a stream's memory is constant */
    mbs_classes classes;   /* n is cfg.n_classes */
    mbs_classes starts;    /* n is cfg.n_start */
    float *score;          /* (classes, d_model), in host memory: one product a record */
    float *score_bias;     /* classes, or NULL */
    mbs_model_file *files; /* config.json, then the weights */
    size_t n_files;
    char sha[65]; /* empty until asked for */
};

/* Where each layer's state lies, of what its mixer says. */
void mbs_model_place_states(mbs_model *m);
/* y = Norm(x) with the weights of a layer or of the end. */
mbk_status mbs_model_norm(const mbs_model *m, mbk_mat y, mbk_mat x, mbk_buf *w, mbk_buf *b);
/* Rows as a block takes them: normed into *in, or, where it has no norm, themselves. */
mbk_status mbs_layer_input(const mbs_model *m, const mbs_layer *layer, mbk_mat rows, mbk_mat *in);
/* Fails: what the model says of the token at `at` of its sequence is NaN. */
mbs_status mbs_model_no_number(const mbs_model *m, int64_t at, mbs_err *err);

/* whole_load.c: the mixers of a layer that reads both ways, and the head of the other stream. */
mbs_status mbs_both_load(mbs_model *m, const mbs_names *names, int64_t i, mbs_loader *ld);
mbs_status mbs_both_load_head(mbs_model *m, const mbs_names *names, mbs_loader *ld);
uint64_t mbs_both_fingerprint(const mbs_model_config *c, uint64_t sum);

/* classify.c: the classification head, where the config has one. */
mbs_status mbs_model_load_classes(mbs_model *m, mbs_loader *ld);
void mbs_model_free_classes(mbs_model *m);

/* Adds a file's bytes to one sum or two (`b` may be NULL). With `same` the file must still be that file, unchanged. */
mbs_status mbs_hash_file(const char *path, const struct stat *same, mbs_sha256 *a, mbs_sha256 *b, mbs_err *err);

#endif
