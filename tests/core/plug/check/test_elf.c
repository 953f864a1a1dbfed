/* The reader of ELF files: what it says of the zoo, and that no damage makes it read outside of the file. */
#include "plug/check/elf.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/rng.h"
#include "support/test.h"

#define ZOO MBS_BUILD_DIR "/tests/zoo"

/* Exactly as many bytes as the file has, so that the sanitizers see the end. */
static char *load(const char *name, size_t *len) {
    char path[512];
    char *bytes = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    (void)snprintf(path, sizeof path, ZOO "/%s", name);
    CHECK(mbs_path_read(path, (size_t)1 << 26, &bytes, len, &err) == MBS_OK, "%s", err.what);
    return bytes;
}

/* 1 where the file has the symbol, 2 where it needs it, 0 where it is not there. */
static int find(const char *bytes, size_t len, const char *name) {
    mbs_elf e;
    mbs_elf_symbol s;
    mbs_buf why = MBS_BUF_INIT;
    int found = 0;
    if (mbs_elf_open(&e, bytes, len, &why) == 0 && mbs_elf_symbols(&e, &why) == 0) {
        for (size_t i = 0; i < e.n_symbols; i++) {
            if (mbs_elf_symbol_at(&e, i, &s) == 0 && strcmp(s.name, name) == 0) {
                found = s.undefined ? 2 : 1;
                CHECK(s.undefined || (s.data && s.global), "%s", name);
            }
        }
    }
    mbs_buf_free(&why);
    return found;
}

MBS_TEST(elf, symbols_of_a_library) {
    size_t len = 0;
    char *bytes = load("mbsp_host_symbol.so", &len);
    CHECK_INT(find(bytes, len, "mbs_plugin_entry"), 1);
    CHECK_INT(find(bytes, len, "mbs_alloc"), 2);
    CHECK_INT(find(bytes, len, "nowhere"), 0);
    mbs_free(bytes);
}

MBS_TEST(elf, no_damage_reads_outside) {
    size_t len = 0;
    char *bytes = load("mbsp_host_symbol.so", &len);
    char *copy = mbs_alloc(len);
    CHECK(copy != NULL);
    for (uint64_t i = 0; i < 4000; i++) {
        uint32_t w[4];
        mbs_rng_words(11, 0, i, w);
        /* cut anywhere, or other bytes in the header and in the headers of sections, which stand at the end */
        size_t n = i % 4 == 0 ? w[0] % len : len;
        memcpy(copy, bytes, len);
        for (int k = 0; k < 4; k++) {
            mbs_rng_words(11, 1 + (uint64_t)k, i, w);
            size_t at = w[0] % 2 ? w[1] % 64 : len - 1 - w[1] % 2048;
            copy[at] = w[0] % 3 ? (char)w[2] : (char)0xff;
        }
        memcpy(copy, bytes, i % 2 ? 6 : 0); /* often enough still an ELF file */
        char *exact = mbs_alloc(n);
        CHECK(exact != NULL);
        memcpy(exact, copy, n);
        (void)find(exact, n, "nowhere");
        mbs_free(exact);
    }
    mbs_free(copy);
    mbs_free(bytes);
}

MBS_TEST(elf, names_of_machines) {
    char text[32];
    CHECK_STR(mbs_elf_machine(62, text, sizeof text), "x86-64");
    CHECK_STR(mbs_elf_machine(183, text, sizeof text), "AArch64");
    CHECK_STR(mbs_elf_machine(9999, text, sizeof text), "machine 9999");
}
