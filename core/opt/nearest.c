#include "opt/nearest.h"

#include <string.h>

static int fold(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A' + 'a';
    }
    return c == '-' ? '_' : c;
}

static int min3(int a, int b, int c) {
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment: Levenshtein plus swapped neighbours. Three rows are enough. */
static int distance(const char *a, size_t na, const char *b, size_t nb) {
    int rows[3][MBS_NEAREST_MAX + 1];
    for (size_t j = 0; j <= nb; j++) {
        rows[0][j] = (int)j;
    }
    for (size_t i = 1; i <= na; i++) {
        int *now = rows[i % 3];
        const int *up = rows[(i + 2) % 3];
        const int *up2 = rows[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int cost = fold(a[i - 1]) != fold(b[j - 1]);
            now[j] = min3(up[j] + 1, now[j - 1] + 1, up[j - 1] + cost);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]) &&
                up2[j - 2] + 1 < now[j]) {
                now[j] = up2[j - 2] + 1;
            }
        }
    }
    return rows[na % 3][nb];
}

static int begins_with(const char *text, const char *start, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (fold(text[i]) != fold(start[i])) {
            return 0;
        }
    }
    return 1;
}

void mbs_nearest_init(mbs_nearest *n, const char *word) {
    n->word = word;
    n->len = strlen(word);
    n->distance = -1;
    n->at = NULL;
    n->best[0] = '\0';
}

void mbs_nearest_offer_n(mbs_nearest *n, const char *candidate, size_t len) {
    if (n->len == 0 || len == 0 || n->len > MBS_NEAREST_MAX || len > MBS_NEAREST_MAX) {
        return;
    }
    /* A word of two letters may be one off, nine may be three off; a wholly different word is never suggested. */
    size_t longer = n->len > len ? n->len : len;
    int limit = (int)((longer + 2) / 3);
    limit = limit > 3 ? 3 : limit;
    if (longer <= 2) {
        limit = 1;
    }
    int d = distance(n->word, n->len, candidate, len);
    if (n->len >= 3 && len > n->len && begins_with(candidate, n->word, n->len) && d > 2) {
        d = 2; /* an abbreviation */
    }
    if (d > limit || (size_t)d >= longer || (n->distance >= 0 && d >= n->distance)) {
        return;
    }
    n->distance = d;
    n->at = candidate;
    memcpy(n->best, candidate, len);
    n->best[len] = '\0';
}

void mbs_nearest_offer(mbs_nearest *n, const char *candidate) {
    mbs_nearest_offer_n(n, candidate, strlen(candidate));
}

void mbs_nearest_offer_words(mbs_nearest *n, const char *words) {
    while (words && *words) {
        size_t len = strcspn(words, "|");
        mbs_nearest_offer_n(n, words, len);
        words += len + (words[len] == '|');
    }
}
