#include "plug/fault.h"

#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stop.h"
#include "plug/where.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_SIGNALS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OWN_SIGNALS 0
#endif
#endif
#ifndef OWN_SIGNALS
#define OWN_SIGNALS 1
#endif

#define MAX_RANGES 1024
#define MAX_LIBRARIES 64
#define PROGRAM (-1)
#define STACK_BYTES (64u << 10)
#define SCAN_BYTES (64u << 10)
#define EXIT_PLUGIN 69
#define EXIT_PROGRAM 70
#define EXIT_STOPPED 75

/* Executable memory of one loaded object, and the plugin library that brought it. */
typedef struct range {
    uintptr_t lo, hi;
    int library;
} range;

/* A signal handler has no argument, so what it needs is the process's. */
static struct {
    pthread_mutex_t lock; /* of learning */
    range ranges[MAX_RANGES];
    _Atomic int n_ranges;
    char *paths[MAX_LIBRARIES];
    int n_libraries;
    _Atomic(const mbs_fault_end *) end;
    _Atomic(const char *) loading;
    _Atomic int busy;
    int core;
    void *stack;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

const char *mbs_fault_signal_name(int sig) {
    switch (sig) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    case SIGABRT:
        return "SIGABRT";
    case SIGKILL:
        return "SIGKILL";
    case SIGSYS:
        return "SIGSYS";
    case SIGXCPU:
        return "SIGXCPU";
    default:
        return "a signal";
    }
}

static int owner_of(uintptr_t pc) {
    int n = atomic_load(&state.n_ranges);
    for (int i = 0; i < n; i++) {
        if (pc >= state.ranges[i].lo && pc < state.ranges[i].hi) {
            return state.ranges[i].library;
        }
    }
    return PROGRAM;
}

static int known(uintptr_t lo) {
    int n = atomic_load(&state.n_ranges);
    for (int i = 0; i < n; i++) {
        if (state.ranges[i].lo == lo) {
            return 1;
        }
    }
    return 0;
}

static int learn_object(struct dl_phdr_info *info, size_t size, void *library) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t lo = (uintptr_t)(info->dlpi_addr + p->p_vaddr);
        int n = atomic_load(&state.n_ranges);
        if (p->p_type != PT_LOAD || p->p_memsz == 0 || n >= MAX_RANGES || known(lo)) {
            continue;
        }
        /* All of it, not only code: the address of a descriptor must find its library too. */
        state.ranges[n] = (range){lo, lo + p->p_memsz, *(int *)library};
        atomic_store(&state.n_ranges, n + 1);
    }
    return 0;
}

void mbs_fault_learn(const char *path, const void *entry) {
    pthread_mutex_lock(&state.lock);
    if (state.stack && owner_of((uintptr_t)entry) == PROGRAM && state.n_libraries < MAX_LIBRARIES) {
        int library = state.n_libraries;
        state.paths[library] = mbs_strdup(path);
        state.n_libraries++;
        dl_iterate_phdr(learn_object, &library);
    }
    pthread_mutex_unlock(&state.lock);
}

void mbs_fault_loading(const char *path) {
    atomic_store(&state.loading, path);
}

void mbs_fault_outputs(const mbs_fault_end *end) {
    atomic_store(&state.end, end);
}

static uintptr_t pc_of(const ucontext_t *u) {
#if defined(__x86_64__)
    return (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)u->uc_mcontext.pc;
#else
    (void)u;
    return 0;
#endif
}

static uintptr_t sp_of(const ucontext_t *u) {
#if defined(__x86_64__)
    return (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)u->uc_mcontext.sp;
#else
    (void)u;
    return 0;
#endif
}

/* Copies what can be read at `from`, through a pipe: the kernel refuses what is not there instead of a second fault. */
static size_t peek(int fds[2], uintptr_t from, void *to, size_t n) {
    ssize_t put = write(fds[1], (const void *)from, n);
    return put > 0 && read(fds[0], to, (size_t)put) == put ? (size_t)put : 0;
}

/* The plugin library on whose behalf a thread of unknown origin ran: the nearest address on its stack that lies in one.
 * It may be wrong by a stale word; saying nothing would be wrong more often. */
static int owner_on_stack(uintptr_t sp) {
    int fds[2];
    uintptr_t words[64];
    int found = PROGRAM;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        return PROGRAM;
    }
    for (size_t done = 0; done < SCAN_BYTES && found == PROGRAM; done += sizeof words) {
        size_t n = peek(fds, sp + done, words, sizeof words) / sizeof words[0];
        for (size_t i = 0; i < n && found == PROGRAM; i++) {
            found = owner_of(words[i]);
        }
        if (n < sizeof words / sizeof words[0]) {
            break;
        }
    }
    close(fds[0]);
    close(fds[1]);
    return found;
}

/* An instance of a library: one in a call before one that is not. */
static const mbs_where *instance_of(int library) {
    const mbs_where *found = NULL;
    for (int i = 0; i < MBS_WHERE_MAX; i++) {
        const mbs_where *w = mbs_where_slot(i);
        if (w && owner_of((uintptr_t)w->code) == library && (!found || atomic_load(&w->call))) {
            found = w;
        }
    }
    return found;
}

static void put_signal(mbs_words *out, int sig, const siginfo_t *info) {
    mbs_words_put(out, " (");
    mbs_words_put(out, mbs_fault_signal_name(sig));
    if ((sig == SIGSEGV || sig == SIGBUS) && info->si_code > 0) {
        static const char hex[] = "0123456789abcdef";
        uintptr_t at = (uintptr_t)info->si_addr;
        char text[2 * sizeof at + 1];
        size_t n = 0;
        for (int shift = (int)(8 * sizeof at) - 4; shift >= 0; shift -= 4) {
            if (n || (at >> shift & 15) || shift == 0) {
                text[n++] = hex[at >> shift & 15];
            }
        }
        text[n] = '\0';
        mbs_words_put(out, " at address 0x");
        mbs_words_put(out, text);
    }
    mbs_words_put(out, ")");
}

static void put_plugin(mbs_words *out, const mbs_where *w, int on_this_thread, int sig, const siginfo_t *info) {
    const char *call = atomic_load(&w->call);
    mbs_words_put(out, w->label);
    mbs_words_put(out, ": plugin '");
    mbs_words_put(out, w->id);
    mbs_words_put(out, "' ");
    mbs_words_put(out, w->version);
    mbs_words_put(out, sig == SIGABRT ? " aborted" : " crashed");
    if (!on_this_thread) {
        mbs_words_put(out, call ? " on a thread of its own" : " outside of its calls");
    }
    mbs_words_put(out, call ? " in " : " after ");
    call = call ? call : atomic_load(&w->last);
    mbs_words_put(out, call ? call : "create");
    put_signal(out, sig, info);
    mbs_words_put(out, ", ");
    mbs_where_put(w, out);
}

/* Ends the outputs and says how. */
static void put_end(mbs_words *out, int plugin) {
    const mbs_fault_end *end = atomic_load(&state.end);
    int keep = 0;
    if (end) {
        keep = end->keep || (end->journalled && *end->journalled);
        mbs_outputs_abandon(end->outputs, keep);
    }
    if (end && mbs_outputs_count(end->outputs) > 0) {
        mbs_words_put(out, keep ? "; the work so far was kept beside " : "; nothing was written to ");
        mbs_words_put(out, mbs_outputs_path(end->outputs, 0));
        mbs_words_put(out, !keep && mbs_outputs_count(end->outputs) > 1 ? " and the other outputs" : "");
    }
    if (!plugin) {
        mbs_words_put(out, "; report it with the command that was run");
    } else if (keep) {
        mbs_words_put(out, "; once the plugin is mended run the same command with --resume to continue");
    } else {
        mbs_words_put(out, "; this is a mistake in the plugin, tell its author; MAMBASEQ_CORE=1 leaves a core dump");
    }
}

static void on_fault(int sig, siginfo_t *info, void *context) {
    if (info->si_code == SI_USER && info->si_pid != getpid()) {
        signal(sig, SIG_DFL); /* sent from outside: it means what it always means */
        raise(sig);
        return;
    }
    if (atomic_fetch_add(&state.busy, 1) != 0) {
        /* Another thread is at it already, or this handler itself fell: the first one ends the process. */
        static const struct timespec patience = {2, 0};
        nanosleep(&patience, NULL);
        _exit(EXIT_PROGRAM);
    }
    char text[2048];
    mbs_words out = {text, 0, sizeof text - 2};
    text[0] = '\0';
    const mbs_where *w = mbs_where_current();
    const char *loading = atomic_load(&state.loading);
    int here = w != NULL;
    int library = PROGRAM;
    if (!w && !loading) {
        library = owner_of(pc_of(context));
        library = library == PROGRAM ? owner_on_stack(sp_of(context)) : library;
        w = library == PROGRAM ? NULL : instance_of(library);
    }
    mbs_words_put(&out, "mambaseq: error: ");
    if (w) {
        put_plugin(&out, w, here, sig, info);
    } else if (loading) {
        mbs_words_put(&out, loading);
        mbs_words_put(&out, ": this plugin crashed while it was loaded");
        put_signal(&out, sig, info);
    } else if (library != PROGRAM) {
        mbs_words_put(&out, state.paths[library] ? state.paths[library] : "plugin");
        mbs_words_put(&out, ": this plugin's library crashed outside of any call");
        put_signal(&out, sig, info);
    } else {
        mbs_words_put(&out, "this program crashed, outside of any plugin");
        put_signal(&out, sig, info);
    }
    int plugin = w != NULL || loading || library != PROGRAM;
    put_end(&out, plugin);
    text[out.len++] = '\n';
    if (isatty(STDERR_FILENO)) {
        (void)!write(STDERR_FILENO, "\r\033[K", 4); /* a progress line may stand there */
    }
    (void)!write(STDERR_FILENO, text, out.len);
    if (state.core) {
        signal(sig, SIG_DFL);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, sig);
        pthread_sigmask(SIG_UNBLOCK, &one, NULL);
        raise(sig);
    }
    _exit(plugin ? EXIT_PLUGIN : EXIT_PROGRAM);
}

void mbs_fault_deaf(const mbs_where *w, int sig) {
    if (atomic_fetch_add(&state.busy, 1) != 0) {
        return; /* a crash is being told */
    }
    const mbs_fault_end *end = atomic_load(&state.end);
    int keep = end && (end->keep || (end->journalled && *end->journalled));
    char text[2048];
    mbs_words out = {text, 0, sizeof text - 2};
    const char *call = atomic_load(&w->call);
    text[0] = '\0';
    mbs_words_put(&out, "mambaseq: error: ");
    mbs_words_put(&out, w->label);
    mbs_words_put(&out, ": plugin '");
    mbs_words_put(&out, w->id);
    mbs_words_put(&out, "' ");
    mbs_words_put(&out, w->version);
    mbs_words_put(&out, " does not come back from ");
    mbs_words_put(&out, call ? call : "its call");
    mbs_words_put(&out, ", ");
    mbs_where_put(w, &out);
    mbs_words_put(&out, ": stopped by a signal without waiting for it");
    if (end) {
        mbs_outputs_abandon(end->outputs, keep);
    }
    mbs_words_put(&out, keep ? "; the work so far was kept; run the same command with --resume to continue"
                             : "; nothing was written");
    text[out.len++] = '\n';
    (void)!write(STDERR_FILENO, text, out.len);
    if (keep && sig == SIGTERM) {
        _exit(EXIT_STOPPED);
    }
    mbs_stop_raise(sig);
}

/* The reader of standard output went away: the process ends quietly, and takes with it what has no final name yet. */
static void on_closed_pipe(int sig) {
    const mbs_fault_end *end = atomic_load(&state.end);
    if (end) {
        mbs_outputs_abandon(end->outputs, end->keep || (end->journalled && *end->journalled));
    }
    mbs_stop_raise(sig);
}

static void install_closed_pipe(void) {
    struct sigaction sa;
    if (sigaction(SIGPIPE, NULL, &sa) != 0 || sa.sa_handler != SIG_DFL) {
        return; /* ignored by whoever started this: then it is an error of the write */
    }
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_closed_pipe;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGPIPE, &sa, NULL);
}

int mbs_fault_install(void) {
    int library = PROGRAM;
    const char *core = getenv("MAMBASEQ_CORE");
    install_closed_pipe();
    if (!OWN_SIGNALS || state.stack) {
        return OWN_SIGNALS;
    }
    state.core = core && strcmp(core, "1") == 0;
    /* A plugin that eats its stack leaves none for the handler. */
    state.stack = malloc(STACK_BYTES);
    if (!state.stack) {
        return 0;
    }
    stack_t stack = {.ss_sp = state.stack, .ss_size = STACK_BYTES};
    sigaltstack(&stack, NULL);
    pthread_mutex_lock(&state.lock);
    dl_iterate_phdr(learn_object, &library);
    pthread_mutex_unlock(&state.lock);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction sa;
        memset(&sa, 0, sizeof sa);
        sa.sa_sigaction = on_fault;
        sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&sa.sa_mask);
        sigaction(signals[i], &sa, NULL);
    }
    return 1;
}
