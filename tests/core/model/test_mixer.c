/* What the table of mixers carries beyond one mixer: layers of several kinds, each with its part of the state. */
#include "base/buf.h"
#include "model/impl.h"
#include "model_kit.h"
#include "support/test.h"

#define LEN 1200

/* mamba1 with 5 floats more of state for layer 0, 10 for layer 1 and so on: the first counts the rows that the layer
 * has seen. */
static int wrong;
static int64_t calls;

static int64_t more(int64_t index) {
    return 5 * (index + 1);
}

static int64_t counting_state(const mbs_model_config *c, int64_t index) {
    return mbs_mixer_mamba1.state_floats(c, index) + more(index);
}

typedef struct counting {
    void *inner;
    int64_t count_at; /* behind the inner state */
} counting;

static mbk_status counting_forward(const void *layer, const mbs_mixer_call *call) {
    const counting *l = layer;
    const mbk_ops *ops = call->ctx->ops;
    size_t at = (size_t)(call->state_at + l->count_at) * sizeof(float);
    float seen;
    mbk_status st = ops->download(call->ctx, &seen, call->state, at, sizeof seen);
    wrong += (int64_t)seen != call->position;
    calls++;
    seen += (float)call->in.rows;
    st = st < 0 ? st : ops->upload(call->ctx, call->state, at, &seen, sizeof seen);
    return st < 0 ? st : mbs_mixer_mamba1.forward(l->inner, call);
}

static void counting_unload(mbk_ctx *ctx, void *layer) {
    counting *l = layer;
    mbs_mixer_mamba1.unload(ctx, l->inner);
    free(l);
}

static void counting_save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    int64_t inner = mbs_mixer_mamba1.state_floats(c, index);
    mbs_mixer_mamba1.save(c, index, device, canonical);
    memcpy(canonical + inner, device + inner, (size_t)more(index) * sizeof(float));
}

static void counting_restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    int64_t inner = mbs_mixer_mamba1.state_floats(c, index);
    mbs_mixer_mamba1.restore(c, index, canonical, device);
    memcpy(device + inner, canonical + inner, (size_t)more(index) * sizeof(float));
}

/* ecoli-ref, whose layers of odd index count. */
static mkit start_mixed(const mbs_mixer *kind, int64_t max_rows) {
    mbs_err err = {0};
    mkit k = mkit_start(ECOLI_REF, MBK_LEVEL_REF, 1, 1);
    mbs_session_free(k.s);
    for (int64_t i = 1; i < k.m->cfg.n_layer; i += 2) {
        counting *l = calloc(1, sizeof *l);
        l->inner = k.m->layers[i].weights;
        l->count_at = mbs_mixer_mamba1.state_floats(&k.m->cfg, i);
        k.m->layers[i].weights = l;
        k.m->layers[i].mixer = kind;
    }
    mbs_model_place_states(k.m);
    OK(mbs_session_new(k.m, max_rows, &k.s, &err), &err);
    OK(mbs_session_reset(k.s, &err), &err);
    return k;
}

static mbs_mixer counting_mixer(void) {
    mbs_mixer kind = mbs_mixer_mamba1;
    kind.state_floats = counting_state;
    kind.forward = counting_forward;
    kind.unload = counting_unload;
    kind.save = counting_save;
    kind.restore = counting_restore;
    return kind;
}

static void feed(mkit *k, const int32_t *ids, int64_t from, int64_t to, float *lp) {
    mbs_err err = {0};
    mbs_run_out out = {.logprob = lp + from, .layer = -1};
    OK(mbs_session_run(k->s, ids + from, to - from, &out, &err), &err);
}

MBS_TEST(mixer, layers_of_two_kinds_have_their_own_state_and_know_the_position) {
    mbs_mixer kind = counting_mixer();
    int32_t *ids = mkit_random_ids(LEN);
    static float want[LEN];
    static float got[LEN];
    mkit pure = mkit_start(ECOLI_REF, MBK_LEVEL_REF, 1, LEN);
    feed(&pure, ids, 0, LEN, want);
    mkit mixed = start_mixed(&kind, LEN);
    CHECK_INT(mixed.m->state_floats - pure.m->state_floats, more(1) + more(3));
    wrong = 0;
    calls = 0;
    static const int64_t cuts[] = {0, 1, 2, 39, LEN};
    for (int i = 0; i < 4; i++) {
        feed(&mixed, ids, cuts[i], cuts[i + 1], got);
    }
    CHECK(mkit_same(got, want, LEN), "a layer of another kind moved the state of its neighbours");
    CHECK(calls > 8, "the long call was to be worked off in more than one tile");
    CHECK_INT(wrong, 0);
    mkit_close(&pure);
    mkit_close(&mixed);
    free(ids);
}

MBS_TEST(mixer, saved_state_holds_every_kind) {
    mbs_err err = {0};
    mbs_mixer kind = counting_mixer();
    int32_t *ids = mkit_random_ids(LEN);
    static float want[LEN];
    static float got[LEN];
    mbs_buf blob = MBS_BUF_INIT;
    mkit a = start_mixed(&kind, LEN);
    mkit b = start_mixed(&kind, 7);
    CHECK(a.m->cfg.n_layer == 4);
    wrong = 0;
    feed(&a, ids, 0, 100, want);
    OK(mbs_session_save(a.s, &blob, &err), &err);
    OK(mbs_session_restore(b.s, blob.data, blob.len, &err), &err);
    feed(&a, ids, 100, 121, want);
    for (int64_t at = 100; at < 121; at += 7) {
        feed(&b, ids, at, at + 7, got);
    }
    CHECK(mkit_same(got + 100, want + 100, 21));
    CHECK_INT(wrong, 0); /* of the counts in b's state too */
    mbs_buf_free(&blob);
    mkit_close(&a);
    mkit_close(&b);
    free(ids);
}

static int64_t reserved;

static mbk_status note_reserve(mbk_ctx *ctx, int64_t rows, int64_t cols) {
    (void)ctx;
    (void)rows;
    reserved = cols;
    return MBS_OK;
}

static int64_t wide_in_the_last_layer(const mbs_model_config *c, int64_t index) {
    return index == c->n_layer - 1 ? 5000 : 1;
}

/* The backend's scratch fits the widest layer, whatever mamba1 would need. */
MBS_TEST(mixer, reserves_for_the_widest_layer) {
    mbs_err err = {0};
    mbs_mixer kind = counting_mixer();
    kind.widest = wide_in_the_last_layer;
    mkit k = start_mixed(&kind, 7);
    const mbk_ops *real = k.ctx->ops;
    mbk_ops noting = *real;
    noting.reserve = note_reserve;
    k.ctx->ops = &noting;
    mbs_session *s;
    OK(mbs_session_new(k.m, 7, &s, &err), &err);
    CHECK_INT(reserved, 5000);
    k.ctx->ops = real;
    mbs_session_free(s);
    mkit_close(&k);
}
