/* Memory runs out at every allocation in turn: an error that says so, or the same plan, and nothing else. */
#include "load.h"
#include "support/child.h"
#include "support/test.h"
#include "support/tmp.h"

static const char text[] = "mambaseq: 1\n"
                           "reader: {plugin: fasta, path: [a.fa, b.fa], context: 5}\n"
                           "model: {path: m, task: generate, stop: [N]}\n"
                           "writer: [{plugin: hdf5, path: a.h5}, {plugin: table}]\n";

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

MBS_TEST(memory, every_allocation_fails_once) {
    char folder[256];
    test_tmp_enter(folder);
    int failed = 0;
    int quiet = 0;
    /* The limit is read at the first allocation of a process: each try is a child of one that has made none. Some
     * allocations can be done without; behind the last one nothing fails any more. */
    for (int k = 1; quiet < 50; k++) {
        int code = test_child_wait(test_child_start(load_once, &k));
        CHECK(code == 0 || code == 1, "allocation %d: %d", k, code);
        failed += code == 1;
        quiet = code == 1 ? 0 : quiet + 1;
    }
    CHECK(failed > 40, "only %d allocations were reached", failed);
    test_tmp_leave(folder);
}
