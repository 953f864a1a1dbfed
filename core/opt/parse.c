/* parse.c - a command line against the table of command.h. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "opt/command.h"
#include "opt/nearest.h"
#include "opt/value.h"

typedef struct parser {
    int argc;
    const char *const *argv;
    int at; /* the argument being read */
    mbs_opt_values *v;
    mbs_err *err;
    char title[48]; /* of the command, for messages */
} parser;

static mbs_status see_help(const parser *p) {
    mbs_err_fix(p->err, "'mambaseq %s --help' lists the options", p->title);
    return MBS_ERR_USAGE;
}

/* --- the command -------------------------------------------------------------------------------------------- */

static int same_group(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const mbs_command *command_find(const char *group, const char *name) {
    for (int i = 0; i < mbs_n_commands; i++) {
        const mbs_command *c = &mbs_commands[i];
        if (same_group(c->group, group) && strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

/* Goes through the names that can stand in one place: those of a group, or commands and groups. */
static const char *name_next(const char *group, int *i) {
    while (*i < mbs_n_commands) {
        const mbs_command *c = &mbs_commands[(*i)++];
        if (same_group(c->group, group)) {
            return c->name;
        }
        int first_of_group = *i < 2 || !same_group(c[-1].group, c->group);
        if (!group && first_of_group) {
            return c->group;
        }
    }
    return NULL;
}

static void list_names(const char *group, mbs_buf *out) {
    const char *between = "";
    const char *name;
    for (int i = 0; (name = name_next(group, &i)) != NULL; between = ", ") {
        mbs_buf_printf(out, "%s%s", between, name);
    }
}

static mbs_status unknown_command(const parser *p, const char *group, const char *word) {
    mbs_nearest near;
    const char *name;
    mbs_nearest_init(&near, word);
    for (int i = 0; (name = name_next(group, &i)) != NULL;) {
        mbs_nearest_offer(&near, name);
    }
    mbs_buf meant = MBS_BUF_INIT;
    if (!group && (mbs_text_ends(word, ".yaml") || mbs_text_ends(word, ".yml"))) {
        mbs_buf_printf(&meant, "mambaseq run %s", word);
    } else if (near.at) {
        mbs_buf_puts(&meant, near.best);
    }
    for (int i = 0; i < mbs_n_commands && !group && meant.len == 0; i++) {
        const mbs_command *c = &mbs_commands[i];
        if (c->group && strcmp(c->name, word) == 0) {
            mbs_buf_printf(&meant, "%s %s", c->group, word);
        }
    }
    int any = meant.len > 0;
    mbs_fail(p->err, MBS_ERR_USAGE, group, "'%s' is not a command%s%s%s", word, any ? ", did you mean '" : "",
             mbs_buf_str(&meant), any ? "'?" : "");
    mbs_err_fix(p->err, "'mambaseq %s%s--help' lists them", group ? group : "", group ? " " : "");
    mbs_buf_free(&meant);
    return MBS_ERR_USAGE;
}

static int is_help(const char *arg) {
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* help [GROUP] [COMMAND] is COMMAND --help. */
static mbs_status read_help(parser *p) {
    mbs_opt_values *v = p->v;
    v->ask = MBS_ASK_HELP;
    const char *word = p->argc > 2 ? p->argv[2] : NULL;
    int at = 3;
    if (word && mbs_group_summary(word)) {
        v->group = word;
        word = p->argc > 3 ? p->argv[3] : NULL;
        at = 4;
    }
    if (word && !(v->command = command_find(v->group, word))) {
        return unknown_command(p, v->group, word);
    }
    if (word && p->argc > at) {
        mbs_fail(p->err, MBS_ERR_USAGE, "help", "'%s' is too much: it takes one command", p->argv[at]);
        mbs_err_fix(p->err, "'mambaseq help' lists the commands");
        return MBS_ERR_USAGE;
    }
    return MBS_OK;
}

/* Finds the command in the first one or two words; v->ask says whether there is anything left to read. */
static mbs_status read_command(parser *p) {
    mbs_opt_values *v = p->v;
    if (p->argc < 2) {
        v->ask = MBS_ASK_NOTHING;
        return MBS_OK;
    }
    const char *word = p->argv[1];
    p->at = 2;
    if (is_help(word)) {
        v->ask = MBS_ASK_HELP;
        return MBS_OK;
    }
    if (strcmp(word, "help") == 0) {
        return read_help(p);
    }
    if (strcmp(word, "--version") == 0) {
        v->ask = MBS_ASK_VERSION;
        return MBS_OK;
    }
    if (word[0] == '-') {
        mbs_fail(p->err, MBS_ERR_USAGE, NULL, "'%s' stands where a command must stand", word);
        mbs_err_fix(p->err, "options come after the command: mambaseq run %s ...", word);
        return MBS_ERR_USAGE;
    }
    if (mbs_group_summary(word)) {
        v->group = word;
        if (p->argc < 3) {
            mbs_buf names = MBS_BUF_INIT;
            list_names(word, &names);
            mbs_fail(p->err, MBS_ERR_USAGE, word, "a second word is missing: %s", mbs_buf_str(&names));
            mbs_buf_free(&names);
            mbs_err_fix(p->err, "'mambaseq %s --help' explains them", word);
            return MBS_ERR_USAGE;
        }
        word = p->argv[2];
        p->at = 3;
        if (is_help(word)) {
            v->ask = MBS_ASK_HELP;
            return MBS_OK;
        }
    }
    const mbs_command *c = command_find(v->group, word);
    if (!c) {
        return unknown_command(p, v->group, word);
    }
    mbs_command_title(c, p->title, sizeof p->title);
    v->command = c;
    v->ask = MBS_ASK_COMMAND;
    return MBS_OK;
}

/* --- options ------------------------------------------------------------------------------------------------ */

static int device_ok(const char *s) {
    if (strcmp(s, "auto") == 0 || strcmp(s, "cpu") == 0 || strcmp(s, "cuda") == 0) {
        return 1;
    }
    if (strncmp(s, "cuda:", 5) != 0) {
        return 0;
    }
    size_t digits = strspn(s + 5, "0123456789");
    return digits > 0 && digits <= 4 && s[5 + digits] == '\0';
}

/* What is wrong with a value, in words that follow the option's name; returns 0 where nothing is. */
static int check_value(mbs_opt_given *g, mbs_buf *why) {
    const mbs_option *o = g->option;
    int index = 0;
    switch (o->kind) {
    case MBS_OPT_SWITCH:
        return 0;
    case MBS_OPT_TEXT:
        if (!*g->value) {
            mbs_buf_puts(why, "is empty");
            return -1;
        }
        return 0;
    case MBS_OPT_ASSIGN:
        if (!strchr(g->value, '=') || g->value[0] == '=') {
            mbs_buf_puts(why, "is ");
            mbs_value_put_quoted(why, g->value);
            mbs_buf_puts(why, ", must be KEY=VALUE");
            return -1;
        }
        return 0;
    case MBS_OPT_NUMBER:
        if (mbs_value_int(g->value, &g->number, why)) {
            return -1;
        }
        if (g->number < o->min || g->number > o->max) {
            return mbs_value_range(g->value, (double)g->number, (double)o->min, (double)o->max, NULL, why);
        }
        return 0;
    case MBS_OPT_WORD:
        return mbs_value_enum(g->value, o->words, &index, why);
    case MBS_OPT_DEVICE_NAME:
        if (!device_ok(g->value)) {
            mbs_buf_puts(why, "is ");
            mbs_value_put_quoted(why, g->value);
            mbs_buf_puts(why, ", must be auto, cpu, cuda or cuda:N");
            return -1;
        }
        return 0;
    }
    return 0;
}

static mbs_status add_given(parser *p, const mbs_option *o, const char *value, const char *shown) {
    mbs_opt_values *v = p->v;
    mbs_opt_given g = {o, value, 0};
    mbs_buf why = MBS_BUF_INIT;
    if (check_value(&g, &why)) {
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "%s %s", shown, mbs_buf_str(&why));
        mbs_buf_free(&why);
        return see_help(p);
    }
    for (int i = 0; i < v->n_given && o->repeat != MBS_REPEAT_ALL; i++) {
        if (v->given[i].option->id != o->id) {
            continue;
        }
        if (o->repeat == MBS_REPEAT_NEVER) {
            mbs_fail(p->err, MBS_ERR_USAGE, p->title, "%s is given twice: '%s' and '%s'", shown, v->given[i].value,
                     value);
            if (o->id == MBS_OPT_INPUT) {
                mbs_err_fix(p->err, "several files are a list: --set 'reader.path=[%s, %s]'", v->given[i].value, value);
            }
            return MBS_ERR_USAGE;
        }
        memmove(&v->given[i], &v->given[i + 1], (size_t)(v->n_given - i - 1) * sizeof *v->given);
        v->n_given--;
        break;
    }
    v->given[v->n_given++] = g;
    if (o->id == MBS_OPT_HELP) {
        v->ask = MBS_ASK_HELP;
    }
    return MBS_OK;
}

/* Whether an argument is one of the command's own options, so that it is no value of the one before. */
static int looks_like_option(const parser *p, const char *arg) {
    if (arg[0] != '-' || arg[1] == '\0') {
        return 0;
    }
    if (arg[1] != '-') {
        return arg[2] == '\0' && mbs_option_letter(p->v->command, arg[1]) != NULL;
    }
    return arg[2] == '\0' || mbs_option_find(p->v->command, arg + 2, strcspn(arg + 2, "=")) != NULL;
}

/* The value in the next argument. */
static mbs_status next_value(parser *p, const mbs_option *o, const char *shown, const char **value) {
    const char *arg = p->at < p->argc ? p->argv[p->at] : NULL;
    if (!arg) {
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "%s needs a value", shown);
    } else if (looks_like_option(p, arg)) {
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "%s needs a value, but '%s' follows", shown, arg);
    } else {
        *value = arg;
        p->at++;
        return MBS_OK;
    }
    mbs_err_fix(p->err, "write %.*s %s", (int)strlen(shown) - 2, shown + 1, o->arg);
    return MBS_ERR_USAGE;
}

static mbs_status unknown_option(parser *p, const char *arg, size_t len) {
    char word[MBS_NEAREST_MAX + 1];
    mbs_nearest near;
    snprintf(word, sizeof word, "%.*s", (int)(len < 100 ? len - 2 : 100), arg + 2);
    mbs_nearest_init(&near, word);
    int elsewhere = 0;
    for (int i = 0; i < mbs_n_options; i++) {
        if (mbs_options[i].commands & MBS_IN(p->v->command->id)) {
            mbs_nearest_offer(&near, mbs_options[i].name);
        } else if (strlen(mbs_options[i].name) == len - 2 && memcmp(mbs_options[i].name, arg + 2, len - 2) == 0) {
            elsewhere = 1;
        }
    }
    int show = len < 200 ? (int)len : 200;
    if (near.at && !elsewhere) {
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "'%.*s' is not an option, did you mean '--%s'?", show, arg,
                 near.best);
    } else {
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "'%.*s' is not an option%s", show, arg,
                 elsewhere ? " of this command" : "");
    }
    return see_help(p);
}

static mbs_status read_long(parser *p, const char *arg) {
    size_t len = strcspn(arg, "=");
    const mbs_option *o = mbs_option_find(p->v->command, arg + 2, len - 2);
    if (!o) {
        return unknown_option(p, arg, len);
    }
    char shown[40];
    snprintf(shown, sizeof shown, "'--%s'", o->name);
    const char *value = arg[len] == '=' ? arg + len + 1 : NULL;
    if (o->kind == MBS_OPT_SWITCH && value) {
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "%s takes no value, but is given '%s'", shown, value);
        return see_help(p);
    }
    if (o->kind != MBS_OPT_SWITCH && !value) {
        mbs_status st = next_value(p, o, shown, &value);
        if (st != MBS_OK) {
            return st;
        }
    }
    return add_given(p, o, value, shown);
}

static mbs_status read_letters(parser *p, const char *arg) {
    for (const char *c = arg + 1; *c; c++) {
        const mbs_option *o = mbs_option_letter(p->v->command, *c);
        if (!o) {
            int dash_forgotten = mbs_option_find(p->v->command, arg + 1, strcspn(arg + 1, "=")) != NULL;
            mbs_fail(p->err, MBS_ERR_USAGE, p->title, "'-%c' in '%s' is not an option%s%s%s", *c, arg,
                     dash_forgotten ? ", did you mean '-" : "", dash_forgotten ? arg : "", dash_forgotten ? "'?" : "");
            return see_help(p);
        }
        char shown[8];
        snprintf(shown, sizeof shown, "'-%c'", *c);
        const char *value = NULL;
        if (o->kind != MBS_OPT_SWITCH) {
            if (c[1]) {
                value = c + 1;
            } else {
                mbs_status st = next_value(p, o, shown, &value);
                if (st != MBS_OK) {
                    return st;
                }
            }
        }
        mbs_status st = add_given(p, o, value, shown);
        if (st != MBS_OK || value) {
            return st;
        }
    }
    return MBS_OK;
}

/* --- operands ----------------------------------------------------------------------------------------------- */

static mbs_status check_operands(parser *p) {
    const mbs_opt_values *v = p->v;
    const mbs_command *c = v->command;
    if (v->n_operands < c->min_operands) {
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "%s is missing", c->operand);
        mbs_err_fix(p->err, "write mambaseq %s %s; %s is %s", p->title, c->operand, c->operand, c->operand_help);
        return MBS_ERR_USAGE;
    }
    if (v->n_operands > c->max_operands) {
        const char *extra = v->operands[c->max_operands];
        mbs_fail(p->err, MBS_ERR_USAGE, p->title, "'%s' is one word too many", extra);
        if (mbs_opt_told(v, MBS_OPT_INPUT)) {
            mbs_err_fix(p->err,
                        "-i takes one value: quote a glob (-i '*.fa') or write --set 'reader.path=[a.fa, b.fa]'");
            return MBS_ERR_USAGE;
        }
        return see_help(p);
    }
    for (int i = 0; i < mbs_n_options; i++) {
        const mbs_option *o = &mbs_options[i];
        if ((o->required & MBS_IN(c->id)) && !mbs_opt_told(v, o->id)) {
            const char letter[2] = {o->letter, '\0'};
            mbs_fail(p->err, MBS_ERR_USAGE, p->title, "%s%s %s is missing: %s", o->letter ? "-" : "--",
                     o->letter ? letter : o->name, o->arg, o->help);
            return see_help(p);
        }
    }
    return MBS_OK;
}

mbs_status mbs_opt_parse(int argc, const char *const *argv, mbs_opt_values *out, mbs_err *err) {
    parser p = {.argc = argc, .argv = argv, .v = out, .err = err};
    memset(out, 0, sizeof *out);
    out->argc = argc;
    out->argv = argv;
    mbs_status st = read_command(&p);
    if (st != MBS_OK || out->ask != MBS_ASK_COMMAND) {
        return st;
    }
    /* Every option that replaces an earlier one takes its place, so the table's length bounds what letters can add. */
    size_t room = (size_t)argc + (size_t)mbs_n_options;
    out->given = mbs_calloc(room, sizeof *out->given);
    out->operands = mbs_calloc(room, sizeof *out->operands);
    if (!out->given || !out->operands) {
        return mbs_fail_memory(err, NULL, room * sizeof *out->given);
    }
    int options_end = 0;
    while (p.at < argc && st == MBS_OK && out->ask == MBS_ASK_COMMAND) {
        const char *arg = argv[p.at++];
        if (options_end || arg[0] != '-' || arg[1] == '\0') {
            out->operands[out->n_operands++] = arg;
        } else if (arg[1] != '-') {
            st = read_letters(&p, arg);
        } else if (arg[2] == '\0') {
            options_end = 1;
        } else {
            st = read_long(&p, arg);
        }
    }
    return st == MBS_OK && out->ask == MBS_ASK_COMMAND ? check_operands(&p) : st;
}

/* --- what was told ------------------------------------------------------------------------------------------ */

void mbs_opt_values_free(mbs_opt_values *v) {
    mbs_free(v->given);
    mbs_free(v->operands);
    memset(v, 0, sizeof *v);
}

static const mbs_opt_given *last_given(const mbs_opt_values *v, mbs_opt_id id) {
    for (int i = v->n_given - 1; i >= 0; i--) {
        if (v->given[i].option->id == id) {
            return &v->given[i];
        }
    }
    return NULL;
}

int mbs_opt_told(const mbs_opt_values *v, mbs_opt_id id) {
    return last_given(v, id) != NULL;
}

const char *mbs_opt_text(const mbs_opt_values *v, mbs_opt_id id) {
    const mbs_opt_given *g = last_given(v, id);
    if (g) {
        return g->value;
    }
    for (int i = 0; i < mbs_n_options; i++) {
        const mbs_option *o = &mbs_options[i];
        if (o->id == id && v->command && v->command->id < MBS_CMD_COUNT && (o->commands & MBS_IN(v->command->id))) {
            return o->def;
        }
    }
    return NULL;
}

int64_t mbs_opt_number(const mbs_opt_values *v, mbs_opt_id id, int64_t otherwise) {
    const mbs_opt_given *g = last_given(v, id);
    return g ? g->number : otherwise;
}

const char *mbs_opt_operand(const mbs_opt_values *v, int i) {
    return i >= 0 && i < v->n_operands ? v->operands[i] : NULL;
}
