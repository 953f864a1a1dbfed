/* What is printed from the table: every command and option is in it, and lines fit a terminal. */
#include "opt/help.h"
#include "support/test.h"

static void fits(const char *text) {
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        /* An example is one line to copy, however long. */
        CHECK(n <= 80 || strncmp(p, "  mambaseq ", 11) == 0, "%zu columns: %.*s", n, (int)n, p);
        CHECK(n == 0 || p[n - 1] != ' ', "blank at the end: %.*s", (int)n, p);
        p += n + (p[n] == '\n');
    }
}

MBS_TEST(help, names_every_command) {
    mbs_buf all = MBS_BUF_INIT;
    mbs_buf brief = MBS_BUF_INIT;
    mbs_help_all(&all);
    mbs_help_short(&brief);
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        char title[48];
        char row[64];
        snprintf(row, sizeof row, "\n  %s", mbs_command_title(&mbs_commands[i], title, sizeof title));
        CHECK(strstr(all.data, row), "%s", title);
        CHECK(strstr(brief.data, title), "%s", title);
    }
    fits(all.data);
    fits(brief.data);
    mbs_buf_free(&all);
    mbs_buf_free(&brief);
}

MBS_TEST(help, names_every_option_of_a_command_and_no_other) {
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        mbs_buf text = MBS_BUF_INIT;
        mbs_help_command(&mbs_commands[i], &text);
        fits(text.data);
        const char *options = strstr(text.data, "\noptions:\n");
        CHECK(options != NULL, "%s", mbs_commands[i].name);
        for (int k = 0; k < mbs_n_options; k++) {
            const mbs_option *o = &mbs_options[k];
            char name[64];
            snprintf(name, sizeof name, " --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
            int there = strstr(options, name) != NULL;
            int takes = (o->commands & MBS_IN(i)) != 0;
            CHECK(!takes || there, "%s lacks %s", mbs_commands[i].name, name);
        }
        mbs_buf_free(&text);
    }
}

MBS_TEST(help, man_pages_cover_all_commands) {
    char page[64];
    int pages = 0;
    int commands = 0;
    for (int i = 0; mbs_man_name(i, page, sizeof page); i++) {
        mbs_buf text = MBS_BUF_INIT;
        mbs_man_page(i, &text);
        CHECK(strstr(text.data, ".SH NAME"), "%s", page);
        for (const char *p = text.data; (p = strstr(p, ".B mambaseq\n")) != NULL; p++) {
            commands += i > 0;
        }
        pages++;
        mbs_buf_free(&text);
    }
    CHECK_INT(commands, MBS_CMD_COUNT);
    CHECK_INT(pages, 12);
}

/* Text that roff would take for a request, an escape or a hyphen. */
MBS_TEST(help, man_pages_escape_what_roff_reads) {
    char page[64];
    for (int i = 0; mbs_man_name(i, page, sizeof page); i++) {
        mbs_buf text = MBS_BUF_INIT;
        mbs_man_page(i, &text);
        for (const char *p = text.data; *p;) {
            size_t n = strcspn(p, "\n");
            CHECK(*p != '\'', "%s: %.*s", page, (int)n, p);
            for (size_t k = 0; *p != '.' && k + 1 < n; k++) {
                CHECK(p[k] != '-' || p[k + 1] != '-' || (k > 0 && p[k - 1] == '\\'), "%s: %.*s", page, (int)n, p);
            }
            p += n + (p[n] == '\n');
        }
        mbs_buf_free(&text);
    }
}
