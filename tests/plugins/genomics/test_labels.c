/* Labels of records, from folders, header lines and columns of tables: what is delivered, and what is wrong where. */
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"
#include "support/tmp.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_tsv;

/* "name=label=LETTERS;" of every record. */
static char seen[4096];

static void look(reading *r, const mbs_block *b) {
    size_t n = strlen(seen);
    (void)r;
    if (b->flags & MBS_SEQ_START) {
        n += (size_t)snprintf(seen + n, sizeof seen - n, "%s=%s=", b->record->name,
                              b->record->label ? b->record->label : "(none)");
    }
    snprintf(seen + n, sizeof seen - n, "%.*s%s", (int)b->shape[0], b->shape[0] ? (const char *)b->data : "",
             b->flags & MBS_SEQ_END ? ";" : "");
}

static void read_all(reading *r, int tsv, const char *const *params, int64_t cut) {
    seen[0] = '\0';
    reading_start_of(r, tsv ? mbs_plugin_entry_tsv.descriptors[0] : mbs_plugin_entry_fasta.descriptors[0], params);
    r->look = look;
    if (reading_open(r) == MBS_OK) {
        reading_rest(r, cut);
    }
}

/* The same for blocks of every size. */
static void gives(int tsv, const char *const *params, const char *want) {
    static const int64_t cuts[] = {1, 3, 4096};
    for (int i = 0; i < 3; i++) {
        reading r;
        read_all(&r, tsv, params, cuts[i]);
        CHECK(r.status == MBS_END, "%d: %s", (int)r.status, r.h.why);
        CHECK_STR(seen, want);
        reading_end(&r);
    }
}

static void refuses(int tsv, const char *const *params, mbs_status status, const char *why) {
    reading r;
    read_all(&r, tsv, params, 4096);
    CHECK(r.status == status, "%d: %s", (int)r.status, r.h.why);
    CHECK(strstr(r.h.why, why), "\"%s\" does not say \"%s\"", r.h.why, why);
    reading_end(&r);
}

#define P(...) ((const char *const[]){__VA_ARGS__, NULL})

static void put(const char *path, const char *text) {
    kit_write(path, text, strlen(text));
}

MBS_TEST(labels, of_folders) {
    char dir[256];
    test_tmp_enter(dir);
    mkdir("d", 0777);
    mkdir("d/lambda", 0777);
    mkdir("d/E. coli", 0777);
    put("d/README.txt", "not a sequence");
    put("d/lambda/b.fa", ">l2\nGG\n");
    put("d/lambda/a.fq", "@l1 x\nACGT\n+\nIIII\n");
    put("d/lambda/notes.md", ">no\nA\n");
    kit_bgzip("d/E. coli/c.fa.gz", ">c\nTT\n>d\n\n", 10);
    gives(0, P("path", "d", "label", "folder"), "c=E. coli=TT;d=E. coli=;l1=lambda=ACGT;l2=lambda=GG;");
    gives(0, P("path", "d/", "label", "folder"), "c=E. coli=TT;d=E. coli=;l1=lambda=ACGT;l2=lambda=GG;");
    gives(0, P("path", "d/lambda/b.fa", "label", "folder"), "l2=lambda=GG;");
    gives(0, P("path", "d/lambda/b.fa", "label", "folder", "regions", "l2:2-2"), "l2=lambda=GG;");
    gives(0, P("path", "d/lambda/b.fa", "label", "none"), "l2=(none)=GG;");
    put("x.fa", ">a\nA\n");
    refuses(0, P("path", "x.fa", "label", "folder"), MBS_ERR_CONFIG, "'x.fa' lies in no folder with a name");
    refuses(0, P("path", "./x.fa", "label", "folder"), MBS_ERR_CONFIG, "'./x.fa' lies in no folder with a name");
    refuses(0, P("path", "d/lambda", "label", "folder"), MBS_ERR_DATA, "lies beside the folders of the classes");
    refuses(0, P("path", "d"), MBS_ERR_NOINPUT, "d: is a directory");
    mkdir("d/empty", 0777);
    refuses(0, P("path", "d", "label", "folder"), MBS_ERR_NOINPUT, "'d/empty' holds no FASTA or FASTQ file");
    mkdir("e", 0777);
    refuses(0, P("path", "e", "label", "folder"), MBS_ERR_NOINPUT, "'e' holds no folder with sequences");
    test_tmp_leave(dir);
}

MBS_TEST(labels, of_header_lines) {
    char dir[256];
    test_tmp_enter(dir);
    put("x.fa", ">a class=cat len=3\nAC\n>b xclass=no class=\"big dog\" z\nG\n>c\tclass=7\nT\n");
    gives(0, P("path", "x.fa", "label", "class="), "a=cat=AC;b=big dog=G;c=7=T;");
    put("y.fa", ">a  two words \nAC\n>b x\n");
    gives(0, P("path", "y.fa", "label", "description"), "a=two words=AC;b=x=;");
    put("z.fa", ">a class=cat\nAC\n>b clas=dog\nG\n");
    refuses(0, P("path", "z.fa", "label", "class="), MBS_ERR_DATA,
            "z.fa:4:1: no 'class=' in the header line: record 'b'");
    put("z.fa", ">a class=\nAC\n");
    refuses(0, P("path", "z.fa", "label", "class="), MBS_ERR_DATA, "z.fa:2:1: an empty label");
    put("z.fa", ">a\nAC\n");
    refuses(0, P("path", "z.fa", "label", "description"), MBS_ERR_DATA,
            "an empty label: nothing stands behind its name");
    refuses(0, P("path", "x.fa", "label", "class"), MBS_ERR_CONFIG, "'label' is 'class', must be none, folder");
    refuses(0, P("path", "x.fa", "label", "class=", "regions", "a:1-1"), MBS_ERR_CONFIG, "no header lines");
    test_tmp_leave(dir);
}

/* Stopped in the middle of a record it is of the same class afterwards. */
MBS_TEST(labels, survive_a_stop) {
    char dir[256];
    test_tmp_enter(dir);
    mkdir("d", 0777);
    mkdir("d/u", 0777);
    mkdir("d/v", 0777);
    put("d/u/a.fa", ">a class=x\nACGTACGT\n");
    put("d/v/b.fa", ">b class=y\nGGGGGGGG\n");
    for (int k = 0; k < 2; k++) {
        const char *const *params = P("path", "d", "label", "folder");
        const char *const *keyed = P("path", "d/u/a.fa", "label", "class=");
        reading one;
        reading two;
        size_t n;
        reading_start(&one, k ? keyed : params);
        CHECK_INT(reading_open(&one), MBS_OK);
        for (int i = 0; i < (k ? 2 : 6); i++) {
            CHECK_INT(reading_step(&one, 2), MBS_OK);
        }
        void *place = reading_save(&one, &n);
        reading_end(&one);
        seen[0] = '\0';
        reading_start(&two, k ? keyed : params);
        two.look = look;
        two.inside = 1;
        two.records = k ? 1 : 2;
        two.next = 4;
        CHECK_INT(reading_restore(&two, place, n), MBS_OK);
        mbs_block *b = NULL;
        CHECK_INT(((const mbs_reader_vt *)two.h.desc->vt)->read(two.self, 2, &b), MBS_OK);
        CHECK_STR(b->record->label, k ? "x" : "v");
        fake_block_unref(&two.h.host, b);
        free(place);
        reading_end(&two);
    }
    test_tmp_leave(dir);
}

MBS_TEST(labels, of_tables) {
    char dir[256];
    test_tmp_enter(dir);
    put("a.tsv", "name\tsequence\tlabel\nr1\tACGT\tcat\n\nr2\t\tbig dog\r\nr3\tNNac\t7");
    gives(1, P("path", "a.tsv"), "r1=cat=ACGT;r2=big dog=;r3=7=NNac;");
    gives(1, P("path", "a.tsv", "label", "none"), "r1=(none)=ACGT;r2=(none)=;r3=(none)=NNac;");
    gives(1, P("path", "a.tsv", "label", "name", "name", "label"), "cat=r1=ACGT;big dog=r2=;7=r3=NNac;");
    put("b.csv", "#seq,class,more\r\nAC,\"a, \"\"b\"\"\",\n\"GT\",\"two\nlines\",x\n");
    gives(1, P("path", "b.csv", "sequence", "seq", "label", "class"), "row1=a, \"b\"=AC;row2=two\nlines=GT;");
    put("c.txt", "ACGT\t0\nTT\t1\n");
    gives(1, P("path", "c.txt", "header", "false", "sequence", "1", "label", "2"), "row1=0=ACGT;row2=1=TT;");
    gives(1, P("path", "c.txt", "header", "true", "sequence", "1", "label", "2"), "row1=1=TT;");
    put("d.csv", "sequence\nA\nC\n");
    gives(1, P("path", "d.csv", "label", "none"), "row1=(none)=A;row2=(none)=C;");
    kit_gzip("e.tsv.gz", "sequence\tlabel\nA\tx\n", 19);
    gives(1, P("path", "e.tsv.gz"), "row1=x=A;");
    kit_bgzip("f.tsv.gz", "sequence\tlabel\nA\tx\n", 19);
    gives(1, P("path", "f.tsv.gz"), "row1=x=A;");
    test_tmp_leave(dir);
}

MBS_TEST(labels, broken_tables) {
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        {"", "x.tsv: empty: not even a line of column names"},
        {"name\tseq\tlabel\n", "x.tsv:1: there is no column 'sequence' among the 3"},
        {"sequence\tclass\n", "x.tsv:1: there is no column 'label' among the 2"},
        {"sequence\tlabel\nA\tx\nC\n", "x.tsv:3: 1 column, and the first line has 2"},
        {"sequence\tlabel\n\n\nA\tx\ty\n", "x.tsv:4: 3 columns, and the first line has 2"},
        {"sequence\tlabel\nA\tx\nC\t\n", "x.tsv:3: record 'row2' has an empty label"},
        {"sequence\tlabel\nA C\tx\n", "x.tsv:2: letter 2 of the sequence is the byte 0x20"},
        {"sequence\tlabel\nA\t\"x\n", "x.tsv:2: a quote that is not closed"},
        {"sequence\tlabel\n\"A\nC\"\tx\n", "x.tsv:2: letter 2 of the sequence is the byte 0x0a"},
        {"sequence\tlabel\nA\t\"x\"y\n", "x.tsv:2: column 2: text behind the closing quote"},
    };
    char dir[256];
    test_tmp_enter(dir);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put("x.tsv", bad[i].text);
        refuses(1, P("path", "x.tsv"), MBS_ERR_DATA, bad[i].why);
    }
    kit_write("x.tsv", "sequence\tlabel\nA\tx\0y\n", 21);
    refuses(1, P("path", "x.tsv"), MBS_ERR_DATA, "x.tsv:2: column 2: a NUL byte");
    kit_write("x.tsv", "sequence\tlabel\nA\t\"x\0y\"\n", 23);
    refuses(1, P("path", "x.tsv"), MBS_ERR_DATA, "x.tsv:2: column 2: a NUL byte");
    put("x.tsv", "A\tx\n");
    refuses(1, P("path", "x.tsv", "header", "false"), MBS_ERR_DATA, "there is no column 'sequence'");
    refuses(1, P("path", "x.tsv", "header", "false", "sequence", "3", "label", "2"), MBS_ERR_DATA, "no column '3'");
    refuses(1, P("path", "nothere.tsv"), MBS_ERR_NOINPUT, "nothere.tsv: cannot be opened");
    size_t n;
    kit_bgzip("whole.gz", "sequence\tlabel\nA\tx\n", 19);
    char *bytes = kit_read("whole.gz", &n);
    kit_write("x.tsv.gz", bytes, n - 28); /* without the block that ends it */
    refuses(1, P("path", "x.tsv.gz"), MBS_ERR_DATA, "x.tsv.gz: truncated");
    free(bytes);
    test_tmp_leave(dir);
}
