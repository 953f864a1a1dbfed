/* What a .bw holds, for `mambaseq inspect`: its header, the count of its contigs and the summary of all values. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bigwig.h"

#define MAGIC 0x888FFC26u
#define CONTIGS_MAGIC 0x78CA8C91u
#define HEADER 64
#define CONTIGS 32 /* bytes in front of the first node */
#define SUMMARY 40

static mbs_status take(const mbs_host *host, const char *path, int fd, uint64_t at, void *to, size_t n,
                       const char *what) {
    ssize_t got;
    if (at > INT64_MAX - n) {
        return host->fail(host, MBS_ERR_DATA, NULL, "%s: its %s would lie behind every file", path, what);
    }
    do {
        got = pread(fd, to, n, (off_t)at);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return host->fail(host, MBS_ERR_IO, NULL, "%s: cannot be read: %s", path, strerror(errno));
    }
    return (size_t)got == n ? MBS_OK : host->fail(host, MBS_ERR_DATA, NULL, "%s: truncated: no %s", path, what);
}

static uint64_t word(const unsigned char *p, size_t n) {
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

static double real(const unsigned char *p) {
    double v;
    memcpy(&v, p, sizeof v);
    return v;
}

static mbs_status describe(const mbs_host *host, const char *path,
                           void (*put)(void *sink, const char *key, const char *value), void *sink) {
    unsigned char head[HEADER];
    unsigned char contigs[CONTIGS];
    unsigned char all[SUMMARY];
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return host->fail(host, MBS_ERR_NOINPUT, NULL, "%s: cannot be opened: %s", path, strerror(errno));
    }
    mbs_status st = take(host, path, fd, 0, head, sizeof head, "header");
    if (st == MBS_OK && word(head, 4) != MAGIC) {
        st = host->fail(host, MBS_ERR_DATA, NULL, "%s: is no bigWig of this byte order", path);
    }
    st = st == MBS_OK ? take(host, path, fd, word(head + 8, 8), contigs, sizeof contigs, "list of contigs") : st;
    if (st == MBS_OK && word(contigs, 4) != CONTIGS_MAGIC) {
        st = host->fail(host, MBS_ERR_DATA, NULL, "%s: damaged: no list of contigs where its header says", path);
    }
    uint64_t summary = word(head + 44, 8);
    st = st == MBS_OK && summary ? take(host, path, fd, summary, all, sizeof all, "summary") : st;
    (void)close(fd);
    if (st != MBS_OK) {
        return st;
    }
    (void)snprintf(text, sizeof text, "%" PRIu64, word(contigs + 16, 8));
    put(sink, "contigs", text);
    (void)snprintf(text, sizeof text, "%" PRIu64, word(head + 6, 2));
    put(sink, "levels", text);
    if (summary) {
        uint64_t covered = word(all, 8);
        (void)snprintf(text, sizeof text, "%" PRIu64, covered);
        put(sink, "bases", text);
        const struct {
            const char *key;
            double x;
        } values[] = {{"least", real(all + 8)}, {"mean", real(all + 24) / (double)covered}, {"most", real(all + 16)}};
        for (size_t i = 0; covered > 0 && i < sizeof values / sizeof values[0]; i++) {
            (void)snprintf(text, sizeof text, "%.9g", values[i].x);
            put(sink, values[i].key, text);
        }
    }
    return MBS_OK;
}

const mbs_ext_inspect bw_inspect = {.struct_size = (uint32_t)sizeof(mbs_ext_inspect), .describe = describe};
