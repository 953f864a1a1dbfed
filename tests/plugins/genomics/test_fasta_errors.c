/* What cannot be read ends with the right status and words that name file, line and record. */
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"
#include "support/tmp.h"

typedef struct bad {
    const char *text;
    size_t n; /* 0: strlen */
    const char *format;
    const char *why;
} bad;

static void check_bad(const bad *b, const char *path, int64_t cut) {
    reading r;
    reading_all(&r, (const char *const[]){"path", path, b->format ? "format" : NULL, b->format, NULL}, cut);
    CHECK(r.status == MBS_ERR_DATA, "%s: %d", b->why, (int)r.status);
    size_t n = strlen(path);
    CHECK(strncmp(r.h.why, path, n) == 0 && strcmp(r.h.why + n, b->why) == 0, "\"%s\" is not \"%s%s\"", r.h.why, path,
          b->why);
    CHECK_INT(r.h.fails, 1);
    reading_end(&r);
}

static const bad table[] = {
    {"", 0, NULL, ": empty file"},
    {"\n\r\n\n", 0, NULL, ": empty file, no record in it"},
    {"ACGT\n", 0, NULL, ":1: not FASTA or FASTQ: they begin with '>' or '@', its first byte is 'A' (0x41)"},
    {"\n\n ACGT\n", 0, NULL, ":3: not FASTA or FASTQ: they begin with '>' or '@', its first byte is 0x20"},
    {"\xef\xbb\xbf>a\nA\n", 0, NULL, ":1: not FASTA or FASTQ: they begin with '>' or '@', its first byte is 0xef"},
    {"\0>a\nA\n", 6, NULL, ":1: not FASTA or FASTQ: they begin with '>' or '@', its first byte is 0x00"},
    {"@a\nA\n+\nI\n", 0, "fasta", ":1: not FASTA: a record begins with '>', its first byte is '@' (0x40)"},
    {">a\nA\n", 0, "fastq", ":1: not FASTQ: a record begins with '@', its first byte is '>' (0x3e)"},
    /* control bytes */
    {">a\nAC\0GT\n", 9, NULL, ":2:3: a NUL byte in a sequence line: record 'a' (number 1)"},
    {">a\nAC\n>bb x\nACGTACGTACGTACGTA\x1bG\n", 0, NULL,
     ":4:18: the control byte 0x1b in a sequence line: record 'bb' (number 2)"},
    {">a\nAC\x7f\n", 0, NULL, ":2:3: the control byte 0x7f in a sequence line: record 'a' (number 1)"},
    {">a\nAC\rGT\n", 0, NULL, ":2:3: a carriage return that does not end a line: record 'a' (number 1)"},
    {">a\nAC\r\r\n", 0, NULL, ":2:3: a carriage return that does not end a line: record 'a' (number 1)"},
    {">a\rACGT\r>b\rAC\r", 0, NULL, ":1:3: a carriage return that does not end a line: record '' (number 1)"},
    {">a\nA\n>x\0y\nAC\n", 13, NULL, ":3:3: a NUL byte in a header line: record '' (number 2)"},
    {">x\x02y\nAC\n", 0, NULL, ":1:3: the control byte 0x02 in a header line: record '' (number 1)"},
    /* FASTQ */
    {"@a\nA\n+\nI\n@r2 x\nACGT\n+\nIII\n", 0, NULL, ":8:1: 3 quality values for 4 bases: record 'r2' (number 2)"},
    {"@r1\nACGT\n+\nIIIII\n", 0, NULL, ":4:1: 5 quality values for 4 bases: record 'r1' (number 1)"},
    {"@r1\nACGT\n+\nII\nII\n", 0, NULL, ":4:1: 2 quality values for 4 bases: record 'r1' (number 1)"},
    {"@r1\nAC\nGT\n+\nII\nIII\n", 0, NULL, ":6:1: 5 quality values for 4 bases: record 'r1' (number 1)"},
    {"@r1\nACGT\n+\n", 0, NULL, ":4:1: the file ends: 0 quality values for 4 bases: record 'r1' (number 1)"},
    {"@r1\nAC\nGT\n+\nII\n", 0, NULL, ":6:1: the file ends: 2 quality values for 4 bases: record 'r1' (number 1)"},
    {"@r1\nACGT\n", 0, NULL, ":3:1: the file ends before the '+' line: record 'r1' (number 1)"},
    {"@r1\nACGT", 0, NULL, ":2:5: the file ends before the '+' line: record 'r1' (number 1)"},
    {"@r1", 0, NULL, ":2:1: the file ends before the '+' line: record 'r1' (number 1)"},
    {"@r1\nAC\n@r2\nAC\n+\nII\n", 0, NULL,
     ":3:1: a line beginning with '@' where the '+' line is due: record 'r1' (number 1)"},
    {"@r1\nAC\n+\nII\nGG\n", 0, NULL,
     ":5:1: a line behind the quality that does not begin with '@': record 'r1' (number 1)"},
    {"@r1\nAC\n+\nI\0\n", 12, NULL, ":4:2: a NUL byte in a quality line: record 'r1' (number 1)"},
    {"@r1\nAC\n+\nI\x7f\n", 0, NULL, ":4:2: the control byte 0x7f in a quality line: record 'r1' (number 1)"},
    {"@r1\nAC\n+\x03\nII\n", 0, NULL, ":3:2: the control byte 0x03 in a + line: record 'r1' (number 1)"},
};

MBS_TEST(fasta_errors, name_file_line_column_and_record) {
    char dir[256];
    test_tmp_enter(dir);
    static const int64_t cuts[] = {1, 3, WHOLE};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        size_t n = table[i].n ? table[i].n : strlen(table[i].text);
        kit_write("x.fa", table[i].text, n);
        kit_gzip("x.fa.gz", table[i].text, n);
        kit_bgzip("x.fa.bgz", table[i].text, n);
        for (int k = 0; k < 3; k++) {
            check_bad(&table[i], "x.fa", cuts[k]);
            check_bad(&table[i], "x.fa.gz", cuts[k]);
            check_bad(&table[i], "x.fa.bgz", cuts[k]);
        }
    }
    test_tmp_leave(dir);
}

static void check_open(const char *path, mbs_status status, const char *why, const char *hint) {
    reading r;
    reading_start(&r, (const char *const[]){"path", path, NULL});
    CHECK_INT(reading_open(&r), status);
    CHECK_STR(r.h.why, why);
    CHECK(strstr(r.h.hint, hint) != NULL, "%s", r.h.hint);
    CHECK_STR(r.h.param, "path");
    reading_end(&r);
}

MBS_TEST(fasta_errors, say_why_a_file_cannot_be_opened) {
    char dir[256];
    test_tmp_enter(dir);
    CHECK(mkdir("folder", 0700) == 0);
    test_tmp_write("file", ">a\nA\n");
    check_open("gone.fa", MBS_ERR_NOINPUT, "gone.fa: cannot be opened: No such file or directory", "");
    check_open("folder", MBS_ERR_NOINPUT, "folder: is a directory", "");
    check_open("file/x", MBS_ERR_NOINPUT, "file/x: cannot be opened: Not a directory", "");
    check_open("http://localhost:9/x.fa", MBS_ERR_NOINPUT,
               "http://localhost:9/x.fa: cannot be opened: No such file or directory", "");
    kit_write("x.fa.xz",
              "\xfd"
              "7zXZ",
              6);
    check_open("x.fa.xz", MBS_ERR_DATA,
               "x.fa.xz:1: not FASTA or FASTQ: they begin with '>' or '@', its first byte is 0xfd",
               "xz and zstd are not read");
    kit_write("x.fa.gz", "\x1f\x8b\x08", 3);
    check_open("x.fa.gz", MBS_ERR_DATA,
               "x.fa.gz:1: not FASTA or FASTQ: they begin with '>' or '@', its first byte is 0x1f",
               "the beginning of a gzip file that was cut off");
    kit_write("junk.gz", "\x1f\x8b\x08\0\0\0\0\0\0\xff this is no gzip", 26);
    reading r;
    reading_start(&r, (const char *const[]){"path", "junk.gz", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_DATA);
    CHECK_STR(r.h.why, "junk.gz: truncated or damaged gzip data; no record of it is complete");
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_errors, say_so_without_permission) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("secret.fa", ">a\nA\n");
    CHECK(chmod("secret.fa", 0) == 0 && chmod(dir, 0755) == 0);
    if (geteuid() == 0) {
        CHECK(seteuid(65534) == 0);
    }
    check_open("secret.fa", MBS_ERR_NOINPUT, "secret.fa: cannot be opened: Permission denied", "");
    CHECK(seteuid(getuid()) == 0);
    test_tmp_leave(dir);
}

/* A later file that is missing or cut stops the run before the first is read. */
MBS_TEST(fasta_errors, are_found_before_anything_is_read) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("a.fa", ">a\nA\n");
    test_tmp_write("empty.fa", "");
    static const char *const later[] = {"gone.fa", "empty.fa"};
    for (int i = 0; i < 2; i++) {
        reading r;
        reading_start(&r, (const char *const[]){"path", "a.fa", "path", later[i], NULL});
        CHECK_INT(reading_open(&r), i ? MBS_ERR_DATA : MBS_ERR_NOINPUT);
        CHECK(strncmp(r.h.why, later[i], 7) == 0, "%s", r.h.why);
        reading_end(&r);
    }
    reading r;
    reading_start(&r, (const char *const[]){"path", "-", "path", "-", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_CONFIG);
    CHECK_STR(r.h.why, "standard input can be read only once");
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_errors, do_not_let_a_header_fill_the_memory) {
    char dir[256];
    test_tmp_enter(dir);
    size_t n = 3 * 1024 * 1024;
    char *text = malloc(n);
    memset(text, 'x', n);
    text[0] = '>';
    kit_write("x.fa", text, n);
    reading r;
    reading_start(&r, (const char *const[]){"path", "x.fa", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_DATA);
    CHECK_STR(r.h.why, "x.fa:1:1: a header line longer than 1048576 bytes: record '' (number 1)");
    reading_end(&r);
    free(text);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_errors, of_a_pipe_name_the_last_complete_record) {
    char dir[256];
    test_tmp_enter(dir);
    static const char text[] = ">a\nA\n>b\nAC\n>c\nG\n";
    kit_bgzip("x.fa.gz", text, strlen(text));
    size_t n;
    char *bytes = kit_read("x.fa.gz", &n);
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], bytes, n - 28) == (ssize_t)(n - 28) && close(ends[1]) == 0);
    CHECK(dup2(ends[0], 0) == 0);
    reading r;
    reading_all(&r, (const char *const[]){"path", "-", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_ERR_DATA);
    CHECK_STR(r.h.why,
              "standard input: truncated: the end-of-file block of bgzip is missing; the last complete record is "
              "'b' (number 2)");
    CHECK(!strstr(r.text, "\nG\n"), "the last record was given out as complete");
    reading_end(&r);
    free(bytes);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_errors, stop_long_work_when_asked) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("x.fa", ">a\nACGTACGTAC\nAC\nGTACGT\n");
    reading r;
    reading_start(&r, (const char *const[]){"path", "x.fa", "regions", "a:13-14", NULL});
    r.h.cancelled = 1;
    CHECK_INT(reading_open(&r), MBS_ERR_STOPPED);
    reading_end(&r);
    test_tmp_leave(dir);
}
