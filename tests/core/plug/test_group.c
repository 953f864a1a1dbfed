/* Instances of one serial group never run at the same time, whatever plugin they are of; others may. */
#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "plug/group.h"
#include "plug/instance.h"

#define ROUNDS 60

/* What the wrapped library would corrupt: plain, so that ThreadSanitizer sees an unlocked access. */
static int64_t fragile;
static atomic_int inside;
static atomic_int collisions;
static atomic_int together; /* calls outside of the group that met another */

static int dummy;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    (void)host;
    (void)params;
    fragile++;
    *self = &dummy;
    return MBS_OK;
}

static mbs_status open_it(void *self, const mbs_stream_header *header) {
    (void)self;
    (void)header;
    fragile++;
    return MBS_OK;
}

static mbs_status write_it(void *self, const mbs_block *block) {
    (void)self;
    (void)block;
    if (atomic_fetch_add(&inside, 1) != 0) {
        atomic_fetch_add(&collisions, 1);
    }
    int64_t before = fragile;
    usleep(20); /* long enough for another to come in, if it may */
    fragile = before + 1;
    atomic_fetch_sub(&inside, 1);
    return MBS_OK;
}

static mbs_status step(void *self) {
    (void)self;
    fragile++;
    return MBS_OK;
}

static void destroy(void *self) {
    (void)self;
    fragile++;
}

static const void *extension(void *self, const char *id) {
    (void)self;
    (void)id;
    fragile++;
    return NULL;
}

static const mbs_writer_vt vt = {sizeof vt, 0, create, open_it, write_it, step, step, destroy, extension};
static const mbs_descriptor one = {.struct_size = sizeof one,
                                   .kind = MBS_KIND_WRITER,
                                   .id = "one",
                                   .version = "1",
                                   .licence = "MIT",
                                   .summary = "s",
                                   .accepts = "*",
                                   .serial_group = "fragile",
                                   .vt = &vt};
static const mbs_descriptor two = {.struct_size = sizeof two,
                                   .kind = MBS_KIND_WRITER,
                                   .id = "two",
                                   .version = "1",
                                   .licence = "MIT",
                                   .summary = "s",
                                   .accepts = "*",
                                   .serial_group = "fragile",
                                   .vt = &vt};

static void *drive(void *arg) {
    const mbs_descriptor *d = arg;
    mbs_stream_header header = {.struct_size = sizeof header, .type = "bases/u8", .unit = "base", .channels = 1};
    for (int round = 0; round < ROUNDS; round++) {
        mbs_instance *i = NULL;
        if (mbs_instance_new(d, NULL, NULL, "writer 'x'", &i, NULL) != MBS_OK ||
            mbs_writer_open(i, &header, NULL) != MBS_OK) {
            return arg;
        }
        for (int k = 0; k < 5; k++) {
            if (mbs_writer_write(i, NULL, NULL) != MBS_OK) {
                return arg;
            }
        }
        if (mbs_writer_drain(i, NULL) != MBS_OK || mbs_instance_close(i, NULL) != MBS_OK) {
            return arg;
        }
        mbs_instance_free(i);
    }
    return NULL;
}

MBS_TEST(group, members_never_run_together) {
    pthread_t threads[4];
    for (int t = 0; t < 4; t++) {
        const mbs_descriptor *d = t % 2 ? &one : &two;
        CHECK(pthread_create(&threads[t], NULL, drive, (void *)(uintptr_t)d) == 0);
    }
    for (int t = 0; t < 4; t++) {
        void *failed = NULL;
        pthread_join(threads[t], &failed);
        CHECK(!failed);
    }
    CHECK_INT(atomic_load(&collisions), 0);
    /* create, extension, open, 5 writes, drain, close, destroy: every one of them counted under the lock. */
    CHECK_INT(fragile, 4 * ROUNDS * 11);
}

/* Holds until another call has come in: with one lock for all it would wait in vain. */
static mbs_status meet(void *self, const mbs_block *block) {
    (void)self;
    (void)block;
    atomic_fetch_add(&together, 1);
    for (int k = 0; k < 5000 && atomic_load(&together) < 2; k++) {
        usleep(1000);
    }
    return MBS_OK;
}

static mbs_status create_free(const mbs_host *host, const mbs_params *params, void **self) {
    (void)host;
    (void)params;
    *self = &dummy;
    return MBS_OK;
}

static mbs_status open_free(void *self, const mbs_stream_header *header) {
    (void)self;
    (void)header;
    return MBS_OK;
}

static mbs_status step_free(void *self) {
    (void)self;
    return MBS_OK;
}

static void destroy_free(void *self) {
    (void)self;
}

static const mbs_writer_vt free_vt = {sizeof free_vt, 0,         create_free,  open_free, meet,
                                      step_free,      step_free, destroy_free, NULL};

static void *drive_free(void *arg) {
    mbs_descriptor d = one;
    mbs_stream_header header = {.struct_size = sizeof header, .type = "bases/u8", .unit = "base", .channels = 1};
    d.serial_group = arg;
    d.vt = &free_vt;
    mbs_instance *i = NULL;
    mbs_status rc = mbs_instance_new(&d, NULL, NULL, "writer 'x'", &i, NULL);
    rc = rc == MBS_OK ? mbs_writer_open(i, &header, NULL) : rc;
    rc = rc == MBS_OK ? mbs_writer_write(i, NULL, NULL) : rc;
    mbs_instance_free(i);
    return rc == MBS_OK ? NULL : arg;
}

MBS_TEST(group, others_do_run_together) {
    static char a[] = "a";
    static char b[] = "b";
    pthread_t threads[2];
    void *failed = NULL;
    CHECK(pthread_create(&threads[0], NULL, drive_free, a) == 0);
    CHECK(pthread_create(&threads[1], NULL, drive_free, b) == 0);
    pthread_join(threads[0], &failed);
    CHECK(!failed);
    pthread_join(threads[1], &failed);
    CHECK(!failed);
    CHECK_INT(atomic_load(&together), 2);
}

MBS_TEST(group, a_name_is_one_group_until_all_have_left) {
    mbs_group *a = mbs_group_join("g");
    mbs_group *b = mbs_group_join("g");
    mbs_group *other = mbs_group_join("h");
    CHECK(a == b && a != other);
    mbs_group_lock(a);
    mbs_group_lock(other); /* does not wait for a */
    mbs_group_unlock(other);
    mbs_group_unlock(b);
    mbs_group_leave(a);
    mbs_group_lock(b);
    mbs_group_unlock(b);
    mbs_group_leave(b);
    mbs_group_leave(other);
    mbs_group_lock(NULL);
    mbs_group_unlock(NULL);
    mbs_group_leave(NULL);
}
