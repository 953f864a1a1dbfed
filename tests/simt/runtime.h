/*
 * runtime.h - the emulator's interface in C: what the shim (simt.h), the translated PTX (ptx/) and the fake CUDA
 * runtime (fake/) call. A kernel runs on the calling thread: each CUDA thread is a fiber with a stack of its own, and
 * changes happen only at barriers, warp operations, atomics and yields. One launch runs at a time in a process (others
 * wait).
 *
 * The runtime is compiled without sanitizers and makes no libc call while a kernel runs, so that ThreadSanitizer sees
 * the kernel's accesses and nothing else. What it finds wrong it prints with kernel, block, thread and, where known,
 * the source line, and aborts (SIGABRT): a kernel with such a fault has no result.
 *
 * Environment: MBK_SIMT_SCHEDULE = fifo | lifo | random:SEED (simt_schedule), MBK_SIMT_RESIDENT = blocks that run side
 * by side (simt_resident).
 */
#ifndef MBK_SIMT_RUNTIME_H
#define MBK_SIMT_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SIMT_WARP = 32,
    SIMT_MAX_THREADS = 1024,       /* of a block */
    SIMT_MAX_ARGS = 4096,          /* bytes of a kernel's parameters */
    SIMT_SHARED_STATIC = 48 << 10, /* shared memory of a block without asking */
    SIMT_SHARED_MAX = 227 << 10,   /* and after simt_shared_limit (sm_90) */
    SIMT_POISON = 0x7fb57fb5,      /* NaN as f32 and as bf16: what fresh shared and device memory holds */
};

/* --- launching ---------------------------------------------------------------------------------------------------- */
typedef struct simt_dim {
    unsigned x, y, z;
} simt_dim;

typedef struct simt_param {
    uint32_t offset, bytes; /* in the block of arguments, which is laid out like the .param space of PTX */
    int is_pointer;         /* as a whole; a struct's words are looked through by simt_launch */
} simt_param;

/* Calls `function` with the arguments; one CUDA thread. */
typedef void (*simt_thunk)(const void *function, const unsigned char *args);

/* One for each list of parameter types, and static: it outlives every call. */
typedef struct simt_signature {
    simt_thunk thunk;
    const simt_param *params;
    int n_params;
    uint32_t args_bytes;
} simt_signature;

/* A launch by value: a queue may copy it and run it later. */
typedef struct simt_call {
    const void *function; /* the host's address of the kernel: its name is its symbol (kernels are not static) */
    const simt_signature *signature;
    simt_dim grid, block;
    size_t shared_bytes; /* dynamic */
    void *stream;
#ifdef __cplusplus
    alignas(16)
#else
    _Alignas(16)
#endif
        unsigned char args[SIMT_MAX_ARGS];
} simt_call;

/* Checks sizes (a refusal is returned as a cudaError_t, as the real launch does) and that pointers among the arguments
 * are null or in device memory (aborts), then hands the call to the hook, or runs it where there is none. */
int simt_launch(const simt_call *call);
/* Runs a checked call to its end. */
void simt_run(const simt_call *call);
/* hook(user, call) is called in place of simt_run; it returns the cudaError_t of the launch. NULL: run at once. */
typedef int (*simt_hook)(void *user, const simt_call *call);
void simt_hook_set(simt_hook hook, void *user);
/* Replaces the thunk of a kernel, looked up by its (mangled) symbol: how translated PTX runs in place of the source.
 * NULL from find: the source runs. The found thunk gets the same block of arguments. */
typedef simt_thunk (*simt_find)(void *user, const char *symbol);
void simt_find_set(simt_find find, void *user);
/* cudaFuncAttributeMaxDynamicSharedMemorySize: returns a cudaError_t. */
int simt_shared_limit(const void *function, size_t bytes);
/* The mangled symbol of a kernel, "?" where it has none in the dynamic table. */
const char *simt_symbol(const void *function);

/* "fifo", "lifo" or "random:SEED"; NULL: what the environment says, fifo without. 0, or -1 where it is none of these.
 */
int simt_schedule(const char *what);
/* Blocks that run side by side, 1..SIMT_MAX_RESIDENT; 0: as the environment says, else 1 (random: 1 to 3). */
enum { SIMT_MAX_RESIDENT = 16 };
int simt_resident(int blocks);
/* Fiber switches, barriers and warp operations since the start: what a test's time is spent on. */
typedef struct simt_counts {
    uint64_t launches, blocks, threads, switches, barriers, warp_ops;
} simt_counts;
simt_counts simt_counted(void);

/* --- device memory: ranges that kernels may be given pointers into ------------------------------------------------ */
void simt_memory_add(const void *p, size_t bytes);
void simt_memory_remove(const void *p); /* p as it was added */
/* Whether [p, p + bytes) lies in one range; base and size (may be NULL) say which. */
int simt_memory_has(const void *p, size_t bytes, const void **base, size_t *size);
/* Aligned to 256 bytes, poisoned and added; for tests without the fake runtime. NULL where memory is short. */
void *simt_malloc(size_t bytes);
void simt_free(void *p);

/* --- within a kernel ---------------------------------------------------------------------------------------------- */
/* Where in the source an operation stands; `file` is compared by content. */
typedef struct simt_site {
    const char *file;
    int line;
} simt_site;

/* Shared memory of the running block. A static variable is known by a slot of its own (zeroed, static); it starts
 * poisoned in every block. simt_dynamic: the dynamic part, `bytes` receives its size (may be NULL). */
typedef struct simt_slot {
    uint64_t launch;
    uint32_t index;
} simt_slot;
void *simt_shared(simt_slot *slot, size_t bytes, size_t align);
void *simt_dynamic(size_t *bytes);
/* Whether [p, p + bytes) lies in one variable of the running block's shared memory. */
int simt_shared_has(const void *p, size_t bytes);

typedef enum simt_barrier_op { SIMT_SYNC, SIMT_SYNC_OR, SIMT_SYNC_AND, SIMT_SYNC_COUNT } simt_barrier_op;
int simt_barrier(simt_barrier_op op, int predicate, simt_site site);

typedef enum simt_warp_op {
    SIMT_SYNCWARP,
    SIMT_SHFL,
    SIMT_SHFL_UP,
    SIMT_SHFL_DOWN,
    SIMT_SHFL_XOR,
    SIMT_BALLOT,
    SIMT_ALL,
    SIMT_ANY,
    SIMT_REDUCE_ADD,
    SIMT_REDUCE_MIN, /* signed */
    SIMT_REDUCE_MAX,
    SIMT_REDUCE_UMIN,
    SIMT_REDUCE_UMAX,
    SIMT_REDUCE_AND,
    SIMT_REDUCE_OR,
    SIMT_REDUCE_XOR,
    SIMT_MATCH_ANY,
    SIMT_EXCHANGE /* simt_exchange */
} simt_warp_op;
/* A collective of the lanes in `mask`, which agree on op, mask and site. value: the lane's operand (bits of 4 or 8
 * bytes); arg: source lane, delta or lane mask of a shuffle, and its width. A shuffle that reads a lane outside of the
 * mask gives poison. *in_range (may be NULL): the predicate of PTX shfl. */
uint64_t simt_warp(simt_warp_op op, unsigned mask, uint64_t value, int arg, int width, int *in_range, simt_site site);
/* Every lane of the full warp gives `words` (<= 16) words; `all` receives 32 x words, lane-major: for mma and the like.
 */
void simt_exchange(const uint32_t *mine, int words, uint32_t *all, simt_site site);

/* Lets others run: after atomics, in waiting loops. */
void simt_yield(void);
/* cp.async of the running thread: queued, done when waited for, or (random schedule) at once. commit closes a group;
 * wait(n) asks for the copies of all groups but the last n: simt_copy_due hands them out one by one (0: none left), and
 * the caller copies, so that sanitizers see it. */
typedef struct simt_copy {
    void *dst;
    const void *src;
    uint32_t bytes, zero; /* of bytes, the last `zero` are zeroed instead of read */
} simt_copy;
int simt_copy_add(const simt_copy *c); /* 1: do it at once */
void simt_copy_commit(void);
int simt_copy_due(int keep, simt_copy *c);

/* MBK_KEEP of device.cuh: simt_removed is what MBK_SIMT_MUTATE names (NULL: nothing), simt_keep(name) is 0 for it. A
 * program that ends without having met it says so on stderr. */
extern const char *simt_removed;
int simt_keep(const char *name);

/* Prints "simt: ..." with kernel, block, thread and site, and aborts. site.file may be NULL. */
void simt_fail(simt_site site, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3), noreturn))
#endif
    ;
/* The running thread's place in its block, -1 outside of kernels. */
int simt_thread(void);

#ifdef __cplusplus
}
#endif
#endif
