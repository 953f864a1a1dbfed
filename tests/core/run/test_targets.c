/* Accuracy over targets, on a case that can be worked out by hand. */
#include <math.h>

#include "plug/instance.h"
#include "run/targets.h"
#include "support/test.h"

static mbs_block *block_of(const mbs_record *record, int64_t n, const int32_t *ids, const int32_t *targets) {
    mbs_block *b = mbs_block_new("tokens/i32", MBS_I32, 1, &n);
    CHECK(b != NULL);
    memcpy(b->data, ids, (size_t)n * sizeof *ids);
    if (targets) {
        int32_t *side = mbs_block_side_new(b, "target", MBS_I32, 1);
        CHECK(side != NULL);
        memcpy(side, targets, (size_t)n * sizeof *targets);
    }
    b->record = record;
    b->start = record->start - record->context;
    b->end = b->start + n;
    return b;
}

MBS_TEST(run_targets, of_a_block) {
    mbs_record record = {.struct_size = sizeof record, .name = "r", .start = 2, .context = 2, .length = 4};
    mbs_block *b = block_of(&record, 6, (int32_t[]){0, 1, -1, 2, 3, -1}, (int32_t[]){1, -1, 3, -1, 2, 0});
    int32_t wanted[6];
    int any = 0;
    mbs_err err;
    mbs_err_clear(&err);
    CHECK_INT(mbs_targets_of(b, 4, wanted, &any, &err), MBS_OK);
    CHECK_INT(any, 1);
    /* Two rows of context, which ask for nothing; then those that are fed. */
    static const int32_t want[] = {-1, -1, -1, 2};
    CHECK(memcmp(wanted, want, sizeof want) == 0);
    CHECK_INT(mbs_targets_of(b, 3, wanted, &any, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "target 3 at 2 is not one of the model's 3 tokens");
    mbs_block_unref(b);
    b = block_of(&record, 6, (int32_t[]){0, 1, 2, 3, 0, 1}, NULL);
    CHECK_INT(mbs_targets_of(b, 4, wanted, &any, &err), MBS_OK);
    CHECK_INT(any, 0);
    mbs_block_unref(b);
}

MBS_TEST(run_targets, by_hand) {
    /* P = 1/8 1/8 1/4 1/2; all alike, where the first counts; and one that no number is. */
    static const float halves[] = {-3 * 0.69314718f, -3 * 0.69314718f, -2 * 0.69314718f, -0.69314718f};
    static const float alike[] = {5, 5, 5, 5};
    static const float none[] = {NAN, NAN, NAN, NAN};
    mbs_targets t = {0};
    mbs_targets_begin(&t);
    mbs_targets_row(&t, halves, 4, 3); /* right, 1 bit */
    mbs_targets_row(&t, alike, 4, 0);  /* right, 2 bits */
    mbs_targets_end(&t);
    mbs_targets_begin(&t);
    mbs_targets_row(&t, halves, 4, 2); /* wrong, 2 bits */
    mbs_targets_row(&t, halves, 4, 3); /* right, 1 bit */
    mbs_targets_row(&t, alike, 4, 3);  /* wrong, 2 bits */
    mbs_targets_end(&t);
    mbs_targets_begin(&t); /* asks for nothing: no record of the count */
    mbs_targets_end(&t);
    CHECK_INT(t.asked, 5);
    CHECK_INT(t.right, 3);
    CHECK_INT(t.records, 2);
    CHECK_INT(t.exact, 1);
    CHECK(fabs(t.logprob + 8 * 0.69314718) < 1e-5, "%g", t.logprob);
    mbs_targets_row(&t, none, 4, 0);
    CHECK_INT(t.asked, 6);
    CHECK_INT(t.right, 3);
    CHECK(isnan(t.logprob));
}
