#include "simt/fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define WEAK __attribute__((weak))
void *__tsan_get_current_fiber(void) WEAK;
void *__tsan_create_fiber(unsigned flags) WEAK;
void __tsan_switch_to_fiber(void *fiber, unsigned flags) WEAK;
void __tsan_acquire(void *p) WEAK;
void __tsan_release(void *p) WEAK;
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size) WEAK;
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size) WEAK;
void __asan_poison_memory_region(void const volatile *p, size_t bytes) WEAK;
void __asan_unpoison_memory_region(void const volatile *p, size_t bytes) WEAK;
void __sanitizer_set_death_callback(void (*told)(void)) WEAK;

enum { TSAN_NO_SYNC = 1, GUARD = 4096, STACK = 256 << 10, STACK_ASAN = 256 << 10 };

/* The stacks, one after the other, each above a page that may not be touched. */
static unsigned char *arena;
static simt_fiber *left; /* whom the last switch left */

int simt_has_asan(void) {
    return __asan_poison_memory_region != NULL;
}
int simt_has_tsan(void) {
    return __tsan_create_fiber != NULL;
}
void simt_release(void *key) {
    if (__tsan_release) {
        __tsan_release(key);
    }
}
void simt_acquire(void *key) {
    if (__tsan_acquire) {
        __tsan_acquire(key);
    }
}
void simt_forbid(const void *p, size_t bytes) {
    if (__asan_poison_memory_region) {
        __asan_poison_memory_region(p, bytes);
    }
}
void simt_allow(const void *p, size_t bytes) {
    if (__asan_unpoison_memory_region) {
        __asan_unpoison_memory_region(p, bytes);
    }
}
void simt_on_death(void (*told)(void)) {
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(told);
    }
}

static void *stack_of(unsigned index, size_t size) {
    if (!arena) {
        void *p = mmap(NULL, (size_t)SIMT_POOL * (size + GUARD), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                       -1, 0);
        if (p == MAP_FAILED) {
            perror("simt: no room for stacks");
            abort();
        }
        arena = p;
    }
    unsigned char *bottom = arena + (size_t)index * (size + GUARD) + GUARD;
    if (mprotect(bottom, size, PROT_READ | PROT_WRITE) != 0) {
        perror("simt: no room for a stack");
        abort();
    }
    return bottom;
}

#if defined(__x86_64__)

/* void simt_switch_stack(void **save, void *load): keeps what a call keeps, and nothing else. */
void simt_switch_stack(void **save, void *load);
__asm__(".text\n"
        ".globl simt_switch_stack\n"
        ".hidden simt_switch_stack\n"
        ".type simt_switch_stack, @function\n"
        "simt_switch_stack:\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size simt_switch_stack, .-simt_switch_stack\n");

static void prepare(simt_fiber *f, unsigned index, void (*entry)(void)) {
    /* Tops at different offsets within a page, or all stacks would share the same lines of the cache. */
    uintptr_t top = (uintptr_t)f->bottom + f->size - 64 - (index * 7u % 61u) * 64u;
    void **sp = (void **)(top & ~(uintptr_t)63);
    *--sp = NULL; /* where entry would return to; it keeps the stack as the ABI wants it at a function's start */
    *--sp = (void *)(uintptr_t)entry;
    for (int i = 0; i < 6; i++) {
        *--sp = NULL;
    }
    f->stack_pointer = sp;
}

static void switch_stack(simt_fiber *from, simt_fiber *to) {
    simt_switch_stack(&from->stack_pointer, to->stack_pointer);
}

#else

#include <ucontext.h>

static void *new_context(void) {
    ucontext_t *u = calloc(1, sizeof *u);
    if (!u || getcontext(u) != 0) {
        perror("simt: no room for a context");
        abort();
    }
    return u;
}

static void prepare(simt_fiber *f, unsigned index, void (*entry)(void)) {
    (void)index;
    ucontext_t *u = new_context();
    u->uc_stack.ss_sp = f->bottom;
    u->uc_stack.ss_size = f->size;
    makecontext(u, entry, 0);
    f->ucontext = u;
}

static void switch_stack(simt_fiber *from, simt_fiber *to) {
    if (!from->ucontext) {
        from->ucontext = new_context();
    }
    swapcontext(from->ucontext, to->ucontext);
}

#endif

void simt_fiber_make(simt_fiber *f, unsigned index, void (*entry)(void)) {
    *f = (simt_fiber){.size = simt_has_asan() ? STACK_ASAN : STACK};
    f->bottom = stack_of(index, f->size);
    f->tsan = __tsan_create_fiber ? __tsan_create_fiber(0) : NULL;
    prepare(f, index, entry);
}

void simt_fiber_own(simt_fiber *f) {
    f->tsan = __tsan_get_current_fiber ? __tsan_get_current_fiber() : NULL;
}

void simt_fiber_entered(void) {
    if (__sanitizer_finish_switch_fiber) {
        const void *bottom;
        size_t size;
        __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
        left->bottom = (void *)(uintptr_t)bottom;
        left->size = size;
    }
}

void simt_fiber_switch(simt_fiber *from, simt_fiber *to) {
    left = from;
    if (__sanitizer_start_switch_fiber) {
        __sanitizer_start_switch_fiber(&from->asan, to->bottom, to->size);
    }
    if (__tsan_switch_to_fiber) {
        __tsan_switch_to_fiber(to->tsan, TSAN_NO_SYNC);
    }
    switch_stack(from, to);
    if (__sanitizer_finish_switch_fiber) {
        const void *bottom;
        size_t size;
        __sanitizer_finish_switch_fiber(from->asan, &bottom, &size);
        left->bottom = (void *)(uintptr_t)bottom;
        left->size = size;
    }
}
