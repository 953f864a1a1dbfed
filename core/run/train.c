#include "run/train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/stop.h"
#include "model/place.h"
#include "run/train_impl.h"

static mbs_status open_backend(training *t, mbs_err *err) {
    const char *device = mbs_params_string(t->plan->models[0], "device");
    mbs_status st = mbs_backend_choose(&t->engine.backend, device, NULL, NULL, t->o->threads, err);
    return st == MBS_OK ? mbs_backend_suit(&t->engine.backend, &t->cfg, NULL, t->o->threads, err) : st;
}

/* Plan, values and the model's config: what can be wrong without anything being opened. */
static mbs_status load(training *t, mbs_err *err) {
    const mbs_train_options *o = t->o;
    t->engine.worker = o->worker;
    t->registry = mbs_registry_new(NULL, 0, err);
    mbs_status st = t->registry ? mbs_plan_load_as(MBS_PLAN_RECIPE, o->recipe, o->sets, o->n_sets, t->registry,
                                                   &t->plan, &t->report->diags, err)
                                : err->status;
    st = st == MBS_OK ? mbs_training_values(t, err) : st;
    st = st == MBS_OK ? mbs_training_config(t, err) : st;
    st = st == MBS_OK ? mbs_training_known_classes(t, err) : st;
    return st == MBS_OK ? open_backend(t, err) : st;
}

/* The model before the input where that can be, so that a wrong folder is not found after an hour of reading. */
static mbs_status prepare(training *t, mbs_err *err) {
    int late = mbs_training_classifies(t) && t->classes.n == 0;
    mbs_status st = late ? MBS_OK : mbs_training_net(t, t->classes.n, err);
    st = st == MBS_OK ? mbs_training_read(t, err) : st;
    if (st == MBS_OK && mbs_training_classifies(t)) {
        st = mbs_training_labels(t, err);
    }
    if (st == MBS_OK && late) {
        st = mbs_training_net(t, t->classes.n, err);
    }
    return st == MBS_OK ? mbs_training_identity(t, err) : st;
}

/* --- what was reached --------------------------------------------------------------------------------------- */

static void put_score(const training *t, const mbs_train_result *r, mbs_buf *out) {
    const double ln2 = 0.693147180559945309417232121458;
    if (!r->has_eval) {
        mbs_buf_puts(out, "; nothing was held out");
        return;
    }
    if (mbs_training_classifies(t)) {
        mbs_buf_printf(out, "; held out: %.2f %% right, loss %.4f", 100 * r->accuracy, r->loss);
        return;
    }
    mbs_buf_printf(out, "; held out: %.4f bits per %s", r->loss / ln2, t->unit);
    if (!isnan(r->loss_plus) && !isnan(r->loss_minus)) {
        mbs_buf_printf(out, " (+ %.4f, - %.4f)", r->loss_plus / ln2, r->loss_minus / ln2);
    }
    if (!isnan(r->accuracy)) {
        mbs_buf_printf(out, ", %.2f %% right", 100 * r->accuracy);
    }
}

static void put_summary(const training *t, const mbs_train_result *r, mbs_buf *out) {
    if (r->was_done) {
        mbs_buf_printf(out, "%s is complete already", t->job.output);
        return;
    }
    mbs_buf_printf(out, "%" PRId64 " steps", r->steps);
    if (r->resumed_from > 0) {
        mbs_buf_printf(out, " (from %" PRId64 " on)", r->resumed_from);
    }
    mbs_buf_printf(out, ", %" PRId64 " tokens in %.1f s", r->tokens, r->seconds);
    put_score(t, r, out);
    if (r->best_step > 0 && r->best_step < r->steps) {
        mbs_buf_printf(out, ", best at step %" PRId64, r->best_step);
    }
    mbs_buf_printf(out, "; wrote %s", t->job.output);
}

/* Truth by rows, as a table for standard output. */
static void put_confusion(const training *t, const mbs_train_result *r, mbs_buf *out) {
    int64_t n = t->classes.n;
    if (!r->confusion) {
        return;
    }
    mbs_buf_puts(out, "truth");
    for (int64_t k = 0; k < n; k++) {
        mbs_buf_printf(out, "\t%s", t->classes.names[k]);
    }
    for (int64_t i = 0; i < n; i++) {
        mbs_buf_printf(out, "\n%s", t->classes.names[i]);
        for (int64_t k = 0; k < n; k++) {
            mbs_buf_printf(out, "\t%" PRId64, r->confusion[i * n + k]);
        }
    }
    mbs_buf_putc(out, '\n');
}

static mbs_status train(training *t, mbs_err *err) {
    mbs_train_result result;
    memset(&result, 0, sizeof result);
    mbs_status st = mbs_train(&t->job, &result, err);
    t->report->stop_signal = result.stop_signal;
    if (st == MBS_OK) {
        put_summary(t, &result, &t->report->summary);
        put_confusion(t, &result, &t->report->text);
    }
    mbs_train_result_free(&result);
    return st;
}

static void clear(training *t) {
    mbs_workplace_leave(&t->place);
    mbs_net_free(t->net);
    mbs_spool_free(t->spool);
    mbs_backend_close(&t->engine.backend);
    mbs_classes_free(&t->classes);
    mbs_classes_free(&t->starts);
    mbs_free(t->complement);
    mbs_buf_free(&t->config);
    mbs_training_free_files(t->tokenizer);
    mbs_buf_free(&t->identity);
    mbs_buf_free(&t->yaml);
    mbs_plan_free(t->plan);
    mbs_registry_free(t->registry);
}

mbs_status mbs_train_from_recipe(const mbs_train_options *options, mbs_train_report *report, mbs_err *err) {
    training t = {.o = options, .report = report};
    int done = 0;
    memset(report, 0, sizeof *report);
    mbs_status st = load(&t, err);
    if (st == MBS_OK && options->dry_run) {
        /* Of a classifier whose classes only the input knows, with two of them. */
        st = mbs_training_net(&t, mbs_training_classifies(&t) && t.classes.n == 0 ? 2 : t.classes.n, err);
        if (st == MBS_OK) {
            mbs_training_plan(&t, &report->text);
        }
        clear(&t);
        return st;
    }
    st = st == MBS_OK ? mbs_training_check_output(&t, err) : st;
    if (st == MBS_OK) {
        st = mbs_train_look(t.job.output, t.job.recipe_text, options->force, options->resume, &done, err);
    }
    if (st == MBS_OK && done) {
        st = mbs_train_sweep(t.job.output, err);
        mbs_buf_printf(&report->summary, "%s is complete already", t.job.output);
    } else if (st == MBS_OK) {
        /* Before an hour of reading: another training into the same folder is told at once. */
        st = mbs_workplace_claim(t.job.output, &t.place, err);
        t.job.place = &t.place;
        st = st == MBS_OK ? prepare(&t, err) : st;
        st = st == MBS_OK ? train(&t, err) : st;
    }
    if (st == MBS_ERR_STOPPED && !report->stop_signal) {
        report->stop_signal = mbs_stop_requested();
        mbs_err_fix(err, "the same command with --resume goes on");
    }
    clear(&t);
    return st;
}

void mbs_train_report_free(mbs_train_report *report) {
    mbs_buf_free(&report->diags);
    mbs_buf_free(&report->text);
    mbs_buf_free(&report->summary);
}
