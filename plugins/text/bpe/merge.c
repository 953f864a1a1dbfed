/* merge.c - merges of a word by rank, the leftmost first, with a heap: a long word is not quadratic. */
#include "bpe.h"

static const bp_merge *find(const bp_model *m, int32_t left, int32_t right) {
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t mask = m->n_slots - 1;
    for (size_t at = (size_t)(pair * 0x9E3779B97F4A7C15u >> 20) & mask; m->merges[at].rank >= 0; at = (at + 1) & mask) {
        if (m->merges[at].pair == pair) {
            return &m->merges[at];
        }
    }
    return NULL;
}

static int before(const bp_step *a, const bp_step *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void put(bp_step *heap, size_t *n, bp_step s) {
    size_t at = (*n)++;
    while (at > 0 && before(&s, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = s;
}

static bp_step take(bp_step *heap, size_t *n) {
    bp_step top = heap[0];
    bp_step s = heap[--*n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= *n) {
            break;
        }
        child += child + 1 < *n && before(&heap[child + 1], &heap[child]);
        if (!before(&heap[child], &s)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = s;
    return top;
}

static void offer(const bp_model *m, bp_room *r, size_t *n, int32_t at) {
    int32_t right = at >= 0 ? r->nodes[at].next : -1;
    const bp_merge *found = right >= 0 ? find(m, r->nodes[at].id, r->nodes[right].id) : NULL;
    if (found) {
        put(r->heap, n, (bp_step){found->rank, at, r->nodes[at].id, r->nodes[right].id});
    }
}

int bp_merge_word(const bp_model *m, const mbs_host *host, bp_room *r, const unsigned char *p, size_t n) {
    if (n > r->cap) {
        size_t cap = n < 256 ? 256 : 2 * n;
        bp_node *nodes = host->realloc(host, r->nodes, cap * sizeof *nodes);
        r->nodes = nodes ? nodes : r->nodes;
        bp_step *heap = nodes ? host->realloc(host, r->heap, 3 * cap * sizeof *heap) : NULL;
        if (!heap) {
            return 0;
        }
        r->heap = heap;
        r->cap = cap;
    }
    size_t steps = 0;
    for (size_t i = 0; i < n; i++) {
        r->nodes[i] = (bp_node){m->byte_id[p[i]], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1, 1};
    }
    for (size_t i = 0; i + 1 < n; i++) {
        offer(m, r, &steps, (int32_t)i);
    }
    while (steps > 0) { /* each merge takes one node away and offers two pairs: 3n is room enough */
        bp_step s = take(r->heap, &steps);
        bp_node *left = &r->nodes[s.at];
        if (left->len == 0 || left->id != s.left || left->next < 0 || r->nodes[left->next].id != s.right) {
            continue; /* one of them is not what it was */
        }
        bp_node *right = &r->nodes[left->next];
        left->id = find(m, s.left, s.right)->id;
        left->len += right->len;
        left->next = right->next;
        right->len = 0;
        if (left->next >= 0) {
            r->nodes[left->next].prev = s.at;
        }
        offer(m, r, &steps, left->prev);
        offer(m, r, &steps, s.at);
    }
    return 1;
}
