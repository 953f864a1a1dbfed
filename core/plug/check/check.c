#include "plug/check/check.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "opt/nearest.h"
#include "plug/check/impl.h"
#include "plug/registry.h"
#include "plug/registry_impl.h"

#define MAX_TESTS 64

typedef struct session {
    const mbs_check_options *o;
    mbs_check_board *board;
    mbs_check_process before;
    mbs_check_offer offers[MBS_CHECK_MAX_OFFERS];
    int n_offers;
    char root[4200]; /* of the folders of all tests */
    void (*done)(void *sink, const mbs_check_case *c);
    void *sink;
    mbs_check_sum *sum;
    /* What became of each test of the library, and of the descriptor at hand; -1: did not run. */
    int library[MAX_TESTS], descriptor[MAX_TESTS];
} session;

/* --- which file --------------------------------------------------------------------------------------------- */

/* The library that a pipeline would open for an id. */
static mbs_status find_id(const char *id, char **path, mbs_err *err) {
    mbs_registry *r = mbs_registry_new(NULL, 0, err);
    if (!r) {
        return err->status;
    }
    for (int i = 0; !*path && i < mbs_registry_dirs(r) && mbs_plugin_id_ok(id); i++) {
        const char *refused = NULL;
        const char *dir = mbs_registry_dir(r, i, &refused);
        char *made = refused ? NULL : mbs_registry_library_path(dir, id);
        if (made && access(made, F_OK) == 0) {
            *path = mbs_strdup(made);
        }
        mbs_free(made);
    }
    mbs_registry_free(r);
    if (!*path) {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, NULL, "there is no plugin '%s'", id);
        mbs_err_fix(err, "'mambaseq plugin list -v' lists what there is; a file is named with a slash or with .so");
        return MBS_ERR_UNAVAILABLE;
    }
    return MBS_OK;
}

static mbs_status locate(const char *file, char *out, size_t size, mbs_err *err) {
    size_t len = strlen(file);
    int is_file = strchr(file, '/') || (len > 3 && strcmp(file + len - 3, ".so") == 0);
    char *path = NULL;
    mbs_status st = is_file ? MBS_OK : find_id(file, &path, err);
    if (st == MBS_OK) {
        char *real = realpath(path ? path : file, NULL);
        struct stat info;
        if (!real || stat(real, &info) != 0 || !S_ISREG(info.st_mode)) {
            st = mbs_fail(err, MBS_ERR_UNAVAILABLE, file, "there is no such plugin file");
            mbs_err_fix(err, "check the path; a name without a slash is looked for in the plugin folders");
        } else {
            (void)snprintf(out, size, "%s", real);
        }
        free(real);
    }
    mbs_free(path);
    return st;
}

/* --- one test ----------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info;
    (void)type;
    (void)at;
    (void)remove(path);
    return 0;
}

static void remove_tree(const char *path) {
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs the test in its folder and leaves what came of it on the board. */
static mbs_status run_test(session *s, const mbs_check_test *t, const mbs_check_offer *offer, mbs_err *err) {
    char folder[4300];
    (void)snprintf(folder, sizeof folder, "%s/test", s->root);
    if (mkdir(folder, 0700) != 0) {
        return mbs_fail_errno(err, MBS_ERR_CREATE, errno, folder, "cannot be made");
    }
    mbs_check c = {
        .o = s->o, .test = t, .path = s->sum->path, .folder = folder, .board = s->board, .before = &s->before};
    mbs_status st = mbs_check_child(&c, mbs_check_function(t), offer ? offer->kind : 0, offer ? offer->id : NULL, err);
    remove_tree(folder);
    return st;
}

static void report(session *s, const mbs_check_test *t, const mbs_check_offer *offer, double seconds) {
    mbs_check_case c = {.test = t,
                        .kind = offer ? mbs_kind_name(offer->kind) : NULL,
                        .id = offer ? offer->id : NULL,
                        .verdict = (mbs_check_verdict)s->board->verdict,
                        .what = s->board->what,
                        .seconds = seconds};
    s->sum->passed += c.verdict == MBS_CHECK_PASSED;
    s->sum->failed += c.verdict == MBS_CHECK_FAILED;
    s->sum->not_checked += c.verdict == MBS_CHECK_NOT_CHECKED;
    s->done(s->sink, &c);
}

static int index_of(const char *id) {
    int n = 0;
    const mbs_check_test *tests = mbs_check_tests(&n);
    int i = 0;
    while (i < n && strcmp(tests[i].id, id) != 0) {
        i++;
    }
    return i < n ? i : -1;
}

/* The test that this one needs and that did not pass, and how it ended; NULL where there is none. With --only nothing
 * is needed. */
static const char *missing(const session *s, const mbs_check_test *t, const mbs_check_offer *offer, const char **how) {
    if (!t->needs || s->o->only) {
        return NULL;
    }
    int i = index_of(t->needs);
    int n = 0;
    const mbs_check_test *tests = mbs_check_tests(&n);
    int verdict = tests[i].kinds ? (offer ? s->descriptor[i] : MBS_CHECK_FAILED) : s->library[i];
    int fine = verdict == MBS_CHECK_PASSED || (verdict == MBS_CHECK_NOT_CHECKED && t->lenient);
    *how = verdict == MBS_CHECK_NOT_CHECKED ? "was not checked" : "did not pass";
    return fine ? NULL : t->needs;
}

static mbs_status one(session *s, int i, const mbs_check_offer *offer, mbs_err *err) {
    int n = 0;
    const mbs_check_test *t = &mbs_check_tests(&n)[i];
    const char *how = NULL;
    const char *needs = missing(s, t, offer, &how);
    double from = mbs_clock();
    if (needs) {
        memset(s->board, 0, sizeof *s->board);
        s->board->verdict = MBS_CHECK_NOT_CHECKED;
        (void)snprintf(s->board->what, sizeof s->board->what, "%s %s", needs, how);
    } else {
        mbs_status st = run_test(s, t, offer, err);
        if (st != MBS_OK) {
            return st;
        }
    }
    *(t->kinds ? &s->descriptor[i] : &s->library[i]) = s->board->verdict;
    report(s, t, offer, mbs_clock() - from);
    return MBS_OK;
}

/* --- all of them -------------------------------------------------------------------------------------------- */

/* Takes from the board what the test's process found in the library. */
static mbs_status take_offers(session *s, mbs_err *err) {
    mbs_check_board *b = s->board;
    s->n_offers = b->n_offers < 0 || b->n_offers > MBS_CHECK_MAX_OFFERS ? 0 : b->n_offers;
    memcpy(s->offers, b->offers, sizeof s->offers);
    for (int i = 0; i < s->n_offers; i++) {
        s->offers[i].id[sizeof s->offers[i].id - 1] = '\0';
    }
    b->stranger[sizeof b->stranger - 1] = '\0';
    if (b->stranger[0]) {
        mbs_fail(err, MBS_ERR_USAGE, "plugin check", "--param %s", b->stranger);
        mbs_err_fix(err, "'mambaseq plugin show' lists the parameters of a plugin");
        return MBS_ERR_USAGE;
    }
    return MBS_OK;
}

static mbs_status probe(session *s, mbs_err *err) {
    int n = 0;
    mbs_status st = run_test(s, &mbs_check_tests(&n)[index_of("abi.tables")], NULL, err);
    if (st == MBS_OK && s->board->verdict != MBS_CHECK_PASSED) {
        return mbs_fail(err, MBS_ERR_UNAVAILABLE, s->sum->path, "the plugin %s", s->board->what);
    }
    return st == MBS_OK ? take_offers(s, err) : st;
}

static mbs_status library_tests(session *s, mbs_err *err) {
    int n = 0;
    const mbs_check_test *tests = mbs_check_tests(&n);
    mbs_status st = MBS_OK;
    for (int i = 0; i < n && st == MBS_OK; i++) {
        if (tests[i].kinds == 0 && (!s->o->only || strcmp(s->o->only, tests[i].id) == 0)) {
            st = one(s, i, NULL, err);
            if (st == MBS_OK && strcmp(tests[i].id, "abi.tables") == 0) {
                st = take_offers(s, err);
            }
        }
    }
    return st;
}

static mbs_status descriptor_tests(session *s, mbs_err *err) {
    int n = 0;
    const mbs_check_test *tests = mbs_check_tests(&n);
    mbs_status st = MBS_OK;
    for (int d = 0; d < (s->n_offers ? s->n_offers : 1); d++) {
        const mbs_check_offer *offer = s->n_offers ? &s->offers[d] : NULL;
        for (int i = 0; i < n && st == MBS_OK; i++) {
            s->descriptor[i] = -1;
            int fits = !offer || (tests[i].kinds & 1u << offer->kind);
            if (tests[i].kinds && fits && (!s->o->only || strcmp(s->o->only, tests[i].id) == 0)) {
                st = one(s, i, offer, err);
            }
        }
    }
    return st;
}

static mbs_status run_all(session *s, mbs_err *err) {
    int n = 0;
    const mbs_check_test *tests = mbs_check_tests(&n);
    int of_descriptor = s->o->only && tests[index_of(s->o->only)].kinds;
    mbs_status st = of_descriptor ? probe(s, err) : library_tests(s, err);
    if (st == MBS_OK && (!s->o->only || of_descriptor)) {
        st = descriptor_tests(s, err);
    }
    if (st == MBS_OK && of_descriptor && s->sum->passed + s->sum->failed + s->sum->not_checked == 0) {
        st = mbs_fail(err, MBS_ERR_USAGE, "plugin check", "the library offers nothing that '%s' is for", s->o->only);
    }
    return st;
}

static mbs_status check_options(const mbs_check_options *o, mbs_err *err) {
    if (o->only && index_of(o->only) < 0) {
        int n = 0;
        const mbs_check_test *tests = mbs_check_tests(&n);
        mbs_nearest near;
        mbs_nearest_init(&near, o->only);
        for (int i = 0; i < n; i++) {
            mbs_nearest_offer(&near, tests[i].id);
        }
        mbs_fail(err, MBS_ERR_USAGE, "plugin check", "'%s' is not a test%s%s%s", o->only,
                 near.at ? ", did you mean '" : "", near.at ? near.best : "", near.at ? "'?" : "");
        mbs_err_fix(err, "--list lists the tests");
        return MBS_ERR_USAGE;
    }
    if (o->sample && access(o->sample, R_OK) != 0) {
        return mbs_fail_errno(err, MBS_ERR_NOINPUT, errno, o->sample, "the sample cannot be read");
    }
    return MBS_OK;
}

static mbs_status make_root(session *s, mbs_err *err) {
    const char *tmp = secure_getenv("TMPDIR");
    (void)snprintf(s->root, sizeof s->root, "%.4000s/mambaseq-check-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
    if (!mkdtemp(s->root)) {
        mbs_fail_errno(err, MBS_ERR_CREATE, errno, s->root, "no folder for the tests can be made");
        mbs_err_fix(err, "set TMPDIR to a folder with room");
        return MBS_ERR_CREATE;
    }
    return MBS_OK;
}

mbs_status mbs_check_plugin(const mbs_check_options *o, void (*done)(void *sink, const mbs_check_case *c), void *sink,
                            mbs_check_sum *sum, mbs_err *err) {
    memset(sum, 0, sizeof *sum);
    session s = {.o = o, .done = done, .sink = sink, .sum = sum};
    for (int i = 0; i < MAX_TESTS; i++) {
        s.library[i] = s.descriptor[i] = -1;
    }
    mbs_status st = check_options(o, err);
    st = st == MBS_OK ? locate(o->file, sum->path, sizeof sum->path, err) : st;
    st = st == MBS_OK ? make_root(&s, err) : st;
    if (st != MBS_OK) {
        return st;
    }
    s.board = mmap(NULL, sizeof *s.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s.board == MAP_FAILED) {
        st = mbs_fail_memory(err, "plugin check", sizeof *s.board);
    } else {
        mbs_check_process_look(&s.before);
        st = run_all(&s, err);
        (void)munmap(s.board, sizeof *s.board);
    }
    remove_tree(s.root);
    return st;
}
