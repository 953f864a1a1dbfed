/*
 * start.h - tokens that a model was trained to see before a record's first: one that says nothing ("somebody begins"),
 * and behind it one for each class of records. They are ids behind those of the codec, so nothing ever draws or scores
 * them. config.json says them:
 *
 *   "mambaseq_start": {"token": 256, "classes": ["eight", "five", ...]}
 *
 * The class k has the id token + 1 + k; without classes there is the one token.
 */
#ifndef MBS_MODEL_START_H
#define MBS_MODEL_START_H

#include "base/err.h"
#include "base/json.h"
#include "model/classes.h"

#define MBS_START_KEY "mambaseq_start"

/* What a config says: *token is 0 and names->n is 0 where it says nothing. MBS_ERR_DATA for what cannot be. */
mbs_status mbs_start_of_config(const mbs_json *config, int64_t vocab_rows, int64_t *token, mbs_classes *names,
                               mbs_err *err);
/* The names of FOLDER/config.json, which mbs_config_load has checked. */
mbs_status mbs_start_load(const char *folder, mbs_classes *names, mbs_err *err);
/* Adds one name behind the others; *k is its place, or that of the same name. MBS_ERR_DATA for a name that cannot be
 * one. `where` for messages. */
mbs_status mbs_start_add(mbs_classes *names, const char *name, const char *where, int64_t *k, mbs_err *err);
/* Makes FOLDER/config.json say so; everything else stays as it is. */
mbs_status mbs_start_write(const char *folder, int64_t token, const mbs_classes *names, mbs_err *err);

#endif
