/* The cells of codecs of sound against what those codecs are defined to do, and lpc32 on them. */
#include "base/mem.h"
#include "baseline/baseline.h"
#include "baseline/levels.h"
#include "support/test.h"

static mbs_alphabet alphabet(const char *name, int n, int leave_out) {
    uint8_t seen[256];
    mbs_vocab v = {.struct_size = sizeof v, .size = n, .name = name};
    mbs_alphabet a;
    mbs_err err = {0};
    memset(seen, 1, sizeof seen);
    if (leave_out >= 0) {
        seen[leave_out] = 0;
    }
    CHECK(mbs_alphabet_make(&v, seen, &a, &err) == MBS_OK, "%s", err.what);
    return a;
}

static mbs_levels levels_of(const char *name, int leave_out) {
    mbs_alphabet a = alphabet(name, 256, leave_out);
    mbs_levels l;
    mbs_levels_make(&a, &l);
    CHECK_INT(l.n, a.n);
    mbs_alphabet_free(&a);
    return l;
}

static int sashimi(double y) {
    double v = log(1 + 255 * fabs(y)) / log(256);
    double q = floor(((y < 0 ? -v : v) + 1) / 2 * 255.99 + 0.005);
    return (int)fmax(0, fmin(255, q));
}

static int torchaudio(double y) {
    double v = log(1 + 255 * fabs(y)) / log(256);
    return (int)floor(((y < 0 ? -v : v) + 1) / 2 * 255 + 0.5);
}

static int pcm8(double y) {
    return (int)fmin(255, floor(y * 128 + 0.5) + 128);
}

/* Every sample lies between the edges of its level. */
static void check_cells(const char *name, int (*code)(double)) {
    mbs_levels l = levels_of(name, -1);
    for (int i = -100000; i <= 100000; i++) {
        double y = (i + 0.37) / 100001.0 * (i % 3 ? 1 : 0.01);
        int k = l.rank[code(y)];
        CHECK(k == 0 || y > l.edge[k - 1] - 1e-9, "%s: %g below level %d", name, y, k);
        CHECK(k == 255 || y < l.edge[k] + 1e-9, "%s: %g above level %d", name, y, k);
        CHECK(k == 255 || fabs(y - l.value[k]) <= l.width[k] / 2 + 1e-9, "%s: %g", name, y); /* pcm clips */
    }
}

MBS_TEST(levels, a_sample_lies_in_the_cell_of_its_code) {
    check_cells("mulaw-sashimi", sashimi);
    check_cells("mulaw-torchaudio", torchaudio);
    check_cells("pcm-8", pcm8);
}

/* From the table of the standard, 16 bits: 0xff and 0x7f are 0, 0xfe is 8, 0xf0 120, 0xef 132, 0x80 32124. */
MBS_TEST(levels, g711_is_in_order_of_its_samples) {
    static const struct {
        int code, sample;
    } known[] = {{0xfe, 8}, {0x7e, -8}, {0xf0, 120}, {0xef, 132}, {0x90, 15996}, {0x10, -15996}, {0x81, 31100}};
    mbs_levels l = levels_of("mulaw-g711", -1);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double got = 32768 * l.value[l.rank[known[i].code]];
        CHECK(fabs(got - known[i].sample) < 1e-9, "%#x: %g", (unsigned)known[i].code, got);
    }
    CHECK(l.rank[0] == 0 && l.rank[0x80] == 255 && l.rank[0x7f] == 127 && l.rank[0xff] == 128);
    for (int k = 1; k < 255; k++) {
        CHECK(l.edge[k] > l.edge[k - 1], "level %d", k);
    }
    CHECK(fabs(l.edge[127]) < 1e-12);
}

MBS_TEST(levels, what_lies_in_a_level_that_is_not_there_goes_to_its_neighbours) {
    mbs_levels all = levels_of("pcm-8", -1);
    mbs_levels l = levels_of("pcm-8", 100);
    CHECK_INT(l.n, 255);
    CHECK(fabs(l.edge[99] - all.value[100]) < 1e-12, "%g", l.edge[99]);
    CHECK(fabs(l.value[100] - all.value[101]) < 1e-12);
}

/* Something like noise through a resonance: two uniform numbers behind each other make what is new in it. */
typedef struct source {
    uint32_t state;
    double a, b;
    double bits; /* of what is new, less those of the cell: what the best coder needs, about */
} source;

static double uniform(source *s) {
    s->state = s->state * 1664525u + 1013904223u;
    return (s->state >> 8) / 16777216.0 - 0.5;
}

#define NEW 0.02 /* half the width of the triangle */

static int next_code(source *s, const mbs_levels *l) {
    double y = 1.8 * s->a - 0.9 * s->b + NEW * (uniform(s) + uniform(s));
    s->b = s->a;
    s->a = fmax(-0.99, fmin(0.99, y));
    int code = sashimi(s->a);
    double entropy = (0.5 + log(NEW)) / log(2); /* of a triangle */
    s->bits += fmax(0, entropy - log(l->width[l->rank[code]]) / log(2));
    return code;
}

/* On the logarithmic scale no linear predictor comes near this. */
MBS_TEST(levels, lpc_comes_near_what_a_resonance_needs) {
    enum { N = 12000 };
    mbs_alphabet a = alphabet("mulaw-sashimi", 256, -1);
    mbs_levels l = levels_of("mulaw-sashimi", -1);
    mbs_baseline *b[2] = {NULL, NULL}; /* the second does not know that it is mu-law */
    double bits[2] = {0, 0};
    source s = {.state = 5};
    mbs_err err = {0};
    mbs_alphabet other = alphabet("numbers", 256, -1);
    CHECK(mbs_baseline_new(MBS_BASELINE_LPC, &a, N, &b[0], &err) == MBS_OK);
    CHECK(mbs_baseline_new(MBS_BASELINE_LPC, &other, N, &b[1], &err) == MBS_OK);
    for (int i = 0; i < N; i++) {
        int code = next_code(&s, &l);
        for (int k = 0; k < 2; k++) {
            double lp = mbs_baseline_score(b[k], code);
            bits[k] -= i >= N / 3 ? lp / log(2) / (N - N / 3) : 0;
        }
        s.bits = i == N / 3 - 1 ? 0 : s.bits;
    }
    double best = s.bits / (N - N / 3);
    CHECK(bits[0] > best - 0.05 && bits[0] < best + 0.35, "%g bits, and %g are needed", bits[0], best);
    CHECK(bits[1] > bits[0] + 0.5, "%g bits without the cells, %g with them", bits[1], bits[0]);
    mbs_baseline_free(b[0]);
    mbs_baseline_free(b[1]);
    mbs_alphabet_free(&a);
    mbs_alphabet_free(&other);
}

/* After the same samples, every code in turn: loud ones, and silence after them. */
MBS_TEST(levels, chances_of_all_codes_add_up_to_one) {
    static const char *const names[] = {"mulaw-sashimi", "mulaw-torchaudio", "mulaw-g711", "pcm-8"};
    mbs_levels l = levels_of("mulaw-sashimi", -1);
    for (int i = 0; i < 4; i++) {
        mbs_alphabet a = alphabet(names[i], 256, -1);
        for (int n = 0; n <= 80; n += 40) {
            double sum = 0;
            for (int last = 0; last < 256; last++) {
                mbs_baseline *b = NULL;
                mbs_err err = {0};
                source s = {.state = 9};
                CHECK(mbs_baseline_new(MBS_BASELINE_LPC, &a, 100, &b, &err) == MBS_OK);
                for (int t = 0; t < n; t++) {
                    mbs_baseline_learn(b, t < 60 ? next_code(&s, &l) : 128);
                }
                double lp = mbs_baseline_score(b, last);
                CHECK(lp > log(1e-6), "%s: %d is all but impossible: %g", names[i], last, lp);
                sum += exp(lp);
                mbs_baseline_free(b);
            }
            CHECK(fabs(sum - 1) < 1e-9, "%s behind %d samples: %.15g", names[i], n, sum);
        }
        mbs_alphabet_free(&a);
    }
}

/* Nothing is heard for long, in a codec in which that is 0, and then something. */
MBS_TEST(levels, silence_costs_nothing_and_is_forgotten) {
    mbs_alphabet a = alphabet("pcm-8", 256, -1);
    mbs_baseline *b = NULL;
    mbs_err err = {0};
    double silence = 0;
    double tone = 0;
    CHECK(mbs_baseline_new(MBS_BASELINE_LPC, &a, 100, &b, &err) == MBS_OK);
    for (int i = 0; i < 70000; i++) {
        int loud = i < 500 || i >= 69000;
        double lp = mbs_baseline_score(b, loud ? pcm8(0.5 * sin(0.2 * i)) : 128);
        CHECK(isfinite(lp) && lp <= 0, "sample %d: %g", i, lp);
        silence -= i >= 68000 && i < 69000 ? lp / log(2) / 1000 : 0;
        tone -= i >= 69500 ? lp / log(2) / 500 : 0;
    }
    CHECK(silence < 0.01 && tone < 2, "%g bits of silence, %g of the tone", silence, tone);
    mbs_baseline_free(b);
    mbs_alphabet_free(&a);
}
