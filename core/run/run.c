#include "run/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/stop.h"
#include "plug/fault.h"
#include "plug/params.h"
#include "plug/watch.h"
#include "run/inputs.h"
#include "run/merge.h"
#include "run/shard.h"
#include "run/stages.h"
#include "run/stem.h"
#include "run/suffix.h"
#include "stream/sched.h"

#define LN2 0.693147180559945309417232121458

typedef struct run_state {
    const mbs_run_options *o;
    mbs_run_result *result;
    mbs_stages stages;
    mbs_engine *engine; /* shared by the jobs of one run */
    mbs_share share;
    const mbs_plan_set *sets; /* of this job */
    int n_sets;
    mbs_shard_out *shard; /* NULL: the whole */
    mbs_merge *merge;     /* NULL: no merge */
    mbs_sched sched;
    mbs_progress *progress;
    const char *journal; /* NULL: this run does not journal */
    const char *previous;
    mbs_buf identity;
    mbs_journal loaded;
    int prepared; /* the outputs are locked: what lies beside them is this run's */
    int resuming; /* a journal was taken up */
    int complete; /* --resume found everything done */
    double seconds;
    mbs_fault_end end; /* what becomes of the outputs where a plugin crashes */
} run_state;

void mbs_run_result_free(mbs_run_result *result) {
    mbs_buf_free(&result->diags);
    mbs_buf_free(&result->text);
    mbs_buf_free(&result->summary);
}

static void tick(void *ctx, int64_t records, int64_t rows) {
    mbs_progress_update(ctx, records, rows);
}

static int finals_existing(const mbs_outputs *o) {
    int n = 0;
    for (int i = 0; i < mbs_outputs_count(o); i++) {
        n += mbs_path_exists(mbs_outputs_path(o, i));
    }
    return n;
}

/* The journal's files beside the first output; NULL where this run does not journal. */
static mbs_status place_journal(run_state *r, mbs_err *err) {
    mbs_outputs *outs = r->stages.outputs;
    if (mbs_stages_not_resumable(&r->stages)) {
        return MBS_OK;
    }
    const char *first = mbs_outputs_path(outs, 0);
    mbs_status st = mbs_outputs_scratch(outs, first, "journal", &r->journal, err);
    return st == MBS_OK ? mbs_outputs_scratch(outs, first, "journal-1", &r->previous, err) : st;
}

/* Whether a stopped run left its journal beside any output, be this run able to take it up or not. */
static int stopped_run_here(const run_state *r) {
    for (int i = 0; i < mbs_outputs_count(r->stages.outputs); i++) {
        const char *path = mbs_outputs_path(r->stages.outputs, i);
        char *dir = mbs_path_dir(path);
        char *base = mbs_path_base(path);
        char name[600];
        (void)snprintf(name, sizeof(name), ".%s.mbs-journal", base ? base : "");
        char *journal = dir ? mbs_path_join(dir, name) : NULL;
        int here = journal && mbs_path_exists(journal);
        mbs_free(dir);
        mbs_free(base);
        mbs_free(journal);
        if (here) {
            return 1;
        }
    }
    return 0;
}

/* --resume where there is no journal to take up: everything may be done already, or nothing begun. */
static mbs_status resume_without_journal(run_state *r, mbs_err *err) {
    mbs_outputs *outs = r->stages.outputs;
    const char *why = mbs_stages_not_resumable(&r->stages);
    if (why && stopped_run_here(r)) {
        mbs_fail(err, MBS_ERR_USAGE, mbs_outputs_path(outs, 0), "this run cannot take up the one that was stopped: %s",
                 why);
        mbs_err_fix(err, "resume it with the command that it was started with, or start afresh without --resume");
        return MBS_ERR_USAGE;
    }
    int have = finals_existing(outs);
    int files = mbs_outputs_count(outs);
    if (have > 0 && have == files) {
        r->complete = 1;
        return MBS_OK;
    }
    if (have > 0 && !r->o->force) {
        mbs_fail(err, MBS_ERR_CREATE, mbs_outputs_path(outs, 0),
                 "there is no journal to resume from, and %d of %d outputs exist", have, files);
        mbs_err_fix(err, "give --force to start afresh and replace them");
        return MBS_ERR_CREATE;
    }
    mbs_log(MBS_LOG_INFO, "there is nothing to resume, starting from the beginning");
    return MBS_OK;
}

/* Decides between continuing, starting afresh and having nothing to do. */
static mbs_status look_for_journal(run_state *r, mbs_err *err) {
    mbs_status st = place_journal(r, err);
    if (st != MBS_OK) {
        return st;
    }
    if (!r->o->resume) {
        if (stopped_run_here(r)) {
            mbs_log(MBS_LOG_WARNING,
                    "starting afresh: a stopped run of %s is given up, --resume would have continued it",
                    mbs_outputs_path(r->stages.outputs, 0));
        }
        return MBS_OK;
    }
    st = mbs_outputs_recover(r->stages.outputs, &r->complete, err);
    if (st != MBS_OK || r->complete) {
        return st;
    }
    if (r->journal && (mbs_path_exists(r->journal) || mbs_path_exists(r->previous))) {
        r->resuming = 1;
        return MBS_OK;
    }
    return resume_without_journal(r, err);
}

/* Reads the journal and gives its states to the stages, which were created but not opened yet. */
static mbs_status take_up_journal(run_state *r, mbs_err *err) {
    int fallback = 0;
    mbs_status st = mbs_journal_read(&r->loaded, r->journal, r->previous, &fallback, err);
    if (st != MBS_OK) {
        mbs_err_fix(err, "run it without --resume to start afresh");
        return st;
    }
    if (fallback) {
        mbs_log(MBS_LOG_WARNING, "the newest journal is damaged, going back to the one before");
    }
    st = mbs_journal_same_run(&r->loaded, &r->identity, err);
    mbs_cursor sinks = {(const unsigned char *)r->loaded.sink.data, r->loaded.sink.len, 0};
    if (st == MBS_OK) {
        st = mbs_sink_restore(&r->sched.sink, &sinks, err);
    }
    if (st == MBS_OK && r->shard) {
        st = mbs_shard_out_restore(r->shard, &sinks, err);
    }
    if (st == MBS_OK && r->loaded.has_input && r->stages.reader) {
        st = mbs_instance_restore(r->stages.reader, r->loaded.reader.data, r->loaded.reader.len, err);
    }
    if (st == MBS_OK && r->loaded.has_input && r->stages.codec) {
        st = mbs_instance_restore(r->stages.codec, r->loaded.codec.data, r->loaded.codec.len, err);
    }
    return st;
}

static mbs_status prepare(run_state *r, mbs_err *err) {
    mbs_stages *s = &r->stages;
    mbs_suffixes_warn(s->plan);
    mbs_status st = look_for_journal(r, err);
    if (st != MBS_OK || r->complete) {
        return st;
    }
    st = mbs_outputs_prepare(s->outputs, r->resuming, err);
    r->prepared = st == MBS_OK;
    r->end = (mbs_fault_end){s->outputs, &r->sched.journalled, r->resuming || r->o->keep_partial};
    mbs_fault_outputs(r->prepared ? &r->end : NULL);
    if (st == MBS_OK && !r->merge) {
        st = mbs_stages_load(s, r->engine, r->o->threads, err);
    }
    if (st == MBS_OK && r->journal) {
        st = mbs_stages_identity(s, &r->identity, err);
        mbs_journal_add_identity(&r->identity, "shard", r->o->shard ? r->o->shard : "");
    }
    /* To decompress, the codec only turns back what the task gives. */
    mbs_instance *encoder = s->plan->task == MBS_TASK_DECOMPRESS ? NULL : s->codec;
    mbs_sched_init(&r->sched, s->reader, encoder, NULL, s->writers, s->n_writers);
    if (st == MBS_OK && r->resuming) {
        st = take_up_journal(r, err);
    }
    if (st == MBS_OK) {
        st = mbs_stages_open(s, err);
    }
    if (st == MBS_OK && r->merge) {
        st = mbs_merge_header(r->merge, s, err);
    }
    if (st == MBS_OK && r->shard) {
        st = mbs_shard_out_open(r->shard, &s->header, err);
    }
    if (st == MBS_OK) {
        st = mbs_sink_open(&r->sched.sink, &s->header, err);
    }
    return st;
}

/* What a run of several, or a merge of them, has of its own. */
static void share_out(run_state *r) {
    mbs_stages *s = &r->stages;
    if (r->shard) {
        r->sched.tap = mbs_shard_out_tap(r->shard);
        r->sched.share = r->share.i - 1;
        r->sched.shares = r->share.n;
        r->sched.together = mbs_shard_together(s->plan);
    } else if (r->merge) {
        r->sched.tap = mbs_merge_tap(r->merge, s);
        r->sched.carry = s->plan->models[0] ? mbs_merge_carry(r->merge, s) : NULL;
    }
}

static mbs_status drive(run_state *r, mbs_err *err) {
    mbs_stages *s = &r->stages;
    const mbs_plan *plan = s->plan;
    r->sched.carry = s->carry.self ? &s->carry : NULL;
    share_out(r);
    r->sched.encode.decode = plan->decode;
    if (plan->models[0] && !r->merge) {
        r->sched.chunk = mbs_engine_chunk(s->engine, plan);
    } else if (r->o->chunk > 0) {
        r->sched.chunk = r->o->chunk;
    }
    if (!plan->reader) {
        r->sched.source.empty_records = mbs_params_int(plan->models[0], "count");
    }
    r->sched.journal_path = r->journal;
    r->sched.journal_previous = r->previous;
    r->sched.identity = &r->identity;
    if (r->o->journal_every > 0) {
        r->sched.journal_every = r->o->journal_every;
    }
    const char *unit = s->in && s->in->unit ? s->in->unit : "token";
    char units[64];
    (void)snprintf(units, sizeof(units), "%ss", unit);
    r->progress = mbs_progress_new(r->o->progress, units, s->in ? s->in->n_units : -1);
    r->sched.tick = r->progress ? tick : NULL;
    r->sched.tick_ctx = r->progress;
    mbs_status st = r->resuming ? mbs_sched_resume(&r->sched, &r->loaded, err) : MBS_OK;
    double t0 = mbs_clock();
    if (st == MBS_OK) {
        st = mbs_sched_run(&r->sched, err);
    }
    if (st == MBS_OK) {
        st = mbs_stages_close_input(s, err);
    }
    /* Building final files can take a while: a stop in it should not cost the whole run. */
    if (st == MBS_OK && r->journal && mbs_clock() - t0 > 2.0) {
        st = mbs_sched_journal(&r->sched, err);
    }
    if (st == MBS_OK && r->shard) {
        st = mbs_shard_out_finish(r->shard, r->sched.begun, err);
    }
    if (st == MBS_OK && r->merge) {
        st = mbs_merge_finish(r->merge, r->sched.begun, err);
    }
    if (st == MBS_OK) {
        st = mbs_sink_finish(&r->sched.sink, err);
    }
    r->seconds = mbs_clock() - t0;
    if (r->progress) {
        mbs_progress_finish(r->progress);
        mbs_progress_free(r->progress);
    }
    return st;
}

static void put_count(mbs_buf *b, int64_t n, const char *what) {
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)n);
    for (int i = 0; i < len; i++) {
        mbs_buf_putc(b, digits[i]);
        if ((len - i) % 3 == 1 && i + 1 < len) {
            mbs_buf_putc(b, ',');
        }
    }
    mbs_buf_printf(b, " %s%s", what, n == 1 ? "" : "s");
}

/* Steps of the model, for the stream and for what the edits need of it. */
static void summarise_edits(mbs_buf *b, const mbs_task_totals *t) {
    mbs_buf_puts(b, " read, ");
    put_count(b, t->groups, "place");
    mbs_buf_puts(b, " with ");
    put_count(b, t->edits, "edit");
    mbs_buf_puts(b, " (");
    put_count(b, t->edits_scored, "likelihood");
    mbs_buf_puts(b, "), ");
    put_count(b, t->pass_steps, "step");
    mbs_buf_puts(b, " for the stream and ");
    put_count(b, t->edit_steps, "step");
    mbs_buf_puts(b, " for edits");
}

/* What a token cost, all that belongs to it included. */
static void put_bits(mbs_buf *b, const mbs_task_totals *t) {
    mbs_buf_puts(b, " (");
    put_count(b, t->scored, "token");
    mbs_buf_puts(b, ") in ");
    put_count(b, t->given, "byte");
    mbs_buf_printf(b, ", %.4f bits per token", 8.0 * (double)t->given / (double)t->scored);
}

/* What was filled, and what was too long for it. */
static void summarise_fills(mbs_buf *b, const mbs_task_totals *t) {
    mbs_buf_puts(b, ", ");
    put_count(b, t->gaps, "gap");
    mbs_buf_puts(b, " filled with ");
    put_count(b, t->filled, "token");
    if (t->long_gaps > 0) {
        mbs_buf_puts(b, ", ");
        put_count(b, t->long_gaps, "gap");
        mbs_buf_puts(b, " longer than max_gap left as they are (");
        put_count(b, t->left, "token");
        mbs_buf_putc(b, ')');
    }
}

/* What the guard of task generate did. */
static void put_guard(mbs_buf *b, const mbs_task_totals *t) {
    if (t->again_stuck + t->again_noise + t->given_up > 0) {
        mbs_buf_puts(b, ", guard: drawn again ");
        put_count(b, t->again_stuck + t->again_noise, "time");
        mbs_buf_printf(b, " (stuck %lld, noise %lld), taken as it is ", (long long)t->again_stuck,
                       (long long)t->again_noise);
        put_count(b, t->given_up, "time");
    }
}

/* What the models were held as; said once where it is the same of all. */
static void put_weights(mbs_buf *b, const mbs_stages *s) {
    const mbs_model *first = s->models[0].model;
    int same = 1;
    if (!first) {
        return;
    }
    for (int i = 1; i < s->n_models; i++) {
        same &= strcmp(mbs_model_dtype(s->models[i].model), mbs_model_dtype(first)) == 0;
    }
    mbs_buf_printf(b, ", %s, %s", mbs_model_arithmetic(first), mbs_model_dtype(first));
    for (int i = 1; i < s->n_models && !same; i++) {
        mbs_buf_printf(b, " and %s", mbs_model_dtype(s->models[i].model));
    }
    mbs_buf_puts(b, " weights");
}

static void summarise(run_state *r) {
    mbs_buf *b = &r->result->summary;
    const mbs_stages *s = &r->stages;
    const mbs_task_totals *t = mbs_stages_totals(s);
    const mbs_vocab *v = s->codec ? mbs_codec_vocab(s->codec) : NULL;
    const mbs_descriptor *codec = s->plan->codec ? s->plan->codec->desc : NULL;
    const char *unit = codec && strcmp(codec->produces, "frames/f32") == 0 ? "frame"
                       : v && v->unit                                      ? v->unit
                       : s->in && s->in->unit                              ? s->in->unit
                       : s->header.rate > 0                                ? "sample"
                                                                           : "row";
    if (r->merge) {
        put_count(b, mbs_merge_shards(r->merge), "shard");
        mbs_buf_puts(b, " merged: ");
    }
    if (r->shard) {
        mbs_buf_printf(b, "shard %lld of %lld: of ", (long long)r->share.i, (long long)r->share.n);
    }
    /* Of a contig each strand is one. */
    put_count(b, r->sched.place.records_begun, s->plan->task == MBS_TASK_VARIANT ? "stream" : "record");
    mbs_buf_puts(b, ", ");
    put_count(b, t ? t->tokens : r->sched.rows_done, unit);
    if (t && s->plan->task == MBS_TASK_GENERATE) {
        mbs_buf_puts(b, " of prompt, ");
        put_count(b, t->generated, unit);
        mbs_buf_puts(b, " generated");
        if (t->generated > 0) {
            mbs_buf_printf(b, ", %.4f bits per token", -t->logprob / ((double)t->generated * LN2));
        }
        put_guard(b, t);
    }
    if (t && s->plan->task == MBS_TASK_SCORE && t->scored > 0) {
        for (int i = 0; i < s->n_models; i++) {
            const double logprob = s->n_models > 1 ? t->logprobs[i] : t->logprob;
            mbs_buf_printf(b, "%s%.4f", i ? " and " : ", ", -logprob / ((double)t->scored * LN2));
            if (s->models[i].name) {
                mbs_buf_printf(b, " (%s)", s->models[i].name);
            }
        }
        mbs_buf_printf(b, " bits per %s", unit);
    }
    if (t && s->plan->task == MBS_TASK_VARIANT) {
        summarise_edits(b, t);
    }
    if (t && s->plan->task == MBS_TASK_IMPUTE) {
        summarise_fills(b, t);
    }
    if (t && t->given > 0 && t->scored > 0) {
        put_bits(b, t);
    }
    if (t && t->labelled > 0) {
        mbs_buf_printf(b, ", accuracy %.4f of ", (double)t->right / (double)t->labelled);
        put_count(b, t->labelled, "labelled record");
    }
    double work = (double)(t ? t->tokens + t->generated : r->sched.rows_done);
    mbs_buf_printf(b, ", %.1f s", r->seconds);
    if (!r->resuming && r->seconds > 0.05) {
        mbs_buf_printf(b, ", %.0f %ss/s", work / r->seconds, unit);
    }
    put_weights(b, s);
    for (int i = 0; i < mbs_outputs_count(s->outputs); i++) {
        mbs_buf_printf(b, "%s%s", i ? ", " : "; wrote ", mbs_outputs_path(s->outputs, i));
    }
}

/* Whether it was the device that failed, and not a plugin. */
static int device_failed(const mbs_stages *s) {
    return s->engine && s->engine->backend.ctx && mbk_why(s->engine->backend.ctx) != NULL;
}

/* Renames, keeps or removes what was written, and says so. */
static mbs_status settle(run_state *r, mbs_status st, mbs_err *err) {
    mbs_stages *s = &r->stages;
    int files = s->outputs ? mbs_outputs_count(s->outputs) : 0;
    const char *first = files ? mbs_outputs_path(s->outputs, 0) : "";
    mbs_fault_outputs(NULL);
    if (st == MBS_OK) {
        st = mbs_outputs_commit(s->outputs, err);
        if (st == MBS_OK) {
            summarise(r);
        }
        if (st == MBS_OK && r->sched.ending) {
            r->result->stop_signal = mbs_stop_requested();
            st = mbs_fail(err, MBS_ERR_STOPPED, NULL, "stopped by a signal");
            mbs_err_kept(err, "what was made until then is complete in %s", first[0] ? first : "the output");
        }
        return st;
    }
    int journalled = r->journal && r->sched.journalled;
    int lost = st == MBS_ERR_UNAVAILABLE; /* a plugin or a device died; once it is mended the work can go on */
    if (st == MBS_ERR_STOPPED) {
        r->result->stop_signal = mbs_stop_requested();
    }
    if (journalled && (st == MBS_ERR_STOPPED || lost || r->o->keep_partial || r->resuming)) {
        mbs_outputs_keep(s->outputs);
        r->result->resumable = 1;
        mbs_err_kept(err, "the work so far was kept beside %s", first);
        if (lost) {
            err->fix[0] = '\0'; /* how to go on matters more than whose mistake it is */
        }
        mbs_err_fix(err, "%srun the same command with --resume to continue",
                    !lost              ? ""
                    : device_failed(s) ? "once the device works again "
                                       : "once the plugin is mended ");
    } else if (r->o->keep_partial && files) {
        mbs_outputs_keep(s->outputs);
        mbs_err_kept(err, "the incomplete file was kept as %s", mbs_outputs_temp(s->outputs, 0));
    } else if (files) {
        const char *why = st == MBS_ERR_STOPPED ? mbs_stages_not_resumable(s) : NULL;
        if (why) {
            mbs_err_fix(err, "this run could not be resumed because %s; with files as input and outputs it can be",
                        why);
        }
        /* A refused resume must not destroy what another command could still continue. */
        if (r->resuming || (r->o->resume && !r->prepared)) {
            mbs_outputs_keep(s->outputs);
        } else {
            mbs_outputs_discard(s->outputs);
        }
        mbs_err_kept(err, "nothing was written to %s%s", first, files > 1 ? " and the other outputs" : "");
    }
    return st;
}

/* Of a model that keeps more of a record the longer it is. */
static void tell_growth(const char *folder, mbs_buf *b) {
    mbs_model_config cfg;
    mbs_err none = {0};
    int64_t most = 0;
    if (mbs_config_load(folder, &cfg, &none) < 0) {
        return;
    }
    int64_t each = mbs_config_grows(&cfg, &most);
    if (each > 0) {
        mbs_buf_printf(b, "memory: grows by %lld bytes a token of a record, for attention", (long long)each);
        if (most > 0) {
            mbs_buf_printf(b, ", up to %lld tokens (window)", (long long)most);
        }
        mbs_buf_putc(b, '\n');
    }
}

static void dry_run(run_state *r) {
    mbs_buf *b = &r->result->text;
    mbs_plan_print(r->stages.plan, b);
    for (int i = 0; i < r->stages.n_models; i++) {
        tell_growth(r->stages.models[i].lender.folder, b);
    }
    const char *why = mbs_stages_not_resumable(&r->stages);
    mbs_buf_printf(b, "resumable: %s%s\n", why ? "no, " : "yes", why ? why : "");
}

/* Core reads no output; that an input came after it is seen without, as make sees it. */
static void note_newer(void *ctx, const char *path) {
    const mbs_stages *s = ctx;
    const char *output = mbs_outputs_path(s->outputs, 0);
    struct stat in;
    struct stat out;
    if (stat(output, &out) == 0 && stat(path, &in) == 0 && S_ISREG(in.st_mode) &&
        (in.st_mtim.tv_sec > out.st_mtim.tv_sec ||
         (in.st_mtim.tv_sec == out.st_mtim.tv_sec && in.st_mtim.tv_nsec > out.st_mtim.tv_nsec))) {
        mbs_log(MBS_LOG_WARNING, "%s is newer than %s: if it has changed, --force makes the output again", path,
                output);
    }
}

static mbs_status run_plan(run_state *r, const mbs_plan *plan, mbs_err *err) {
    /* Whether an existing output may be replaced is decided by the journal when resuming; a dry run writes nothing. */
    int force = r->o->force || r->o->resume || r->o->dry_run;
    mbs_status st = mbs_stages_create(&r->stages, plan, r->engine, force, err);
    if (st == MBS_OK && r->merge) {
        r->stages.merging = 1;
        st = mbs_merge_tell_inputs(r->merge, r->stages.outputs, err);
    }
    if (st == MBS_OK && r->share.n) {
        st = mbs_shard_out_new(&r->stages, r->sets, r->n_sets, r->share, &r->shard, err);
    }
    r->stages.keep_partial = r->o->keep_partial;
    if (st == MBS_OK && r->o->dry_run) {
        dry_run(r);
        return MBS_OK;
    }
    if (st == MBS_OK) {
        st = prepare(r, err);
    }
    if (st == MBS_OK && r->complete) {
        mbs_outputs_sweep(r->stages.outputs);
        mbs_inputs_each(plan->reader, note_newer, &r->stages);
        mbs_buf_printf(
            &r->result->summary,
            "already there, nothing to resume: %s (not looked into, whatever made it: --force makes it again)",
            mbs_outputs_path(r->stages.outputs, 0));
        return MBS_OK;
    }
    if (st == MBS_OK) {
        st = drive(r, err);
    }
    return settle(r, st, err);
}

/* One pipeline from its plan to its files. */
static mbs_status run_job(const mbs_run_options *o, mbs_run_result *result, mbs_engine *engine, const mbs_plan *plan,
                          const mbs_plan_set *sets, int n_sets, mbs_merge *merge, mbs_err *err) {
    run_state r = {.o = o, .result = result, .engine = engine, .sets = sets, .n_sets = n_sets, .merge = merge};
    mbs_watch *watch = mbs_watch_start(o->watch > 0 ? o->watch : 60);
    mbs_status st = mbs_share_parse(o->shard, &r.share, err);
    st = st == MBS_OK ? run_plan(&r, plan, err) : st;
    mbs_watch_stop(watch);
    mbs_sched_clear(&r.sched);
    mbs_journal_free(&r.loaded);
    mbs_buf_free(&r.identity);
    mbs_shard_out_free(r.shard);
    mbs_stages_free(&r.stages);
    return st;
}

/* A pipeline, and what is said of it on the command line or by its shards. */
typedef struct job_source {
    const char *pipeline;
    const mbs_plan_set *sets;
    int n_sets;
    mbs_merge *merge; /* NULL: it runs */
} job_source;

/* A writer path with {stem} in it makes one job of each input, all with one load of the model. */
static mbs_status run_jobs(const mbs_run_options *o, mbs_run_result *result, mbs_engine *engine, const mbs_plan *plan,
                           const job_source *from, mbs_registry *registry, mbs_err *err) {
    mbs_stem_jobs jobs;
    mbs_status st = mbs_stem_jobs_make(plan, from->sets, from->n_sets, &jobs, err);
    if (st == MBS_OK && from->merge && jobs.n != 1) {
        mbs_fail(err, MBS_ERR_USAGE, "merge",
                 "{stem} is a file for each of %d inputs, and these shards made one of all", jobs.n);
        mbs_err_fix(err, "name one file, as in -o merged.tsv");
        st = MBS_ERR_USAGE;
    }
    for (int i = 0; i < jobs.n && st == MBS_OK; i++) {
        mbs_plan *job = NULL;
        mbs_buf ignored = MBS_BUF_INIT; /* the first plan has said all there is to say */
        st = mbs_plan_load(from->pipeline, jobs.sets[i], jobs.n_sets[i], registry, &job, &ignored, err);
        if (st == MBS_OK) {
            if (result->summary.len) {
                mbs_log(MBS_LOG_INFO, "%s", mbs_buf_str(&result->summary));
                mbs_buf_clear(&result->summary);
            }
            st = run_job(o, result, engine, job, jobs.sets[i], jobs.n_sets[i], from->merge, err);
        }
        mbs_buf_free(&ignored);
        mbs_plan_free(job);
    }
    mbs_stem_jobs_free(&jobs);
    return st;
}

static mbs_status run_loaded(const mbs_run_options *o, mbs_run_result *result, const job_source *from, mbs_err *err) {
    mbs_registry *registry = mbs_registry_new(NULL, 0, err);
    mbs_engine engine;
    memset(&engine, 0, sizeof(engine));
    engine.worker = o->worker;
    mbs_plan *plan = NULL;
    mbs_status st = registry ? MBS_OK : err->status;
    if (st == MBS_OK) {
        st = mbs_plan_load(from->pipeline, from->sets, from->n_sets, registry, &plan, &result->diags, err);
    }
    if (st == MBS_OK) {
        st = mbs_suffixes_check(plan, registry, err);
    }
    if (st == MBS_OK) {
        st = mbs_stem_wanted(plan) ? run_jobs(o, result, &engine, plan, from, registry, err)
                                   : run_job(o, result, &engine, plan, from->sets, from->n_sets, from->merge, err);
    }
    mbs_engine_free(&engine);
    mbs_plan_free(plan);
    mbs_registry_free(registry);
    return st;
}

/* The pipeline of the shards once more, with what the command line says of outputs. */
static mbs_status run_merge(const mbs_run_options *o, mbs_run_result *result, mbs_err *err) {
    mbs_merge *merge = NULL;
    mbs_status st = mbs_merge_open(o->parts, o->n_parts, &merge, err);
    if (st != MBS_OK) {
        return st;
    }
    int n = 0;
    const mbs_plan_set *theirs = mbs_merge_sets(merge, &n);
    mbs_plan_set *sets = mbs_calloc((size_t)(n + o->n_sets) + 1, sizeof(*sets));
    if (!sets) {
        st = mbs_fail_memory(err, "merge", 0);
    } else {
        memcpy(sets, theirs, (size_t)n * sizeof(*sets));
        memcpy(sets + n, o->sets, (size_t)o->n_sets * sizeof(*sets));
        job_source from = {mbs_merge_pipeline(merge), sets, n + o->n_sets, merge};
        st = run_loaded(o, result, &from, err);
    }
    mbs_free(sets);
    mbs_merge_free(merge);
    return st;
}

mbs_status mbs_run_pipeline(const mbs_run_options *options, mbs_run_result *result, mbs_err *err) {
    memset(result, 0, sizeof(*result));
    job_source from = {options->pipeline, options->sets, options->n_sets, NULL};
    return options->n_parts ? run_merge(options, result, err) : run_loaded(options, result, &from, err);
}
