/*
 * planted_main.c - runs one kernel of planted.cu and says whether its result is right: 0 right, 3 wrong, 4 not
 * launched.
 *
 *   simt_planted NAME|all [host]    host: x is memory of the host
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simt/planted.h"
#include "simt/runtime.h"

static float want(const char *what, const float *x, int i) {
    float sum = 0;
    switch (*what) {
    case 's':
        for (int k = 0; k < 64; k++) {
            sum += x[i * 64 + k];
        }
        return sum;
    case 'c':
    case 'p':
        for (int k = 0; k < 4; k++) {
            sum += x[k * 64 + (i + 1) % 64];
        }
        return sum;
    case 'w':
        return x[i ^ 1];
    case 'v':
        return x[4 * i] + x[4 * i + 1] + x[4 * i + 2] + x[4 * i + 3];
    case 'y':
        return (float)(63 - i);
    case 'd':
    case 'r':
        return 1;
    default:
        return x[i];
    }
}

static int run(const char *what, int host) {
    const int whole = strchr("lwv", *what) ? 32 : strchr("sg", *what) ? 4 : *what == 'a' ? 1 : 64;
    const int n = *what == 'b' ? PLANTED_BOUND : whole;
    float x[PLANTED_X];
    float *y = simt_malloc(sizeof *y * (size_t)n), *device = simt_malloc(sizeof x);
    for (int i = 0; i < PLANTED_X; i++) {
        x[i] = (float)(i * 37 % 101);
    }
    memcpy(device, x, sizeof x);
    if (*what == 'g' || *what == 'a') {
        memset(y, 0, sizeof *y * (size_t)n);
    }
    int rc = planted_run(what, y, host ? x : device);
    int wrong = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        int bits;
        memcpy(&bits, &y[i], sizeof bits);
        wrong += *what == 'l' ? bits != (i ^ 1) : *what == 'a' ? bits != 256 : y[i] != want(what, x, i);
    }
    simt_free(y);
    simt_free(device);
    if (rc != 0) {
        printf("%s: not launched: %d\n", what, rc);
        return 4;
    }
    printf("%s: %s in %d of %d places\n", what, wrong ? "wrong" : "right", wrong ? wrong : n, n);
    return wrong ? 3 : 0;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        return 2;
    }
    if (strcmp(argv[1], "all") != 0) {
        return run(argv[1], argc > 2);
    }
    static const char *const all[] = {"sum",    "chunks", "warp",   "divergent", "return",  "bounds",    "lanes",
                                      "vector", "global", "pieces", "t(struct)", "atomics", "y(dynamic)"};
    int rc = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        rc |= run(all[i], 0);
    }
    return rc;
}
