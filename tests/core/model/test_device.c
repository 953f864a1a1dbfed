/* Where a model is computed: words for a device, how its backend is found, and what is said where there is none. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "model/backend.h"
#include "model/device.h"
#include "support/test.h"
#include "support/tmp.h"

#define BACKENDS MBS_BUILD_DIR "/tests/backends/"

static void from(const char *folders) {
    setenv("MAMBASEQ_PLUGIN_PATH", folders, 1);
    setenv("HOME", "/nonexistent", 1);
    unsetenv("MAMBASEQ_CPU");
    unsetenv("MAMBASEQ_DEVICE");
}

static mbs_status choose(const char *device, mbs_backend *b, mbs_err *err) {
    mbs_err_clear(err);
    return mbs_backend_choose(b, device, NULL, NULL, 1, err);
}

static void refused(const char *folders, const char *device, mbs_status status, const char *words) {
    mbs_backend b;
    mbs_err err;
    from(folders);
    CHECK_INT(choose(device, &b, &err), status);
    CHECK(!b.ctx && !b.pool && strstr(err.what, words), "%s: %s", err.where, err.what);
    CHECK(err.fix[0], "nothing to do about: %s", err.what);
}

MBS_TEST(device, words) {
    mbs_device_choice c;
    mbs_err err = {0};
    CHECK(mbs_device_parse(NULL, &c, &err) == MBS_OK && c.kind == MBS_DEVICE_AUTO);
    CHECK(mbs_device_parse("cpu", &c, &err) == MBS_OK && c.kind == MBS_DEVICE_CPU);
    CHECK(mbs_device_parse("cuda", &c, &err) == MBS_OK && c.kind == MBS_DEVICE_CUDA && c.index == -1);
    CHECK(mbs_device_parse("cuda:12", &c, &err) == MBS_OK && c.kind == MBS_DEVICE_CUDA && c.index == 12);
    const char *wrong[] = {"", "gpu", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:99999", "CUDA"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mbs_err_clear(&err);
        CHECK(mbs_device_parse(wrong[i], &c, &err) == MBS_ERR_USAGE, "'%s'", wrong[i]);
    }
}

MBS_TEST(device, one_that_works) {
    mbs_backend b;
    mbs_err err;
    from(BACKENDS "works");
    CHECK_INT(choose("cuda", &b, &err), MBS_OK);
    CHECK_STR(b.name, "Fake 0, 1.0 GiB");
    mbs_backend_close(&b);
    CHECK_INT(choose("cuda:1", &b, &err), MBS_OK);
    CHECK_STR(b.name, "Fake 1, 1.0 GiB");
    mbs_backend_close(&b);
    CHECK_INT(choose("auto", &b, &err), MBS_OK);
    CHECK_STR(b.name, "Fake 0, 1.0 GiB");
    mbs_backend_close(&b);
    CHECK_INT(choose("cpu", &b, &err), MBS_OK);
    CHECK(!b.name[0] && strcmp(b.ctx->ops->device, "cpu") == 0);
    mbs_backend_close(&b);
    refused(BACKENDS "works", "cuda:2", MBS_ERR_UNAVAILABLE,
            "there is no cuda:2 here: this machine has 2 (cuda:0 is Fake 0");
}

MBS_TEST(device, each_reason_has_its_own_words) {
    refused(BACKENDS "driverless", "cuda", MBS_ERR_UNAVAILABLE, "CUDA cannot be used: no NVIDIA driver is installed");
    refused(BACKENDS "older", "cuda", MBS_ERR_UNAVAILABLE,
            "another build of mambaseq: 0.0.9-feed, and this is " MBK_ABI);
    refused(BACKENDS "larger", "cuda", MBS_ERR_UNAVAILABLE, "another build of mambaseq: one of another shape");
    refused(BACKENDS "full", "cuda:0", MBS_ERR_MEMORY, "the device has not enough memory");
}

/* What auto said, and that it is the CPU. */
static void falls_back(const char *folders, const char *device, const char *said) {
    mbs_buf log = MBS_BUF_INIT;
    mbs_backend b;
    mbs_err err;
    from(folders);
    mbs_log_capture(&log);
    CHECK_INT(choose(device, &b, &err), MBS_OK);
    mbs_log_capture(NULL);
    CHECK(!b.name[0] && strcmp(b.ctx->ops->device, "cpu") == 0);
    CHECK_STR(mbs_buf_str(&log), said);
    mbs_backend_close(&b);
    mbs_buf_free(&log);
}

MBS_TEST(device, auto_goes_on_with_one_line) {
    falls_back(BACKENDS "driverless", "auto", "mambaseq: computing on the CPU: no NVIDIA driver is installed\n");
    falls_back(BACKENDS "driverless", NULL, "mambaseq: computing on the CPU: no NVIDIA driver is installed\n");
    falls_back(BACKENDS "full", "auto", "mambaseq: computing on the CPU: the device has not enough memory\n");
    falls_back(BACKENDS "older", "auto",
               "mambaseq: computing on the CPU: " BACKENDS
               "older/mambaseq-cuda.so: the CUDA backend belongs to another "
               "build of mambaseq: 0.0.9-feed, and this is " MBK_ABI "\n");
    falls_back(BACKENDS "driverless", "cpu", "");
}

MBS_TEST(device, the_environment_says_what_auto_is) {
    mbs_backend b;
    mbs_err err;
    from(BACKENDS "works");
    setenv("MAMBASEQ_DEVICE", "cuda:1", 1);
    CHECK_INT(choose("auto", &b, &err), MBS_OK);
    CHECK_STR(b.name, "Fake 1, 1.0 GiB");
    mbs_backend_close(&b);
    setenv("MAMBASEQ_DEVICE", "cpu", 1);
    CHECK_INT(choose("auto", &b, &err), MBS_OK);
    CHECK(!b.name[0]);
    mbs_backend_close(&b);
    CHECK_INT(choose("cuda:0", &b, &err), MBS_OK); /* told is told */
    CHECK_STR(b.name, "Fake 0, 1.0 GiB");
    mbs_backend_close(&b);
    setenv("MAMBASEQ_DEVICE", "gpu", 1);
    CHECK_INT(choose("auto", &b, &err), MBS_ERR_USAGE);
    CHECK(strstr(err.where, "MAMBASEQ_DEVICE"), "%s", err.where);
    unsetenv("MAMBASEQ_DEVICE");
    setenv("MAMBASEQ_CPU", "ref", 1); /* who names a level of the CPU wants the CPU */
    CHECK_INT(choose("auto", &b, &err), MBS_OK);
    CHECK(!b.name[0] && strcmp(b.ctx->ops->name, "ref") == 0);
    mbs_backend_close(&b);
    unsetenv("MAMBASEQ_CPU");
    mbs_err_clear(&err);
    CHECK_INT(mbs_backend_choose(&b, "auto", "ref", "level", 1, &err), MBS_OK);
    CHECK(!b.name[0]);
    mbs_backend_close(&b);
    CHECK_INT(mbs_backend_choose(&b, "cuda", "ref", "level", 1, &err), MBS_ERR_USAGE);
}

static void link_in(const char *dir, const char *backend) {
    char to[512];
    char of[512];
    (void)snprintf(to, sizeof to, "%s/" MBK_CUDA_MODULE, dir);
    (void)snprintf(of, sizeof of, BACKENDS "%s/" MBK_CUDA_MODULE, backend);
    unlink(to);
    CHECK(symlink(of, to) == 0);
}

/* The first in the order of search wins, and one that anybody may write is not taken, nor stepped over. */
MBS_TEST(device, order_and_trust) {
    char dir[256];
    char here[512];
    char path[2048];
    mbs_backend b;
    mbs_err err;
    test_tmp_enter(dir);
    CHECK(getcwd(here, sizeof here) != NULL && mkdir("open", 0755) == 0);
    (void)snprintf(path, sizeof path, "open:%s/open:" BACKENDS "works", here);
    link_in("open", "driverless");
    refused(path, "cuda", MBS_ERR_UNAVAILABLE, "no NVIDIA driver"); /* by its absolute name: a relative one is none */
    CHECK(chmod("open", 0757) == 0);
    refused(path, "cuda", MBS_ERR_UNAVAILABLE, "is not loaded: it is writable by anybody");
    CHECK(chmod("open", 0755) == 0 && unlink("open/" MBK_CUDA_MODULE) == 0);
    from(path);
    CHECK_INT(choose("cuda", &b, &err), MBS_OK);
    mbs_backend_close(&b);
    test_tmp_leave(dir);
}
