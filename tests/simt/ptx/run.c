/*
 * run.c - what translated PTX calls: the check of addresses, barriers and warp operations on the emulator's fibers,
 * tensor cores by their documented layouts, and the finder that the emulator asks for a kernel by name.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "simt/ptx/profile.h"
#include "simt/ptx/ptx.h"

const struct ptx_host *ptx_host;

/* The kernels of each translated file; made by ptx2c.py --table. */
extern const struct ptx_kernel *const *const ptx_modules[];

/* --- finding kernels ---------------------------------------------------------------------------------------------- */
/* `to` becomes the symbol as ptx2c.py (normal) writes it. */
static void normal(char *to, size_t n, const char *symbol) {
    size_t at = 0;
    const char *from = symbol;
    if (strncmp(from, "_ZL", 3) == 0 && from[3] >= '0' && from[3] <= '9') {
        at = (size_t)snprintf(to, n, "_Z");
        from += 3;
    }
    while (*from && at + 32 < n) {
        char *end = NULL;
        unsigned long len = *from >= '0' && *from <= '9' ? strtoul(from, &end, 10) : 0;
        if (end && strncmp(end, "_GLOBAL__N_", 11) == 0 && strlen(end) >= len) {
            at += (size_t)snprintf(to + at, n - at, "12_GLOBAL__N_1");
            from = end + len;
        } else {
            do {
                to[at++] = *from++;
            } while (end && from < end && at + 32 < n);
        }
    }
    to[at] = 0;
}

static simt_thunk find(void *user, const char *symbol) {
    char name[2048];
    (void)user;
    normal(name, sizeof name, symbol);
    for (int m = 0; ptx_modules[m]; m++) {
        for (int k = 0; ptx_modules[m][k]; k++) {
            if (strcmp(ptx_modules[m][k]->symbol, name) == 0) {
                return ptx_modules[m][k]->thunk;
            }
        }
    }
    ptx_host->fail((simt_site){0}, "no translated PTX of %s", symbol);
    return NULL;
}

__attribute__((visibility("default"))) simt_find ptx_open(const struct ptx_host *host);
simt_find ptx_open(const struct ptx_host *host) {
    ptx_host = host;
    ptx_profile_begin();
    return find;
}

/* --- a thread ----------------------------------------------------------------------------------------------------- */
void ptx_fail(struct ptx_thread *t, uint32_t site, const char *fmt, ...) {
    char text[512];
    const struct ptx_site *s = &t->kernel->sites[site];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ptx_host->fail(ptx_site(t, site), "%s [PTX line %d: %s]", text, s->ptx_line, s->text);
    abort();
}

simt_site ptx_site(struct ptx_thread *t, uint32_t site) {
    simt_site s = {t->kernel->sites[site].file, t->kernel->sites[site].line};
    return s;
}

static void place_shared(struct ptx_thread *t, void *p, uint32_t bytes) {
    if (!t->base) {
        t->base = (unsigned char *)((uintptr_t)p & ~(uintptr_t)255);
    }
    t->shared[t->n_shared].at = (uint32_t)((unsigned char *)p - t->base);
    t->shared[t->n_shared++].bytes = bytes;
}

void ptx_begin(struct ptx_thread *t, const struct ptx_kernel *kernel, const unsigned char *args) {
    const simt_dim *n = ptx_host->blockDim;
    memset(t, 0, sizeof *t);
    t->kernel = kernel;
    t->args = args;
    if (kernel->max_threads && n->x * n->y * n->z > kernel->max_threads) {
        ptx_host->fail((simt_site){0}, "%s: %u threads a block, compiled for %u", kernel->symbol, n->x * n->y * n->z,
                       kernel->max_threads);
    }
    for (int i = 0; i < kernel->n_shared && i < PTX_MAX_SHARED; i++) {
        const struct ptx_variable *v = &kernel->shared[i];
        place_shared(t, ptx_host->shared(&kernel->slots[i], v->bytes, v->align), v->bytes);
    }
    if (kernel->uses_dynamic) {
        size_t bytes = 0;
        void *p = ptx_host->dynamic(&bytes);
        place_shared(t, p, (uint32_t)bytes);
        t->dynamic = t->shared[t->n_shared - 1].at;
    }
    if (ptx_profiling) {
        t->profile = ptx_profile_thread(t);
    }
}

void ptx_end(struct ptx_thread *t) {
    if (t->profile) {
        ptx_profile_end(t);
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------- */
void ptx_local_add(struct ptx_thread *t, void *at, uint32_t size) {
    if (t->n_local == PTX_MAX_LOCAL) {
        ptx_host->fail((simt_site){0}, "%s: more than %d arrays of local memory", t->kernel->symbol, PTX_MAX_LOCAL);
    }
    t->local[t->n_local].at = (uint64_t)(uintptr_t)at;
    t->local[t->n_local++].bytes = size;
}

static const struct ptx_range *global_of(struct ptx_thread *t, uint64_t at, uint32_t size, struct ptx_range *found) {
    const void *base = NULL;
    size_t bytes = 0;
    if (ptx_host->memory_has((const void *)(uintptr_t)at, size, &base, &bytes)) {
        found->at = (uint64_t)(uintptr_t)base;
        found->bytes = bytes;
        return found;
    }
    for (const struct ptx_range *r = t->kernel->globals; r->bytes; r++) {
        if (at - r->at < r->bytes && at - r->at + size <= r->bytes) {
            return r;
        }
    }
    return NULL;
}

static void *find_global(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site) {
    static const char *const what[] = {"read", "write", "atomic"};
    struct ptx_range found;
    const struct ptx_range *r = global_of(t, at, size, &found);
    if (!r) {
        ptx_fail(t, site, "%s of %u bytes at %#llx: outside of device memory", what[how], size, (unsigned long long)at);
    }
    if (at % size != 0) {
        ptx_fail(t, site, "%s of %u bytes at %#llx: not aligned", what[how], size, (unsigned long long)at);
    }
    t->seen[site % PTX_SEEN] = *r;
    return (void *)(uintptr_t)at;
}

void *ptx_global(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site) {
    const struct ptx_range *r = &t->seen[site % PTX_SEEN];
    if (t->profile) {
        ptx_note(t, site, at, size, how, 0);
    }
    if (at - r->at < r->bytes && at - r->at + size <= r->bytes && at % size == 0) {
        return (void *)(uintptr_t)at;
    }
    return find_global(t, at, size, how, site);
}

void *ptx_shared(struct ptx_thread *t, uint32_t at, uint32_t size, enum ptx_how how, uint32_t site) {
    if (t->profile) {
        ptx_note(t, site, at, size, how, 1);
    }
    for (int i = 0; i < t->n_shared; i++) {
        if (at - t->shared[i].at < t->shared[i].bytes && at - t->shared[i].at + size <= t->shared[i].bytes) {
            if (at % size != 0) {
                ptx_fail(t, site, "%u bytes at shared offset %u: not aligned", size, at - t->shared[i].at);
            }
            return t->base + (int32_t)at;
        }
    }
    ptx_fail(t, site, "%u bytes outside of each variable of shared memory (%d bytes from the start of the first)", size,
             t->n_shared ? (int)(at - t->shared[0].at) : 0);
}

void *ptx_local(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site) {
    (void)how;
    for (int i = 0; i < t->n_local; i++) {
        if (at - t->local[i].at < t->local[i].bytes && at - t->local[i].at + size <= t->local[i].bytes) {
            return (void *)(uintptr_t)at;
        }
    }
    ptx_fail(t, site, "%u bytes outside of the thread's local memory", size);
}

void *ptx_param(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site) {
    uint64_t from = (uint64_t)(uintptr_t)t->args;
    (void)how;
    if (at - from < SIMT_MAX_ARGS && at - from + size > t->kernel->args_bytes) {
        ptx_fail(t, site, "%u bytes outside of the parameters", size);
    }
    return (void *)(uintptr_t)at;
}

int ptx_is_shared(struct ptx_thread *t, uint64_t at) {
    uint64_t offset = at - (uint64_t)(uintptr_t)t->base;
    for (int i = 0; i < t->n_shared; i++) {
        if ((int64_t)offset == (int64_t)(int32_t)offset && (uint32_t)offset - t->shared[i].at < t->shared[i].bytes) {
            return 1;
        }
    }
    return 0;
}

int ptx_is_local(struct ptx_thread *t, uint64_t at) {
    for (int i = 0; i < t->n_local; i++) {
        if (at - t->local[i].at < t->local[i].bytes) {
            return 1;
        }
    }
    return 0;
}

int ptx_is_global(struct ptx_thread *t, uint64_t at) {
    struct ptx_range found;
    return global_of(t, at, 1, &found) != NULL;
}

void *ptx_generic(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site) {
    if (ptx_is_shared(t, at)) {
        return ptx_shared(t, (uint32_t)ptx_shared_offset(t, at), size, how, site);
    }
    if (ptx_is_local(t, at)) {
        return ptx_local(t, at, size, how, site);
    }
    uint64_t arg = at - (uint64_t)(uintptr_t)t->args;
    if (how == PTX_READ && arg < t->kernel->args_bytes && arg + size <= t->kernel->args_bytes) {
        return (void *)(uintptr_t)at;
    }
    return ptx_global(t, at, size, how, site);
}

void ptx_copy(struct ptx_thread *t, uint32_t dst, uint64_t src, uint32_t size, uint32_t taken, uint32_t site) {
    struct ptx_record *profile = t->profile;
    t->profile = NULL; /* one request, of global memory */
    simt_copy c = {ptx_shared(t, dst, size, PTX_WRITE, site), (const void *)(uintptr_t)src, size, 0};
    if (taken > size) {
        ptx_fail(t, site, "an asynchronous copy that reads %u of %u bytes", taken, size);
    }
    c.zero = size - taken;
    if (src % size != 0) {
        ptx_fail(t, site, "an asynchronous copy from %#llx: not aligned", (unsigned long long)src);
    }
    for (uint32_t i = 0; i < taken;) { /* what it reads need not be whole words */
        uint32_t some = taken - i < 4 ? 1 : 4;
        ptx_global(t, src + i, some, PTX_READ, site);
        i += some;
    }
    t->profile = profile;
    if (profile && taken) {
        ptx_note(t, site, src, size, PTX_READ, 0);
    }
    if (ptx_host->copy_add(&c)) {
        memcpy(c.dst, c.src, taken);
        memset((char *)c.dst + taken, 0, c.zero);
    }
}

void ptx_copy_wait(struct ptx_thread *t, int keep) {
    simt_copy c;
    (void)t;
    while (ptx_host->copy_due(keep, &c)) {
        memcpy(c.dst, c.src, c.bytes - c.zero);
        memset((char *)c.dst + (c.bytes - c.zero), 0, c.zero);
    }
}

/* --- threads together --------------------------------------------------------------------------------------------- */
int ptx_barrier(struct ptx_thread *t, uint32_t id, simt_barrier_op op, int predicate, uint32_t site) {
    if (id != 0) {
        ptx_fail(t, site, "barrier %u: only barrier 0 is known here", id);
    }
    return ptx_host->barrier(op, predicate, ptx_site(t, site));
}

uint32_t ptx_shfl(struct ptx_thread *t, simt_warp_op op, uint32_t value, uint32_t b, uint32_t c, uint32_t mask, int *in,
                  uint32_t site) {
    uint32_t width = 32 - (c >> 8 & 31), clamp = c & 31;
    if (clamp != (op == SIMT_SHFL_UP ? 0u : 31u)) {
        ptx_fail(t, site, "a shuffle that clamps to lane %u is not known here", clamp);
    }
    return (uint32_t)ptx_host->warp(op, mask, value, (int)b, (int)width, in, ptx_site(t, site));
}

/* Lane l of a warp holds, of an m x k tile of A (rows l / 4 and l / 4 + 8), k x n of B (column l / 4) and m x n of D
 * (columns 2 (l % 4) and the next), words as the PTX manual lays them out. */
static void mma(struct ptx_thread *t, const uint32_t *mine, int n_a, int n_b, float *d, int pairs, uint32_t site) {
    uint32_t all[32 * 8];
    int words = n_a + n_b, lane = (int)ptx_lane(t), k_words = n_b * 4;
    ptx_host->exchange(mine, words, all, ptx_site(t, site));
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + 8 * (i / 2), col = 2 * (lane % 4) + i % 2;
        double sum = (double)d[i];
        for (int k = 0; k < k_words; k++) { /* word k of a row: in lane k % 4 of the group of four, half k / 4 */
            uint32_t a = all[(4 * (row % 8) + k % 4) * words + 2 * (k / 4) + row / 8];
            uint32_t b = all[(4 * col + k % 4) * words + n_a + k / 4];
            if (pairs) {
                sum += (double)ptx_of_bf16(a) * (double)ptx_of_bf16(b) +
                       (double)ptx_of_bf16(a >> 16) * (double)ptx_of_bf16(b >> 16);
            } else {
                sum += (double)ptx_f32(a & ~UINT32_C(0x1fff)) * (double)ptx_f32(b & ~UINT32_C(0x1fff));
            }
        }
        d[i] = (float)sum;
    }
}

void ptx_mma_bf16(struct ptx_thread *t, const uint32_t *mine, int n_a, int n_b, float *d, uint32_t site) {
    mma(t, mine, n_a, n_b, d, 1, site);
}

void ptx_mma_tf32(struct ptx_thread *t, const uint32_t *mine, int n_a, int n_b, float *d, uint32_t site) {
    mma(t, mine, n_a, n_b, d, 0, site);
}

/* Lane 8 m + r names row r of matrix m; lane l receives elements 2 (l % 4) and the next of row l / 4 (of the transpose:
 * of column l / 4). */
void ptx_ldmatrix(struct ptx_thread *t, uint32_t row, int count, int transposed, uint32_t *out, uint32_t site) {
    uint32_t rows[32], lane = ptx_lane(t);
    if (lane < 8u * (uint32_t)count) {
        ptx_shared(t, row, 16, PTX_READ, site);
    }
    ptx_host->exchange(&row, 1, rows, ptx_site(t, site));
    for (int m = 0; m < count; m++) {
        uint32_t pair[2];
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t r = transposed ? 2 * (lane % 4) + i : lane / 4, c = transposed ? lane / 4 : 2 * (lane % 4) + i;
            pair[i] = *(const uint16_t *)(const void *)(t->base + (int32_t)rows[8 * m + (int)r] + 2 * c);
        }
        out[m] = pair[1] << 16 | pair[0];
    }
}
