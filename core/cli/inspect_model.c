/* inspect_model.c - what a model folder holds, and how near it comes to expected results. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/inspect.h"
#include "model/backend.h"
#include "model/describe.h"
#include "opt/value.h"

typedef struct fact_sink {
    mbs_report *report;
    mbs_buf tensors; /* JSON: members of an object */
    int all;
} fact_sink;

static const char tensor_key[] = "tensor ";

static void put_fact(void *self, const char *key, const char *value) {
    fact_sink *sink = self;
    size_t n = sizeof tensor_key - 1;
    if (strncmp(key, tensor_key, n) != 0) {
        mbs_report_fact(sink->report, key, value);
    } else if (sink->report->json) {
        mbs_buf_puts(&sink->tensors, sink->tensors.len ? ", " : "{");
        mbs_json_put_string(&sink->tensors, key + n);
        mbs_buf_puts(&sink->tensors, ": ");
        mbs_json_put_string(&sink->tensors, value);
    } else if (sink->all) {
        mbs_report_text(sink->report, key, value);
    }
}

static mbs_status describe(const char *folder, int all, mbs_report *r, mbs_err *err) {
    fact_sink sink = {r, MBS_BUF_INIT, all};
    mbs_status st = mbs_model_describe(folder, put_fact, &sink, err);
    if (sink.tensors.len) {
        mbs_buf_putc(&sink.tensors, '}');
        mbs_report_json(r, "tensor", mbs_buf_str(&sink.tensors));
    }
    r->out.failed |= sink.tensors.failed;
    mbs_buf_free(&sink.tensors);
    return st;
}

static void compared_words(const mbs_compared *c, mbs_buf *out) {
    if (c->note[0]) {
        mbs_buf_printf(out, "not compared: %s", c->note);
        return;
    }
    mbs_buf_printf(out, "largest error %.2e, which is %.2e of the largest value %.4g, over %lld values", c->max_abs,
                   c->max_rel, c->max_ref, (long long)c->count);
    if (c->rows > 0) {
        mbs_buf_printf(out, "; %lld of %lld rows have the same best token", (long long)c->same, (long long)c->rows);
    }
}

static void compared_json(const mbs_compared *c, mbs_buf *out) {
    mbs_buf_puts(out, "{\"name\": ");
    mbs_json_put_string(out, c->name);
    if (c->note[0]) {
        mbs_buf_puts(out, ", \"note\": ");
        mbs_json_put_string(out, c->note);
    } else {
        mbs_buf_printf(out, ", \"values\": %lld, \"max_abs\": ", (long long)c->count);
        mbs_json_put_double(out, c->max_abs);
        mbs_buf_puts(out, ", \"max_ref\": ");
        mbs_json_put_double(out, c->max_ref);
        mbs_buf_puts(out, ", \"max_rel\": ");
        mbs_json_put_double(out, c->max_rel);
        mbs_buf_printf(out, ", \"rows\": %lld, \"same_best\": %lld", (long long)c->rows, (long long)c->same);
    }
    mbs_buf_putc(out, '}');
}

static void report_compared(const mbs_expect_report *found, mbs_report *r) {
    mbs_buf text = MBS_BUF_INIT;
    if (r->json) {
        mbs_buf_putc(&text, '[');
        for (size_t i = 0; i < found->n; i++) {
            mbs_buf_puts(&text, i ? ", " : "");
            compared_json(&found->items[i], &text);
        }
        mbs_buf_putc(&text, ']');
        mbs_report_json(r, "expect", mbs_buf_str(&text));
    }
    for (size_t i = 0; i < found->n && !r->json; i++) {
        mbs_buf_clear(&text);
        compared_words(&found->items[i], &text);
        mbs_report_text(r, found->items[i].name, mbs_buf_str(&text));
    }
    r->out.failed |= text.failed;
    mbs_buf_free(&text);
}

static mbs_status compare(mbk_ctx *ctx, const char *folder, const mbs_inspect_options *o, mbs_report *r, mbs_err *err) {
    mbs_model *model = NULL;
    mbs_expect_report found;
    memset(&found, 0, sizeof found);
    mbs_status st = mbs_model_open_as(folder, &o->format, ctx, &model, err);
    if (st == MBS_OK) {
        mbs_report_text(r, "arithmetic", mbs_model_arithmetic(model));
        mbs_report_text(r, "held_as", mbs_model_dtype(model));
        mbs_report_int(r, "bytes_held", mbs_model_weight_bytes(model));
        st = mbs_model_expect(model, o->expect, &found, err);
        report_compared(&found, r);
        if (st == MBS_OK && found.compared == 0) {
            st = mbs_fail(err, MBS_ERR_DATA, o->expect, "nothing in it could be compared with this model");
        }
        mbs_expect_report_free(&found);
    }
    mbs_model_close(model);
    return st;
}

mbs_status mbs_inspect_model(const char *folder, const mbs_inspect_options *o, mbs_report *r, mbs_err *err) {
    mbs_status st = describe(folder, o->all, r, err);
    if (st != MBS_OK || !o->expect) {
        return st;
    }
    mbk_level level = MBK_LEVEL_REF;
    mbs_backend backend = {0};
    st = mbs_backend_level(NULL, NULL, &level, err);
    st = st < 0 ? st : mbs_backend_open(&backend, level, 0, err);
    if (st == MBS_OK) {
        st = compare(backend.ctx, folder, o, r, err);
    }
    mbs_backend_close(&backend);
    return st;
}
