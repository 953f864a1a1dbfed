/* recipe_text.c - a recipe as text: for comparing, for loading again, for people. */
#include <stdio.h>
#include <string.h>

#include "pipe/recipe.h"

static const char *word_of(const mbs_plan *plan, mbs_recipe_part part, const char *key) {
    return mbs_params_string(plan->recipe->part[part], key);
}

/* Whether regions say what is held out: their own file, or the one of the training part where no share was told. */
static int by_regions(const mbs_recipe *r) {
    const mbs_params *split = r->part[MBS_RECIPE_SPLIT];
    return mbs_params_is_set(split, "held_out_bed") ||
           (mbs_params_is_set(split, "train_bed") && !mbs_params_told(split, "held_out"));
}

double mbs_recipe_share(const mbs_recipe *r) {
    return by_regions(r) ? 0 : mbs_params_float(r->part[MBS_RECIPE_SPLIT], "held_out");
}

int mbs_recipe_holds_out(const mbs_recipe *r) {
    return mbs_recipe_share(r) > 0 || mbs_params_is_set(r->part[MBS_RECIPE_SPLIT], "held_out_bed") ||
           mbs_params_is_set(r->part[MBS_RECIPE_SPLIT], "train_bed");
}

/* Keys of a part that mean nothing beside what the others say, and would be refused if they were told. */
static const char *meaningless(const mbs_plan *plan, mbs_recipe_part part) {
    const char *loss = word_of(plan, MBS_RECIPE_TRAIN, "loss");
    switch (part) {
    case MBS_RECIPE_TRAIN:
        return strcmp(loss, "classify") == 0 ? "mask_rate|soft_mask"
               : strcmp(loss, "masked") == 0 ? "classes"
                                             : "mask_rate|classes";
    case MBS_RECIPE_SPLIT:
        return strcmp(loss, "classify") == 0 && mbs_recipe_holds_out(plan->recipe) ? NULL
               : by_regions(plan->recipe)                                          ? "held_out|by"
                                                                                   : "by";
    case MBS_RECIPE_SCHEDULE:
        return strcmp(word_of(plan, part, "decay"), "constant") == 0 ? "min_lr" : NULL;
    case MBS_RECIPE_EVAL:
        return mbs_recipe_holds_out(plan->recipe) ? NULL : "every|tokens|patience";
    case MBS_RECIPE_OPTIMIZER:
    case MBS_RECIPE_CHECKPOINT:
    case MBS_RECIPE_OUTPUT:
    case MBS_RECIPE_PARTS:
        break;
    }
    return NULL;
}

static const char *meaningless_of_model(const mbs_plan *plan) {
    return strcmp(word_of(plan, MBS_RECIPE_TRAIN, "loss"), "classify") == 0 ? NULL : "pool";
}

static void put_stage(const char *name, const mbs_plan_stage *s, int versions, mbs_buf *out) {
    mbs_buf values = MBS_BUF_INIT;
    mbs_params_canonical(s->params, 0, &values);
    mbs_buf_printf(out, "%s: {plugin: %s", name, s->desc->id);
    if (versions) {
        mbs_buf_printf(out, ", version: %s", s->desc->version);
    }
    mbs_buf_printf(out, "%s%s}\n", values.len ? ", " : "", mbs_buf_str(&values));
    out->failed |= values.failed;
    mbs_buf_free(&values);
}

static void put_input(const mbs_plan *plan, int versions, mbs_buf *out) {
    mbs_buf_puts(out, "mambaseq: 1\n");
    if (plan->reader) {
        put_stage("reader", plan->reader, versions, out);
    }
    if (plan->codec) {
        put_stage("codec", plan->codec, versions, out);
    }
}

void mbs_recipe_lines(const mbs_plan *plan, mbs_buf *out) {
    put_input(plan, 1, out);
    mbs_params_each(plan->models[0], 0, meaningless_of_model(plan), "model.", "\n", out);
    for (int i = 0; i < MBS_RECIPE_PARTS; i++) {
        char before[64];
        mbs_recipe_part part = (mbs_recipe_part)i;
        (void)snprintf(before, sizeof before, "%s.", mbs_recipe_tables[i].path);
        mbs_params_each(plan->recipe->part[i], 0, meaningless(plan, part), before, "\n", out);
    }
    /* How often is nothing to the model, unless evaluations decide when the training ends. */
    if (mbs_params_int(plan->recipe->part[MBS_RECIPE_EVAL], "patience") > 0) {
        mbs_buf_printf(out, "train.eval.every: %lld\n",
                       (long long)mbs_params_int(plan->recipe->part[MBS_RECIPE_EVAL], "every"));
    }
}

/* "    key: {a: 1, b: 2}", nothing where there is no value. */
static void put_mapping(const char *indent, const char *key, const mbs_params *params, int all, const char *skip,
                        mbs_buf *out) {
    mbs_buf values = MBS_BUF_INIT;
    mbs_params_each(params, all, skip, "", ", ", &values);
    if (values.len > 2) {
        mbs_buf_printf(out, "%s%s: {%.*s}\n", indent, key, (int)values.len - 2, mbs_buf_str(&values));
    }
    out->failed |= values.failed;
    mbs_buf_free(&values);
}

/* All below the codec. */
static void put_rest(const mbs_plan *plan, int all, mbs_buf *out) {
    put_mapping("", "model", plan->models[0], all, meaningless_of_model(plan), out);
    mbs_buf_puts(out, "train:\n");
    mbs_params_each(plan->recipe->part[MBS_RECIPE_TRAIN], all, meaningless(plan, MBS_RECIPE_TRAIN), "  ", "\n", out);
    for (int i = MBS_RECIPE_TRAIN + 1; i < MBS_RECIPE_OUTPUT; i++) {
        /* How often is evaluated decides on the weights where evaluations end the training. */
        int patient = i == MBS_RECIPE_EVAL && mbs_params_int(plan->recipe->part[i], "patience") > 0;
        put_mapping("  ", mbs_recipe_tables[i].key, plan->recipe->part[i], all || patient,
                    meaningless(plan, (mbs_recipe_part)i), out);
    }
    put_mapping("", "output", plan->recipe->part[MBS_RECIPE_OUTPUT], all, NULL, out);
}

void mbs_recipe_yaml(const mbs_plan *plan, mbs_buf *out) {
    put_input(plan, 0, out);
    put_rest(plan, 0, out);
}

void mbs_recipe_print(const mbs_plan *plan, mbs_buf *out) {
    put_rest(plan, 1, out);
}
