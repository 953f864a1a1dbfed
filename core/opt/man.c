/* man.c - man pages in the man(7) macros. */
#include <stdio.h>
#include <string.h>

#include "mambaseq/version.h"
#include "opt/help.h"

/* Text for roff: a backslash and a dash are characters, a dot or quote that begins a line is no command. */
static void roff(mbs_buf *out, const char *text) {
    int line_start = out->len == 0 || out->data[out->len - 1] == '\n';
    for (const char *c = text; *c; c++) {
        if (line_start && (*c == '.' || *c == '\'')) {
            mbs_buf_puts(out, "\\&");
        }
        line_start = *c == '\n';
        switch (*c) {
        case '\\':
            mbs_buf_puts(out, "\\e");
            break;
        case '-':
            mbs_buf_puts(out, "\\-");
            break;
        case '\'':
            mbs_buf_puts(out, "\\(aq");
            break;
        default:
            mbs_buf_putc(out, *c);
            break;
        }
    }
}

/* Help texts are clauses without a capital and full stop; the man page has sentences. */
static void sentence(mbs_buf *out, const char *clause) {
    char first[2] = {clause[0], '\0'};
    /* A name of a file format, a value or a switch keeps its letters: only a word of two or more small ones is raised.
     */
    if (clause[0] >= 'a' && clause[0] <= 'z' && (clause[1] == ' ' || (clause[1] >= 'a' && clause[1] <= 'z'))) {
        first[0] = (char)(clause[0] - 'a' + 'A');
    }
    roff(out, first);
    roff(out, clause + 1);
    mbs_buf_puts(out, ".\n");
}

static void paragraphs(mbs_buf *out, const char *text) {
    for (const char *p = text; *p;) {
        const char *end = strstr(p, "\n\n");
        size_t len = end ? (size_t)(end - p) : strlen(p);
        mbs_buf one = MBS_BUF_INIT;
        mbs_buf_append(&one, p, len);
        mbs_buf_puts(out, ".PP\n");
        roff(out, mbs_buf_str(&one));
        mbs_buf_putc(out, '\n');
        out->failed |= one.failed;
        mbs_buf_free(&one);
        p += len + (end ? 2 : 0);
    }
}

static void heading(mbs_buf *out, const char *page, const char *summary) {
    /* No date: the page belongs to a version, and the same table gives the same bytes. */
    mbs_buf_puts(out, ".\\\" Printed from the table in core/opt: change it there and build the target docs.\n.TH \"");
    for (const char *c = page; *c; c++) {
        mbs_buf_putc(out, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    }
    mbs_buf_puts(out, "\" 1 \"\" \"mambaseq " MBS_VERSION "\" \"User Commands\"\n.SH NAME\n");
    roff(out, page);
    mbs_buf_puts(out, " \\- ");
    roff(out, summary);
    mbs_buf_putc(out, '\n');
}

static void fact_list(mbs_buf *out, const char *title, const mbs_fact *list, int n) {
    mbs_buf_printf(out, ".SH %s\n", title);
    for (int i = 0; i < n; i++) {
        mbs_buf_puts(out, ".TP\n.B ");
        roff(out, list[i].name);
        mbs_buf_putc(out, '\n');
        sentence(out, list[i].text);
    }
}

static void synopsis(mbs_buf *out, const mbs_command *c) {
    mbs_buf line = MBS_BUF_INIT;
    mbs_help_synopsis(c, &line);
    mbs_buf_puts(out, ".B mambaseq\n");
    roff(out, mbs_buf_str(&line));
    mbs_buf_puts(out, "\n");
    out->failed |= line.failed;
    mbs_buf_free(&line);
}

static void option(mbs_buf *out, const mbs_option *o) {
    mbs_buf_puts(out, ".TP\n");
    if (o->letter) {
        mbs_buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
    }
    mbs_buf_puts(out, "\\fB\\-\\-");
    roff(out, o->name);
    mbs_buf_puts(out, "\\fR");
    if (o->arg) {
        mbs_buf_puts(out, " \\fI");
        roff(out, o->arg);
        mbs_buf_puts(out, "\\fR");
    }
    mbs_buf_putc(out, '\n');
    mbs_buf text = MBS_BUF_INIT;
    mbs_buf_puts(&text, o->help);
    if (o->def) {
        mbs_buf_printf(&text, " (default: %s)", o->def);
    }
    sentence(out, mbs_buf_str(&text));
    out->failed |= text.failed;
    mbs_buf_free(&text);
    if (o->detail) {
        roff(out, o->detail);
        mbs_buf_putc(out, '\n');
    }
}

static void command_body(mbs_buf *out, const mbs_command *c) {
    paragraphs(out, c->about);
    if (c->operand) {
        mbs_buf_puts(out, ".TP\n.I ");
        roff(out, c->operand);
        mbs_buf_putc(out, '\n');
        sentence(out, c->operand_help);
    }
    for (int i = 0; i < mbs_n_options; i++) {
        if (mbs_options[i].commands & MBS_IN(c->id)) {
            option(out, &mbs_options[i]);
        }
    }
}

static void examples(mbs_buf *out, const mbs_command *c) {
    for (int i = 0; i < c->n_examples; i++) {
        mbs_buf line = MBS_BUF_INIT;
        mbs_buf_printf(&line, "mambaseq %s", c->examples[i].line);
        mbs_buf_puts(out, ".TP\n.B ");
        roff(out, mbs_buf_str(&line));
        mbs_buf_putc(out, '\n');
        sentence(out, c->examples[i].says);
        out->failed |= line.failed;
        mbs_buf_free(&line);
    }
}

static void footer(mbs_buf *out) {
    mbs_buf_puts(
        out, ".SH EXIT STATUS\n0 on success; otherwise as in\n.BR mambaseq (1),\nwith the reason in the last line on "
             "standard error.\n.SH SEE ALSO\n.BR mambaseq (1)\n");
}

static void main_page(mbs_buf *out) {
    char title[48];
    heading(out, "mambaseq", "state-space models on very long sequences");
    mbs_buf_puts(out, ".SH SYNOPSIS\n.B mambaseq\n.I COMMAND\n[OPTIONS]\n.SH DESCRIPTION\n");
    paragraphs(
        out, "Runs selective state-space models (Mamba and its family) on sequences of any length, in constant memory: "
             "a pipeline in a YAML file names a reader, a codec, a model and writers, and each of them but the model "
             "is a plugin.\n\n"
             "Data goes to standard output and words to standard error. A relative path is relative to the current "
             "directory, share:x is a file that came with the program, and - is standard input or output.");
    mbs_buf_puts(out, ".SH COMMANDS\n");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        const mbs_command *c = &mbs_commands[i];
        mbs_buf_puts(out, ".TP\n.B ");
        roff(out, mbs_command_title(c, title, sizeof title));
        mbs_buf_putc(out, '\n');
        sentence(out, c->summary);
    }
    fact_list(out, "EXIT STATUS", mbs_exit_codes, mbs_n_exit_codes);
    fact_list(out, "ENVIRONMENT", mbs_environment, mbs_n_environment);
    mbs_buf_puts(out, ".SH SEE ALSO\n");
    char page[64];
    for (int i = 1; mbs_man_name(i, page, sizeof page); i++) {
        mbs_buf_puts(out, i > 1 ? " (1),\n.BR " : ".BR ");
        roff(out, page);
    }
    mbs_buf_puts(out, " (1)\n");
}

static void command_page(const mbs_command *c, const char *page, mbs_buf *out) {
    heading(out, page, c->summary);
    mbs_buf_puts(out, ".SH SYNOPSIS\n");
    synopsis(out, c);
    mbs_buf_puts(out, ".SH DESCRIPTION\n");
    command_body(out, c);
    if (c->n_examples > 0) {
        mbs_buf_puts(out, ".SH EXAMPLES\n");
        examples(out, c);
    }
    footer(out);
}

static void group_page(const char *group, const char *page, mbs_buf *out) {
    char title[48];
    heading(out, page, mbs_group_summary(group));
    for (int pass = 0; pass < 3; pass++) {
        static const char *const headings[3] = {".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH EXAMPLES\n"};
        mbs_buf_puts(out, headings[pass]);
        int first = 1;
        for (int i = 0; i < MBS_CMD_COUNT; i++) {
            const mbs_command *c = &mbs_commands[i];
            if (!c->group || strcmp(c->group, group) != 0) {
                continue;
            }
            if (pass == 0) {
                mbs_buf_puts(out, first ? "" : ".br\n");
                synopsis(out, c);
            } else if (pass == 1) {
                mbs_buf_printf(out, ".SS mambaseq %s\n", mbs_command_title(c, title, sizeof title));
                command_body(out, c);
            } else {
                examples(out, c);
            }
            first = 0;
        }
    }
    footer(out);
}

/* The i-th page's command, and its group where the page is a group's. Page 0 is the program's. */
static const mbs_command *page_command(int page, const char **group) {
    int n = 0;
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        const mbs_command *c = &mbs_commands[i];
        int goes_on =
            i > 0 && c->group && mbs_commands[i - 1].group && strcmp(c->group, mbs_commands[i - 1].group) == 0;
        if (!goes_on && ++n == page) {
            *group = c->group;
            return c;
        }
    }
    return NULL;
}

const char *mbs_man_name(int i, char *out, size_t size) {
    const char *group = NULL;
    const mbs_command *c = page_command(i, &group);
    if (i == 0) {
        snprintf(out, size, "mambaseq");
        return out;
    }
    if (!c) {
        return NULL;
    }
    snprintf(out, size, "mambaseq-%s", group ? group : c->name);
    return out;
}

void mbs_man_page(int i, mbs_buf *out) {
    const char *group = NULL;
    const mbs_command *c = page_command(i, &group);
    char page[64];
    if (i == 0) {
        main_page(out);
    } else if (c && group) {
        group_page(group, mbs_man_name(i, page, sizeof page), out);
    } else if (c) {
        command_page(c, mbs_man_name(i, page, sizeof page), out);
    }
}
