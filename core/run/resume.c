/* What a journal must agree with, and what makes a run not resumable. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/path.h"
#include "mambaseq/version.h"
#include "plug/params.h"
#include "run/inputs.h"

enum { FROM_STDIN = 1, FROM_PIPE = 2 };

/* What cannot be read again. */
static void note_stream(void *ctx, const char *path) {
    struct stat sb;
    if (mbs_path_is_std(path)) {
        *(int *)ctx |= FROM_STDIN;
    } else if (stat(path, &sb) == 0 && !S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode)) {
        *(int *)ctx |= FROM_PIPE;
    }
}

const char *mbs_stages_not_resumable(const mbs_stages *s) {
    int from = 0;
    if (s->merging) {
        return "merge begins anew";
    }
    mbs_inputs_each(s->plan->reader, note_stream, &from);
    if (from) {
        return from & FROM_STDIN ? "the input comes from standard input" : "an input is a device or a pipe";
    }
    for (int i = 0; i < s->n_writers; i++) {
        if (!mbs_instance_can_checkpoint(s->writers[i])) {
            return "a writer goes to standard output or cannot continue a file";
        }
    }
    for (int i = 0; i < mbs_outputs_count(s->outputs); i++) {
        if (mbs_outputs_direct(s->outputs, i)) {
            return "an output is a device or a pipe";
        }
    }
    return mbs_outputs_count(s->outputs) == 0 ? "no output is a file" : NULL;
}

/* A changed input is recognised by its size and time, as make does; hashing a genome would cost more than it saves. */
static void add_input(void *ctx, const char *path) {
    struct stat sb;
    char text[4400];
    if (stat(path, &sb) == 0) {
        (void)snprintf(text, sizeof(text), "%s (%lld bytes, modified %lld.%09ld)", path, (long long)sb.st_size,
                       (long long)sb.st_mtim.tv_sec, sb.st_mtim.tv_nsec);
    } else {
        (void)snprintf(text, sizeof(text), "%s", path);
    }
    mbs_journal_add_identity(ctx, "input", text);
}

static void add_plugin(mbs_buf *out, const mbs_plan_stage *stage) {
    char text[512];
    (void)snprintf(text, sizeof(text), "%s %s", stage->desc->id, stage->desc->version);
    mbs_journal_add_identity(out, "plugin", text);
}

/* What the journal calls what a run's models are. */
static const struct {
    const char *arithmetic, *dtype, *weights;
} of_model[] = {
    {"arithmetic", "dtype of the weights", "model"},
    {"arithmetic of the second model", "dtype of the second model", "second model"},
};
_Static_assert(sizeof of_model / sizeof *of_model == MBS_PLAN_MODELS, "each model of a run has its words");

mbs_status mbs_stages_identity(mbs_stages *s, mbs_buf *out, mbs_err *err) {
    mbs_buf text = MBS_BUF_INIT;
    mbs_plan_canonical(s->plan, &text);
    mbs_journal_add_identity(out, "version", MBS_VERSION);
    for (int i = 0; i < s->n_models && s->models[i].model; i++) {
        /* Before the pipeline, which names them too, but less shortly and not what auto came to. */
        mbs_journal_add_identity(out, of_model[i].arithmetic, mbs_model_arithmetic(s->models[i].model));
        mbs_journal_add_identity(out, of_model[i].dtype, mbs_model_dtype(s->models[i].model));
    }
    mbs_journal_add_identity(out, "pipeline", mbs_buf_str(&text));
    mbs_buf_free(&text);
    for (int i = 0; i < s->n_models && s->models[i].model; i++) {
        const char *sha = mbs_model_sha256(s->models[i].model, err);
        if (!sha) {
            return err->status;
        }
        mbs_journal_add_identity(out, of_model[i].weights, sha);
    }
    char tokenizer[65];
    mbs_status st = mbs_inputs_tokenizer_sha256(s, tokenizer, err);
    if (st != MBS_OK) {
        return st;
    }
    mbs_journal_add_identity(out, "tokenizer", tokenizer);
    mbs_inputs_each(s->plan->reader, add_input, out);
    if (s->plan->task == MBS_TASK_GENERATE && mbs_params_string(s->plan->models[0], "state")) {
        add_input(out, mbs_params_string(s->plan->models[0], "state"));
    }
    if (s->plan->reader) {
        add_plugin(out, s->plan->reader);
    }
    if (s->plan->codec) {
        add_plugin(out, s->plan->codec);
    }
    for (int i = 0; i < s->plan->n_writers; i++) {
        add_plugin(out, &s->plan->writers[i]);
    }
    for (int i = 0; i < mbs_outputs_count(s->outputs); i++) {
        mbs_journal_add_identity(out, "output", mbs_outputs_path(s->outputs, i));
    }
    return out->failed ? mbs_fail_memory(err, "journal", out->len) : MBS_OK;
}
