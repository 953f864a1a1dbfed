/*
 * report.c - says what went wrong, and where: launch, block, thread, source line.
 */
#include "simt/engine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char signal_stack[64 << 10];

static void say_place(void) {
    simt_thread_rec *t = simt_e.now;
    if (t) {
        simt_dim b = t->block->at, g = simt_e.call.grid, n = simt_e.call.block;
        fprintf(stderr, "simt: in %s <<<(%u,%u,%u), (%u,%u,%u)>>>, block (%u,%u,%u), thread (%u,%u,%u)\n",
                simt_symbol(simt_e.call.function), g.x, g.y, g.z, n.x, n.y, n.z, b.x, b.y, b.z, t->at.x, t->at.y,
                t->at.z);
    }
}

static void on_signal(int number) {
    fprintf(stderr, "simt: signal %d (%s)\n", number, strsignal(number));
    say_place();
    signal(number, SIG_DFL);
    raise(number);
}

/* Faults of a kernel that no sanitizer watches. */
static void watch(int number) {
    struct sigaction was, ours = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    if (sigaction(number, NULL, &was) == 0 && was.sa_handler == SIG_DFL) {
        sigaction(number, &ours, NULL);
    }
}

void simt_report_install(void) {
    static int installed;
    if (!installed) {
        installed = 1;
        simt_on_death(say_place);
        if (!simt_has_asan() && !simt_has_tsan()) {
            stack_t s = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
            sigaltstack(&s, NULL);
            watch(SIGSEGV);
            watch(SIGBUS);
            watch(SIGFPE);
        }
    }
}

void simt_fail(simt_site site, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fputs("simt: ", stderr);
    if (site.file) {
        fprintf(stderr, "%s:%d: ", site.file, site.line);
    }
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    say_place();
    abort();
}

int simt_same_site(simt_site a, simt_site b) {
    if (a.line != b.line) {
        return 0;
    }
    const char *p = a.file, *q = b.file;
    if (p == q || !p || !q) {
        return p == q;
    }
    while (*p && *p == *q) {
        p++;
        q++;
    }
    return *p == *q;
}

const char *simt_op_name(simt_warp_op op) {
    static const char *const names[] = {
        "__syncwarp",        "__shfl_sync",       "__shfl_up_sync",    "__shfl_down_sync",  "__shfl_xor_sync",
        "__ballot_sync",     "__all_sync",        "__any_sync",        "__reduce_add_sync", "__reduce_min_sync",
        "__reduce_max_sync", "__reduce_min_sync", "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync",
        "__reduce_xor_sync", "__match_any_sync",  "a matrix operation"};
    return names[op];
}

/* Nobody can go on: the places where threads wait, each with the first thread there and how many there are. */
void simt_report_stuck(void) {
    fputs("simt: no thread can go on\n", stderr);
    simt_thread_rec *me = simt_e.now;
    simt_block *b = me->block;
    for (unsigned i = 0; i < simt_e.threads; i++) {
        const simt_thread_rec *t = &b->threads[i];
        unsigned same = 0, seen = 0;
        for (unsigned k = 0; k < simt_e.threads; k++) {
            const simt_thread_rec *o = &b->threads[k];
            int alike = o->state == t->state && (t->state == SIMT_ENDED || simt_same_site(o->site, t->site));
            same += (unsigned)alike;
            seen += alike && k < i;
        }
        if (seen == 0) {
            fprintf(stderr, "simt:   thread %u and %u more: %s", i, same - 1,
                    t->state == SIMT_ENDED        ? "returned\n"
                    : t->state == SIMT_AT_BARRIER ? "in __syncthreads"
                                                  : simt_op_name(t->op));
            if (t->state != SIMT_ENDED) {
                fprintf(stderr, " at %s:%d\n", t->site.file ? t->site.file : "?", t->site.line);
            }
        }
    }
    simt_fail(me->site, "a barrier or warp operation that not all of its threads reach");
}
