/* Device and pinned memory: blocks between guards, poisoned when new; copies and fills, checked. */
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "simt/runtime.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

/* AddressSanitizer watches the bytes around a block itself. */
#ifdef WITH_ASAN
enum { GUARD = 0 };
#else
enum { GUARD = 256 };
#endif
enum { ALIGN = 256, GUARD_BYTE = 0xa7 };

typedef struct block {
    unsigned char *p; /* what the caller has */
    unsigned char *base;
    size_t bytes;
    fake_kind kind;
} block;

static struct {
    block *list; /* by address */
    size_t count, room;
    size_t device_bytes, device_peak, limit;
    /* Freed while work was queued: poisoned, and given back when nothing is. */
    void **late;
    size_t late_count, late_room;
} mem = {.limit = (size_t)4 << 30};

void fake_memory_limit(size_t bytes) {
    mem.limit = bytes;
}

size_t fake_memory_limit_now(void) {
    return mem.limit;
}

/* The last block that begins at or below p. */
static size_t place_of(const void *p) {
    size_t low = 0;
    size_t high = mem.count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if ((uintptr_t)mem.list[mid].p <= (uintptr_t)p) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static block *block_of(const void *p) {
    size_t i = place_of(p);
    if (!i) {
        return NULL;
    }
    block *b = &mem.list[i - 1];
    return (uintptr_t)p - (uintptr_t)b->p < b->bytes || p == b->p ? b : NULL;
}

fake_kind fake_memory_kind(const void *p, size_t *left) {
    const block *b = block_of(p);
    if (left) {
        *left = b ? b->bytes - ((uintptr_t)p - (uintptr_t)b->p) : SIZE_MAX;
    }
    return b ? b->kind : FAKE_PAGEABLE;
}

static const char *kind_name(fake_kind k) {
    return k == FAKE_DEVICE ? "device memory" : k == FAKE_PINNED ? "pinned memory" : "pageable memory";
}

void fake_memory_need(const char *who, const void *p, size_t bytes, fake_kind kind) {
    size_t left;
    fake_kind is = fake_memory_kind(p, &left);
    if (is != kind) {
        fake_abuse("%s: %p is %s where %s is due", who, p, kind_name(is), kind_name(kind));
    }
    if (bytes > left) {
        fake_abuse("%s: %zu bytes from %p leave their block of %s by %zu", who, bytes, p, kind_name(kind),
                   bytes - left);
    }
}

static void check_guard(const block *b) {
    for (size_t i = 0; i != GUARD; i++) {
        if (b->p[-1 - (ptrdiff_t)i] != GUARD_BYTE || b->p[b->bytes + i] != GUARD_BYTE) {
            fake_abuse("a block of %zu bytes of %s was written beyond its %s", b->bytes, kind_name(b->kind),
                       b->p[b->bytes + i] != GUARD_BYTE ? "end" : "beginning");
        }
    }
}

void fake_memory_check_guards(void) {
    for (size_t i = 0; i < mem.count; i++) {
        check_guard(&mem.list[i]);
    }
}

static void poison(unsigned char *p, size_t bytes) {
    uint32_t words[256];
    for (int i = 0; i < 256; i++) {
        words[i] = SIMT_POISON;
    }
    for (size_t at = 0; at < bytes; at += sizeof words) {
        memcpy(p + at, words, bytes - at < sizeof words ? bytes - at : sizeof words);
    }
}

static cudaError_t new_block(void **out, size_t bytes, fake_kind kind) {
    if (!out) {
        return cudaErrorInvalidValue;
    }
    *out = NULL;
    if (!bytes) {
        return cudaSuccess;
    }
    if (fake_stream_break_captures()) {
        return cudaErrorStreamCaptureUnsupported;
    }
    size_t counted = (bytes + 511) / 512 * 512;
    if (bytes > SIZE_MAX / 2 ||
        (kind == FAKE_DEVICE && (counted > mem.limit || mem.device_bytes > mem.limit - counted))) {
        return cudaErrorMemoryAllocation;
    }
    block b = {NULL, NULL, bytes, kind};
    size_t lead = GUARD ? ALIGN : 0;
    void *base = NULL;
    if (posix_memalign(&base, ALIGN, lead + bytes + GUARD)) {
        return cudaErrorMemoryAllocation;
    }
    if (mem.count == mem.room) {
        size_t room = mem.room * 2 + 64;
        block *list = realloc(mem.list, room * sizeof *list);
        if (!list) {
            free(base);
            return cudaErrorMemoryAllocation;
        }
        mem.list = list;
        mem.room = room;
    }
    b.base = base;
    b.p = b.base + lead;
    memset(b.base, GUARD_BYTE, lead);
    memset(b.p + bytes, GUARD_BYTE, GUARD);
    poison(b.p, bytes);
    size_t at = place_of(b.p);
    memmove(mem.list + at + 1, mem.list + at, (mem.count - at) * sizeof b);
    mem.list[at] = b;
    mem.count++;
    if (kind == FAKE_DEVICE) {
        mem.device_bytes += counted;
        mem.device_peak = mem.device_bytes > mem.device_peak ? mem.device_bytes : mem.device_peak;
        simt_memory_add(b.p, bytes);
    }
    *out = b.p;
    return cudaSuccess;
}

/* A free that does not wait for what still uses the memory: work that comes too late finds NaN. */
static void give_back(void *base) {
    if (mem.late_count == mem.late_room) {
        mem.late_room = mem.late_room * 2 + 64;
        mem.late = realloc(mem.late, mem.late_room * sizeof *mem.late);
        if (!mem.late) {
            fake_abuse("the host has no memory");
        }
    }
    mem.late[mem.late_count++] = base;
    while (mem.late_count && fake_idle()) {
        free(mem.late[--mem.late_count]);
    }
}

static cudaError_t free_block(const char *who, void *p, fake_kind kind) {
    if (!p) {
        return cudaSuccess;
    }
    size_t i = place_of(p);
    if (!i || mem.list[i - 1].p != p || mem.list[i - 1].kind != kind) {
        fake_abuse("%s: %p is no block of %s", who, p, kind_name(kind));
    }
    block b = mem.list[i - 1];
    check_guard(&b);
    memmove(mem.list + i - 1, mem.list + i, (mem.count - i) * sizeof b);
    mem.count--;
    if (kind == FAKE_DEVICE) {
        mem.device_bytes -= (b.bytes + 511) / 512 * 512;
        simt_memory_remove(b.p);
    }
    poison(b.p, b.bytes);
    give_back(b.base);
    return cudaSuccess;
}

void fake_memory_use(fake_use *use) {
    for (size_t i = 0; i < mem.count; i++) {
        use->device_blocks += mem.list[i].kind == FAKE_DEVICE;
        use->pinned_blocks += mem.list[i].kind == FAKE_PINNED;
    }
    use->device_bytes = mem.device_bytes;
    use->device_peak = mem.device_peak;
}

cudaError_t cudaMalloc(void **p, size_t bytes) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    return fake_leave(fake_sticky() ? cudaSuccess : new_block(p, bytes, FAKE_DEVICE));
}

cudaError_t cudaMallocHost(void **p, size_t bytes) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    return fake_leave(fake_sticky() ? cudaSuccess : new_block(p, bytes, FAKE_PINNED));
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    (void)flags;
    return fake_leave(fake_sticky() ? cudaSuccess : new_block(p, bytes, FAKE_PINNED));
}

/* What frees also frees where an error is asked for: a real one tells of earlier work by this, and the memory is gone
 * with its context. */
cudaError_t cudaFree(void *p) {
    fake_lock();
    int asked = fake_enter(__func__, cudaErrorLaunchFailure);
    free_block(__func__, p, FAKE_DEVICE);
    return fake_leave((cudaError_t)asked);
}

cudaError_t cudaFreeHost(void *p) {
    fake_lock();
    int asked = fake_enter(__func__, cudaErrorLaunchFailure);
    free_block(__func__, p, FAKE_PINNED);
    return fake_leave((cudaError_t)asked);
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *total) {
    FAKE_CALL(cudaErrorLaunchFailure)
    *left = mem.limit - (mem.device_bytes < mem.limit ? mem.device_bytes : mem.limit);
    *total = mem.limit;
    return fake_leave(cudaSuccess);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *p) {
    FAKE_CALL(cudaErrorInvalidValue)
    memset(out, 0, sizeof *out);
    fake_kind kind = fake_memory_kind(p, NULL);
    out->type = kind == FAKE_DEVICE   ? cudaMemoryTypeDevice
                : kind == FAKE_PINNED ? cudaMemoryTypeHost
                                      : cudaMemoryTypeUnregistered;
    return fake_leave(cudaSuccess);
}

/* --- copies: `height` rows of `width` bytes ----------------------------------------------------------------------- */
typedef struct copy_job {
    unsigned char *dst;
    const unsigned char *src;
    size_t dpitch, spitch, width, height;
    int value; /* of a fill */
    enum cudaMemcpyKind kind;
    void *staged;
    const char *who;
} copy_job;

static size_t extent(size_t pitch, size_t width, size_t height) {
    return height ? pitch * (height - 1) + width : 0;
}

static void move(const copy_job *j) {
    if (j->src) {
        if (j->kind == cudaMemcpyHostToDevice || j->kind == cudaMemcpyDeviceToDevice) {
            fake_memory_need(j->who, j->dst, extent(j->dpitch, j->width, j->height), FAKE_DEVICE);
        }
        if (j->kind == cudaMemcpyDeviceToHost || j->kind == cudaMemcpyDeviceToDevice) {
            fake_memory_need(j->who, j->src, extent(j->spitch, j->width, j->height), FAKE_DEVICE);
        }
    } else {
        fake_memory_need(j->who, j->dst, extent(j->dpitch, j->width, j->height), FAKE_DEVICE);
    }
    for (size_t i = 0; i < j->height; i++) {
        if (j->src) {
            memmove(j->dst + i * j->dpitch, j->src + i * j->spitch, j->width);
        } else {
            memset(j->dst + i * j->dpitch, j->value, j->width);
        }
    }
}

static void run_copy(void *arg) {
    move(arg);
}

static void drop_copy(void *arg) {
    copy_job *j = arg;
    free(j->staged);
    free(j);
}

static void issue_copy(struct CUstream_st *s, const copy_job *j) {
    copy_job *kept = fake_calloc(sizeof *kept);
    *kept = *j;
    fake_issue(s, run_copy, drop_copy, kept);
}

/* The kind of host memory on the other side, and an end where a side is not what `kind` says. */
static fake_kind check_sides(const copy_job *j) {
    size_t d = extent(j->dpitch, j->width, j->height);
    size_t s = extent(j->spitch, j->width, j->height);
    fake_kind host = FAKE_PINNED;
    int to_device = j->kind == cudaMemcpyHostToDevice || j->kind == cudaMemcpyDeviceToDevice;
    int from_device = j->kind == cudaMemcpyDeviceToHost || j->kind == cudaMemcpyDeviceToDevice;
    const void *sides[] = {j->dst, j->src};
    int device[] = {to_device, from_device};
    size_t bytes[] = {d, s};
    for (int i = 0; i < 2; i++) {
        fake_kind is = fake_memory_kind(sides[i], NULL);
        if (device[i]) {
            fake_memory_need(j->who, sides[i], bytes[i], FAKE_DEVICE);
        } else if (is == FAKE_DEVICE) {
            fake_abuse("%s: %p is device memory where the host's is due", j->who, sides[i]);
        } else if (is == FAKE_PINNED) {
            fake_memory_need(j->who, sides[i], bytes[i], FAKE_PINNED);
        } else {
            host = FAKE_PAGEABLE;
        }
    }
    return host;
}

static cudaError_t copy(copy_job j, cudaStream_t stream, int async) {
    struct CUstream_st *s = fake_stream(j.who, stream);
    if (fake_sticky() || !j.width || !j.height) {
        return cudaSuccess;
    }
    if (j.width > j.dpitch || j.width > j.spitch) {
        return cudaErrorInvalidPitchValue;
    }
    if (j.kind == cudaMemcpyDefault) {
        int to = fake_memory_kind(j.dst, NULL) == FAKE_DEVICE;
        int from = fake_memory_kind(j.src, NULL) == FAKE_DEVICE;
        j.kind = to ? (from ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice)
                    : (from ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost);
    }
    fake_kind host = check_sides(&j);
    if (j.kind == cudaMemcpyHostToDevice && host == FAKE_PAGEABLE && !s->capture) {
        /* Staged: on its way when the call returns. */
        unsigned char *staged = fake_calloc(j.width * j.height);
        for (size_t i = 0; i < j.height; i++) {
            memcpy(staged + i * j.width, j.src + i * j.spitch, j.width);
        }
        j.src = j.staged = staged;
        j.spitch = j.width;
        issue_copy(s, &j);
        return cudaSuccess;
    }
    if (s->capture && (!async || host == FAKE_PAGEABLE)) {
        fake_graph_break(s->capture);
        return cudaErrorStreamCaptureUnsupported;
    }
    issue_copy(s, &j);
    if (j.kind != cudaMemcpyDeviceToDevice && (!async || host == FAKE_PAGEABLE)) {
        fake_drain(s);
    }
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind) {
    FAKE_CALL(cudaErrorLaunchFailure)
    return fake_leave(copy((copy_job){dst, src, bytes, bytes, bytes, 1, 0, kind, NULL, __func__}, NULL, 0));
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t s) {
    FAKE_CALL(cudaErrorLaunchFailure)
    return fake_leave(copy((copy_job){dst, src, bytes, bytes, bytes, 1, 0, kind, NULL, __func__}, s, 1));
}

cudaError_t cudaMemcpy2D(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height,
                         enum cudaMemcpyKind kind) {
    FAKE_CALL(cudaErrorLaunchFailure)
    return fake_leave(copy((copy_job){dst, src, dpitch, spitch, width, height, 0, kind, NULL, __func__}, NULL, 0));
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width, size_t height,
                              enum cudaMemcpyKind kind, cudaStream_t s) {
    FAKE_CALL(cudaErrorLaunchFailure)
    return fake_leave(copy((copy_job){dst, src, dpitch, spitch, width, height, 0, kind, NULL, __func__}, s, 1));
}

static cudaError_t fill(copy_job j, cudaStream_t stream) {
    struct CUstream_st *s = fake_stream(j.who, stream);
    if (fake_sticky() || !j.width || !j.height) {
        return cudaSuccess;
    }
    fake_memory_need(j.who, j.dst, extent(j.dpitch, j.width, j.height), FAKE_DEVICE);
    issue_copy(s, &j);
    return cudaSuccess;
}

/* Not even the one without a stream waits on the device. */
cudaError_t cudaMemset(void *p, int value, size_t bytes) {
    FAKE_CALL(cudaErrorLaunchFailure)
    return fake_leave(fill((copy_job){p, NULL, bytes, 0, bytes, 1, value, cudaMemcpyDefault, NULL, __func__}, NULL));
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s) {
    FAKE_CALL(cudaErrorLaunchFailure)
    return fake_leave(fill((copy_job){p, NULL, bytes, 0, bytes, 1, value, cudaMemcpyDefault, NULL, __func__}, s));
}

cudaError_t cudaMemset2DAsync(void *p, size_t pitch, int value, size_t width, size_t height, cudaStream_t s) {
    FAKE_CALL(cudaErrorLaunchFailure)
    return fake_leave(fill((copy_job){p, NULL, pitch, 0, width, height, value, cudaMemcpyDefault, NULL, __func__}, s));
}
