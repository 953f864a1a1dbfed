#include "cases.h"

#include "base/mem.h"
#include "base/path.h"
#include "load.h"
#include "pipe/recipe.h"
#include "support/test.h"
#include "support/tmp.h"

#define MAX_SETS 16

typedef struct test_case {
    char name[128];
    char args[MAX_SETS][512]; /* "--set a.b=c" */
    int n_args;
    mbs_buf yaml;
    mbs_buf expected;
} test_case;

static char *next_line(char **at) {
    char *line = *at;
    char *end = line ? strchr(line, '\n') : NULL;
    if (!line || !*line) {
        return NULL;
    }
    if (end) {
        *end = '\0';
    }
    *at = end ? end + 1 : line + strlen(line);
    return line;
}

/* "recipe" and "either" among the options say what is wanted. */
static mbs_plan_kind kind_of(const char *arg) {
    return strcmp(arg, "recipe") == 0   ? MBS_PLAN_RECIPE
           : strcmp(arg, "either") == 0 ? MBS_PLAN_EITHER
                                        : MBS_PLAN_PIPELINE;
}

static mbs_plan_set set_of(char *arg) {
    static const struct {
        const char *option, *path;
    } options[] = {{"-i", "reader.path"},
                   {"-m", "model.path"},
                   {"-o", "writer.path"},
                   {"--chunk", "model.chunk"},
                   {"--device", "model.device"}};
    char *value = strchr(arg, ' ');
    CHECK(value != NULL, "an option without a value: %s", arg);
    *value++ = '\0';
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(arg, options[i].option) == 0) {
            return (mbs_plan_set){options[i].path, value, 1, arg};
        }
    }
    char *equals = strchr(value, '=');
    CHECK(equals != NULL, "--set without '=': %s", value);
    *equals = '\0';
    return (mbs_plan_set){value, equals + 1, 0, "--set"};
}

/* A recipe as it is kept beside its model means the same when it is loaded again. */
static void again(const mbs_plan *plan, mbs_registry *registry) {
    mbs_buf yaml = MBS_BUF_INIT;
    mbs_buf first = MBS_BUF_INIT;
    mbs_buf second = MBS_BUF_INIT;
    mbs_plan_set output = {"output.path", "elsewhere", 1, "-o"};
    test_loaded l;
    mbs_recipe_yaml(plan, &yaml);
    mbs_recipe_lines(plan, &first);
    test_write(mbs_buf_str(&yaml), yaml.len);
    test_load_as(registry, MBS_PLAN_RECIPE, "score.yaml", &output, 1, &l);
    CHECK(l.plan != NULL, "a recipe that was written is refused: %s", mbs_buf_str(&l.diags));
    mbs_recipe_lines(l.plan, &second);
    CHECK(strcmp(mbs_buf_str(&first), mbs_buf_str(&second)) == 0, "once\n%sand again\n%s", mbs_buf_str(&first),
          mbs_buf_str(&second));
    test_loaded_free(&l);
    mbs_buf_free(&yaml);
    mbs_buf_free(&first);
    mbs_buf_free(&second);
}

/* What is said about a case, as it stands behind "--- ". */
static void say(test_case *c, mbs_registry *registry, mbs_buf *out) {
    mbs_plan_set sets[MAX_SETS];
    char args[MAX_SETS][512];
    memcpy(args, c->args, sizeof args);
    int n = 0;
    mbs_plan_kind kind = MBS_PLAN_PIPELINE;
    for (int i = 0; i < c->n_args; i++) {
        if (kind_of(args[i]) != MBS_PLAN_PIPELINE) {
            kind = kind_of(args[i]);
        } else {
            sets[n++] = set_of(args[i]);
        }
    }
    test_loaded l;
    test_write(mbs_buf_str(&c->yaml), c->yaml.len);
    test_load_as(registry, kind, "score.yaml", sets, n, &l);
    char line[2048] = "";
    if (l.status != MBS_OK) {
        mbs_err_line(&l.err, line, sizeof line);
    }
    mbs_buf_printf(out, "--- %d%s%s\n%s", mbs_exit_code(l.status), *line ? " " : "", line, mbs_buf_str(&l.diags));
    if (l.plan) {
        mbs_plan_canonical(l.plan, out);
        mbs_buf_putc(out, '\n');
        mbs_plan_print(l.plan, out);
        if (l.plan->recipe) {
            mbs_buf_putc(out, '\n');
            mbs_recipe_yaml(l.plan, out);
            again(l.plan, registry);
        }
    }
    test_loaded_free(&l);
}

static void put_case(const test_case *c, mbs_buf *out) {
    mbs_buf_printf(out, "%s=== %s\n", out->len ? "\n" : "", c->name);
    for (int i = 0; i < c->n_args; i++) {
        mbs_buf_printf(out, "$ %s\n", c->args[i]);
    }
    mbs_buf_puts(out, mbs_buf_str(&c->yaml));
}

static int read_case(char **at, char **line, test_case *c) {
    memset(c, 0, sizeof *c);
    while (*line && strncmp(*line, "=== ", 4) != 0) {
        *line = next_line(at);
    }
    if (!*line) {
        return 0;
    }
    snprintf(c->name, sizeof c->name, "%s", *line + 4);
    mbs_buf *into = &c->yaml;
    while ((*line = next_line(at)) != NULL && strncmp(*line, "=== ", 4) != 0) {
        if (strncmp(*line, "$ ", 2) == 0 && into == &c->yaml && c->n_args < MAX_SETS) {
            snprintf(c->args[c->n_args++], sizeof c->args[0], "%s", *line + 2);
            continue;
        }
        if (strncmp(*line, "--- ", 4) == 0) {
            into = &c->expected;
        }
        mbs_buf_printf(into, "%s\n", *line);
    }
    /* The blank line between two cases belongs to neither. */
    while (c->expected.len > 1 && c->expected.data[c->expected.len - 2] == '\n') {
        c->expected.data[--c->expected.len] = '\0';
    }
    return 1;
}

void test_cases_run(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/tests/core/pipe/data/%s", MBS_SOURCE_DIR, name);
    char *text = NULL;
    size_t len = 0;
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_path_read(path, 1 << 20, &text, &len, &err) == MBS_OK, "%s", err.what);
    char dir[256];
    test_tmp_enter(dir);
    /* What globs can find. */
    test_tmp_write("a.fa", ">a\nACGT\n");
    test_tmp_write("b.fa", ">b\nACGT\n");
    mbs_registry *registry = test_registry();
    CHECK(registry != NULL, "no registry");
    mbs_buf all = MBS_BUF_INIT;
    int bad = 0;
    int n = 0;
    char *at = text;
    char *line = next_line(&at);
    for (test_case c; read_case(&at, &line, &c); n++) {
        mbs_buf got = MBS_BUF_INIT;
        say(&c, registry, &got);
        if (strcmp(mbs_buf_str(&got), mbs_buf_str(&c.expected)) != 0 && !getenv("MBS_UPDATE")) {
            fprintf(stderr, "%s: '%s' differs\nexpected:\n%s\ngot:\n%s\n", name, c.name, mbs_buf_str(&c.expected),
                    mbs_buf_str(&got));
            bad++;
        }
        put_case(&c, &all);
        mbs_buf_puts(&all, mbs_buf_str(&got));
        mbs_buf_free(&got);
        mbs_buf_free(&c.yaml);
        mbs_buf_free(&c.expected);
    }
    mbs_registry_free(registry);
    if (getenv("MBS_UPDATE")) {
        CHECK(mbs_path_write_atomic(path, all.data, all.len, &err) == MBS_OK, "%s", err.what);
    }
    mbs_buf_free(&all);
    mbs_free(text);
    test_tmp_leave(dir);
    CHECK(n > 0, "no case in %s", name);
    CHECK(bad == 0, "%d of %d cases differ", bad, n);
}
