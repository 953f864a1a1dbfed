/* cmd_bench.c - `mambaseq bench`: the machine, the kernels, whole models. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/thread.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "model/backend.h"
#include "opt/value.h"
#include "run/shape_file.h"

#define MOST_LENGTHS 32
#define MOST_TOKENS ((int64_t)1 << 32)

/* Calls `take` for each word between commas. */
static mbs_status each(const char *list, mbs_status (*take)(void *arg, const char *word, mbs_err *err), void *arg,
                       mbs_err *err) {
    char word[64];
    for (;;) {
        size_t len = strcspn(list, ",");
        snprintf(word, sizeof word, "%.*s", len < sizeof word ? (int)len : (int)sizeof word - 1, list);
        mbs_status st = take(arg, word, err);
        if (st != MBS_OK || list[len] == '\0') {
            return st;
        }
        list += len + 1;
    }
}

static mbs_status take_work(void *arg, const char *word, mbs_err *err) {
    unsigned *works = arg;
    int i;
    mbs_buf why = MBS_BUF_INIT;
    mbs_status st = MBS_OK;
    if (mbs_value_enum(word, mbs_bench_works, &i, &why) != 0) {
        st = mbs_fail(err, MBS_ERR_USAGE, "--work", "%s", mbs_buf_str(&why));
    } else {
        *works |= 1u << i;
    }
    mbs_buf_free(&why);
    return st;
}

typedef struct lengths {
    int64_t at[MOST_LENGTHS];
    int n;
} lengths;

static mbs_status take_length(void *arg, const char *word, mbs_err *err) {
    lengths *l = arg;
    int64_t n = 0;
    mbs_buf why = MBS_BUF_INIT;
    mbs_status st = MBS_OK;
    if (l->n == MOST_LENGTHS) {
        st = mbs_fail(err, MBS_ERR_USAGE, "--length", "more than %d lengths", MOST_LENGTHS);
    } else if (mbs_value_size(word, &n, &why) != 0 ||
               mbs_value_range(word, (double)n, 1, (double)MOST_TOKENS, "tokens", &why) != 0) {
        st = mbs_fail(err, MBS_ERR_USAGE, "--length", "%s", mbs_buf_str(&why));
    } else {
        l->at[l->n++] = n;
    }
    mbs_buf_free(&why);
    return st;
}

static mbs_status take_seconds(const mbs_opt_values *v, double *out, mbs_err *err) {
    mbs_buf why = MBS_BUF_INIT;
    const char *text = mbs_opt_text(v, MBS_OPT_SECONDS);
    mbs_status st = MBS_OK;
    if (mbs_value_duration(text, out, &why) != 0 || mbs_value_range(text, *out, 0, 86400, "seconds", &why) != 0) {
        st = mbs_fail(err, MBS_ERR_USAGE, "--seconds", "%s", mbs_buf_str(&why));
    }
    mbs_buf_free(&why);
    return st;
}

static mbs_status take_level(const mbs_opt_values *v, mbk_level *out, mbs_err *err) {
    return mbs_backend_level(mbs_opt_text(v, MBS_OPT_LEVEL), "--cpu", out, err);
}

static mbs_status take_shape(const char *name, mbs_shape *shape, mbs_err *err) {
    mbs_buf diags = MBS_BUF_INIT;
    mbs_status st = mbs_shape_load(name, NULL, 0, shape, &diags, err);
    mbs_cli_diags(&diags);
    mbs_buf_free(&diags);
    return st;
}

/* Tokens in a second of the sound that a model folder was trained on; 0 where it does not say. */
static mbs_status folder_rate(const char *folder, double *out, mbs_err *err) {
    char *path = mbs_path_join(folder, "preprocessor_config.json");
    mbs_json *doc = NULL;
    mbs_err why = {0};
    *out = 0;
    if (!path) {
        return mbs_fail_memory(err, folder, strlen(folder));
    }
    mbs_status st = mbs_path_exists(path) ? mbs_json_load(path, MBS_JSON_MAX, &doc, err) : MBS_OK;
    if (doc) {
        const mbs_json *params = mbs_json_object(doc, "mambaseq_codec_params", &why);
        const int words = strcmp(mbs_json_string(doc, "mambaseq_codec", "", &why), "pcm") == 0 &&
                          strcmp(mbs_json_string(params, "bits", "8", &why), "16") == 0; /* two tokens a sample */
        *out = mbs_json_double(doc, "sampling_rate", 0, &why) * (words ? 2 : 1);
    }
    mbs_json_free(doc);
    mbs_free(path);
    return st;
}

/* Nothing is written, so a signal need not be waited for: it ends the program as it would any other. */
static void die_of_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old;
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            signal(signals[i], SIG_DFL);
        }
    }
}

static mbs_status options(const mbs_opt_values *v, mbs_bench_options *o, mbs_shape *shape, lengths *l, char **folder,
                          mbs_err *err) {
    const char *model = mbs_opt_text(v, MBS_OPT_MODEL);
    if (model && mbs_opt_told(v, MBS_OPT_SHAPE)) {
        return mbs_fail(err, MBS_ERR_USAGE, NULL, "--model and --shape exclude each other");
    }
    o->threads = (int)mbs_opt_number(v, MBS_OPT_THREADS, mbs_threads_available());
    o->repeat = (int)mbs_opt_number(v, MBS_OPT_REPEAT, 5);
    o->held.dtype = mbs_opt_text(v, MBS_OPT_DTYPE);
    o->held.math = mbs_opt_text(v, MBS_OPT_MATH);
    o->shape = model ? model : mbs_opt_text(v, MBS_OPT_SHAPE);
    mbs_status st = each(mbs_opt_text(v, MBS_OPT_WORK), take_work, &o->works, err);
    st = st < 0 ? st : each(mbs_opt_text(v, MBS_OPT_LENGTH), take_length, l, err);
    st = st < 0 ? st : take_seconds(v, &o->seconds, err);
    const char *device = mbs_opt_text(v, MBS_OPT_DEVICE);
    o->device = device && strcmp(device, "cpu") != 0 ? device : NULL;
    if (st >= 0 && o->device && mbs_opt_told(v, MBS_OPT_LEVEL)) {
        st = mbs_fail(err, MBS_ERR_USAGE, NULL, "--cpu and --device exclude each other");
    }
    st = st < 0 ? st : take_level(v, &o->level, err);
    o->rate = (double)mbs_opt_number(v, MBS_OPT_RATE, 0);
    o->lengths = l->at;
    o->n_lengths = l->n;
    if (st < 0) {
        return st;
    }
    if (model) {
        *folder = mbs_path_resolve(model);
        o->folder = *folder;
        if (!*folder) {
            return mbs_fail_memory(err, model, strlen(model));
        }
        return o->rate > 0 ? MBS_OK : folder_rate(*folder, &o->rate, err);
    }
    o->cfg = &shape->cfg;
    return take_shape(o->shape, shape, err);
}

int mbs_cmd_bench(const mbs_opt_values *v) {
    mbs_err err;
    mbs_shape shape;
    mbs_bench bench;
    lengths l = {.n = 0};
    char *folder = NULL;
    mbs_bench_options o = {0};
    mbs_buf text = MBS_BUF_INIT;
    mbs_err_clear(&err);
    memset(&bench, 0, sizeof bench);
    mbs_status st = options(v, &o, &shape, &l, &folder, &err);
    if (st >= 0) {
        die_of_signals();
        st = mbs_bench_run(&o, &bench, &err);
    }
    if (st >= 0) {
        if (bench.machine.others > 0.1) {
            mbs_log(MBS_LOG_WARNING, "other programs used %.1f CPUs meanwhile: measure again on a quiet machine",
                    bench.machine.others);
        }
        (mbs_opt_told(v, MBS_OPT_JSON) ? mbs_bench_json : mbs_bench_table)(&bench, &text);
        st = mbs_cli_print(&text, &err);
    }
    mbs_buf_free(&text);
    mbs_bench_free(&bench);
    mbs_free(folder);
    return st < 0 ? mbs_cli_fail(&err) : 0;
}
