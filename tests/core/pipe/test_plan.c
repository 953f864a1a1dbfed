#include "cases.h"
#include "support/test.h"

MBS_TEST(plan, good) {
    test_cases_run("good.cases");
}

MBS_TEST(plan, syntax) {
    test_cases_run("syntax.cases");
}

MBS_TEST(plan, schema) {
    test_cases_run("schema.cases");
}

MBS_TEST(plan, types) {
    test_cases_run("types.cases");
}

MBS_TEST(plan, set) {
    test_cases_run("set.cases");
}

MBS_TEST(plan, recipe) {
    test_cases_run("recipe.cases");
}
