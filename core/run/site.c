/* What a masked model sees of a place in a record. */
#include "base/mem.h"
#include "run/task.h"

mbs_status mbs_site_tokens(const mbs_site *s, const mbs_vocab *v, int32_t **out, int64_t *n, int64_t *row,
                           mbs_err *err) {
    int64_t behind = s->n_ids - s->at - s->n;
    int64_t from = s->at > s->window ? s->at - s->window : 0;
    int64_t to = behind > s->window ? s->at + s->n + s->window : s->n_ids;
    mbs_around around = mbs_vocab_around(v);
    size_t room = (size_t)(to - from + around.n_before + around.n_after);
    int32_t *ids = mbs_calloc(room, sizeof(*ids));
    int64_t k = 0;
    *out = ids;
    if (!ids) {
        return mbs_fail_memory(err, "model", room * sizeof(*ids));
    }
    for (int32_t i = 0; i < around.n_before && s->at < s->window; i++) {
        ids[k++] = around.before[i];
    }
    for (int64_t i = from; i < to; i++) {
        int masked = i >= s->at && i < s->at + s->n;
        *row = i == s->at ? k : *row;
        if (masked || s->ids[i] >= 0) {
            ids[k++] = masked ? s->mask : s->ids[i];
        }
    }
    for (int32_t i = 0; i < around.n_after && behind < s->window; i++) {
        ids[k++] = around.after[i];
    }
    *n = k;
    return MBS_OK;
}
