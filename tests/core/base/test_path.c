#include "base/path.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/child.h"
#include "support/test.h"
#include "support/tmp.h"

#define IS(CALL, WANT)                                                                                                 \
    do {                                                                                                               \
        char *got_ = (CALL);                                                                                           \
        CHECK_STR(got_, WANT);                                                                                         \
        mbs_free(got_);                                                                                                \
    } while (0)

MBS_TEST(path, parts) {
    IS(mbs_path_dir("a/b"), "a");
    IS(mbs_path_dir("b"), ".");
    IS(mbs_path_dir("/b"), "/");
    IS(mbs_path_dir("/"), "/");
    IS(mbs_path_dir("a//b/"), "a");
    IS(mbs_path_dir(""), ".");
    IS(mbs_path_base("a/b.fa.gz"), "b.fa.gz");
    IS(mbs_path_base("a/b/"), "b");
    IS(mbs_path_base("/"), "/");
    IS(mbs_path_stem("a/b.fa.gz"), "b");
    IS(mbs_path_stem("x.d/.hidden.fa"), ".hidden");
    IS(mbs_path_stem("plain"), "plain");
    IS(mbs_path_join("a", "b"), "a/b");
    IS(mbs_path_join("a/", "b"), "a/b");
    IS(mbs_path_join("", "b"), "b");
    IS(mbs_path_join("a", "/b"), "/b");
    CHECK(mbs_path_is_std("-") && !mbs_path_is_std("./-"));
}

MBS_TEST(path, found_from_the_executable) {
    unsetenv("MAMBASEQ_SHARE");
    char *self = mbs_path_self();
    CHECK(self[0] == '/' && mbs_path_is_dir(self), "%s", self);
    char want[PATH_MAX];
    char build[PATH_MAX];
    CHECK(realpath(MBS_BUILD_DIR, build) != NULL);
    snprintf(want, sizeof want, "%.4000s/tests", build);
    CHECK_STR(self, want);
    mbs_free(self);
    snprintf(want, sizeof want, "%.4000s/share/mambaseq/data/x.fa", build);
    IS(mbs_path_share("data/x.fa"), want);
    IS(mbs_path_resolve("share:data/x.fa"), want);
    IS(mbs_path_resolve("share:/data/x.fa"), want);
    IS(mbs_path_resolve("data/share:x"), "data/share:x");
    char *plugins = mbs_path_plugins();
    CHECK(strncmp(plugins, build, strlen(build)) == 0, "%s", plugins);
    CHECK_STR(strstr(plugins, "/mambaseq/plugins-1"), "/mambaseq/plugins-1");
    mbs_free(plugins);
    setenv("MAMBASEQ_SHARE", "/elsewhere", 1);
    IS(mbs_path_share("m"), "/elsewhere/m");
    IS(mbs_path_share(""), "/elsewhere");
    unsetenv("MAMBASEQ_SHARE");
}

MBS_TEST(path, same_through_links) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("a", "x");
    test_tmp_write("b", "x");
    CHECK(symlink("a", "sym") == 0 && link("a", "hard") == 0);
    CHECK(mbs_path_same("a", "sym") && mbs_path_same("a", "hard") && mbs_path_same("./a", "a"));
    CHECK(!mbs_path_same("a", "b") && !mbs_path_same("none", "none"));
    CHECK(mbs_path_exists("a") && !mbs_path_exists("none") && mbs_path_is_dir(".") && !mbs_path_is_dir("a"));
    test_tmp_leave(dir);
}

MBS_TEST(path, read_whole_files) {
    char dir[256];
    test_tmp_enter(dir);
    char *data;
    size_t len;
    mbs_err err = {0};
    test_tmp_write("five", "12345");
    CHECK_INT(mbs_path_read("five", 5, &data, &len, &err), MBS_OK);
    CHECK_STR(data, "12345");
    CHECK_INT(len, 5);
    mbs_free(data);
    CHECK_INT(mbs_path_read("five", 4, &data, &len, &err), MBS_ERR_DATA);
    CHECK(data == NULL && strstr(err.what, "more than 4 bytes") != NULL, "%s", err.what);
    mbs_err_clear(&err);
    test_tmp_write("empty", "");
    CHECK_INT(mbs_path_read("empty", 0, &data, &len, &err), MBS_OK);
    CHECK_STR(data, "");
    mbs_free(data);
    CHECK_INT(mbs_path_read("/proc/self/status", 1 << 20, &data, &len, &err), MBS_OK); /* says it has size 0 */
    CHECK(len > 100 && strncmp(data, "Name:", 5) == 0);
    mbs_free(data);
    CHECK_INT(mbs_path_read("none", 10, &data, &len, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.what, "cannot open: No such file or directory");
    CHECK(err.fix[0] != '\0');
    mbs_err_clear(&err);
    CHECK_INT(mbs_path_read(".", 10, &data, &len, &err), MBS_ERR_NOINPUT);
    CHECK(strstr(err.what, "folder") != NULL, "%s", err.what);
    test_tmp_leave(dir);
}

MBS_TEST(path, write_atomic_replaces_and_leaves_nothing) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_err err = {0};
    umask(022);
    CHECK_INT(mbs_path_write_atomic("new", "one", 3, &err), MBS_OK);
    CHECK_STR(test_tmp_text("new"), "one");
    struct stat st;
    CHECK(stat("new", &st) == 0 && (st.st_mode & 0777) == 0644, "%o", (unsigned)st.st_mode);
    CHECK(chmod("new", 0600) == 0 && symlink("new", "sym") == 0);
    CHECK_INT(mbs_path_write_atomic("sym", "second", 6, &err), MBS_OK);
    CHECK_STR(test_tmp_text("new"), "second");
    CHECK(lstat("sym", &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(stat("new", &st) == 0 && (st.st_mode & 0777) == 0600, "%o", (unsigned)st.st_mode);
    CHECK_INT(test_tmp_count("."), 2);
    CHECK_INT(mbs_path_write_atomic("none/new", "x", 1, &err), MBS_ERR_CREATE);
    CHECK_STR(err.what, "cannot create: No such file or directory");
    mbs_err_clear(&err);
    CHECK_INT(mbs_path_write_atomic(".", "x", 1, &err), MBS_ERR_CREATE);
    mbs_err_clear(&err);
    CHECK_INT(mbs_path_write_atomic("/dev/null", "x", 1, &err), MBS_OK);
    CHECK_INT(mbs_path_write_atomic("/dev/full", "x", 1, &err), MBS_ERR_IO);
    CHECK(strstr(err.what, "No space left on device") != NULL, "%s", err.what);
    test_tmp_leave(dir);
}

static int over_the_limit(void *arg) {
    (void)arg;
    struct rlimit limit = {4096, 4096};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    static char big[10000];
    mbs_err err = {0};
    mbs_status status = mbs_path_write_atomic("file", big, sizeof big, &err);
    return status == MBS_ERR_IO && strstr(err.what, "4096 of 10000 bytes: File too large") ? 0 : 1;
}

MBS_TEST(path, a_failed_write_keeps_the_old_file) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("file", "old");
    CHECK_INT(test_child(over_the_limit, NULL), 0);
    CHECK_STR(test_tmp_text("file"), "old");
    CHECK_INT(test_tmp_count("."), 1);
    test_tmp_leave(dir);
}
