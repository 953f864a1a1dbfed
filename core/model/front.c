#include "model/front.h"

#include <math.h>
#include <string.h>

void mbs_front_parse(const mbs_json *doc, mbs_model_config *c, mbs_err *err) {
    c->frame_width = mbs_json_int_in(doc, MBS_FRONT_KEY, 0, 1, MBS_FRAME_MAX_WIDTH, err);
    if (c->frame_width > 0) {
        c->vocab_size = c->vocab_rows = 0;
        c->tie_embeddings = 0;
        c->no_lm_head = 1;
    }
}

void mbs_front_declare(const mbs_model_config *c, const char *backbone, mbs_specs *s) {
    (void)snprintf(s->prefix, sizeof s->prefix, "%s", backbone);
    mbs_specs_add_matrix(s, "frontend.weight", mbs_draw_uniform, 1 / sqrt((double)c->frame_width), c->d_model,
                         c->frame_width);
    mbs_specs_add(s, "frontend.bias", mbs_draw_constant, 0, c->d_model, 0, 0);
    s->prefix[0] = '\0';
}

mbs_status mbs_front_load(mbs_model *m, mbs_loader *ld) {
    mbs_status st = mbs_loader_weight(ld, "frontend.weight", m->cfg.d_model, m->cfg.frame_width, &m->front);
    return st < 0 ? st : mbs_loader_buf(ld, "frontend.bias", 0, &m->front_bias);
}

void mbs_front_free(mbs_model *m) {
    m->ctx->ops->weight_free(m->ctx, m->front);
    m->ctx->ops->buf_free(m->ctx, m->front_bias);
}

mbs_status mbs_front_check(const float *frames, int64_t n, int64_t width, int64_t at, const char *where, mbs_err *err) {
    for (int64_t i = 0; i < n * width; i++) {
        if (!isfinite(frames[i])) {
            mbs_fail(err, MBS_ERR_DATA, where, "frame %lld holds %s", (long long)(at + i / width),
                     isnan(frames[i]) ? "a number that is none (NaN)" : "an infinite number");
            mbs_err_fix(
                err, "mend the recording: samples lie between -1 and 1, and one of 1e30, say, has an energy beyond all "
                     "numbers (sox FILE NEW gain -n)");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}
