/*
 * classes.h - the classes of a model with a classification head, as config.json names them.
 *
 * transformers' keys: "id2label" {"0": name, ...}, "label2id" (its inverse), "num_labels" (their number, which may
 * stand alone); and ours, "mambaseq_pool": "mean" or "last", which rows of a record the head gets. The tensors of the
 * head are score.weight (classes, d_model) and, where there is one, score.bias (classes).
 */
#ifndef MBS_MODEL_CLASSES_H
#define MBS_MODEL_CLASSES_H

#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "model/config.h"

#define MBS_CLASSES_MAX 100000

typedef struct mbs_classes {
    int64_t n;
    char **names; /* n; NULL where only their number is told */
} mbs_classes;

/* What a config names: n is 0 where it names none. Names are complete, numbered 0..n-1, each another, not empty and
 * without control characters; anything else is MBS_ERR_DATA. `where` for messages. */
mbs_status mbs_classes_of_config(const mbs_json *config, const char *where, mbs_classes *out, mbs_err *err);
/* The same of FOLDER/config.json. */
mbs_status mbs_classes_load(const char *folder, mbs_classes *out, mbs_err *err);
/* n names, copied. MBS_ERR_DATA for names that mbs_classes_of_config would refuse, or fewer than two of them. */
mbs_status mbs_classes_new(const char *const *names, int64_t n, const char *where, mbs_classes *out, mbs_err *err);
void mbs_classes_free(mbs_classes *c);
/* The class of a label: a name, or, where no class has that name, a number. -1: none. */
int64_t mbs_classes_find(const mbs_classes *c, const char *label);
/* Makes FOLDER/config.json that of a classifier: the keys above and "architectures" say what is given here, everything
 * else stays as it is. The names must be told. */
mbs_status mbs_classes_write(const char *folder, const mbs_classes *c, mbs_pooling pool, mbs_err *err);

#endif
