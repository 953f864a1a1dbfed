/*
 * task_variant.h - the parts of task variant: how likely a stream is with an edit put in, against how likely it is as
 * it stands.
 *
 * One session passes over the stream and leaves the log-probability of every unit. At the place of a group of edits its
 * state is copied; each alternative runs from there over its own units and the `window` that follow, and no further.
 * The units that follow must have come for that, so the pass stays behind the input where edits wait. The state at a
 * place does not depend on how the stream was cut, so the numbers are those of streaming the whole sequence with the
 * edit in it.
 */
#ifndef MBS_RUN_TASK_VARIANT_H
#define MBS_RUN_TASK_VARIANT_H

#include "model/whole.h"
#include "run/task.h"

typedef struct edit_alt {
    int reason;     /* MBS_EDIT_... */
    int64_t at, n;  /* its units in the group's */
    int64_t shared; /* leading units that stand there already */
    int same;       /* nothing changes */
    double sum;     /* ln P of its units behind the shared ones and of what follows */
} edit_alt;

typedef struct edit_group {
    struct edit_group *next;
    mbs_record *record; /* what writers get */
    int64_t pos, end;   /* place of the units taken out, in the stream's coordinates */
    int64_t n;
    edit_alt *alts;
    int32_t *ids; /* units put in, as tokens, all alternatives */
    uint8_t *scored;
    int ran; /* all alternatives have their sums */
} edit_group;

/* Of one alternative on the minus strand, until the plus strand comes. */
typedef struct edit_turned {
    double llr;
    int reason;
} edit_turned;

typedef struct task_variant {
    mbs_task_env env;
    unsigned strands; /* MBS_EDIT_... */
    int64_t window;
    mbs_session *pass;
    mbs_session *branch;
    mbs_whole *whole; /* of a masked model: then pass and branch are NULL */
    int32_t mask;
    float *logits; /* masked: vocab_rows */
    mbs_pace pace;
    int32_t *fed; /* pace.max tokens of a call */
    float *got;   /* pace.max */

    /* Units of the record that have come and are still needed. */
    int32_t *ids;
    uint8_t *scored;
    float *logprob; /* of those that the pass has taken; NaN where nothing predicts it */
    int64_t base;   /* position of the first */
    int64_t n, cap;
    int64_t first;  /* position that the record begins with */
    int64_t passed; /* position behind the last that the pass has taken */

    edit_group *groups, *last; /* in the order in which the reader tells them */
    edit_group *site;          /* the first whose alternatives have not all run */
    int64_t alt;               /* of the site: the one at hand */
    int64_t row;               /* its rows that are done; 0: it begins */
    int64_t told;              /* edits before this position have been asked for */
    int minus;                 /* the record at hand is of strand - */

    /* What strand - gave of the contig at hand: files without names, -1 while there are none. */
    int places;          /* i64 at a group's index: where its values begin, and one more */
    int values;          /* edit_turned of all alternatives */
    int64_t n_turned;    /* in it */
    edit_turned *turned; /* of one group */
    int64_t cap_turned;

    /* A resumed run begins with the contig again. */
    int64_t again; /* records of it that have begun, while it is not over */
    int64_t given; /* groups of it that writers have */
    int64_t skip;  /* of these, how many are still to come again */

    mbs_task_totals totals;
} task_variant;

/* task_variant_units.c */
mbs_status mbs_variant_add_units(task_variant *t, const mbs_block *tokens, int64_t from, int64_t n, mbs_err *err);
void mbs_variant_drop_units(task_variant *t);
/* Asks the reader for all groups that lie before `before`. */
mbs_status mbs_variant_pull(task_variant *t, int64_t before, mbs_err *err);
void mbs_variant_pop(task_variant *t);

/* task_variant_run.c: one call of the model at most. */
mbs_status mbs_variant_pass(task_variant *t, int64_t limit, mbs_err *err);
mbs_status mbs_variant_branch(task_variant *t, mbs_err *err);
/* task_variant_masked.c: the first group once all it needs has come, its ratios in the alternatives' sums; else NULL.
 */
mbs_status mbs_variant_masked(task_variant *t, int ended, edit_group **ready, mbs_err *err);
mbs_status mbs_variant_masked_setup(task_variant *t, mbs_err *err);
/* task_variant_turned.c: what strand - says of groups, until they come on strand +; *out is valid until the next call,
 * NULL where nothing was said. A file in TMPDIR: MBS_ERR_CREATE, MBS_ERR_IO. */
mbs_status mbs_variant_turned_begin(task_variant *t, mbs_err *err);
mbs_status mbs_variant_keep(task_variant *t, const edit_group *g, mbs_err *err);
mbs_status mbs_variant_turned_of(task_variant *t, const edit_group *g, const edit_turned **out, mbs_err *err);
void mbs_variant_turned_free(task_variant *t);
/* ln P(edited) - ln P(as it stands) of an alternative that was run; nats. */
double mbs_variant_llr(const task_variant *t, const edit_group *g, const edit_alt *a);
/* Position behind the last unit that counts for a group, where the record is long enough. */
int64_t mbs_variant_reach(const task_variant *t, const edit_group *g);

#endif
