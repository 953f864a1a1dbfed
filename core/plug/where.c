#include "plug/where.h"

#include <errno.h>
#include <string.h>

/* A signal handler has no argument: it starts from here. */
static _Thread_local mbs_where *mine;
static struct {
    pthread_mutex_t lock;
    _Atomic(mbs_where *) slot[MBS_WHERE_MAX];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

int mbs_where_begin(mbs_where *w, const char *label, const mbs_descriptor *d) {
    memset(w, 0, sizeof *w);
    int bad = pthread_mutex_init(&w->lock, NULL);
    if (bad) {
        return bad;
    }
    w->label = label;
    w->id = d->id;
    w->version = d->version;
    w->code = d;
    w->record = -1;
    pthread_mutex_lock(&all.lock);
    for (int i = 0; i < MBS_WHERE_MAX; i++) {
        if (!atomic_load(&all.slot[i])) {
            atomic_store(&all.slot[i], w);
            break;
        }
    }
    pthread_mutex_unlock(&all.lock);
    return 0;
}

void mbs_where_end(mbs_where *w) {
    if (!w->id) {
        return;
    }
    pthread_mutex_lock(&all.lock);
    for (int i = 0; i < MBS_WHERE_MAX; i++) {
        if (atomic_load(&all.slot[i]) == w) {
            atomic_store(&all.slot[i], NULL);
        }
    }
    pthread_mutex_unlock(&all.lock);
    pthread_mutex_destroy(&w->lock);
    w->id = NULL;
}

void mbs_where_enter(mbs_where *w, const char *call) {
    if (w->depth++ > 0) {
        return;
    }
    w->outer = mine;
    atomic_fetch_add_explicit(&w->calls, 1, memory_order_relaxed);
    atomic_store_explicit(&w->last, call, memory_order_relaxed);
    atomic_store_explicit(&w->call, call, memory_order_release);
    mine = w;
}

void mbs_where_leave(mbs_where *w) {
    if (--w->depth > 0) {
        return;
    }
    mine = w->outer;
    atomic_store_explicit(&w->call, NULL, memory_order_release);
}

void mbs_where_record(mbs_where *w, const mbs_record *r, int inside, int64_t at) {
    pthread_mutex_lock(&w->lock);
    if (r->index != w->record) {
        size_t n = r->name ? strnlen(r->name, sizeof w->name - 1) : 0;
        memcpy(w->name, r->name ? r->name : "", n);
        w->name[n] = '\0';
    }
    w->record = r->index;
    w->inside = inside;
    w->at = at;
    pthread_mutex_unlock(&w->lock);
}

mbs_where *mbs_where_current(void) {
    return mine;
}

mbs_where *mbs_where_slot(int i) {
    return atomic_load(&all.slot[i]);
}

void mbs_where_each(void (*fn)(void *ctx, mbs_where *w), void *ctx) {
    pthread_mutex_lock(&all.lock);
    for (int i = 0; i < MBS_WHERE_MAX; i++) {
        mbs_where *w = atomic_load(&all.slot[i]);
        if (w) {
            fn(ctx, w);
        }
    }
    pthread_mutex_unlock(&all.lock);
}

void mbs_words_put(mbs_words *w, const char *s) {
    /* One byte at a time: control bytes must not reach a terminal. */
    for (; s && *s && w->len + 1 < w->size; s++) {
        w->text[w->len++] = (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s;
    }
    w->text[w->len] = '\0';
}

void mbs_words_number(mbs_words *w, int64_t n) {
    char digits[24];
    char *at = digits + sizeof digits - 1;
    uint64_t left = n < 0 ? 0u - (uint64_t)n : (uint64_t)n;
    *at = '\0';
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (n < 0) {
        *--at = '-';
    }
    mbs_words_put(w, at);
}

static int is(const char *a, const char *b) {
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

void mbs_where_put(const mbs_where *at, mbs_words *out) {
    const char *call = atomic_load(&at->last);
    int reads = call && is(call, "read");
    int on_one = reads || (call && (is(call, "encode") || is(call, "decode") || is(call, "write")));
    if (at->record < 0) {
        mbs_words_put(out, reads ? "on record 1" : "before the first record");
        return;
    }
    if (reads && !at->inside) {
        mbs_words_put(out, "on record ");
        mbs_words_number(out, at->record + 2);
        mbs_words_put(out, ", behind record ");
    } else {
        mbs_words_put(out, on_one ? "on record " : "behind record ");
    }
    mbs_words_number(out, at->record + 1);
    mbs_words_put(out, " '");
    mbs_words_put(out, at->name);
    mbs_words_put(out, "'");
    if (on_one && at->inside) {
        mbs_words_put(out, " from ");
        mbs_words_number(out, at->at);
    }
}
