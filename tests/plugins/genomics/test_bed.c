/* Windows of a reference: letters of both strands, names, classes, and which lines are refused. */
#include <stdlib.h>

#include "kit.h"
#include "support/tmp.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_bed;

/*                         0123456789 0123456789 01234 */
static const char ref[] = ">c1\nACGTRacgtN\nTTTTTCCCCC\nGAGAG\n>c2\nAAC\n";

typedef struct seen {
    char strands[64], labels[256], contigs[256];
} seen;

static void note(reading *r, const mbs_block *b) {
    seen *s = r->ctx;
    if (b->flags & MBS_SEQ_START) {
        s->strands[strlen(s->strands)] = (char)b->record->strand;
        size_t n = strlen(s->labels);
        (void)snprintf(s->labels + n, sizeof(s->labels) - n, "%s ", b->record->label ? b->record->label : "-");
        n = strlen(s->contigs);
        CHECK_STR(b->record->attrs[0].key, "contig");
        (void)snprintf(s->contigs + n, sizeof(s->contigs) - n, "%s ", b->record->attrs[0].value);
    }
}

static void start(reading *r, seen *s, const char *const *params) {
    memset(s, 0, sizeof(*s));
    reading_start_of(r, mbs_plugin_entry_bed.descriptors[0], params);
    r->look = note;
    r->ctx = s;
}

#define W(name, start, len, ctx) ">" name "||src 0 start " start " len " len " ctx " ctx "\n"

MBS_TEST(bed, gives_windows_of_both_strands) {
    char dir[256];
    test_tmp_enter(dir);
    kit_write("ref.fa", ref, sizeof(ref) - 1);
    kit_bgzip("ref.fa.gz", ref, sizeof(ref) - 1);
    const char bed[] = "#c\nc1\t1\t7\tone\t0\t+\nc1\t1\t7\ttwo\t0\t-\nc1\t3\t12\nc2\t0\t3\t.\t0\t-\nc1\t24\t25\tend\n";
    kit_write("w.bed", bed, sizeof(bed) - 1);
    kit_gzip("w.bed.gz", bed, sizeof(bed) - 1);
    static const char want[] = W("one", "1", "6", "0") "CGTRac\n" W("two", "1", "6", "0") "gtYACG\n" W(
        "c1:4-12", "3", "9", "0") "TRacgtNTT\n" W("c2:1-3", "0", "3", "0") "GTT\n" W("end", "24", "1", "0") "G\n";
    static const char *const files[][2] = {{"w.bed", "ref.fa"}, {"w.bed.gz", "ref.fa.gz"}};
    for (int64_t rows = 1; rows < 100; rows *= 3) {
        for (int i = 0; i < 2; i++) {
            reading r;
            seen s;
            start(&r, &s, (const char *const[]){"path", files[i][0], "reference", files[i][1], NULL});
            CHECK_INT(reading_open(&r), MBS_OK);
            CHECK(reading_rest(&r, rows) == MBS_END, "%s", r.h.why);
            CHECK_STR(r.text, want);
            CHECK_STR(s.strands, "+-+-+");
            CHECK_STR(s.contigs, "c1 c1 c1 c2 c1 ");
            CHECK_INT(r.header->n_records, 5);
            CHECK_INT(r.header->n_units, 25);
            CHECK_INT(r.header->n_contigs, 2);
            CHECK_INT(r.header->contigs[0].length, 25);
            reading_end(&r);
        }
    }
    test_tmp_leave(dir);
}

MBS_TEST(bed, what_lies_in_front_of_a_window_depends_on_its_strand) {
    char dir[256];
    test_tmp_enter(dir);
    kit_write("ref.fa", ref, sizeof(ref) - 1);
    KIT_TEXT("w.bed", "c1\t10\t12\ta\t0\t+\nc1\t10\t12\tb\t0\t-\nc1\t20\t23\tc\t0\t-\nc1\t1\t3\td\t0\t-\n");
    reading r;
    seen s;
    start(&r, &s, (const char *const[]){"path", "w.bed", "reference", "ref.fa", "flank", "4", NULL});
    CHECK_INT(reading_open(&r), MBS_OK);
    CHECK(reading_rest(&r, 2) == MBS_END, "%s", r.h.why);
    CHECK_STR(r.text, W("a", "10", "2", "4") "cgtNTT\n" W("b", "10", "2", "4") "GAAAAA\n" W(
                          "c", "20", "3", "2") "CTCTC\n" W("d", "1", "2", "1") "ACG\n");
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(bed, takes_the_class_from_a_column) {
    char dir[256];
    test_tmp_enter(dir);
    kit_write("ref.fa", ref, sizeof(ref) - 1);
    KIT_TEXT("w.bed", "c1\t0\t2\ta\t0\t+\tyes\nc1\t4\t6\tb\t0\t-\tno\n");
    reading r;
    seen s;
    start(&r, &s, (const char *const[]){"path", "w.bed", "reference", "ref.fa", "label_column", "7", NULL});
    CHECK_INT(reading_open(&r), MBS_OK);
    CHECK_INT(reading_rest(&r, WHOLE), MBS_END);
    CHECK_STR(s.labels, "yes no ");
    reading_end(&r);
    start(&r, &s, (const char *const[]){"path", "w.bed", "reference", "ref.fa", "label_column", "8", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_DATA);
    CHECK_STR(r.h.why, "w.bed:1: no column 8");
    reading_end(&r);
    /* An empty name is a column, not a place where the others move up. */
    KIT_TEXT("w.bed", "c1\t0\t2\t\t0\t+\tyes\nc1\t4\t6\t\t0\t-\tno\n");
    start(&r, &s, (const char *const[]){"path", "w.bed", "reference", "ref.fa", "label_column", "7", NULL});
    CHECK_INT(reading_open(&r), MBS_OK);
    CHECK_INT(reading_rest(&r, WHOLE), MBS_END);
    CHECK_STR(s.labels, "yes no ");
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(bed, refuses_lines_that_name_no_window) {
    static const struct {
        const char *line, *why, *hint;
    } bad[] = {
        {"c1\t-1\t4", "w.bed:2: a negative position", ""},
        {"c1\t7\t3", "w.bed:2: end 3 is not behind start 7", ""},
        {"c1\t7\t7", "w.bed:2: end 7 is not behind start 7", ""},
        {"c1\t20\t26", "w.bed:2: ends at 26, and 'c1' has 25 bases", ""},
        {"chrc1\t0\t4", "w.bed:2: no record of ref.fa is named 'chrc1'", "'c1' is there: names with 'chr' and without"},
        {"c1\t0", "w.bed:2: not name, start and end", ""},
        {"c1\tx\t4", "w.bed:2: not name, start and end", ""},
        {"c1\t0\t99999999999999999999", "w.bed:2: not name, start and end", ""},
    };
    char dir[256];
    test_tmp_enter(dir);
    kit_write("ref.fa", ref, sizeof(ref) - 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[128];
        int n = snprintf(text, sizeof(text), "c1\t0\t4\n%s\n", bad[i].line);
        kit_write("w.bed", text, (size_t)n);
        reading r;
        seen s;
        start(&r, &s, (const char *const[]){"path", "w.bed", "reference", "ref.fa", NULL});
        CHECK_INT(reading_open(&r), MBS_ERR_DATA);
        CHECK(strstr(r.h.why, bad[i].why) != NULL, "'%s' is not '%s'", r.h.why, bad[i].why);
        CHECK(strstr(r.h.hint, bad[i].hint) != NULL, "'%s'", r.h.hint);
        reading_end(&r);
    }
    KIT_TEXT("w.bed", "# nothing\n");
    kit_gzip("ref.fa.gz", ref, sizeof(ref) - 1);
    reading r;
    seen s;
    start(&r, &s, (const char *const[]){"path", "w.bed", "reference", "ref.fa", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_DATA);
    CHECK(strstr(r.h.why, "no window in it") != NULL, "%s", r.h.why);
    reading_end(&r);
    start(&r, &s, (const char *const[]){"path", "w.bed", "reference", "ref.fa.gz", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_DATA);
    CHECK(strstr(r.h.why, "gzip cannot be sought in") && strstr(r.h.hint, "bgzip"), "%s", r.h.why);
    reading_end(&r);
    test_tmp_leave(dir);
}
