/* Where a plugin stands, in words, and the watcher that says so when a call lasts. */
#include "support/test.h"

#include <pthread.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "plug/watch.h"
#include "plug/where.h"

static const mbs_descriptor desc = {
    .struct_size = sizeof desc, .kind = MBS_KIND_READER, .id = "slow", .version = "1.2"};

static const char *said(const mbs_where *w, char text[256]) {
    mbs_words words = {text, 0, 256};
    text[0] = '\0';
    mbs_where_put(w, &words);
    return text;
}

static void call(mbs_where *w, const char *name) {
    mbs_where_enter(w, name);
    mbs_where_leave(w);
}

MBS_TEST(where, says_on_which_record_a_call_is) {
    mbs_where w;
    char text[256];
    mbs_record r = {.struct_size = sizeof r, .index = 7, .name = "chr\n8"};
    CHECK_INT(mbs_where_begin(&w, "reader 'slow'", &desc), 0);
    CHECK_STR(said(&w, text), "before the first record");
    call(&w, "open");
    CHECK_STR(said(&w, text), "before the first record");
    call(&w, "read");
    CHECK_STR(said(&w, text), "on record 1");
    mbs_where_record(&w, &r, 1, 9223372036854775807);
    CHECK_STR(said(&w, text), "on record 8 'chr?8' from 9223372036854775807");
    mbs_where_record(&w, &r, 0, 5);
    CHECK_STR(said(&w, text), "on record 9, behind record 8 'chr?8'");
    call(&w, "close");
    CHECK_STR(said(&w, text), "behind record 8 'chr?8'");
    mbs_where_end(&w);
}

MBS_TEST(where, a_long_name_is_cut_and_a_small_text_too) {
    mbs_where w;
    char name[1000];
    char small[12];
    mbs_record r = {.struct_size = sizeof r, .name = name};
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK_INT(mbs_where_begin(&w, "reader 'slow'", &desc), 0);
    mbs_where_record(&w, &r, 1, 0);
    CHECK_INT(strlen(w.name), sizeof w.name - 1);
    mbs_words words = {small, 0, sizeof small};
    mbs_where_put(&w, &words);
    CHECK_INT(strlen(small), sizeof small - 1);
    mbs_where_end(&w);
}

MBS_TEST(where, a_thread_knows_its_outermost_call) {
    mbs_where outer;
    mbs_where inner;
    CHECK_INT(mbs_where_begin(&outer, "a", &desc), 0);
    CHECK_INT(mbs_where_begin(&inner, "b", &desc), 0);
    CHECK(mbs_where_current() == NULL);
    mbs_where_enter(&outer, "read");
    mbs_where_enter(&inner, "encode");
    mbs_where_enter(&inner, "again");
    CHECK(mbs_where_current() == &inner);
    CHECK_STR(atomic_load(&inner.call), "encode");
    mbs_where_leave(&inner);
    mbs_where_leave(&inner);
    CHECK(mbs_where_current() == &outer && atomic_load(&inner.call) == NULL);
    mbs_where_leave(&outer);
    CHECK(mbs_where_current() == NULL);
    mbs_where_end(&outer);
    mbs_where_end(&inner);
}

static void rest(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

MBS_TEST(where, the_watcher_speaks_of_a_call_that_lasts_and_of_no_other) {
    mbs_buf log = MBS_BUF_INIT;
    mbs_where lasts;
    mbs_where comes_and_goes;
    mbs_record r = {.struct_size = sizeof r, .name = "one"};
    mbs_log_capture(&log);
    CHECK_INT(mbs_where_begin(&lasts, "reader 'slow'", &desc), 0);
    CHECK_INT(mbs_where_begin(&comes_and_goes, "writer 'quick'", &desc), 0);
    mbs_watch *w = mbs_watch_start(0.2);
    CHECK(w != NULL);
    mbs_where_enter(&lasts, "read");
    for (int k = 0; k < 120; k++) {
        mbs_where_enter(&comes_and_goes, "write");
        mbs_where_record(&comes_and_goes, &r, 1, k);
        rest(0.005);
        mbs_where_leave(&comes_and_goes);
    }
    mbs_where_leave(&lasts);
    mbs_watch_stop(w);
    mbs_log_capture(NULL);
    CHECK(strstr(mbs_buf_str(&log), "reader 'slow': plugin 'slow' 1.2 has been in read for "), "%s", mbs_buf_str(&log));
    CHECK(strstr(mbs_buf_str(&log), " s, on record 1\n"), "%s", mbs_buf_str(&log));
    CHECK(!strstr(mbs_buf_str(&log), "quick"), "%s", mbs_buf_str(&log));
    mbs_where_end(&lasts);
    mbs_where_end(&comes_and_goes);
    mbs_buf_free(&log);
}
