/* What the reader `bam` refuses, and in which words. */
#include <stdlib.h>
#include <unistd.h>

#include "sam.h"
#include "support/tmp.h"

#define SQ "@SQ\tSN:c1\tLN:100\n"
#define ONE SQ "r\t0\tc1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n"

static void refused(const char *const *params, mbs_status status, const char *why, const char *hint) {
    reading r;
    sam_reading_all(&r, params, WHOLE);
    CHECK(r.status == status, "%d, not %d: %s", (int)r.status, (int)status, r.h.why);
    CHECK(strstr(r.h.why, why) != NULL, "'%s' says nothing of '%s'", r.h.why, why);
    CHECK(strstr(r.h.hint, hint) != NULL, "'%s' says nothing of '%s'", r.h.hint, hint);
    reading_end(&r);
}

/* The first n bytes of a file. */
static void cut(const char *from, const char *to, size_t less) {
    size_t n;
    char *s = kit_read(from, &n);
    kit_write(to, s, n - less);
    free(s);
}

MBS_TEST(bam_errors, a_missing_end_block_is_an_error_unless_allowed) {
    char dir[256];
    test_tmp_enter(dir);
    sam_make("x.bam", "wb", ONE, NULL, -1);
    cut("x.bam", "cut.bam", 28);
    cut("x.bam", "short.bam", 40);
    refused((const char *const[]){"path", "cut.bam", NULL}, MBS_ERR_DATA, "cut.bam: truncated: the end-of-file block",
            "allow_truncated: true");
    refused((const char *const[]){"path", "short.bam", NULL}, MBS_ERR_DATA, "end-of-file block", "copy");
    reading r;
    sam_reading_all(&r, (const char *const[]){"path", "cut.bam", "allow_truncated", "true", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_END);
    CHECK_INT(r.records, 1);
    CHECK(strstr(r.h.log, "read as far as it goes") != NULL);
    reading_end(&r);
    sam_reading_all(&r, (const char *const[]){"path", "short.bam", "allow_truncated", "true", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_END); /* what is complete */
    CHECK_INT(r.records, 0);
    CHECK(strstr(r.h.log, "ends within a record; 0 are complete") != NULL, "%s", r.h.log);
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(bam_errors, damage_is_told_with_its_place) {
    char dir[256];
    test_tmp_enter(dir);
    KIT_TEXT("bad.sam", ONE "s\t0\tc9\t1\t60\t4M\t*\t0\t0\tACGT\tII\n");
    refused((const char *const[]){"path", "bad.sam", NULL}, MBS_ERR_DATA, "bad.sam:3: is no alignment record", "");
    KIT_TEXT("x.txt", "hello\n");
    refused((const char *const[]){"path", "x.txt", NULL}, MBS_ERR_DATA, "x.txt: is no SAM, BAM or CRAM file", "");
    KIT_TEXT("x.fa", ">a\nACGT\n");
    refused((const char *const[]){"path", "x.fa", NULL}, MBS_ERR_DATA, "is no SAM", "plugin: fasta");
    KIT_TEXT("empty.bam", "");
    refused((const char *const[]){"path", "empty.bam", NULL}, MBS_ERR_DATA, "empty.bam", "");
    refused((const char *const[]){"path", "absent.bam", NULL}, MBS_ERR_NOINPUT, "absent.bam: cannot be opened: No such",
            "");
    refused((const char *const[]){"path", ".", NULL}, MBS_ERR_NOINPUT, "Is a directory", "");
    refused((const char *const[]){"path", "https://localhost:1/x.bam", NULL}, MBS_ERR_NOINPUT, "lies on the network",
            "allow_network");
    test_tmp_leave(dir);
}

MBS_TEST(bam_errors, regions_need_an_index_that_reaches_them) {
    char dir[256];
    test_tmp_enter(dir);
    sam_make("x.bam", "wb", ONE, NULL, -1);
    sam_make("x.sam", "w", ONE, NULL, -1);
    refused((const char *const[]){"path", "x.bam", "regions", "c1", NULL}, MBS_ERR_NOINPUT, "regions need an index",
            "samtools index x.bam");
    refused((const char *const[]){"path", "x.sam", "regions", "c1", NULL}, MBS_ERR_NOINPUT, "regions need an index",
            "samtools sort");
    CHECK_INT(sam_index_build("x.bam", 0), 0);
    refused((const char *const[]){"path", "x.bam", "regions", "chrc1:1-2", NULL}, MBS_ERR_DATA,
            "no contig of x.bam is named 'chrc1'", "'c1' is there: names with 'chr' and without");
    refused((const char *const[]){"path", "x.bam", "regions", "c1:90-101", NULL}, MBS_ERR_DATA,
            "lies outside of 'c1', which has 100 bases", "");
    refused((const char *const[]){"path", "x.bam", "regions", "c1:5-4", NULL}, MBS_ERR_CONFIG, "ends before it begins",
            "");
    sam_make("long.bam", "wb", "@SQ\tSN:c1\tLN:600000000\nr\t0\tc1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n", NULL, 0);
    refused((const char *const[]){"path", "long.bam", "regions", "c1:536870000-536870913", NULL}, MBS_ERR_DATA,
            "a .bai index ends at base 536870912", "samtools index -c");
    reading r;
    sam_reading_all(&r, (const char *const[]){"path", "long.bam", "regions", "c1:1-536870912", NULL}, WHOLE);
    CHECK_INT(r.records, 1);
    reading_end(&r);
    CHECK_INT(unlink("long.bam.bai"), 0);
    CHECK_INT(sam_index_build("long.bam", 14), 0);
    sam_reading_all(&r, (const char *const[]){"path", "long.bam", "regions", "c1", NULL}, WHOLE);
    CHECK(r.status == MBS_END, "%s", r.h.why);
    CHECK_INT(r.records, 1);
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(bam_errors, the_reference_has_to_be_the_one_of_the_file) {
    char dir[256];
    test_tmp_enter(dir);
    sam_make("x.bam", "wb", "@SQ\tSN:chr1\tLN:8\nr\t0\tchr1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n", NULL, -1);
    KIT_TEXT("ref.fa", ">chr1\nACGTACGT\n");
    refused((const char *const[]){"path", "x.bam", "reference", "ref.fa", NULL}, MBS_ERR_NOINPUT,
            "ref.fa: has no index", "samtools faidx ref.fa");
    CHECK_INT(fai_build("ref.fa"), 0);
    KIT_TEXT("plain.fa", ">1\nACGTACGT\n");
    CHECK_INT(fai_build("plain.fa"), 0);
    KIT_TEXT("other.fa", ">chr1\nACGTACG\n");
    CHECK_INT(fai_build("other.fa"), 0);
    refused((const char *const[]){"path", "x.bam", "reference", "plain.fa", NULL}, MBS_ERR_DATA,
            "x.bam calls 'chr1' what plain.fa calls '1'", "samtools reheader");
    refused((const char *const[]){"path", "x.bam", "reference", "other.fa", NULL}, MBS_ERR_DATA,
            "contig 'chr1' has 8 bases in x.bam and 7 in other.fa", "aligned to");
    reading r;
    sam_reading_all(&r, (const char *const[]){"path", "x.bam", "reference", "ref.fa", NULL}, WHOLE);
    CHECK_INT(r.records, 1);
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(bam_errors, a_cram_without_its_reference_says_which_sequence_is_missing) {
    char dir[256];
    test_tmp_enter(dir);
    KIT_TEXT("ref.fa", ">c1\nACGTACGTACACGT\n");
    CHECK_INT(fai_build("ref.fa"), 0);
    sam_make("x.cram", "wc", "@SQ\tSN:c1\tLN:14\nr\t0\tc1\t3\t9\t6M\t*\t0\t0\tGTACGT\tIIIIII\n", "ref.fa", -1);
    CHECK_INT(unlink("ref.fa"), 0);
    unsetenv("REF_PATH");
    setenv("REF_CACHE", dir, 1);
    refused((const char *const[]){"path", "x.cram", NULL}, MBS_ERR_DATA, "the sequence of 'c1' is not on this machine",
            "give reference: ref.fa");
    unsetenv("REF_CACHE");
    test_tmp_leave(dir);
}

MBS_TEST(bam_errors, parameters_are_checked_before_anything_is_opened) {
    refused((const char *const[]){"path", "x.bam", "require_flags", "WOO", NULL}, MBS_ERR_CONFIG, "names no flags",
            "samtools flags");
    refused((const char *const[]){"path", "x.bam", "expr", "mapq >", NULL}, MBS_ERR_CONFIG, "no filter expression",
            "samtools view -e");
    refused((const char *const[]){"path", "-", "path", "x.bam", NULL}, MBS_ERR_CONFIG, "together with other files", "");
    refused((const char *const[]){"path", "-", "regions", "c1", NULL}, MBS_ERR_CONFIG, "from standard input", "");
}
