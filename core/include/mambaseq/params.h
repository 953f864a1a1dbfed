/*
 * params.h - what a plugin can be told: a constant table of rows.
 *
 * The host reads the table before any instance exists. It checks values, fills defaults, prints help, man page and
 * schema from it, and hands the plugin an opaque mbs_params that the getters of mbs_host read. No plugin parses YAML.
 *
 *   static const mbs_param params[] = {
 *       MBS_PARAM_REQUIRED("path", MBS_PARAM_PATH, NULL, "file to read, - for standard input"),
 *       MBS_PARAM_RANGE("flank", MBS_PARAM_SIZE, "1024", 0, 1e12, "bases", "bases read before a region"),
 *       MBS_PARAM_WORDS("compression", "gzip", "gzip|none", "how chunks of the file are stored"),
 *   };
 */
#ifndef MAMBASEQ_PARAMS_H
#define MAMBASEQ_PARAMS_H

#include <stdint.h>

/* Types of values. The YAML forms are in brackets. */
#define MBS_PARAM_BOOL 1     /* [true, false, yes, no, on, off] */
#define MBS_PARAM_INT 2      /* 64-bit integer [12, 1_000_000, 64k, 4M: powers of 1024 only with Ki, Mi, Gi] */
#define MBS_PARAM_FLOAT 3    /* double */
#define MBS_PARAM_STRING 4   /* UTF-8 */
#define MBS_PARAM_PATH 5     /* file name; share:x is resolved by the host, - means standard input or output */
#define MBS_PARAM_ENUM 6     /* one of the words in `words`, "a|b|c" */
#define MBS_PARAM_SIZE 7     /* integer >= 0, with the suffixes of MBS_PARAM_INT */
#define MBS_PARAM_DURATION 8 /* seconds as a double [1.5, 100ms, 2s, 3min, 1h] */
#define MBS_PARAM_LIST 9     /* list of strings; a single string is a list of one */
#define MBS_PARAM_PATHS 10   /* list of file names; a glob is expanded and sorted by the host */

#define MBS_PARAM_F_REQUIRED 1u   /* no default: the pipeline must name it */
#define MBS_PARAM_F_RANGE 2u      /* min and max hold */
#define MBS_PARAM_F_DEPRECATED 4u /* accepted, with a warning that shows `help` */
#define MBS_PARAM_F_OUTPUT 8u     /* a path that the plugin writes */
#define MBS_PARAM_F_NO_RESULT 16u /* cannot change a result (left out of the canonical pipeline text) */
#define MBS_PARAM_F_LEARNT 32u    /* of a codec: says what ids mean. A model keeps it, and runs with no other value */

typedef struct mbs_param {
    uint32_t struct_size; /* sizeof(mbs_param): also the distance to the next row */
    int32_t type;         /* MBS_PARAM_... */
    uint32_t flags;       /* MBS_PARAM_F_... */
    uint32_t reserved;    /* 0 */
    const char *key;      /* [a-z][a-z0-9_]* */
    const char *def;      /* default as YAML would write it, NULL: absent unless told */
    double min, max;      /* inclusive, with MBS_PARAM_F_RANGE; a list: of its length */
    const char *words;    /* MBS_PARAM_ENUM: "a|b|c". Other types: words taken beside the value, "all" for a SIZE */
    const char *unit;     /* "bases", "Hz", NULL */
    const char *help;     /* one line, lower case, no full stop; may end with an example: "most of them, e.g. 12" */
} mbs_param;

#define MBS_PARAM(key, type, def, help)                                                                                \
    { (uint32_t)sizeof(mbs_param), type, 0u, 0u, key, def, 0, 0, (const char *)0, (const char *)0, help }
#define MBS_PARAM_REQUIRED(key, type, unit, help)                                                                      \
    {                                                                                                                  \
        (uint32_t)sizeof(mbs_param), type, MBS_PARAM_F_REQUIRED, 0u, key, (const char *)0, 0, 0, (const char *)0,      \
            unit, help                                                                                                 \
    }
#define MBS_PARAM_RANGE(key, type, def, min, max, unit, help)                                                          \
    { (uint32_t)sizeof(mbs_param), type, MBS_PARAM_F_RANGE, 0u, key, def, min, max, (const char *)0, unit, help }
#define MBS_PARAM_WORDS(key, def, words, help)                                                                         \
    { (uint32_t)sizeof(mbs_param), MBS_PARAM_ENUM, 0u, 0u, key, def, 0, 0, words, (const char *)0, help }
#define MBS_PARAM_OUTPUT(key, help)                                                                                    \
    {                                                                                                                  \
        (uint32_t)sizeof(mbs_param), MBS_PARAM_PATH,                                                                   \
            MBS_PARAM_F_REQUIRED | MBS_PARAM_F_OUTPUT | MBS_PARAM_F_NO_RESULT, 0u, key, (const char *)0, 0, 0,         \
            (const char *)0, (const char *)0, help                                                                     \
    }

/* The values of one instance, checked and complete. Owned by the host; valid from create to destroy. Read with the
 * param_... functions of mbs_host. */
typedef struct mbs_params mbs_params;

#endif
