#include "core/train/train_kit.h"
#include "train/split.h"

static void shows(const mbs_stretch *t, int64_t n, const char *want) {
    char text[512] = "";
    for (int64_t i = 0; i < n; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%d:%d-%d", i ? " " : "", (int)t[i].record, (int)t[i].begin,
                 (int)t[i].end);
    }
    CHECK_STR(text, want);
}

static const int64_t lengths[] = {30, 0, 12, 58};

MBS_TEST(split, last_tokens_are_held_out) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    mbs_spool *s = tkit_spool(lengths, 4, NULL);
    mbs_train_recipe r = tkit_job(s).recipe;
    mbs_split split;
    r.held_out = 0.625; /* the cut lies within record 2 */
    FINE(mbs_split_make(&r, s, &split, &err));
    shows(split.train, split.n_train, "0:0-30 2:30-38");
    shows(split.held, split.n_held, "2:38-42 3:42-100");
    CHECK_INT(split.train_tokens, 38);
    CHECK_INT(split.held_tokens, 62);
    mbs_split_free(&split);
    r.held_out = 0;
    FINE(mbs_split_make(&r, s, &split, &err));
    shows(split.train, split.n_train, "0:0-30 2:30-42 3:42-100");
    CHECK_INT(split.n_held, 0);
    mbs_split_free(&split);
    r.held_out = 0.001;
    CHECK_INT(mbs_split_make(&r, s, &split, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "it leaves no tokens to score: nothing is held out");
    mbs_err_clear(&err);
    r.held_out = 0.999;
    CHECK_INT(mbs_split_make(&r, s, &split, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "it leaves no tokens to train on");
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

MBS_TEST(split, cut_is_that_of_eval) {
    CHECK_INT(mbs_split_cut(0.8, 4639675), 3711740);
    CHECK_INT(mbs_split_cut(1 - 0.2, 4639675), 3711740);
    CHECK_INT(mbs_split_cut(0.5, 3), 2);
}

MBS_TEST(split, regions) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    mbs_spool *s = tkit_spool(lengths, 4, NULL);
    mbs_train_recipe r = tkit_job(s).recipe;
    mbs_split split;
    test_tmp_write("held.bed",
                   "# held out\ntrack name=x\nr3\t10\t20\tname\t0\t+\r\n\nr0 25 1000\nr3\t15\t24\nchrX\t0\t5\n");
    r.held_out_bed = "held.bed";
    FINE(mbs_split_make(&r, s, &split, &err));
    shows(split.held, split.n_held, "0:25-30 3:52-66");
    shows(split.train, split.n_train, "0:0-25 2:30-42 3:42-52 3:66-100");
    mbs_split_free(&split);
    test_tmp_write("train.bed", "r0\t5\t30\nr3\t0\t15\n");
    r.train_bed = "train.bed";
    FINE(mbs_split_make(&r, s, &split, &err));
    shows(split.held, split.n_held, "0:25-30 3:52-66");
    shows(split.train, split.n_train, "0:5-25 3:42-52");
    mbs_split_free(&split);
    r.held_out_bed = NULL; /* then all else is held out */
    FINE(mbs_split_make(&r, s, &split, &err));
    shows(split.held, split.n_held, "0:0-5 2:30-42 3:57-100");
    shows(split.train, split.n_train, "0:5-30 3:42-57");
    mbs_split_free(&split);
    r.held_out = 0.5;
    FINE(mbs_split_make(&r, s, &split, &err));
    shows(split.held, split.n_held, "3:50-100");
    shows(split.train, split.n_train, "0:5-30 3:42-50");
    mbs_split_free(&split);
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

MBS_TEST(split, says_what_is_wrong_with_regions) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    mbs_spool *s = tkit_spool(lengths, 4, NULL);
    mbs_train_recipe r = tkit_job(s).recipe;
    mbs_split split;
    r.held_out_bed = "x.bed";
    CHECK_INT(mbs_split_make(&r, s, &split, &err), MBS_ERR_NOINPUT);
    mbs_err_clear(&err);
    test_tmp_write("x.bed", "r0\t1\t5\nr0\t9\t7\n");
    CHECK_INT(mbs_split_make(&r, s, &split, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "line 2: not a region of a BED file: 'r0 9 7'");
    mbs_err_clear(&err);
    test_tmp_write("x.bed", "chr1\t1\t5\n");
    CHECK_INT(mbs_split_make(&r, s, &split, &err), MBS_ERR_DATA);
    CHECK_STR(err.fix, "names have to be the same: the input has 'r0', the file 'chr1'");
    mbs_err_clear(&err);
    test_tmp_write("x.bed", "r0\t0\t30\nr2\t0\t12\nr3\t0\t58\n");
    CHECK_INT(mbs_split_make(&r, s, &split, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "it leaves no tokens to train on");
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

MBS_TEST(split, classify_holds_out_records) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    int64_t many[100];
    for (int i = 0; i < 100; i++) {
        many[i] = 5;
    }
    mbs_spool *s = tkit_spool(many, 100, NULL);
    mbs_train_recipe r = tkit_job(s).recipe;
    r.loss = MBS_LOSS_CLASSIFY;
    r.held_out = 0.3;
    mbs_split a, b;
    FINE(mbs_split_make(&r, s, &a, &err));
    CHECK_INT(a.n_train, 70);
    CHECK_INT(a.n_held, 30);
    int first_half = 0;
    for (int64_t i = 0; i < a.n_held; i++) {
        first_half += a.held[i].record < 50;
        CHECK(i == 0 || a.held[i - 1].record < a.held[i].record);
    }
    CHECK(first_half > 5 && first_half < 25, "%d", first_half);
    r.seed = 2;
    FINE(mbs_split_make(&r, s, &b, &err));
    CHECK(memcmp(a.held, b.held, 30 * sizeof *a.held) != 0);
    mbs_split_free(&a);
    mbs_split_free(&b);
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

/* Twelve speakers, eight records of each, in turn: held out whole, wherever their records stand. */
MBS_TEST(split, groups_are_held_out_whole) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 4, &s, &err));
    for (int i = 0; i < 96; i++) {
        char name[24];
        int32_t ids[2] = {1, 2};
        snprintf(name, sizeof name, "speaker%d", i % 12);
        FINE(mbs_spool_record_begin(s, "r", "x", 0, &err));
        mbs_spool_record_group(s, name);
        FINE(mbs_spool_add(s, ids, 2, NULL, &err));
    }
    FINE(mbs_spool_finish(s, &err));
    mbs_train_recipe r = tkit_job(s).recipe;
    r.loss = MBS_LOSS_CLASSIFY;
    r.held_out = 0.2;
    mbs_split split;
    FINE(mbs_split_make(&r, s, &split, &err));
    CHECK_INT(split.n_held, 24); /* 20 records and the rest of the third speaker */
    CHECK_INT(split.n_train, 72);
    int held[12] = {0};
    for (int64_t i = 0; i < split.n_held; i++) {
        held[split.held[i].record % 12]++;
    }
    for (int i = 0; i < 12; i++) {
        CHECK(held[i] == 0 || held[i] == 8, "speaker %d: %d", i, held[i]);
    }
    mbs_split_free(&split);
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

/* Of 10 recordings with 3 varied copies each: a copy goes with its recording, and is learnt from or nothing. */
MBS_TEST(split, copies_are_never_scored) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 4, &s, &err));
    for (int i = 0; i < 40; i++) {
        char name[24];
        int32_t ids[2] = {1, 2};
        snprintf(name, sizeof name, "recording%d", i / 4);
        FINE(mbs_spool_record_begin(s, "r", "x", 0, &err));
        mbs_spool_record_group(s, name);
        if (i % 4 > 0) {
            mbs_spool_record_copy(s);
        }
        FINE(mbs_spool_add(s, ids, 2, NULL, &err));
    }
    FINE(mbs_spool_finish(s, &err));
    mbs_train_recipe r = tkit_job(s).recipe;
    r.loss = MBS_LOSS_CLASSIFY;
    r.held_out = 0.3;
    mbs_split split;
    FINE(mbs_split_make(&r, s, &split, &err));
    CHECK_INT(split.n_held, 3);
    CHECK_INT(split.n_train, 28);
    CHECK_INT(split.held_tokens, 6);
    for (int64_t i = 0; i < split.n_held; i++) {
        CHECK_INT(split.held[i].record % 4, 0);
        for (int64_t k = 0; k < split.n_train; k++) {
            CHECK(split.train[k].record / 4 != split.held[i].record / 4);
        }
    }
    mbs_split_free(&split);
    mbs_spool_free(s);
    test_tmp_leave(dir);
}
