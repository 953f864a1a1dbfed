#include "core/train/train_kit.h"
#include "train/sample.h"

static const int64_t lengths[] = {15, 9, 30, 46};

typedef struct kit {
    mbs_spool *s;
    mbs_train_job job;
    mbs_split split;
    mbs_windows *w;
    int32_t ids[4096];
    char dir[256];
} kit;

static mbs_status try_start(kit *k, mbs_err *err) {
    mbs_status st = mbs_split_make(&k->job.recipe, k->s, &k->split, err);
    return st < 0 ? st : mbs_windows_new(&k->job, &k->split, &k->w, err);
}

static void begin(kit *k, const char *const *labels) {
    test_tmp_enter(k->dir);
    k->w = NULL;
    k->s = tkit_spool(lengths, 4, labels);
    k->job = tkit_job(k->s);
    memset(&k->split, 0, sizeof k->split);
    mbs_spool_get(k->s, 0, mbs_spool_tokens(k->s), k->ids, NULL, NULL, NULL);
}

static void stop(kit *k) {
    mbs_windows_free(k->w);
    mbs_split_free(&k->split);
    k->w = NULL;
}

static void end(kit *k) {
    stop(k);
    mbs_spool_free(k->s);
    test_tmp_leave(k->dir);
}

/* Each token its own id, so that a window tells where it is from. */
static mbs_spool *numbered(const int64_t *of, int n) {
    mbs_err err = {0};
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 1000, &s, &err));
    int32_t id = 0;
    for (int k = 0; k < n; k++) {
        FINE(mbs_spool_record_begin(s, "r", NULL, 0, &err));
        for (int64_t i = 0; i < of[k]; i++, id++) {
            FINE(mbs_spool_add(s, &id, 1, NULL, &err));
        }
    }
    FINE(mbs_spool_finish(s, &err));
    return s;
}

MBS_TEST(sample, windows_are_uniform_and_cross_nothing) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    mbs_spool_free(k.s);
    k.s = numbered(lengths, 4);
    k.job.spool = k.s;
    k.job.vocab_size = 1000;
    k.job.recipe.steps = 4000;
    k.job.recipe.held_out = 0.1; /* 90 tokens: starts 0-5, 24-44, 54-80 */
    FINE(try_start(&k, &err));
    static int seen[100];
    memset(seen, 0, sizeof seen);
    for (int64_t step = 1; step <= 4000; step++) {
        const mbs_drawn *d;
        FINE(mbs_windows_draw(k.w, step, &d, &err));
        CHECK_INT(d->n_seq, 4);
        CHECK_INT(d->rows, 40);
        CHECK_INT(d->starts[3], 30);
        CHECK(d->weights == NULL && d->weight == 36);
        for (int q = 0; q < 4; q++) {
            const int32_t *ids = d->ids + 10 * q, *targets = d->targets + 10 * q;
            for (int i = 0; i < 10; i++) {
                CHECK_INT(ids[i], ids[0] + i);
                CHECK_INT(targets[i], i < 9 ? ids[i + 1] : -1);
            }
            seen[ids[0]]++;
        }
    }
    double expected = 16000.0 / 54, chi = 0;
    for (int i = 0; i < 100; i++) {
        int allowed = i <= 5 || (i >= 24 && i <= 44) || (i >= 54 && i <= 80);
        CHECK(allowed || seen[i] == 0, "%d", i);
        chi += allowed ? (seen[i] - expected) * (seen[i] - expected) / expected : 0;
    }
    CHECK(chi < 95, "%g over 53 degrees of freedom", chi); /* p 0.0003 */
    end(&k);
}

MBS_TEST(sample, a_step_is_a_function_of_its_number) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    k.job.recipe.reverse_complement = 0.5;
    k.job.recipe.unknown = 0.5;
    FINE(try_start(&k, &err));
    int32_t first[40], target[40], next[40];
    const mbs_drawn *d;
    FINE(mbs_windows_draw(k.w, 7, &d, &err));
    memcpy(first, d->ids, sizeof first);
    memcpy(target, d->targets, sizeof target);
    FINE(mbs_windows_draw(k.w, 8, &d, &err));
    memcpy(next, d->ids, sizeof next);
    CHECK(memcmp(first, next, sizeof first) != 0);
    stop(&k);
    FINE(try_start(&k, &err));
    FINE(mbs_windows_draw(k.w, 7, &d, &err));
    CHECK(memcmp(first, d->ids, sizeof first) == 0);
    CHECK(memcmp(target, d->targets, sizeof target) == 0);
    stop(&k);
    k.job.recipe.seed = 2;
    FINE(try_start(&k, &err));
    FINE(mbs_windows_draw(k.w, 7, &d, &err));
    CHECK(memcmp(first, d->ids, sizeof first) != 0);
    end(&k);
}

MBS_TEST(sample, other_strand_is_read_backwards) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    k.job.recipe.order = MBS_ORDER_STREAM;
    k.job.recipe.reverse_complement = 1;
    FINE(try_start(&k, &err));
    const mbs_drawn *d;
    FINE(mbs_windows_draw(k.w, 1, &d, &err));
    CHECK_INT(d->n_seq, 4);
    CHECK_INT(d->rows, 100); /* whole records, longer than the window */
    for (int i = 0; i < 15; i++) {
        CHECK_INT(d->ids[i], 17 - k.ids[14 - i]);
        CHECK_INT(d->targets[i], i < 14 ? 17 - k.ids[13 - i] : -1);
    }
    end(&k);
}

/* What stands around a record stands around its other strand. */
MBS_TEST(sample, what_is_around_a_record_has_no_other_strand) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    mbs_spool_free(k.s);
    FINE(mbs_spool_new(".", 16, &k.s, &err));
    static const int32_t ids[] = {12, 0, 7, 8, 8, 10, 9, 1}; /* a start behind the vocabulary, [CLS] and [SEP] */
    const uint8_t scored[] = {1, 0, 1, 1, 0, 1, 1, 1};
    FINE(mbs_spool_record_begin(k.s, "r", NULL, 0, &err));
    FINE(mbs_spool_add(k.s, ids, 8, &(mbs_spool_sides){.scored = scored}, &err));
    FINE(mbs_spool_record_begin(k.s, "empty", NULL, 0, &err));
    FINE(mbs_spool_add(k.s, ids, 1, NULL, &err));
    FINE(mbs_spool_finish(k.s, &err));
    k.job.spool = k.s;
    k.job.start = 12;
    k.job.n_front = 2;
    k.job.n_behind = 1;
    k.job.recipe.order = MBS_ORDER_STREAM;
    k.job.recipe.reverse_complement = 1;
    k.job.recipe.batch_tokens = 20;
    FINE(try_start(&k, &err));
    const mbs_drawn *d;
    FINE(mbs_windows_draw(k.w, 1, &d, &err));
    static const int32_t want[] = {12, 0, 8, 7, 9, 9, 10, 1, 12};
    static const int32_t asked[] = {-1, 8, 7, -1, 9, 10, 1, -1, -1};
    CHECK_INT(d->rows, 9);
    for (int i = 0; i < 9; i++) {
        CHECK_INT(d->ids[i], want[i]);
        CHECK_INT(d->targets[i], asked[i]);
    }
    end(&k);
}

MBS_TEST(sample, stream_goes_round) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    k.job.recipe.order = MBS_ORDER_STREAM;
    k.job.recipe.batch_tokens = 30; /* three records a step */
    FINE(try_start(&k, &err));
    const mbs_drawn *d;
    const int64_t records[][3] = {{0, 1, 2}, {3, 0, 1}, {2, 3, 0}};
    for (int64_t step = 1; step <= 3; step++) {
        FINE(mbs_windows_draw(k.w, step, &d, &err));
        for (int i = 0; i < 3; i++) {
            CHECK_INT(d->records[i], records[step - 1][i]);
            CHECK_INT(d->starts[i + 1] - d->starts[i], lengths[records[step - 1][i]]);
        }
    }
    CHECK_INT(mbs_windows_rounds(k.w, 2), 0);
    CHECK_INT(mbs_windows_rounds(k.w, 3), 1);
    end(&k);
}

MBS_TEST(sample, unknown_is_fed_and_never_asked) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    k.job.recipe.unknown = 0.5;
    k.job.recipe.window[0] = k.job.recipe.batch_tokens = 46;
    FINE(try_start(&k, &err));
    int touched = 0, hidden = 0;
    for (int64_t step = 1; step <= 4000; step++) {
        const mbs_drawn *d;
        FINE(mbs_windows_draw(k.w, step, &d, &err));
        int here = 0;
        for (int i = 0; i < 46; i++) {
            int is = d->ids[i] == 6;
            here += is;
            CHECK(is || d->ids[i] == k.ids[54 + i]);
            CHECK_INT(d->targets[i], i == 45 || d->ids[i + 1] == 6 ? -1 : k.ids[55 + i]);
        }
        CHECK_INT(d->weight, 46 - here - (d->ids[0] != 6));
        touched += here > 0;
        hidden += here;
    }
    /* Half of the windows: a run in 0.3 of them, else letters: 1 - mean of (1 - rate)^46. About 0.5 x (0.3 + 0.7 x
     * 0.157) and 0.5 x (0.3 x 18 + 46 x 0.00417). */
    CHECK(touched > 720 && touched < 920, "%d", touched);
    CHECK(hidden > 7000 && hidden < 15000, "%d", hidden);
    end(&k);
}

/* Rows that are not scored, and soft-masked ones. */
MBS_TEST(sample, scored_and_soft_mask_weigh_the_target) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 12, &s, &err));
    FINE(mbs_spool_record_begin(s, "r", NULL, 0, &err));
    const int32_t ids[] = {7, 6, 8, 9, 10, 7, 8, 9, 10, 7};
    const uint8_t scored[] = {1, 0, 1, 1, 1, 1, 1, 1, 1, 1}, mask[] = {0, 0, 0, 1, 1, 0, 0, 0, 0, 0};
    FINE(mbs_spool_add(s, ids, 10, &(mbs_spool_sides){.scored = scored, .mask = mask}, &err));
    FINE(mbs_spool_finish(s, &err));
    k.job.spool = s;
    k.job.recipe.soft_mask = 0.25;
    k.job.recipe.batch_tokens = 10;
    mbs_spool_free(k.s);
    k.s = s;
    FINE(try_start(&k, &err));
    const mbs_drawn *d;
    const int32_t targets[] = {-1, 8, 9, 10, 7, 8, 9, 10, 7, -1};
    const float weights[] = {1, 1, 0.25f, 0.25f, 1, 1, 1, 1, 1};
    FINE(mbs_windows_draw(k.w, 1, &d, &err));
    CHECK(memcmp(d->targets, targets, sizeof targets) == 0);
    CHECK(memcmp(d->weights, weights, sizeof weights) == 0);
    CHECK(d->weight == 6.5, "%g", d->weight);
    stop(&k);
    k.job.recipe.reverse_complement = 1;
    FINE(try_start(&k, &err));
    FINE(mbs_windows_draw(k.w, 1, &d, &err));
    const int32_t back[] = {7, 8, 9, 10, 7, 8, 9, -1, 10, -1};
    const float back_weights[] = {1, 1, 1, 1, 0.25f, 0.25f, 1, 1, 1};
    CHECK(memcmp(d->targets, back, sizeof back) == 0);
    CHECK(memcmp(d->weights, back_weights, sizeof back_weights) == 0);
    end(&k);
}

MBS_TEST(sample, masked_asks_where_it_hides) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    k.job.recipe.loss = MBS_LOSS_MASKED;
    k.job.recipe.window[0] = k.job.recipe.batch_tokens = 46;
    k.job.recipe.mask_rate = 0.2;
    k.job.recipe.held_out = 0;
    FINE(try_start(&k, &err));
    double asked = 0, masked = 0, same = 0, n = 0;
    for (int64_t step = 1; step <= 2000; step++) {
        const mbs_drawn *d;
        double here = 0;
        FINE(mbs_windows_draw(k.w, step, &d, &err));
        for (int i = 0; i < 46; i++) {
            CHECK(d->targets[i] == -1 ? d->ids[i] == k.ids[54 + i] : d->targets[i] == k.ids[54 + i]);
            here += d->targets[i] >= 0;
            masked += d->ids[i] == 3;
            same += d->targets[i] == d->ids[i];
        }
        CHECK(d->weight == here);
        asked += here;
        n += 46;
    }
    CHECK(fabs(asked / n - 0.2) < 0.01, "%g", asked / n);
    CHECK(fabs(masked / asked - 0.8) < 0.01, "%g", masked / asked);
    CHECK(fabs(same / asked - 0.125) < 0.01, "%g", same / asked); /* 0.1, and a quarter of the other 0.1 */
    end(&k);
}

MBS_TEST(sample, targets_of_the_input_are_taken) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 12, &s, &err));
    FINE(mbs_spool_record_begin(s, "r", NULL, 0, &err));
    const int32_t ids[] = {7, 8, 9, 10}, target[] = {-1, -1, 11, 0};
    FINE(mbs_spool_add(s, ids, 4, &(mbs_spool_sides){.target = target}, &err));
    FINE(mbs_spool_finish(s, &err));
    mbs_spool_free(k.s);
    k.s = s;
    k.job.spool = s;
    k.job.recipe.order = MBS_ORDER_STREAM;
    k.job.recipe.batch_tokens = 10;
    FINE(try_start(&k, &err));
    const mbs_drawn *d;
    FINE(mbs_windows_draw(k.w, 1, &d, &err));
    CHECK(memcmp(d->targets, target, sizeof target) == 0);
    CHECK(d->weight == 2);
    stop(&k);
    k.job.recipe.reverse_complement = 0.5;
    CHECK_INT(try_start(&k, &err), MBS_ERR_CONFIG);
    end(&k);
}

MBS_TEST(sample, classify_shows_each_record_once_a_round) {
    static const char *const labels[] = {"a", "b", "b", "a"};
    static const char *const classes[] = {"b", "a"};
    kit k;
    mbs_err err = {0};
    begin(&k, labels);
    k.job.recipe.loss = MBS_LOSS_CLASSIFY;
    k.job.classes = classes;
    k.job.n_classes = 2;
    FINE(try_start(&k, &err));
    int orders[24] = {0}, different = 0;
    for (int64_t step = 1; step <= 20; step++) { /* four records a step: a round */
        const mbs_drawn *d;
        int seen = 0, order = 0;
        FINE(mbs_windows_draw(k.w, step, &d, &err));
        CHECK_INT(d->n_seq, 4);
        CHECK(d->weight == 4);
        for (int i = 0; i < 4; i++) {
            int64_t record = d->records[i];
            seen |= 1 << record;
            order = order * 4 + (int)record;
            CHECK_INT(d->targets[i], record == 0 || record == 3);
            CHECK_INT(d->starts[i + 1] - d->starts[i], lengths[record] < 10 ? lengths[record] : 10);
        }
        CHECK_INT(seen, 15);
        orders[step - 1] = order;
        different += step > 1 && orders[step - 2] != order;
    }
    CHECK(different > 10, "%d", different);
    stop(&k);
    k.job.n_classes = 1;
    CHECK_INT(try_start(&k, &err), MBS_ERR_DATA);
    CHECK_STR(err.where, "r0");
    CHECK_STR(err.what, "its label 'a' is none of the classes");
    CHECK_STR(err.fix, "the classes are: b");
    end(&k);
}

MBS_TEST(sample, held_out_part_comes_whole) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    k.job.recipe.held_out = 0.7; /* from 30 on: 24 of record 2, 46 of record 3 */
    k.job.recipe.loss = MBS_LOSS_MASKED;
    FINE(try_start(&k, &err));
    mbs_held_place at = {0};
    const mbs_drawn *d;
    int32_t first[8] = {0};
    int64_t rows = 0, seqs = 0;
    for (;;) {
        FINE(mbs_windows_held(k.w, &at, 25, &d, &err));
        if (d->n_seq == 0) {
            break;
        }
        CHECK(d->rows <= 25);
        for (int64_t i = 0; i < 8 && rows == 0; i++) {
            first[i] = d->ids[i];
        }
        rows += d->rows;
        seqs += d->n_seq;
    }
    CHECK_INT(rows, 70);
    CHECK_INT(seqs, 3 + 5);
    memset(&at, 0, sizeof at);
    FINE(mbs_windows_held(k.w, &at, 25, &d, &err));
    CHECK(memcmp(first, d->ids, sizeof first) == 0);
    end(&k);
}

MBS_TEST(sample, says_what_does_not_fit) {
    kit k;
    mbs_err err = {0};
    begin(&k, NULL);
    k.job.recipe.window[0] = k.job.recipe.batch_tokens = 47;
    CHECK_INT(try_start(&k, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "47 tokens do not fit into any record of the training part: the longest, 'r3', has 46 there");
    CHECK_STR(err.fix, "take a window of at most 46, or order: stream for whole records");
    stop(&k);
    mbs_err_clear(&err);
    k.job.recipe.batch_tokens = 50;
    CHECK_INT(try_start(&k, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "50 is not a whole number of windows of 47 tokens");
    stop(&k);
    mbs_err_clear(&err);
    k.job.recipe.window[0] = 10;
    k.job.recipe.loss = MBS_LOSS_MASKED;
    k.job.mask = -1;
    CHECK_INT(try_start(&k, &err), MBS_ERR_CONFIG);
    end(&k);
}
