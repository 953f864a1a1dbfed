/*
 * command.h - one table of commands and options: what the command line understands is what help, man pages and shell
 * completion say, because all of them are printed from here.
 *
 *   mbs_opt_values v;
 *   mbs_opt_parse(argc, argv, &v, &err) -> v.ask says what is wanted, v.command and v.given how
 *   mbs_opt_values_free(&v)
 *
 * The program has commands of one word ("run") and of two ("plugin list"); the first of two is a group. Long options
 * take their value as `--name=value` or `--name value`, letters as `-n value` or `-nvalue`; switches can be bundled;
 * `--` ends the options; options and operands may come in any order behind the command.
 */
#ifndef MBS_OPT_COMMAND_H
#define MBS_OPT_COMMAND_H

#include <stdint.h>

#include "base/err.h"

typedef enum mbs_command_id {
    MBS_CMD_RUN = 0,
    MBS_CMD_CHECK,
    MBS_CMD_TRAIN,
    MBS_CMD_EVAL,
    MBS_CMD_INSPECT,
    MBS_CMD_CONVERT,
    MBS_CMD_MERGE,
    MBS_CMD_BENCH,
    MBS_CMD_PLUGIN_LIST,
    MBS_CMD_PLUGIN_SHOW,
    MBS_CMD_PLUGIN_CHECK,
    MBS_CMD_PLUGIN_NEW,
    MBS_CMD_MODEL_INIT,
    MBS_CMD_VERSION,
    MBS_CMD_COUNT
} mbs_command_id;

typedef enum mbs_opt_id {
    MBS_OPT_SET = 0,
    MBS_OPT_INPUT,
    MBS_OPT_MODEL,
    MBS_OPT_OUTPUT,
    MBS_OPT_FORCE,
    MBS_OPT_RESUME,
    MBS_OPT_THREADS,
    MBS_OPT_CHUNK,
    MBS_OPT_MAX_MEMORY,
    MBS_OPT_DEVICE,
    MBS_OPT_SHARD,
    MBS_OPT_KEEP_PARTIAL,
    MBS_OPT_DRY_RUN,
    MBS_OPT_PROGRESS,
    MBS_OPT_EXPECT,
    MBS_OPT_SHAPE,
    MBS_OPT_RATE,
    MBS_OPT_WORK,
    MBS_OPT_LENGTH,
    MBS_OPT_LEVEL,
    MBS_OPT_REPEAT,
    MBS_OPT_SECONDS,
    MBS_OPT_SAMPLE,
    MBS_OPT_PARAM,
    MBS_OPT_ONLY,
    MBS_OPT_IN_PROCESS,
    MBS_OPT_TIMEOUT,
    MBS_OPT_LIST,
    MBS_OPT_KIND,
    MBS_OPT_LANG,
    MBS_OPT_DTYPE,
    MBS_OPT_MATH,
    MBS_OPT_LIMIT,
    MBS_OPT_BASELINE,
    MBS_OPT_SPLIT,
    MBS_OPT_STRAND,
    MBS_OPT_TRAIN, /* a file, of eval */
    MBS_OPT_SEED,
    MBS_OPT_JSON,
    MBS_OPT_QUIET,
    MBS_OPT_VERBOSE,
    MBS_OPT_HELP,
    MBS_OPT_COUNT
} mbs_opt_id;

/* What the value of an option is. */
typedef enum mbs_opt_kind {
    MBS_OPT_SWITCH = 0, /* no value */
    MBS_OPT_TEXT,       /* anything */
    MBS_OPT_ASSIGN,     /* KEY=VALUE with a key */
    MBS_OPT_NUMBER,     /* an integer between min and max, 64k and 1Mi taken */
    MBS_OPT_WORD,       /* one of `words` */
    MBS_OPT_DEVICE_NAME /* auto, cpu, cuda or cuda:N */
} mbs_opt_kind;

/* What giving an option twice means. */
typedef enum mbs_opt_repeat {
    MBS_REPEAT_LAST = 0, /* the last one holds */
    MBS_REPEAT_NEVER,    /* a mistake */
    MBS_REPEAT_ALL       /* all hold, in their order */
} mbs_opt_repeat;

/* What a shell offers for a value or an operand. */
typedef enum mbs_opt_complete {
    MBS_COMPLETE_NONE = 0,
    MBS_COMPLETE_FILE,
    MBS_COMPLETE_FOLDER,
    MBS_COMPLETE_YAML,  /* *.yaml, *.yml and folders */
    MBS_COMPLETE_PLUGIN /* ids of plugins */
} mbs_opt_complete;

#define MBS_IN(command) (1u << (command))

typedef struct mbs_option {
    mbs_opt_id id;
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    mbs_opt_kind kind;
    mbs_opt_repeat repeat;
    mbs_opt_complete complete;
    uint32_t commands;  /* MBS_IN(...) of the commands that take it */
    uint32_t required;  /* of those, the commands that cannot do without */
    const char *arg;    /* how help calls the value, NULL for a switch */
    const char *words;  /* MBS_OPT_WORD: "a|b|c" */
    const char *def;    /* shown by help and given by mbs_opt_text when the option is absent; NULL: none */
    int64_t min, max;   /* MBS_OPT_NUMBER */
    const char *help;   /* one line, lower case, no full stop */
    const char *detail; /* more, for the man page; or NULL */
} mbs_option;

typedef struct mbs_example {
    const char *line; /* after "mambaseq " */
    const char *says;
} mbs_example;

typedef struct mbs_command {
    mbs_command_id id;
    const char *group;   /* "plugin", or NULL */
    const char *name;    /* "list" */
    const char *summary; /* one line, lower case, no full stop */
    const char *about;   /* paragraphs, an empty line between, for the man page; the first one for --help too */
    const char *operand; /* how help calls it, "PIPELINE"; NULL: none */
    const char *operand_help;
    int min_operands, max_operands;
    mbs_opt_complete complete; /* of the first operand */
    int n_examples;
    const mbs_example *examples;
} mbs_command;

/* In the order of help. */
extern const mbs_command mbs_commands[];
extern const int mbs_n_commands;
extern const mbs_option mbs_options[];
extern const int mbs_n_options;

/* What help of a group says it is about; NULL where there is no such group. */
const char *mbs_group_summary(const char *group);
/* "plugin list"; the buffer is returned. */
const char *mbs_command_title(const mbs_command *command, char *out, size_t size);

/* Facts that help and man pages share. */
typedef struct mbs_fact {
    const char *name; /* "64", "MAMBASEQ_CPU" */
    const char *text;
} mbs_fact;
extern const mbs_fact mbs_exit_codes[];
extern const int mbs_n_exit_codes;
extern const mbs_fact mbs_environment[];
extern const int mbs_n_environment;

/* What a command line asks for. */
typedef enum mbs_opt_ask {
    MBS_ASK_COMMAND = 0, /* run `command` */
    MBS_ASK_HELP,        /* help on `command`, else on `group`, else on all */
    MBS_ASK_VERSION,     /* --version: one line */
    MBS_ASK_NOTHING      /* no words at all */
} mbs_opt_ask;

typedef struct mbs_opt_given {
    const mbs_option *option;
    const char *value; /* borrowed from argv; NULL for a switch */
    int64_t number;    /* MBS_OPT_NUMBER */
} mbs_opt_given;

typedef struct mbs_opt_values {
    mbs_opt_ask ask;
    const char *group;
    const mbs_command *command;
    mbs_opt_given *given; /* in the order of the command line, without those that a later one replaced */
    int n_given;
    const char **operands;
    int n_operands;
    int argc; /* the line itself, for the log */
    const char *const *argv;
} mbs_opt_values;

/* argv[0] is the program. MBS_ERR_USAGE with what to type instead. Free the values in any case. */
mbs_status mbs_opt_parse(int argc, const char *const *argv, mbs_opt_values *out, mbs_err *err);
void mbs_opt_values_free(mbs_opt_values *v);
/* Whether the option was told. */
int mbs_opt_told(const mbs_opt_values *v, mbs_opt_id id);
/* The value told last, else the default of the table, else NULL. */
const char *mbs_opt_text(const mbs_opt_values *v, mbs_opt_id id);
/* The number told, else `otherwise`. */
int64_t mbs_opt_number(const mbs_opt_values *v, mbs_opt_id id, int64_t otherwise);
/* NULL where there is none. */
const char *mbs_opt_operand(const mbs_opt_values *v, int i);

/* The row of an option that a command takes, by name or by letter; NULL where it does not. */
const mbs_option *mbs_option_find(const mbs_command *command, const char *name, size_t len);
const mbs_option *mbs_option_letter(const mbs_command *command, char letter);

#endif
