/* The other strand: edits of a whole contig, counted from its end. They wait in a file, which is read backwards: nearly
 * their order, for the longest REF says how far one may lie behind its place. Those that may still be overtaken are a
 * heap in memory. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "genomics/htsutil/bytes.h"
#include "io/rowfile/nameless.h"
#include "reader.h"

static mbs_status no_memory(const vf_reader *r) {
    return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for variants of '%.100s' on strand -", r->name);
}

static mbs_status broken(const vf_reader *r, mbs_status st, const char *what) {
    char words[96];
    st = r->host->fail(r->host, st, NULL, "the file of variants for strand - cannot be %s: %s", what,
                       strerror_r(errno, words, sizeof(words)));
    r->host->hint(r->host, "set TMPDIR to a folder with room: about 50 bytes a variant of the contig with the most");
    return st;
}

/* Room for n more bytes in r->texts. */
static mbs_status room(vf_reader *r, size_t n) {
    if (n <= r->cap_texts - r->n_texts) {
        return MBS_OK;
    }
    size_t cap = (r->cap_texts + n) * 2;
    char *p = r->host->realloc(r->host, r->texts, cap);
    if (!p) {
        return no_memory(r);
    }
    r->texts = p;
    r->cap_texts = cap;
    return MBS_OK;
}

static mbs_status add_text(vf_reader *r, const vf_change *c) {
    size_t n = c->reason == MBS_EDIT_SCORED ? (size_t)c->n : 0;
    mbs_status st = room(r, n + 2);
    if (st != MBS_OK) {
        return st;
    }
    char *at = r->texts + r->n_texts;
    at[0] = (char)c->reason;
    memcpy(at + 1, c->letters, n);
    hu_reverse_complement((uint8_t *)at + 1, (int64_t)n);
    at[1 + n] = '\0';
    r->n_texts += n + 2;
    return MBS_OK;
}

static mbs_status flush(vf_reader *r) {
    if (mbs_rowfile_put_at(r->turn_file, r->texts, r->n_texts, r->turn_bytes) != 0) {
        return broken(r, MBS_ERR_IO, "written");
    }
    r->turn_bytes += (int64_t)r->n_texts;
    r->n_texts = 0;
    return MBS_OK;
}

/* Its alleles, and behind them what it is. */
static mbs_status add(vf_reader *r, const vf_record *v) {
    int64_t pos = v->b->pos;
    int64_t n = vf_ref_length(v);
    vf_turn turn;
    memset(&turn, 0, sizeof(turn)); /* padding goes to the file */
    turn.index = v->index;
    turn.start = pos >= 0 && pos + n <= r->length ? r->length - pos - n : -1;
    turn.end = turn.start < 0 ? -1 : turn.start + n;
    turn.n = v->b->n_allele - 1;
    turn.text = r->turn_bytes + (int64_t)r->n_texts;
    mbs_status st = MBS_OK;
    for (int i = 1; i < v->b->n_allele && st == MBS_OK; i++) {
        vf_change c = vf_change_of(v, i);
        st = add_text(r, &c);
    }
    turn.bytes = r->turn_bytes + (int64_t)r->n_texts - turn.text;
    st = st == MBS_OK ? room(r, sizeof(turn)) : st;
    if (st != MBS_OK) {
        return st;
    }
    memcpy(r->texts + r->n_texts, &turn, sizeof(turn));
    r->n_texts += sizeof(turn);
    if (turn.start >= 0) {
        r->turn_longest = n > r->turn_longest ? n : r->turn_longest;
        r->turn_last = turn.end > r->turn_last ? turn.end : r->turn_last;
    }
    return r->n_texts < VF_PIECE ? MBS_OK : flush(r);
}

static mbs_status make_file(vf_reader *r) {
    if (r->turn_file < 0) {
        r->turn_file = mbs_rowfile_nameless();
        return r->turn_file < 0 ? broken(r, errno == ENOSPC ? MBS_ERR_IO : MBS_ERR_CREATE, "made") : MBS_OK;
    }
    return ftruncate(r->turn_file, 0) == 0 ? MBS_OK : broken(r, MBS_ERR_IO, "emptied");
}

mbs_status vf_turn_contig(vf_reader *r) {
    r->n_turns = 0;
    r->n_texts = 0;
    r->turn_bytes = r->turn_longest = r->turn_last = r->turn_at = 0;
    r->turn_seen = 0;
    mbs_status st = make_file(r);
    while (st == MBS_OK) {
        st = vf_input_peek(r, &r->scan);
        vf_record *v = r->scan.ahead;
        if (st != MBS_OK || !v || v->b->rid != r->rid) {
            break;
        }
        st = vf_judge(r, v);
        st = st == MBS_OK ? add(r, v) : st;
        if (st != MBS_OK) {
            break;
        }
        vf_record_unref(vf_input_take(&r->scan));
        if (r->host->cancelled(r->host)) {
            return r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped while reading variants");
        }
    }
    return st == MBS_OK ? flush(r) : st;
}

static int is_before(const vf_turn *x, const vf_turn *y) {
    return x->start != y->start ? x->start < y->start : x->index < y->index;
}

static mbs_status push(vf_reader *r, const vf_turn *t) {
    if (r->n_turns == r->cap_turns) {
        int64_t cap = r->cap_turns ? 2 * r->cap_turns : 256;
        vf_turn *p = r->host->realloc(r->host, r->turns, (size_t)cap * sizeof(*p));
        if (!p) {
            return no_memory(r);
        }
        r->turns = p;
        r->cap_turns = cap;
    }
    int64_t at = r->n_turns++;
    for (; at > 0 && is_before(t, &r->turns[(at - 1) / 2]); at = (at - 1) / 2) {
        r->turns[at] = r->turns[(at - 1) / 2];
    }
    r->turns[at] = *t;
    return MBS_OK;
}

static void pop(vf_reader *r) {
    const vf_turn last = r->turns[--r->n_turns];
    int64_t at = 0;
    for (int64_t child = 1; child < r->n_turns; child = 2 * at + 1) {
        child += child + 1 < r->n_turns && is_before(&r->turns[child + 1], &r->turns[child]);
        if (!is_before(&r->turns[child], &last)) {
            break;
        }
        r->turns[at] = r->turns[child];
        at = child;
    }
    r->turns[at] = last;
}

/* Reads backwards until nothing that is left can come before the first of the heap. */
static mbs_status refill(vf_reader *r) {
    while (r->turn_bytes > 0 && (r->n_turns == 0 || r->turns[0].start >= r->turn_seen - r->turn_longest)) {
        vf_turn t;
        const int64_t size = (int64_t)sizeof(t);
        if (mbs_rowfile_get_at(r->turn_file, &t, sizeof(t), r->turn_bytes - size) != 0) {
            return broken(r, MBS_ERR_IO, "read");
        }
        r->turn_bytes = t.text;
        const int placed = t.start >= 0;
        if (placed) {
            r->turn_seen = t.end;
        } else { /* it is the next one then */
            t.start = t.end = r->turn_at;
        }
        mbs_status st = push(r, &t);
        if (st != MBS_OK || !placed) {
            return st;
        }
    }
    return MBS_OK;
}

static mbs_status changes_of(vf_reader *r, const vf_turn *t) {
    if (t->n > r->cap_changes) {
        vf_change *p = r->host->realloc(r->host, r->changes, (size_t)t->n * sizeof(*p));
        if (!p) {
            return no_memory(r);
        }
        r->changes = p;
        r->cap_changes = t->n;
    }
    r->n_texts = 0;
    mbs_status st = room(r, (size_t)t->bytes);
    if (st == MBS_OK && mbs_rowfile_get_at(r->turn_file, r->texts, (size_t)t->bytes, t->text) != 0) {
        st = broken(r, MBS_ERR_IO, "read");
    }
    const char *at = r->texts;
    for (int64_t i = 0; i < t->n && st == MBS_OK; i++) {
        r->changes[i] = (vf_change){*at, at + 1, (int64_t)strlen(at + 1)};
        at += r->changes[i].n + 2;
    }
    return st;
}

mbs_status vf_next_turned(vf_reader *r, int64_t before, mbs_block **out) {
    mbs_status st = refill(r);
    if (st != MBS_OK || r->n_turns == 0 || r->turns[0].start >= before) {
        return st == MBS_OK ? MBS_END : st;
    }
    const vf_turn t = r->turns[0];
    st = changes_of(r, &t);
    if (st != MBS_OK) {
        return st;
    }
    r->edit_record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record),
                                  .strand = '-',
                                  .index = t.index,
                                  .source = 0,
                                  .name = r->name,
                                  .start = t.start,
                                  .length = t.end - t.start};
    st = vf_edits_block(r, t.start, t.end, r->changes, t.n, out);
    if (st == MBS_OK) {
        r->turn_at = t.start;
        pop(r);
    }
    return st;
}
