/*
 * train_impl.h - what the files of a training share: train.c (the order of things), train_input.c (the spool),
 * train_model.c (what is begun with, and its files), train_values.c (the recipe as values and text).
 */
#ifndef MBS_RUN_TRAIN_IMPL_H
#define MBS_RUN_TRAIN_IMPL_H

#include "model/classes.h"
#include "model/shape.h"
#include "pipe/recipe.h"
#include "run/stages.h"
#include "run/train.h"
#include "train/checkpoint.h"

typedef struct training {
    const mbs_train_options *o;
    mbs_train_report *report;
    mbs_registry *registry;
    mbs_plan *plan;
    mbs_engine engine; /* backend, and what codecs are lent of a fresh model */
    mbs_train_job job; /* as far as it is known */
    mbs_workplace place;
    /* What is begun with. */
    int fresh;
    const char *folder; /* or this one */
    mbs_model_config cfg;
    unsigned flags; /* MBS_INIT_... of a fresh one */
    mbs_buf config; /* config.json of a fresh one */
    mbs_lent_file files[2];
    mbs_lent_file *tokenizer; /* what the codec says of its ids, for a fresh one */
    mbs_net *net;
    mbs_classes classes;
    mbs_classes starts; /* classes that records begin with (model/start.h) */
    int start_by_class;
    /* The input. */
    mbs_spool *spool;
    int32_t *complement;
    char unit[32];
    double rate; /* of the reader's stream; 0: it is no sound */
    int64_t channels;
    /* Texts of the job. */
    mbs_buf identity;
    mbs_buf yaml;
} training;

/* --- train_values.c */
int mbs_training_classifies(const training *t);
/* The recipe of the job, and its recipe_text. */
mbs_status mbs_training_values(training *t, mbs_err *err);
/* Lines of the identity: recipe, model, regions, input, arithmetic. */
mbs_status mbs_training_identity(training *t, mbs_err *err);
/* What would be trained. */
void mbs_training_plan(const training *t, mbs_buf *out);

/* --- train_model.c */
/* Config of what is begun with; a mistake in a shape goes to the report. */
mbs_status mbs_training_config(training *t, mbs_err *err);
/* Classes that are told or that the folder has; n is 0 where only the input knows. */
mbs_status mbs_training_known_classes(training *t, mbs_err *err);
mbs_status mbs_training_net(training *t, int64_t classes, mbs_err *err);
/* mbs_train_job.write_rest of a training. */
mbs_status mbs_training_write_rest(void *ctx, const char *folder, mbs_err *err);
/* SHA-256 over what the folder's weights and config, or the fresh config, are. */
mbs_status mbs_training_model_sha256(const training *t, char out[65], mbs_err *err);

/* --- train_input.c */
/* MBS_ERR_USAGE where the output is one of the files that are read. */
mbs_status mbs_training_check_output(const training *t, mbs_err *err);
void mbs_training_free_files(mbs_lent_file *list);
/* Reads the input into a spool, and takes over what the vocabulary says. */
mbs_status mbs_training_read(training *t, mbs_err *err);
/* train_start.c: what records begin with, once the vocabulary is known; t->job.start is 0 where nothing. */
mbs_status mbs_training_start(training *t, const mbs_vocab *v, mbs_err *err);
/* A record of this label (NULL: none) begins: its id, if any, to the spool. */
mbs_status mbs_training_put_start(training *t, const mbs_record *record, mbs_err *err);
/* Classes that nobody told: the labels of the records. Then every label has to be one of the classes. */
mbs_status mbs_training_labels(training *t, mbs_err *err);

#endif
