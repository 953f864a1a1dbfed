#include "load.h"

#include <string.h>
#include <time.h>

#include "stubs.h"
#include "support/test.h"

mbs_registry *test_registry(void) {
    setenv("MAMBASEQ_PLUGIN_PATH", "/nonexistent", 1);
    setenv("MAMBASEQ_SHARE", "/nonexistent/share", 1);
    mbs_err err;
    mbs_err_clear(&err);
    mbs_registry *r = mbs_registry_new(NULL, 0, &err);
    if (r && mbs_registry_add_static(r, &test_stub_entry, &err) != MBS_OK) {
        mbs_registry_free(r);
        r = NULL;
    }
    return r;
}

void test_load_as(mbs_registry *r, mbs_plan_kind kind, const char *file, const mbs_plan_set *sets, int n_sets,
                  test_loaded *out) {
    memset(out, 0, sizeof *out);
    mbs_err_clear(&out->err);
    clock_t begin = clock();
    out->status = mbs_plan_load_as(kind, file, sets, n_sets, r, &out->plan, &out->diags, &out->err);
    out->seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
}

void test_load_file(mbs_registry *r, const char *file, const mbs_plan_set *sets, int n_sets, test_loaded *out) {
    test_load_as(r, MBS_PLAN_PIPELINE, file, sets, n_sets, out);
}

void test_write(const char *text, size_t len) {
    FILE *f = fopen("score.yaml", "wb");
    if (!f || fwrite(text, 1, len, f) != len || fclose(f) != 0) {
        perror("score.yaml");
        exit(1);
    }
}

void test_load(mbs_registry *r, const char *text, size_t len, const mbs_plan_set *sets, int n_sets, test_loaded *out) {
    test_write(text, len);
    test_load_file(r, "score.yaml", sets, n_sets, out);
}

void test_loaded_free(test_loaded *l) {
    mbs_plan_free(l->plan);
    mbs_buf_free(&l->diags);
}
