/*
 * param_value.h - one value of a parameter: from texts, checked against its row, and back to text.
 */
#ifndef MBS_PLUG_PARAM_VALUE_H
#define MBS_PLUG_PARAM_VALUE_H

#include "base/buf.h"
#include "base/mem.h"
#include "mambaseq/params.h"
#include "mambaseq/status.h"

typedef enum mbs_value_state { MBS_VALUE_ABSENT = 0, MBS_VALUE_DEFAULTED, MBS_VALUE_TOLD } mbs_value_state;

typedef struct mbs_param_value {
    mbs_value_state state;
    int is_word;    /* one of `words` of a type that is no enum: items[0] is it */
    int64_t number; /* BOOL, INT, SIZE */
    double real;    /* FLOAT, DURATION */
    int64_t n;      /* of items */
    char **items;   /* texts, paths resolved and globs expanded */
    int64_t n_written;
    char **written; /* paths as the user wrote them */
} mbs_param_value;

int mbs_param_is_list(int32_t type);
/* Fills *v (zero before, but for its state) from `n` texts; memory comes from `a`. On failure `why` gets words that
 * follow the key: "is -3, must be 0..1e12 bases". */
mbs_status mbs_param_value_parse(mbs_arena *a, const mbs_param *row, const char *const *texts, int n, int is_list,
                                 mbs_param_value *v, mbs_buf *why);
/* The row's default, which is there. */
mbs_status mbs_param_value_default(mbs_arena *a, const mbs_param *row, mbs_param_value *v, mbs_buf *why);
/* As canonical YAML flow. */
void mbs_param_value_put(mbs_buf *out, const mbs_param *row, const mbs_param_value *v);

#endif
