/*
 * help.h - the table of command.h as text: help for the terminal, man pages, shell completion. All append to `out`.
 */
#ifndef MBS_OPT_HELP_H
#define MBS_OPT_HELP_H

#include "base/buf.h"
#include "opt/command.h"

/* A few lines for somebody who typed no command. */
void mbs_help_short(mbs_buf *out);
void mbs_help_all(mbs_buf *out);
void mbs_help_group(const char *group, mbs_buf *out);
void mbs_help_command(const mbs_command *command, mbs_buf *out);
/* "run PIPELINE [OPTIONS]", with what is required spelt out. */
void mbs_help_synopsis(const mbs_command *command, mbs_buf *out);
/* "-i, --input PATH" */
void mbs_help_option(const mbs_option *option, mbs_buf *out);

/* Man pages: one for the program, one for each command of one word, one for each group. NULL behind the last. */
const char *mbs_man_name(int i, char *out, size_t size); /* "mambaseq", "mambaseq-run": the file is NAME.1 */
void mbs_man_page(int i, mbs_buf *out);

void mbs_completion_bash(mbs_buf *out);
void mbs_completion_zsh(mbs_buf *out);

#endif
