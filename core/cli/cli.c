/* cli.c - what commands share. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

int mbs_cli_fail(const mbs_err *err) {
    mbs_log_err(err);
    return mbs_exit_code(err->status);
}

mbs_status mbs_cli_stdout_failed(int errnum, mbs_err *err) {
    mbs_fail_errno(err, MBS_ERR_IO, errnum ? errnum : EIO, "standard output", "cannot write");
    mbs_err_fix(err, "what was printed is not complete");
    return MBS_ERR_IO;
}

mbs_status mbs_cli_print(const mbs_buf *text, mbs_err *err) {
    if (text->failed) {
        return mbs_fail_memory(err, NULL, text->cap);
    }
    if (fwrite(mbs_buf_str(text), 1, text->len, stdout) != text->len) {
        return mbs_cli_stdout_failed(errno, err);
    }
    return MBS_OK;
}

void mbs_cli_diags(const mbs_buf *diags) {
    fwrite(mbs_buf_str(diags), 1, diags->len, stderr);
}

mbs_progress_mode mbs_cli_progress(const mbs_opt_values *v) {
    const char *word = mbs_opt_text(v, MBS_OPT_PROGRESS);
    if (word && strcmp(word, "json") == 0) {
        return MBS_PROGRESS_JSON;
    }
    if (word && strcmp(word, "always") == 0) {
        return MBS_PROGRESS_ALWAYS;
    }
    int never = (word && strcmp(word, "never") == 0) || mbs_opt_told(v, MBS_OPT_QUIET);
    return never ? MBS_PROGRESS_NEVER : MBS_PROGRESS_AUTO;
}

/* "KEY=VALUE" without the value: allocated. */
static char *key_of(const char *assignment) {
    return mbs_strndup(assignment, strcspn(assignment, "="));
}

/* Options that are a value of the pipeline under a shorter name, for the commands that take a pipeline. */
static const struct {
    mbs_opt_id id;
    const char *path;
    const char *origin; /* how messages call it */
} short_for[] = {
    {MBS_OPT_INPUT, "reader.path", "-i"},         {MBS_OPT_MODEL, "model.path", "-m"},
    {MBS_OPT_OUTPUT, "writer.path", "-o"},        {MBS_OPT_CHUNK, "model.chunk", "--chunk"},
    {MBS_OPT_DEVICE, "model.device", "--device"}, {MBS_OPT_MAX_MEMORY, "model.max_memory", "--max-memory"},
};

/* 1 where the option is an override of the pipeline, 0 where it is none, -1 without memory. */
static int set_from(const mbs_opt_given *g, mbs_plan_set *set) {
    if (g->option->id == MBS_OPT_SET) {
        *set = (mbs_plan_set){key_of(g->value), strchr(g->value, '=') + 1, 0, "--set"};
        return set->path ? 1 : -1;
    }
    for (size_t i = 0; i < sizeof short_for / sizeof short_for[0]; i++) {
        if (short_for[i].id == g->option->id && (g->option->commands & (MBS_IN(MBS_CMD_RUN) | MBS_IN(MBS_CMD_TRAIN)))) {
            *set = (mbs_plan_set){mbs_strdup(short_for[i].path), g->value, g->option->id == MBS_OPT_CHUNK ? 2 : 1,
                                  short_for[i].origin};
            return set->path ? 1 : -1;
        }
    }
    return 0;
}

mbs_status mbs_cli_sets(const mbs_opt_values *v, mbs_plan_set **sets, int *n, mbs_err *err) {
    *n = 0;
    *sets = mbs_calloc((size_t)v->n_given + 1, sizeof **sets);
    if (!*sets) {
        return mbs_fail_memory(err, NULL, (size_t)v->n_given * sizeof **sets);
    }
    /* What has an option of its own comes after every --set: `-o FILE --set 'writer={...}'` writes to FILE. */
    for (int i = 0; i < 2 * v->n_given; i++) {
        const mbs_opt_given *g = &v->given[i % v->n_given];
        if ((g->option->id == MBS_OPT_SET) != (i < v->n_given)) {
            continue;
        }
        int made = set_from(g, &(*sets)[*n]);
        if (made < 0) {
            mbs_cli_sets_free(*sets, *n);
            *sets = NULL;
            *n = 0;
            return mbs_fail_memory(err, NULL, strlen(g->value));
        }
        *n += made;
    }
    return MBS_OK;
}

void mbs_cli_sets_free(mbs_plan_set *sets, int n) {
    for (int i = 0; i < n; i++) {
        mbs_free((void *)(uintptr_t)sets[i].path);
    }
    mbs_free(sets);
}
