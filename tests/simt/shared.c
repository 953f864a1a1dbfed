/*
 * shared.c - shared memory of blocks. Its layout is that of the launch and grows as variables are first met: the
 * dynamic part, then each static one, 64 bytes apart. Every block finds each variable poisoned; outside of them ASan
 * watches.
 */
#include "simt/engine.h"

enum { VARIABLES = 64, GAP = 64, ARENA = (SIMT_SHARED_MAX + (VARIABLES + 1) * 2 * GAP + 255) / 256 * 256 };

static _Alignas(256) unsigned char arenas[SIMT_MAX_RESIDENT][ARENA];
static struct { uint32_t offset, bytes; } layout[VARIABLES]; /* 0: the dynamic part */
static uint32_t variables, used, static_bytes;

void simt_shared_launch(void) {
    simt_forbid(arenas, sizeof arenas);
    layout[0].offset = GAP;
    layout[0].bytes = (uint32_t)simt_e.call.shared_bytes;
    used = GAP + ((layout[0].bytes + 15u) & ~15u);
    variables = 1;
    static_bytes = 0;
}

void simt_shared_begin(simt_block *b) {
    b->shared = arenas[b->seat];
    b->shared_seen = 0;
}

void simt_shared_end(simt_block *b) {
    simt_forbid(b->shared, used);
}

static void *first_touch(simt_block *b, uint32_t i) {
    unsigned char *p = b->shared + layout[i].offset;
    if (!(b->shared_seen >> i & 1)) {
        b->shared_seen |= (uint64_t)1 << i;
        simt_allow(p, layout[i].bytes);
        const uint32_t poison = SIMT_POISON;
        for (uint32_t k = 0; k < layout[i].bytes; k++) {
            p[k] = (unsigned char)(poison >> k % 4 * 8);
        }
    }
    return p;
}

static void place(simt_slot *slot, size_t bytes, size_t align) {
    static_bytes += (uint32_t)bytes;
    if (bytes > SIMT_SHARED_STATIC || static_bytes > SIMT_SHARED_STATIC ||
        static_bytes + layout[0].bytes > SIMT_SHARED_MAX) {
        simt_fail((simt_site){0}, "a block wants %u bytes of static and %u of dynamic shared memory", static_bytes,
                  layout[0].bytes);
    }
    if (variables == VARIABLES) {
        simt_fail((simt_site){0}, "more than %d shared variables", VARIABLES - 1);
    }
    uint32_t at = (used + GAP + (uint32_t)align - 1) & ~((uint32_t)align - 1);
    layout[variables].offset = at;
    layout[variables].bytes = (uint32_t)bytes;
    used = (at + (uint32_t)bytes + 15u) & ~15u;
    slot->index = variables++;
    slot->launch = simt_e.launch;
}

void *simt_shared(simt_slot *slot, size_t bytes, size_t align) {
    simt_thread_rec *me = simt_me("shared memory", (simt_site){0});
    if (slot->launch != simt_e.launch) {
        place(slot, bytes, align);
    }
    return first_touch(me->block, slot->index);
}

void *simt_dynamic(size_t *bytes) {
    simt_thread_rec *me = simt_me("shared memory", (simt_site){0});
    if (bytes) {
        *bytes = layout[0].bytes;
    }
    return first_touch(me->block, 0);
}

int simt_shared_has(const void *p, size_t bytes) {
    if (!simt_e.now) {
        return 0;
    }
    uintptr_t at = (uintptr_t)p - (uintptr_t)simt_e.now->block->shared;
    for (uint32_t i = 0; i < variables; i++) {
        if (at >= layout[i].offset && at + bytes <= (uintptr_t)layout[i].offset + layout[i].bytes) {
            return 1;
        }
    }
    return 0;
}
