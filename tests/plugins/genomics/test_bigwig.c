/* The trees of a bigWig at sizes that a model would take hours for: every value is found again from the root. */
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "kit.h"
#include "support/tmp.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_bigwig;

static mbs_status output(const mbs_host *host, const char *path, uint32_t flags, const char *suffix,
                         const char **temp) {
    static const char *const names[] = {"out.bw", "out.summaries", "out.values", "out.stretches", "out.leaves"};
    (void)host;
    (void)path;
    (void)flags;
    for (int i = 1; suffix && i < 5; i++) {
        if (strcmp(names[i] + 4, suffix) == 0) {
            *temp = names[i];
            return MBS_OK;
        }
    }
    CHECK(!suffix, "%s is a file that nobody told of", suffix);
    *temp = names[0];
    return MBS_OK;
}

/* What base i of the contig has. */
static float value_of(int64_t i, int gaps) {
    return gaps && i % 3 == 0 ? NAN : -(float)(((uint64_t)i * UINT64_C(2654435761)) % 100003) / 4096;
}

static void make(int64_t n, int64_t contigs, int gaps, int64_t rows) {
    fake_host h;
    fake_init(&h, mbs_plugin_entry_bigwig.descriptors[0]);
    h.host.output = output;
    fake_set(&h, "path", "out.bw");
    const mbs_writer_vt *vt = h.desc->vt;
    void *self = NULL;
    mbs_contig *list = calloc((size_t)contigs, sizeof(*list));
    for (int64_t i = 0; i < contigs; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "contig%lld", (long long)i);
        list[i] = (mbs_contig){strdup(name), i == 1 ? n : 10 + i};
    }
    mbs_stream_header header = {.struct_size = sizeof(header),
                                .type = "score/f32",
                                .unit = "base",
                                .channels = 1,
                                .n_contigs = contigs,
                                .contigs = list};
    CHECK_INT(vt->create(&h.host, fake_params(&h), &self), MBS_OK);
    CHECK_INT(vt->open(self, &header), MBS_OK);
    mbs_record record = {.struct_size = sizeof(record), .strand = '+', .name = "contig1", .length = n};
    for (int64_t at = 0; at < n; at += rows) {
        int64_t shape[2] = {n - at < rows ? n - at : rows, 1};
        mbs_block *b = fake_block_new(&h.host, "score/f32", MBS_F32, 2, shape);
        for (int64_t i = 0; i < shape[0]; i++) {
            ((float *)b->data)[i] = value_of(at + i, gaps);
        }
        b->record = &record;
        b->start = at;
        b->end = at + shape[0];
        b->flags = (at == 0 ? MBS_SEQ_START : 0u) | (b->end == n ? MBS_SEQ_END : 0u);
        CHECK(vt->write(self, b) == MBS_OK, "%s", h.why);
        fake_block_unref(&h.host, b);
    }
    CHECK(vt->drain(self) == MBS_OK, "%s", h.why);
    CHECK_INT(vt->close(self), MBS_OK);
    vt->destroy(self);
    for (int64_t i = 0; i < contigs; i++) {
        free((char *)(uintptr_t)list[i].name);
    }
    free(list);
    fake_end(&h);
}

static uint64_t get(const uint8_t *p, int bytes) {
    uint64_t v = 0;
    while (bytes-- > 0) {
        v = v << 8 | p[bytes];
    }
    return v;
}

static int past(uint64_t contig, uint64_t base, const uint8_t *bound) {
    uint64_t c = get(bound, 4);
    return contig != c ? contig > c : base >= get(bound + 4, 4);
}

/* The entry of an R tree whose bounds hold the base, from the root down; counts the rows. */
static const uint8_t *find(const uint8_t *f, uint64_t index, uint64_t contig, uint64_t base, int *rows) {
    const uint8_t *node = f + index + 48;
    CHECK_INT(get(f + index, 4), 0x2468ACE0u);
    for (*rows = 1;; ++*rows) {
        int leaf = node[0];
        uint64_t n = get(node + 2, 2);
        uint64_t each = leaf ? 32 : 24;
        uint64_t i = 0;
        while (i < n && past(contig, base, node + 4 + i * each + 8)) {
            i++;
        }
        const uint8_t *entry = node + 4 + i * each;
        if (i == n || !past(contig, base, entry)) {
            return NULL;
        }
        if (leaf) {
            return entry;
        }
        node = f + get(entry + 16, 8);
    }
}

/* The id of a contig, from the root of the tree of names. */
static uint64_t id_of(const uint8_t *f, const char *name, uint64_t *length, int *rows) {
    const uint8_t *tree = f + get(f + 8, 8);
    uint64_t size = get(tree + 8, 4);
    const uint8_t *node = tree + 32;
    char key[64] = "";
    (void)snprintf(key, sizeof(key), "%s", name);
    for (*rows = 1;; ++*rows) {
        uint64_t n = get(node + 2, 2);
        uint64_t i = n - 1;
        while (i > 0 && memcmp(node + 4 + i * (size + 8), key, size) > 0) {
            i--;
        }
        const uint8_t *entry = node + 4 + i * (size + 8);
        if (node[0]) {
            CHECK(memcmp(entry, key, size) == 0, "%s is not there", name);
            *length = get(entry + size + 4, 4);
            return get(entry + size, 4);
        }
        node = f + get(entry + size, 8);
    }
}

/* The value of a base, NaN where it is absent. */
static float look_up(const uint8_t *f, uint64_t contig, uint64_t base, int *rows) {
    static uint8_t block[65536];
    const uint8_t *entry = find(f, get(f + 24, 8), contig, base, rows);
    uLongf n = sizeof(block);
    if (!entry) {
        return NAN;
    }
    CHECK_INT(uncompress(block, &n, f + get(entry + 16, 8), (uLong)get(entry + 24, 8)), Z_OK);
    uint64_t start = get(block + 4, 4);
    CHECK(get(block, 4) == contig && block[20] == 3 && base >= start && base < start + get(block + 22, 2));
    float v;
    memcpy(&v, block + 24 + (base - start) * 4, sizeof(v));
    return v;
}

MBS_TEST(bigwig, every_value_is_found_from_the_root_of_three_rows) {
    char dir[256];
    test_tmp_enter(dir);
    const int64_t n = 3 * 70000;
    make(n, 70000, 1, 4000); /* a block for two bases, and as many contigs */
    size_t size;
    uint8_t *f = kit_read("out.bw", &size);
    CHECK_INT(get(f, 4), 0x888FFC26u);
    CHECK_INT(get(f + size - 4, 4), 0x888FFC26u);
    uint64_t length;
    int rows;
    uint64_t id = id_of(f, "contig1", &length, &rows);
    CHECK_INT(length, n);
    CHECK_INT(rows, 3);
    for (int64_t i = 0; i < 70000; i += 997) {
        char name[32];
        (void)snprintf(name, sizeof(name), "contig%lld", (long long)i);
        (void)id_of(f, name, &length, &rows);
        CHECK_INT(length, i == 1 ? n : 10 + i);
    }
    for (int64_t i = 0; i < n; i += 61) {
        float want = value_of(i, 1);
        float got = look_up(f, id, (uint64_t)i, &rows);
        CHECK(isnan(want) ? isnan(got) : memcmp(&want, &got, 4) == 0, "base %lld: %g, not %g", (long long)i,
              (double)got, (double)want);
        CHECK(isnan(want) || rows == 3);
    }
    CHECK(isnan(look_up(f, id + 1, 0, &rows)));
    free(f);
    test_tmp_leave(dir);
}

MBS_TEST(bigwig, summaries_are_those_of_the_values) {
    char dir[256];
    test_tmp_enter(dir);
    const int64_t n = 300000;
    make(n, 2, 0, 65536);
    size_t size;
    uint8_t *f = kit_read("out.bw", &size);
    uint64_t length;
    int rows;
    uint64_t id = id_of(f, "contig1", &length, &rows);
    uint64_t levels = get(f + 6, 2);
    CHECK_INT(levels, 7); /* 32 to 131072 */
    static uint8_t block[65536];
    for (uint64_t l = 0; l < levels; l++) {
        const uint8_t *head = f + 64 + 24 * l;
        uint64_t bases = get(head, 4);
        CHECK_INT(bases, 32u << 2 * l);
        CHECK_INT(get(f + get(head + 8, 8), 4), (n + (int64_t)bases - 1) / (int64_t)bases);
        for (uint64_t at = 0; at < (uint64_t)n; at += 50021) {
            const uint8_t *entry = find(f, get(head + 16, 8), id, at, &rows);
            uLongf bytes = sizeof(block);
            CHECK(entry && uncompress(block, &bytes, f + get(entry + 16, 8), (uLong)get(entry + 24, 8)) == Z_OK);
            const uint8_t *s = block;
            while (get(s + 8, 4) <= at) {
                s += 32;
            }
            float low = 0;
            float high = -1e9f;
            double sum = 0;
            for (uint64_t i = get(s + 4, 4); i < get(s + 8, 4); i++) {
                float v = value_of((int64_t)i, 0);
                low = v < low ? v : low;
                high = v > high ? v : high;
                sum += (double)v;
            }
            float told[3];
            memcpy(told, s + 16, sizeof(told));
            CHECK_INT(get(s + 12, 4), get(s + 8, 4) - get(s + 4, 4));
            CHECK(told[0] == low && told[1] == high && fabs((double)told[2] - sum) <= fabs(sum) * 1e-6);
        }
    }
    free(f);
    test_tmp_leave(dir);
}
