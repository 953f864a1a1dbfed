/*
 * tmp.h - a folder of its own for a test, and what is in it.
 */
#ifndef MBS_TEST_TMP_H
#define MBS_TEST_TMP_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Makes an empty folder below $TMPDIR (or /tmp) and enters it, so that a test's names are short and never clash. */
static inline void test_tmp_enter(char dir[256]) {
    const char *base = getenv("TMPDIR");
    snprintf(dir, 256, "%s/mbs-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(dir) || chdir(dir) != 0) {
        perror(dir);
        exit(1);
    }
}

static inline int test_tmp_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void test_tmp_leave(const char *dir) {
    if (chdir("/") == 0) {
        nftw(dir, test_tmp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* Names in a folder, "." and ".." not counted. */
static inline int test_tmp_count(const char *dir) {
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static inline void test_tmp_write(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(text, 1, strlen(text), f) != strlen(text) || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

/* The file's text (at most 4095 bytes, borrowed until the next call), or "(missing)". */
__attribute__((noinline, unused)) static const char *test_tmp_text(const char *path) {
    static char text[4096];
    FILE *f = fopen(path, "rb");
    if (!f) {
        return "(missing)";
    }
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

#endif
