/* cmd_eval.c - `mambaseq eval`: what weight types and bf16 math cost on an input, and what baselines make of it, as a
 * table on standard output. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/stop.h"
#include "baseline/baseline.h"
#include "cli/cli.h"
#include "model/format.h"
#include "opt/value.h"
#include "run/eval.h"
#include "run/turned.h"

#define MAX_WORDS 4 /* of a list: each word once */
#define USUAL_SPLIT 0.8

static const char *const dtypes[] = {"auto", "f32", "bf16", "int8"};
static const char dtype_words[] = "auto|f32|bf16|int8"; /* in the same order */
static const char *const maths[] = {"f32", "bf16", "int16", "int8"};
static const char math_words[] = "f32|bf16|int16|int8"; /* in the same order */

/* The words of "a,b": where each stands in `words`, in the order told, every one once. */
static mbs_status read_list(const char *option, const char *text, const char *words, int out[MAX_WORDS], int *n,
                            mbs_err *err) {
    *n = 0;
    for (const char *p = text;;) {
        size_t len = strcspn(p, ",");
        char word[64];
        int at = -1;
        mbs_buf why = MBS_BUF_INIT;
        (void)snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), p);
        if (mbs_value_enum(word, words, &at, &why) != 0) {
            mbs_fail(err, MBS_ERR_USAGE, option, "an item %s", mbs_buf_str(&why));
            mbs_buf_free(&why);
            return MBS_ERR_USAGE;
        }
        mbs_buf_free(&why);
        int known = 0;
        for (int i = 0; i < *n; i++) {
            known |= out[i] == at;
        }
        if (!known) {
            out[(*n)++] = at;
        }
        if (p[len] == '\0') {
            return MBS_OK;
        }
        p += len + 1;
    }
}

static mbs_status read_ways(const mbs_opt_values *v, mbs_model_options ways[MAX_WORDS * MAX_WORDS], int *n,
                            mbs_err *err) {
    int dtype[MAX_WORDS];
    int math[MAX_WORDS];
    int n_dtype = 0;
    int n_math = 0;
    *n = 0;
    mbs_status st = read_list("--dtype", mbs_opt_text(v, MBS_OPT_DTYPE), dtype_words, dtype, &n_dtype, err);
    if (st == MBS_OK) {
        st = read_list("--math", mbs_opt_text(v, MBS_OPT_MATH), math_words, math, &n_math, err);
    }
    for (int m = 0; m < n_math && st == MBS_OK; m++) {
        for (int d = 0; d < n_dtype; d++) {
            const mbs_model_options way = {.dtype = dtypes[dtype[d]], .math = maths[math[m]]};
            if (!mbs_math_whole(way.math) || strcmp(way.dtype, "int8") == 0) {
                ways[(*n)++] = way;
            }
        }
    }
    if (st == MBS_OK && *n == 0) {
        mbs_fail(err, MBS_ERR_CONFIG, "--math", "%s multiplies int8 weights alone", maths[math[0]]);
        mbs_err_fix(err, "take --dtype int8, or --math f32 or bf16");
        return MBS_ERR_CONFIG; /* as a model that is asked so says it */
    }
    return st;
}

/* A tab and the number, or the word that the table writer has for none. */
static void put_bits(mbs_buf *out, double value) {
    if (isnan(value)) {
        mbs_buf_puts(out, "\tnan");
    } else {
        mbs_buf_printf(out, "\t%.6f", fabs(value) < 5e-7 ? 0 : value); /* no "-0.000000" */
    }
}

/* Part of a whole, NaN where there is none. */
static double share(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : NAN;
}

static const char *kind_of(const mbs_eval_result *e) {
    return e->is_baseline ? "baseline" : "model";
}

static void put_table(const mbs_eval_report *r, mbs_buf *out) {
    mbs_buf_printf(out,
                   "dtype\tmath\tarithmetic\ttokens\tscored\tbits_per_%s\tdifference\tlogit_error\tweight_bytes\t"
                   "tokens_per_s\tkind%s%s\n",
                   r->unit, r->has_strands ? "\tbits_plus\tbits_minus" : "",
                   r->has_targets ? "\ttargets\tbits_per_target\taccuracy\trecords\texact_match" : "");
    for (int i = 0; i < r->n; i++) {
        const mbs_eval_result *e = &r->results[i];
        mbs_buf_printf(out, "%s\t%s\t%s\t%lld\t%lld", e->dtype, e->math, e->arithmetic, (long long)e->tokens,
                       (long long)e->scored);
        put_bits(out, e->bits);
        put_bits(out, e->difference);
        if (isnan(e->logit_error)) {
            mbs_buf_puts(out, "\tnan");
        } else {
            mbs_buf_printf(out, "\t%.2e", e->logit_error);
        }
        mbs_buf_printf(out, "\t%lld\t%.0f\t%s", (long long)e->weight_bytes, e->tokens_per_s, kind_of(e));
        if (r->has_strands) {
            put_bits(out, e->plus);
            put_bits(out, e->minus);
        }
        if (r->has_targets) {
            mbs_buf_printf(out, "\t%lld", (long long)e->targets);
            put_bits(out, e->targets ? e->target_bits : NAN);
            put_bits(out, share(e->right, e->targets));
            mbs_buf_printf(out, "\t%lld", (long long)e->records);
            put_bits(out, share(e->exact, e->records));
        }
        mbs_buf_puts(out, "\n");
    }
}

/* Truth by rows, a table for each way; what `train` prints of its held-out part. */
static void put_confusion(const mbs_eval_report *r, const mbs_eval_result *e, mbs_buf *out) {
    mbs_buf_printf(out, r->n > 1 ? "\ntruth %s/%s" : "\ntruth", e->dtype, e->math);
    for (int64_t k = 0; k < r->n_classes; k++) {
        mbs_buf_printf(out, "\t%s", r->classes[k]);
    }
    mbs_buf_puts(out, "\n");
    for (int64_t i = 0; i < r->n_classes; i++) {
        mbs_buf_puts(out, r->classes[i]);
        for (int64_t k = 0; k < r->n_classes; k++) {
            mbs_buf_printf(out, "\t%lld", (long long)e->confusion[i * r->n_classes + k]);
        }
        mbs_buf_puts(out, "\n");
    }
}

static void put_classes(const mbs_eval_report *r, mbs_buf *out) {
    mbs_buf_puts(out, "dtype\tmath\tarithmetic\ttokens\tweight_bytes\ttokens_per_s\tkind\trecords\tlabelled\tright\t"
                      "accuracy\n");
    for (int i = 0; i < r->n; i++) {
        const mbs_eval_result *e = &r->results[i];
        mbs_buf_printf(out, "%s\t%s\t%s\t%lld\t%lld\t%.0f\t%s\t%lld\t%lld\t%lld", e->dtype, e->math, e->arithmetic,
                       (long long)e->tokens, (long long)e->weight_bytes, e->tokens_per_s, kind_of(e),
                       (long long)e->records, (long long)e->targets, (long long)e->right);
        put_bits(out, share(e->right, e->targets));
        mbs_buf_puts(out, "\n");
    }
    for (int i = 0; i < r->n; i++) {
        if (r->results[i].confusion) {
            put_confusion(r, &r->results[i], out);
        }
    }
}

static void put_real(mbs_buf *out, const char *key, double value) {
    mbs_buf_printf(out, ", \"%s\": ", key);
    mbs_json_put_double(out, value);
}

/* Members of a result of task classify. */
static void put_class_json(const mbs_eval_report *r, const mbs_eval_result *e, mbs_buf *out) {
    mbs_buf_printf(out, ", \"records\": %lld, \"labelled\": %lld, \"right\": %lld", (long long)e->records,
                   (long long)e->targets, (long long)e->right);
    put_real(out, "accuracy", share(e->right, e->targets));
    if (!e->confusion) {
        return;
    }
    mbs_buf_puts(out, ", \"confusion\": [");
    for (int64_t i = 0; i < r->n_classes; i++) {
        mbs_buf_puts(out, i ? ", [" : "[");
        for (int64_t k = 0; k < r->n_classes; k++) {
            mbs_buf_printf(out, "%s%lld", k ? ", " : "", (long long)e->confusion[i * r->n_classes + k]);
        }
        mbs_buf_puts(out, "]");
    }
    mbs_buf_puts(out, "]");
}

static void put_json(const char *pipeline, const mbs_eval_report *r, mbs_buf *out) {
    mbs_buf_puts(out, "{\"pipeline\": ");
    mbs_json_put_string(out, pipeline);
    mbs_buf_printf(out, ", \"model_sha256\": \"%s\", \"unit\": ", r->model_sha256);
    mbs_json_put_string(out, r->unit);
    for (int64_t k = 0; k < r->n_classes; k++) {
        mbs_buf_puts(out, k ? ", " : ", \"classes\": [");
        mbs_json_put_string(out, r->classes[k]);
    }
    mbs_buf_puts(out, r->n_classes ? "]" : "");
    mbs_buf_printf(out, ", \"learnt\": %lld, \"results\": [", (long long)r->learnt);
    for (int i = 0; i < r->n; i++) {
        const mbs_eval_result *e = &r->results[i];
        mbs_buf_printf(
            out, "%s{\"dtype\": \"%s\", \"math\": \"%s\", \"arithmetic\": \"%s\", \"tokens\": %lld, \"scored\": %lld",
            i ? ", " : "", e->dtype, e->math, e->arithmetic, (long long)e->tokens, (long long)e->scored);
        put_real(out, "bits", e->bits);
        if (r->has_strands) {
            put_real(out, "bits_plus", e->plus);
            put_real(out, "bits_minus", e->minus);
        }
        put_real(out, "difference", e->difference);
        put_real(out, "logit_error", e->logit_error);
        mbs_buf_printf(out, ", \"weight_bytes\": %lld", (long long)e->weight_bytes);
        put_real(out, "tokens_per_s", e->tokens_per_s);
        mbs_buf_printf(out, ", \"kind\": \"%s\"", kind_of(e));
        if (r->has_targets && !e->is_baseline) {
            mbs_buf_printf(out, ", \"targets\": %lld, \"right\": %lld, \"records\": %lld, \"exact\": %lld",
                           (long long)e->targets, (long long)e->right, (long long)e->records, (long long)e->exact);
            put_real(out, "bits_per_target", e->target_bits);
            put_real(out, "accuracy", share(e->right, e->targets));
            put_real(out, "exact_match", share(e->exact, e->records));
        }
        if (r->n_classes) {
            put_class_json(r, e, out);
        }
        mbs_buf_puts(out, "}");
    }
    mbs_buf_puts(out, "]}\n");
}

/* --baseline, --split and --train. */
static mbs_status read_part(const mbs_opt_values *v, int baselines[MBS_BASELINE_MAX], mbs_eval_options *o,
                            mbs_err *err) {
    const char *list = mbs_opt_text(v, MBS_OPT_BASELINE);
    const char *split = mbs_opt_text(v, MBS_OPT_SPLIT);
    mbs_status st = list ? mbs_baseline_list("--baseline", list, baselines, &o->n_baselines, err) : MBS_OK;
    o->baselines = baselines;
    o->train = mbs_opt_text(v, MBS_OPT_TRAIN);
    if (st == MBS_OK && o->train && !list) {
        st = mbs_fail(err, MBS_ERR_USAGE, "--train", "only baselines learn here, and there is no --baseline");
    } else if (st == MBS_OK && o->train && split) {
        st = mbs_fail(err, MBS_ERR_USAGE, "--train", "with --split baselines learn from the input itself");
        mbs_err_fix(err, "give one of the two");
    }
    o->split = list && !o->train ? USUAL_SPLIT : 0;
    mbs_buf why = MBS_BUF_INIT;
    if (st == MBS_OK && split && (mbs_value_float(split, &o->split, &why) != 0 || !(o->split > 0 && o->split < 1))) {
        st = mbs_fail(err, MBS_ERR_USAGE, "--split", "'%s' is not a part of the input", split);
        mbs_err_fix(err, "give a number between 0 and 1, such as 0.8");
    }
    mbs_buf_free(&why);
    return st;
}

static mbs_status read_strand(const mbs_opt_values *v, mbs_eval_options *o, mbs_err *err) {
    const char *word = mbs_opt_text(v, MBS_OPT_STRAND);
    if (!word) {
        return MBS_OK;
    }
    if (mbs_opt_told(v, MBS_OPT_LIMIT)) {
        return mbs_fail(err, MBS_ERR_USAGE, NULL, "--limit and --strand exclude each other");
    }
    o->strands = word[0] == '+' ? MBS_STRAND_PLUS : word[0] == '-' ? MBS_STRAND_MINUS : 0;
    o->strands = o->strands ? o->strands : MBS_STRAND_PLUS | MBS_STRAND_MINUS;
    return MBS_OK;
}

static mbs_status eval(const mbs_opt_values *v, mbs_err *err) {
    mbs_model_options ways[MAX_WORDS * MAX_WORDS];
    int baselines[MBS_BASELINE_MAX];
    mbs_plan_set *sets = NULL;
    int n_sets = 0;
    mbs_eval_options o = {
        .pipeline = mbs_opt_operand(v, 0),
        .ways = ways,
        .limit = mbs_opt_number(v, MBS_OPT_LIMIT, 0),
        .threads = (int)mbs_opt_number(v, MBS_OPT_THREADS, 0),
        .worker = "/proc/self/exe",
        .progress = mbs_cli_progress(v),
    };
    mbs_eval_report report;
    memset(&report, 0, sizeof report);
    mbs_status st = read_ways(v, ways, &o.n_ways, err);
    if (st == MBS_OK) {
        st = read_part(v, baselines, &o, err);
    }
    st = st == MBS_OK ? read_strand(v, &o, err) : st;
    if (st == MBS_OK) {
        st = mbs_cli_sets(v, &sets, &n_sets, err);
    }
    if (st == MBS_OK) {
        o.sets = sets;
        o.n_sets = n_sets;
        st = mbs_eval_pipeline(&o, &report, err);
        mbs_cli_diags(&report.diags);
    }
    mbs_buf out = MBS_BUF_INIT;
    if (st == MBS_OK && mbs_opt_told(v, MBS_OPT_JSON)) {
        put_json(o.pipeline, &report, &out);
    } else if (st == MBS_OK && report.n_classes) {
        put_classes(&report, &out);
    } else if (st == MBS_OK) {
        put_table(&report, &out);
    }
    st = st == MBS_OK ? mbs_cli_print(&out, err) : st;
    mbs_buf_free(&out);
    mbs_eval_report_free(&report);
    mbs_cli_sets_free(sets, n_sets);
    return st;
}

int mbs_cmd_eval(const mbs_opt_values *v) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_status st = eval(v, &err);
    int code = st == MBS_OK ? 0 : mbs_cli_fail(&err);
    if (st != MBS_OK && mbs_stop_requested()) {
        mbs_stop_raise(mbs_stop_requested());
    }
    return code;
}
