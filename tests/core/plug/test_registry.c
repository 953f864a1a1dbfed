#include "support/test.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/path.h"
#include "support/tmp.h"

#define ZOO_ID "built"
#include "plug/registry.h"
#include "zoo/zoo.h"

#define ZOO MBS_BUILD_DIR "/tests/zoo"

/* A folder of its own; nothing of the user's or the build's is on the search path but what a test puts there. */
static void begin(char dir[256]) {
    test_tmp_enter(dir);
    setenv("HOME", dir, 1);
    unsetenv("MAMBASEQ_PLUGIN_PATH");
}

static void copy(const char *animal, const char *to) {
    char from[512];
    (void)snprintf(from, sizeof from, ZOO "/mbsp_%s.so", animal);
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    CHECK(in && out, "%s to %s", from, to);
    char bytes[4096];
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, in)) > 0;) {
        CHECK(fwrite(bytes, 1, n, out) == n);
    }
    fclose(in);
    CHECK(fclose(out) == 0);
    CHECK(chmod(to, 0755) == 0);
}

static void folder(const char *name, mode_t mode) {
    CHECK(mkdir(name, 0700) == 0 && chmod(name, mode) == 0, "%s", name);
}

static mbs_registry *search(const char *dir) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_registry *r = mbs_registry_new(&dir, dir ? 1 : 0, &err);
    CHECK(r != NULL, "%s", err.what);
    return r;
}

static const mbs_descriptor *found(mbs_registry *r, const char *name) {
    mbs_err err;
    const mbs_descriptor *d = NULL;
    mbs_err_clear(&err);
    CHECK(mbs_registry_find(r, MBS_KIND_READER, name, &d, &err) == MBS_OK, "%s: %s", err.where, err.what);
    CHECK(d != NULL);
    return d;
}

/* The whole line that a user would read, which must hold every one of the words. */
static void refused_all(mbs_registry *r, int32_t kind, const char *name, const char *a, const char *b, const char *c) {
    char line[3000];
    mbs_err err;
    const mbs_descriptor *d = NULL;
    mbs_err_clear(&err);
    CHECK_INT(mbs_registry_find(r, kind, name, &d, &err), MBS_ERR_UNAVAILABLE);
    CHECK(d == NULL);
    mbs_err_line(&err, line, sizeof line);
    CHECK(strstr(line, a), "\"%s\" is not in \"%s\"", a, line);
    CHECK(strstr(line, b), "\"%s\" is not in \"%s\"", b, line);
    CHECK(strstr(line, c), "\"%s\" is not in \"%s\"", c, line);
    CHECK(err.fix[0], "no advice in \"%s\"", line);
}

MBS_TEST(registry, finds_by_name_and_by_path) {
    char dir[256];
    begin(dir);
    folder("p", 0755);
    copy("good", "p/mbsp_good.so");
    mbs_registry *r = search("p");
    const mbs_descriptor *d = found(r, "good");
    CHECK_STR(d->id, "good");
    CHECK(found(r, "good") == d);
    CHECK(found(r, "./p/mbsp_good.so") == d);
    mbs_registry_free(r);
    CHECK_STR(d->summary, "an animal of the zoo"); /* lives on */
    test_tmp_leave(dir);
}

MBS_TEST(registry, says_where_it_looked_and_what_is_near) {
    char dir[256];
    begin(dir);
    folder("p", 0755);
    copy("good", "p/mbsp_good.so");
    mbs_registry *r = search("p");
    refused_all(r, MBS_KIND_READER, "godo", "reader 'godo'", "/p", "did you mean 'good'?");
    refused_all(r, MBS_KIND_READER, "Good", "reader 'Good'", "/p", "did you mean 'good'?");
    refused_all(r, MBS_KIND_READER, "quite-else", "searched", "/.local/lib/mambaseq/plugins (does not exist)",
                "mambaseq plugin list");
    refused_all(r, MBS_KIND_WRITER, "good", "writer 'good'", "mbsp_good.so offers reader 'good'", "");
    refused_all(r, MBS_KIND_WRITER, "p/mbsp_good.so", "there is no writer in this plugin", "reader 'good'", "");
    refused_all(r, MBS_KIND_READER, "./p/mbsp_none.so", "./p/mbsp_none.so", "there is no such plugin file", "");
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, a_folder_anybody_can_write_is_refused) {
    char dir[256];
    begin(dir);
    folder("open", 0777);
    copy("good", "open/mbsp_good.so");
    mbs_registry *r = search("open");
    refused_all(r, MBS_KIND_READER, "good", "mbsp_good.so is not used", "writable by anybody", "");
    refused_all(r, MBS_KIND_READER, "open/mbsp_good.so", "refused", "its folder is writable by anybody", "");
    const char *why = NULL;
    CHECK(strstr(mbs_registry_dir(r, 0, &why), "/open") && why);
    CHECK_STR(why, "is writable by anybody");
    mbs_registry_free(r);
    CHECK(chmod("open", 01777) == 0); /* a sticky bit keeps nobody from adding files */
    r = search("open");
    refused_all(r, MBS_KIND_READER, "good", "not used", "writable by anybody", "");
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, a_file_anybody_can_write_is_refused) {
    char dir[256];
    begin(dir);
    folder("p", 0755);
    copy("good", "p/mbsp_good.so");
    CHECK(chmod("p/mbsp_good.so", 0666) == 0);
    mbs_registry *r = search("p");
    refused_all(r, MBS_KIND_READER, "good", "mbsp_good.so", "the file is writable by anybody", "");
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, a_folder_of_another_user_is_refused) {
    char dir[256];
    begin(dir);
    folder("p", 0755);
    copy("good", "p/mbsp_good.so");
    if (geteuid() != 0 || chown("p", 12345, (gid_t)-1) != 0) {
        test_tmp_leave(dir);
        SKIP("only root can give a folder to another user");
    }
    mbs_registry *r = search("p");
    refused_all(r, MBS_KIND_READER, "good", "not used", "belongs to another user (uid 12345)", "");
    mbs_registry_free(r);
    CHECK(chown("p", 0, (gid_t)-1) == 0 && chown("p/mbsp_good.so", 12345, (gid_t)-1) == 0);
    r = search("p");
    refused_all(r, MBS_KIND_READER, "good", "mbsp_good.so", "the file belongs to another user", "");
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, a_folder_its_group_can_write_warns_once) {
    char dir[256];
    begin(dir);
    folder("p", 0775);
    copy("good", "p/mbsp_good.so");
    mbs_buf log = MBS_BUF_INIT;
    mbs_log_capture(&log);
    mbs_registry *r = search("p");
    CHECK_INT(log.len, 0);
    found(r, "good");
    found(r, "good");
    mbs_log_capture(NULL);
    const char *first = strstr(mbs_buf_str(&log), "writable by its group");
    CHECK(first && !strstr(first + 1, "writable by its group"), "%s", mbs_buf_str(&log));
    mbs_buf_free(&log);
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, order_of_search_and_shadowing) {
    char dir[256];
    char path[600];
    begin(dir);
    folder("first", 0755);
    folder("second", 0755);
    copy("good", "first/mbsp_good.so");
    copy("good", "second/mbsp_good.so");
    copy("silent", "second/mbsp_silent.so");
    (void)snprintf(path, sizeof path, "%s/first:%s/second", dir, dir);
    setenv("MAMBASEQ_PLUGIN_PATH", path, 1);
    mbs_registry *r = search(NULL);
    const mbs_plugin_info *list = NULL;
    int n = 0;
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_registry_scan(r, &list, &n, &err) == MBS_OK);
    int winners = 0;
    int shadowed = 0;
    for (int i = 0; i < n; i++) {
        if (list[i].desc && strcmp(list[i].desc->id, "good") == 0) {
            winners += strstr(list[i].path, "/first/") && !list[i].shadowed_by;
            shadowed += strstr(list[i].path, "/second/") && list[i].shadowed_by &&
                        strstr(list[i].shadowed_by, "/first/mbsp_good.so");
        }
    }
    CHECK(winners == 1 && shadowed == 1, "%d and %d of %d", winners, shadowed, n);
    const mbs_descriptor *of_first = found(r, "good");
    const mbs_descriptor *of_file = found(r, "first/mbsp_good.so");
    CHECK(of_first == of_file);
    /* The pipeline's own folder comes before the environment. */
    CHECK(mbs_registry_add_dir(r, "second", &err) == MBS_OK);
    CHECK(found(r, "good") == found(r, "second/mbsp_good.so") && found(r, "good") != of_first);
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, an_empty_item_is_the_libdir) {
    char dir[256];
    char path[600];
    begin(dir);
    folder("p", 0755);
    char *libdir = mbs_path_plugins();
    static const struct {
        const char *list;
        int at;
    } forms[] = {{"%s/p:", 1}, {":%s/p", 0}};
    for (int k = 0; k < 2; k++) {
        (void)snprintf(path, sizeof path, k == 0 ? "%s/p:" : ":%s/p", dir);
        setenv("MAMBASEQ_PLUGIN_PATH", path, 1);
        mbs_registry *r = search(NULL);
        const char *why = NULL;
        CHECK(mbs_registry_dirs(r) == 3, "%d folders", mbs_registry_dirs(r));
        const char *got = mbs_registry_dir(r, forms[k].at, &why);
        CHECK(strcmp(got, libdir) == 0 || mbs_path_same(got, libdir), "%s is not %s", got, libdir);
        mbs_registry_free(r);
    }
    free(libdir);
    test_tmp_leave(dir);
}

MBS_TEST(registry, the_current_directory_is_never_searched) {
    char dir[256];
    begin(dir);
    copy("good", "mbsp_good.so");
    mbs_registry *r = search(NULL);
    refused_all(r, MBS_KIND_READER, "good", "no plugin of this name", "searched", "");
    refused_all(r, MBS_KIND_READER, "mbsp_good.so", "no plugin of this name", "searched", "");
    mbs_registry_free(r);
    static const char *const sneaky[] = {".", "./", "x:.", ".:"};
    for (size_t i = 0; i < sizeof sneaky / sizeof sneaky[0]; i++) {
        setenv("MAMBASEQ_PLUGIN_PATH", sneaky[i], 1);
        r = search(NULL);
        refused_all(r, MBS_KIND_READER, "good", "mbsp_good.so is not used", "is a relative path", "");
        mbs_registry_free(r);
    }
    mbs_err err;
    mbs_err_clear(&err);
    r = search(NULL);
    CHECK_INT(mbs_registry_add_dir(r, "", &err), MBS_ERR_CONFIG);
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, broken_libraries_are_named_with_the_reason) {
    mbs_registry *r = search(NULL);
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_abi_major.so", "mbsp_abi_major.so", "plugin interface 7.1",
                "this program 1.1");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_newer_host.so", "needs plugin interface 1.99", "has 1.1",
                "install a newer mambaseq");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_no_symbol.so", "mbsp_no_symbol.so", "not a mambaseq plugin",
                "mbs_plugin_entry");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_undefined.so", "cannot be loaded",
                "undefined symbol: zoo_function_of_the_next_release", "build it again");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_missing_library.so", "cannot be loaded", "libmbs-zoo-gone.so",
                "install the package that holds libmbs-zoo-gone.so");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_no_vt.so", "reader 'no_vt' is malformed", "no function table", "author");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_no_read.so", "a function is missing: read", "", "");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_bad_default.so", "flank is 'many'", "", "");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_twice.so", "twice", "", "");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_offers_nothing.so", "offers nothing", "", "");
    refused_all(r, MBS_KIND_READER, ZOO "/mbsp_short_entry.so", "struct_size", "", "");
    found(r, ZOO "/mbsp_newer_minor.so");
    mbs_registry_free(r);
}

MBS_TEST(registry, text_called_so_is_no_library) {
    char dir[256];
    begin(dir);
    folder("p", 0755);
    test_tmp_write("p/mbsp_text.so", "this is a text, and long enough for a header of an ELF file to fit into it\n");
    test_tmp_write("p/mbsp_empty.so", "");
    mbs_registry *r = search("p");
    refused_all(r, MBS_KIND_READER, "text", "p/mbsp_text.so", "invalid ELF header", "not a shared library");
    refused_all(r, MBS_KIND_READER, "empty", "p/mbsp_empty.so", "file too short", "not a shared library");
    folder("p/mbsp_dir.so", 0755);
    refused_all(r, MBS_KIND_READER, "dir", "p/mbsp_dir.so", "is not a file", "");
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

/* Byte `at` of a library becomes `value`. */
static void patch(const char *path, long at, int value) {
    FILE *f = fopen(path, "r+b");
    CHECK(f && fseek(f, at, SEEK_SET) == 0 && putc(value, f) == value, "%s", path);
    CHECK(fclose(f) == 0);
}

/* The header of an ELF file tells its class (32 or 64 bits) at byte 4 and its machine at byte 18. */
MBS_TEST(registry, a_library_for_another_machine_is_named) {
    char dir[256];
    begin(dir);
    folder("p", 0755);
    copy("good", "p/mbsp_arm.so");
    patch("p/mbsp_arm.so", 18, 0x28);
    copy("good", "p/mbsp_bits.so");
    patch("p/mbsp_bits.so", 4, 1);
    mbs_registry *r = search("p");
    refused_all(r, MBS_KIND_READER, "arm", "p/mbsp_arm.so", "cannot be loaded: cannot open shared object file",
                "not a shared library for this machine");
    refused_all(r, MBS_KIND_READER, "bits", "p/mbsp_bits.so", "wrong ELF class",
                "not a shared library for this machine");
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

/* A broken library that comes first is not silently replaced by one that comes later. */
MBS_TEST(registry, the_first_match_counts_even_if_broken) {
    char dir[256];
    begin(dir);
    folder("first", 0755);
    folder("second", 0755);
    test_tmp_write("first/mbsp_good.so", "text");
    copy("good", "second/mbsp_good.so");
    mbs_registry *r = search("second");
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_registry_add_dir(r, "first", &err) == MBS_OK);
    refused_all(r, MBS_KIND_READER, "good", "first/mbsp_good.so", "cannot be loaded", "");
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, a_scan_lists_what_is_broken_too) {
    char dir[256];
    begin(dir);
    folder("p", 0755);
    copy("good", "p/mbsp_good.so");
    copy("good", "p/mbsp_other_name.so");
    copy("abi_major", "p/mbsp_abi_major.so");
    test_tmp_write("p/mbsp_.so", "no id");
    test_tmp_write("p/readme.txt", "no plugin");
    mbs_registry *r = search("p");
    const mbs_plugin_info *list = NULL;
    int n = 0;
    int seen = 0;
    mbs_err err;
    mbs_err_clear(&err);
    for (int twice = 0; twice < 2; twice++) {
        CHECK(mbs_registry_scan(r, &list, &n, &err) == MBS_OK);
        for (int i = 0; i < n; i++) {
            if (strstr(list[i].path, "/p/mbsp_abi_major.so")) {
                CHECK(!list[i].desc && strstr(list[i].problem, "plugin interface 7.1"), "%s", list[i].problem);
                seen |= 1;
            } else if (strstr(list[i].path, "/p/mbsp_good.so")) {
                CHECK(list[i].desc && !list[i].problem && !list[i].shadowed_by);
                seen |= 2;
            } else if (strstr(list[i].path, "/p/mbsp_other_name.so")) {
                CHECK(list[i].desc && strstr(list[i].problem, "another name"), "%s", list[i].problem);
                seen |= 4;
            } else {
                CHECK(!strstr(list[i].path, "/p/"), "%s", list[i].path);
            }
        }
        CHECK_INT(seen, 7);
    }
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(registry, a_built_in_comes_first) {
    static const mbs_reader_vt vt = {.struct_size = sizeof vt,
                                     .create = zoo_create,
                                     .open = zoo_open,
                                     .read = zoo_read,
                                     .close = zoo_close,
                                     .destroy = zoo_destroy};
    static const mbs_descriptor desc = ZOO_DESCRIPTOR(&vt);
    static const mbs_descriptor *const list[] = {&desc};
    static const mbs_plugin_entry_table entry = {sizeof entry, MBS_ABI_MAJOR, MBS_ABI_MINOR, 0, 1, 0, list, NULL};
    mbs_registry *r = search(NULL);
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_registry_add_static(r, &entry, &err) == MBS_OK);
    CHECK(found(r, "built") == &desc);
    refused_all(r, MBS_KIND_READER, "biult", "did you mean 'built'?", "", "");
    mbs_registry_free(r);
}
