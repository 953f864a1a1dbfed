/* completion.c - completion scripts for bash and zsh. */
#include <stdio.h>
#include <string.h>

#include "opt/help.h"
#include "opt/value.h"

static const char generated[] = "# Printed from the table in core/opt: change it there and build the target docs.\n";

static int taken_by(const mbs_option *o, const mbs_command *c) {
    return (o->commands & MBS_IN(c->id)) != 0;
}

static int starts_group(int i) {
    const char *group = mbs_commands[i].group;
    const char *before = i > 0 ? mbs_commands[i - 1].group : NULL;
    return group && (!before || strcmp(group, before) != 0);
}

/* The second words of a group. */
static void group_words(const char *group, mbs_buf *out) {
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        if (mbs_commands[i].group && strcmp(mbs_commands[i].group, group) == 0) {
            mbs_buf_printf(out, "%s ", mbs_commands[i].name);
        }
    }
}

/* "a|b" as "a b" */
static void spaced(const char *words, mbs_buf *out) {
    for (const char *c = words; *c; c++) {
        mbs_buf_putc(out, *c == '|' ? ' ' : *c);
    }
}

/* --- bash --------------------------------------------------------------------------------------------------- */

static const char *bash_kind(mbs_opt_complete complete) {
    switch (complete) {
    case MBS_COMPLETE_FILE:
        return "_mambaseq_files";
    case MBS_COMPLETE_FOLDER:
        return "_mambaseq_folders";
    case MBS_COMPLETE_YAML:
        return "_mambaseq_yaml";
    case MBS_COMPLETE_PLUGIN:
        return "_mambaseq_words \"$(mambaseq plugin list 2>/dev/null | awk 'NR > 1 {if (!NF) exit; print $2}')\"";
    case MBS_COMPLETE_NONE:
        break;
    }
    return ":";
}

static void bash_command(const mbs_command *c, mbs_buf *out) {
    char title[48];
    mbs_buf_printf(out, "    '%s')\n        case \"$prev\" in\n", mbs_command_title(c, title, sizeof title));
    for (int i = 0; i < mbs_n_options; i++) {
        const mbs_option *o = &mbs_options[i];
        if (!taken_by(o, c) || !o->arg) {
            continue;
        }
        mbs_buf_puts(out, "        ");
        if (o->letter) {
            mbs_buf_printf(out, "-%c|", o->letter);
        }
        mbs_buf_printf(out, "--%s) ", o->name);
        if (o->words) {
            mbs_buf_puts(out, "_mambaseq_words '");
            spaced(o->words, out);
            mbs_buf_puts(out, "'");
        } else if (o->kind == MBS_OPT_DEVICE_NAME) {
            mbs_buf_puts(out, "_mambaseq_words 'auto cpu cuda'");
        } else {
            mbs_buf_puts(out, bash_kind(o->complete));
        }
        mbs_buf_puts(out, "; return ;;\n");
    }
    mbs_buf_puts(out, "        esac\n        case \"$cur\" in\n        -*) _mambaseq_words '");
    for (int i = 0; i < mbs_n_options; i++) {
        if (taken_by(&mbs_options[i], c)) {
            mbs_buf_printf(out, "--%s ", mbs_options[i].name);
        }
    }
    mbs_buf_printf(out, "' ;;\n        *) %s ;;\n        esac ;;\n", bash_kind(c->complete));
}

void mbs_completion_bash(mbs_buf *out) {
    mbs_buf_puts(out, generated);
    mbs_buf_puts(
        out,
        "_mambaseq_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
        "_mambaseq_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
        "_mambaseq_folders() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); }\n"
        "_mambaseq_yaml() {\n"
        "    compopt -o filenames 2>/dev/null\n"
        "    mapfile -t COMPREPLY < <(compgen -f -X '!*.yaml' -- \"$cur\"; compgen -f -X '!*.yml' -- \"$cur\";\n"
        "        compgen -d -- \"$cur\")\n"
        "}\n"
        "_mambaseq() {\n"
        "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" "
        "command=\"${COMP_WORDS[1]}\"\n"
        "    COMPREPLY=()\n"
        "    # --progress=ne arrives as three words\n"
        "    if [[ $cur == = ]]; then\n"
        "        cur=\n"
        "    elif [[ $prev == = && COMP_CWORD -gt 2 ]]; then\n"
        "        prev=\"${COMP_WORDS[COMP_CWORD-2]}\"\n"
        "    fi\n"
        "    if ((COMP_CWORD == 1)); then\n"
        "        _mambaseq_words '");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        if (!mbs_commands[i].group || starts_group(i)) {
            mbs_buf_printf(out, "%s ", mbs_commands[i].group ? mbs_commands[i].group : mbs_commands[i].name);
        }
    }
    mbs_buf_puts(out, "--help --version'\n        return\n    fi\n    case \"$command\" in\n");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        if (starts_group(i)) {
            mbs_buf_printf(out, "    %s)\n        if ((COMP_CWORD == 2)); then\n            _mambaseq_words '",
                           mbs_commands[i].group);
            group_words(mbs_commands[i].group, out);
            mbs_buf_puts(out, "--help'\n            return\n        fi\n        command+=\" ${COMP_WORDS[2]}\" ;;\n");
        }
    }
    mbs_buf_puts(out, "    esac\n    case \"$command\" in\n");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        bash_command(&mbs_commands[i], out);
    }
    mbs_buf_puts(out, "    esac\n}\ncomplete -F _mambaseq mambaseq\n");
}

/* --- zsh ---------------------------------------------------------------------------------------------------- */

/* Text inside '...[text]...': quotes and brackets are escaped. */
static void zsh_text(mbs_buf *out, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            mbs_buf_puts(out, "'\\''");
        } else {
            if (*c == '[' || *c == ']' || *c == '\\' || *c == ':') {
                mbs_buf_putc(out, '\\');
            }
            mbs_buf_putc(out, *c);
        }
    }
}

static void zsh_kind(mbs_opt_complete complete, mbs_buf *out) {
    switch (complete) {
    case MBS_COMPLETE_FILE:
        mbs_buf_puts(out, "_files");
        break;
    case MBS_COMPLETE_FOLDER:
        mbs_buf_puts(out, "_files -/");
        break;
    case MBS_COMPLETE_YAML:
        mbs_buf_puts(out, "_files -g \"*.(yaml|yml)\"");
        break;
    case MBS_COMPLETE_PLUGIN:
        mbs_buf_puts(out, "_mambaseq_plugins");
        break;
    case MBS_COMPLETE_NONE:
        mbs_buf_puts(out, " ");
        break;
    }
}

static void zsh_option(const mbs_option *o, mbs_buf *out) {
    const char *star = o->repeat == MBS_REPEAT_ALL ? "*" : "";
    const char *to_value = o->arg ? "=" : "";
    mbs_buf_puts(out, " \\\n            ");
    if (o->letter) {
        mbs_buf_printf(out, "'(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter, o->arg ? "+" : "", o->name,
                       to_value);
    } else {
        mbs_buf_printf(out, "'%s--%s%s[", star, o->name, to_value);
    }
    zsh_text(out, o->help);
    mbs_buf_puts(out, "]");
    if (o->arg) {
        mbs_buf_puts(out, ":");
        zsh_text(out, o->arg);
        mbs_buf_puts(out, ":");
        if (o->words) {
            mbs_buf_puts(out, "(");
            spaced(o->words, out);
            mbs_buf_puts(out, ")");
        } else if (o->kind == MBS_OPT_DEVICE_NAME) {
            mbs_buf_puts(out, "(auto cpu cuda)");
        } else {
            zsh_kind(o->complete, out);
        }
    }
    mbs_buf_puts(out, "'");
}

static void zsh_command(const mbs_command *c, mbs_buf *out) {
    char title[48];
    mbs_buf_printf(out, "    '%s')\n        _arguments -s", mbs_command_title(c, title, sizeof title));
    for (int i = 0; i < mbs_n_options; i++) {
        if (taken_by(&mbs_options[i], c)) {
            zsh_option(&mbs_options[i], out);
        }
    }
    if (c->operand) {
        mbs_buf_puts(out, " \\\n            '1:");
        mbs_buf_append(out, c->operand, strcspn(c->operand, " "));
        mbs_buf_puts(out, ":");
        zsh_kind(c->complete, out);
        mbs_buf_puts(out, "'");
    }
    mbs_buf_puts(out, " ;;\n");
}

static void zsh_describe(const char *group, mbs_buf *out) {
    mbs_buf_puts(out, "local -a commands=(");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        const mbs_command *c = &mbs_commands[i];
        int here = group ? c->group && strcmp(c->group, group) == 0 : !c->group || starts_group(i);
        if (here) {
            int whole_group = !group && c->group;
            mbs_buf_printf(out, "'%s:", whole_group ? c->group : c->name);
            zsh_text(out, whole_group ? mbs_group_summary(c->group) : c->summary);
            mbs_buf_puts(out, "' ");
        }
    }
    mbs_buf_puts(out, ")\n        _describe command commands\n        return\n    fi\n");
}

void mbs_completion_zsh(mbs_buf *out) {
    mbs_buf_puts(out, "#compdef mambaseq\n");
    mbs_buf_puts(out, generated);
    mbs_buf_puts(
        out,
        "_mambaseq_plugins() {\n"
        "    local -a ids=(${(f)\"$(mambaseq plugin list 2>/dev/null | awk 'NR > 1 {if (!NF) exit; print $2}')\"})\n"
        "    _describe plugin ids\n"
        "}\n"
        "_mambaseq() {\n"
        "    local command=$words[2]\n"
        "    if ((CURRENT == 2)); then\n        ");
    zsh_describe(NULL, out);
    mbs_buf_puts(out, "    shift words\n    ((CURRENT--))\n");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        if (starts_group(i)) {
            mbs_buf_printf(out, "    if [[ $command == %s ]] && ((CURRENT == 2)); then\n        ",
                           mbs_commands[i].group);
            zsh_describe(mbs_commands[i].group, out);
            mbs_buf_printf(out,
                           "    if [[ $command == %s ]]; then\n        command+=\" $words[2]\"\n        shift words\n"
                           "        ((CURRENT--))\n    fi\n",
                           mbs_commands[i].group);
        }
    }
    mbs_buf_puts(out, "    case $command in\n");
    for (int i = 0; i < MBS_CMD_COUNT; i++) {
        zsh_command(&mbs_commands[i], out);
    }
    mbs_buf_puts(out, "    esac\n}\n_mambaseq \"$@\"\n");
}
