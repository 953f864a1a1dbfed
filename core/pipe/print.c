#include <string.h>

#include "pipe/recipe.h"
#include "plug/params.h"

static void put_stage(const mbs_plan_stage *s, mbs_buf *out) {
    mbs_buf values = MBS_BUF_INIT;
    mbs_params_canonical(s->params, 0, &values);
    mbs_buf_printf(out, "{plugin: %s, version: %s%s%s}", s->desc->id, s->desc->version, values.len ? ", " : "",
                   mbs_buf_str(&values));
    out->failed |= values.failed;
    mbs_buf_free(&values);
}

void mbs_plan_canonical(const mbs_plan *plan, mbs_buf *out) {
    if (plan->recipe) {
        mbs_recipe_lines(plan, out);
        return;
    }
    mbs_buf_puts(out, "mambaseq: 1\n");
    if (plan->reader) {
        mbs_buf_puts(out, "reader: ");
        put_stage(plan->reader, out);
        mbs_buf_putc(out, '\n');
    }
    if (plan->codec) {
        mbs_buf_puts(out, "codec: ");
        put_stage(plan->codec, out);
        mbs_buf_putc(out, '\n');
    }
    if (plan->models[0]) {
        mbs_buf_printf(out, "model: %s\n", plan->model_canonical);
    }
    mbs_buf_puts(out, "writer:\n");
    for (int i = 0; i < plan->n_writers; i++) {
        mbs_buf_puts(out, "  - ");
        put_stage(&plan->writers[i], out);
        mbs_buf_putc(out, '\n');
    }
}

/* "reader   fasta 1.0.0          -> bases/u8", and the values below. */
static void print_line(mbs_buf *out, const char *stage, const char *what, const char *version, const char *takes,
                       const char *gives, const char *values) {
    mbs_buf name = MBS_BUF_INIT;
    mbs_buf_printf(&name, "%s%s%s", what, version ? " " : "", version ? version : "");
    mbs_buf_printf(out, "%-9s %-18s %s%s%s%s\n", stage, mbs_buf_str(&name), takes ? takes : "",
                   takes && gives ? " " : "", gives ? "-> " : "", gives ? gives : "");
    if (values[0]) {
        mbs_buf_printf(out, "          {%s}\n", values);
    }
    out->failed |= name.failed;
    mbs_buf_free(&name);
}

static void print_stage(mbs_buf *out, const char *stage, const mbs_plan_stage *s, const char *takes,
                        const char *gives) {
    mbs_buf values = MBS_BUF_INIT;
    mbs_params_canonical(s->params, 1, &values);
    print_line(out, stage, s->desc->id, s->desc->version, takes, gives, mbs_buf_str(&values));
    if (s->isolate && s->isolate_timeout > 0) {
        mbs_buf_printf(out, "          in a worker process, %.6g s for a call\n", s->isolate_timeout);
    } else if (s->isolate) {
        mbs_buf_puts(out, "          in a worker process\n");
    }
    out->failed |= values.failed;
    mbs_buf_free(&values);
}

void mbs_plan_print(const mbs_plan *plan, mbs_buf *out) {
    const char *input = plan->reader ? plan->reader->desc->produces : "empty prompts";
    if (plan->reader) {
        print_stage(out, "reader", plan->reader, NULL, input);
    }
    if (plan->codec) {
        print_stage(out, "codec", plan->codec, input, plan->codec->desc->produces);
    }
    if (plan->recipe) {
        mbs_recipe_print(plan, out);
        return;
    }
    if (plan->models[0]) {
        print_line(out, "model", mbs_task_name(plan->task), NULL,
                   plan->codec    ? plan->codec->desc->produces
                   : plan->reader ? plan->reader->desc->produces
                                  : "tokens/i32",
                   plan->row_type, plan->model_all);
    }
    for (int i = 0; i < plan->n_writers; i++) {
        print_stage(out, "writer", &plan->writers[i], plan->row_type, NULL);
    }
}
