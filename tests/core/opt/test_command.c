/* The command line against its table: what is understood, and what is said about what is not. */
#include "base/err.h"
#include "opt/command.h"
#include "support/test.h"

#define MAX_WORDS 24

static const char *words[MAX_WORDS];
static mbs_opt_values v;
static mbs_err err;
static char line[4096];

/* Parses a line of words with single blanks between them. */
static mbs_status parse(const char *text) {
    static char copy[1024];
    int n = 0;
    mbs_opt_values_free(&v);
    mbs_err_clear(&err);
    snprintf(copy, sizeof copy, "mambaseq %s", text);
    for (char *w = strtok(copy, " "); w && n < MAX_WORDS; w = strtok(NULL, " ")) {
        words[n++] = w;
    }
    mbs_status st = mbs_opt_parse(n, words, &v, &err);
    mbs_err_line(&err, line, sizeof line);
    return st;
}

static void refused(const char *text, const char *message) {
    CHECK_INT(parse(text), MBS_ERR_USAGE);
    CHECK_STR(line, message);
}

MBS_TEST(command, every_form_of_an_option) {
    CHECK_INT(parse("run -i a.fa --output=b.h5 -@4 --chunk 64k p.yaml -qv --model m --seed=1"), MBS_ERR_USAGE);
    CHECK_INT(parse("run -i a.fa --output=b.h5 -@4 --chunk 64k p.yaml -qv --model m"), MBS_OK);
    CHECK(v.ask == MBS_ASK_COMMAND && v.command->id == MBS_CMD_RUN);
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_INPUT), "a.fa");
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_OUTPUT), "b.h5");
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_MODEL), "m");
    CHECK_INT(mbs_opt_number(&v, MBS_OPT_THREADS, 0), 4);
    CHECK_INT(mbs_opt_number(&v, MBS_OPT_CHUNK, 0), 64000);
    CHECK(mbs_opt_told(&v, MBS_OPT_QUIET) && mbs_opt_told(&v, MBS_OPT_VERBOSE) && !mbs_opt_told(&v, MBS_OPT_FORCE));
    CHECK_INT(v.n_operands, 1);
    CHECK_STR(mbs_opt_operand(&v, 0), "p.yaml");
    CHECK(mbs_opt_operand(&v, 1) == NULL);
}

MBS_TEST(command, defaults_of_the_table) {
    CHECK_INT(parse("run p.yaml"), MBS_OK);
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_DEVICE), "auto");
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_PROGRESS), "auto");
    CHECK(mbs_opt_text(&v, MBS_OPT_INPUT) == NULL);
    CHECK_INT(mbs_opt_number(&v, MBS_OPT_THREADS, -7), -7);
}

MBS_TEST(command, sets_keep_their_order) {
    CHECK_INT(parse("run p.yaml --set a.b=1 -i x --set=a.b=2 --set c=d=e -m y"), MBS_OK);
    CHECK_INT(v.n_given, 5);
    static const char *const expected[] = {"a.b=1", "x", "a.b=2", "c=d=e", "y"};
    for (int i = 0; i < 5; i++) {
        CHECK_STR(v.given[i].value, expected[i]);
    }
}

MBS_TEST(command, the_last_one_holds) {
    CHECK_INT(parse("run p.yaml --threads 2 -@ 3 --progress never --progress json"), MBS_OK);
    CHECK_INT(mbs_opt_number(&v, MBS_OPT_THREADS, 0), 3);
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_PROGRESS), "json");
    CHECK_INT(v.n_given, 2);
}

MBS_TEST(command, two_dashes_end_the_options) {
    CHECK_INT(parse("inspect -- --json"), MBS_OK);
    CHECK_STR(mbs_opt_operand(&v, 0), "--json");
    CHECK(!mbs_opt_told(&v, MBS_OPT_JSON));
    CHECK_INT(parse("run - -i - -o -"), MBS_OK);
    CHECK_STR(mbs_opt_operand(&v, 0), "-");
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_OUTPUT), "-");
}

MBS_TEST(command, values_may_look_strange) {
    CHECK_INT(parse("run p.yaml -i -odd.fa -o --odd.h5"), MBS_OK);
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_INPUT), "-odd.fa");
    CHECK_STR(mbs_opt_text(&v, MBS_OPT_OUTPUT), "--odd.h5");
}

MBS_TEST(command, what_is_asked_for) {
    CHECK_INT(parse(""), MBS_OK);
    CHECK(v.ask == MBS_ASK_NOTHING);
    CHECK_INT(parse("--help"), MBS_OK);
    CHECK(v.ask == MBS_ASK_HELP && !v.command && !v.group);
    CHECK_INT(parse("plugin -h"), MBS_OK);
    CHECK(v.ask == MBS_ASK_HELP && !v.command);
    CHECK_STR(v.group, "plugin");
    CHECK_INT(parse("plugin show --help"), MBS_OK);
    CHECK(v.ask == MBS_ASK_HELP && v.command->id == MBS_CMD_PLUGIN_SHOW);
    CHECK_INT(parse("run --help --not-an-option"), MBS_OK);
    CHECK(v.ask == MBS_ASK_HELP);
    CHECK_INT(parse("--version"), MBS_OK);
    CHECK(v.ask == MBS_ASK_VERSION);
}

MBS_TEST(command, unknown_commands) {
    refused("rum p.yaml", "'rum' is not a command, did you mean 'run'?; 'mambaseq --help' lists them");
    refused("plugins", "'plugins' is not a command, did you mean 'plugin'?; 'mambaseq --help' lists them");
    refused("init", "'init' is not a command, did you mean 'model init'?; 'mambaseq --help' lists them");
    refused("xyzzy", "'xyzzy' is not a command; 'mambaseq --help' lists them");
    refused("my.yaml",
            "'my.yaml' is not a command, did you mean 'mambaseq run my.yaml'?; 'mambaseq --help' lists them");
    refused("plugin lst", "plugin: 'lst' is not a command, did you mean 'list'?; 'mambaseq plugin --help' lists them");
    refused("plugin",
            "plugin: a second word is missing: list, show, check, new; 'mambaseq plugin --help' explains them");
    refused("--force run", "'--force' stands where a command must stand; options come after the command: mambaseq run "
                           "--force ...");
}

MBS_TEST(command, unknown_options) {
    refused("run --thraeds 4 p.yaml",
            "run: '--thraeds' is not an option, did you mean '--threads'?; 'mambaseq run --help' lists the options");
    refused("run --dry_run p.yaml",
            "run: '--dry_run' is not an option, did you mean '--dry-run'?; 'mambaseq run --help' lists the options");
    refused("check --force p.yaml",
            "check: '--force' is not an option of this command; 'mambaseq check --help' lists the options");
    refused("run -qx p.yaml", "run: '-x' in '-qx' is not an option; 'mambaseq run --help' lists the options");
    refused("run -threads 4 p.yaml",
            "run: '-t' in '-threads' is not an option, did you mean '--threads'?; 'mambaseq run "
            "--help' lists the options");
    refused("run --=3", "run: '--' is not an option; 'mambaseq run --help' lists the options");
}

MBS_TEST(command, wrong_values) {
    refused("run p.yaml -@ 0", "run: '-@' is 0, must be 1..1024; 'mambaseq run --help' lists the options");
    refused("run p.yaml --threads=two", "run: '--threads' is 'two', must be a whole number such as 12, 64k or 4Mi; "
                                        "'mambaseq run --help' lists the options");
    refused("run p.yaml --progress=alwyas",
            "run: '--progress' is 'alwyas', must be auto, always, never or json, did you "
            "mean 'always'?; 'mambaseq run --help' lists the options");
    refused("run p.yaml --device cuda:",
            "run: '--device' is 'cuda:', must be auto, cpu, cuda or cuda:N; 'mambaseq run --help' lists the options");
    refused(
        "run p.yaml --device cuda:0x1",
        "run: '--device' is 'cuda:0x1', must be auto, cpu, cuda or cuda:N; 'mambaseq run --help' lists the options");
    CHECK_INT(parse("run p.yaml --device cuda:12"), MBS_OK);
    refused("run p.yaml --set reader.path",
            "run: '--set' is 'reader.path', must be KEY=VALUE; 'mambaseq run --help' lists the options");
    refused("run p.yaml --set =3", "run: '--set' is '=3', must be KEY=VALUE; 'mambaseq run --help' lists the options");
    refused("run p.yaml --output=", "run: '--output' is empty; 'mambaseq run --help' lists the options");
    refused("run p.yaml --force=yes",
            "run: '--force' takes no value, but is given 'yes'; 'mambaseq run --help' lists the options");
    refused("model init s.yaml -o f --seed -1",
            "model init: '--seed' is -1, must be 0 or more; 'mambaseq model init --help' lists the options");
}

MBS_TEST(command, missing_values) {
    refused("run p.yaml -i", "run: '-i' needs a value; write -i PATH");
    refused("run p.yaml -i --force", "run: '-i' needs a value, but '--force' follows; write -i PATH");
    refused("run p.yaml --set -q", "run: '--set' needs a value, but '-q' follows; write --set KEY=VALUE");
    refused("run p.yaml -o --", "run: '-o' needs a value, but '--' follows; write -o PATH");
}

MBS_TEST(command, what_may_not_be_repeated) {
    refused("run p.yaml -i a --input b",
            "run: '--input' is given twice: 'a' and 'b'; several files are a list: --set 'reader.path=[a, b]'");
    refused("run p.yaml -o a -o b", "run: '-o' is given twice: 'a' and 'b'");
}

MBS_TEST(command, operands) {
    refused("run", "run: PIPELINE is missing; write mambaseq run PIPELINE; PIPELINE is a YAML file, "
                   "share:pipelines/NAME.yaml, or - for standard input");
    refused("check a b", "check: 'b' is one word too many; 'mambaseq check --help' lists the options");
    refused("run p.yaml -i a.fa b.fa",
            "run: 'b.fa' is one word too many; -i takes one value: quote a glob (-i '*.fa') or "
            "write --set 'reader.path=[a.fa, b.fa]'");
    refused("version now", "version: 'now' is one word too many; 'mambaseq version --help' lists the options");
    refused("model init s.yaml",
            "model init: -o FOLDER is missing: folder to make; 'mambaseq model init --help' lists the options");
    CHECK_INT(parse("plugin show fasta reader"), MBS_OK);
    CHECK_INT(v.n_operands, 2);
}

/* Long words, bundles and many repetitions stay inside their arrays. */
MBS_TEST(command, sizes_do_not_matter) {
    static char bundle[20000];
    static char name[20000];
    memset(bundle, 'q', sizeof bundle - 1);
    bundle[0] = '-';
    memset(name, 'a', sizeof name - 1);
    name[0] = name[1] = '-';
    const char *bundled[] = {"mambaseq", "run", "p.yaml", bundle};
    mbs_err_clear(&err);
    mbs_opt_values_free(&v);
    CHECK_INT(mbs_opt_parse(4, bundled, &v, &err), MBS_OK);
    CHECK_INT(v.n_given, 1);
    const char *unknown[] = {"mambaseq", "run", name};
    mbs_opt_values_free(&v);
    CHECK_INT(mbs_opt_parse(3, unknown, &v, &err), MBS_ERR_USAGE);
    const char *empty[] = {"mambaseq", ""};
    mbs_opt_values_free(&v);
    mbs_err_clear(&err);
    CHECK_INT(mbs_opt_parse(2, empty, &v, &err), MBS_ERR_USAGE);
    mbs_err_line(&err, line, sizeof line);
    CHECK_STR(line, "'' is not a command; 'mambaseq --help' lists them");
}

/* The table itself: what the rest relies on. */
MBS_TEST(command, the_table_is_well_formed) {
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        const mbs_command *c = &mbs_commands[i];
        CHECK_INT(c->id, i);
        CHECK(c->summary && c->about && (!c->operand) == (c->max_operands == 0), "%s", c->name);
        CHECK(!c->group || mbs_group_summary(c->group), "%s", c->name);
        CHECK(mbs_option_find(c, "help", 4) != NULL);
        for (int a = 0; a < mbs_n_options; a++) {
            for (int b = a + 1; b < mbs_n_options; b++) {
                const mbs_option *p = &mbs_options[a];
                const mbs_option *q = &mbs_options[b];
                if (p->commands & q->commands & MBS_IN(c->id)) {
                    CHECK(strcmp(p->name, q->name) != 0, "two options --%s of %s", p->name, c->name);
                    CHECK(!p->letter || p->letter != q->letter, "two options -%c of %s", p->letter, c->name);
                    CHECK(p->id != q->id, "--%s and --%s have one id", p->name, q->name);
                }
            }
        }
    }
    for (int a = 0; a < mbs_n_options; a++) {
        const mbs_option *o = &mbs_options[a];
        CHECK((o->kind == MBS_OPT_SWITCH) == (o->arg == NULL), "--%s", o->name);
        CHECK((o->kind == MBS_OPT_WORD) == (o->words != NULL), "--%s", o->name);
        CHECK(o->help && o->help[strlen(o->help) - 1] != '.', "--%s", o->name);
        CHECK(!o->required || o->kind != MBS_OPT_SWITCH, "--%s", o->name);
    }
}
