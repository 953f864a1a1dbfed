/* Memory of buffers and weights: zeroed, in whole cache lines, nobody's but its own, for several threads that make and
 * free theirs at once and free what others made. */
#include <pthread.h>

#include "cpu/cpu.h"
#include "kit.h"
#include "support/test.h"

enum { PIECES = 300, TURNS = 4000, THREADS = 3 };

typedef struct piece {
    unsigned char *data;
    size_t bytes;
    unsigned char mark;
} piece;

typedef struct maker {
    mbk_pages *pages;
    uint64_t seed;
    piece piece[PIECES];
    const char *wrong;
} maker;

static uint64_t next(maker *m) {
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return m->seed >> 33;
}

static int holds(const piece *p, unsigned char mark) {
    for (size_t i = 0; i < p->bytes; i++) {
        if (p->data[i] != mark) {
            return 0;
        }
    }
    return 1;
}

static void turn(maker *m) {
    piece *p = &m->piece[next(m) % PIECES];
    if (p->data) {
        m->wrong = holds(p, p->mark) ? m->wrong : "somebody else wrote to it";
        mbk_give_back(p->data, p->bytes);
        p->data = NULL;
        return;
    }
    const uint64_t most = next(m) % 8 == 0 ? 700000 : 5000;
    p->bytes = (size_t)(next(m) % 16 == 0 ? 0 : next(m) % most);
    p->data = mbk_zeroed(m->pages, p->bytes);
    p->mark = (unsigned char)next(m);
    if (!p->data || (uintptr_t)p->data % 64 != 0 || !holds(p, 0)) {
        m->wrong = "not zeros in whole lines";
        return;
    }
    memset(p->data, p->mark, p->bytes);
}

static void *make(void *arg) {
    maker *m = arg;
    for (int i = 0; i < TURNS && !m->wrong; i++) {
        turn(m);
    }
    return NULL;
}

MBS_TEST(pages, everybody_has_memory_of_his_own) {
    maker *m = calloc(THREADS, sizeof *m);
    pthread_t id[THREADS];
    mbk_pages *pages = mbk_pages_new();
    for (int i = 0; i < THREADS; i++) {
        m[i].pages = pages;
        m[i].seed = kit_next();
        CHECK_INT(pthread_create(&id[i], NULL, make, &m[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(id[i], NULL);
    }
    mbk_pages_close(pages); /* and what is left is given back behind it */
    for (int i = 0; i < THREADS; i++) {
        CHECK(!m[i].wrong, "thread %d: %s", i, m[i].wrong);
        for (int k = 0; k < PIECES; k++) {
            piece *p = &m[i].piece[k];
            CHECK(!p->data || holds(p, p->mark), "piece %d of thread %d", k, i);
            mbk_give_back(p->data, p->data ? p->bytes : 0);
        }
    }
    free(m);
}

MBS_TEST(pages, what_nobody_has_is_nothing_to_give_back) {
    mbk_pages *pages = mbk_pages_new();
    mbk_give_back(NULL, 0);
    mbk_give_back(NULL, 5000);
    mbk_give_back(NULL, (size_t)1 << 30);
    CHECK(!mbk_zeroed(pages, SIZE_MAX - 5));
    mbk_pages_close(pages);
}
