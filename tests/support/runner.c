/* The plain runner: runs every registered body in order in this process; one failure ends it. `SUITE` as argument:
 * those of one suite; `SUITE::NAME`: one. */
#include "support/test.h"

#include <setjmp.h>
#include <stdarg.h>

static mbs_test_case *cases;
static jmp_buf skipped;

void mbs_test_register(mbs_test_case *c) {
    mbs_test_case **at = &cases;
    while (*at) {
        at = &(*at)->next;
    }
    *at = c;
}

void mbs_test_failed(const char *file, int line, const char *cond, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: failed: %s:", file, line, cond);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

void mbs_test_skip(const char *why) {
    printf("  skipped: %s\n", why);
    longjmp(skipped, 1);
}

/* 1 where the body ran to its end, 0 where it skipped. */
static int run(const mbs_test_case *c) {
    if (setjmp(skipped) != 0) {
        return 0;
    }
    c->body();
    return 1;
}

static int meant(const mbs_test_case *c, const char *what) {
    size_t n = strlen(c->suite);
    return strncmp(what, c->suite, n) == 0 &&
           (what[n] == '\0' || (strncmp(what + n, "::", 2) == 0 && strcmp(what + n + 2, c->name) == 0));
}

int main(int argc, char **argv) {
    int passed = 0;
    int skips = 0;
    for (mbs_test_case *c = cases; c; c = c->next) {
        if (argc > 1 && !meant(c, argv[1])) {
            continue;
        }
        printf("%s::%s\n", c->suite, c->name);
        fflush(stdout);
        int done = run(c);
        passed += done;
        skips += !done;
    }
    printf("%d passed, 0 failed, %d skipped\n", passed, skips);
    return passed == 0 ? 77 : 0;
}
