/* Memory runs out at every allocation in turn: an error that says so, or the same plan, and nothing else. */
#include "load.h"
#include "pipe/recipe.h"
#include "support/child.h"
#include "support/test.h"
#include "support/tmp.h"

static const char text[] = "mambaseq: 1\n"
                           "reader: {plugin: fasta, path: [a.fa, b.fa], context: 5}\n"
                           "model: {path: m, task: generate, stop: [N]}\n"
                           "writer: [{plugin: hdf5, path: a.h5}, {plugin: table}]\n";

static const char recipe[] = "mambaseq: 1\n"
                             "reader: {plugin: fasta, path: [a.fa, b.fa]}\n"
                             "model: {init: tiny}\n"
                             "train: {steps: 10, window: [8, 16], window_from: [0, 0.5], split: {held_out: 0.3}}\n";

/* 0 where all went as without a limit, 1 where memory was said to be out, others are mistakes. */
static int load_once(void *arg) {
    char k[32];
    snprintf(k, sizeof k, "%d", *(int *)arg);
    setenv("MBS_ALLOC_FAIL_AT", k, 1);
    mbs_registry *r = test_registry();
    if (!r) {
        return 1;
    }
    mbs_plan_set sets[2] = {{"writer.table.path", "x.tsv", 0, "--set"}, {"model.seed", "3", 0, "--set"}};
    test_loaded l;
    test_load(r, text, sizeof text - 1, sets, 2, &l);
    int result = l.status == MBS_OK ? 0 : l.status == MBS_ERR_MEMORY ? 1 : 2;
    if (result == 0) {
        mbs_buf out = MBS_BUF_INIT;
        mbs_plan_canonical(l.plan, &out);
        result = out.failed ? 1 : out.len > 200 ? 0 : 3;
        mbs_buf_free(&out);
    }
    test_loaded_free(&l);
    mbs_registry_free(r);
    return result;
}

/* The same of a recipe. */
static int load_recipe_once(void *arg) {
    char k[32];
    snprintf(k, sizeof k, "%d", *(int *)arg);
    setenv("MBS_ALLOC_FAIL_AT", k, 1);
    mbs_registry *r = test_registry();
    if (!r) {
        return 1;
    }
    mbs_plan_set sets[2] = {{"writer.path", "out", 1, "-o"}, {"train.optimizer.lr", "3e-3", 0, "--set"}};
    test_loaded l;
    test_write(recipe, sizeof recipe - 1);
    test_load_as(r, MBS_PLAN_RECIPE, "score.yaml", sets, 2, &l);
    int result = l.status == MBS_OK ? 0 : l.status == MBS_ERR_MEMORY ? 1 : 2;
    if (result == 0) {
        mbs_buf out = MBS_BUF_INIT;
        mbs_plan_canonical(l.plan, &out);
        mbs_recipe_yaml(l.plan, &out);
        result = out.failed ? 1 : out.len > 1000 ? 0 : 3;
        mbs_buf_free(&out);
    }
    test_loaded_free(&l);
    mbs_registry_free(r);
    return result;
}

static void every_allocation(int (*load)(void *arg)) {
    char folder[256];
    test_tmp_enter(folder);
    int failed = 0;
    int quiet = 0;
    /* The limit is read at the first allocation of a process: each try is a child of one that has made none. Some
     * allocations can be done without; behind the last one nothing fails any more. */
    for (int k = 1; quiet < 50; k++) {
        int code = test_child_wait(test_child_start(load, &k));
        CHECK(code == 0 || code == 1, "allocation %d: %d", k, code);
        failed += code == 1;
        quiet = code == 1 ? 0 : quiet + 1;
    }
    CHECK(failed > 40, "only %d allocations were reached", failed);
    test_tmp_leave(folder);
}

MBS_TEST(memory, every_allocation_of_a_pipeline_fails_once) {
    every_allocation(load_once);
}

MBS_TEST(memory, every_allocation_of_a_recipe_fails_once) {
    every_allocation(load_recipe_once);
}
