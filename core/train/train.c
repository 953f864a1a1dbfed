#include "train/train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/stop.h"
#include "model/new_folder.h"
#include "train/loop.h"
#include "train/page.h"

#define RECIPE_LIMIT ((size_t)1 << 24)

/* What an output folder may hold: one with anything else in it is not replaced. */
static const char *const files[] = {
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "recipe.yaml",
    "training.html",
    MBS_FOLDER_TOKENIZER,
    "generation_config.json",
    "preprocessor_config.json",
    NULL,
};

/* --- the beginning --------------------------------------------------------------------------------------------------
 */

static int same_recipe(const char *output, const char *recipe_text) {
    mbs_err ignored = {0};
    char *text = NULL;
    size_t len = 0;
    char *path = mbs_path_join(output, "recipe.yaml");
    int same = path && mbs_path_read(path, RECIPE_LIMIT, &text, &len, &ignored) >= 0 && strlen(recipe_text) == len &&
               memcmp(text, recipe_text, len) == 0;
    mbs_free(text);
    mbs_free(path);
    return same;
}

mbs_status mbs_train_look(const char *output, const char *recipe_text, int force, int resume, int *done, mbs_err *err) {
    struct stat info;
    char *folder = mbs_workplace_name(output);
    *done = 0;
    if (!folder) {
        return mbs_fail_memory(err, output, strlen(output));
    }
    int64_t newest = mbs_workplace_newest(folder);
    int exists = lstat(output, &info) == 0;
    mbs_status st = MBS_OK;
    if (exists && resume && !(force && newest > 0) && same_recipe(output, recipe_text)) {
        *done = 1;
    } else if (exists && !force) {
        st = mbs_fail(err, MBS_ERR_CREATE, output, "exists already");
        mbs_err_fix(err, "take another name, or --force to replace it");
    } else if (newest > 0 && !resume && !force) {
        st = mbs_fail(err, MBS_ERR_CREATE, output,
                      "a training that did not end left checkpoints for it, the last of step %" PRId64, newest);
        mbs_err_kept(err, "they are in %s", folder);
        mbs_err_fix(err, "go on with --resume, or start afresh with --force");
    }
    mbs_free(folder);
    return st;
}

static mbs_status name_run(mbs_loop *l, mbs_err *err) {
    const mbs_train_job *job = l->job;
    mbs_buf *b = &l->identity;
    mbs_buf_puts(b, job->identity);
    if (b->len > 0 && b->data[b->len - 1] != '\n') {
        mbs_buf_putc(b, '\n');
    }
    mbs_buf_printf(b, "tokens of the input: %" PRId64 " in %" PRId64 " records, sum %016" PRIx64 "\n",
                   mbs_spool_tokens(job->spool), mbs_spool_records(job->spool), mbs_spool_fingerprint(job->spool));
    return b->failed ? mbs_fail_memory(err, "train", b->len) : MBS_OK;
}

static mbs_status find_start(mbs_loop *l, mbs_err *err) {
    int found = 0;
    if (!l->job->resume) {
        return MBS_OK;
    }
    mbs_status st = mbs_checkpoint_read(&l->place, l->job, mbs_buf_str(&l->identity), &l->state, &found, err);
    if (st >= 0 && found) {
        l->result->resumed_from = l->state.step;
        mbs_log(MBS_LOG_INFO, "going on behind step %" PRId64 " of %" PRId64, l->state.step, l->job->recipe.steps);
    } else if (st >= 0) {
        mbs_log(MBS_LOG_INFO, "there is no checkpoint to go on from: beginning with step 1");
    }
    return st;
}

static mbs_status begin(mbs_loop *l, mbs_err *err) {
    const mbs_train_job *job = l->job;
    const mbs_train_recipe *r = &job->recipe;
    mbs_status st = name_run(l, err);
    st = st < 0 ? st : mbs_split_make(r, job->spool, &l->split, err);
    st = st < 0 ? st : mbs_windows_new(job, &l->split, &l->windows, err);
    st = st < 0 ? st : mbs_evaluate_check(job, &l->split, l->windows, err);
    if (st >= 0 && r->patience > 0 && (l->split.n_held == 0 || r->eval_every == 0)) {
        st = mbs_fail(err, MBS_ERR_CONFIG, "train.eval.patience", "there is nothing to wait for: %s",
                      l->split.n_held == 0 ? "no part is held out" : "eval.every is 0");
        mbs_err_fix(err, "set it to 0, or give %s", l->split.n_held == 0 ? "split.held_out" : "eval.every");
    }
    if (st >= 0 && job->place) {
        l->place = *job->place;
        *job->place = (mbs_workplace){0};
    }
    st = st < 0 ? st : mbs_workplace_open(job->output, job->resume, &l->place, err);
    st = st < 0 ? st : find_start(l, err);
    l->began = mbs_clock() - l->state.seconds;
    st = st < 0 ? st : mbs_metrics_open(l->place.folder, l->state.step, l->state.evaluated, &l->metrics, err);
    if (st >= 0) {
        char units[64];
        (void)snprintf(units, sizeof units, "%.40ss", job->unit);
        l->progress = mbs_progress_new(job->progress, units, r->steps * r->batch_tokens);
        mbs_progress_counts(l->progress, "step");
    }
    return st;
}

/* --- the end --------------------------------------------------------------------------------------------------------
 */

static mbs_status copy_file(const char *from, const char *folder, const char *name, mbs_err *err) {
    char *data = NULL;
    size_t len = 0;
    mbs_status st = mbs_path_read(from, (size_t)1 << 30, &data, &len, err);
    st = st < 0 ? st : mbs_new_folder_put(folder, name, data, len, err);
    mbs_free(data);
    return st;
}

static mbs_status fill_output(mbs_loop *l, const char *folder, mbs_err *err) {
    const mbs_train_job *job = l->job;
    mbs_status st = mbs_metrics_sync(&l->metrics, err);
    if (st >= 0 && job->write_rest) {
        st = job->write_rest(job->write_rest_ctx, folder, err);
    }
    st = st < 0 ? st : mbs_net_write_weights(job->net, folder, job->write_dtype, err);
    st = st < 0 ? st : copy_file(l->metrics.path, folder, "metrics.jsonl", err);
    st = st < 0 ? st : mbs_new_folder_put(folder, "recipe.yaml", job->recipe_text, strlen(job->recipe_text), err);
    return st < 0 ? st : mbs_page_write(folder, l->metrics.path, mbs_buf_str(&l->identity), job, l->result, err);
}

static mbs_status final_evaluation(mbs_loop *l, mbs_err *err) {
    mbs_train_result *r = l->result;
    mbs_evaluation e;
    if (l->split.n_held == 0) {
        return MBS_OK;
    }
    mbs_status st = mbs_evaluate(l->job, &l->split, l->windows, 0, &e, err);
    st = st < 0 ? st : mbs_loop_tell_eval(l, &e, "end", err);
    if (st < 0) {
        mbs_free(e.confusion);
        return st;
    }
    r->has_eval = 1;
    r->loss = e.loss;
    r->loss_plus = e.plus;
    r->loss_minus = e.minus;
    r->accuracy = e.accuracy;
    r->confusion = e.confusion;
    return MBS_OK;
}

static mbs_status finish(mbs_loop *l, const char *folder, mbs_err *err) {
    const mbs_train_state *s = &l->state;
    mbs_status st = mbs_loop_save(l, err); /* what comes may be cut short too */
    if (st >= 0 && s->best_step > 0 && s->best_step != s->step) {
        st = mbs_best_read(&l->place, l->job->net, s, err);
    }
    l->result->best_step = s->best_step;
    l->result->steps = s->step;
    st = st < 0 ? st : final_evaluation(l, err);
    l->result->seconds = mbs_clock() - l->began;
    return st < 0 ? st : fill_output(l, folder, err);
}

/* What a run that did not end leaves, and words about it. */
static mbs_status settle(mbs_loop *l, mbs_status st, mbs_err *err) {
    if (st == MBS_ERR_STOPPED) {
        mbs_err_clear(err);
        mbs_fail(err, st, NULL, "stopped at step %" PRId64 " of %" PRId64, l->state.step, l->job->recipe.steps);
        l->result->stop_signal = mbs_stop_requested();
    }
    /* On the way to a stop all is worth keeping; where a number is not finite any more, the last good weights are. */
    if (l->metrics.f && l->state.step > 0 && (st == MBS_ERR_STOPPED || (st == MBS_ERR_DATA && l->place.newest == 0))) {
        mbs_err late = {0};
        mbs_status saved = mbs_loop_save(l, &late);
        if (saved < 0 && st == MBS_ERR_STOPPED) {
            *err = late;
            st = saved;
        }
    }
    /* Of another run, where --resume was refused. */
    const int64_t other = l->place.newest > 0 ? 0 : mbs_workplace_newest(l->place.folder);
    if (l->place.newest > 0) {
        mbs_err_kept(err, "the checkpoint of step %" PRId64 " is kept: %s/step-%" PRId64, l->place.newest,
                     l->place.folder, l->place.newest);
    } else if (other > 0) {
        mbs_err_kept(err, "the checkpoint of step %" PRId64 " stays as it is: %s/step-%" PRId64, other, l->place.folder,
                     other);
    } else if (l->state.step > 0) {
        mbs_err_kept(err, "nothing is kept: no checkpoint was complete");
    }
    if (st == MBS_ERR_STOPPED) {
        mbs_err_fix(err, "run the same command with --resume to continue");
    }
    l->result->steps = l->state.step;
    l->result->seconds = mbs_clock() - l->began;
    return st;
}

static mbs_status drive(mbs_loop *l, mbs_err *err) {
    const mbs_train_job *job = l->job;
    mbs_new_folder out;
    mbs_status st = mbs_new_folder_begin(job->output, files, job->force, &out, err);
    if (st < 0) {
        return st;
    }
    st = begin(l, err);
    st = st < 0 ? st : mbs_loop_run(l, err);
    mbs_progress_finish(st < 0 ? NULL : l->progress);
    st = st < 0 ? st : finish(l, out.temp, err);
    mbs_status ended = mbs_new_folder_end(&out, st, err);
    if (st >= 0 && ended < 0) {
        mbs_err_fix(err, "run the same command with --resume once the reason is gone");
    }
    st = st < 0 ? st : ended;
    return st < 0 && l->place.folder ? settle(l, st, err) : st;
}

static void clean_up(mbs_loop *l, mbs_status st) {
    mbs_metrics_close(&l->metrics);
    mbs_progress_free(l->progress);
    if (st >= 0) {
        mbs_workplace_close(&l->place, 1);
    } else {
        mbs_workplace_leave(&l->place);
    }
    mbs_windows_free(l->windows);
    mbs_split_free(&l->split);
    mbs_free(l->part_starts);
    mbs_buf_free(&l->identity);
}

mbs_status mbs_train_sweep(const char *output, mbs_err *err) {
    struct stat info;
    char *folder = mbs_workplace_name(output);
    int there = folder && lstat(folder, &info) == 0;
    mbs_free(folder);
    mbs_workplace place = {0};
    mbs_status st = there ? mbs_workplace_open(output, 1, &place, err) : MBS_OK;
    if (there && st >= 0) {
        mbs_workplace_close(&place, 1);
    }
    return st;
}

mbs_status mbs_train(const mbs_train_job *job, mbs_train_result *result, mbs_err *err) {
    const double nan = (double)NAN;
    mbs_loop l = {.job = job, .result = result};
    *result = (mbs_train_result){.loss = nan, .loss_plus = nan, .loss_minus = nan, .accuracy = nan};
    mbs_status st = mbs_train_look(job->output, job->recipe_text, job->force, job->resume, &result->was_done, err);
    if (st < 0) {
        return st;
    }
    if (result->was_done) {
        return mbs_train_sweep(job->output, err);
    }
    l.began = mbs_clock();
    st = drive(&l, err);
    clean_up(&l, st);
    return st;
}

void mbs_train_result_free(mbs_train_result *r) {
    mbs_free(r->confusion);
    r->confusion = NULL;
}
