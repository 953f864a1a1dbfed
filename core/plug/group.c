#include "plug/group.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

struct mbs_group {
    struct mbs_group *next;
    char *name;
    int members;
    pthread_mutex_t lock;
};

/* The libraries behind the groups are one in a process, so their locks are too. */
static struct {
    pthread_mutex_t lock;
    mbs_group *first;
} all = {PTHREAD_MUTEX_INITIALIZER, NULL};

mbs_group *mbs_group_join(const char *name) {
    pthread_mutex_lock(&all.lock);
    mbs_group *g = all.first;
    while (g && strcmp(g->name, name) != 0) {
        g = g->next;
    }
    if (!g) {
        g = mbs_calloc(1, sizeof *g);
        char *copy = mbs_strdup(name);
        if (!g || !copy || pthread_mutex_init(&g->lock, NULL) != 0) {
            mbs_free(g);
            mbs_free(copy);
            pthread_mutex_unlock(&all.lock);
            return NULL;
        }
        g->name = copy;
        g->next = all.first;
        all.first = g;
    }
    g->members++;
    pthread_mutex_unlock(&all.lock);
    return g;
}

void mbs_group_leave(mbs_group *g) {
    if (!g) {
        return;
    }
    pthread_mutex_lock(&all.lock);
    if (--g->members == 0) {
        mbs_group **at = &all.first;
        while (*at != g) {
            at = &(*at)->next;
        }
        *at = g->next;
        pthread_mutex_destroy(&g->lock);
        mbs_free(g->name);
        mbs_free(g);
    }
    pthread_mutex_unlock(&all.lock);
}

void mbs_group_lock(mbs_group *g) {
    if (g) {
        pthread_mutex_lock(&g->lock);
    }
}

void mbs_group_unlock(mbs_group *g) {
    if (g) {
        pthread_mutex_unlock(&g->lock);
    }
}
