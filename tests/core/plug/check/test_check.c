/* `plugin check` as a library: what it hands to its caller, in processes of their own and in this one. The table of all
 * animals is in tests/zoo/test_check.py. */
#include "plug/check/check.h"

#include <stdio.h>
#include <string.h>

#include "support/test.h"
#include "support/tmp.h"

#define ZOO MBS_BUILD_DIR "/tests/zoo/mbsp_"

typedef struct seen {
    int n;
    char failed[512]; /* ids, a blank behind each */
    char what[2048];  /* of the last failure */
} seen;

static void note(void *sink, const mbs_check_case *c) {
    seen *s = sink;
    s->n++;
    CHECK((c->verdict == MBS_CHECK_PASSED) == (c->what[0] == '\0'), "%s: '%s'", c->test->id, c->what);
    CHECK((c->kind != NULL) == (c->test->kinds != 0), "%s", c->test->id);
    if (c->verdict == MBS_CHECK_FAILED) {
        size_t len = strlen(s->failed);
        (void)snprintf(s->failed + len, sizeof s->failed - len, "%s ", c->test->id);
        (void)snprintf(s->what, sizeof s->what, "%s", c->what);
    }
}

/* A sample in a folder of its own, which the test has entered. */
static const char *sample_file(void) {
    FILE *f = fopen("x.lines", "wb");
    CHECK(f != NULL);
    fputs("ACGTNACGT\nA\n\nGATTACAGATTACAGATTACA\nTT\n", f);
    fclose(f);
    return "x.lines";
}

static mbs_check_sum check(const char *animal, const char *only, int in_process, seen *s) {
    char path[512];
    mbs_err err;
    mbs_check_sum sum;
    char dir[256];
    test_tmp_enter(dir);
    mbs_err_clear(&err);
    memset(s, 0, sizeof *s);
    (void)snprintf(path, sizeof path, ZOO "%s.so", animal);
    mbs_check_options o = {
        .file = path, .sample = sample_file(), .only = only, .in_process = in_process, .seed = 3, .timeout = 60};
    CHECK(mbs_check_plugin(&o, note, s, &sum, &err) == MBS_OK, "%s: %s", animal, err.what);
    CHECK_INT(sum.passed + sum.failed + sum.not_checked, s->n);
    test_tmp_leave(dir);
    return sum;
}

MBS_TEST(check, those_that_are_well) {
    static const char *const well[] = {"sick_reader_well", "sick_codec_well", "sick_writer_well"};
    for (int i = 0; i < 3; i++) {
        seen s;
        mbs_check_sum sum = check(well[i], NULL, 0, &s);
        CHECK(sum.failed == 0, "%s: %s: %s", well[i], s.failed, s.what);
        CHECK(sum.passed > 20 && sum.not_checked <= 1, "%s: %d %d", well[i], sum.passed, sum.not_checked);
    }
}

MBS_TEST(check, a_crash_is_named_with_call_and_place) {
    seen s;
    check("sick_reader_falls", "data.truncated", 0, &s);
    CHECK_INT(s.n, 1);
    CHECK_STR(s.failed, "data.truncated ");
    CHECK(strstr(s.what, "in read, cut off after byte ") != NULL, "%s", s.what);
}

MBS_TEST(check, the_same_in_this_process) {
    static const struct {
        const char *animal, *test;
    } all[] = {{"sick_reader_split", "data.chunks"},      {"sick_codec_other", "fault.alloc"},
               {"sick_reader_place", "check.checkpoint"}, {"sick_codec_back", "data.roundtrip"},
               {"sick_codec_shared", "data.interleaved"}, {"sick_codec_extension", "ids.unknown"},
               {"sick_writer_full", "writer.full"},       {"sick_writer_mute", "errors.message"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char found[2][sizeof((seen *)0)->what];
        for (int in = 0; in < 2; in++) {
            seen s;
            mbs_check_sum sum = check(all[i].animal, all[i].test, in, &s);
            CHECK(sum.failed == 1 && s.n == 1, "%s: %d failed of %d", all[i].animal, sum.failed, s.n);
            memcpy(found[in], s.what, sizeof found[in]);
        }
        /* but for the name of a folder */
        CHECK(strncmp(found[0], found[1], 20) == 0, "'%s' is not '%s'", found[0], found[1]);
    }
}

MBS_TEST(check, ids_of_tests_are_well_formed_and_needs_come_first) {
    int n = 0;
    const mbs_check_test *t = mbs_check_tests(&n);
    CHECK(n >= 28);
    for (int i = 0; i < n; i++) {
        int met = t[i].needs == NULL;
        CHECK(strchr(t[i].id, '.') && t[i].meaning[0] && t[i].hint[0], "%s", t[i].id);
        for (int k = 0; k < i; k++) {
            CHECK(strcmp(t[k].id, t[i].id) != 0, "%s", t[i].id);
            met |= t[i].needs && strcmp(t[k].id, t[i].needs) == 0;
        }
        CHECK(met, "%s needs %s, which comes later", t[i].id, t[i].needs);
    }
}
