/*
 * task_rows.h - what task_rows.c (one record at a time) and task_many.c (short records side by side) share.
 */
#ifndef MBS_RUN_TASK_ROWS_H
#define MBS_RUN_TASK_ROWS_H

#include "run/task.h"

typedef struct task_rows {
    mbs_task_env env;
    mbs_session *session;     /* NULL where the model takes whole records: */
    struct whole_task *whole; /* task_whole.h */
    mbs_pace pace;
    int64_t width; /* floats of a row that the model gives */
    int64_t given; /* and of one that writers get */
    int layer;
    mbs_around around; /* fed around a record that has rows; of their rows only a class gets to know */
    enum { POOL_NONE, POOL_MEAN, POOL_LAST } pool;
    const char *type;
    int32_t *ids;  /* pace.max: what is fed; where frames are, a number of no meaning for each */
    float *frames; /* pace.max x frame_width; NULL: the model takes ids */
    int64_t frame_width;
    int32_t *starts;    /* pace.max + 1: where the records begin that run together */
    float *stage;       /* pace.max x width, where rows are not written straight into the block */
    float *last;        /* POOL_LAST: width */
    double *sum;        /* POOL_MEAN: width */
    float *pooled;      /* classify: width, what the head gets */
    int64_t *confusion; /* classify: of the totals */
    float *seen;        /* of a watch: pace.max x vocab_rows */
    /* classify, every: pieces of so many units, and the one at hand. */
    int64_t every; /* 0: a record is one */
    struct {
        int64_t start, due; /* coordinates */
        int64_t rows;       /* of the running sum, before it */
        double *sum;        /* the running sum before it: width */
        int filled;         /* it has a row */
    } piece;
    /* The record that is passing. */
    int started; /* SEQ_START was written */
    int ended;
    int has_last;
    int opened;       /* what stands in front of a record was fed */
    int64_t position; /* end of what has passed */
    mbs_task_totals totals;
} task_rows;

/* Whether the model sees this row: a token below 0 is none. */
int mbs_task_is_fed(const task_rows *t, const mbs_block *tokens, int64_t row);
/* Adds the tokens, or frames, of rows [from, from + n) that the model sees to t->ids behind the *fed that are there. */
mbs_status mbs_task_gather(task_rows *t, const mbs_block *tokens, int64_t from, int64_t n, int64_t *fed, mbs_err *err);
/* Moves the m computed rows to where their tokens stand among the n of the block from `from` on; the others become NaN.
 * From the back, in place. */
void mbs_task_spread(const task_rows *t, const mbs_block *tokens, int64_t from, float *rows, int64_t n, int64_t m);
/* Whether any of rows [from, to) is. */
int64_t mbs_task_count_fed(const task_rows *t, const mbs_block *tokens, int64_t from, int64_t to);
int mbs_task_row_scored(const mbs_side *scored, int64_t row);
/* The flags of what is scored, or NULL where all rows count: a class is that of the whole record, with its unknown
 * letters, as in training. */
const mbs_side *mbs_task_scored(const task_rows *t, const mbs_block *tokens);
/* Takes away what is not scored and adds the rest to the totals. */
void mbs_task_count_scores(task_rows *t, float *lp, const mbs_side *scored, int64_t from, int64_t n);
/* A block for rows [from, from + n) of `tokens`. NULL without memory. */
mbs_block *mbs_task_rows_block(task_rows *t, const mbs_block *tokens, int64_t from, int64_t n);
/* The block that ends a record of which no block has said that: one pooled row, or none. NULL without memory. */
mbs_block *mbs_task_end_block(task_rows *t, const mbs_record *record);
/* t->sum over so many rows. */
void mbs_task_mean(task_rows *t, int64_t rows, float *row);

/* task_classify.c: probabilities of a pooled row (NaN in it: of all), and the record's label counted. */
mbs_status mbs_task_classify_setup(task_rows *t, mbs_err *err);
mbs_status mbs_task_classify(task_rows *t, const mbs_record *record, const float *pooled, float *prob, mbs_err *err);
/* Rows that go through the model together end with a piece: the most from `from` on that do. */
int64_t mbs_task_piece_rows(const task_rows *t, const mbs_block *tokens, int64_t from, int64_t n);
void mbs_task_piece_begin(task_rows *t, int64_t position);
/* Behind t->position: the piece's row where it is at its end, else NULL in *out. */
mbs_status mbs_task_piece_end(task_rows *t, const mbs_record *record, mbs_block **out, mbs_err *err);
/* What is left of a piece, as a row. */
mbs_status mbs_task_piece_row(task_rows *t, float *prob, mbs_err *err);
void mbs_task_classify_save(const task_rows *t, mbs_buf *out);
mbs_status mbs_task_classify_restore(task_rows *t, mbs_cursor *c, mbs_err *err);
void mbs_task_classify_free(task_rows *t);

/* Of the carry: see stream/carry.h. */
int64_t mbs_task_many_rows(void *self);
mbs_status mbs_task_many(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out,
                         mbs_err *err);

#endif
