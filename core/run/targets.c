#include "run/targets.h"

#include <math.h>

#include "plug/instance.h"
#include "stream/chunk.h"

mbs_status mbs_targets_of(const mbs_block *tokens, int64_t vocab, int32_t *wanted, int *any, mbs_err *err) {
    const mbs_side *side = mbs_block_side_find(tokens, "target");
    *any = side && side->dtype == MBS_I32 && side->width == 1;
    if (!*any) {
        return MBS_OK;
    }
    const int32_t *ids = tokens->data;
    const int32_t *targets = side->data;
    int64_t context = mbs_chunk_context_rows(tokens);
    int64_t fed = 0;
    for (int64_t i = 0; i < tokens->shape[0]; i++) {
        if (targets[i] >= vocab) {
            mbs_fail(err, MBS_ERR_DATA, tokens->record->name, "target %d at %lld is not one of the model's %lld tokens",
                     targets[i], (long long)mbs_chunk_position(tokens, i), (long long)vocab);
            mbs_err_fix(err, "use a model of more ids, or tell the reader to use fewer");
            return MBS_ERR_DATA;
        }
        if (ids[i] >= 0) {
            wanted[fed++] = i < context ? -1 : targets[i];
        }
    }
    return MBS_OK;
}

void mbs_targets_begin(mbs_targets *t) {
    t->asked_here = t->right_here = 0;
}

void mbs_targets_row(mbs_targets *t, const float *logits, int64_t vocab, int32_t want) {
    double most = -INFINITY;
    int64_t best = -1;
    double sum = 0;
    for (int64_t k = 0; k < vocab; k++) {
        if ((double)logits[k] > most) {
            most = (double)logits[k];
            best = k;
        }
    }
    for (int64_t k = 0; k < vocab; k++) {
        sum += exp((double)logits[k] - most);
    }
    t->asked_here++;
    t->asked++;
    t->right_here += best == want;
    t->right += best == want;
    t->logprob += (double)logits[want] - most - log(sum);
}

void mbs_targets_end(mbs_targets *t) {
    t->records += t->asked_here > 0;
    t->exact += t->asked_here > 0 && t->right_here == t->asked_here;
    mbs_targets_begin(t);
}
