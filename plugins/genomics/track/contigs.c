#include "contigs.h"

#include <string.h>

void tk_contigs_free(tk_contigs *c) {
    if (c->host) {
        c->host->free(c->host, c->list);
        c->host->free(c->host, c->names);
        c->host->free(c->host, c->slots);
    }
    c->list = NULL;
    c->names = NULL;
    c->slots = NULL;
    c->n = c->cap = 0;
    c->names_len = c->names_cap = c->n_slots = 0;
}

const char *tk_contig_name(const tk_contigs *c, int64_t i) {
    return c->names + c->list[i].name;
}

static uint64_t hash(const char *s) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    }
    return h ^ h >> 29;
}

/* The slot of a name, or the free one where it belongs. */
static size_t slot_of(const tk_contigs *c, const char *name) {
    size_t at = (size_t)hash(name) & (c->n_slots - 1);
    while (c->slots[at] && strcmp(tk_contig_name(c, c->slots[at] - 1), name) != 0) {
        at = (at + 1) & (c->n_slots - 1);
    }
    return at;
}

int64_t tk_contigs_find(const tk_contigs *c, const char *name) {
    return c->n_slots ? c->slots[slot_of(c, name)] - 1 : -1;
}

static mbs_status no_memory(const tk_contigs *c) {
    return c->host->fail(c->host, MBS_ERR_MEMORY, NULL, "no memory for the names of %lld contigs", (long long)c->n + 1);
}

/* Slots for twice as many. */
static mbs_status spread(tk_contigs *c) {
    size_t n = c->n_slots ? c->n_slots * 2 : 64;
    int64_t *slots = c->host->alloc(c->host, n * sizeof(*slots));
    if (!slots) {
        return no_memory(c);
    }
    memset(slots, 0, n * sizeof(*slots));
    c->host->free(c->host, c->slots);
    c->slots = slots;
    c->n_slots = n;
    for (int64_t i = 0; i < c->n; i++) {
        slots[slot_of(c, tk_contig_name(c, i))] = i + 1;
    }
    return MBS_OK;
}

mbs_status tk_contigs_add(tk_contigs *c, const char *name, int64_t length, int64_t *at) {
    const mbs_host *h = c->host;
    if (c->n == TK_MOST_CONTIGS) {
        return h->fail(h, MBS_ERR_DATA, NULL, "more than %lld contigs: a track is for genomes, not for reads",
                       (long long)TK_MOST_CONTIGS);
    }
    if ((uint64_t)c->n * 2 >= c->n_slots) {
        mbs_status st = spread(c);
        if (st != MBS_OK) {
            return st;
        }
    }
    if (c->n == c->cap) {
        int64_t cap = c->cap ? c->cap * 2 : 32;
        tk_contig *list = h->realloc(h, c->list, (size_t)cap * sizeof(*list));
        if (!list) {
            return no_memory(c);
        }
        c->list = list;
        c->cap = cap;
    }
    size_t bytes = strlen(name) + 1;
    if (bytes > c->names_cap - c->names_len) {
        size_t cap = (c->names_cap + bytes) * 2;
        char *names = h->realloc(h, c->names, cap);
        if (!names) {
            return no_memory(c);
        }
        c->names = names;
        c->names_cap = cap;
    }
    memcpy(c->names + c->names_len, name, bytes);
    c->list[c->n] = (tk_contig){c->names_len, length};
    c->names_len += bytes;
    c->slots[slot_of(c, name)] = c->n + 1;
    *at = c->n++;
    return MBS_OK;
}
