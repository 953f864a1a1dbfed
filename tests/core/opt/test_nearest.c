#include "support/test.h"

#include "opt/nearest.h"

static const char *among(const char *word, const char *words, char *out) {
    mbs_nearest n;
    mbs_nearest_init(&n, word);
    mbs_nearest_offer_words(&n, words);
    memcpy(out, n.best, sizeof n.best);
    CHECK((n.at == NULL) == (n.best[0] == '\0'));
    return out;
}

MBS_TEST(nearest, finds_what_was_meant) {
    char b[MBS_NEAREST_MAX + 1];
    CHECK_STR(among("pth", "flank|path|regions", b), "path");
    CHECK_STR(among("ptah", "flank|path|regions", b), "path");
    CHECK_STR(among("FASTA", "bases|fasta|hdf5", b), "fasta");
    CHECK_STR(among("max-new-tokens", "max_tokens|max_new_tokens", b), "max_new_tokens");
    CHECK_STR(among("compr", "path|compression", b), "compression");
    CHECK_STR(among("h5", "hdf5|table", b), "hdf5");
    CHECK_STR(among("o", "i|m", b), "");
    CHECK_STR(among("on", "of|no", b), "of");
    CHECK_STR(among("region", "reading|regions", b), "regions");
}

MBS_TEST(nearest, stays_silent_about_other_words) {
    char b[MBS_NEAREST_MAX + 1];
    CHECK_STR(among("writer", "path|flank|vocab", b), "");
    CHECK_STR(among("", "path|flank", b), "");
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK_STR(among(longer, "aaaaaaaa|b", b), "");
    mbs_nearest n;
    mbs_nearest_init(&n, "aaaa");
    mbs_nearest_offer(&n, longer);
    CHECK(n.at == NULL);
    mbs_nearest_offer_words(&n, NULL);
    CHECK(n.at == NULL);
}
