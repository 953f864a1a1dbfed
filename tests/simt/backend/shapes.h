/*
 * shapes.h - operations of random shapes on the device beside ref: forward in one call or in several, then backward
 * from the last call to the first, with states carried between them, under several random schedules.
 *
 * A trial lists its tensors; a run makes them, calls `forward` and `back` for each piece of the rows, and fetches what
 * the trial compares: within a limit of ref, which has all rows in one call, and bit for bit between schedules. Where
 * the cuts are whole units of the device, what forward makes has the bits of one call too.
 *
 * MBS_CUDA_SHAPES: how many trials; MBS_CUDA_BUDGET: about how many steps of the innermost loop each; MBS_TEST_SEED:
 * which; MBS_CUDA_SCHEDULES: 3 random ones, then in order and backwards.
 */
#ifndef MBK_TEST_SHAPES_H
#define MBK_TEST_SHAPES_H

#include "kernels/kit.h"

enum { SHAPES_TENSORS = 48, SHAPES_PIECES = 5, SHAPES_STARTS = 8 };

typedef enum shapes_role {
    SHAPES_IN,    /* drawn; has to stay what it is */
    SHAPES_INOUT, /* drawn, compared */
    SHAPES_OUT,   /* NaN at first, compared */
    SHAPES_ZERO,  /* zeros at first, compared: what is added to, and what begins empty */
    SHAPES_KEPT,  /* zeros at first: what forward keeps for back, in an order of the run's own */
    SHAPES_HOST   /* drawn, and seen by the calls as numbers alone: weights, ids */
} shapes_role;

typedef struct shapes_tensor {
    const char *name;
    shapes_role role;
    int64_t rows, cols;
    float from, to; /* what is drawn */
    double limit;   /* of the difference to ref, over the largest number of the tensor, but of `least` at least */
    double least;
    int back;      /* made by `back`: where the rows are cut may show in it */
    int64_t meant; /* only so many of its rows mean anything; 0: all */
} shapes_tensor;

typedef struct shapes_call {
    mbk_ctx *ctx;
    const void *shape;
    const kit_mat *m;            /* by the tensor's index */
    const float *const *numbers; /* of those that are drawn */
    int64_t from, to;            /* rows */
    int piece;
    const int64_t *end; /* the first row of each piece, and of none behind the last */
    mbk_starts starts;  /* within the piece */
    int64_t begun;      /* the row at which the piece's first sequence began; -1: before the first */
} shapes_call;

typedef struct shapes_trial {
    char what[200];
    const void *shape;
    int64_t rows;
    int tensors;
    shapes_tensor tensor[SHAPES_TENSORS];
    int64_t n_starts;
    int32_t starts[SHAPES_STARTS];
    int uncut; /* rows have to come in one call */
    void (*forward)(const shapes_call *);
    void (*back)(const shapes_call *);
} shapes_trial;

void shapes_tensor_add(shapes_trial *t, int index, shapes_tensor of);
void shapes_try(shapes_trial *t);

/* How many, and about how large; `many` and `large` where the environment says nothing. */
int64_t shapes_many(int64_t many);
int64_t shapes_budget(int64_t large);
/* Whether a trial of so many steps is one of about `budget`; a small one now and then. */
int shapes_fits(int64_t steps, int64_t budget);
/* Up to SHAPES_STARTS starts, or none. */
void shapes_draw_starts(shapes_trial *t);

/* The rows of a piece, of a tensor that has one for each row of the trial. */
mbk_mat shapes_rows(const shapes_call *c, int index);
mbk_mat shapes_maybe(const shapes_call *c, int index, int there);
/* A piece's part of a KEPT tensor: `each` rows for each block of so many rows, and `more` blocks. */
mbk_mat shapes_kept(const shapes_call *c, int index, int64_t block, int64_t more, int64_t each);
/* Drawn numbers in [0, ids) as ids of the piece's rows; to be freed. */
mbk_buf *shapes_ids(const shapes_call *c, int index);

#endif
