/* What is delivered: the same letters whatever the blocks, the compression and the way that lines are cut. */
#include <unistd.h>

#include "kit.h"
#include "support/tmp.h"

typedef struct input {
    const char *text;
    const char *delivered;
} input;

#define R(name, more, len) ">" name "|" more "|src 0 start 0 len " len " ctx 0\n"

static const input inputs[] = {
    {">a\nACGT\n", R("a", "", "-1") "ACGT\n"},
    {">a\nACGT", R("a", "", "-1") "ACGT\n"},
    {">a\r\nACGT\r\nTT\r\n", R("a", "", "-1") "ACGTTT\n"},
    {">a\r\nACGT\r", R("a", "", "-1") "ACGT\n"},
    {"\n\r\n>a first one \nAC\n\nGT\n\n\n>b\tsecond\nacgtnN\n",
     R("a", "first one", "-1") "ACGT\n" R("b", "second", "-1") "acgtnN\n"},
    {">", R("", "", "-1") "\n"},
    {">\n", R("", "", "-1") "\n"},
    {">e1\n>e2\n\n>one\nA\n>e3\n",
     R("e1", "", "-1") "\n" R("e2", "", "-1") "\n" R("one", "", "-1") "A\n" R("e3", "", "-1") "\n"},
    {">a\nRYSWKMBDHVNU*-.123\n>b\nAC GT\t\nAA \n", R("a", "", "-1") "RYSWKMBDHVNU*-.123\n" R("b", "", "-1") "ACGTAA\n"},
    {"@r1 x\nACGT\n+\nIIII\n@r2\nAC\n+r2\n@@\n", R("r1", "x", "-1") "ACGT\n" R("r2", "", "-1") "AC\n"},
    {"@r1\r\nACGT\r\n+\r\nII>I\r\n\r\n@r2\r\nA\r\n+\r\n+", R("r1", "", "-1") "ACGT\n" R("r2", "", "-1") "A\n"},
    {"@m\nACGT\nACG\n+\nIII\n@II\nI\n@z\n\n+\n\n@y\n+\n@x\nA\n+\n@\n",
     R("m", "", "-1") "ACGTACG\n" R("z", "", "-1") "\n" R("y", "", "-1") "\n" R("x", "", "-1") "A\n"},
};

static const int64_t cuts[] = {1, 2, 3, 7, 4096, WHOLE};

static void check_file(const char *path, const char *delivered) {
    for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
        reading r;
        reading_all(&r, (const char *const[]){"path", path, NULL}, cuts[k]);
        CHECK(r.status == MBS_END, "%s: %d: %s", path, (int)r.status, r.h.why);
        CHECK_STR(r.text, delivered);
        CHECK_INT(r.header->n_records, -1);
        CHECK_INT(r.header->n_units, -1);
        CHECK_STR(r.header->sources[0].path, path);
        CHECK_STR(r.header->unit, "base");
        reading_end(&r);
    }
}

MBS_TEST(fasta_read, delivers_the_same_letters_from_every_form) {
    char dir[256];
    test_tmp_enter(dir);
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        size_t n = strlen(inputs[i].text);
        kit_write("x.fa", inputs[i].text, n);
        check_file("x.fa", inputs[i].delivered);
        kit_gzip("x.fa.gz", inputs[i].text, n);
        check_file("x.fa.gz", inputs[i].delivered);
        kit_bgzip("x.fa.bgz", inputs[i].text, n);
        check_file("x.fa.bgz", inputs[i].delivered);
    }
    test_tmp_leave(dir);
}
