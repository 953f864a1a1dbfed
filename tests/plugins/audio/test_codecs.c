/* Codecs of samples: the published numbers, the way there and back, cuts. */
#include <math.h>

#include "mambaseq/codec.h"
#include "support/fakehost.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_mulaw;
extern const mbs_plugin_entry_table mbs_plugin_entry_pcm;

typedef struct coding {
    fake_host h;
    const mbs_codec_vt *vt;
    void *self;
    mbs_record record;
} coding;

static void begin(coding *c, const mbs_plugin_entry_table *entry, const char *key, const char *value,
                  int64_t channels) {
    fake_init(&c->h, entry->descriptors[0]);
    if (key) {
        fake_set(&c->h, key, value);
    }
    c->vt = entry->descriptors[0]->vt;
    c->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .strand = '.', .name = "r", .length = -1};
    CHECK_INT(c->vt->create(&c->h.host, fake_params(&c->h), &c->self), MBS_OK);
    mbs_stream_header in = {.struct_size = (uint32_t)sizeof(in), .type = "pcm/f32", .unit = "sample", .rate = 8000};
    in.channels = channels;
    CHECK_INT(c->vt->open(c->self, &in), MBS_OK);
}

static void finish(coding *c) {
    CHECK_INT(c->vt->close(c->self), MBS_OK);
    c->vt->destroy(c->self);
    fake_end(&c->h);
}

/* n rows through encode in blocks of `cut`; the tokens to `ids`. Gives how many. */
static int64_t encode(coding *c, const float *x, int64_t n, int64_t channels, int64_t cut, int32_t *ids) {
    int64_t made = 0;
    for (int64_t at = 0; at < n; at += cut) {
        int64_t rows = n - at < cut ? n - at : cut;
        int64_t shape[2] = {rows, channels};
        mbs_block *b = fake_block_new(&c->h.host, "pcm/f32", MBS_F32, 2, shape);
        memcpy(b->data, x + at * channels, (size_t)(rows * channels) * sizeof(float));
        b->record = &c->record;
        b->start = at;
        b->end = at + rows;
        b->flags = (at == 0 ? MBS_SEQ_START : 0) | (at + rows == n ? MBS_SEQ_END : 0);
        mbs_block *out = NULL;
        CHECK_INT(c->vt->encode(c->self, b, &out), MBS_OK);
        CHECK_INT(out->end, b->end);
        memcpy(ids + made, out->data, (size_t)out->shape[0] * sizeof(*ids));
        made += out->shape[0];
        fake_block_unref(&c->h.host, out);
        fake_block_unref(&c->h.host, b);
    }
    return made;
}

static int64_t decode(coding *c, const int32_t *ids, int64_t n, int64_t channels, int64_t cut, float *x) {
    int64_t rows = 0;
    for (int64_t at = 0; at < n; at += cut) {
        int64_t shape[1] = {n - at < cut ? n - at : cut};
        mbs_block *b = fake_block_new(&c->h.host, "tokens/i32", MBS_I32, 1, shape);
        memcpy(b->data, ids + at, (size_t)shape[0] * sizeof(*ids));
        b->record = &c->record;
        b->start = at;
        b->end = at + shape[0];
        b->flags = (at == 0 ? MBS_SEQ_START : 0) | (at + shape[0] == n ? MBS_SEQ_END : 0);
        mbs_block *out = NULL;
        CHECK_INT(c->vt->decode(c->self, b, &out), MBS_OK);
        CHECK_INT(out->start, rows);
        memcpy(x + rows * channels, out->data, (size_t)(out->shape[0] * channels) * sizeof(float));
        rows += out->shape[0];
        fake_block_unref(&c->h.host, out);
        fake_block_unref(&c->h.host, b);
    }
    return rows;
}

/* Numbers that PyTorch gives for the published functions. */
MBS_TEST(codecs, mulaw_as_published) {
    static const float x[] = {0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 0.01f, -0.01f, 0.001f};
    static const int32_t sashimi[] = {128, 255, 0, 240, 15, 157, 98, 133};
    static const int32_t torchaudio[] = {128, 255, 0, 239, 16, 157, 98, 133};
    int32_t ids[8];
    coding c;
    begin(&c, &mbs_plugin_entry_mulaw, NULL, NULL, 1);
    CHECK_INT(encode(&c, x, 8, 1, 3, ids), 8);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(ids[i], sashimi[i]);
    }
    static const int32_t codes[] = {0, 64, 128, 255};
    float y[4];
    CHECK_INT(decode(&c, codes, 4, 1, 4, y), 4);
    CHECK(y[0] == -1.0f && y[2] == 0.0f, "%g %g", (double)y[0], (double)y[2]);
    CHECK(fabs((double)y[1] + 0.05882353) < 1e-7, "%.9g", (double)y[1]);
    CHECK(fabs((double)y[3] - 0.9574370) < 1e-6, "%.9g", (double)y[3]);
    finish(&c);
    begin(&c, &mbs_plugin_entry_mulaw, "variant", "torchaudio", 1);
    CHECK_INT(encode(&c, x, 8, 1, 8, ids), 8);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(ids[i], torchaudio[i]);
    }
    CHECK_INT(decode(&c, codes, 4, 1, 4, y), 4);
    CHECK(y[0] == -1.0f && y[3] == 1.0f);
    finish(&c);
}

/* torchaudio and G.711 give back every code but the second zero of G.711. */
MBS_TEST(codecs, mulaw_there_and_back) {
    static const char *const variants[] = {"torchaudio", "g711"};
    int32_t ids[256];
    int32_t again[256];
    float x[256];
    for (int i = 0; i < 256; i++) {
        ids[i] = i;
    }
    for (int v = 0; v < 2; v++) {
        coding c;
        begin(&c, &mbs_plugin_entry_mulaw, "variant", variants[v], 1);
        CHECK_INT(decode(&c, ids, 256, 1, 9, x), 256);
        CHECK_INT(encode(&c, x, 256, 1, 11, again), 256);
        for (int i = 0; i < 256; i++) {
            CHECK_INT(again[i], v == 1 && i == 0x7f ? 0xff : i);
        }
        finish(&c);
    }
}

/* 16 bits come back whole, of two channels, however the tokens are cut: within a sample and within a row too. */
MBS_TEST(codecs, pcm_there_and_back) {
    enum { N = 500 };
    static float x[2 * N];
    static float y[2 * N];
    static int32_t ids[4 * N];
    static int32_t other[4 * N];
    for (int i = 0; i < 2 * N; i++) {
        x[i] = (float)((i * 7919) % 65536 - 32768) / 32768.0f;
    }
    coding c;
    begin(&c, &mbs_plugin_entry_pcm, "bits", "16", 2);
    CHECK_INT(encode(&c, x, N, 2, N, ids), 4 * N);
    CHECK_INT(encode(&c, x, N, 2, 7, other), 4 * N);
    CHECK(memcmp(ids, other, sizeof(ids)) == 0);
    for (int64_t cut = 1; cut < 8; cut++) {
        memset(y, 0, sizeof(y));
        CHECK_INT(decode(&c, ids, 4 * N, 2, cut, y), N);
        CHECK(memcmp(x, y, sizeof(x)) == 0, "cut %lld", (long long)cut);
    }
    CHECK_INT(decode(&c, ids, 4 * N - 1, 2, 64, y), N - 1);
    CHECK(strstr(c.h.log, "end within a sample"), "%s", c.h.log);
    finish(&c);
    begin(&c, &mbs_plugin_entry_pcm, "bits", "8", 1);
    const float few[4] = {0, -1, 1, 0.5f};
    CHECK_INT(encode(&c, few, 4, 1, 4, ids), 4);
    CHECK(ids[0] == 128 && ids[1] == 0 && ids[2] == 255 && ids[3] == 192);
    finish(&c);
}

MBS_TEST(codecs, clipped_and_refused) {
    const float loud[3] = {0.5f, 2.0f, -3.0f};
    int32_t ids[3];
    coding c;
    begin(&c, &mbs_plugin_entry_mulaw, NULL, NULL, 1);
    CHECK_INT(encode(&c, loud, 3, 1, 3, ids), 3);
    CHECK(ids[1] == 255 && ids[2] == 0);
    CHECK_INT(c.vt->close(c.self), MBS_OK);
    CHECK(strstr(c.h.log, "2 samples outside of -1 to 1 were clipped"), "%s", c.h.log);
    c.vt->destroy(c.self);
    fake_end(&c.h);
    fake_init(&c.h, mbs_plugin_entry_mulaw.descriptors[0]);
    fake_set(&c.h, "gain", "2");
    CHECK_INT(c.vt->create(&c.h.host, fake_params(&c.h), &c.self), MBS_ERR_CONFIG);
    CHECK_STR(c.h.param, "gain");
    fake_end(&c.h);
}
