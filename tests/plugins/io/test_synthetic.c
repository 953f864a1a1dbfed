/* What the reader `synthetic` makes: every record is held against the words that define its task. */
#include <math.h>

#include "mambaseq/ext/checkpoint.h"
#include "support/fakehost.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_synthetic;

typedef struct made {
    fake_host h;
    void *self;
    const mbs_stream_header *header;
    int32_t *tokens, *targets; /* of all records, one behind the other */
    int64_t n, cap, length, records;
} made;

static const mbs_reader_vt *vt(void) {
    return mbs_plugin_entry_synthetic.descriptors[0]->vt;
}

static void start(made *m, const char *const *params) {
    memset(m, 0, sizeof *m);
    fake_init(&m->h, mbs_plugin_entry_synthetic.descriptors[0]);
    for (; params[0]; params += 2) {
        fake_set(&m->h, params[0], params[1]);
    }
    CHECK(vt()->create(&m->h.host, fake_params(&m->h), &m->self) == MBS_OK, "%s", m->h.why);
}

static void open_made(made *m) {
    CHECK_INT(vt()->open(m->self, &m->header), MBS_OK);
    m->length = m->header->n_units / m->header->n_records;
}

/* One block; 0 at the end. */
static int step(made *m, int64_t rows) {
    mbs_block *b = NULL;
    mbs_status st = vt()->read(m->self, rows, &b);
    if (st == MBS_END) {
        return 0;
    }
    CHECK_INT(st, MBS_OK);
    CHECK(b->shape[0] >= 1 && b->shape[0] <= rows);
    CHECK_INT(b->n_sides, 1);
    CHECK_STR(b->sides[0].name, "target");
    CHECK_INT(b->start, m->n % m->length);
    CHECK_INT(b->end, b->start + b->shape[0]);
    CHECK_INT((b->flags & MBS_SEQ_START) != 0, b->start == 0);
    CHECK_INT((b->flags & MBS_SEQ_END) != 0, b->end == m->length);
    CHECK_INT(b->record->index, m->n / m->length);
    CHECK_INT(b->record->length, m->length);
    if (m->n + b->shape[0] > m->cap) {
        m->cap = 2 * (m->n + b->shape[0]);
        m->tokens = realloc(m->tokens, (size_t)m->cap * sizeof *m->tokens);
        m->targets = realloc(m->targets, (size_t)m->cap * sizeof *m->targets);
        CHECK(m->tokens && m->targets);
    }
    memcpy(m->tokens + m->n, b->data, (size_t)b->shape[0] * sizeof *m->tokens);
    memcpy(m->targets + m->n, b->sides[0].data, (size_t)b->shape[0] * sizeof *m->targets);
    m->n += b->shape[0];
    m->records += (b->flags & MBS_SEQ_END) != 0;
    fake_block_unref(&m->h.host, b);
    return 1;
}

static void end(made *m) {
    CHECK_INT(vt()->close(m->self), MBS_OK);
    vt()->destroy(m->self);
    free(m->tokens);
    free(m->targets);
    fake_end(&m->h);
}

static void make(made *m, const char *const *params, int64_t rows) {
    start(m, params);
    open_made(m);
    while (step(m, rows)) {
    }
    CHECK_INT(m->records, m->header->n_records);
    CHECK_INT(m->n, m->header->n_units);
}

/* Chi-squared of counts that should be alike, over its expectation. */
static double unevenness(const int64_t *counts, int64_t n) {
    double total = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        total += (double)counts[i];
    }
    for (int64_t i = 0; i < n; i++) {
        double off = (double)counts[i] - total / (double)n;
        sum += off * off / (total / (double)n);
    }
    return sum / (double)(n - 1);
}

MBS_TEST(synthetic, copying_is_what_it_says) {
    made m;
    make(&m, (const char *const[]){"length", "24", "copy", "4", "vocab", "8", "count", "6000", NULL}, 1000);
    int64_t places[20] = {0};
    int64_t ids[6] = {0};
    for (int64_t k = 0; k < m.records; k++) {
        const int32_t *t = m.tokens + 24 * k;
        const int32_t *y = m.targets + 24 * k;
        int found = 0;
        for (int i = 0; i < 20; i++) {
            CHECK(t[i] >= 0 && t[i] <= 6);
            CHECK_INT(y[i], -1);
            if (t[i]) {
                places[i]++;
                ids[t[i] - 1]++;
                CHECK_INT(y[20 + found], t[i]);
                found++;
            }
        }
        CHECK_INT(found, 4);
        for (int i = 20; i < 24; i++) {
            CHECK_INT(t[i], 7);
        }
    }
    CHECK(unevenness(places, 20) < 2 && unevenness(ids, 6) < 3, "%g %g", unevenness(places, 20), unevenness(ids, 6));
    end(&m);
}

MBS_TEST(synthetic, induction_is_what_it_says) {
    made m;
    make(&m, (const char *const[]){"task", "induction-heads", "length", "12", "vocab", "6", "count", "6000", NULL}, 7);
    int64_t places[10] = {0};
    int64_t asked[5] = {0};
    for (int64_t k = 0; k < m.records; k++) {
        const int32_t *t = m.tokens + 12 * k;
        const int32_t *y = m.targets + 12 * k;
        int at = -1;
        for (int i = 0; i < 11; i++) {
            CHECK(t[i] >= 0 && t[i] <= 5);
            CHECK_INT(y[i], -1);
            if (t[i] == 5) {
                CHECK_INT(at, -1);
                at = i;
            }
        }
        CHECK(at >= 0 && at < 10);
        CHECK_INT(t[11], 5);
        CHECK_INT(y[11], t[at + 1]);
        places[at]++;
        asked[y[11]]++;
    }
    CHECK(unevenness(places, 10) < 2.5 && unevenness(asked, 5) < 3.5);
    end(&m);
}

MBS_TEST(synthetic, recall_is_what_it_says) {
    made m;
    make(&m, (const char *const[]){"task", "associative-recall", "count", "6000", NULL}, 100000);
    CHECK_INT(m.length, 22);
    int64_t keys[4] = {0};
    int64_t values[4] = {0};
    for (int64_t k = 0; k < m.records; k++) {
        const int32_t *t = m.tokens + 22 * k;
        const int32_t *y = m.targets + 22 * k;
        int value_of[4] = {-1, -1, -1, -1};
        for (int i = 0; i < 20; i += 2) {
            CHECK(t[i] >= 0 && t[i] < 4 && t[i + 1] >= 4 && t[i + 1] < 8);
            CHECK(value_of[t[i]] < 0 || value_of[t[i]] == t[i + 1], "a key has two values");
            value_of[t[i]] = t[i + 1];
        }
        CHECK_INT(t[20], 9);
        CHECK(t[21] >= 0 && t[21] < 4 && value_of[t[21]] >= 0, "a key that was not there");
        for (int i = 0; i < 21; i++) {
            CHECK_INT(y[i], -1);
        }
        CHECK_INT(y[21], value_of[t[21]]);
        keys[t[21]]++;
        values[y[21] - 4]++;
    }
    CHECK(unevenness(keys, 4) < 4 && unevenness(values, 4) < 4);
    end(&m);
}

/* One record of MQAR; gaps[g] counts the slots in which keys come again. */
static void check_mqar(const made *m, int64_t k, int pairs, int vocab, int random, int64_t *gaps) {
    const int32_t *t = m->tokens + m->length * k;
    const int32_t *y = m->targets + m->length * k;
    int asked = 0;
    for (int i = 0; i < pairs; i++) {
        CHECK(t[2 * i] >= 1 && t[2 * i] < vocab / 2 && t[2 * i + 1] >= vocab / 2 && t[2 * i + 1] < vocab);
        for (int j = 0; j < i; j++) {
            CHECK(t[2 * i] != t[2 * j] && t[2 * i + 1] != t[2 * j + 1], "a key or value comes twice");
        }
        CHECK(y[2 * i] == -1 && y[2 * i + 1] == -1);
    }
    for (int i = 2 * pairs; i < m->length; i++) {
        if (y[i] < 0) {
            CHECK(random ? t[i] >= 0 && t[i] < vocab : t[i] == 0);
            continue;
        }
        int pair = 0;
        while (pair < pairs && t[2 * pair] != t[i]) {
            pair++;
        }
        CHECK(pair < pairs && y[i] == t[2 * pair + 1]);
        CHECK_INT((i - 2 * pairs) % 2, 0);
        gaps[(i - 2 * pairs) / 2]++;
        asked++;
    }
    CHECK_INT(asked, pairs);
}

MBS_TEST(synthetic, mqar_is_what_it_says) {
    made m;
    int64_t gaps[28] = {0};
    make(&m, (const char *const[]){"task", "mqar", "pairs", "1", "length", "58", "vocab", "16", "count", "40000", NULL},
         9999);
    double sum = 0;
    for (int64_t k = 0; k < m.records; k++) {
        check_mqar(&m, k, 1, 16, 0, gaps);
    }
    for (int g = 1; g <= 28; g++) {
        sum += pow(g, -0.99);
    }
    for (int g = 1; g <= 28; g++) { /* one pair: the gap itself has the law */
        double want = pow(g, -0.99) / sum * 40000;
        CHECK(fabs((double)gaps[g - 1] - want) < 5 * sqrt(want), "gap %d: %lld, not %.0f", g, (long long)gaps[g - 1],
              want);
    }
    end(&m);
    for (int random = 0; random < 2; random++) {
        make(&m,
             (const char *const[]){"task", "mqar", "pairs", "8", "length", "32", "vocab", "18", "filler",
                                   random ? "random" : "zero", "count", "500", NULL},
             33);
        for (int64_t k = 0; k < m.records; k++) { /* all keys and all slots are in use */
            check_mqar(&m, k, 8, 18, random, gaps);
        }
        end(&m);
    }
}

/* Other blocks, other instances, a later first record: the same records. */
MBS_TEST(synthetic, records_do_not_depend_on_how_they_are_read) {
    static const char *const tasks[] = {"selective-copying", "induction-heads", "associative-recall", "mqar"};
    for (int i = 0; i < 4; i++) {
        made whole;
        made one;
        made late;
        made other;
        make(&whole, (const char *const[]){"task", tasks[i], "length", "200", "seed", "7", "count", "9", NULL},
             1 << 20);
        make(&one, (const char *const[]){"task", tasks[i], "length", "200", "seed", "7", "count", "9", NULL}, 1 + i);
        make(&late,
             (const char *const[]){"task", tasks[i], "length", "200", "seed", "7", "count", "4", "first", "5", NULL},
             64);
        make(&other, (const char *const[]){"task", tasks[i], "length", "200", "seed", "8", "count", "9", NULL}, 64);
        size_t n = (size_t)whole.n * sizeof(int32_t);
        CHECK(memcmp(whole.tokens, one.tokens, n) == 0 && memcmp(whole.targets, one.targets, n) == 0);
        CHECK(memcmp(whole.tokens + 1000, late.tokens, 800 * sizeof(int32_t)) == 0);
        CHECK(memcmp(whole.targets + 1000, late.targets, 800 * sizeof(int32_t)) == 0);
        for (int64_t k = 0; k < 9; k++) {
            CHECK(memcmp(whole.tokens + 200 * k, other.tokens + 200 * k, 200 * sizeof(int32_t)) != 0, "seed");
            CHECK(k == 0 || memcmp(whole.tokens + 200 * k, whole.tokens, 200 * sizeof(int32_t)) != 0, "record %d",
                  (int)k);
        }
        end(&whole);
        end(&one);
        end(&late);
        end(&other);
    }
}

typedef struct saved {
    char bytes[512];
    size_t n;
} saved;

static mbs_status put(void *sink, const void *bytes, size_t n) {
    saved *s = sink;
    CHECK(s->n + n <= sizeof s->bytes);
    memcpy(s->bytes + s->n, bytes, n);
    s->n += n;
    return MBS_OK;
}

MBS_TEST(synthetic, goes_on_where_it_was) {
    static const char *const tasks[] = {"selective-copying", "induction-heads", "associative-recall", "mqar"};
    for (int i = 0; i < 4; i++) {
        const char *const params[] = {"task", tasks[i], "length", "64", "count", "3", NULL};
        made whole;
        make(&whole, params, 1 << 20);
        for (int stop = 0; stop <= 192; stop++) {
            made a;
            made b;
            saved place = {.n = 0};
            start(&a, params);
            open_made(&a);
            for (int k = 0; k < stop; k++) {
                CHECK(step(&a, 1));
            }
            const mbs_ext_checkpoint *x = vt()->get_extension(a.self, MBS_EXT_CHECKPOINT);
            CHECK_INT(x->save(a.self, put, &place), MBS_OK);
            end(&a);
            start(&b, params);
            x = vt()->get_extension(b.self, MBS_EXT_CHECKPOINT);
            CHECK_INT(x->restore(b.self, place.bytes, place.n), MBS_OK);
            open_made(&b);
            b.n = stop;
            b.cap = 192;
            b.tokens = malloc(192 * sizeof *b.tokens);
            b.targets = malloc(192 * sizeof *b.targets);
            while (step(&b, 50)) {
            }
            CHECK_INT(b.n, 192);
            CHECK(memcmp(b.tokens + stop, whole.tokens + stop, (size_t)(192 - stop) * sizeof *b.tokens) == 0);
            CHECK(memcmp(b.targets + stop, whole.targets + stop, (size_t)(192 - stop) * sizeof *b.targets) == 0);
            end(&b);
            start(&b, (const char *const[]){"task", tasks[i], "length", "64", "count", "4", NULL});
            CHECK_INT(x->restore(b.self, place.bytes, place.n), MBS_ERR_DATA);
            vt()->destroy(b.self);
            fake_end(&b.h);
        }
        end(&whole);
    }
}

static void refused(const char *const *params, const char *key) {
    fake_host h;
    void *self = NULL;
    fake_init(&h, mbs_plugin_entry_synthetic.descriptors[0]);
    for (; params[0]; params += 2) {
        fake_set(&h, params[0], params[1]);
    }
    CHECK_INT(vt()->create(&h.host, fake_params(&h), &self), MBS_ERR_CONFIG);
    CHECK(strstr(h.why, key) != NULL, "%s", h.why);
    fake_end(&h);
}

MBS_TEST(synthetic, refuses_what_does_not_fit) {
    refused((const char *const[]){"length", "31", NULL}, "'copy'");
    refused((const char *const[]){"pairs", "4", NULL}, "'pairs'");
    refused((const char *const[]){"task", "mqar", "copy", "4", NULL}, "'copy'");
    refused((const char *const[]){"task", "mqar", "pairs", "17", NULL}, "'length'");
    refused((const char *const[]){"task", "mqar", "pairs", "4", "vocab", "9", NULL}, "'pairs'");
    refused((const char *const[]){"task", "associative-recall", "length", "23", NULL}, "'length'");
    refused((const char *const[]){"task", "associative-recall", "vocab", "11", NULL}, "'vocab'");
    refused((const char *const[]){"length", "1099511627776", "count", "1099511627776", NULL}, "'count'");
}

/* A million tokens: nothing is held, whatever the length. */
MBS_TEST(synthetic, long_records_need_no_memory) {
    made m;
    start(&m, (const char *const[]){"task", "mqar", "length", "1048576", "count", "1", NULL});
    open_made(&m);
    long live = m.h.live;
    int64_t asked = 0;
    while (step(&m, 4096)) {
        CHECK_INT(m.h.live, live);
        for (int64_t i = m.n > 4096 ? m.n - 4096 : 0; i < m.n; i++) {
            asked += m.targets[i] >= 0;
        }
    }
    CHECK_INT(asked, 4);
    end(&m);
}
