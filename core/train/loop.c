#include "train/loop.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "train/page.h"
#include "train/schedule.h"

#define ROWS_DEFAULT 2048
#define LINES_MOST 10000 /* of metrics, for steps */

static double seconds(const mbs_loop *l) {
    return mbs_clock() - l->began;
}

/* --- a step ---------------------------------------------------------------------------------------------------------
 */

static mbs_status not_finite(const mbs_loop *l, int64_t step, mbs_err *err) {
    char where[64];
    (void)snprintf(where, sizeof where, "step %" PRId64, step);
    mbs_fail(err, MBS_ERR_DATA, where, "the loss is not finite, first so behind '%s'", mbs_net_stray(l->job->net));
    mbs_err_fix(err, "lower optimizer.lr (it is %g), or lower optimizer.clip (it is %g), and start afresh with --force",
                l->job->recipe.lr, l->job->recipe.clip);
    return MBS_ERR_DATA;
}

/* How many sequences from `first` on go through together: as many as fit into `rows`, at least one; of a net whose
 * halves go at the same time twice as much. */
static int64_t part_of(const mbs_drawn *d, int64_t first, int64_t rows, int halves) {
    int64_t n = halves > 1 && first + 1 < d->n_seq ? 2 : 1;
    while (first + n < d->n_seq && d->starts[first + n + 1] - d->starts[first] <= halves * rows) {
        n++;
    }
    return n;
}

static mbs_status gradients_of(mbs_loop *l, const mbs_drawn *d, int64_t first, int64_t n, mbs_net_sums *sums,
                               mbs_err *err) {
    int64_t from = d->starts[first];
    int64_t *starts = mbs_grow(l->part_starts, &l->cap_starts, (size_t)n + 1, sizeof *starts);
    if (!starts) {
        return mbs_fail_memory(err, "train", ((size_t)n + 1) * sizeof *starts);
    }
    l->part_starts = starts;
    for (int64_t k = 0; k <= n; k++) {
        starts[k] = d->starts[first + k] - from;
    }
    int per_sequence = l->job->recipe.loss == MBS_LOSS_CLASSIFY;
    mbs_batch part = {.n_seq = n,
                      .starts = starts,
                      .ids = d->ids + from,
                      .frames = d->frames ? d->frames + from * d->frame_width : NULL,
                      .targets = d->targets + (per_sequence ? first : from),
                      .weights = d->weights ? d->weights + from : NULL};
    return mbs_net_gradients(l->job->net, &part, 1 / d->weight, sums, err);
}

/* MBS_ERR_STOPPED leaves the net as it was before the step. */
static mbs_status gradients(mbs_loop *l, int64_t step, const mbs_drawn *d, mbs_net_sums *sums, mbs_err *err) {
    int64_t rows = l->job->recipe.rows > 0 ? l->job->recipe.rows : ROWS_DEFAULT;
    const int halves = mbs_net_is_halved(l->job->net) ? 2 : 1;
    for (int64_t at = 0; at < d->n_seq;) {
        int64_t n = part_of(d, at, rows, halves);
        mbs_status st = mbs_stop_requested() ? MBS_ERR_STOPPED : gradients_of(l, d, at, n, sums, err);
        if (st >= 0 && !isfinite(sums->loss)) {
            st = not_finite(l, step, err);
        }
        if (st < 0) {
            mbs_net_clear(l->job->net);
            return st;
        }
        at += n;
    }
    return MBS_OK;
}

static mbs_status update(mbs_loop *l, int64_t step, double *norm, mbs_err *err) {
    const mbs_train_recipe *r = &l->job->recipe;
    mbs_net_adamw how = {.lr = mbs_schedule_lr(r, step),
                         .beta1 = r->beta1,
                         .beta2 = r->beta2,
                         .eps = r->eps,
                         .weight_decay = r->weight_decay,
                         .clip = r->clip,
                         .step = step};
    mbs_status st = mbs_net_update(l->job->net, &how, norm, err);
    if (st < 0) {
        mbs_err_where(err, "step %" PRId64, step);
        mbs_err_fix(err,
                    "lower optimizer.lr (it is %g), or lower optimizer.clip (it is %g), and start afresh with --force",
                    r->lr, r->clip);
    }
    return st;
}

static mbs_status log_step(mbs_loop *l, int64_t step, double norm, mbs_err *err) {
    const mbs_train_recipe *r = &l->job->recipe;
    mbs_train_state *s = &l->state;
    const double nan = (double)NAN;
    int64_t every = (r->steps + LINES_MOST - 1) / LINES_MOST;
    double loss = s->weight > 0 ? s->loss / s->weight : nan;
    mbs_progress_note(l->progress, "loss", loss);
    if (step % every != 0 && step != r->steps) {
        return MBS_OK;
    }
    mbs_step_line line = {.step = step,
                          .tokens = s->seen,
                          .loss = loss,
                          .lr = mbs_schedule_lr(r, step),
                          .norm = norm,
                          .tokens_per_s = s->step_seconds > 0 ? (double)s->tokens / s->step_seconds : nan,
                          .seconds = seconds(l)};
    s->loss = s->weight = s->step_seconds = 0;
    s->tokens = 0;
    return mbs_metrics_step(&l->metrics, &line, err);
}

static mbs_status one_step(mbs_loop *l, mbs_err *err) {
    int64_t step = l->state.step + 1;
    const mbs_drawn *d = NULL;
    mbs_net_sums sums = {0};
    double norm = (double)NAN;
    double began = mbs_clock();
    mbs_status st = mbs_windows_draw(l->windows, step, &d, err);
    /* Where nothing is asked (all N, say) there is nothing to learn, and the weights stay. */
    if (st >= 0 && d->weight > 0) {
        st = gradients(l, step, d, &sums, err);
        st = st < 0 ? st : update(l, step, &norm, err);
    }
    if (st < 0) {
        return st;
    }
    mbs_train_state *s = &l->state;
    s->step = step;
    s->seen += d->rows;
    s->tokens += d->rows;
    s->loss += sums.loss;
    s->weight += sums.weight;
    s->step_seconds += mbs_clock() - began;
    l->result->tokens += d->rows;
    return log_step(l, step, norm, err);
}

/* --- between the steps ----------------------------------------------------------------------------------------------
 */

mbs_status mbs_loop_save(mbs_loop *l, mbs_err *err) {
    if (l->place.newest == l->state.step) {
        return MBS_OK; /* an evaluation since then is made again by a resumed run, with the same result */
    }
    l->state.seconds = seconds(l);
    mbs_status st = mbs_metrics_sync(&l->metrics, err);
    st = st < 0 ? st : mbs_checkpoint_write(&l->place, l->job, mbs_buf_str(&l->identity), &l->state, err);
    if (st >= 0) {
        mbs_train_result so_far = *l->result;
        so_far.steps = l->state.step;
        so_far.seconds = l->state.seconds;
        st = mbs_page_write(l->place.folder, l->metrics.path, mbs_buf_str(&l->identity), l->job, &so_far, err);
    }
    l->saved = mbs_clock();
    return st;
}

mbs_status mbs_loop_tell_eval(mbs_loop *l, const mbs_evaluation *e, const char *when, mbs_err *err) {
    mbs_eval_line line = {.step = l->state.step,
                          .arithmetic = mbs_net_arithmetic(l->job->net),
                          .tokens = e->scored,
                          .when = when,
                          .loss = e->loss,
                          .plus = e->plus,
                          .minus = e->minus,
                          .accuracy = e->accuracy,
                          .seconds = seconds(l)};
    return mbs_metrics_eval(&l->metrics, &line, err);
}

static mbs_status look_for_best(mbs_loop *l, double loss, mbs_err *err) {
    mbs_train_state *s = &l->state;
    if (l->job->recipe.patience == 0) {
        return MBS_OK;
    }
    if (s->best_step > 0 && !(loss < s->best_loss)) {
        s->worse++;
        return MBS_OK;
    }
    s->best_step = s->step;
    s->best_loss = loss;
    s->worse = 0;
    return mbs_best_write(&l->place, l->job->net, s, err);
}

static int is_due(const mbs_loop *l) {
    const mbs_train_recipe *r = &l->job->recipe;
    const mbs_train_state *s = &l->state;
    if (l->split.n_held == 0 || s->step == 0 || s->evaluated >= s->step) {
        return 0;
    }
    /* What stands at the end is evaluated whole behind it, but patience compares like with like. */
    return s->step == r->steps ? r->patience > 0 : r->eval_every > 0 && s->step % r->eval_every == 0;
}

static mbs_status evaluate_if_due(mbs_loop *l, mbs_err *err) {
    mbs_evaluation e;
    if (!is_due(l)) {
        return MBS_OK;
    }
    mbs_status st = mbs_evaluate(l->job, &l->split, l->windows, l->job->recipe.eval_tokens, &e, err);
    if (st >= 0) {
        st = mbs_loop_tell_eval(l, &e, "during", err);
    }
    st = st < 0 ? st : look_for_best(l, e.loss, err);
    if (st >= 0) {
        l->state.evaluated = l->state.step;
    }
    mbs_free(e.confusion);
    return st;
}

static mbs_status save_if_due(mbs_loop *l, mbs_err *err) {
    const mbs_train_recipe *r = &l->job->recipe;
    int due = r->checkpoint_every > 0 ? l->state.step % r->checkpoint_every == 0
                                      : mbs_clock() - l->saved >= r->checkpoint_seconds;
    return due ? mbs_loop_save(l, err) : MBS_OK;
}

static int has_patience(const mbs_loop *l) {
    const mbs_train_recipe *r = &l->job->recipe;
    return r->patience == 0 || l->state.worse < r->patience;
}

static void show(mbs_loop *l) {
    const mbs_train_recipe *r = &l->job->recipe;
    int64_t step = l->state.step;
    mbs_progress_update(l->progress, step, step * r->batch_tokens);
    if (r->order == MBS_ORDER_STREAM && step > 0 && mbs_windows_rounds(l->windows, step) == 0 &&
        mbs_windows_rounds(l->windows, step + 1) == 1 && step < r->steps) {
        mbs_log(MBS_LOG_WARNING, "step %" PRId64 ": all %" PRId64 " records were seen: going on from the first again",
                step, l->split.n_train);
    }
}

static mbs_status steps(mbs_loop *l, mbs_err *err) {
    mbs_status st = evaluate_if_due(l, err); /* a run may have ended before it */
    while (st >= 0 && l->state.step < l->job->recipe.steps && has_patience(l)) {
        st = mbs_stop_requested() ? MBS_ERR_STOPPED : one_step(l, err);
        if (st >= 0) {
            show(l);
        }
        st = st < 0 ? st : evaluate_if_due(l, err);
        st = st < 0 ? st : save_if_due(l, err);
    }
    if (st >= 0 && !has_patience(l)) {
        mbs_log(MBS_LOG_INFO,
                "step %" PRId64 ": no better evaluation since step %" PRId64
                ": ending here with the weights of that one",
                l->state.step, l->state.best_step);
    }
    return st;
}

mbs_status mbs_loop_run(mbs_loop *l, mbs_err *err) {
    show(l);
    l->saved = mbs_clock();
    return steps(l, err);
}
