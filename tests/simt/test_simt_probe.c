/* What the emulator's operations give, against what CUDA's documentation says, under every schedule. */
#include "simt/probe.h"
#include "simt/runtime.h"
#include "support/test.h"

static const char *const schedules[] = {"fifo", "lifo", "random:1", "random:2", "random:3", NULL};
#define EACH_SCHEDULE(S) for (int S = 0; schedules[S] && simt_schedule(schedules[S]) == 0; S++)

static probe_buffers buffers(void) {
    probe_buffers m = {simt_malloc(PROBE_INTS * sizeof(int)), simt_malloc(PROBE_FLOATS * sizeof(float)),
                       simt_malloc(256 * sizeof(short)), simt_malloc(128 * sizeof(short))};
    CHECK(m.ints && m.floats && m.a && m.b);
    memset(m.ints, 0, PROBE_INTS * sizeof(int));
    return m;
}

static void done(probe_buffers m) {
    simt_free(m.ints);
    simt_free(m.floats);
    simt_free(m.a);
    simt_free(m.b);
}

static int value(int lane) {
    return 3 * lane + 1;
}

static int wanted(int op, int lane) {
    switch (op) {
    case 0:
        return value(5);
    case 1:
        return value(lane / 8 * 8 + 3);
    case 2:
        return value(lane < 2 ? lane : lane - 2);
    case 3:
        return value(lane % 4 < 1 ? lane : lane - 1);
    case 4:
        return value(lane + 7 > 31 ? lane : lane + 7);
    case 5:
        return value(lane % 16 + 3 > 15 ? lane : lane + 3);
    case 6:
        return value(lane ^ 16);
    case 7:
        return value(lane ^ 5);
    case 8:
        return 0x55555555;
    case 9:
        return 1;
    case 10:
        return 3 * 496 + 32;
    case 11:
        return -1;
    case 12:
        return (int)(lane < 10 ? 0x3ffu : lane < 20 ? 0xffc00u : lane < 30 ? 0x3ff00000u : 0xc0000000u);
    default:
        return value(2);
    }
}

MBS_TEST(simt_probe, warp_operations) {
    EACH_SCHEDULE(s) {
        probe_buffers m = buffers();
        CHECK_INT(probe_run("warp", m), 0);
        for (int op = 0; op < PROBE_WARP_OPS; op++) {
            for (int lane = 0; lane < 32; lane++) {
                CHECK(m.ints[op * 32 + lane] == wanted(op, lane), "operation %d, lane %d: %d, not %d (%s)", op, lane,
                      m.ints[op * 32 + lane], wanted(op, lane), schedules[s]);
            }
        }
        CHECK_INT(probe_run("halves", m), 0);
        for (int lane = 0; lane < 32; lane++) {
            CHECK_INT(m.ints[lane], lane < 16 ? lane ^ 1 : (lane ^ 2) + 100);
        }
        done(m);
    }
}

MBS_TEST(simt_probe, every_thread_of_every_block_once) {
    EACH_SCHEDULE(s) {
        for (int resident = 0; resident < 4; resident++) {
            CHECK_INT(simt_resident(resident), 0);
            probe_buffers m = buffers();
            CHECK_INT(probe_run("places", m), 0);
            for (int i = 0; i < 24 * 60; i++) {
                CHECK_INT(m.ints[i], 1 + i % 60);
            }
            done(m);
        }
        CHECK_INT(simt_resident(0), 0);
    }
}

MBS_TEST(simt_probe, shared_memory_is_fresh_in_every_block) {
    EACH_SCHEDULE(s) {
        probe_buffers m = buffers();
        CHECK_INT(probe_run("fresh", m), 0);
        for (int i = 0; i < 2 * PROBE_BLOCKS; i++) {
            CHECK_INT(m.ints[i], SIMT_POISON);
        }
        CHECK_INT(probe_run("votes", m), 0);
        CHECK_INT(m.ints[0], 1);
        CHECK_INT(m.ints[1], 1);
        CHECK_INT(m.ints[2], 22);
        done(m);
    }
}

static unsigned short bf16(float v) { /* of small whole numbers, exactly */
    unsigned bits;
    memcpy(&bits, &v, sizeof bits);
    return (unsigned short)(bits >> 16);
}

MBS_TEST(simt_probe, matrix_operation) {
    probe_buffers m = buffers();
    float want[PROBE_FLOATS];
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 8; j++) {
            m.floats[i * 8 + j] = want[i * 8 + j] = (float)(i - j);
            for (int k = 0; k < 16; k++) {
                int a = (i * 7 + k * 3) % 11 - 5, b = (k * 5 + j * 2) % 13 - 6;
                m.a[i * 16 + k] = bf16((float)a);
                m.b[k * 8 + j] = bf16((float)b);
                want[i * 8 + j] += (float)(a * b);
            }
        }
    }
    CHECK_INT(probe_run("mma", m), 0);
    for (int i = 0; i < PROBE_FLOATS; i++) {
        CHECK(m.floats[i] == want[i], "element %d: %g, not %g", i, (double)m.floats[i], (double)want[i]);
    }
    done(m);
}

MBS_TEST(simt_probe, arguments_of_all_sizes) {
    probe_buffers m = buffers();
    CHECK_INT(probe_run("arguments", m), 0);
    double got;
    memcpy(&got, m.floats, sizeof got);
    CHECK(got == 1 + 2 + 0.5 + 3 + 4 + 5.25 + 1099511627776.0, "%.17g", got);
    done(m);
}

/* cudaErrorInvalidConfiguration is 9, cudaErrorInvalidValue 1. */
MBS_TEST(simt_probe, launches_that_a_device_refuses) {
    probe_buffers m = buffers();
    CHECK_INT(probe_run("Threads", m), 9);
    CHECK_INT(probe_run("Grid", m), 9);
    CHECK_INT(probe_run("Shared", m), 1);
    CHECK_INT(probe_run("Beyond", m), 1);
    CHECK_INT(probe_run("Asked", m), 0);
    CHECK_INT(probe_run("Shared", m), 0);
    done(m);
    CHECK_INT(simt_schedule("random"), -1);
    CHECK_INT(simt_schedule("random:x"), -1);
    CHECK_INT(simt_schedule("random:1x"), -1);
    CHECK_INT(simt_resident(SIMT_MAX_RESIDENT + 1), -1);
}

static int queued;
static simt_call kept;
static int keep(void *user, const simt_call *call) {
    (void)user;
    queued++;
    kept = *call;
    return 0;
}
static int ran;
static void instead(const void *function, const unsigned char *args) {
    (void)function;
    char first;
    memcpy(&first, args + 8, 1);
    ran += first;
}
static simt_thunk find(void *user, const char *symbol) {
    return strstr(symbol, user) ? instead : NULL;
}

MBS_TEST(simt_probe, calls_can_be_kept_and_replaced) {
    probe_buffers m = buffers();
    simt_hook_set(keep, NULL);
    CHECK_INT(probe_run("votes", m), 0);
    CHECK_INT(queued, 1);
    CHECK_INT(m.ints[2], 0);
    simt_run(&kept);
    CHECK_INT(m.ints[2], 22);
    simt_hook_set(NULL, NULL);
    char name[] = "probe_arguments";
    simt_find_set(find, name);
    CHECK_INT(probe_run("arguments", m), 0);
    CHECK_INT(ran, 1);
    simt_find_set(NULL, NULL);
    done(m);
}

MBS_TEST(simt_probe, ranges_of_device_memory) {
    unsigned char *p = simt_malloc(1000);
    const void *base;
    size_t size;
    CHECK(simt_memory_has(p, 1000, &base, &size) && base == p && size == 1000);
    CHECK(simt_memory_has(p + 999, 1, NULL, NULL) && !simt_memory_has(p + 999, 2, NULL, NULL));
    CHECK(!simt_memory_has(p - 1, 1, NULL, NULL) && !simt_memory_has(p + 1000, 1, NULL, NULL));
    CHECK_INT(p[0] | p[1] << 8 | p[2] << 16 | p[3] << 24, SIMT_POISON);
    simt_free(p);
    CHECK(!simt_memory_has(p, 1, NULL, NULL));
    CHECK_INT(simt_thread(), -1);
}
