/* A header of 100 MB of JSON is read in two seconds and four times its size of memory, whatever it holds. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "model/safetensors.h"
#include "support/test.h"
#include "support/tmp.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
#define SANITIZED 0
#endif

#define HEADER 100000000

/* Processor time, so that a busy machine is not a slow reader. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* As many entries as fit, spaces up to the full size. `kind`: 0 the shortest entries, 1 all dimensions, 2 names with
 * escapes, 3 one tensor's metadata, 4 entries in reverse order of their data. */
static size_t write_header(const char *path, int kind, long *entries) {
    char line[400];
    FILE *f = fopen(path, "wb");
    uint64_t n = HEADER;
    size_t at = 1;
    size_t data = 0;
    CHECK(f && fwrite(&n, 8, 1, f) == 1);
    fputc('{', f);
    for (long i = 0; *entries == 0 || i < *entries; i++) {
        long id = kind == 4 ? *entries - 1 - i : i;
        size_t end = (size_t)id + 1;
        int len =
            kind == 0 ? snprintf(line, sizeof line, "%s\"%lx\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                                 i ? "," : "", i)
            : kind == 1 ? snprintf(line, sizeof line,
                                   "%s\"%lx\":{\"dtype\":\"U8\",\"shape\":[0,0,0,0,0,0,0,0],\"data_offsets\":[0,0]}",
                                   i ? "," : "", i)
            : kind == 2
                ? snprintf(line, sizeof line,
                           "%s\"\\u0041%lx\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i)
            : kind == 3
                ? snprintf(line, sizeof line, "%s\"%lx\":\"%0300d\"", i ? "," : "\"__metadata__\":{", i, 0)
                : snprintf(line, sizeof line, "%s\"%lx\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}",
                           i ? "," : "", i, end - 1, end);
        if (at + (size_t)len + 3 > HEADER) {
            break;
        }
        CHECK(fwrite(line, 1, (size_t)len, f) == (size_t)len);
        at += (size_t)len;
        data = kind == 4 ? (size_t)*entries : 0;
    }
    at += (size_t)fprintf(f, kind == 3 ? "}}" : "}");
    for (; at < HEADER; at++) {
        fputc(' ', f);
    }
    for (size_t i = 0; i < data; i++) {
        fputc(0, f);
    }
    CHECK(fclose(f) == 0);
    return data;
}

static void check_cost(int kind, long entries) {
    mbs_err err = {0};
    struct rusage used;
    write_header("big", kind, &entries);
    pid_t pid = fork(); /* a process of its own, so that its peak is this file's */
    if (pid == 0) {
        mbs_st *st;
        double begin = now();
        mbs_status status = mbs_st_open("big", &st, &err);
        double took = now() - begin;
        getrusage(RUSAGE_SELF, &used);
        double rss = (double)used.ru_maxrss * 1024 / HEADER;
        fprintf(stderr, "kind %d: %.2f s, peak %.2f times the header, %zu tensors\n", kind, took, rss,
                status >= 0 ? mbs_st_count(st) : 0);
        _exit(status < 0 ? 2 : took > 2 ? 3 : rss > 4 ? 4 : 0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0); /* 2 refused, 3 too slow, 4 too large */
}

MBS_TEST(header_size, hundred_megabytes) {
    if (SANITIZED) {
        SKIP("sanitizers change time and memory");
    }
    char dir[256];
    test_tmp_enter(dir);
    for (int kind = 0; kind < 4; kind++) {
        check_cost(kind, 0);
    }
    check_cost(4, 1300000);
    test_tmp_leave(dir);
}
