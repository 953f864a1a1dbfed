/* The other strand: edits of a whole contig, counted from its end. */
#include <stdlib.h>
#include <string.h>

#include "reader.h"

static mbs_status no_memory(const vf_reader *r) {
    return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for the %lld variants of '%.100s' on strand -",
                         (long long)r->n_turns, r->name);
}

static mbs_status add_text(vf_reader *r, const vf_change *c) {
    size_t n = c->reason == MBS_EDIT_SCORED ? (size_t)c->n : 0;
    if (n + 2 > r->cap_texts - r->n_texts) {
        size_t cap = (r->cap_texts + n + 2) * 2;
        char *p = r->host->realloc(r->host, r->texts, cap);
        if (!p) {
            return no_memory(r);
        }
        r->texts = p;
        r->cap_texts = cap;
    }
    char *at = r->texts + r->n_texts;
    at[0] = (char)c->reason;
    memcpy(at + 1, c->letters, n);
    hu_reverse_complement((uint8_t *)at + 1, (int64_t)n);
    at[1 + n] = '\0';
    r->n_texts += n + 2;
    return MBS_OK;
}

static mbs_status add(vf_reader *r, const vf_record *v) {
    if (r->n_turns == r->cap_turns) {
        int64_t cap = r->cap_turns ? 2 * r->cap_turns : 256;
        vf_turn *p = r->host->realloc(r->host, r->turns, (size_t)cap * sizeof(*p));
        if (!p) {
            return no_memory(r);
        }
        r->turns = p;
        r->cap_turns = cap;
    }
    int64_t pos = v->b->pos;
    int64_t n = vf_ref_length(v);
    int placed = pos >= 0 && pos + n <= r->length;
    int64_t start = placed ? r->length - pos - n : 0;
    r->turns[r->n_turns++] = (vf_turn){v->index, start, placed ? start + n : 0, r->n_texts, v->b->n_allele - 1};
    mbs_status st = MBS_OK;
    for (int i = 1; i < v->b->n_allele && st == MBS_OK; i++) {
        vf_change c = vf_change_of(v, i);
        st = add_text(r, &c);
    }
    return st;
}

static int by_place(const void *a, const void *b) {
    const vf_turn *x = a;
    const vf_turn *y = b;
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

mbs_status vf_turn_contig(vf_reader *r) {
    r->n_turns = r->at_turn = 0;
    r->n_texts = 0;
    for (;;) {
        mbs_status st = vf_input_peek(r, &r->scan);
        if (st != MBS_OK) {
            return st;
        }
        vf_record *v = r->scan.ahead;
        if (!v || v->b->rid != r->rid) {
            break;
        }
        st = vf_judge(r, v);
        st = st == MBS_OK ? add(r, v) : st;
        if (st != MBS_OK) {
            return st;
        }
        vf_record_unref(vf_input_take(&r->scan));
        if (r->host->cancelled(r->host)) {
            return r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped while reading variants");
        }
    }
    if (r->n_turns > 1) {
        qsort(r->turns, (size_t)r->n_turns, sizeof(*r->turns), by_place);
    }
    return MBS_OK;
}

mbs_status vf_next_turned(vf_reader *r, int64_t before, mbs_block **out) {
    if (r->at_turn >= r->n_turns || r->turns[r->at_turn].start >= before) {
        return MBS_END;
    }
    const vf_turn *t = &r->turns[r->at_turn];
    if (t->n > r->cap_changes) {
        vf_change *p = r->host->realloc(r->host, r->changes, (size_t)t->n * sizeof(*p));
        if (!p) {
            return no_memory(r);
        }
        r->changes = p;
        r->cap_changes = t->n;
    }
    const char *at = r->texts + t->text;
    for (int64_t i = 0; i < t->n; i++) {
        r->changes[i] = (vf_change){*at, at + 1, (int64_t)strlen(at + 1)};
        at += r->changes[i].n + 2;
    }
    r->edit_record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record),
                                  .strand = '-',
                                  .index = t->index,
                                  .source = 0,
                                  .name = r->name,
                                  .start = t->start,
                                  .length = t->end - t->start};
    mbs_status st = vf_edits_block(r, t->start, t->end, r->changes, t->n, out);
    r->at_turn += st == MBS_OK;
    return st;
}
