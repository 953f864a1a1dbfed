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

MBS_TEST(fasta_read, takes_lines_headers_and_letters_of_any_length) {
    char dir[256];
    test_tmp_enter(dir);
    size_t n = 3000000;
    char *text = malloc(n + 300000);
    char *letters = malloc(n + 1);
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++) {
        letters[i] = "ACGTacgtN"[kit_random(&state) % 9];
    }
    letters[n] = '\0';
    int head = snprintf(text, 64, ">one ");
    memset(text + head, 'd', 200000); /* longer than a window */
    size_t at = (size_t)head + 200000;
    text[at++] = '\n';
    for (size_t from = 0; from < n;) { /* lines of 1 to 100,000 letters */
        size_t len = kit_random(&state) % 100000 + 1;
        len = len < n - from ? len : n - from;
        memcpy(text + at, letters + from, len);
        at += len;
        text[at++] = '\n';
        from += len;
    }
    kit_write("x.fa", text, at);
    kit_bgzip("x.fa.gz", text, at);
    static const int64_t sizes[] = {1000, 65536, 100001, WHOLE};
    for (int k = 0; k < 8; k++) {
        reading r;
        reading_all(&r, (const char *const[]){"path", k & 1 ? "x.fa.gz" : "x.fa", NULL}, sizes[k / 2]);
        CHECK_INT(r.status, MBS_END);
        CHECK_INT(r.rows, n);
        const char *body = strchr(r.text, '\n') + 1;
        CHECK(memcmp(body, letters, n) == 0);
        reading_end(&r);
    }
    free(text);
    free(letters);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_read, reads_several_files_as_one_stream) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("a.fa", ">a\nAC");
    kit_gzip("b.fq.gz", "@b\nGG\n+\nII\n", 11);
    kit_bgzip("c.fa.gz", ">c\n>d x\nT\n", 10);
    for (int64_t cut = 1; cut < 4; cut++) {
        reading r;
        reading_all(&r, (const char *const[]){"path", "a.fa", "path", "b.fq.gz", "path", "c.fa.gz", NULL}, cut);
        CHECK_INT(r.status, MBS_END);
        CHECK_STR(r.text, ">a||src 0 start 0 len -1 ctx 0\nAC\n>b||src 1 start 0 len -1 ctx 0\nGG\n"
                          ">c||src 2 start 0 len -1 ctx 0\n\n>d|x|src 2 start 0 len -1 ctx 0\nT\n");
        CHECK_INT(r.header->n_sources, 3);
        CHECK_STR(r.header->sources[2].path, "c.fa.gz");
        mbs_status again = reading_step(&r, 5); /* the end stays the end */
        CHECK_INT(again, MBS_END);
        reading_end(&r);
    }
    test_tmp_leave(dir);
}

static void stdin_from(const char *path) {
    FILE *f = fopen(path, "rb");
    CHECK(f && dup2(fileno(f), 0) == 0);
    fclose(f);
}

MBS_TEST(fasta_read, reads_standard_input) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("x.fa", ">a\nAC\n>b\nGT\n");
    kit_gzip("x.fa.gz", ">a\nAC\n>b\nGT\n", 12);
    kit_bgzip("x.fa.bgz", ">a\nAC\n>b\nGT\n", 12);
    static const char *const names[] = {"x.fa", "x.fa.gz", "x.fa.bgz"};
    for (int i = 0; i < 3; i++) {
        stdin_from(names[i]);
        reading r;
        reading_all(&r, (const char *const[]){"path", "-", NULL}, 3);
        CHECK(r.status == MBS_END, "%s", r.h.why);
        CHECK_STR(r.text, ">a||src 0 start 0 len -1 ctx 0\nAC\n>b||src 0 start 0 len -1 ctx 0\nGT\n");
        CHECK_STR(r.header->sources[0].path, "-");
        reading_end(&r);
    }
    test_tmp_leave(dir);
}

static char *random_records(size_t bases, uint64_t seed) {
    char *text = malloc(bases * 2 + 64);
    size_t at = 0;
    uint64_t state = seed;
    size_t col = 1;
    for (size_t i = 0; i < bases; i++) {
        if (kit_random(&state) % 400 == 0 || i == 0) {
            at += (size_t)snprintf(text + at, 32, "%s>r%zu\n", i ? "\n" : "", i);
            col = 1;
        }
        text[at++] = "ACGT"[kit_random(&state) % 4];
        if (col++ % 60 == 0) {
            text[at++] = '\n';
        }
    }
    text[at++] = '\n';
    text[at] = '\0';
    return text;
}

/* A cut file is an error wherever it is cut; only the whole file is read to its end. */
static void cut_everywhere(const char *whole, int as_stream) {
    size_t n;
    char *bytes = kit_read(whole, &n);
    for (size_t k = 0; k <= n; k++) {
        kit_write("cut.gz", bytes, k);
        reading r;
        if (as_stream) {
            stdin_from("cut.gz");
        }
        reading_all(&r, (const char *const[]){"path", as_stream ? "-" : "cut.gz", NULL}, WHOLE);
        if (k == n) {
            CHECK(r.status == MBS_END, "%s", r.h.why);
        } else {
            CHECK(r.status == MBS_ERR_DATA, "%zu bytes of %zu of %s: %d", k, n, whole, (int)r.status);
            CHECK(strncmp(r.h.why, as_stream ? "standard input:" : "cut.gz:", as_stream ? 15 : 7) == 0, "%s", r.h.why);
            CHECK(k < 18 || strstr(r.h.why, "truncated"), "%zu: %s", k, r.h.why);
        }
        reading_end(&r);
    }
    free(bytes);
}

MBS_TEST(fasta_read, never_takes_a_cut_file_for_a_whole_one) {
    char dir[256];
    test_tmp_enter(dir);
    char *text = random_records(1500, 3);
    kit_bgzip("x.fa.bgz", text, strlen(text));
    kit_gzip("x.fa.gz", text, strlen(text));
    cut_everywhere("x.fa.bgz", 0);
    cut_everywhere("x.fa.gz", 0);
    cut_everywhere("x.fa.bgz", 1);
    free(text);
    test_tmp_leave(dir);
}

/* In a file of many BGZF blocks: what is complete is named, before anything is computed. */
MBS_TEST(fasta_read, names_the_last_complete_record) {
    char dir[256];
    test_tmp_enter(dir);
    char *text = malloc(700000);
    size_t n = 0;
    uint64_t state = 5;
    for (int i = 1; i <= 6; i++) {
        n += (size_t)snprintf(text + n, 16, ">chr%d\n", i);
        for (int k = 0; k < 100000; k++) {
            text[n++] = "ACGT"[kit_random(&state) % 4];
        }
        text[n++] = '\n';
    }
    kit_bgzip("x.fa.gz", text, n);
    size_t size;
    char *bytes = kit_read("x.fa.gz", &size);
    kit_write("noend.fa.gz", bytes, size - 28);
    reading r;
    reading_start(&r, (const char *const[]){"path", "noend.fa.gz", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_DATA);
    CHECK_STR(r.h.why, "noend.fa.gz: truncated: the end-of-file block of bgzip is missing; the last complete record is "
                       "'chr5' (number 5)");
    CHECK(strstr(r.h.hint, "checksum"), "%s", r.h.hint);
    reading_end(&r);

    kit_write("half.fa.gz", bytes, size / 2);
    reading_start(&r, (const char *const[]){"path", "half.fa.gz", NULL});
    CHECK_INT(reading_open(&r), MBS_ERR_DATA);
    CHECK(strstr(r.h.why, "half.fa.gz: truncated: it ends inside the BGZF block at byte "), "%s", r.h.why);
    CHECK(strstr(r.h.why, "; the last complete record is 'chr2' (number 2)"), "%s", r.h.why);
    reading_end(&r);

    bytes[size / 2] ^= 0x10; /* one bit */
    kit_write("bit.fa.gz", bytes, size);
    reading_all(&r, (const char *const[]){"path", "bit.fa.gz", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_ERR_DATA);
    CHECK(strstr(r.h.why, "bit.fa.gz: damaged BGZF data near byte "), "%s", r.h.why);
    reading_end(&r);
    free(text);
    free(bytes);
    test_tmp_leave(dir);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define KEEPS_FREED 1 /* AddressSanitizer holds freed memory back */
#else
#define KEEPS_FREED 0
#endif

/* Resident pages now, in KiB. */
static long resident(void) {
    if (KEEPS_FREED) {
        SKIP("resident memory means nothing under AddressSanitizer");
    }
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1) {
        SKIP("no /proc/self/statm");
    }
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Streams a file without keeping the text; the growth of memory from the first block on. */
static long growth(const char *path, int64_t *rows, int64_t *records) {
    reading r;
    reading_start(&r, (const char *const[]){"path", path, NULL});
    CHECK_INT(reading_open(&r), MBS_OK);
    reading_step(&r, WHOLE);
    long before = resident();
    long most = before;
    while (reading_step(&r, WHOLE) == MBS_OK) {
        r.len = 0;
        long now = r.blocks % 512 == 0 ? resident() : before;
        most = now > most ? now : most;
    }
    CHECK(r.status == MBS_END, "%s", r.h.why);
    *rows = r.rows;
    *records = r.records;
    reading_end(&r);
    return most - before;
}

MBS_TEST(fasta_read, needs_no_more_memory_for_a_longer_record) {
    char dir[256];
    test_tmp_enter(dir);
    char line[61];
    memset(line, 'G', 60);
    line[60] = '\n';
    FILE *f = fopen("x.fa", "wb");
    fputs(">chr1\n", f);
    for (int i = 0; i < 50000000 / 60; i++) {
        fwrite(line, 1, sizeof(line), f);
    }
    CHECK(fclose(f) == 0);
    int64_t rows;
    int64_t records;
    long grown = growth("x.fa", &rows, &records);
    CHECK_INT(rows, 50000000 / 60 * 60);
    CHECK_INT(records, 1);
    CHECK(grown < 8 * 1024, "%ld KiB", grown);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_read, needs_no_more_memory_for_more_records) {
    char dir[256];
    test_tmp_enter(dir);
    FILE *f = fopen("x.fa", "wb");
    FILE *x = fopen("x.fa.fai", "wb");
    for (int i = 0; i < 300000; i++) {
        int n = fprintf(f, ">a_read_with_a_name_of_some_length_%07d and more\nACGT\n", i);
        fprintf(x, "a_read_with_a_name_of_some_length_%07d\t4\t%lld\t4\t5\n", i, (long long)(i + 1) * n - 5);
    }
    CHECK(fclose(f) == 0 && fclose(x) == 0);
    int64_t rows;
    int64_t records;
    long grown = growth("x.fa", &rows, &records);
    CHECK_INT(rows, 1200000);
    CHECK_INT(records, 300000);
    CHECK(grown < 8 * 1024, "%ld KiB", grown);
    reading r;
    reading_start(&r, (const char *const[]){"path", "x.fa", NULL});
    long before = resident();
    CHECK_INT(reading_open(&r), MBS_OK);
    CHECK(resident() - before < 24 * 1024, "%ld KiB for an index", resident() - before);
    CHECK_INT(r.header->n_records, 300000); /* counted, though the names are not kept */
    CHECK_INT(r.header->n_units, 1200000);
    CHECK_INT(r.header->n_contigs, 0);
    reading_end(&r);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_read, says_first_what_a_fresh_index_knows) {
    char dir[256];
    test_tmp_enter(dir);
    static const char text[] = ">a x\nACGT\nAC\n>b\n>c\nTTT\n";
    static const char fai[] = "a\t6\t5\t4\t5\nb\t0\t16\t0\t0\nc\t3\t19\t3\t4\n";
    test_tmp_write("x.fa", text);
    test_tmp_write("x.fa.fai", fai);
    reading r;
    reading_all(&r, (const char *const[]){"path", "x.fa", NULL}, 2);
    CHECK(r.status == MBS_END, "%s", r.h.why);
    CHECK_STR(r.text, ">a|x|src 0 start 0 len 6 ctx 0\nACGTAC\n>b||src 0 start 0 len 0 ctx 0\n\n"
                      ">c||src 0 start 0 len 3 ctx 0\nTTT\n");
    CHECK_INT(r.header->n_records, 3);
    CHECK_INT(r.header->n_units, 9);
    CHECK_INT(r.header->n_contigs, 3);
    CHECK_STR(r.header->contigs[2].name, "c");
    CHECK_INT(r.header->contigs[2].length, 3);
    reading_end(&r);
    test_tmp_leave(dir);
}

/* Each of these would give wrong lengths if it were believed. */
MBS_TEST(fasta_read, does_not_believe_an_index_that_does_not_fit) {
    char dir[256];
    test_tmp_enter(dir);
    static const char text[] = ">a x\nACGT\nAC\n>b\nTTT\n";
    static const char *const bad[] = {
        "",
        "a\t6\t5\t4\t5\nb\t3\t16\t3\t4", /* cut */
        "a\t6\t5\t4\t5\n",               /* a record is missing */
        "a\t6\t5\t4\t5\nc\t3\t16\t3\t4\n",
        "a\t7\t5\t4\t5\nb\t3\t16\t3\t4\n",
        "a\t6\t5\t4\t5\nb\t2\t16\t3\t4\n",
        "a\t6\t5\t4\t5\nb\t3\t15\t3\t4\n",
        "a\t6\t5\t4\t5\nb\t30000\t16\t3\t4\n",
        "a\t6\t5\t4\t5\nb\t-3\t16\t3\t4\n",
        "a\t6\t5\t4\t5\t1\nb\t3\t16\t3\t4\t1\n",
        "a\t6\t5\t0\t5\nb\t3\t16\t3\t4\n",
        "a\t6\t5\t4\t5\nb\t9223372036854775807\t16\t1\t3\n",
        "a\t6\t5\t4\t5\nb\t99999999999999999999\t16\t1\t3\n",
        "b\t3\t16\t3\t4\na\t6\t5\t4\t5\n",
    };
    test_tmp_write("x.fa", text);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        test_tmp_write("x.fa.fai", bad[i]);
        reading r;
        reading_all(&r, (const char *const[]){"path", "x.fa", NULL}, WHOLE);
        CHECK(r.status == MBS_END, "index %zu: %s", i, r.h.why);
        CHECK_STR(r.text, ">a|x|src 0 start 0 len -1 ctx 0\nACGTAC\n>b||src 0 start 0 len -1 ctx 0\nTTT\n");
        CHECK_INT(r.header->n_contigs, 0);
        CHECK_STR(r.h.log, "the index of x.fa does not fit it: not used\n");
        reading_end(&r);
    }
    static const char good[] = "a\t6\t5\t4\t5\nb\t3\t16\t3\t4\n";
    test_tmp_write("x.fa.fai", good);
    kit_age("x.fa.fai", -10);
    reading r;
    reading_all(&r, (const char *const[]){"path", "x.fa", NULL}, WHOLE);
    CHECK_INT(r.header->n_contigs, 0);
    CHECK_STR(r.h.log, "x.fa.fai is older than x.fa: not used\n");
    reading_end(&r);
    test_tmp_leave(dir);
}

/* Inside, where only reading shows it. */
MBS_TEST(fasta_read, notices_a_length_that_the_index_got_wrong) {
    char dir[256];
    test_tmp_enter(dir);
    static const char text[] = ">a\nAC\n>b\nACGT\nAC\n>c\nT\n";
    static const char fai[] = "a\t2\t3\t2\t3\nb\t5\t9\t4\t5\nc\t1\t20\t1\t2\n";
    test_tmp_write("x.fa", text);
    test_tmp_write("x.fa.fai", fai);
    reading r;
    reading_all(&r, (const char *const[]){"path", "x.fa", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_ERR_DATA);
    CHECK_STR(r.h.why, "x.fa: record 'b' is not as its index says");
    CHECK_STR(r.h.hint, "make the index again: samtools faidx x.fa");
    reading_end(&r);
    test_tmp_leave(dir);
}

/* Every allocation of the reader fails once: a clear end, nothing left behind. */
MBS_TEST(fasta_read, survives_every_failed_allocation) {
    char dir[256];
    test_tmp_enter(dir);
    static const char text[] = ">a x\nACGT\nAC\n>b\nTTT\n";
    test_tmp_write("x.fa", text);
    for (int region = 0; region < 2; region++) {
        for (long k = 1;; k++) {
            reading r;
            reading_start(&r, (const char *const[]){"path", "x.fa", region ? "regions" : NULL, "b:2-3", NULL});
            r.h.fail_at = k;
            if (reading_open(&r) == MBS_OK) {
                reading_rest(&r, 2);
            }
            CHECK(r.status == MBS_END || r.status == MBS_ERR_MEMORY, "allocation %ld: %d %s", k, (int)r.status,
                  r.h.why);
            int done = r.status == MBS_END && r.h.allocations < k;
            reading_end(&r);
            if (done) {
                CHECK(k > 8);
                break;
            }
            CHECK(k < 200);
        }
    }
    test_tmp_leave(dir);
}

/* The shipped stretch is what its README says, where the genome is at hand. */
MBS_TEST(fasta_read, reads_the_shipped_genome) {
    reading r;
    reading_all(&r, (const char *const[]){"path", MBS_SOURCE_DIR "/share/data/ecoli-heldout.fa.gz", NULL}, 1000);
    CHECK(r.status == MBS_END, "%s", r.h.why);
    CHECK_INT(r.records, 1);
    CHECK_INT(r.rows, 239675);
    CHECK_INT(r.header->n_units, 239675);
    CHECK_STR(r.header->contigs[0].name, "NC_000913-heldout");
    reading g;
    const char *genome = "/usr/share/doc/ragout/examples/E.Coli/references/MG1655-K12.fasta.gz";
    if (access(genome, R_OK) == 0) {
        reading_all(&g, (const char *const[]){"path", genome, NULL}, WHOLE);
        CHECK_INT(g.rows, 4639675);
        CHECK(memcmp(strchr(g.text, '\n') + 1 + 4400000, strchr(r.text, '\n') + 1, 239675) == 0);
        reading_end(&g);
    }
    reading_end(&r);
}

/* Qualities as text, with a bar where a record begins. */
static void note_quality(reading *r, const mbs_block *b) {
    char *to = r->ctx;
    const mbs_side *s = fake_side(b, "quality");
    CHECK(s && s->dtype == MBS_U8 && s->width == 1);
    if (b->flags & MBS_SEQ_START) {
        to[strlen(to)] = '|';
    }
    for (int64_t i = 0; i < b->shape[0]; i++) {
        to[strlen(to)] = (char)(((const uint8_t *)s->data)[i] + 33);
    }
}

MBS_TEST(fasta_read, qualities_ride_along_with_their_letters) {
    static const char text[] = "@r1 x\nACGT\n+\n!I>~\n@m\nACGT\nACG\n+m\n@+II\nI\"#\n@z\n\n+\n\n@one\nA\n+\n@\n";
    char dir[256];
    test_tmp_enter(dir);
    kit_bgzip("x.fq.gz", text, sizeof(text) - 1);
    for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
        reading r;
        char quality[64] = "";
        reading_start(&r, (const char *const[]){"path", "x.fq.gz", "quality", "true", NULL});
        r.look = note_quality;
        r.ctx = quality;
        CHECK_INT(reading_open(&r), MBS_OK);
        CHECK(reading_rest(&r, cuts[k]) == MBS_END, "%s", r.h.why);
        CHECK_STR(r.text,
                  R("r1", "x", "4") "ACGT\n" R("m", "", "7") "ACGTACG\n" R("z", "", "0") "\n" R("one", "", "1") "A\n");
        CHECK_STR(quality, "|!I>~|@+III\"#||@");
        reading_end(&r);
    }
    kit_write("x.fa", ">a\nACGT\n", 8);
    reading r;
    reading_all(&r, (const char *const[]){"path", "x.fa", "quality", "true", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_ERR_CONFIG);
    CHECK(strstr(r.h.why, "x.fa is FASTA: it has no qualities") != NULL, "%s", r.h.why);
    reading_end(&r);
    kit_write("bad.fq", "@a\nACGT\n+\nII I\n", 16);
    reading_all(&r, (const char *const[]){"path", "bad.fq", "quality", "true", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_ERR_DATA);
    CHECK(strstr(r.h.why, "a blank among the qualities") != NULL, "%s", r.h.why);
    reading_end(&r);
    test_tmp_leave(dir);
}
