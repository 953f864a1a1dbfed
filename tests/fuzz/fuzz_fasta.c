/*
 * The reader `fasta` with everything it reads beside the sequences. An input is
 *   rows (1 byte), lengths of region (1), .fai (2, little endian), .gzi (2), then those three, then the file.
 * Whatever the bytes are, the answer is letters or words, and it does not depend on the size of the blocks.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/genomics/kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void mbs_test_failed(const char *file, int line, const char *cond, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: not so: %s: ", file, line, cond);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void mbs_test_skip(const char *why) {
    mbs_test_failed(__FILE__, __LINE__, "skip", "%s", why);
}

static char dir[64];

static void clean(void) {
    char path[96];
    static const char *const names[] = {"/x", "/x.fai", "/x.gzi", ""};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", dir, names[i]);
        (void)remove(path);
    }
}

/* A folder for the life of the process. */
static void enter(void) {
    if (!dir[0]) {
        snprintf(dir, sizeof(dir), "%s/mbs-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        CHECK(mkdtemp(dir) != NULL, "%s", dir);
        atexit(clean);
    }
}

static void put(const char *name, const uint8_t *bytes, size_t n) {
    char path[96];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (n) {
        kit_write(path, bytes, n);
    } else {
        (void)unlink(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 6) {
        return 0;
    }
    size_t region_n = data[1];
    size_t fai_n = data[2] + 256u * data[3];
    size_t gzi_n = data[4] + 256u * data[5];
    if (region_n + fai_n + gzi_n > size - 6) {
        return 0;
    }
    const uint8_t *at = data + 6;
    char region[256];
    memcpy(region, at, region_n);
    region[region_n] = '\0';
    at += region_n;
    enter();
    char path[96];
    snprintf(path, sizeof(path), "%s/x", dir);
    kit_write(path, at + fai_n + gzi_n, size - 6 - region_n - fai_n - gzi_n);
    put("x.fai", at, fai_n);
    put("x.gzi", at + fai_n, gzi_n);
    reading a;
    reading b;
    const char *const params[] = {"path", path, region_n ? "regions" : NULL, region, "flank", "2", NULL};
    reading_all(&a, params, 1 + data[0]);
    reading_all(&b, params, WHOLE);
    CHECK_INT(a.status, b.status);
    CHECK(a.status == MBS_END || a.status == a.h.status, "%d without words", (int)a.status);
    CHECK_STR(a.h.why, b.h.why);
    if (a.status == MBS_END) {
        CHECK_STR(a.text, b.text);
    }
    reading_end(&a);
    reading_end(&b);
    return 0;
}
