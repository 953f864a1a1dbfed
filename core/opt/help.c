/* help.c - help for the terminal, at most 80 columns wide. */
#include "opt/help.h"

#include <string.h>

#include "mambaseq/version.h"

#define WIDTH 80
#define COLUMN 26 /* where the right half of a row begins */

/* `text` in lines of at most WIDTH columns, the first one starting at column `at`, the others indented. */
static void wrap(mbs_buf *out, const char *text, size_t at, size_t indent) {
    while (*text) {
        size_t word = strcspn(text, " ");
        if (at > indent && at + 1 + word > WIDTH) {
            mbs_buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            mbs_buf_putc(out, ' ');
            at++;
        }
        mbs_buf_append(out, text, word);
        at += word;
        text += word;
        text += *text == ' ';
    }
    mbs_buf_putc(out, '\n');
}

static void row(mbs_buf *out, const char *left, const char *text) {
    size_t len = strlen(left) + 2;
    mbs_buf_printf(out, "  %s", left);
    if (len + 2 > COLUMN) {
        mbs_buf_putc(out, '\n');
        len = 0;
    }
    mbs_buf_printf(out, "%*s", (int)(COLUMN - len), "");
    wrap(out, text, COLUMN, COLUMN);
}

static void command_row(mbs_buf *out, const mbs_command *c) {
    char title[48];
    mbs_buf left = MBS_BUF_INIT;
    mbs_buf_printf(&left, "%s%s%s", mbs_command_title(c, title, sizeof title), c->operand ? " " : "",
                   c->operand ? c->operand : "");
    row(out, mbs_buf_str(&left), c->summary);
    out->failed |= left.failed;
    mbs_buf_free(&left);
}

static void facts(mbs_buf *out, const char *title, const mbs_fact *list, int n) {
    mbs_buf_printf(out, "\n%s:\n", title);
    for (int i = 0; i < n; i++) {
        row(out, list[i].name, list[i].text);
    }
}

void mbs_help_synopsis(const mbs_command *c, mbs_buf *out) {
    char title[48];
    mbs_buf_puts(out, mbs_command_title(c, title, sizeof title));
    if (c->operand) {
        mbs_buf_printf(out, " %s", c->operand);
    }
    for (int i = 0; i < mbs_n_options; i++) {
        const mbs_option *o = &mbs_options[i];
        if (o->required & MBS_IN(c->id)) {
            const char letter[2] = {o->letter, '\0'};
            mbs_buf_printf(out, " %s%s %s", o->letter ? "-" : "--", o->letter ? letter : o->name, o->arg);
        }
    }
    mbs_buf_puts(out, " [OPTIONS]");
}

void mbs_help_option(const mbs_option *o, mbs_buf *out) {
    if (o->letter) {
        mbs_buf_printf(out, "-%c, ", o->letter);
    }
    mbs_buf_printf(out, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

void mbs_help_short(mbs_buf *out) {
    char title[48];
    mbs_buf_puts(out, "usage: mambaseq COMMAND [OPTIONS]\n  ");
    size_t column = 2;
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        size_t len = strlen(mbs_command_title(&mbs_commands[i], title, sizeof title));
        int breaks = column + len + 3 > 80;
        mbs_buf_printf(out, "%s%s", i == 0 ? "" : breaks ? ",\n  " : ", ", title);
        column = (breaks ? 2 : column + 2) + len;
    }
    mbs_buf_puts(out, "\nfor a start: mambaseq run share:pipelines/genomics/score.yaml\n");
}

void mbs_help_all(mbs_buf *out) {
    mbs_buf_puts(out, "mambaseq " MBS_VERSION ": state-space models on very long sequences\n\n"
                      "usage: mambaseq COMMAND [OPTIONS]\n\ncommands:\n");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        command_row(out, &mbs_commands[i]);
    }
    mbs_buf_puts(out, "\n'mambaseq COMMAND --help' explains one, 'mambaseq --version' prints the version.\n");
    facts(out, "exit codes", mbs_exit_codes, mbs_n_exit_codes);
    facts(out, "environment", mbs_environment, mbs_n_environment);
}

void mbs_help_group(const char *group, mbs_buf *out) {
    mbs_buf_printf(out, "mambaseq %s: %s\n\ncommands:\n", group, mbs_group_summary(group));
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        if (mbs_commands[i].group && strcmp(mbs_commands[i].group, group) == 0) {
            command_row(out, &mbs_commands[i]);
        }
    }
    mbs_buf_printf(out, "\n'mambaseq %s COMMAND --help' explains one.\n", group);
}

static void option_rows(const mbs_command *c, mbs_buf *out) {
    mbs_buf left = MBS_BUF_INIT;
    mbs_buf right = MBS_BUF_INIT;
    mbs_buf_puts(out, "\noptions:\n");
    for (int i = 0; i < mbs_n_options; i++) {
        const mbs_option *o = &mbs_options[i];
        if (o->commands & MBS_IN(c->id)) {
            mbs_buf_clear(&left);
            mbs_buf_clear(&right);
            mbs_buf_puts(&left, o->letter ? "" : "    ");
            mbs_help_option(o, &left);
            mbs_buf_puts(&right, o->help);
            if (o->def) {
                mbs_buf_printf(&right, " (default: %s)", o->def);
            }
            row(out, mbs_buf_str(&left), mbs_buf_str(&right));
        }
    }
    out->failed |= left.failed | right.failed;
    mbs_buf_free(&left);
    mbs_buf_free(&right);
}

void mbs_help_command(const mbs_command *c, mbs_buf *out) {
    mbs_buf_puts(out, "usage: mambaseq ");
    mbs_help_synopsis(c, out);
    mbs_buf_puts(out, "\n\n");
    mbs_buf first = MBS_BUF_INIT;
    const char *end = strstr(c->about, "\n\n");
    mbs_buf_append(&first, c->about, end ? (size_t)(end - c->about) : strlen(c->about));
    wrap(out, mbs_buf_str(&first), 0, 0);
    out->failed |= first.failed;
    mbs_buf_free(&first);
    if (c->operand) {
        mbs_buf_putc(out, '\n');
        row(out, c->operand, c->operand_help);
    }
    option_rows(c, out);
    for (int i = 0; i < c->n_examples; i++) {
        mbs_buf_printf(out, "%s  mambaseq %s\n      %s\n", i ? "" : "\nexamples:\n", c->examples[i].line,
                       c->examples[i].says);
    }
}
