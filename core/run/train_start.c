/* train_start.c - what records begin with: an id behind the codec's, one for each label where the recipe says so. */
#include <inttypes.h>
#include <string.h>

#include "model/start.h"
#include "run/train_impl.h"

static mbs_status too_few_rows(const training *t, int64_t needed, mbs_err *err) {
    mbs_fail(err, MBS_ERR_CONFIG, "train.start",
             "ids that records begin with stand behind those of the codec: %" PRId64
             " are needed in all, and the model has %" PRId64,
             needed, t->cfg.vocab_rows);
    mbs_err_fix(err, "give the shape vocab: %" PRId64, needed);
    return MBS_ERR_CONFIG;
}

mbs_status mbs_training_start(training *t, const mbs_vocab *v, mbs_err *err) {
    const char *word = mbs_params_string(t->plan->recipe->part[MBS_RECIPE_TRAIN], "start");
    int has = t->cfg.start > 0 && t->job.recipe.loss == MBS_LOSS_CAUSAL;
    int automatic = strcmp(word, "auto") == 0;
    if (strcmp(word, "none") == 0 || (automatic && !has)) {
        return MBS_OK;
    }
    if (!v) {
        return mbs_fail(err, MBS_ERR_CONFIG, "train.start", "%s, and there is no codec whose ids it could follow",
                        word);
    }
    t->start_by_class = automatic ? t->cfg.n_start > 0 : strcmp(word, "class") == 0;
    t->job.start = has ? (int32_t)t->cfg.start : v->size;
    if (has && (t->cfg.start < v->size || t->start_by_class != (t->cfg.n_start > 0))) {
        mbs_fail(err, MBS_ERR_CONFIG, "train.start", "the model that is begun with begins records in another way");
        mbs_err_fix(err, "leave start out");
        return MBS_ERR_CONFIG;
    }
    if (t->job.start >= t->cfg.vocab_rows) {
        return too_few_rows(t, (int64_t)t->job.start + 1, err);
    }
    return has && t->start_by_class ? mbs_start_load(t->folder, &t->starts, err) : MBS_OK;
}

/* The labels' ids are in the order in which they come first; a model that is there has its own. */
static mbs_status id_of(training *t, const mbs_record *record, int32_t *id, mbs_err *err) {
    int64_t before = t->starts.n;
    int64_t k = 0;
    mbs_status st = mbs_start_add(&t->starts, record->label, record->name, &k, err);
    if (st == MBS_OK && t->cfg.n_start > 0 && t->starts.n > before) {
        mbs_fail(err, MBS_ERR_DATA, record->name, "the label '%s' is none of the %" PRId64 " that the model knows",
                 record->label, t->cfg.n_start);
        mbs_err_fix(err, "delete the record, or begin with a fresh model (model.init)");
        return MBS_ERR_DATA;
    }
    *id = (int32_t)(t->job.start + 1 + k);
    return st == MBS_OK && *id >= t->cfg.vocab_rows ? too_few_rows(t, (int64_t)*id + 1, err) : st;
}

mbs_status mbs_training_put_start(training *t, const mbs_record *record, mbs_err *err) {
    int32_t id = t->job.start;
    int64_t at = record->start - 1; /* before its first token; that no region of a split begins there is no loss */
    mbs_spool_sides sides = {.coordinate = &at};
    if (id == 0) {
        return MBS_OK;
    }
    mbs_status st = t->start_by_class && record->label ? id_of(t, record, &id, err) : MBS_OK;
    return st == MBS_OK ? mbs_spool_add(t->spool, &id, 1, &sides, err) : st;
}
