/* Faults planted in small kernels (planted.cu), and who finds them: results and checks of the emulator under each
 * schedule, AddressSanitizer what lies outside, ThreadSanitizer what no barrier orders, whatever the schedule. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "support/child.h"
#include "support/test.h"

enum { RIGHT = 0, ABORTED = -SIGABRT, WRONG = 3, RACE = 66, ANY_FAULT = 1000 };

typedef struct planted {
    const char *kernel, *removed;
    int want;         /* exit code */
    const char *text; /* that the report holds */
} planted;

typedef struct job {
    const char *program, *kernel, *removed, *schedule, *host;
    int out;
} job;

static int start(void *arg) {
    const job *j = arg;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setenv("MBK_SIMT_SCHEDULE", j->schedule, 1);
    setenv("MBK_SIMT_MUTATE", j->removed, 1);
    setenv("TSAN_OPTIONS", "halt_on_error=1", 1);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* a kernel that is ended half-way frees nothing */
    dup2(j->out, 1);
    dup2(j->out, 2);
    execl(j->program, j->program, j->kernel, j->host, (char *)NULL);
    return 127;
}

/* The exit code, and the first of what the program said. */
static int run(job j, char *said, size_t room) {
    FILE *f = tmpfile();
    CHECK(f != NULL);
    j.out = fileno(f);
    int rc = test_child(start, &j);
    rewind(f);
    said[fread(said, 1, room - 1, f)] = 0;
    fclose(f);
    return rc;
}

static void expect(job j, int want, const char *text) {
    char said[8192];
    int rc = run(j, said, sizeof said);
    CHECK((want == ANY_FAULT ? rc != 0 : rc == want) && strstr(said, text),
          "%s %s without %s, %s: exit %d, wanted %d and \"%s\":\n%s", j.program, j.kernel, j.removed, j.schedule, rc,
          want, text, said);
}

static const char *const schedules[] = {"fifo", "lifo", "random:1", "random:2", NULL};
#define EACH_SCHEDULE(S) for (const char *const *S = schedules; *S; S++)

MBS_TEST(simt_planted, right_kernels_are_right) {
    EACH_SCHEDULE(s) {
        expect((job){SIMT_PLANTED, "all", "", *s, NULL, 0}, RIGHT, "sum: right");
    }
}

/* Whatever the schedule. */
MBS_TEST(simt_planted, wrong_ones_are_named) {
    static const planted faults[] = {
        {"divergent", "planted_converged", ABORTED, "a barrier in a divergent branch"},
        {"return", "planted_all_stay", ABORTED, "planted.cu:"},
        {"lanes", "planted_own_lane", ABORTED, "which leaves out its own lane"},
        {"lanes", "planted_one_mask", ABORTED, "__shfl_xor_sync"},
        {"vector", "planted_aligned", ANY_FAULT, "planted.cu:"},
        {"bounds", "planted_shared_bound", ANY_FAULT, ""},
        {"chunks", "planted_write_after_read", ANY_FAULT, ""},
        {"pieces", "planted_wait", WRONG, "wrong"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        EACH_SCHEDULE(s) {
            expect((job){SIMT_PLANTED, faults[i].kernel, faults[i].removed, *s, NULL, 0}, faults[i].want,
                   faults[i].text);
        }
    }
}

/* A missing barrier shows in one order of threads and not in another. */
MBS_TEST(simt_planted, some_order_shows_a_missing_barrier) {
    expect((job){SIMT_PLANTED, "sum", "planted_read_after_write", "fifo", NULL, 0}, WRONG, "wrong");
    expect((job){SIMT_PLANTED, "sum", "planted_read_after_write", "lifo", NULL, 0}, RIGHT, "right");
}

MBS_TEST(simt_planted, memory_of_the_host_is_refused) {
    expect((job){SIMT_PLANTED, "sum", "", "fifo", "host", 0}, ABORTED, "which is no device memory, in argument 1");
    expect((job){SIMT_PLANTED, "t(struct)", "", "fifo", "host", 0}, ABORTED,
           "which is no device memory, in argument 1");
}

MBS_TEST(simt_planted, bounds_are_watched) {
#ifdef SIMT_PLANTED_ASAN
    expect((job){SIMT_PLANTED_ASAN, "all", "", "random:1", NULL, 0}, RIGHT, "sum: right");
    expect((job){SIMT_PLANTED_ASAN, "bounds", "planted_shared_bound", "fifo", NULL, 0}, ANY_FAULT, "planted.cu:");
    expect((job){SIMT_PLANTED_ASAN, "bounds", "planted_global_bound", "fifo", NULL, 0}, ANY_FAULT,
           "heap-buffer-overflow");
#else
    SKIP("AddressSanitizer has no program of its own in this build");
#endif
}

MBS_TEST(simt_planted, races_are_reported) {
#ifdef SIMT_PLANTED_RACE
    static const planted faults[] = {
        {"sum", "planted_read_after_write", RACE, "data race"},
        {"chunks", "planted_write_after_read", RACE, "data race"},
        {"warp", "planted_warp_order", RACE, "data race"},
        {"global", "planted_own_cell", RACE, "data race"},
    };
    const char *const two[] = {"lifo", "random:1"};
    for (int s = 0; s < 2; s++) {
        expect((job){SIMT_PLANTED_RACE, "all", "", two[s], NULL, 0}, RIGHT, "sum: right");
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
            expect((job){SIMT_PLANTED_RACE, faults[i].kernel, faults[i].removed, two[s], NULL, 0}, faults[i].want,
                   faults[i].text);
        }
    }
#else
    SKIP("ThreadSanitizer has no program of its own in this build");
#endif
}
