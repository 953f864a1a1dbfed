/*
 * warp.c - operations of a warp. Each lane puts its part into its record and waits; the last one to arrive does the
 * operation for all of them. Only __syncwarp orders memory: shuffles and votes do not, on a device either.
 */
#include "simt/engine.h"

static simt_thread_rec *lane_of(simt_thread_rec *me, unsigned lane) {
    return &me->block->threads[me->index / SIMT_WARP * SIMT_WARP + lane];
}

/* The lane that `lane` reads in a shuffle, and whether that is within its segment. */
static unsigned source_of(const simt_thread_rec *t, unsigned lane, int *in_range) {
    int width = t->width, first = (int)lane & ~(width - 1), at = (int)lane & (width - 1), from = at;
    *in_range = 1;
    if (t->op == SIMT_SHFL) {
        return (unsigned)(first + (t->arg & (width - 1)));
    }
    if (t->op == SIMT_SHFL_XOR) { /* may read an earlier segment, not a later one */
        *in_range = (int)(lane ^ (unsigned)t->arg) < first + width;
        return *in_range ? lane ^ (unsigned)t->arg : lane;
    }
    from = t->op == SIMT_SHFL_UP ? at - t->arg : at + t->arg;
    *in_range = from >= 0 && from < width;
    return *in_range ? (unsigned)(first + from) : lane;
}

static void shuffle(simt_thread_rec *me, unsigned mask) {
    for (unsigned lane = 0; lane < SIMT_WARP; lane++) {
        if (mask >> lane & 1) {
            simt_thread_rec *t = lane_of(me, lane);
            unsigned from = source_of(t, lane, &t->in_range);
            t->result = mask >> from & 1 ? lane_of(me, from)->value : (uint64_t)SIMT_POISON << 32 | SIMT_POISON;
        }
    }
}

static void exchange(simt_thread_rec *me) {
    for (unsigned to = 0; to < SIMT_WARP; to++) {
        uint32_t *all = lane_of(me, to)->all;
        for (unsigned lane = 0; lane < SIMT_WARP; lane++) {
            simt_thread_rec *t = lane_of(me, lane);
            for (int i = 0; i < t->n_words; i++) {
                all[(int)lane * t->n_words + i] = t->words[i];
            }
        }
    }
}

static uint32_t combine(simt_warp_op op, uint32_t a, uint32_t b) {
    switch ((int)op) {
    case SIMT_REDUCE_ADD:
        return a + b;
    case SIMT_REDUCE_MIN:
        return (int32_t)a < (int32_t)b ? a : b;
    case SIMT_REDUCE_MAX:
        return (int32_t)a > (int32_t)b ? a : b;
    case SIMT_REDUCE_UMIN:
        return a < b ? a : b;
    case SIMT_REDUCE_UMAX:
        return a > b ? a : b;
    case SIMT_REDUCE_AND:
        return a & b;
    case SIMT_REDUCE_OR:
        return a | b;
    default:
        return a ^ b;
    }
}

static void vote(simt_thread_rec *me, unsigned mask) {
    unsigned set = 0, first = 1;
    uint32_t sum = 0;
    for (unsigned lane = 0; lane < SIMT_WARP; lane++) {
        if (mask >> lane & 1) {
            uint64_t v = lane_of(me, lane)->value;
            set |= (unsigned)(v != 0) << lane;
            sum = first ? (uint32_t)v : combine(me->op, sum, (uint32_t)v);
            first = 0;
        }
    }
    for (unsigned lane = 0; lane < SIMT_WARP; lane++) {
        if (mask >> lane & 1) {
            simt_thread_rec *t = lane_of(me, lane);
            t->result = me->op == SIMT_BALLOT ? set
                        : me->op == SIMT_ALL  ? set == mask
                        : me->op == SIMT_ANY  ? set != 0
                                              : sum;
        }
    }
}

static void match(simt_thread_rec *me, unsigned mask) {
    for (unsigned lane = 0; lane < SIMT_WARP; lane++) {
        unsigned same = 0;
        for (unsigned other = 0; (mask >> lane & 1) && other < SIMT_WARP; other++) {
            if (mask >> other & 1) {
                same |= (unsigned)(lane_of(me, other)->value == lane_of(me, lane)->value) << other;
            }
        }
        if (mask >> lane & 1) {
            lane_of(me, lane)->result = same;
        }
    }
}

static void complete(simt_thread_rec *me, unsigned mask) {
    for (unsigned lane = 0; lane < SIMT_WARP; lane++) {
        simt_thread_rec *t = lane_of(me, lane);
        if ((mask >> lane & 1) &&
            (t->op != me->op || t->mask != mask || t->n_words != me->n_words || !simt_same_site(t->site, me->site))) {
            simt_fail(me->site, "thread %u: %s with mask %08x meets lane %u in %s with mask %08x at %s:%d", me->index,
                      simt_op_name(me->op), mask, lane, simt_op_name(t->op), t->mask, t->site.file ? t->site.file : "?",
                      t->site.line);
        }
    }
    switch (me->op) {
    case SIMT_SYNCWARP:
        break;
    case SIMT_SHFL:
    case SIMT_SHFL_UP:
    case SIMT_SHFL_DOWN:
    case SIMT_SHFL_XOR:
        shuffle(me, mask);
        break;
    case SIMT_EXCHANGE:
        exchange(me);
        break;
    case SIMT_MATCH_ANY:
        match(me, mask);
        break;
    case SIMT_BALLOT:
    case SIMT_ALL:
    case SIMT_ANY:
    case SIMT_REDUCE_ADD:
    case SIMT_REDUCE_MIN:
    case SIMT_REDUCE_MAX:
    case SIMT_REDUCE_UMIN:
    case SIMT_REDUCE_UMAX:
    case SIMT_REDUCE_AND:
    case SIMT_REDUCE_OR:
    case SIMT_REDUCE_XOR:
        vote(me, mask);
        break;
    }
    for (unsigned lane = 0; lane < SIMT_WARP; lane++) {
        if (mask >> lane & 1) {
            simt_ready(lane_of(me, lane));
        }
    }
}

static void arrive(simt_thread_rec *me, simt_warp_op op, unsigned mask, simt_site site) {
    simt_warp_rec *w = &me->block->warps[me->index / SIMT_WARP];
    unsigned bit = 1u << me->index % SIMT_WARP;
    if (!(mask & bit)) {
        simt_fail(site, "thread %u: %s with mask %08x, which leaves out its own lane", me->index, simt_op_name(op),
                  mask);
    }
    if (mask & ~w->exist) {
        simt_fail(site, "thread %u: %s with mask %08x in a warp that has lanes %08x", me->index, simt_op_name(op), mask,
                  w->exist);
    }
    if (mask & w->ended) {
        simt_fail(site, "thread %u: %s with mask %08x, of which lanes %08x have returned", me->index, simt_op_name(op),
                  mask, mask & w->ended);
    }
    me->op = op;
    me->mask = mask;
    me->site = site;
    me->state = SIMT_AT_WARP_OP;
    w->waiting |= bit;
    simt_e.counts.warp_ops++;
    if ((w->waiting & mask) == mask) {
        w->waiting &= ~mask;
        w->phase += op == SIMT_SYNCWARP;
        complete(me, mask);
    }
    simt_next(me);
}

uint64_t simt_warp(simt_warp_op op, unsigned mask, uint64_t value, int arg, int width, int *in_range, simt_site site) {
    simt_thread_rec *me = simt_me(simt_op_name(op), site);
    if (width < 1 || width > SIMT_WARP || (width & (width - 1)) != 0) {
        simt_fail(site, "thread %u: %s with width %d", me->index, simt_op_name(op), width);
    }
    simt_warp_rec *w = &me->block->warps[me->index / SIMT_WARP];
    unsigned phase = w->phase & 1;
    me->value = value;
    me->arg = arg;
    me->width = width;
    me->n_words = 0;
    if (op == SIMT_SYNCWARP) {
        simt_release(&w->key[phase]);
    }
    arrive(me, op, mask, site);
    if (op == SIMT_SYNCWARP) {
        simt_acquire(&w->key[phase]);
    }
    if (in_range) {
        *in_range = me->in_range;
    }
    return me->result;
}

void simt_exchange(const uint32_t *mine, int words, uint32_t *all, simt_site site) {
    simt_thread_rec *me = simt_me("an exchange", site);
    if (words < 1 || words > SIMT_EXCHANGE_WORDS) {
        simt_fail(site, "an exchange of %d words", words);
    }
    for (int i = 0; i < words; i++) {
        me->words[i] = mine[i];
    }
    me->n_words = words;
    me->all = all;
    arrive(me, SIMT_EXCHANGE, ~0u, site);
}
