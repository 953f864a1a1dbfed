/* Counting and failing of calls, the errors that stay, chance, and what is said when the library goes. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "impl.h"
#include "simt/runtime.h"

enum { NAMES = 128, PLACES = 256 };

static struct {
    pthread_mutex_t lock;
    int ready;
    uint64_t seed, random;
    char fail[64];
    int64_t fail_at, seen, all;
    int fail_as, failed;
    cudaError_t last, sticky;
    int64_t executed;
    const char *names[NAMES];
    int64_t counts[NAMES];
    const void *places[PLACES];
    const char *waits[PLACES];
    int n_places, drop;
} now = {.seed = 1, .random = 1};

void fake_abuse(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fputs("fake cuda: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void *fake_calloc(size_t bytes) {
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) {
        fake_abuse("the host has no memory");
    }
    return p;
}

static void set_schedule(uint64_t seed) {
    fake_lock();
    fake_drain_all();
    now.seed = seed;
    now.random = seed * 0x9e3779b97f4a7c15u | 1;
    fake_unlock();
}

static void set_fail(const char *call, int64_t k, int as) {
    fake_lock();
    snprintf(now.fail, sizeof now.fail, "%s", call ? call : "");
    now.fail_at = k;
    now.fail_as = as;
    now.seen = now.all = 0;
    now.failed = 0;
    fake_unlock();
}

static void set_drop(int n) {
    fake_lock();
    now.drop = n;
    now.n_places = 0;
    fake_unlock();
}

static int places(void) {
    return now.n_places;
}

int fake_drops(const char *call, const void *place) {
    int i = 0;
    while (i < now.n_places && now.places[i] != place) {
        i++;
    }
    if (i == PLACES) {
        fake_abuse("more than %d places that wait", (int)PLACES);
    }
    now.places[i] = place;
    now.waits[i] = call;
    now.n_places += i == now.n_places;
    return i + 1 == now.drop;
}

__attribute__((constructor)) static void prepare(void) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&now.lock, &attr);
    pthread_mutexattr_destroy(&attr);
    const char *streams = getenv("FAKE_STREAMS");
    if (streams) {
        set_schedule(strcmp(streams, "eager") == 0 ? 0 : strtoull(streams, NULL, 0));
    }
    const char *memory = getenv("FAKE_MEM");
    if (memory) {
        fake_memory_limit(strtoull(memory, NULL, 0));
    }
    const char *drop = getenv("FAKE_DROP");
    now.drop = drop ? atoi(drop) : 0;
    const char *fail = getenv("FAKE_FAIL");
    const char *as = getenv("FAKE_FAIL_AS");
    const char *colon = fail ? strchr(fail, ':') : NULL;
    if (colon) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(colon - fail), fail);
        set_fail(name, strtoll(colon + 1, NULL, 0), as ? atoi(as) : 0);
    }
}

void fake_lock(void) {
    pthread_mutex_lock(&now.lock);
}

void fake_unlock(void) {
    pthread_mutex_unlock(&now.lock);
}

static void count(const char *call) {
    int i = 0;
    while (i < NAMES && now.names[i] && strcmp(now.names[i], call) != 0) {
        i++;
    }
    if (i < NAMES) {
        now.names[i] = call;
        now.counts[i]++;
    }
}

int fake_enter(const char *call, int fallback) {
    count(call);
    now.all++;
    int any = strcmp(now.fail, "any") == 0;
    now.seen += any || strcmp(now.fail, call) == 0;
    if (now.fail_at > 0 && !now.failed && (any || strcmp(now.fail, call) == 0) && now.seen == now.fail_at) {
        now.failed = 1;
        fprintf(stderr, "fake cuda: %s fails (call %lld of %s)\n", call, (long long)now.fail_at, now.fail);
        return now.fail_as ? now.fail_as : fallback;
    }
    return 0;
}

/* Errors after which a real context answers nothing else. */
static int ruins(cudaError_t e) {
    static const cudaError_t bad[] = {cudaErrorIllegalAddress,     cudaErrorLaunchFailure,
                                      cudaErrorLaunchTimeout,      cudaErrorAssert,
                                      cudaErrorHardwareStackError, cudaErrorIllegalInstruction,
                                      cudaErrorMisalignedAddress,  cudaErrorInvalidAddressSpace,
                                      cudaErrorInvalidPc,          cudaErrorECCUncorrectable};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (e == bad[i]) {
            return 1;
        }
    }
    return 0;
}

cudaError_t fake_error(cudaError_t e) {
    if (ruins(e)) {
        now.sticky = e;
    }
    if (now.sticky) {
        e = now.sticky;
    }
    if (e != cudaSuccess && e != cudaErrorNotReady) {
        now.last = e;
    }
    return e;
}

cudaError_t fake_sticky(void) {
    return now.sticky;
}

cudaError_t cudaGetLastError(void) {
    fake_lock();
    cudaError_t e = now.sticky ? now.sticky : now.last;
    now.last = cudaSuccess;
    fake_unlock();
    return e;
}

cudaError_t cudaPeekAtLastError(void) {
    fake_lock();
    cudaError_t e = now.sticky ? now.sticky : now.last;
    fake_unlock();
    return e;
}

uint64_t fake_chance(void) {
    now.random ^= now.random >> 12;
    now.random ^= now.random << 25;
    now.random ^= now.random >> 27;
    return now.random * 0x2545f4914f6cdd1dULL >> 11;
}

int fake_lazy(void) {
    return now.seed != 0;
}

int fake_manner(void) {
    return (int)(now.seed % 3);
}

void fake_count_executed(void) {
    now.executed++;
}

static int has_failed(void) {
    return now.failed;
}

static int64_t calls(void) {
    return now.all;
}

static void set_memory(size_t bytes) {
    fake_lock();
    fake_memory_limit(bytes);
    fake_unlock();
}

static fake_use use(void) {
    fake_lock();
    fake_use u = {0};
    fake_memory_use(&u);
    fake_stream_use(&u);
    u.graphs = fake_graph_count();
    u.handles = fake_handle_count();
    fake_unlock();
    return u;
}

static void revive(void) {
    fake_lock();
    now.sticky = now.last = cudaSuccess;
    fake_unlock();
}

static int64_t executed(void) {
    return now.executed;
}

__attribute__((visibility("default"))) const fake_control mbk_fake_control = {
    set_schedule, simt_schedule, set_fail, has_failed, calls, set_drop, places, set_memory, use, revive, executed};

static void write_counts(const char *path) {
    FILE *out = fopen(path, "w");
    if (!out) {
        fake_abuse("cannot write %s", path);
    }
    fprintf(out, "any %lld\n", (long long)now.all);
    fprintf(out, "places %d\n", now.n_places);
    for (int i = 0; i < now.n_places; i++) { /* for addr2line */
        Dl_info in = {0};
        dladdr(now.places[i], &in);
        fprintf(out, "place-%d-%s %td\n", i + 1, now.waits[i],
                (const char *)now.places[i] - (const char *)in.dli_fbase - 1);
    }
    for (int i = 0; i < NAMES && now.names[i]; i++) {
        fprintf(out, "%s %lld\n", now.names[i], (long long)now.counts[i]);
    }
    fclose(out);
}

__attribute__((destructor)) static void take_stock(void) {
    const char *counts = getenv("FAKE_CALLS");
    if (counts) {
        write_counts(counts);
    }
    const char *leaks = getenv("FAKE_LEAKS");
    fake_use u = use();
    int64_t left = u.device_blocks + u.pinned_blocks + u.streams + u.events + u.graphs + u.handles;
    if (leaks && left) {
        fprintf(
            stderr,
            "fake cuda: left behind: %lld blocks of the device, %lld pinned, %lld streams, %lld events, %lld graphs, "
            "%lld cuBLAS handles\n",
            (long long)u.device_blocks, (long long)u.pinned_blocks, (long long)u.streams, (long long)u.events,
            (long long)u.graphs, (long long)u.handles);
        fflush(NULL);
        _exit(86);
    }
}
