#include <signal.h>
#include <sys/resource.h>

#include "support/child.h"
#include "support/test.h"
#include "support/tmp.h"
#include "train/spool.h"

#define OK(CALL) CHECK((CALL) == MBS_OK, "%s: %s", err.where, err.what)

/* Ids of the whole range, in pieces of odd sizes, with every companion here and there. */
static mbs_spool *make(int64_t vocab, int64_t n, int sides) {
    mbs_err err = {0};
    mbs_spool *s = NULL;
    OK(mbs_spool_new(".", vocab, &s, &err));
    int32_t ids[97];
    uint8_t scored[97], mask[97];
    int32_t target[97];
    for (int64_t at = 0; at < n;) {
        if (at % 1000 == 0) {
            char name[32];
            snprintf(name, sizeof name, "r%d", (int)(at / 1000));
            OK(mbs_spool_record_begin(s, name, at < 2000 ? "one" : NULL, 0, &err));
        }
        int64_t take = n - at < 97 ? n - at : 97;
        take = 1000 - at % 1000 < take ? 1000 - at % 1000 : take;
        for (int64_t i = 0; i < take; i++) {
            ids[i] = (int32_t)((at + i) * 7919 % vocab);
            scored[i] = (at + i) % 5 != 4 || at + i < 100000;
            mask[i] = (at + i) % 3 == 2 && at + i >= 70000;
            target[i] = (at + i) % 11 == 0 && at + i >= 500 ? (int32_t)((at + i) % vocab) : -1;
        }
        mbs_spool_sides with = {scored, mask, target, NULL};
        OK(mbs_spool_add(s, ids, take, sides ? &with : NULL, &err));
        at += take;
    }
    OK(mbs_spool_finish(s, &err));
    return s;
}

static void look(int64_t vocab, int sides) {
    const int64_t n = 140000; /* more than a buffer, and not a multiple of one */
    char dir[256];
    test_tmp_enter(dir);
    mbs_spool *s = make(vocab, n, sides);
    CHECK_INT(test_tmp_count("."), 0);
    CHECK_INT(mbs_spool_tokens(s), n);
    CHECK_INT(mbs_spool_records(s), 140);
    CHECK_INT(mbs_spool_has_targets(s), sides);
    mbs_spool_record r = mbs_spool_at(s, 1);
    CHECK_INT(r.begin, 1000);
    CHECK_INT(r.end, 2000);
    CHECK_STR(r.name, "r1");
    CHECK_STR(r.label, "one");
    CHECK(mbs_spool_at(s, 2).label == NULL);
    static int32_t ids[140000], target[140000];
    static uint8_t scored[140000], mask[140000];
    mbs_spool_get(s, 0, n, ids, scored, mask, target);
    for (int64_t i = 0; i < n; i++) {
        CHECK_INT(ids[i], i * 7919 % vocab);
        CHECK_INT(scored[i], !sides || i % 5 != 4 || i < 100000);
        CHECK_INT(mask[i], sides && i % 3 == 2 && i >= 70000);
        CHECK_INT(target[i], sides && i % 11 == 0 && i >= 500 ? i % vocab : -1);
    }
    int32_t some[3];
    mbs_spool_get(s, 99998, 3, some, NULL, NULL, NULL);
    CHECK(memcmp(some, ids + 99998, sizeof some) == 0);
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

MBS_TEST(spool, gives_back_what_it_was_given) {
    look(16, 0);
    look(16, 1);
    look(256, 1);
    look(257, 1);
    look(65536, 1);
    look(70000, 1);
}

MBS_TEST(spool, fingerprint_is_of_everything) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_spool *a = make(16, 3000, 0), *b = make(16, 3000, 0), *c = make(16, 3000, 1), *d = make(17, 3000, 0);
    CHECK(mbs_spool_fingerprint(a) == mbs_spool_fingerprint(b));
    CHECK(mbs_spool_fingerprint(a) != mbs_spool_fingerprint(c));
    CHECK(mbs_spool_fingerprint(a) != mbs_spool_fingerprint(d));
    mbs_spool_free(a);
    mbs_spool_free(b);
    mbs_spool_free(c);
    mbs_spool_free(d);
    test_tmp_leave(dir);
}

/* A record that begins at 1000 with 3 letters left out behind its first 5, then one from a place told by the block. */
MBS_TEST(spool, coordinates_know_what_was_left_out) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    mbs_spool *s = NULL;
    OK(mbs_spool_new(".", 8, &s, &err));
    const int32_t ids[] = {1, 2, 3, 4, 5, -1, -1, -1, 6, 7};
    const int64_t far = 2000;
    OK(mbs_spool_record_begin(s, "a", NULL, 0, &err));
    OK(mbs_spool_add(s, ids, 5, NULL, &err));
    OK(mbs_spool_record_begin(s, "b", NULL, 1000, &err));
    OK(mbs_spool_add(s, ids, 10, NULL, &err));
    OK(mbs_spool_add(s, ids, 2, &(mbs_spool_sides){.coordinate = &far}, &err));
    OK(mbs_spool_record_begin(s, "c", NULL, 0, &err));
    OK(mbs_spool_finish(s, &err));
    CHECK_INT(mbs_spool_tokens(s), 14);
    CHECK_INT(mbs_spool_token_at(s, 0, 3), 3);
    CHECK_INT(mbs_spool_token_at(s, 0, 99), 5);
    CHECK_INT(mbs_spool_token_at(s, 1, 0), 5);
    CHECK_INT(mbs_spool_token_at(s, 1, 1004), 9);
    CHECK_INT(mbs_spool_token_at(s, 1, 1005), 10);
    CHECK_INT(mbs_spool_token_at(s, 1, 1008), 10);
    CHECK_INT(mbs_spool_token_at(s, 1, 1009), 11);
    CHECK_INT(mbs_spool_token_at(s, 1, 1010), 12);
    CHECK_INT(mbs_spool_token_at(s, 1, 2001), 13);
    CHECK_INT(mbs_spool_token_at(s, 1, 2002), 14);
    CHECK_INT(mbs_spool_token_at(s, 2, 0), 14);
    CHECK_INT(mbs_spool_at(s, 2).end, 14);
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

MBS_TEST(spool, refuses_what_is_no_token) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    mbs_spool *s = NULL;
    OK(mbs_spool_new(".", 8, &s, &err));
    OK(mbs_spool_record_begin(s, "chr1", NULL, 0, &err));
    const int32_t ids[] = {1, 8};
    CHECK_INT(mbs_spool_add(s, ids, 2, NULL, &err), MBS_ERR_DATA);
    CHECK_STR(err.where, "chr1");
    CHECK_STR(err.what, "token 1: the id 8 is outside of the vocabulary of 8");
    mbs_err_clear(&err);
    const int32_t target[] = {9};
    CHECK_INT(mbs_spool_add(s, ids, 1, &(mbs_spool_sides){.target = target}, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "the target 9") != NULL, "%s", err.what);
    mbs_spool_free(s);
    mbs_err_clear(&err);
    OK(mbs_spool_new("none", 8, &s, &err));
    OK(mbs_spool_record_begin(s, "chr1", NULL, 0, &err));
    CHECK_INT(mbs_spool_add(s, ids, 1, NULL, &err), MBS_ERR_CREATE);
    mbs_spool_free(s);
    test_tmp_leave(dir);
}

static int past_the_limit(void *arg) {
    (void)arg;
    struct rlimit limit = {100000, 100000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    static int32_t ids[200000];
    mbs_err err = {0};
    mbs_spool *s = NULL;
    mbs_status st = mbs_spool_new(".", 8, &s, &err);
    st = st < 0 ? st : mbs_spool_record_begin(s, "a", NULL, 0, &err);
    st = st < 0 ? st : mbs_spool_add(s, ids, 200000, NULL, &err);
    mbs_spool_free(s);
    return st == MBS_ERR_IO && strstr(err.what, "cannot be kept") && err.fix[0] ? 0 : 1;
}

MBS_TEST(spool, says_that_the_disk_is_full) {
    char dir[256];
    test_tmp_enter(dir);
    CHECK_INT(test_child(past_the_limit, NULL), 0);
    CHECK_INT(test_tmp_count("."), 0);
    test_tmp_leave(dir);
}
