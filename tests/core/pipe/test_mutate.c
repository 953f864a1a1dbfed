/* A good pipeline with a few bytes changed, 2000 times: always a plan or words with a place inside the file. */
#include "load.h"
#include "support/test.h"
#include "support/tmp.h"

static const char good[] = "# Bits per base.\n"
                           "mambaseq: 1\n"
                           "plugins: [sub]\n"
                           "reader:\n"
                           "  plugin: fasta\n"
                           "  path: [a.fa, \"b.fa\"]\n"
                           "  regions: [\"chr1:1,000-2,000\", chr2]\n"
                           "  flank: all\n"
                           "codec: {plugin: bases, vocab: 'auto'}\n"
                           "model: {path: m, task: generate, temperature: 0.5, stop: [N]}\n"
                           "writer:\n"
                           "  - {plugin: hdf5, path: a.h5}\n"
                           "  - plugin: table\n"
                           "    path: \"{stem}.tsv\"\n";

/* xorshift64*: the same on every machine. */
static uint64_t next(uint64_t *s) {
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 0x2545f4914f6cdd1dull;
}

static size_t mutate(char *text, size_t len, size_t cap, uint64_t *s) {
    static const char special[] = "{}[]:,-#&*!|>'\"%@`? \t\n\r\\~<=.0";
    int n = 1 + (int)(next(s) % 4);
    for (int i = 0; i < n && len > 1; i++) {
        size_t at = next(s) % len;
        size_t from = next(s) % len;
        size_t count = next(s) % 12 + 1;
        switch (next(s) % 6) {
        case 0:
            text[at] = (char)next(s);
            break;
        case 1:
            text[at] = special[next(s) % (sizeof special - 1)];
            break;
        case 2:
            count = count < len - at ? count : len - at;
            memmove(text + at, text + at + count, len - at - count);
            len -= count;
            break;
        case 3:
            if (len < cap) {
                memmove(text + at + 1, text + at, len - at);
                text[at] = special[next(s) % (sizeof special - 1)];
                len++;
            }
            break;
        case 4:
            count = count < len - from ? count : len - from;
            if (len + count <= cap) {
                char piece[16];
                memcpy(piece, text + from, count);
                memmove(text + at + count, text + at, len - at);
                memcpy(text + at, piece, count);
                len += count;
            }
            break;
        default:
            len = at + 1;
            break;
        }
    }
    return len;
}

/* Every place that is named lies inside the text, or right behind its last line. */
static void check_places(const char *diags, const char *text, size_t len, int round) {
    int lines = 1;
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n' || (text[i] == '\r' && !(i + 1 < len && text[i + 1] == '\n'));
    }
    int places = 0;
    for (const char *at = diags; (at = strstr(at, "score.yaml:")) != NULL; at++) {
        int line = 0;
        int col = 0;
        if (sscanf(at, "score.yaml:%d:%d: ", &line, &col) == 2) {
            CHECK(line >= 1 && line <= lines && col >= 1 && (size_t)col <= len + 1, "round %d: %d:%d of %d lines\n%.*s",
                  round, line, col, lines, (int)len, text);
            places++;
        }
    }
    CHECK(places > 0, "round %d: no place in %s", round, diags);
}

MBS_TEST(mutate, plan_or_words) {
    char folder[256];
    test_tmp_enter(folder);
    test_tmp_write("a.fa", ">a\nACGT\n");
    mbs_registry *registry = test_registry();
    CHECK(registry != NULL, "no registry");
    uint64_t seed = 20240229;
    int plans = 0;
    for (int round = 0; round < 2000; round++) {
        char text[sizeof good + 256];
        memcpy(text, good, sizeof good - 1);
        size_t len = round ? mutate(text, sizeof good - 1, sizeof text, &seed) : sizeof good - 1;
        test_loaded l;
        test_load(registry, text, len, NULL, 0, &l);
        CHECK((l.status == MBS_OK) == (l.plan != NULL), "round %d", round);
        if (l.plan) {
            mbs_buf out = MBS_BUF_INIT;
            mbs_plan_canonical(l.plan, &out);
            mbs_plan_print(l.plan, &out);
            CHECK(out.len > 0 && !out.failed, "round %d", round);
            mbs_buf_free(&out);
            plans++;
        } else {
            CHECK(l.status == MBS_ERR_CONFIG || l.status == MBS_ERR_UNAVAILABLE || l.status == MBS_ERR_NOINPUT,
                  "round %d: %d", round, l.status);
            CHECK(strstr(l.err.what, " error") != NULL, "round %d: %s", round, l.err.what);
            check_places(mbs_buf_str(&l.diags), text, len, round);
        }
        test_loaded_free(&l);
    }
    CHECK(plans > 50 && plans < 1500, "%d of 2000 were plans: the mutations are too strong or too weak", plans);
    mbs_registry_free(registry);
    test_tmp_leave(folder);
}
