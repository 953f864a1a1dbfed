/* Two models of one run: odds mean something where both are asked the same, token for token. */
#include <string.h>

#include "model/whole.h"
#include "plug/params.h"
#include "run/stages.h"

static mbs_status differ(const mbs_stages *s, mbs_err *err) {
    mbs_err_fix(err, "take two models of one vocabulary: '%s' and '%s' are not",
                mbs_params_string(s->plan->model, "name"), mbs_params_string(s->plan->rival, "name"));
    return MBS_ERR_CONFIG;
}

static mbs_status same_tokens(const mbs_stages *s, const mbs_vocab *a, const mbs_vocab *b, mbs_err *err) {
    const char *codec = s->plan->codec->label;
    if (a->size != b->size) {
        mbs_fail(err, MBS_ERR_CONFIG, codec, "the first model has %d tokens, and the second %d", a->size, b->size);
        return differ(s, err);
    }
    for (int32_t i = 0; i < a->size; i++) {
        if (strcmp(a->tokens[i], b->tokens[i]) != 0) {
            mbs_fail(err, MBS_ERR_CONFIG, codec, "token %d is '%.40s' to the first model, and '%.40s' to the second", i,
                     a->tokens[i], b->tokens[i]);
            return differ(s, err);
        }
    }
    mbs_around x = mbs_vocab_around(a);
    mbs_around y = mbs_vocab_around(b);
    if (x.n_before != y.n_before || x.n_after != y.n_after ||
        (x.n_before && memcmp(x.before, y.before, (size_t)x.n_before * sizeof *x.before) != 0) ||
        (x.n_after && memcmp(x.after, y.after, (size_t)x.n_after * sizeof *x.after) != 0)) {
        mbs_fail(err, MBS_ERR_CONFIG, codec, "the models have other tokens in front of a record or behind it");
        return differ(s, err);
    }
    return MBS_OK;
}

mbs_status mbs_rival_same_tokens(const mbs_stages *s, mbs_err *err) {
    const mbs_model *of[2] = {s->engine->model, s->engine->rival};
    const mbs_params *params[2] = {s->plan->model, s->plan->rival};
    for (int i = 0; i < 2; i++) {
        if (mbs_model_takes_whole(of[i])) {
            mbs_fail(err, MBS_ERR_CONFIG, mbs_params_string(params[i], "path"),
                     "it reads both ways, and two models in one run read from left to right");
            mbs_err_fix(err, "take causal models, or run each alone");
            return MBS_ERR_CONFIG;
        }
    }
    if ((mbs_model_get_config(of[0])->start > 0) != (mbs_model_get_config(of[1])->start > 0)) {
        mbs_fail(err, MBS_ERR_CONFIG, mbs_params_string(params[1], "path"),
                 "one of the models begins a record with a token of its class, and the other does not");
        mbs_err_fix(err, "take two models of one kind");
        return MBS_ERR_CONFIG;
    }
    const mbs_vocab *a = mbs_codec_vocab(s->codec);
    const mbs_vocab *b = mbs_codec_vocab(s->rival_codec);
    return a && b ? same_tokens(s, a, b, err) : MBS_OK;
}
