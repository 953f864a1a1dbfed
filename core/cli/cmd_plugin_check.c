/* cmd_plugin_check.c - `mambaseq plugin check`: results for people as they come, for programs as one document. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/plugin_text.h"
#include "cli/report.h"
#include "plug/check/check.h"

typedef struct shown {
    const mbs_opt_values *v;
    const mbs_check_options *o;
    int json;
    int n;
    int untold;      /* tests left out of the list because they need one that failed */
    char group[128]; /* the descriptor at hand */
    mbs_buf out;     /* JSON so far */
    mbs_buf failed;  /* ids */
    mbs_err err;
} shown;

/* A word as a shell takes it back. */
static void put_word(mbs_buf *out, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-:=,@%";
    if (word[0] && strspn(word, plain) == strlen(word)) {
        mbs_buf_puts(out, word);
        return;
    }
    mbs_buf_putc(out, '\'');
    for (; *word; word++) {
        if (*word == '\'') {
            mbs_buf_puts(out, "'\\''");
        } else {
            mbs_buf_putc(out, *word);
        }
    }
    mbs_buf_putc(out, '\'');
}

/* The command that runs one test again where a debugger can look. */
static void put_again(mbs_buf *out, const shown *s, const char *test) {
    mbs_buf_puts(out, "gdb --args ");
    put_word(out, s->v->argc > 0 ? s->v->argv[0] : "mambaseq");
    mbs_buf_puts(out, " plugin check ");
    put_word(out, s->o->file);
    if (s->o->sample) {
        mbs_buf_puts(out, " --sample ");
        put_word(out, s->o->sample);
    }
    for (int i = 0; i < s->o->n_params; i++) {
        mbs_buf_puts(out, " --param ");
        put_word(out, s->o->params[i]);
    }
    mbs_buf_printf(out, " --only %s --in-process --seed %" PRIu64, test, s->o->seed);
}

static const char *word_of(mbs_check_verdict v) {
    return v == MBS_CHECK_PASSED ? "passed" : v == MBS_CHECK_FAILED ? "failed" : "not checked";
}

static void put_json(shown *s, const mbs_check_case *c) {
    mbs_buf again = MBS_BUF_INIT;
    mbs_buf_printf(&s->out, "%s{\"test\": ", s->n ? ", " : "");
    mbs_json_put_string(&s->out, c->test->id);
    mbs_json_member(&s->out, "kind", c->kind);
    mbs_json_member(&s->out, "id", c->id);
    mbs_json_member(&s->out, "result", word_of(c->verdict));
    mbs_json_member(&s->out, "what", c->what[0] ? c->what : NULL);
    mbs_json_member(&s->out, "meaning", c->test->meaning);
    mbs_json_member(&s->out, "hint", c->verdict == MBS_CHECK_FAILED ? c->test->hint : NULL);
    if (c->verdict == MBS_CHECK_FAILED) {
        put_again(&again, s, c->test->id);
    }
    mbs_json_member(&s->out, "again", again.len ? mbs_buf_str(&again) : NULL);
    mbs_buf_printf(&s->out, ", \"seconds\": %.3f}", c->seconds);
    mbs_buf_free(&again);
}

/* After a failure everything that builds on it would fill the screen with its own line. */
static int goes_without_saying(const shown *s, const mbs_check_case *c) {
    return c->verdict == MBS_CHECK_NOT_CHECKED && s->failed.len > 0 &&
           (mbs_text_ends(c->what, " did not pass") || mbs_text_ends(c->what, " was not checked"));
}

static void put_words(shown *s, const mbs_check_case *c) {
    if (goes_without_saying(s, c)) {
        s->untold++;
        return;
    }
    mbs_buf out = MBS_BUF_INIT;
    char group[sizeof s->group] = "";
    if (c->kind) {
        (void)snprintf(group, sizeof group, "%s '%.80s'", c->kind, c->id);
    }
    if (strcmp(group, s->group) != 0) {
        mbs_buf_printf(&out, "%s\n", group);
        (void)snprintf(s->group, sizeof s->group, "%s", group);
    }
    const char *verdict = c->verdict == MBS_CHECK_FAILED   ? "FAIL"
                          : c->verdict == MBS_CHECK_PASSED ? "pass"
                                                           : "not checked";
    mbs_buf_printf(&out, "  %-11s  %-16s  ", verdict, c->test->id);
    mbs_report_escaped(&out, c->verdict == MBS_CHECK_PASSED ? c->test->meaning : c->what);
    mbs_buf_putc(&out, '\n');
    if (c->verdict == MBS_CHECK_FAILED) {
        mbs_buf_printf(&out, "%15smeaning: %s\n%15shint:    %s\n%15sagain:   ", "", c->test->meaning, "", c->test->hint,
                       "");
        put_again(&out, s, c->test->id);
        mbs_buf_putc(&out, '\n');
    }
    if (s->err.status == MBS_OK && mbs_cli_print(&out, &s->err) == MBS_OK) {
        (void)fflush(stdout);
    }
    mbs_buf_free(&out);
}

static void one_done(void *sink, const mbs_check_case *c) {
    shown *s = sink;
    if (c->verdict == MBS_CHECK_FAILED) {
        mbs_buf_printf(&s->failed, "%s%s", s->failed.len ? ", " : "", c->test->id);
    }
    if (s->json) {
        put_json(s, c);
    } else {
        put_words(s, c);
    }
    s->n++;
}

static void put_sum(shown *s, const mbs_check_sum *sum) {
    if (s->json) {
        mbs_buf_printf(&s->out,
                       "], \"passed\": %d, \"failed\": %d, \"not_checked\": %d, \"seed\": %" PRIu64 ", \"file\": ",
                       sum->passed, sum->failed, sum->not_checked, s->o->seed);
        mbs_json_put_string(&s->out, sum->path);
        mbs_buf_puts(&s->out, "}\n");
    } else {
        mbs_buf_printf(&s->out, "%d tests: %d passed, %d failed, %d not checked", s->n, sum->passed, sum->failed,
                       sum->not_checked);
        if (s->untold > 0) {
            mbs_buf_printf(&s->out, ", %d of them because they need what failed", s->untold);
        }
        mbs_buf_putc(&s->out, '\n');
    }
}

static const struct {
    unsigned kind;
    const char *name;
} kinds[] = {{MBS_CHECK_READER, "reader"}, {MBS_CHECK_CODEC, "codec"}, {MBS_CHECK_WRITER, "writer"}};

static int list_tests(int json) {
    mbs_err err;
    mbs_buf out = MBS_BUF_INIT;
    int n = 0;
    const mbs_check_test *tests = mbs_check_tests(&n);
    mbs_err_clear(&err);
    mbs_buf_puts(&out, json ? "{\"tests\": [" : "");
    for (int i = 0; i < n; i++) {
        char of[32] = "library";
        if (tests[i].kinds) {
            of[0] = '\0';
            for (int k = 0; k < 3; k++) {
                if (tests[i].kinds & kinds[k].kind) {
                    size_t len = strlen(of);
                    (void)snprintf(of + len, sizeof of - len, "%s%s", len ? " " : "", kinds[k].name);
                }
            }
        }
        if (json) {
            mbs_buf_printf(&out, "%s{\"test\": \"%s\"", i ? ", " : "", tests[i].id);
            mbs_json_member(&out, "of", of);
            mbs_json_member(&out, "needs", tests[i].needs);
            mbs_json_member(&out, "meaning", tests[i].meaning);
            mbs_json_member(&out, "hint", tests[i].hint);
            mbs_buf_putc(&out, '}');
        } else {
            mbs_buf_printf(&out, "%-16s  %-19s  %s\n", tests[i].id, of, tests[i].meaning);
        }
    }
    mbs_buf_puts(&out, json ? "]}\n" : "");
    mbs_status st = mbs_cli_print(&out, &err);
    mbs_buf_free(&out);
    return st == MBS_OK ? 0 : mbs_cli_fail(&err);
}

static mbs_status take_options(const mbs_opt_values *v, mbs_check_options *o, const char **params, mbs_err *err) {
    *o = (mbs_check_options){.file = mbs_opt_operand(v, 0),
                             .sample = mbs_opt_text(v, MBS_OPT_SAMPLE),
                             .params = params,
                             .only = mbs_opt_text(v, MBS_OPT_ONLY),
                             .in_process = mbs_opt_told(v, MBS_OPT_IN_PROCESS),
                             .seed = (uint64_t)mbs_opt_number(v, MBS_OPT_SEED, 0),
                             .timeout = (double)mbs_opt_number(v, MBS_OPT_TIMEOUT, 30)};
    for (int i = 0; i < v->n_given; i++) {
        if (v->given[i].option->id == MBS_OPT_PARAM) {
            params[o->n_params++] = v->given[i].value;
        }
    }
    if (!o->file) {
        mbs_fail(err, MBS_ERR_USAGE, "plugin check", "FILE is missing: a library (.so), or the id of a plugin");
        mbs_err_fix(err, "mambaseq plugin check FILE; 'mambaseq plugin check --help' explains it");
        return MBS_ERR_USAGE;
    }
    return MBS_OK;
}

int mbs_cmd_plugin_check(const mbs_opt_values *v) {
    mbs_check_options o;
    mbs_check_sum sum;
    shown s = {.v = v, .o = &o, .json = mbs_opt_told(v, MBS_OPT_JSON)};
    if (mbs_opt_told(v, MBS_OPT_LIST)) {
        return list_tests(s.json);
    }
    const char **params = mbs_calloc((size_t)v->n_given + 1, sizeof *params);
    mbs_err_clear(&s.err);
    mbs_status st = params ? take_options(v, &o, params, &s.err) : mbs_fail_memory(&s.err, NULL, 0);
    if (st == MBS_OK) {
        mbs_buf_puts(&s.out, s.json ? "{\"results\": [" : "");
        st = mbs_check_plugin(&o, one_done, &s, &sum, &s.err);
    }
    if (st == MBS_OK) {
        put_sum(&s, &sum);
        st = s.err.status == MBS_OK ? mbs_cli_print(&s.out, &s.err) : s.err.status;
    }
    if (st == MBS_OK && sum.failed) {
        st = mbs_fail(&s.err, MBS_ERR_UNAVAILABLE, sum.path, "%d of %d tests failed: %s", sum.failed, s.n,
                      mbs_buf_str(&s.failed));
    }
    mbs_buf_free(&s.out);
    mbs_buf_free(&s.failed);
    mbs_free(params);
    int code = st == MBS_OK ? 0 : mbs_cli_fail(&s.err);
    if (st == MBS_ERR_STOPPED && mbs_stop_requested()) {
        mbs_stop_raise(mbs_stop_requested()); /* so that a shell loop stops too */
    }
    return code;
}
