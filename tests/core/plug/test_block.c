#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "plug/block.h"
#include "plug/instance.h"
#include "plug/slab.h"

#if defined(__SANITIZE_ADDRESS__)
#define REUSES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REUSES 0
#endif
#endif
#ifndef REUSES
#define REUSES 1
#endif

MBS_TEST(block, has_aligned_room_for_what_was_asked) {
    for (int64_t rows = 0; rows < 3000; rows = rows * 3 + 1) {
        int64_t shape[2] = {rows, 7};
        mbs_block *b = mbs_block_new("frames/f32", MBS_F32, 2, shape);
        CHECK(b && (uintptr_t)b->data % 64 == 0);
        CHECK_INT(b->struct_size, sizeof(mbs_block));
        CHECK_INT(b->shape[0], rows);
        memset(b->data, 0x5A, (size_t)rows * 28);
        uint8_t *q = mbs_block_side_new(b, "quality", MBS_U8, 2);
        CHECK(q && (uintptr_t)q % 64 == 0);
        memset(q, 0x11, (size_t)rows * 2);
        CHECK(mbs_block_side_find(b, "quality")->data == q && !mbs_block_side_find(b, "mask"));
        CHECK(mbs_block_is_sound(b));
        mbs_block_unref(b);
    }
    mbs_block_unref(NULL);
}

MBS_TEST(block, shapes_that_do_not_fit_are_refused) {
    int64_t huge[2] = {INT64_MAX, INT64_MAX};
    int64_t negative[1] = {-1};
    int64_t fine[1] = {3};
    CHECK(!mbs_block_new("bases/u8", MBS_U8, 2, huge));
    CHECK(!mbs_block_new("bases/u8", MBS_U8, 1, huge));
    CHECK(!mbs_block_new("bases/u8", MBS_U8, 1, negative));
    CHECK(!mbs_block_new("bases/u8", 99, 1, fine));
    CHECK(!mbs_block_new("bases/u8", MBS_U8, 0, fine));
    CHECK(!mbs_block_new("bases/u8", MBS_U8, MBS_MAX_DIMS + 1, huge));
    CHECK(!mbs_block_new(NULL, MBS_U8, 1, fine));
}

MBS_TEST(block, sides_are_bounded_and_named_once) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    int64_t rows = 4;
    mbs_block *b = mbs_block_new("bases/u8", MBS_U8, 1, &rows);
    CHECK(!mbs_block_side_new(b, "a", MBS_U8, 0));
    for (int i = 0; i < MBS_MAX_SIDES; i++) {
        CHECK(mbs_block_side_new(b, names[i], MBS_I64, 2) != NULL);
        CHECK(!mbs_block_side_new(b, names[i], MBS_I64, 2));
    }
    CHECK(!mbs_block_side_new(b, names[8], MBS_U8, 1));
    mbs_block_unref(b);
}

MBS_TEST(block, soundness_sees_moved_data_and_rows_out_of_nowhere) {
    int64_t rows = 4;
    mbs_block *b = mbs_block_new("bases/u8", MBS_U8, 1, &rows);
    b->shape[0] = 2;
    CHECK(mbs_block_is_sound(b));
    b->shape[0] = 5;
    CHECK(!mbs_block_is_sound(b));
    b->shape[0] = 4;
    b->dtype = MBS_I64;
    CHECK(!mbs_block_is_sound(b));
    b->dtype = MBS_U8;
    void *data = b->data;
    b->data = &rows;
    CHECK(!mbs_block_is_sound(b));
    b->data = data;
    CHECK_INT(mbs_block_rows_made(b), 4);
    mbs_block_unref(b);
}

MBS_TEST(block, type_names_say_their_elements) {
    CHECK_INT(mbs_type_dtype("bases/u8"), MBS_U8);
    CHECK_INT(mbs_type_dtype("tokens/i32"), MBS_I32);
    CHECK_INT(mbs_type_dtype("pcm/f32"), MBS_F32);
    CHECK_INT(mbs_type_dtype("edits"), MBS_I64);
    CHECK_INT(mbs_type_dtype("whatever"), 0);
    CHECK_INT(mbs_type_dtype("x/f16"), 0);
}

/* What ten million short reads do: a block, a side, a copied record, and all of it gone again. */
static void one_short_read(int64_t i) {
    char name[32];
    (void)snprintf(name, sizeof name, "read%lld", (long long)i);
    mbs_record r = {.struct_size = sizeof r, .name = name, .description = "d", .strand = '+', .length = 100};
    int64_t rows = 90 + i % 20;
    mbs_block *b = mbs_block_new("bases/u8", MBS_U8, 1, &rows);
    CHECK(b && mbs_block_side_new(b, "quality", MBS_U8, 1));
    mbs_record *copy = mbs_record_copy(&r);
    mbs_block_hold_record(b, copy);
    mbs_record_free(copy);
    CHECK_STR(b->record->name, name);
    mbs_block_unref(b);
}

MBS_TEST(block, steady_state_allocates_nothing) {
    if (!REUSES) {
        SKIP("nothing is reused under AddressSanitizer, so that it sees each end of life");
    }
    for (int64_t i = 0; i < 10; i++) {
        one_short_read(i);
    }
    uint64_t before = mbs_alloc_count();
    for (int64_t i = 0; i < 100000; i++) {
        one_short_read(i);
    }
    CHECK(mbs_alloc_count() == before, "%llu allocations", (unsigned long long)(mbs_alloc_count() - before));
}

MBS_TEST(block, what_is_kept_is_bounded) {
    enum { MANY = 500 };
    static mbs_block *all[MANY];
    int64_t rows = 1 << 20;
    for (int i = 0; i < MANY; i++) {
        all[i] = mbs_block_new("bases/u8", MBS_U8, 1, &rows);
        CHECK(all[i] != NULL);
    }
    for (int i = 0; i < MANY; i++) {
        mbs_block_unref(all[i]);
    }
    CHECK(mbs_slab_kept() <= (32u << 20), "%zu bytes kept", mbs_slab_kept());
    int64_t large = 64 << 20;
    size_t before = mbs_slab_kept();
    mbs_block_unref(mbs_block_new("bases/u8", MBS_U8, 1, &large));
    CHECK_INT(mbs_slab_kept(), before);
    mbs_slab_trim();
    CHECK_INT(mbs_slab_kept(), 0);
}

typedef struct counted {
    mbs_origin pub;
    atomic_int refs;
} counted;

static void counted_ref(mbs_origin *o) {
    atomic_fetch_add(&((counted *)(void *)o)->refs, 1);
}

static void counted_unref(mbs_origin *o) {
    atomic_fetch_sub(&((counted *)(void *)o)->refs, 1);
}

MBS_TEST(record, a_copy_owns_its_texts_and_holds_its_origin) {
    counted o = {.pub = {.struct_size = sizeof o.pub, .library = "x", .ref = counted_ref, .unref = counted_unref}};
    atomic_init(&o.refs, 1);
    char name[] = "chr1";
    char value[] = "v";
    mbs_attr attrs[2] = {{"k", value}, {"empty", ""}};
    mbs_record r = {.struct_size = sizeof r,
                    .strand = '-',
                    .index = 7,
                    .name = name,
                    .label = "l",
                    .start = 5,
                    .length = -1,
                    .n_attrs = 2,
                    .attrs = attrs,
                    .origin = &o.pub};
    mbs_record *c = mbs_record_copy(&r);
    name[0] = value[0] = '?';
    attrs[1].key = NULL;
    CHECK_STR(c->name, "chr1");
    CHECK(c->description == NULL);
    CHECK_STR(c->label, "l");
    CHECK_INT(c->n_attrs, 2);
    CHECK_STR(c->attrs[0].value, "v");
    CHECK_STR(c->attrs[1].key, "empty");
    CHECK_STR(c->attrs[1].value, "");
    CHECK(c->index == 7 && c->strand == '-' && c->start == 5 && c->length == -1);
    CHECK_INT(atomic_load(&o.refs), 2);
    mbs_record_free(mbs_record_ref(c));
    CHECK_INT(atomic_load(&o.refs), 2);
    mbs_record_free(c);
    CHECK_INT(atomic_load(&o.refs), 1);
    mbs_record_free(NULL);
}

/* A record of a plugin that was built when the struct ended with `length`. */
MBS_TEST(record, fields_behind_struct_size_are_not_read) {
    mbs_record r = {.struct_size = offsetof(mbs_record, context),
                    .name = "old",
                    .length = 3,
                    .context = 99,
                    .n_attrs = 1000,
                    .attrs = (const mbs_attr *)(uintptr_t)8,
                    .origin = (mbs_origin *)(uintptr_t)8};
    mbs_record *c = mbs_record_copy(&r);
    CHECK_INT(c->struct_size, sizeof *c);
    CHECK(c->length == 3 && c->context == 0 && c->n_attrs == 0 && !c->origin);
    mbs_record_free(c);
}

static void *churn(void *arg) {
    mbs_block *shared = arg;
    for (int64_t i = 0; i < 2000; i++) {
        mbs_block *mine = mbs_block_ref(shared);
        one_short_read(i);
        mbs_block_unref(mine);
    }
    mbs_block_unref(shared);
    return NULL;
}

MBS_TEST(block, counts_hold_across_threads) {
    int64_t rows = 1000;
    mbs_block *b = mbs_block_new("bases/u8", MBS_U8, 1, &rows);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        mbs_block_ref(b);
        CHECK(pthread_create(&threads[i], NULL, churn, b) == 0);
    }
    memset(b->data, 1, 1000);
    mbs_block_unref(b);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}
