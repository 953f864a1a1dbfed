/* The output law: a final file name only ever holds a complete result. */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/child.h"
#include "support/test.h"
#include "support/tmp.h"

static mbs_outputs *one(const char *path, int force, const char **temp) {
    mbs_err err = {0};
    mbs_outputs *o = mbs_outputs_new();
    CHECK_INT(mbs_outputs_add(o, path, force, temp, &err), MBS_OK);
    return o;
}

static mbs_outputs *ready(const char *path, int force, int resume, const char **temp) {
    mbs_err err = {0};
    mbs_outputs *o = one(path, force, temp);
    CHECK(mbs_outputs_prepare(o, resume, &err) == MBS_OK, "%s: %s", err.where, err.what);
    return o;
}

static void refused(mbs_status got, mbs_status want, mbs_err *err, const char *part) {
    CHECK_INT(got, want);
    char line[4096];
    mbs_err_line(err, line, sizeof line);
    CHECK(strstr(line, part) != NULL, "'%s' is not in: %s", part, line);
    mbs_err_clear(err);
}

static int exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

MBS_TEST(output, commit_gives_all_names_at_the_end) {
    char dir[256];
    test_tmp_enter(dir);
    CHECK(mkdir("sub", 0777) == 0);
    mbs_err err = {0};
    const char *a;
    const char *b;
    const char *spool;
    mbs_outputs *o = one("a.h5", 0, &a);
    CHECK_INT(mbs_outputs_add(o, "sub/b.tsv", 0, &b, &err), MBS_OK);
    CHECK_INT(mbs_outputs_scratch(o, "a.h5", "spool", &spool, &err), MBS_OK);
    CHECK_INT(test_tmp_count("."), 1); /* nothing is touched before prepare */
    CHECK_INT(mbs_outputs_prepare(o, 0, &err), MBS_OK);
    CHECK(exists(".a.h5.mbs-part") && exists(".a.h5.mbs-spool") && exists("sub/.b.tsv.mbs-part"));
    CHECK(exists(".a.h5.mbs-lock") && !exists("a.h5"));
    CHECK_INT(mbs_outputs_count(o), 2);
    CHECK_STR(mbs_outputs_path(o, 1), "sub/b.tsv");
    CHECK_STR(mbs_outputs_temp(o, 1), b);
    CHECK_INT(mbs_outputs_direct(o, 1), 0);
    test_tmp_write(a, "result a");
    unlink(b); /* a library may well make the file anew */
    test_tmp_write(b, "result b");
    test_tmp_write(spool, "x");
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
    CHECK_STR(test_tmp_text("a.h5"), "result a");
    CHECK_STR(test_tmp_text("sub/b.tsv"), "result b");
    CHECK_INT(test_tmp_count("."), 2);
    CHECK_INT(test_tmp_count("sub"), 1);
    mbs_outputs_discard(o);
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_ERR_INTERNAL);
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("a.h5"), "result a");
    test_tmp_leave(dir);
}

MBS_TEST(output, discard_leaves_nothing) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *a;
    const char *x;
    mbs_outputs *o = ready("a.h5", 0, 0, &a);
    CHECK_INT(mbs_outputs_scratch(o, "a.h5", "spool", &x, &err), MBS_OK);
    CHECK_INT(mbs_outputs_scratch(o, a, "journal", &x, &err), MBS_OK);
    CHECK(!exists(x)); /* an empty journal would say that there is something to resume */
    test_tmp_write(x, "journal");
    CHECK_INT(mbs_outputs_add(o, "b.tsv", 0, &x, &err), MBS_OK);
    CHECK(exists(x));
    mbs_outputs_discard(o);
    CHECK_INT(test_tmp_count("."), 0);
    mbs_outputs_discard(o);
    mbs_outputs_keep(o);
    mbs_outputs_free(o);
    /* Forgotten is discarded, and a file that a run was going to replace is what it was. */
    test_tmp_write("a.h5", "old");
    o = ready("a.h5", 1, 0, &a);
    test_tmp_write(a, "half a res");
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("a.h5"), "old");
    CHECK_INT(test_tmp_count("."), 1);
    mbs_outputs_free(NULL);
    test_tmp_leave(dir);
}

MBS_TEST(output, an_existing_file_needs_force) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    test_tmp_write("a.h5", "old");
    CHECK(chmod("a.h5", 0640) == 0);
    mbs_outputs *o = mbs_outputs_new();
    refused(mbs_outputs_add(o, "a.h5", 0, &t, &err), MBS_ERR_CREATE, &err, "a.h5: exists already; give --force");
    refused(mbs_outputs_add(o, ".", 1, &t, &err), MBS_ERR_CREATE, &err, "is a folder");
    refused(mbs_outputs_add(o, "new/", 1, &t, &err), MBS_ERR_CREATE, &err, "is a folder");
    refused(mbs_outputs_add(o, "", 1, &t, &err), MBS_ERR_USAGE, &err, "empty name");
    CHECK_INT(mbs_outputs_count(o), 0);
    mbs_outputs_free(o);
    o = ready("a.h5", 1, 0, &t);
    test_tmp_write(t, "new");
    CHECK_STR(test_tmp_text("a.h5"), "old");
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("a.h5"), "new");
    struct stat st;
    CHECK(stat("a.h5", &st) == 0 && (st.st_mode & 0777) == 0640, "%o", (unsigned)st.st_mode);
    test_tmp_leave(dir);
}

MBS_TEST(output, a_file_that_comes_up_meanwhile_is_not_replaced) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *a;
    const char *b;
    mbs_outputs *o = one("a.h5", 0, &a);
    CHECK_INT(mbs_outputs_add(o, "b.tsv", 0, &b, &err), MBS_OK);
    CHECK_INT(mbs_outputs_prepare(o, 0, &err), MBS_OK);
    test_tmp_write("b.tsv", "somebody's");
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_ERR_CREATE);
    CHECK_STR(err.kept, "complete: a.h5; not written: b.tsv");
    CHECK(strstr(err.fix, "--force") != NULL);
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("b.tsv"), "somebody's");
    CHECK_INT(test_tmp_count("."), 2);
    test_tmp_leave(dir);
}

MBS_TEST(output, an_input_is_never_an_output) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    test_tmp_write("in.fa", ">a\nACGT\n");
    CHECK(symlink("in.fa", "sym.fa") == 0 && link("in.fa", "hard.fa") == 0);
    static const char *const names[] = {"in.fa", "./in.fa", "sym.fa", "hard.fa"};
    for (size_t i = 0; i < 4; i++) {
        mbs_outputs *o = mbs_outputs_new();
        CHECK_INT(mbs_outputs_input(o, "in.fa", &err), MBS_OK);
        refused(mbs_outputs_add(o, names[i], 1, &t, &err), MBS_ERR_USAGE, &err,
                i ? "is the same file" : "the input and");
        mbs_outputs_free(o);
        o = mbs_outputs_new();
        CHECK_INT(mbs_outputs_add(o, names[i], 1, &t, &err), MBS_OK);
        refused(mbs_outputs_input(o, "in.fa", &err), MBS_ERR_USAGE, &err, "input");
        mbs_outputs_free(o);
    }
    mbs_outputs *o = mbs_outputs_new();
    CHECK_INT(mbs_outputs_input(o, "/dev/null", &err), MBS_OK);
    CHECK_INT(mbs_outputs_input(o, "missing.fa", &err), MBS_OK);
    CHECK_INT(mbs_outputs_add(o, "/dev/null", 0, &t, &err), MBS_OK);
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("in.fa"), ">a\nACGT\n");
    CHECK_INT(test_tmp_count("."), 3);
    test_tmp_leave(dir);
}

MBS_TEST(output, two_outputs_are_two_files) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    CHECK(mkdir("d", 0777) == 0 && symlink("d", "e") == 0);
    mbs_outputs *o = one("d/x.h5", 0, &t);
    refused(mbs_outputs_add(o, "d/x.h5", 0, &t, &err), MBS_ERR_USAGE, &err, "two outputs are the same file");
    refused(mbs_outputs_add(o, "e/../d/x.h5", 0, &t, &err), MBS_ERR_USAGE, &err, "('d/x.h5')");
    refused(mbs_outputs_add(o, "e/x.h5", 0, &t, &err), MBS_ERR_USAGE, &err, "two outputs");
    CHECK_INT(mbs_outputs_add(o, "/dev/null", 0, &t, &err), MBS_OK);
    CHECK_INT(mbs_outputs_add(o, "/dev/null", 0, &t, &err), MBS_OK);
    mbs_outputs_free(o);
    test_tmp_write("p", "x");
    CHECK(link("p", "q") == 0);
    o = one("p", 1, &t);
    refused(mbs_outputs_add(o, "q", 1, &t, &err), MBS_ERR_USAGE, &err, "two outputs");
    mbs_outputs_free(o);
    test_tmp_leave(dir);
}

MBS_TEST(output, a_link_keeps_pointing) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    struct stat st;
    CHECK(mkdir("real", 0777) == 0 && symlink("real/out.h5", "link.h5") == 0);
    for (int round = 0; round < 2; round++) { /* the target is missing, then there */
        mbs_outputs *o = ready("link.h5", round, 0, &t);
        CHECK(exists("real/.out.h5.mbs-part"));
        test_tmp_write(t, round ? "second" : "first");
        CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
        mbs_outputs_free(o);
        CHECK(lstat("link.h5", &st) == 0 && S_ISLNK(st.st_mode));
        CHECK_STR(test_tmp_text("real/out.h5"), round ? "second" : "first");
        CHECK_INT(test_tmp_count("real"), 1);
    }
    test_tmp_leave(dir);
}

MBS_TEST(output, a_planted_link_is_not_followed) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    test_tmp_write("precious", "keep me");
    CHECK(symlink("precious", ".a.h5.mbs-part") == 0);
    mbs_outputs *o = ready("a.h5", 0, 0, &t);
    test_tmp_write(t, "result");
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("precious"), "keep me");
    CHECK_STR(test_tmp_text("a.h5"), "result");
    unlink("a.h5");
    CHECK(symlink("precious", ".a.h5.mbs-part") == 0);
    o = one("a.h5", 0, &t);
    refused(mbs_outputs_prepare(o, 1, &err), MBS_ERR_CREATE, &err, "not a regular file");
    mbs_outputs_free(o);
    CHECK(symlink("precious", ".a.h5.mbs-lock") == 0);
    o = one("a.h5", 0, &t);
    CHECK_INT(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE);
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("precious"), "keep me");
    test_tmp_leave(dir);
}

MBS_TEST(output, devices_and_pipes_are_written_as_they_are) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    static const char *const names[] = {"/dev/null", "/dev/full", "fifo", "/dev/stdout", "/dev/fd/1"};
    CHECK(mkfifo("fifo", 0666) == 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *t;
        const char *s;
        mbs_outputs *o = ready(names[i], 0, 0, &t);
        CHECK_STR(t, names[i]);
        CHECK_INT(mbs_outputs_direct(o, 0), 1);
        CHECK_INT(mbs_outputs_scratch(o, names[i], "spool", &s, &err), MBS_OK);
        char spool[512];
        snprintf(spool, sizeof spool, "%s", s);
        CHECK(exists(spool) && strncmp(spool, "/dev/", 5) != 0, "%s", spool);
        CHECK_INT(test_tmp_count("."), 1);
        if (i % 2) {
            mbs_outputs_keep(o);
        } else {
            CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
        }
        CHECK(!exists(spool));
        mbs_outputs_free(o);
        CHECK(exists(names[i]));
    }
    struct stat st;
    CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    test_tmp_leave(dir);
}

MBS_TEST(output, what_cannot_be_created_is_told_first) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    mbs_outputs *o = one("good.tsv", 0, &t);
    CHECK_INT(mbs_outputs_add(o, "none/x.h5", 0, &t, &err), MBS_OK);
    CHECK_INT(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE);
    CHECK_STR(err.where, "none/x.h5");
    CHECK_STR(err.what, "cannot create: there is no folder 'none'");
    CHECK_STR(err.fix, "make it first: mkdir -p 'none'");
    mbs_err_clear(&err);
    CHECK_INT(test_tmp_count("."), 0); /* the good one was undone */
    mbs_outputs_free(o);
    o = one("/proc/self/x.h5", 0, &t); /* where not even root creates files */
    refused(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE, &err, "/proc/self/x.h5: cannot create");
    mbs_outputs_free(o);
    test_tmp_write("file", "");
    o = one("file/x.h5", 0, &t);
    refused(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE, &err, "file' is a file, not a folder");
    mbs_outputs_free(o);
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    o = one(name, 0, &t);
    refused(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE, &err, "File name too long");
    mbs_outputs_free(o);
    CHECK_INT(test_tmp_count("."), 1);
    if (geteuid() != 0) {
        CHECK(mkdir("ro", 0555) == 0);
        o = one("ro/x.h5", 0, &t);
        refused(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE, &err, "Permission denied");
        mbs_outputs_free(o);
    }
    test_tmp_leave(dir);
}

MBS_TEST(output, stale_files_of_a_dead_run_go_and_kept_ones_stay_for_resume) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    const char *s;
    for (int resume = 1; resume >= 0; resume--) {
        test_tmp_write(".a.h5.mbs-part", "1234");
        test_tmp_write(".a.h5.mbs-spool", "567");
        test_tmp_write(".a.h5.mbs-other", "8");
        test_tmp_write(".a.h5.mbs-journal", "j");
        test_tmp_write(".a.h5.mbs-journal.mbs-new-77-0", "half");
        test_tmp_write(".a.h5.mbs-lock", "pid 1 host x\n");
        test_tmp_write(".b.h5.mbs-part", "of another run");
        test_tmp_write(".a.h5.bak", "the user's");
        mbs_outputs *o = one("a.h5", 0, &t);
        CHECK_INT(mbs_outputs_scratch(o, "a.h5", "spool", &s, &err), MBS_OK);
        CHECK_INT(mbs_outputs_prepare(o, resume, &err), MBS_OK);
        CHECK_STR(test_tmp_text(t), resume ? "1234" : "");
        CHECK_STR(test_tmp_text(s), resume ? "567" : "");
        CHECK_INT(exists(".a.h5.mbs-journal"), resume);
        CHECK_INT(exists(".a.h5.mbs-other"), resume);
        CHECK(!exists(".a.h5.mbs-journal.mbs-new-77-0"));
        CHECK_STR(test_tmp_text(".b.h5.mbs-part"), "of another run");
        CHECK_STR(test_tmp_text(".a.h5.bak"), "the user's");
        mbs_outputs_free(o); /* a resumed run keeps what it found */
        CHECK_STR(test_tmp_text(".a.h5.mbs-part"), resume ? "1234" : "(missing)");
        CHECK(!exists(".a.h5.mbs-lock"));
    }
    test_tmp_leave(dir);
}

MBS_TEST(output, keep_then_resume_then_commit) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    mbs_outputs *o = ready("a.h5", 0, 0, &t);
    test_tmp_write(t, "first half");
    mbs_outputs_keep(o);
    mbs_outputs_free(o);
    CHECK_INT(test_tmp_count("."), 1);
    o = ready("a.h5", 0, 1, &t);
    FILE *f = fopen(t, "ab");
    fputs(", second half", f);
    fclose(f);
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
    mbs_outputs_free(o);
    CHECK_STR(test_tmp_text("a.h5"), "first half, second half");
    CHECK_INT(test_tmp_count("."), 1);
    /* Discarding a resumed run removes it all. */
    test_tmp_write(".b.h5.mbs-part", "1234");
    o = ready("b.h5", 0, 1, &t);
    mbs_outputs_discard(o);
    mbs_outputs_free(o);
    CHECK_INT(test_tmp_count("."), 1);
    test_tmp_leave(dir);
}

/* A run in a process of its own that holds "a.h5" until a line comes (or the writer goes). */
static int hold(void *arg) {
    int *ends = arg;
    const char *t;
    mbs_err err = {0};
    mbs_outputs *o = mbs_outputs_new();
    if (mbs_outputs_add(o, "a.h5", 1, &t, &err) != MBS_OK || mbs_outputs_prepare(o, 0, &err) != MBS_OK) {
        return 1;
    }
    FILE *f = fopen(t, "w");
    fputs("the holder's", f);
    fclose(f);
    char c = 'r';
    (void)!write(ends[1], &c, 1);
    pause();
    return 2;
}

static void held_elsewhere(int no_flock) {
    char dir[256];
    test_tmp_enter(dir);
    if (no_flock) {
        setenv("MBS_NO_FLOCK", "1", 1);
    }
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = test_child_start(hold, ends);
    char c;
    CHECK(read(ends[0], &c, 1) == 1);
    for (int resume = 0; resume < 2; resume++) {
        mbs_err err = {0};
        const char *t;
        mbs_outputs *o = one("a.h5", 0, &t);
        char want[64];
        snprintf(want, sizeof want, "a.h5: another run is writing it: pid %ld on host ", (long)pid);
        refused(mbs_outputs_prepare(o, resume, &err), MBS_ERR_CREATE, &err, want);
        mbs_outputs_free(o);
        CHECK_STR(test_tmp_text(".a.h5.mbs-part"), "the holder's");
    }
    kill(pid, SIGKILL);
    CHECK_INT(test_child_wait(pid), -SIGKILL);
    CHECK(exists(".a.h5.mbs-lock"));
    /* The dead run's lock and temporary file are in nobody's way. */
    mbs_err err = {0};
    const char *t;
    mbs_outputs *o = ready("a.h5", 0, 0, &t);
    CHECK_STR(test_tmp_text(t), "");
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
    mbs_outputs_free(o);
    CHECK_INT(test_tmp_count("."), 1);
    unsetenv("MBS_NO_FLOCK");
    test_tmp_leave(dir);
}

MBS_TEST(output, a_held_lock_names_its_holder) {
    held_elsewhere(0);
}

MBS_TEST(output, a_held_lock_without_flock) {
    held_elsewhere(1);
}

MBS_TEST(output, without_flock_another_hosts_lock_is_respected) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *t;
    setenv("MBS_NO_FLOCK", "1", 1);
    test_tmp_write(".a.h5.mbs-lock", "pid 999999999 host elsewhere.example\n");
    mbs_outputs *o = one("a.h5", 0, &t);
    refused(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE, &err,
            "on host elsewhere.example; wait for it to end; if that run is dead, remove");
    test_tmp_write(".a.h5.mbs-lock", "");
    refused(mbs_outputs_prepare(o, 0, &err), MBS_ERR_CREATE, &err, "another run is writing it");
    mbs_outputs_free(o);
    CHECK(exists(".a.h5.mbs-lock"));
    unsetenv("MBS_NO_FLOCK");
    test_tmp_leave(dir);
}

#define RACERS 6

/* Takes the output as often as it can for a while; inside, it marks itself by O_EXCL, so that two at once are seen.
 * Exit code: 0 nothing wrong, 1 two at once, 2 another failure. */
static int race(void *arg) {
    (void)arg;
    int wins = 0;
    for (int i = 0; i < 60; i++) {
        const char *t;
        mbs_err err = {0};
        mbs_outputs *o = mbs_outputs_new();
        mbs_status status = mbs_outputs_add(o, "a.h5", 1, &t, &err);
        if (status == MBS_OK) {
            status = mbs_outputs_prepare(o, 0, &err);
        }
        if (status == MBS_OK) {
            int fd = open("inside", O_CREAT | O_EXCL | O_WRONLY, 0666);
            if (fd < 0) {
                return 1;
            }
            close(fd);
            struct timespec nap = {0, 200000};
            nanosleep(&nap, NULL);
            unlink("inside");
            wins++;
            if (i % 2 == 0 && mbs_outputs_commit(o, &err) != MBS_OK) {
                return 2;
            }
        } else if (!strstr(err.what, "another run") && !strstr(err.what, "other runs")) {
            fprintf(stderr, "%s: %s\n", err.where, err.what);
            return 2;
        }
        mbs_outputs_free(o);
    }
    return wins > 0 ? 0 : 3;
}

static void races(void) {
    char dir[256];
    test_tmp_enter(dir);
    pid_t pids[RACERS];
    for (int i = 0; i < RACERS; i++) {
        pids[i] = test_child_start(race, NULL);
    }
    int won = 0;
    for (int i = 0; i < RACERS; i++) {
        int code = test_child_wait(pids[i]);
        CHECK(code == 0 || code == 3, "exit %d", code);
        won += code == 0;
    }
    CHECK(won > 0);
    CHECK_STR(test_tmp_text("a.h5"), "");
    CHECK_INT(test_tmp_count("."), 1);
    test_tmp_leave(dir);
}

MBS_TEST(output, two_runs_never_hold_one_output) {
    races();
}

MBS_TEST(output, two_runs_never_hold_one_output_without_flock) {
    setenv("MBS_NO_FLOCK", "1", 1);
    races();
    unsetenv("MBS_NO_FLOCK");
}

MBS_TEST(output, half_way_failures_say_what_is_complete) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    const char *a;
    const char *b;
    const char *c;
    mbs_outputs *o = one("a.h5", 1, &a);
    CHECK_INT(mbs_outputs_add(o, "b.tsv", 1, &b, &err), MBS_OK);
    CHECK_INT(mbs_outputs_add(o, "c.bw", 1, &c, &err), MBS_OK);
    CHECK_INT(mbs_outputs_prepare(o, 0, &err), MBS_OK);
    CHECK(mkdir("b.tsv", 0777) == 0); /* no file can be renamed to it */
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_ERR_CREATE);
    CHECK_STR(err.where, "b.tsv");
    CHECK_STR(err.what, "the finished file could not be given its name: Is a directory");
    CHECK_STR(err.kept, "complete: a.h5; not written: b.tsv, c.bw");
    /* What is finished can still get its name. */
    CHECK(rmdir("b.tsv") == 0);
    mbs_err_clear(&err);
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_OK);
    CHECK(exists("a.h5") && exists("b.tsv") && exists("c.bw"));
    mbs_outputs_free(o);
    o = one("d", 0, &a);
    CHECK_INT(mbs_outputs_add(o, "e", 0, &b, &err), MBS_OK);
    CHECK_INT(mbs_outputs_prepare(o, 0, &err), MBS_OK);
    unlink(b);
    CHECK_INT(mbs_outputs_commit(o, &err), MBS_ERR_IO);
    CHECK_STR(err.kept, "no output was written");
    CHECK_STR(err.where, "e");
    mbs_outputs_free(o);
    CHECK_INT(test_tmp_count("."), 3);
    test_tmp_leave(dir);
}

/* Every allocation fails in turn: an error or a whole result, and never anything left behind. */
static int scenario(void *arg) {
    (void)arg;
    mbs_err err = {0};
    const char *t;
    mbs_outputs *o = mbs_outputs_new();
    mbs_status status = o ? MBS_OK : MBS_ERR_MEMORY;
    if (status == MBS_OK) {
        status = mbs_outputs_input(o, "in", &err);
    }
    if (status == MBS_OK) {
        status = mbs_outputs_add(o, "a.h5", 0, &t, &err);
    }
    if (status == MBS_OK) {
        status = mbs_outputs_scratch(o, "a.h5", "spool", &t, &err);
    }
    if (status == MBS_OK) {
        status = mbs_outputs_prepare(o, 0, &err);
    }
    if (status == MBS_OK) {
        status = mbs_outputs_add(o, "b.h5", 0, &t, &err);
    }
    if (status == MBS_OK) {
        status = mbs_outputs_commit(o, &err);
    }
    mbs_outputs_free(o);
    return mbs_exit_code(status);
}

MBS_TEST(output, every_allocation_may_fail) {
    char dir[256];
    if (mbs_alloc_count() != 0) {
        SKIP("the rule was read already in this process");
    }
    test_tmp_enter(dir);
    test_tmp_write("in", "x");
    int failures = 0;
    for (int k = 1; k < 200; k++) {
        char text[16];
        snprintf(text, sizeof text, "%d", k);
        setenv("MBS_ALLOC_FAIL_AT", text, 1);
        int code = test_child(scenario, NULL);
        CHECK(code == 0 || code == 71, "allocation %d: exit %d", k, code);
        CHECK_INT(test_tmp_count("."), code == 0 ? 3 : 1);
        unlink("a.h5");
        unlink("b.h5");
        failures += code != 0;
    }
    CHECK(failures > 20, "%d", failures);
    test_tmp_leave(dir);
}

/* A run that died between two renames of its commit: all its results are on disk, so recover finishes them. */
MBS_TEST(output, recover_finishes_a_commit_that_died) {
    char dir[256];
    test_tmp_enter(dir);
    for (int renamed = 0; renamed < 3; renamed++) {
        mbs_err err;
        mbs_err_clear(&err);
        mbs_outputs *o = mbs_outputs_new();
        const char *a;
        const char *b;
        const char *journal;
        int done = 1;
        CHECK_INT(mbs_outputs_add(o, "a.h5", 1, &a, &err), MBS_OK);
        CHECK_INT(mbs_outputs_add(o, "b.tsv", 1, &b, &err), MBS_OK);
        CHECK_INT(mbs_outputs_scratch(o, "a.h5", "journal", &journal, &err), MBS_OK);
        test_tmp_write(journal, "journal");
        test_tmp_write(a, "result a");
        test_tmp_write(b, "result b");
        CHECK_INT(mbs_outputs_recover(o, &done, &err), MBS_OK);
        CHECK_INT(done, 0);
        CHECK(access(a, F_OK) == 0 && access(journal, F_OK) == 0, "without the mark nothing is touched");
        test_tmp_write(".a.h5.mbs-commit", "");
        CHECK(renamed < 1 || rename(a, "a.h5") == 0);
        CHECK(renamed < 2 || rename(b, "b.tsv") == 0);
        CHECK_INT(mbs_outputs_recover(o, &done, &err), MBS_OK);
        CHECK_INT(done, 1);
        CHECK_STR(test_tmp_text("a.h5"), "result a");
        CHECK_STR(test_tmp_text("b.tsv"), "result b");
        CHECK_INT(test_tmp_count("."), 2);
        test_tmp_write(".b.tsv.mbs-lock", "pid 1 host none\n");
        mbs_outputs_sweep(o);
        CHECK_INT(test_tmp_count("."), 2);
        mbs_outputs_free(o);
        CHECK(unlink("a.h5") == 0 && unlink("b.tsv") == 0);
    }
    test_tmp_leave(dir);
}
