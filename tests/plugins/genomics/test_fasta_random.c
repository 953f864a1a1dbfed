/* Damaged files of every kind, from fixed seeds: an answer, never a crash, and the same answer for every block size. */
#include <unistd.h>

#include "kit.h"
#include "support/tmp.h"

static const char *const seeds[] = {
    ">chr1 first\nACGTACGTAC\nGGGGCCCCAA\nTTTA\n>chr2\r\nNNNNNNNNNN\r\n>chr3\n\n>chr4\nAC\n",
    "@r1 x\nACGT\n+\nIIII\n@r2\nAC\nGT\n+r2\n@@\n@@\n@r3\n\n+\n\n",
};

/* Thousands of small files: in memory, where there is such a folder. */
static void enter(char dir[256]) {
    if (access("/dev/shm", W_OK) == 0) {
        (void)setenv("TMPDIR", "/dev/shm", 1);
    }
    test_tmp_enter(dir);
}

static size_t damage(char *text, size_t n, uint64_t *state) {
    static const char bytes[] = {'>', '@', '+', '\n', '\r', ' ', '\t', 0, 127, 'A', 'n', 1, -1, '0'};
    for (int k = (int)(kit_random(state) % 5); k > 0; k--) {
        size_t at = kit_random(state) % n;
        switch (kit_random(state) % 4) {
        case 0:
            text[at] = (char)kit_random(state);
            break;
        case 1:
            text[at] = bytes[kit_random(state) % sizeof(bytes)];
            break;
        case 2: /* remove some */
            memmove(text + at, text + n - (n - at) / 2, (n - at) / 2);
            n -= n - at - (n - at) / 2;
            n += n == 0;
            break;
        default: /* double some */
            memmove(text + n, text + at, n - at);
            n += n - at;
        }
    }
    return n;
}

static void check_any(const char *path, const char *region, uint64_t *state) {
    reading a;
    reading b;
    const char *const params[] = {"path", path, region ? "regions" : NULL, region, NULL};
    reading_all(&a, params, 1 + (int64_t)(kit_random(state) % 9));
    reading_all(&b, params, WHOLE);
    CHECK(a.status == MBS_END || a.status == MBS_ERR_DATA || a.status == MBS_ERR_CONFIG, "%d", (int)a.status);
    CHECK_INT(a.status, b.status);
    CHECK_STR(a.h.why, b.h.why);
    if (a.status == MBS_END) {
        CHECK_STR(a.text, b.text);
    }
    reading_end(&a);
    reading_end(&b);
}

MBS_TEST(fasta_random, damage_never_harms) {
    char dir[256];
    enter(dir);
    uint64_t state = 12345;
    for (int i = 0; i < 3000; i++) {
        char text[8192];
        size_t n = strlen(seeds[i & 1]);
        memcpy(text, seeds[i & 1], n);
        n = damage(text, n, &state);
        switch (i % 5) {
        case 0:
            kit_gzip("x", text, n);
            break;
        case 1:
            kit_bgzip("x", text, n);
            break;
        default:
            kit_write("x", text, n);
        }
        if (i % 5 < 2) { /* and the compressed bytes */
            size_t size;
            char *bytes = kit_read("x", &size);
            if (i % 3) {
                bytes[kit_random(&state) % size] ^= (char)(1 << kit_random(&state) % 8);
            }
            kit_write("x", bytes, i % 7 ? size : kit_random(&state) % size);
            free(bytes);
        }
        check_any("x", i % 4 == 3 ? "chr1:3-20" : NULL, &state);
    }
    test_tmp_leave(dir);
}

MBS_TEST(fasta_random, any_bytes_are_an_answer) {
    char dir[256];
    enter(dir);
    uint64_t state = 99;
    for (int i = 0; i < 3000; i++) {
        char text[300];
        size_t n = kit_random(&state) % sizeof(text) + 1;
        for (size_t k = 0; k < n; k++) {
            text[k] = (char)kit_random(&state);
        }
        text[0] = i % 3 == 0 ? '>' : i % 3 == 1 ? '@' : text[0];
        kit_write("x", text, n);
        check_any("x", NULL, &state);
    }
    test_tmp_leave(dir);
}

MBS_TEST(fasta_random, any_region_text_is_an_answer) {
    char dir[256];
    enter(dir);
    test_tmp_write("x", seeds[0]);
    uint64_t state = 5;
    for (int i = 0; i < 3000; i++) {
        char region[24];
        size_t n = kit_random(&state) % 20;
        for (size_t k = 0; k < n; k++) {
            region[k] = "chr1234:-,0{}9 .bed"[kit_random(&state) % 19];
        }
        region[n] = '\0';
        if (i % 2) {
            memcpy(region, "chr1:", n < 5 ? n : 5);
        }
        reading r;
        reading_all(&r, (const char *const[]){"path", "x", "regions", region, NULL}, 5);
        CHECK(r.status == MBS_END || r.status == r.h.status, "'%s'", region);
        reading_end(&r);
    }
    test_tmp_leave(dir);
}
