/*
 * fiber.h - stacks that are switched by hand, and what sanitizers have to be told about it. The sanitizers' functions
 * are weak: one build of the runtime serves plain, ASan and TSan programs.
 */
#ifndef MBK_SIMT_FIBER_H
#define MBK_SIMT_FIBER_H

#include <stddef.h>

typedef struct simt_fiber {
    void *stack_pointer; /* of a fiber that does not run */
    void *bottom; /* lowest address, and size, of its stack: filled by ASan for the one that is no fiber of ours */
    size_t size;
    void *asan, *tsan;
    void *ucontext; /* only where the switch is not written in assembly */
} simt_fiber;

enum { SIMT_POOL = 16384 }; /* fibers of a process, at most */

/* The `index`-th stack of the arena, ready to call entry() at its first switch; entry never returns. */
void simt_fiber_make(simt_fiber *f, unsigned index, void (*entry)(void));
/* Fills `f` for the caller's own stack: what the last fiber switches back to. */
void simt_fiber_own(simt_fiber *f);
/* Leaves `from` and goes on in `to`; returns when somebody switches back. */
void simt_fiber_switch(simt_fiber *from, simt_fiber *to);
/* The first thing that entry() does. */
void simt_fiber_entered(void);

int simt_has_asan(void);
int simt_has_tsan(void);
/* Orders memory for TSan: all that was before a release of `key` is before what follows an acquire of it. */
void simt_release(void *key);
void simt_acquire(void *key);
/* Memory that nothing may touch, for ASan. */
void simt_forbid(const void *p, size_t bytes);
void simt_allow(const void *p, size_t bytes);
/* told() is called before a sanitizer that found something ends the process. */
void simt_on_death(void (*told)(void));

#endif
