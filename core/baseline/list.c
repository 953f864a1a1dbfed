/* list.c - the words of --baseline. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/baseline.h"
#include "opt/nearest.h"

void mbs_baseline_name(int order, char out[16]) {
    if (order == MBS_BASELINE_LPC) {
        (void)snprintf(out, 16, "lpc32");
    } else if (order == MBS_BASELINE_MIX) {
        (void)snprintf(out, 16, "mix");
    } else {
        (void)snprintf(out, 16, "order-%d", order);
    }
}

static mbs_status unknown_word(const char *option, const char *word, mbs_err *err) {
    mbs_nearest near;
    char name[16];
    mbs_nearest_init(&near, word);
    for (int k = MBS_BASELINE_LPC; k <= MBS_BASELINE_MAX_ORDER; k++) {
        mbs_baseline_name(k, name);
        mbs_nearest_offer(&near, name);
    }
    const char *ask = near.best[0] ? ", did you mean '" : "";
    return mbs_fail(err, MBS_ERR_USAGE, option,
                    "an item is '%s', must be mix, lpc32 or order-K with K from 0 to %d%s%s%s", word,
                    MBS_BASELINE_MAX_ORDER, ask, near.best, near.best[0] ? "'" : "");
}

static mbs_status read_word(const char *option, const char *word, int *order, mbs_err *err) {
    if (strcmp(word, "mix") == 0 || strcmp(word, "lpc32") == 0) {
        *order = word[0] == 'm' ? MBS_BASELINE_MIX : MBS_BASELINE_LPC;
        return MBS_OK;
    }
    const char *digits = word + 6;
    size_t n = strncmp(word, "order-", 6) == 0 ? strspn(digits, "0123456789") : 0;
    if (n == 0 || digits[n] != '\0') {
        return unknown_word(option, word, err);
    }
    if (n > 2 || atoi(digits) > MBS_BASELINE_MAX_ORDER) {
        mbs_fail(err, MBS_ERR_USAGE, option, "order %s is too large, it goes up to %d", digits, MBS_BASELINE_MAX_ORDER);
        mbs_err_fix(err, "mix has tables of orders up to %d", MBS_BASELINE_MAX_ORDER);
        return MBS_ERR_USAGE;
    }
    *order = atoi(digits);
    return MBS_OK;
}

mbs_status mbs_baseline_list(const char *option, const char *list, int orders[MBS_BASELINE_MAX], int *n, mbs_err *err) {
    *n = 0;
    for (const char *p = list;;) {
        size_t len = strcspn(p, ",");
        char word[64];
        int order = 0;
        (void)snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1), p);
        mbs_status st = read_word(option, word, &order, err);
        if (st != MBS_OK) {
            return st;
        }
        int known = 0;
        for (int i = 0; i < *n; i++) {
            known |= orders[i] == order;
        }
        if (!known && *n == MBS_BASELINE_MAX) {
            return mbs_fail(err, MBS_ERR_USAGE, option, "more than %d baselines", MBS_BASELINE_MAX);
        }
        if (!known) {
            orders[(*n)++] = order;
        }
        if (p[len] == '\0') {
            return MBS_OK;
        }
        p += len + 1;
    }
}
