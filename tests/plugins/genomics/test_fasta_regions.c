/* Regions: slices of the whole, whatever the form of the file and wherever the index comes from. */
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"
#include "support/tmp.h"

/* Four records, lines of 10, the last with lines that have no one length. */
static const char genome[] = ">chr1 first\nACGTACGTAC\nGGGGCCCCAA\nTTTA\n"
                             ">chr2\nNNNNNNNNNN\n"
                             ">HLA:A*01 with a colon\nACGTTGCA\n"
                             ">odd\nAC\nGTACG\n\nT\n"
                             ">none\n"
                             ">short\nACGT\nAC\nGTAC\n"
                             ">late\n\nACGT\nAC\n"
                             ">blanks\nA C T\nA C T\nG G \n"
                             ">chr10\nCATG";
static const char *const letters[] = {
    "ACGTACGTACGGGGCCCCAATTTA", "NNNNNNNNNN", "ACGTTGCA", "ACGTACGT", "", "ACGTACGTAC", "ACGTAC", "ACTACTGG", "CATG"};
static const char *const names[] = {"chr1", "chr2", "HLA:A*01", "odd", "none", "short", "late", "blanks", "chr10"};
#define N_RECORDS 9

static void run(const char *const *argv) {
    pid_t pid;
    int status = -1;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
        SKIP("samtools or bgzip is not here or does not work");
    }
}

/* x.fa, x.fa.gz (gzip), x.fa.bgz */
static void write_forms(const char *text) {
    test_tmp_write("x.fa", text);
    kit_gzip("x.fa.gz", text, strlen(text));
    kit_bgzip("x.fa.bgz", text, strlen(text));
}

static const char *const forms[] = {"x.fa", "x.fa.gz", "x.fa.bgz"};

static void check_region(const char *path, const char *region, const char *flank, int64_t cut, const char *expected) {
    reading r;
    reading_all(&r, (const char *const[]){"path", path, "regions", region, "flank", flank, NULL}, cut);
    CHECK(r.status == MBS_END, "%s %s: %s", path, region, r.h.why);
    CHECK(strcmp(r.text, expected) == 0, "%s %s flank %s:\n%s instead of\n%s", path, region, flank, r.text, expected);
    CHECK_INT(r.header->n_records, 1);
    CHECK_INT(r.header->n_contigs, N_RECORDS);
    reading_end(&r);
}

MBS_TEST(fasta_regions, are_slices_of_the_whole) {
    char dir[256];
    test_tmp_enter(dir);
    write_forms(genome);
    static const char *const flanks[] = {"0", "3", "1024", "all"};
    static const int64_t context[] = {0, 3, 1024, WHOLE};
    for (int i = 0; i < N_RECORDS * 3; i++) {
        const char *path = forms[i % 3];
        const char *s = letters[i / 3];
        int n = (int)strlen(s);
        for (int beg = 0; beg < n; beg++) {
            for (int end = beg + 1; end <= n; end++) {
                int k = end == beg + 1 ? 0 : (beg + end + end / 4) % 4;
                int before = beg < context[k] ? beg : (int)context[k];
                char region[64];
                char expected[256];
                snprintf(region, sizeof(region), "{%s}:%d-%d", names[i / 3], beg + 1, end);
                snprintf(expected, sizeof(expected), ">%s||src 0 start %d len %d ctx %d\n%.*s\n", names[i / 3], beg,
                         end - beg, before, before + end - beg, s + beg - before);
                check_region(path, region, flanks[k], beg % 3 ? 1 + end % 5 : WHOLE, expected);
            }
        }
    }
    test_tmp_leave(dir);
}

MBS_TEST(fasta_regions, are_read_in_every_way_of_writing) {
    char dir[256];
    test_tmp_enter(dir);
    write_forms(genome);
    static const struct {
        const char *region, *expected;
    } ways[] = {
        {"chr1", ">chr1||src 0 start 0 len 24 ctx 0\nACGTACGTACGGGGCCCCAATTTA\n"},
        {"chr1:21", ">chr1||src 0 start 20 len 4 ctx 0\nTTTA\n"},
        {"chr1:21-", ">chr1||src 0 start 20 len 4 ctx 0\nTTTA\n"},
        {"chr1:2-2", ">chr1||src 0 start 1 len 1 ctx 0\nC\n"},
        {"chr1:0,0,1-0,024", ">chr1||src 0 start 0 len 24 ctx 0\nACGTACGTACGGGGCCCCAATTTA\n"},
        {"{chr1}:1-3", ">chr1||src 0 start 0 len 3 ctx 0\nACG\n"},
        {"{chr1}", ">chr1||src 0 start 0 len 24 ctx 0\nACGTACGTACGGGGCCCCAATTTA\n"},
        {"HLA:A*01", ">HLA:A*01||src 0 start 0 len 8 ctx 0\nACGTTGCA\n"},
        {"{HLA:A*01}:7-8", ">HLA:A*01||src 0 start 6 len 2 ctx 0\nCA\n"},
        {"HLA:A*01:7-8", ">HLA:A*01||src 0 start 6 len 2 ctx 0\nCA\n"},
        {"none", ">none||src 0 start 0 len 0 ctx 0\n\n"},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]) * 3; i++) {
        check_region(forms[i % 3], ways[i / 3].region, "0", 7, ways[i / 3].expected);
    }
    test_tmp_leave(dir);
}

MBS_TEST(fasta_regions, come_in_the_order_asked_for) {
    char dir[256];
    test_tmp_enter(dir);
    write_forms(genome);
    test_tmp_write("y.fa", ">other\nCCGG\n");
    for (int i = 0; i < 3; i++) {
        reading r;
        reading_all(&r,
                    (const char *const[]){"path", forms[i], "path", "y.fa", "regions", "chr10:2", "regions",
                                          "other:1-2", "regions", "chr1:3-4", "regions", "chr1:1-4", "flank", "1",
                                          NULL},
                    2);
        CHECK(r.status == MBS_END, "%s", r.h.why);
        CHECK_STR(r.text, ">chr10||src 0 start 1 len 3 ctx 1\nCATG\n>other||src 1 start 0 len 2 ctx 0\nCC\n"
                          ">chr1||src 0 start 2 len 2 ctx 1\nCGT\n>chr1||src 0 start 0 len 4 ctx 0\nACGT\n");
        CHECK_INT(r.header->n_records, 4);
        CHECK_INT(r.header->n_units, 11);
        CHECK_INT(r.header->n_contigs, N_RECORDS + 1);
        reading_end(&r);
    }
    test_tmp_leave(dir);
}

MBS_TEST(fasta_regions, come_from_a_bed_file) {
    char dir[256];
    test_tmp_enter(dir);
    write_forms(genome);
    static const char bed[] = "# made by hand\nbrowser position chr1\ntrack name=x\n\nchr1\t20\t24\tgene 1\t0\t+\r\n"
                              "chr2 0 2\nHLA:A*01\t1\t3\n";
    test_tmp_write("r.bed", bed);
    kit_gzip("r.bed.gz", bed, strlen(bed));
    static const char *const beds[] = {"r.bed", "r.bed.gz"};
    for (int i = 0; i < 6; i++) {
        reading r;
        reading_all(&r, (const char *const[]){"path", forms[i % 3], "regions", beds[i / 3], "flank", "0", NULL}, 3);
        CHECK(r.status == MBS_END, "%s", r.h.why);
        CHECK_STR(r.text, ">chr1||src 0 start 20 len 4 ctx 0\nTTTA\n>chr2||src 0 start 0 len 2 ctx 0\nNN\n"
                          ">HLA:A*01||src 0 start 1 len 2 ctx 0\nCG\n");
        CHECK_STR(r.h.log, "");
        reading_end(&r);
    }
    test_tmp_write("r.bed", "chr1\t0\t4\tgene 1\t0\t-\n");
    reading r;
    reading_all(&r, (const char *const[]){"path", "x.fa", "regions", "r.bed", NULL}, 3);
    CHECK_INT(r.rows, 4);
    CHECK_STR(r.h.log, "r.bed: the strand column is not used, all regions are read forward\n");
    reading_end(&r);
    test_tmp_leave(dir);
}

static void check_refused(const char *const *params, mbs_status status, const char *why, const char *hint) {
    reading r;
    reading_start(&r, params);
    mbs_status st = reading_open(&r);
    CHECK(st == status, "%d is not %d: %s", (int)st, (int)status, r.h.why);
    CHECK_STR(r.h.why, why);
    CHECK_STR(r.h.hint, hint);
    CHECK_STR(r.h.param, "regions");
    reading_end(&r);
}

MBS_TEST(fasta_regions, that_cannot_be_are_refused) {
    char dir[256];
    test_tmp_enter(dir);
    write_forms(genome);
    static const struct {
        const char *region;
        mbs_status status;
        const char *why, *hint;
    } bad[] = {
        {"chr3", MBS_ERR_DATA, "region 'chr3': no record is named 'chr3'", "nearest names: chr1, chr2, chr10, ..."},
        {"10:1-2", MBS_ERR_DATA, "region '10:1-2': no record is named '10'",
         "'chr10' is there: names with 'chr' and without are different names"},
        {"mitochondrion", MBS_ERR_DATA, "region 'mitochondrion': no record is named 'mitochondrion'",
         "names in the input: chr1, chr2, short, ..."},
        {"chr1:25", MBS_ERR_DATA, "region 'chr1:25': lies outside of 'chr1', which has 24 bases",
         "chr1:1- reads to the end of the record"},
        {"chr1:20-25", MBS_ERR_DATA, "region 'chr1:20-25': lies outside of 'chr1', which has 24 bases",
         "chr1:20- reads to the end of the record"},
        {"none:1-1", MBS_ERR_DATA, "region 'none:1-1': lies outside of 'none', which has 0 bases",
         "none:1- reads to the end of the record"},
        {"chr1:0-5", MBS_ERR_CONFIG, "region 'chr1:0-5': positions begin at 1", ""},
        {"chr1:7-5", MBS_ERR_CONFIG, "region 'chr1:7-5': it ends before it begins", ""},
        {"chr1:-5", MBS_ERR_CONFIG, "region 'chr1:-5': behind the colon comes beg-end", ""},
        {"chr1:", MBS_ERR_CONFIG, "region 'chr1:': behind the colon comes beg-end", ""},
        {"chr1:1-2-3", MBS_ERR_CONFIG, "region 'chr1:1-2-3': behind the colon comes beg-end", ""},
        {"chr1:1-2x", MBS_ERR_CONFIG, "region 'chr1:1-2x': behind the colon comes beg-end", ""},
        {"chr1:1,-2", MBS_ERR_CONFIG, "region 'chr1:1,-2': behind the colon comes beg-end", ""},
        {"chr1:99999999999999999999", MBS_ERR_CONFIG,
         "region 'chr1:99999999999999999999': the first position is too large", ""},
        {"{chr1:1-2", MBS_ERR_CONFIG, "region '{chr1:1-2': a name in braces is {name} or {name}:beg-end", ""},
        {"{chr1}1-2", MBS_ERR_CONFIG, "region '{chr1}1-2': a name in braces is {name} or {name}:beg-end", ""},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_refused((const char *const[]){"path", "x.fa", "regions", bad[i].region, NULL}, bad[i].status, bad[i].why,
                      bad[i].hint);
    }
    check_refused((const char *const[]){"path", "x.fa", "path", "x.fa.gz", "regions", "odd", NULL}, MBS_ERR_DATA,
                  "region 'odd': 2 records are named 'odd'", "");
    test_tmp_write("q.fq", "@chr1\nAC\n+\nII\n");
    check_refused((const char *const[]){"path", "q.fq", "regions", "chr1", NULL}, MBS_ERR_CONFIG,
                  "q.fq is FASTQ: regions are taken from FASTA only",
                  "leave regions out, or convert it with samtools fasta");
    check_refused((const char *const[]){"path", "-", "regions", "chr1", NULL}, MBS_ERR_CONFIG,
                  "regions cannot be taken from standard input",
                  "name a file, best one made with bgzip and samtools faidx");
    test_tmp_leave(dir);
}

/* [chr1:1,000-2,000] without quotes. */
MBS_TEST(fasta_regions, that_yaml_cut_at_commas_are_recognised) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("x.fa", ">chr1\nACGT\n>000\nA\n>100\nAC\n");
    check_refused((const char *const[]){"path", "x.fa", "regions", "100", "regions", "chr1:1", "regions", "500-2",
                                        "regions", "001", NULL},
                  MBS_ERR_CONFIG, "region 'chr1:1,500-2,001' was cut at its commas into 3 items of the list",
                  "write it in quotes: \"chr1:1,500-2,001\"");
    check_refused((const char *const[]){"path", "x.fa", "regions", "chr1:900-1", "regions", "001", NULL},
                  MBS_ERR_CONFIG, "region 'chr1:900-1,001' was cut at its commas into 2 items of the list",
                  "write it in quotes: \"chr1:900-1,001\"");
    check_refused((const char *const[]){"path", "x.fa", "regions", "chr1:1", "regions", "234", "regions", "567-", NULL},
                  MBS_ERR_CONFIG, "region 'chr1:1,234,567-' was cut at its commas into 3 items of the list",
                  "write it in quotes: \"chr1:1,234,567-\"");
    /* these are not */
    check_refused((const char *const[]){"path", "x.fa", "regions", "chr1", "regions", "500", NULL}, MBS_ERR_DATA,
                  "region '500': no record is named '500'", "nearest names: 000, 100, chr1");
    check_refused((const char *const[]){"path", "x.fa", "regions", "chr1:1-1000", "regions", "500", NULL}, MBS_ERR_DATA,
                  "region 'chr1:1-1000': lies outside of 'chr1', which has 4 bases",
                  "chr1:1- reads to the end of the record");
    reading r; /* records may be called 100 and 000 */
    reading_all(&r,
                (const char *const[]){"path", "x.fa", "regions", "chr1:1", "regions", "100", "regions", "000", NULL},
                WHOLE);
    CHECK(r.status == MBS_END, "%s", r.h.why);
    CHECK_INT(r.records, 3);
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_regions, of_a_damaged_bed_name_the_line) {
    char dir[256];
    test_tmp_enter(dir);
    write_forms(genome);
    static const struct {
        const char *bed, *why, *hint;
    } bad[] = {
        {"chr1\t0\t4\nchr1\t5\n", "r.bed:2: not name, start and end", ""},
        {"chr1\t0\tx\n", "r.bed:1: not name, start and end", ""},
        {"chr1\t1.5\t3\n", "r.bed:1: not name, start and end", ""},
        {"chr1\t-1\t3\n", "r.bed:1: a negative position", ""},
        {"chr1\t3\t3\n", "r.bed:1: end 3 is not behind start 3", ""},
        {"chr1\t5\t3\n", "r.bed:1: end 3 is not behind start 5", ""},
        {"#\nchr1\t20\t25\n", "r.bed:2: lies outside of 'chr1', which has 24 bases",
         "chr1:21- reads to the end of the record"},
        {"chrM\t0\t3\n", "r.bed:1: no record is named 'chrM'", "nearest names: chr1, chr2, chr10, ..."},
        {"chr1\t0\t18446744073709551615\n", "r.bed:1: not name, start and end", ""},
        {"# nothing\n", "r.bed: no region in it", ""},
        {"", "r.bed: no region in it", ""},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        test_tmp_write("r.bed", bad[i].bed);
        check_refused((const char *const[]){"path", "x.fa", "regions", "r.bed", NULL}, MBS_ERR_DATA, bad[i].why,
                      bad[i].hint);
    }
    kit_write("r.bed", "chr1\t0\0\t4\n", 11);
    check_refused((const char *const[]){"path", "x.fa", "regions", "r.bed", NULL}, MBS_ERR_DATA, "r.bed:1: a NUL byte",
                  "");
    check_refused((const char *const[]){"path", "x.fa", "regions", "gone.bed", NULL}, MBS_ERR_NOINPUT,
                  "gone.bed: cannot be opened: No such file or directory", "");
    check_refused((const char *const[]){"path", "x.fa", "regions", "r.bed", "regions", "chr1", NULL}, MBS_ERR_CONFIG,
                  "'r.bed' is a file: name it alone, or list regions", "");
    test_tmp_leave(dir);
}

/* samtools as the witness: its index is used, and its slices are ours. */
MBS_TEST(fasta_regions, are_those_of_samtools) {
    char dir[256];
    test_tmp_enter(dir);
    char *text = malloc(1200000);
    size_t n = 0;
    uint64_t state = 11;
    static const int lengths[] = {400000, 59, 60, 61, 120, 1, 300001};
    for (int c = 0; c < 7; c++) {
        n += (size_t)snprintf(text + n, 32, ">c%d words\n", c);
        for (int i = 0; i < lengths[c]; i++) {
            text[n++] = "ACGTacgtNR"[kit_random(&state) % 10];
            if (i % 60 == 59 && i + 1 < lengths[c]) {
                text[n++] = '\n';
            }
        }
        if (c < 6) {
            text[n++] = '\n'; /* the last line has no end */
        }
    }
    text[n] = '\0';
    write_forms(text);
    run((const char *const[]){"samtools", "faidx", "x.fa", NULL});
    run((const char *const[]){"bgzip", "-r", "x.fa.bgz", NULL});
    run((const char *const[]){"samtools", "faidx", "x.fa.bgz", NULL});
    CHECK(access("x.fa.fai", R_OK) == 0 && access("x.fa.bgz.fai", R_OK) == 0 && access("x.fa.bgz.gzi", R_OK) == 0);
    for (int i = 0; i < 40; i++) {
        int c = i % 7;
        int beg = (int)(kit_random(&state) % (uint64_t)lengths[c]) + 1;
        int end = beg + (int)(kit_random(&state) % (uint64_t)(lengths[c] - beg + 1));
        char region[64];
        snprintf(region, sizeof(region), "c%d:%d-%d", c, beg, end);
        run((const char *const[]){"samtools", "faidx", "-n", "1000000", "-o", "cut.fa", "x.fa", region, NULL});
        size_t cut_n;
        char *cut = kit_read("cut.fa", &cut_n);
        const char *theirs = strchr(cut, '\n') + 1;
        for (int f = 0; f < 3; f++) {
            reading r;
            reading_all(&r, (const char *const[]){"path", forms[f], "regions", region, "flank", "0", NULL}, 50000);
            CHECK(r.status == MBS_END, "%s %s: %s", forms[f], region, r.h.why);
            const char *ours = strchr(r.text, '\n') + 1;
            CHECK(strcmp(ours, theirs) == 0, "%s of %s", region, forms[f]);
            CHECK_STR(r.h.log, "");
            reading_end(&r);
        }
        free(cut);
    }
    for (int f = 0; f < 3; f++) { /* backwards through the file */
        reading r;
        reading_all(&r,
                    (const char *const[]){"path", forms[f], "regions", "c6:300001", "regions", "c0:1-1", "regions",
                                          "c6:300000-300000", "regions", "c0:2-2", NULL},
                    99);
        CHECK_INT(r.records, 4);
        int n_said = 0;
        for (const char *s = r.h.log; (s = strstr(s, "cannot be sought in")) != NULL; s++) {
            n_said++;
        }
        CHECK_INT(n_said, f == 1); /* twice back, said once */
        reading_end(&r);
    }
    free(text);
    test_tmp_leave(dir);
}

/* An index that lies in the middle is noticed when the region is read, not believed. */
MBS_TEST(fasta_regions, are_not_read_by_a_wrong_index) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("x.fa", ">a\nAC\n>b\nACGT\nAC\nGTAC\n>c\nT\n");
    static const struct {
        const char *line, *region;
    } wrong[] = {
        {"b\t8\t9\t4\t5\n", "b:1-7"}, /* lines are 4, 2, 4 */
        {"b\t5\t9\t4\t5\n", "b"},        {"B\t8\t9\t4\t5\n", "B:1-2"},  {"b\t8\t10\t4\t5\n", "b:1-2"},
        {"b\t12\t9\t4\t5\n", "b:11-12"}, {"b\t10\t9\t4\t5\n", "b:8-9"}, /* here the last letter is where it says */
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char fai[128];
        snprintf(fai, sizeof(fai), "a\t2\t3\t2\t3\n%sc\t1\t25\t1\t2\n", wrong[i].line);
        test_tmp_write("x.fa.fai", fai);
        reading r;
        reading_all(&r, (const char *const[]){"path", "x.fa", "regions", wrong[i].region, "flank", "0", NULL}, WHOLE);
        CHECK(r.status == MBS_ERR_DATA, "%s: %d", wrong[i].line, (int)r.status);
        CHECK(strstr(r.h.why, "is not as its index says"), "%s", r.h.why);
        CHECK_STR(r.h.hint, "make the index again: samtools faidx x.fa");
        reading_end(&r);
        kit_age("x.fa.fai", -10); /* too old to be looked at */
        reading_all(&r, (const char *const[]){"path", "x.fa", "regions", "b:4-6", "flank", "0", NULL}, WHOLE);
        CHECK_STR(r.text, ">b||src 0 start 3 len 3 ctx 0\nTAC\n");
        reading_end(&r);
    }
    test_tmp_leave(dir);
}

/* A .gzi is believed only as far as it can be true. */
MBS_TEST(fasta_regions, survive_any_gzi) {
    char dir[256];
    test_tmp_enter(dir);
    char *text = malloc(400000);
    memcpy(text, ">a\n", 3);
    uint64_t state = 2;
    for (int i = 3; i < 399999; i++) {
        text[i] = "ACGT"[kit_random(&state) % 4];
    }
    text[399999] = '\n';
    kit_bgzip("x.fa.bgz", text, 400000);
    test_tmp_write("x.fa.bgz.fai", "a\t399996\t3\t399996\t399997\n");
    run((const char *const[]){"bgzip", "-r", "x.fa.bgz", NULL});
    size_t n;
    unsigned char *gzi = kit_read("x.fa.bgz.gzi", &n);
    for (int i = 0; i < 400; i++) {
        unsigned char bad[256];
        CHECK(n <= sizeof(bad));
        memcpy(bad, gzi, n);
        size_t cut = i % 4 == 0 ? kit_random(&state) % n : n;
        if (i > 0 && cut == n) {
            bad[kit_random(&state) % n] ^= (unsigned char)(1u << kit_random(&state) % 8);
        }
        kit_write("x.fa.bgz.gzi", bad, i ? cut : n);
        reading r;
        reading_all(&r, (const char *const[]){"path", "x.fa.bgz", "regions", "a:390000-390009", "flank", "0", NULL},
                    99);
        CHECK(r.status == MBS_END || r.status == MBS_ERR_DATA, "%d %s", (int)r.status, r.h.why);
        if (r.status == MBS_END) {
            CHECK(memcmp(strchr(r.text, '\n') + 1, text + 3 + 389999, 10) == 0, "wrong letters, change %d", i);
        }
        CHECK(i || r.h.log[0] == '\0', "%s", r.h.log);
        reading_end(&r);
    }
    free(gzi);
    free(text);
    test_tmp_leave(dir);
}
