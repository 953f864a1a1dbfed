#include "run/stem.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "plug/params.h"

#define STEM "{stem}"

/* The path that a writer writes, or NULL. */
static const char *writer_path(const mbs_plan_stage *w, const char **key) {
    for (uint32_t i = 0; i < w->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(w->desc->params, w->desc->n_params, i);
        if (row->flags & MBS_PARAM_F_OUTPUT) {
            *key = row->key;
            return mbs_params_string(w->params, row->key);
        }
    }
    return NULL;
}

int mbs_stem_wanted(const mbs_plan *plan) {
    const char *key = NULL;
    for (int i = 0; i < plan->n_writers; i++) {
        const char *path = writer_path(&plan->writers[i], &key);
        if (path && strstr(path, STEM)) {
            return 1;
        }
    }
    return 0;
}

static char *replace_stem(mbs_arena *a, const char *path, const char *stem) {
    mbs_buf b = MBS_BUF_INIT;
    for (const char *at; (at = strstr(path, STEM)) != NULL; path = at + strlen(STEM)) {
        mbs_buf_append(&b, path, (size_t)(at - path));
        mbs_buf_puts(&b, stem);
    }
    mbs_buf_puts(&b, path);
    char *out = b.failed ? NULL : mbs_arena_strdup(a, mbs_buf_str(&b));
    mbs_buf_free(&b);
    return out;
}

/* "head.key" or "head.2.key". */
static char *dotted(mbs_arena *a, const char *head, int index, const char *key) {
    char text[128];
    if (index < 0) {
        (void)snprintf(text, sizeof(text), "%s.%s", head, key);
    } else {
        (void)snprintf(text, sizeof(text), "%s.%d.%s", head, index, key);
    }
    return mbs_arena_strdup(a, text);
}

/* Two inputs of one stem would write one file. */
static mbs_status check_stems(const mbs_plan_stage *reader, const char *key, mbs_err *err) {
    int64_t n = mbs_params_count(reader->params, key);
    for (int64_t i = 0; i < n; i++) {
        char *a = mbs_path_stem(mbs_params_item(reader->params, key, i));
        for (int64_t k = 0; a && k < i; k++) {
            char *b = mbs_path_stem(mbs_params_item(reader->params, key, k));
            int same = b && strcmp(a, b) == 0;
            mbs_free(b);
            if (same) {
                mbs_fail(err, MBS_ERR_USAGE, reader->label,
                         "'%s' and '%s' have the same {stem}, '%s', and would share an output",
                         mbs_params_item(reader->params, key, k), mbs_params_item(reader->params, key, i), a);
                mbs_err_fix(err, "rename one of them, or run them one by one");
                mbs_free(a);
                return MBS_ERR_USAGE;
            }
        }
        mbs_free(a);
    }
    return MBS_OK;
}

/* Standard output, a pipe or a device: what several inputs write there stands one behind the other. */
static int streams(const char *path) {
    struct stat sb;
    return mbs_path_is_std(path) || (stat(path, &sb) == 0 && !S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode));
}

/* Whether a writer can leave out the line of names that its text begins with. */
static int has_header(const mbs_plan_stage *w) {
    const mbs_param *row = mbs_param_find(w->desc->params, w->desc->n_params, "header");
    return row && row->type == MBS_PARAM_BOOL;
}

/* A writer whose path is without {stem}: to a file the second input would be in the way of the first, and two files one
 * behind the other are none but where only their headers are in the way. */
static mbs_status check_shared(const mbs_plan *plan, int64_t n, mbs_err *err) {
    for (int w = 0; w < plan->n_writers && n > 1; w++) {
        const char *key = NULL;
        const mbs_plan_stage *writer = &plan->writers[w];
        const char *path = writer_path(writer, &key);
        if (!path || strstr(path, STEM) || (streams(path) && (has_header(writer) || !mbs_path_is_std(path)))) {
            continue;
        }
        mbs_fail(err, MBS_ERR_USAGE, writer->label, "%lld inputs have outputs of their own, and all would write %s",
                 (long long)n, mbs_path_is_std(path) ? "a file to standard output" : path);
        const char *suffix = writer->desc->suffixes ? writer->desc->suffixes : "";
        mbs_err_fix(err, "put {stem} into its path, --set 'writer.%d.%s={stem}%.*s', or run them one by one", w, key,
                    (int)strcspn(suffix, " "), suffix);
        return MBS_ERR_USAGE;
    }
    return MBS_OK;
}

/* The sets of one job: the input, the path of every writer, and that a stream has one header; how many in *n. */
static int make_job(const mbs_plan *plan, const char *key, int64_t i, mbs_plan_set *own, int *n, mbs_arena *arena) {
    const char *input = mbs_params_item(plan->reader->params, key, i);
    char *stem = mbs_path_stem(mbs_path_is_std(input) ? "stdin" : input);
    char *shown = mbs_path_shown(input); /* as outputs name it, wherever a share lies */
    own[0] =
        (mbs_plan_set){dotted(arena, "reader", -1, key), shown ? mbs_arena_strdup(arena, shown) : NULL, 1, "{stem}"};
    int ok = stem && own[0].path && own[0].value;
    *n = 1;
    for (int w = 0; ok && w < plan->n_writers; w++) {
        const char *out_key = "path";
        const char *path = writer_path(&plan->writers[w], &out_key);
        char *to = replace_stem(arena, path ? path : "", stem);
        int at = plan->n_writers > 1 ? w : -1;
        own[*n] = (mbs_plan_set){dotted(arena, "writer", at, out_key), to, 1, "{stem}"};
        ok = own[(*n)++].path && to;
        if (ok && i > 0 && streams(to) && has_header(&plan->writers[w])) {
            own[*n] = (mbs_plan_set){dotted(arena, "writer", at, "header"), "false", 1, "{stem}"};
            ok = own[(*n)++].path != NULL;
        }
    }
    mbs_free(shown);
    mbs_free(stem);
    return ok;
}

mbs_status mbs_stem_jobs_make(const mbs_plan *plan, const mbs_plan_set *sets, int n_sets, mbs_stem_jobs *out,
                              mbs_err *err) {
    memset(out, 0, sizeof(*out));
    const char *key = mbs_plan_inputs_key(plan->reader);
    if (!key) {
        mbs_fail(err, MBS_ERR_CONFIG, "writer", "{stem} needs a reader of files");
        return MBS_ERR_CONFIG;
    }
    int64_t n = mbs_params_count(plan->reader->params, key);
    mbs_status st = check_stems(plan->reader, key, err);
    st = st == MBS_OK ? check_shared(plan, n, err) : st;
    if (st != MBS_OK) {
        return st;
    }
    out->arena = mbs_arena_new();
    out->n_sets = out->arena ? mbs_arena_alloc(out->arena, (size_t)n * sizeof(*out->n_sets)) : NULL;
    out->sets = out->arena ? mbs_arena_alloc(out->arena, (size_t)n * sizeof(*out->sets)) : NULL;
    int ok = out->sets && out->n_sets;
    for (int64_t i = 0; ok && i < n; i++) {
        out->sets[i] = mbs_arena_alloc(out->arena, (size_t)(n_sets + 1 + 2 * plan->n_writers) * sizeof(**out->sets));
        ok = out->sets[i] != NULL;
        if (ok && n_sets) {
            memcpy(out->sets[i], sets, (size_t)n_sets * sizeof(*sets));
        }
        int own = 0;
        ok = ok && make_job(plan, key, i, out->sets[i] + n_sets, &own, out->arena);
        out->n_sets[i] = n_sets + own;
    }
    out->n = ok ? (int)n : 0;
    return ok ? MBS_OK : mbs_fail_memory(err, "run", 0);
}

void mbs_stem_jobs_free(mbs_stem_jobs *jobs) {
    mbs_arena_free(jobs->arena);
    memset(jobs, 0, sizeof(*jobs));
}
