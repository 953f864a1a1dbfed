/*
 * kit.h - what the tests of libmambaseq share. They see mambaseq.h only, and are linked with the shared library.
 */
#ifndef MBS_TEST_EMBED_KIT_H
#define MBS_TEST_EMBED_KIT_H

#include "mambaseq/mambaseq.h"
#include "support/test.h"

#define ECOLI MBS_SOURCE_DIR "/share/models/ecoli-ref"
#define V 16  /* its vocab_rows */
#define D 128 /* its d_model */

#define OK(CALL) kit_ok((CALL), &err, __LINE__)

__attribute__((unused)) static void kit_ok(mbs_status st, const mbs_lm_error *err, int line) {
    char text[2600];
    CHECK(st == MBS_OK && err->status == MBS_OK, "line %d: %s", line, mbs_lm_error_line(err, text, sizeof text));
}

/* Uniform A, C, G and T. */
__attribute__((unused)) static void kit_ids(int32_t *ids, int64_t n) {
    uint32_t x = 12345;
    for (int64_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = 7 + (int32_t)(x >> 30);
    }
}

__attribute__((unused)) static mbs_lm *kit_open(int threads) {
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_options o = MBS_LM_OPTIONS_INIT;
    mbs_lm *lm;
    o.threads = threads;
    OK(mbs_lm_open(ECOLI, &o, &lm, &err));
    return lm;
}

__attribute__((unused)) static mbs_lm_stream *kit_stream(mbs_lm *lm) {
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_stream *s;
    OK(mbs_lm_stream_new(lm, 0, &s, &err));
    return s;
}

/* The log-probabilities of n tokens behind what the stream has seen. */
__attribute__((unused)) static void kit_feed(mbs_lm_stream *s, const int32_t *ids, int64_t n, float *logprob) {
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_out out = MBS_LM_OUT_INIT;
    out.logprob = logprob;
    OK(mbs_lm_feed(s, ids, n, &out, &err));
}

#endif
