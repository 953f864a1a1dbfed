/*
 * train.h - the loop: windows of the spool -> gradients -> AdamW, with evaluation, checkpoints and a record of it all.
 *
 * Everything that happens at step k is a function of (recipe, spool, k) and of the state after step k - 1: windows,
 * strands and masks are drawn with counter-based numbers. So a run that was killed and resumed ends with the same
 * bytes, for any number of threads.
 *
 * A run works in a hidden folder beside its output, ".NAME.mbs-train": checkpoints step-N (model folder plus
 * optimizer.safetensors, made whole under another name and renamed; the last two are kept), metrics.jsonl,
 * training.html. At the end the output folder appears whole (config.json, model.safetensors, the tokenizer's files,
 * metrics.jsonl, training.html, recipe.yaml) and the hidden one goes.
 */
#ifndef MBS_TRAIN_TRAIN_H
#define MBS_TRAIN_TRAIN_H

#include "base/progress.h"
#include "train/net.h"
#include "train/spool.h"

typedef enum mbs_loss { MBS_LOSS_CAUSAL = 0, MBS_LOSS_MASKED = 1, MBS_LOSS_CLASSIFY = 2 } mbs_loss;
typedef enum mbs_decay { MBS_DECAY_COSINE = 0, MBS_DECAY_LINEAR = 1, MBS_DECAY_CONSTANT = 2 } mbs_decay;
typedef enum mbs_order {
    MBS_ORDER_RANDOM = 0, /* windows anywhere in the training part, each record as likely as it is long */
    MBS_ORDER_STREAM = 1, /* whole records one after the other as the reader gives them (fresh data each step) */
    MBS_ORDER_RECORDS = 2 /* whole records, drawn, cut to the window; what is held out are whole records */
} mbs_order;

typedef enum mbs_split_by { MBS_SPLIT_RECORD = 0, MBS_SPLIT_FILE = 1, MBS_SPLIT_SPEAKER = 2 } mbs_split_by;

#define MBS_RECIPE_WINDOWS 8

/* A recipe's `train:` as values; the grammar is pipe/recipe.h's. What is marked (*) may change between a run and its
 * --resume; all else is part of what a checkpoint belongs to. */
typedef struct mbs_train_recipe {
    mbs_loss loss;
    mbs_order order;
    int64_t n_windows; /* window lengths, each from a share of the steps on: window_from[0] is 0 */
    int64_t window[MBS_RECIPE_WINDOWS];
    double window_from[MBS_RECIPE_WINDOWS];
    int64_t batch_tokens; /* of a step; a whole number of windows */
    int64_t steps;
    uint64_t seed;
    int64_t rows;              /* whose work is kept at once: mbs_net_options.rows */
    int64_t truncate;          /* 0: none */
    double held_out;           /* share of the tokens, at the end (classify: of the records, drawn by seed); with
                                * train_bed alone all that lies outside of it is held out */
    mbs_split_by by;           /* classify: what is held out whole */
    const char *held_out_bed;  /* or regions of a BED file; NULL */
    const char *train_bed;     /* windows lie inside these regions; NULL: anywhere outside what is held out */
    double reverse_complement; /* chance that a window is read from the other strand */
    double unknown;            /* share of windows in which letters and runs are fed as [UNK] (never as targets) */
    double soft_mask;          /* weight of targets that are soft-masked, 1: like others */
    double mask_rate;          /* masked loss: share of targets */
    double start_unknown;      /* share of sequences whose first id, where it is of a class, becomes job.start */
    double lr, beta1, beta2, eps, weight_decay, clip;
    double warmup; /* below 1: share of the steps, else steps */
    mbs_decay decay;
    double min_lr;
    int64_t eval_every;       /* (*) steps; 0: at the end alone */
    int64_t eval_tokens;      /* tokens of the held-out part that are scored during training; 0: all. At the end: all */
    int64_t patience;         /* evaluations without a better one before the run ends early; 0: never */
    int64_t checkpoint_every; /* (*) steps; 0: by time */
    double checkpoint_seconds; /* (*) */
} mbs_train_recipe;

struct mbs_workplace;

typedef struct mbs_train_job {
    mbs_train_recipe recipe;
    const char *identity;        /* lines "key: value" of all that a checkpoint belongs to (recipe, model, input, dtype,
                                  * arithmetic), for comparing and for naming what differs */
    const char *recipe_text;     /* for recipe.yaml of the output */
    const char *output;          /* folder */
    struct mbs_workplace *place; /* claimed (checkpoint.h) before the input was read, which mbs_train takes over; or
                                  * NULL: mbs_train claims it */
    mbs_net *net;
    const mbs_spool *spool;
    const int32_t *complement; /* of ids; NULL: none */
    int64_t vocab_size;
    int32_t unk, mask;          /* ids, -1: none */
    int32_t start;              /* id that records begin with, ids of classes behind it; 0: none */
    int64_t n_front, n_behind;  /* tokens that stand around those of a record, whichever strand of it is read */
    const char *unit;           /* "base", "token" */
    const char *const *classes; /* names; NULL: no classes */
    int64_t n_classes;
    /* Writes config.json and the tokenizer's files of the model into a folder, synced. Under any name that
     * train.c does not list the folder could not be replaced by --force later. */
    mbs_status (*write_rest)(void *ctx, const char *folder, mbs_err *err);
    void *write_rest_ctx;
    mbs_dtype write_dtype; /* of model.safetensors: F32 or BF16 */
    int force, resume;
    mbs_progress_mode progress;
} mbs_train_job;

typedef struct mbs_train_result {
    int was_done;         /* resumed, and the output was complete: all else is 0 */
    int64_t steps;        /* done in all */
    int64_t resumed_from; /* 0: from the beginning */
    int64_t tokens;       /* seen, of this run */
    double seconds;
    int has_eval;
    double loss;                  /* held-out, mean, nats; both strands together where there is a complement */
    double loss_plus, loss_minus; /* strands; NaN: none */
    double accuracy;              /* classify and targets: share that is right; else NaN */
    int64_t best_step;            /* with patience: the step whose weights were written */
    int64_t *confusion;           /* n_classes x n_classes, truth by rows; NULL; freed by mbs_train_result_free */
    int stop_signal;
} mbs_train_result;

/* Of an output that is complete: removes the hidden folder that a death behind the last rename left. */
mbs_status mbs_train_sweep(const char *output, mbs_err *err);

/* Before anything is read or computed: MBS_ERR_CREATE where `output` stands there already (without force), or where a
 * run that was not finished left checkpoints for it (without force and resume). *done, with resume: it is complete and
 * was made of this very recipe_text. mbs_train looks again. */
mbs_status mbs_train_look(const char *output, const char *recipe_text, int force, int resume, int *done, mbs_err *err);

/* MBS_ERR_STOPPED (75) after SIGTERM or SIGINT with a checkpoint written. MBS_ERR_DATA where a number stopped being
 * finite: step and tensor are named, the checkpoint before it is kept. */
mbs_status mbs_train(const mbs_train_job *job, mbs_train_result *result, mbs_err *err);
void mbs_train_result_free(mbs_train_result *r);

#endif
