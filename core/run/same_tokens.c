/* Several models of one run: odds mean something where all are asked the same, token for token. */
#include <string.h>

#include "model/whole.h"
#include "plug/params.h"
#include "run/stages.h"

/* How messages count models. */
static const char *const ordinals[] = {"first", "second"};
_Static_assert(sizeof ordinals / sizeof *ordinals == MBS_PLAN_MODELS, "each model of a run is counted");

static mbs_status differ(const mbs_stages *s, int k, mbs_err *err) {
    mbs_err_fix(err, "take two models of one vocabulary: '%s' and '%s' are not", s->models[0].name, s->models[k].name);
    return MBS_ERR_CONFIG;
}

static mbs_status same_vocab(const mbs_stages *s, int k, mbs_err *err) {
    const mbs_vocab *a = mbs_codec_vocab(s->codec);
    const mbs_vocab *b = mbs_codec_vocab(s->models[k].codec);
    if (!a || !b) {
        return MBS_OK;
    }
    const char *codec = s->plan->codec->label;
    if (a->size != b->size) {
        mbs_fail(err, MBS_ERR_CONFIG, codec, "the first model has %d tokens, and the %s %d", a->size, ordinals[k],
                 b->size);
        return differ(s, k, err);
    }
    for (int32_t i = 0; i < a->size; i++) {
        if (strcmp(a->tokens[i], b->tokens[i]) != 0) {
            mbs_fail(err, MBS_ERR_CONFIG, codec, "token %d is '%.40s' to the first model, and '%.40s' to the %s", i,
                     a->tokens[i], b->tokens[i], ordinals[k]);
            return differ(s, k, err);
        }
    }
    mbs_around x = mbs_vocab_around(a);
    mbs_around y = mbs_vocab_around(b);
    if (x.n_before != y.n_before || x.n_after != y.n_after ||
        (x.n_before && memcmp(x.before, y.before, (size_t)x.n_before * sizeof *x.before) != 0) ||
        (x.n_after && memcmp(x.after, y.after, (size_t)x.n_after * sizeof *x.after) != 0)) {
        mbs_fail(err, MBS_ERR_CONFIG, codec, "the models have other tokens in front of a record or behind it");
        return differ(s, k, err);
    }
    return MBS_OK;
}

mbs_status mbs_stages_same_tokens(const mbs_stages *s, int i, mbs_err *err) {
    const mbs_stage_model *of[2] = {&s->models[0], &s->models[i]};
    for (int k = 0; k < 2; k++) {
        if (mbs_model_takes_whole(of[k]->model)) {
            mbs_fail(err, MBS_ERR_CONFIG, of[k]->lender.folder,
                     "it reads both ways, and two models in one run read from left to right");
            mbs_err_fix(err, "take causal models, or run each alone");
            return MBS_ERR_CONFIG;
        }
    }
    if ((mbs_model_get_config(of[0]->model)->start > 0) != (mbs_model_get_config(of[1]->model)->start > 0)) {
        mbs_fail(err, MBS_ERR_CONFIG, of[1]->lender.folder,
                 "one of the models begins a record with a token of its class, and the other does not");
        mbs_err_fix(err, "take two models of one kind");
        return MBS_ERR_CONFIG;
    }
    return same_vocab(s, i, err);
}
