/* Baselines against counts done by hand and by a second, slow way. Whole inputs are in tests/cli/cases/eval_baseline.t.
 */
#include "base/mem.h"
#include "baseline/baseline.h"
#include "support/test.h"

#define N_IDS 6

static const int32_t dna_complement[N_IDS] = {0, 4, 3, 2, 1, 5}; /* 1 2 3 4 are A C G T */

static mbs_alphabet dna(int complements) {
    static const uint8_t seen[N_IDS] = {0, 1, 1, 1, 0, 0}; /* no T, but the complement of A */
    static const uint8_t all[N_IDS] = {0, 1, 1, 1, 1, 0};
    mbs_vocab v = {.struct_size = sizeof v, .size = N_IDS, .complement = complements ? dna_complement : NULL};
    mbs_alphabet a;
    mbs_err err = {0};
    CHECK(mbs_alphabet_make(&v, complements ? seen : all, &a, &err) == MBS_OK, "%s", err.what);
    return a;
}

static mbs_baseline *fresh(int order, const mbs_alphabet *a, const char *learn) {
    mbs_baseline *b = NULL;
    mbs_err err = {0};
    CHECK(mbs_baseline_new(order, a, 1000, &b, &err) == MBS_OK, "%s", err.what);
    for (; *learn; learn++) {
        if (*learn == '.') {
            mbs_baseline_break(b);
        } else {
            mbs_baseline_learn(b, *learn - '0');
        }
    }
    mbs_baseline_break(b);
    return b;
}

/* P of the last digit behind the others. */
static double chance(mbs_baseline *b, const char *text) {
    mbs_baseline_break(b);
    for (; text[1]; text++) {
        mbs_baseline_pass(b, *text - '0');
    }
    return exp(mbs_baseline_score(b, *text - '0'));
}

static void check_chance(mbs_baseline *b, const char *text, double want) {
    double got = chance(b, text);
    CHECK(fabs(got - want) < 1e-12, "%s: %.15g is not %.15g", text, got, want);
}

MBS_TEST(baseline, letters_are_the_ids_that_are_scored_and_their_complements) {
    mbs_alphabet a = dna(1);
    CHECK_INT(a.n, 4);
    CHECK_INT(a.bits, 2);
    CHECK_INT(mbs_alphabet_letter(&a, 1), 0);
    CHECK_INT(mbs_alphabet_letter(&a, 4), 3);
    CHECK_INT(mbs_alphabet_letter(&a, 0), -1);
    CHECK_INT(mbs_alphabet_letter(&a, 5), -1);
    CHECK_INT(mbs_alphabet_letter(&a, 6), -1);
    CHECK_INT(mbs_alphabet_letter(&a, -1), -1);
    CHECK_INT(a.complement[1], 2);
    CHECK_INT(a.complement[3], 0);
    mbs_alphabet_free(&a);
}

/* 0 0 1 of two letters: with 1 added it costs 1/2 x 2/3 x 1/4, with less added less is left; so P(0) = 3/5. */
MBS_TEST(baseline, order_0_by_hand) {
    static const uint8_t seen[N_IDS] = {0, 1, 1, 0, 0, 0};
    mbs_vocab v = {.struct_size = sizeof v, .size = N_IDS};
    mbs_alphabet a;
    mbs_err err = {0};
    CHECK(mbs_alphabet_make(&v, seen, &a, &err) == MBS_OK);
    CHECK_INT(a.n, 2);
    mbs_baseline *b = fresh(0, &a, "001");
    check_chance(b, "0", 3.0 / 5);
    check_chance(b, "1", 2.0 / 5);
    mbs_baseline_free(b);
    /* Where nothing surprises 1/16 is the best: 8 zeros and (8 + 1/16) / (8 + 2/16). */
    b = fresh(0, &a, "00000000");
    check_chance(b, "0", 8.0625 / 8.125);
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
}

/* A C C is G G T on the other strand: behind GG there was a T. */
MBS_TEST(baseline, the_other_strand_counts_too) {
    mbs_alphabet a = dna(1);
    mbs_baseline *b = fresh(2, &a, "011");
    check_chance(b, "011", 2.0 / 5);
    check_chance(b, "223", 2.0 / 5);
    check_chance(b, "221", 1.0 / 5);
    check_chance(b, "110", 1.0 / 4);
    check_chance(b, "23", 1.0 / 4); /* not context enough */
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
    a = dna(0);
    b = fresh(2, &a, "011");
    check_chance(b, "223", 1.0 / 4);
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
}

MBS_TEST(baseline, nothing_is_learnt_across_a_break) {
    mbs_alphabet a = dna(0);
    mbs_baseline *b = fresh(1, &a, "0.1.01");
    check_chance(b, "01", 2.0 / 5);
    check_chance(b, "10", 1.0 / 4);
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 24; /* the low bits come again soon */
}

/* Counts of every window of k + 1 letters of both strands, looked for from the beginning each time. */
MBS_TEST(baseline, order_k_is_what_a_slow_count_says) {
    enum { N = 1500, K = 3 };
    mbs_alphabet a = dna(1);
    char text[N + 1] = {0};
    char other[N + 1] = {0};
    uint32_t state = 7;
    for (int i = 0; i < N; i++) {
        text[i] = (char)('0' + (next_random(&state) % 5) % 4);
    }
    for (int i = 0; i < N; i++) {
        other[i] = (char)('0' + '3' - text[N - 1 - i]);
    }
    mbs_baseline *b = fresh(K, &a, text);
    const double added[] = {1, 0.25, 0.0625};
    int fits[3] = {1, 1, 1};
    for (int c = 0; c < 256; c++) {
        char want[K + 2] = {(char)('0' + c / 64), (char)('0' + c / 16 % 4), (char)('0' + c / 4 % 4),
                            (char)('0' + c % 4), 0};
        int with = 0;
        int all = 0;
        for (int i = 0; i + K < N; i++) {
            const char *strands[] = {text + i, other + i};
            for (int s = 0; s < 2; s++) {
                int here = strncmp(strands[s], want, K) == 0;
                all += here;
                with += here && strands[s][K] == want[K];
            }
        }
        for (int i = 0; i < 3; i++) {
            fits[i] = fits[i] && fabs(chance(b, want) - (with + added[i]) / (all + 4 * added[i])) < 1e-12;
        }
    }
    CHECK_INT(fits[0] + fits[1] + fits[2], 1);
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
}

/* A sequence that comes again is known by its long contexts, on either strand; one never met costs two bits or more. */
MBS_TEST(baseline, mix_remembers_and_is_the_same_each_time) {
    enum { N = 6000 };
    mbs_alphabet a = dna(1);
    double bits[2][3] = {{0}};
    for (int again = 0; again < 2; again++) {
        mbs_baseline *b = NULL;
        mbs_err err = {0};
        CHECK(mbs_baseline_new(MBS_BASELINE_MIX, &a, N, &b, &err) == MBS_OK);
        uint32_t state = 11;
        int text[N];
        for (int i = 0; i < N; i++) {
            text[i] = (int)(next_random(&state) % 4);
            mbs_baseline_learn(b, i < N / 2 ? text[i] : text[i - N / 2]);
        }
        for (int part = 0; part < 3; part++) {
            mbs_baseline_break(b);
            for (int i = 0; i < N / 2; i++) {
                int letter = part == 0 ? text[i] : part == 1 ? 3 - text[N / 2 - 1 - i] : text[N / 2 + i];
                double lp = mbs_baseline_score(b, letter);
                CHECK(isfinite(lp) && lp < 0);
                bits[again][part] -= lp / (log(2) * N / 2);
            }
        }
        mbs_baseline_free(b);
    }
    CHECK(bits[0][0] < 0.5, "%g", bits[0][0]);
    CHECK(bits[0][1] < 0.5, "%g", bits[0][1]);
    CHECK(bits[0][2] > 2 && bits[0][2] < 12, "%g", bits[0][2]);
    CHECK(memcmp(bits[0], bits[1], sizeof bits[0]) == 0);
    mbs_alphabet_free(&a);
}

MBS_TEST(baseline, memory_is_bounded_by_what_is_learnt_and_by_128_mib) {
    mbs_alphabet a = dna(1);
    static const struct {
        int order;
        int64_t tokens, bytes;
    } cases[] = {
        {6, 10000000, 4096 * 8}, {12, 1000, 4096 * 8}, {12, 3711740, 128 << 20}, {24, INT64_MAX / 8, 128 << 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mbs_baseline *b = NULL;
        mbs_err err = {0};
        CHECK(mbs_baseline_new(cases[i].order, &a, cases[i].tokens, &b, &err) == MBS_OK);
        CHECK_INT(mbs_baseline_bytes(b), cases[i].bytes);
        mbs_baseline_free(b);
    }
    mbs_alphabet_free(&a);
}

MBS_TEST(baseline, an_order_that_does_not_fit_the_letters_is_refused) {
    enum { MANY = 300 };
    uint8_t seen[MANY];
    mbs_vocab v = {.struct_size = sizeof v, .size = 200};
    mbs_alphabet a;
    mbs_baseline *b = NULL;
    mbs_err err = {0};
    memset(seen, 1, sizeof seen);
    CHECK(mbs_alphabet_make(&v, seen, &a, &err) == MBS_OK);
    CHECK(mbs_baseline_new(7, &a, 10, &b, &err) == MBS_OK);
    mbs_baseline_free(b);
    CHECK_INT(mbs_baseline_new(8, &a, 10, &b, &err), MBS_ERR_USAGE);
    CHECK_STR(err.fix, "order-7 is the largest");
    CHECK(mbs_baseline_new(MBS_BASELINE_MIX, &a, 10, &b, &err) == MBS_OK);
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
    v.size = MANY;
    CHECK_INT(mbs_alphabet_make(&v, seen, &a, &err), MBS_ERR_DATA);
    mbs_alphabet_free(&a);
}

MBS_TEST(baseline, lists_are_read_and_mistakes_named) {
    int orders[MBS_BASELINE_MAX];
    int n = 0;
    mbs_err err = {0};
    CHECK(mbs_baseline_list("--baseline", "order-0,mix,order-24,mix", orders, &n, &err) == MBS_OK);
    CHECK_INT(n, 3);
    CHECK(orders[0] == 0 && orders[1] == MBS_BASELINE_MIX && orders[2] == 24);
    static const char *const wrong[] = {"",       "mix,", "order-", "order--1", "order-25", "order-99999999999",
                                        "order6", "6"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mbs_err_clear(&err);
        CHECK_INT(mbs_baseline_list("--baseline", wrong[i], orders, &n, &err), MBS_ERR_USAGE);
    }
}

/* --- sound ---------------------------------------------------------------------------------------------------------
 */

#define LEVELS 64

static mbs_alphabet levels(void) {
    uint8_t seen[LEVELS];
    mbs_vocab v = {.struct_size = sizeof v, .size = LEVELS};
    mbs_alphabet a;
    mbs_err err = {0};
    memset(seen, 1, sizeof seen);
    CHECK(mbs_alphabet_make(&v, seen, &a, &err) == MBS_OK, "%s", err.what);
    return a;
}

/* Two tones that nothing repeats. */
static int sample(int i) {
    return (int)lround(31.5 + 18 * sin(0.31 * i) + 9 * sin(0.83 * i + 1));
}

static double bits_of(int order, const mbs_alphabet *a, int n) {
    mbs_baseline *b = fresh(order, a, "");
    double sum = 0;
    for (int i = 0; i < n; i++) {
        mbs_baseline_learn(b, sample(i));
    }
    for (int i = n; i < 2 * n; i++) {
        sum -= mbs_baseline_score(b, sample(i)) / log(2);
    }
    mbs_baseline_free(b);
    return sum / n;
}

MBS_TEST(baseline, lpc_foresees_tones_that_tables_do_not) {
    mbs_alphabet a = levels();
    double lpc = bits_of(MBS_BASELINE_LPC, &a, 3000);
    double zero = bits_of(0, &a, 3000);
    double one = bits_of(1, &a, 3000);
    CHECK(zero > 5 && one > 2.5 && lpc < 1.2, "lpc32 %g, order-0 %g, order-1 %g bits", lpc, zero, one);
    mbs_alphabet_free(&a);
}

MBS_TEST(baseline, lpc_gives_chances_that_add_up_to_one) {
    mbs_alphabet a = levels();
    for (int n = 0; n <= 400; n += 200) { /* nothing known, something, and a jump */
        double sum = 0;
        for (int last = 0; last < LEVELS; last++) {
            mbs_baseline *b = fresh(MBS_BASELINE_LPC, &a, "");
            for (int i = 0; i < n; i++) {
                mbs_baseline_learn(b, i < 390 ? sample(i) : 63);
            }
            double lp = mbs_baseline_score(b, last);
            CHECK(isfinite(lp));
            sum += exp(lp);
            mbs_baseline_free(b);
        }
        CHECK(fabs(sum - 1) < 1e-9, "behind %d samples: %.15g", n, sum);
    }
    mbs_alphabet_free(&a);
}

/* Silence excites nothing, and a full-scale square wave everything: numbers stay numbers. */
MBS_TEST(baseline, lpc_survives_silence_and_clicks) {
    mbs_alphabet a = levels();
    mbs_baseline *b = fresh(MBS_BASELINE_LPC, &a, "");
    double quiet = 0;
    for (int i = 0; i < 60000; i++) {
        int x = i < 40000 ? 32 : i < 50000 ? (i / 7 % 2) * 63 : 32;
        double lp = mbs_baseline_score(b, x);
        CHECK(isfinite(lp) && lp <= 0, "sample %d: %g", i, lp);
        quiet -= i >= 59000 ? lp / log(2) / 1000 : 0;
    }
    CHECK(quiet < 0.05, "%g bits a sample of silence", quiet);
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
}
