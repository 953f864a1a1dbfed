#include <string.h>

#include "base/mem.h"
#include "run/task_compress.h"

mbs_status mbs_packer_init(mbs_packer *p, const mbs_task_env *env, int64_t max_rows, mbs_err *err) {
    p->env = *env;
    const char *task = mbs_task_name(env->task);
    if (!env->vocab) {
        return mbs_fail(err, MBS_ERR_CONFIG, task, "the codec has no vocabulary");
    }
    if (mbs_model_pace(env->models->model)->halvings > 0) {
        mbs_fail(err, MBS_ERR_CONFIG, task, "the numbers of %s depend on how many tokens ride along",
                 mbs_model_arithmetic(env->models->model));
        mbs_err_fix(err, "give --device cpu");
        return MBS_ERR_CONFIG;
    }
    p->n_ids = env->vocab->size;
    int32_t usable = 0;
    for (int32_t i = 0; i < p->n_ids; i++) {
        usable += env->vocab->decodable[i] != 0;
    }
    if (usable == 0) {
        return mbs_fail(err, MBS_ERR_CONFIG, task, "the codec can write none of its tokens back");
    }
    size_t rows = (size_t)mbs_model_get_config(env->models->model)->vocab_rows;
    p->predicted = mbs_calloc(rows, sizeof(*p->predicted));
    p->counts = mbs_calloc((size_t)p->n_ids, sizeof(*p->counts));
    p->sum = UINT64_C(14695981039346656037);
    if (!p->predicted || !p->counts) {
        return mbs_fail_memory(err, task, rows * sizeof(float));
    }
    return mbs_session_new(env->models->model, max_rows, &p->session, err);
}

void mbs_packer_free(mbs_packer *p) {
    mbs_session_free(p->session);
    mbs_free(p->predicted);
    mbs_free(p->counts);
}

mbs_status mbs_packer_counts(mbs_packer *p, const float *row, uint32_t *total, mbs_err *err) {
    const float *logits = row ? row : p->has_predicted ? p->predicted : NULL;
    *total = mbs_coder_counts(logits, p->env.vocab->decodable, p->n_ids, p->counts);
    return *total ? MBS_OK
                  : mbs_fail(err, MBS_ERR_DATA, mbs_task_name(p->env.task), "the model's prediction is not a number");
}

/* FNV-1a over the id and the byte of every row. */
void mbs_packer_sum(mbs_packer *p, int32_t id, uint8_t byte) {
    uint32_t v = (uint32_t)id;
    const uint8_t of[5] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24), byte};
    for (int i = 0; i < 5; i++) {
        p->sum = (p->sum ^ of[i]) * UINT64_C(1099511628211);
    }
}

mbs_status mbs_packer_save(mbs_packer *p, mbs_buf *out, mbs_err *err) {
    mbs_buf_put_i64(out, p->begun | p->done << 1 | p->has_predicted << 2);
    mbs_buf_put_i64(out, p->position);
    mbs_buf_put_i64(out, (int64_t)p->sum);
    mbs_buf_put_i64(out, p->totals.tokens);
    mbs_buf_put_i64(out, p->totals.scored);
    mbs_buf_put_i64(out, p->totals.given);
    mbs_buf_put_bytes(out, &p->rows, sizeof(p->rows));
    mbs_buf_put_bytes(out, p->predicted,
                      (size_t)mbs_model_get_config(p->env.models->model)->vocab_rows * sizeof(float));
    mbs_buf blob = MBS_BUF_INIT;
    mbs_status st = mbs_session_save(p->session, &blob, err);
    mbs_buf_put_bytes(out, blob.data, blob.len);
    mbs_buf_free(&blob);
    return st;
}

mbs_status mbs_packer_restore(mbs_packer *p, mbs_cursor *c, mbs_err *err) {
    int64_t flags = mbs_cursor_i64(c);
    p->begun = flags & 1;
    p->done = (flags >> 1) & 1;
    p->has_predicted = (flags >> 2) & 1;
    p->position = mbs_cursor_i64(c);
    p->sum = (uint64_t)mbs_cursor_i64(c);
    p->totals.tokens = mbs_cursor_i64(c);
    p->totals.scored = mbs_cursor_i64(c);
    p->totals.given = mbs_cursor_i64(c);
    size_t row = (size_t)mbs_model_get_config(p->env.models->model)->vocab_rows * sizeof(float);
    size_t n = 0;
    int whole = mbs_cursor_into(c, &p->rows, sizeof(p->rows)) && mbs_cursor_into(c, p->predicted, row);
    const void *blob = mbs_cursor_bytes(c, &n);
    if (!whole || c->failed || (p->rows.kind & ~1) || (p->rows.spelling & ~255)) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the state of the coder is damaged");
    }
    return mbs_session_restore(p->session, blob, n, err);
}
