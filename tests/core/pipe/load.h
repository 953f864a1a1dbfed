/*
 * load.h - one call that loads a pipeline from memory and keeps what was said.
 */
#ifndef MBS_TEST_PIPE_LOAD_H
#define MBS_TEST_PIPE_LOAD_H

#include <stddef.h>

#include "pipe/plan.h"

typedef struct test_loaded {
    mbs_status status;
    mbs_plan *plan; /* NULL where it failed */
    mbs_buf diags;
    mbs_err err;
    double seconds; /* of this process, in mbs_plan_load */
} test_loaded;

/* The stub plugins, and no plugin folder of this machine. */
mbs_registry *test_registry(void);
/* Writes the text to score.yaml of the current folder and loads it. */
void test_load(mbs_registry *r, const char *text, size_t len, const mbs_plan_set *sets, int n_sets, test_loaded *out);
/* The first half of it. */
void test_write(const char *text, size_t len);
/* The second half, for a recipe or either. */
void test_load_as(mbs_registry *r, mbs_plan_kind kind, const char *file, const mbs_plan_set *sets, int n_sets,
                  test_loaded *out);
/* With a name of its own choice. */
void test_load_file(mbs_registry *r, const char *file, const mbs_plan_set *sets, int n_sets, test_loaded *out);
void test_loaded_free(test_loaded *l);

#endif
