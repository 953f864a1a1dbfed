/* What the reader `bam` delivers: letters, qualities, names, records that are wanted, the record itself. */
#include <stdlib.h>
#include <unistd.h>

#include "genomics/htsutil/alignment.h"
#include "sam.h"
#include "support/tmp.h"

#define SQ "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:c1\tLN:100\n@SQ\tSN:c2\tLN:50\n"
#define READ(name, flag, contig, pos, mapq, cigar, seq, qual, more)                                                    \
    name "\t" flag "\t" contig "\t" pos "\t" mapq "\t" cigar "\t*\t0\t0\t" seq "\t" qual more "\n"

static const char text[] = SQ READ("fwd", "0", "c1", "1", "60", "8M", "ACGTRYNA", "!\"#$%&'(", "\tNM:i:3")
    READ("rev", "16", "c1", "11", "30", "5M", "ACGTN", "ABCDE", "\tNM:i:1")
        READ("sec", "256", "c1", "21", "60", "4M", "ACGT", "IIII", "")
            READ("sup", "2048", "c1", "31", "60", "4M", "ACGT", "IIII", "")
                READ("noqual", "0", "c1", "41", "0", "3M", "ACG", "*", "")
                    READ("one", "0", "c2", "10", "60", "1M", "T", "I", "")
                        READ("noseq", "0", "c2", "20", "60", "4M", "*", "*", "")
                            READ("lost", "4", "*", "0", "0", "*", "GGGTTT", "IIIIII", "");

#define R(name, len, letters) ">" name "||src 0 start 0 len " len " ctx 0\n" letters "\n"
static const char stored[] = R("fwd", "8", "ACGTRYNA") R("rev", "5", "ACGTN") R("noqual", "3", "ACG") R("one", "1", "T")
    R("noseq", "0", "") R("lost", "6", "GGGTTT");
static const char sequenced[] = R("fwd", "8", "ACGTRYNA") R("rev", "5", "NACGT") R("noqual", "3", "ACG")
    R("one", "1", "T") R("noseq", "0", "") R("lost", "6", "GGGTTT");

/* Qualities and strands of all records, as text. */
static void note(reading *r, const mbs_block *b) {
    char *to = r->ctx;
    const mbs_side *s = fake_side(b, "quality");
    if (b->flags & MBS_SEQ_START) {
        to[strlen(to)] = (char)b->record->strand;
    }
    for (int64_t i = 0; s && i < b->shape[0]; i++) {
        uint8_t q = ((const uint8_t *)s->data)[i];
        to[strlen(to)] = q == 255 ? '~' : (char)(q + 33);
    }
}

static void check(const char *path, const char *orientation, int64_t rows, const char *letters, const char *quality) {
    reading r;
    char notes[256] = "";
    reading_start_of(&r, sam_reader(),
                     (const char *const[]){"path", path, "orientation", orientation, "quality", "true", NULL});
    r.look = note;
    r.ctx = notes;
    CHECK_INT(reading_open(&r), MBS_OK);
    CHECK_INT(r.header->n_contigs, 2);
    CHECK_STR(r.header->contigs[1].name, "c2");
    CHECK_INT(r.header->contigs[1].length, 50);
    CHECK_STR(r.header->attrs[0].value, "coordinate");
    CHECK(reading_rest(&r, rows) == MBS_END, "%s: %s", path, r.h.why);
    CHECK_STR(r.text, letters);
    CHECK_STR(notes, quality);
    reading_end(&r);
}

MBS_TEST(bam_read, gives_letters_and_qualities_as_stored_or_as_sequenced) {
    char dir[256];
    test_tmp_enter(dir);
    sam_make("x.bam", "wb", text, NULL, -1);
    sam_make("x.sam", "w", text, NULL, -1);
    for (int64_t rows = 1; rows <= 8; rows += 7) {
        check("x.bam", "stored", rows, stored, "+!\"#$%&'(+ABCDE+~~~+I+.IIIIII");
        check("x.sam", "sequenced", rows, sequenced, "+!\"#$%&'(-EDCBA+~~~+I+.IIIIII");
    }
    test_tmp_leave(dir);
}

MBS_TEST(bam_read, reads_a_cram_through_its_reference) {
    char dir[256];
    test_tmp_enter(dir);
    KIT_TEXT("ref.fa", ">c1\nACGTACGTAC\nACGT\n");
    CHECK_INT(fai_build("ref.fa"), 0);
    sam_make("x.cram", "wc", "@SQ\tSN:c1\tLN:14\nr\t16\tc1\t3\t9\t6M\t*\t0\t0\tGTACGA\tIIIIII\n", "ref.fa", -1);
    reading r;
    sam_reading_all(&r, (const char *const[]){"path", "x.cram", "reference", "ref.fa", NULL}, WHOLE);
    CHECK(r.status == MBS_END, "%s", r.h.why);
    CHECK_STR(r.text, R("r", "6", "GTACGA"));
    reading_end(&r);
    test_tmp_leave(dir);
}

/* The names of the records that are delivered, "a b c ". */
static void names(const char *const *params, const char *expected) {
    reading r;
    char got[256] = "";
    sam_reading_all(&r, params, WHOLE);
    CHECK(r.status == MBS_END, "%s", r.h.why);
    for (const char *at = r.text; at && (at = strchr(at, '>')); at++) {
        size_t len = strlen(got);
        (void)snprintf(got + len, sizeof(got) - len, "%.*s ", (int)strcspn(at + 1, "|"), at + 1);
    }
    CHECK_STR(got, expected);
    reading_end(&r);
}

MBS_TEST(bam_read, leaves_out_what_is_not_wanted) {
    char dir[256];
    test_tmp_enter(dir);
    sam_make("x.bam", "wb", text, NULL, 0);
    names((const char *const[]){"path", "x.bam", "exclude_flags", "0", NULL}, "fwd rev sec sup noqual one noseq lost ");
    names((const char *const[]){"path", "x.bam", "exclude_flags", "UNMAP,REVERSE", NULL},
          "fwd sec sup noqual one noseq ");
    names((const char *const[]){"path", "x.bam", "require_flags", "REVERSE", NULL}, "rev ");
    names((const char *const[]){"path", "x.bam", "min_mapq", "31", NULL}, "fwd one noseq ");
    names((const char *const[]){"path", "x.bam", "expr", "[NM] >= 2", NULL}, "fwd ");
    names((const char *const[]){"path", "x.bam", "expr", "rname == \"c2\" && length(seq) > 0", NULL}, "one ");
    /* regions: once each, in the order of the file */
    names((const char *const[]){"path", "x.bam", "regions", "c2", "regions", "c1:8-11", "regions", "c1:9-12", NULL},
          "fwd rev one noseq ");
    names((const char *const[]){"path", "x.bam", "regions", "c1:9-10", NULL}, "");
    names((const char *const[]){"path", "x.bam", "regions", "*", "regions", "c2:10-10", NULL}, "one lost ");
    KIT_TEXT("r.bed", "c1\t7\t8\nc2\t9\t10\n");
    names((const char *const[]){"path", "x.bam", "regions", "r.bed", NULL}, "fwd one ");
    test_tmp_leave(dir);
}

MBS_TEST(bam_read, reads_several_files) {
    char dir[256];
    test_tmp_enter(dir);
    sam_make("a.bam", "wb", SQ READ("a", "0", "c1", "1", "9", "2M", "AC", "II", ""), NULL, -1);
    sam_make("b.sam", "w", SQ READ("b", "0", "c1", "1", "9", "2M", "GT", "II", ""), NULL, -1);
    sam_make("c.bam", "wb", "@SQ\tSN:other\tLN:7\n", NULL, -1);
    reading r;
    sam_reading_all(&r, (const char *const[]){"path", "a.bam", "path", "b.sam", NULL}, WHOLE);
    CHECK_INT(r.status, MBS_END);
    CHECK_STR(r.text, R("a", "2", "AC") ">b||src 1 start 0 len 2 ctx 0\nGT\n");
    CHECK_INT(r.header->n_contigs, 2);
    reading_end(&r);
    sam_reading_all(&r, (const char *const[]){"path", "a.bam", "path", "c.bam", NULL}, WHOLE);
    CHECK_STR(r.text, R("a", "2", "AC"));
    CHECK_INT(r.header->n_contigs, 0); /* they differ */
    reading_end(&r);
    test_tmp_leave(dir);
}

/* Keeps the origin of every record. */
static void keep(reading *r, const mbs_block *b) {
    mbs_origin **list = r->ctx;
    if (b->flags & MBS_SEQ_START) {
        b->record->origin->ref(b->record->origin);
        list[b->record->index] = b->record->origin;
    }
}

MBS_TEST(bam_read, lends_the_record_itself_for_longer_than_the_reader_lives) {
    char dir[256];
    test_tmp_enter(dir);
    sam_make("x.bam", "wb", text, NULL, -1);
    static const char *const expected[] = {"fwd", "rev", "noqual", "one", "noseq", "lost"};
    mbs_origin *kept[6] = {NULL};
    reading r;
    reading_start_of(&r, sam_reader(), (const char *const[]){"path", "x.bam", NULL});
    r.look = keep;
    r.ctx = kept;
    CHECK_INT(reading_open(&r), MBS_OK);
    CHECK_INT(reading_rest(&r, 2), MBS_END);
    reading_end(&r);
    for (int i = 0; i < 6; i++) {
        CHECK_STR(kept[i]->library, HU_ALIGNMENT);
        const hu_alignment *a = kept[i]->data;
        CHECK_STR(bam_get_qname(a->record), expected[i]);
        CHECK(a->header_len == strlen(a->header) && strstr(a->header, "SN:c2") != NULL);
    }
    CHECK_INT(bam_aux2i(bam_aux_get(((const hu_alignment *)kept[1]->data)->record, "NM")), 1);
    for (int i = 0; i < 6; i++) {
        kept[i]->unref(kept[i]);
    }
    test_tmp_leave(dir);
}
