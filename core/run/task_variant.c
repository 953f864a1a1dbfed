/* variant: the likelihood of a stream under edits, which the reader tells beside it (ext/edits.h). */
#include "run/task_variant.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "plug/params.h"

#define COLUMNS 3 /* mean or the only strand, strand +, strand - */

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_variant *t = self;
    while (t->groups) {
        mbs_variant_pop(t);
    }
    t->minus = record->strand == '-';
    t->again = !t->minus && t->again == 1 && t->strands & MBS_EDIT_MINUS ? 2 : 1;
    t->n = t->alt = t->row = 0;
    t->base = t->first = t->passed = record->start - record->context;
    t->told = INT64_MIN;
    mbs_status st = t->minus ? mbs_variant_turned_begin(t, err) : MBS_OK;
    st = st == MBS_OK && t->pass ? mbs_session_reset(t->pass, err) : st;
    mbs_around around = mbs_vocab_around(t->env.vocab);
    mbs_run_out out = {.layer = -1};
    return st == MBS_OK && t->pass ? mbs_task_feed(t->pass, around.before, around.n_before, t->pace.max, &out, err)
                                   : st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    task_variant *t = self;
    *out = NULL;
    *taken = tokens->shape[0] - from;
    mbs_variant_drop_units(t);
    t->totals.tokens += *taken;
    return mbs_variant_add_units(t, tokens, from, *taken, err);
}

/* The rows of a group for the writers. */
static mbs_status rows_of(task_variant *t, const edit_group *g, mbs_block **out, mbs_err *err) {
    int64_t shape[2] = {g->n, COLUMNS};
    mbs_block *b = mbs_block_new("variant/f32", MBS_F32, 2, shape);
    uint8_t *reasons = b ? mbs_block_side_new(b, "reason", MBS_U8, 1) : NULL;
    int64_t *interval = reasons ? mbs_block_side_new(b, "interval", MBS_I64, 2) : NULL;
    if (!interval) {
        mbs_block_unref(b);
        return mbs_fail_memory(err, "model", (size_t)g->n * (COLUMNS * sizeof(float) + 17));
    }
    const edit_turned *turned = NULL;
    mbs_status st = t->strands & MBS_EDIT_MINUS ? mbs_variant_turned_of(t, g, &turned, err) : MBS_OK;
    if (st != MBS_OK) {
        mbs_block_unref(b);
        return st;
    }
    int lost = t->strands & MBS_EDIT_MINUS && !turned && g->n > 0;
    float *row = b->data;
    for (int64_t i = 0; i < g->n; i++, row += COLUMNS) {
        const edit_alt *a = &g->alts[i];
        int own = t->strands & MBS_EDIT_PLUS ? a->reason : (int)MBS_EDIT_SCORED;
        int other = turned ? turned[i].reason : (int)MBS_EDIT_SCORED;
        double plus = t->strands & MBS_EDIT_PLUS && own == MBS_EDIT_SCORED ? mbs_variant_llr(t, g, a) : (double)NAN;
        double minus = turned ? turned[i].llr : (double)NAN;
        double both = t->strands == MBS_EDIT_PLUS ? plus : t->strands == MBS_EDIT_MINUS ? minus : 0.5 * (plus + minus);
        reasons[i] = (uint8_t)(own != MBS_EDIT_SCORED ? own : other);
        row[0] = reasons[i] == MBS_EDIT_SCORED ? (float)both : NAN;
        row[1] = (float)plus;
        row[2] = (float)minus;
        interval[2 * i] = g->record->start;
        interval[2 * i + 1] = g->record->start + (g->record->length > 0 ? g->record->length : 0);
        t->totals.edits++;
        t->totals.edits_scored += reasons[i] == MBS_EDIT_SCORED;
    }
    mbs_block_hold_record(b, g->record);
    b->start = g->record->start;
    b->end = g->record->start + (g->record->length > 0 ? g->record->length : 0);
    b->flags = MBS_SEQ_START | MBS_SEQ_END;
    t->totals.groups++;
    *out = b;
    if (lost) {
        mbs_block_unref(b);
        *out = NULL;
        return mbs_fail(err, MBS_ERR_INTERNAL, g->record->name, "the reader told this edit on one strand only");
    }
    return MBS_OK;
}

/* Nothing of what the writers have had before the run was resumed. */
static mbs_status give(task_variant *t, const edit_group *g, mbs_block **out, mbs_err *err) {
    mbs_status st = rows_of(t, g, out, err);
    if (st == MBS_OK && t->skip > 0) {
        mbs_block_unref(*out);
        *out = NULL;
        t->skip--;
    } else if (st == MBS_OK) {
        t->given++;
    }
    return st;
}

/* The next piece of work that the units at hand allow. */
static mbs_status work(task_variant *t, int ended, mbs_block **out, int *more, mbs_err *err) {
    int64_t there = t->base + t->n;
    *more = 1;
    *out = NULL;
    mbs_status st = mbs_variant_pull(t, ended ? INT64_MAX : there, err);
    edit_group *front = t->groups;
    if (st != MBS_OK) {
        return st;
    }
    if (!t->whole && front && front->ran && (ended ? t->passed == there : t->passed >= mbs_variant_reach(t, front))) {
        st = t->minus ? mbs_variant_keep(t, front, err) : give(t, front, out, err);
        mbs_variant_pop(t);
        return st;
    }
    if (t->whole) {
        edit_group *ready = NULL;
        st = mbs_variant_masked(t, ended, &ready, err);
        if (st == MBS_OK && ready) {
            st = t->minus ? mbs_variant_keep(t, ready, err) : give(t, ready, out, err);
            mbs_variant_pop(t);
        }
        *more = ready != NULL;
        return st;
    }
    int64_t limit = t->site && t->site->pos < there ? t->site->pos : there;
    if (t->passed < limit) {
        return mbs_variant_pass(t, limit, err);
    }
    if (t->site && (ended || there >= mbs_variant_reach(t, t->site))) {
        return mbs_variant_branch(t, err);
    }
    *more = 0;
    return MBS_OK;
}

static mbs_status also(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    (void)record;
    return work(self, 0, out, more, err);
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_variant *t = self;
    (void)record;
    mbs_status st = work(t, 1, out, more, err);
    if (st == MBS_OK && !*more && !t->minus) {
        t->again = t->given = t->skip = 0;
    }
    return st;
}

static int64_t again(const void *self) {
    return ((const task_variant *)self)->again;
}

/* Edits that wait hold records of the reader, which no file can hold: the contig is gone through again. */
static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    (void)err;
    mbs_buf_put_i64(out, ((task_variant *)self)->given);
    return MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    task_variant *t = self;
    mbs_cursor in = {bytes, n, 0};
    t->given = t->skip = mbs_cursor_i64(&in);
    return in.failed || t->given < 0 ? mbs_fail(err, MBS_ERR_DATA, "journal", "it is cut short") : MBS_OK;
}

int64_t mbs_task_edit_window(const mbs_params *params) {
    return mbs_params_told(params, "window") ? mbs_params_int(params, "window") : 1000;
}

unsigned mbs_task_variant_strands(const mbs_params *params) {
    const char *word = mbs_params_string(params, "strand");
    return !word || strcmp(word, "both") == 0 ? MBS_EDIT_PLUS | MBS_EDIT_MINUS
           : strcmp(word, "-") == 0           ? MBS_EDIT_MINUS
                                              : MBS_EDIT_PLUS;
}

static mbs_status setup(task_variant *t, mbs_err *err) {
    t->strands = mbs_task_variant_strands(t->env.models->params);
    t->window = mbs_task_edit_window(t->env.models->params);
    mbs_pace_init(&t->pace, 1, t->env.models->model);
    t->fed = mbs_calloc((size_t)t->pace.max, sizeof(*t->fed));
    t->got = mbs_calloc((size_t)t->pace.max, sizeof(*t->got));
    if (!t->fed || !t->got) {
        return mbs_fail_memory(err, "model", (size_t)t->pace.max * 8);
    }
    if (mbs_model_takes_whole(t->env.models->model)) {
        return mbs_variant_masked_setup(t, err);
    }
    mbs_status st = mbs_session_new(t->env.models->model, t->pace.max, &t->pass, err);
    return st == MBS_OK ? mbs_session_new(t->env.models->model, t->pace.max, &t->branch, err) : st;
}

mbs_status mbs_task_variant_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof(*out));
    task_variant *t = mbs_calloc(1, sizeof(*t));
    if (!t) {
        return mbs_fail_memory(err, "model", sizeof(*t));
    }
    t->env = *env;
    t->places = t->values = -1;
    *out = (mbs_carry){.self = t,
                       .begin = begin,
                       .step = step,
                       .also = also,
                       .finish = finish,
                       .save = save,
                       .restore = restore,
                       .again = again};
    mbs_status st = setup(t, err);
    if (st != MBS_OK) {
        mbs_task_variant_free(out);
    }
    return st;
}

void mbs_task_variant_free(mbs_carry *carry) {
    task_variant *t = carry->self;
    carry->self = NULL;
    if (!t) {
        return;
    }
    while (t->groups) {
        mbs_variant_pop(t);
    }
    mbs_session_free(t->pass);
    mbs_session_free(t->branch);
    mbs_whole_free(t->whole);
    mbs_free(t->logits);
    mbs_free(t->fed);
    mbs_free(t->got);
    mbs_free(t->ids);
    mbs_free(t->scored);
    mbs_free(t->logprob);
    mbs_variant_turned_free(t);
    mbs_free(t);
}

const mbs_task_totals *mbs_task_variant_totals(const mbs_carry *carry) {
    return &((const task_variant *)carry->self)->totals;
}
