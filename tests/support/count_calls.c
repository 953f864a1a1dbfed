/*
 * A library to preload: counts what a program asks of the system while it reads one file.
 *
 * At every read of the file MBS_COUNT_INPUT the counters are put down, and at the end written to MBS_COUNT_OUTPUT, a
 * line for each read: allocations, opens, mutexes locked, futex calls. So a test sees what the steady state costs,
 * without what comes before and behind it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ALLOC, OPEN, LOCK, FUTEX, KINDS };
#define SAMPLES 100000

static _Atomic long counts[KINDS];
static long samples[SAMPLES][KINDS];
static int n_samples;
static struct stat input;

#define NEXT(NAME)                                                                                                     \
    static __typeof__(NAME) *next;                                                                                     \
    if (!next) {                                                                                                       \
        *(void **)&next = dlsym(RTLD_NEXT, #NAME);                                                                     \
    }

/* dlsym may ask for memory before it can say where calloc is; what glibc calls its own is there from the start. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

#define VISIBLE __attribute__((visibility("default")))

VISIBLE void *malloc(size_t n) {
    counts[ALLOC]++;
    return __libc_malloc(n);
}

VISIBLE void *calloc(size_t count, size_t n) {
    counts[ALLOC]++;
    return __libc_calloc(count, n);
}

VISIBLE void *realloc(void *p, size_t n) {
    counts[ALLOC]++;
    return __libc_realloc(p, n);
}

VISIBLE void *aligned_alloc(size_t align, size_t n) {
    counts[ALLOC]++;
    return __libc_memalign(align, n);
}

VISIBLE int posix_memalign(void **out, size_t align, size_t n) {
    counts[ALLOC]++;
    *out = __libc_memalign(align, n);
    return *out ? 0 : 12;
}

VISIBLE int open(const char *path, int flags, ...) {
    NEXT(open)
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    counts[OPEN]++;
    return next(path, flags, mode);
}

VISIBLE int open64(const char *path, int flags, ...) __attribute__((alias("open")));

VISIBLE int openat(int dir, const char *path, int flags, ...) {
    NEXT(openat)
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    counts[OPEN]++;
    return next(dir, path, flags, mode);
}

VISIBLE int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

VISIBLE FILE *fopen(const char *path, const char *mode) {
    NEXT(fopen)
    counts[OPEN]++;
    return next(path, mode);
}

VISIBLE FILE *fopen64(const char *path, const char *mode) __attribute__((alias("fopen")));

VISIBLE int pthread_mutex_lock(pthread_mutex_t *m) {
    NEXT(pthread_mutex_lock)
    counts[LOCK]++;
    return next(m);
}

VISIBLE long syscall(long number, ...) {
    NEXT(syscall)
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(ap, long);
    }
    va_end(ap);
    counts[FUTEX] += number == SYS_futex;
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

VISIBLE ssize_t read(int fd, void *to, size_t n) {
    NEXT(read)
    struct stat st;
    if (input.st_ino && n_samples < SAMPLES && fstat(fd, &st) == 0 && st.st_ino == input.st_ino &&
        st.st_dev == input.st_dev) {
        for (int k = 0; k < KINDS; k++) {
            samples[n_samples][k] = counts[k];
        }
        n_samples++;
    }
    return next(fd, to, n);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MBS_COUNT_INPUT");
    if (!path || stat(path, &input) != 0) {
        memset(&input, 0, sizeof input);
    }
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("MBS_COUNT_OUTPUT");
    FILE *f = path && n_samples ? fopen(path, "w") : NULL;
    for (int i = 0; f && i < n_samples; i++) {
        fprintf(f, "%ld %ld %ld %ld\n", samples[i][ALLOC], samples[i][OPEN], samples[i][LOCK], samples[i][FUTEX]);
    }
    if (f) {
        fclose(f);
    }
}
