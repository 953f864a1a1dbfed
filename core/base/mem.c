#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t allocations;
static _Atomic int64_t live;

/* Which allocations fail, from the environment: packed as k << 1 | (1 for "all from k on"); UNREAD until the first use.
 */
#define UNREAD UINT64_MAX
static _Atomic uint64_t fail_rule = UNREAD;

static uint64_t read_rule(void) {
    uint64_t rule = 0;
    const char *at = getenv("MBS_ALLOC_FAIL_AT");
    const char *from = getenv("MBS_ALLOC_FAIL_FROM");
    const char *text = from && *from ? from : at;
    if (text && *text) {
        rule = (uint64_t)(strtoull(text, NULL, 10) & (UINT64_MAX >> 2)) << 1 | (text == from);
    }
    atomic_store_explicit(&fail_rule, rule, memory_order_relaxed);
    return rule;
}

/* Counts one allocation; nonzero where it is to fail. */
static int refuse(size_t bytes) {
    uint64_t k = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    uint64_t rule = atomic_load_explicit(&fail_rule, memory_order_relaxed);
    if (rule == UNREAD) {
        rule = read_rule();
    }
    if (bytes > PTRDIFF_MAX) {
        return 1;
    }
    uint64_t at = rule >> 1;
    return at != 0 && ((rule & 1) != 0 ? k >= at : k == at);
}

static void *counted(void *p) {
    if (p) {
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    }
    return p;
}

void *mbs_alloc(size_t bytes) {
    return refuse(bytes) ? NULL : counted(malloc(bytes ? bytes : 1));
}

void *mbs_calloc(size_t count, size_t size) {
    size_t bytes;
    if (mbs_mul_overflow(count, size, &bytes) || refuse(bytes)) {
        return NULL;
    }
    return counted(bytes ? calloc(count, size) : calloc(1, 1));
}

void *mbs_calloc_aligned(size_t align, size_t bytes) {
    size_t size;
    if (mbs_add_overflow(bytes ? bytes : 1, align - 1, &size) || refuse(size)) {
        return NULL;
    }
    size &= ~(align - 1);
    void *p = counted(aligned_alloc(align, size));
    return p ? memset(p, 0, size) : NULL;
}

void *mbs_realloc(void *p, size_t bytes) {
    if (refuse(bytes)) {
        return NULL;
    }
    void *q = realloc(p, bytes ? bytes : 1);
    return p ? q : counted(q);
}

void *mbs_grow(void *p, size_t *cap, size_t need, size_t size) {
    if (p && need <= *cap) {
        return p;
    }
    size_t items = *cap > SIZE_MAX / 2 ? need : *cap * 2;
    if (items < need) {
        items = need;
    }
    if (items < 8) {
        items = 8;
    }
    size_t bytes;
    if (mbs_mul_overflow(items, size, &bytes)) {
        return NULL;
    }
    void *q = mbs_realloc(p, bytes);
    if (q) {
        *cap = items;
    }
    return q;
}

void mbs_free(void *p) {
    if (p) {
        atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    }
    free(p);
}

char *mbs_strndup(const char *s, size_t n) {
    size_t bytes;
    size_t len = strnlen(s, n);
    if (mbs_add_overflow(len, 1, &bytes)) {
        return NULL;
    }
    char *t = mbs_alloc(bytes);
    if (t) {
        memcpy(t, s, len);
        t[len] = '\0';
    }
    return t;
}

char *mbs_strdup(const char *s) {
    return mbs_strndup(s, strlen(s));
}

int64_t mbs_alloc_live(void) {
    return atomic_load_explicit(&live, memory_order_relaxed);
}

uint64_t mbs_alloc_count(void) {
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

int mbs_mul_overflow(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) {
        return 1;
    }
    *out = r;
    return 0;
}

int mbs_add_overflow(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) {
        return 1;
    }
    *out = r;
    return 0;
}

int mbs_mul_i64_overflow(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r)) {
        return 1;
    }
    *out = r;
    return 0;
}

int mbs_add_i64_overflow(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_add_overflow(a, b, &r)) {
        return 1;
    }
    *out = r;
    return 0;
}

/* An arena is a list of blocks, the newest in front; a request that does not fit opens another. */
#define ARENA_ALIGN 16
#define ARENA_BLOCK 16384

typedef struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    size_t pad; /* keeps the bytes behind it aligned */
} arena_block;
_Static_assert(sizeof(arena_block) % ARENA_ALIGN == 0, "the bytes behind a block's head are aligned");

struct mbs_arena {
    arena_block *blocks;
};

mbs_arena *mbs_arena_new(void) {
    return mbs_calloc(1, sizeof(mbs_arena));
}

void *mbs_arena_alloc(mbs_arena *a, size_t bytes) {
    size_t size;
    if (mbs_add_overflow(bytes ? bytes : 1, ARENA_ALIGN - 1, &size)) {
        return NULL;
    }
    size &= ~(size_t)(ARENA_ALIGN - 1);
    arena_block *b = a->blocks;
    if (!b || b->size - b->used < size) {
        size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
        size_t total;
        if (mbs_add_overflow(room, sizeof *b, &total)) {
            return NULL;
        }
        arena_block *fresh = mbs_calloc(1, total);
        if (!fresh) {
            return NULL;
        }
        fresh->size = room;
        /* A large request gets a block of its own behind the open one, which keeps its free space. */
        if (b && b->size - b->used > room - size) {
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->blocks = fresh;
        }
        b = fresh;
    }
    void *p = (char *)(b + 1) + b->used;
    b->used += size;
    return p;
}

char *mbs_arena_strndup(mbs_arena *a, const char *s, size_t n) {
    size_t len = strnlen(s, n);
    char *t = len < SIZE_MAX ? mbs_arena_alloc(a, len + 1) : NULL;
    if (t) {
        memcpy(t, s, len);
    }
    return t;
}

char *mbs_arena_strdup(mbs_arena *a, const char *s) {
    return mbs_arena_strndup(a, s, strlen(s));
}

void mbs_arena_free(mbs_arena *a) {
    if (!a) {
        return;
    }
    for (arena_block *b = a->blocks; b;) {
        arena_block *next = b->next;
        mbs_free(b);
        b = next;
    }
    mbs_free(a);
}
