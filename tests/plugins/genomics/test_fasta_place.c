/* Stop anywhere, save, restore: what follows is what would have followed. */
#include <unistd.h>

#include "kit.h"
#include "support/tmp.h"

static char *long_text(void) {
    char *text = malloc(400000);
    size_t n = 0;
    uint64_t state = 21;
    for (int c = 0; n < 300000; c++) {
        n += (size_t)snprintf(text + n, 64, ">c%d words %d\r\n", c, c * 7);
        int bases = c % 3 == 0 ? 0 : (int)(kit_random(&state) % 60000);
        for (int i = 0; i < bases; i++) {
            text[n++] = "ACGTNacgt"[kit_random(&state) % 9];
            if (kit_random(&state) % 70 == 0) {
                text[n++] = '\n';
            }
        }
        text[n++] = '\n';
    }
    text[n] = '\0';
    return text;
}

/* Reads to the end, but is thrown away and restored after every few blocks. */
static void check_restored(const char *const *params, int64_t rows, uint64_t *state) {
    reading whole;
    reading_all(&whole, params, rows);
    CHECK(whole.status == MBS_END, "%s", whole.h.why);
    reading two[2];
    reading *r = &two[0]; /* the reader keeps its host's address: no reading may move */
    reading_start(r, params);
    CHECK_INT(reading_open(r), MBS_OK);
    int restores = 0;
    for (int done = 0; !done; restores++) {
        int64_t steps = (int64_t)(kit_random(state) % (uint64_t)(whole.blocks / 12 + 2));
        while (steps-- > 0 && reading_step(r, rows) == MBS_OK) {
        }
        CHECK(r->status >= 0, "%s", r->h.why);
        size_t n;
        void *place = reading_save(r, &n);
        CHECK(n < 2000, "%zu bytes", n);
        done = r->status == MBS_END;
        reading *next = r == &two[0] ? &two[1] : &two[0];
        reading_start(next, params);
        next->text = realloc(next->text, r->cap); /* goes on with the text of the one before */
        memcpy(next->text, r->text, r->len + 1);
        next->len = r->len;
        next->cap = r->cap;
        next->rows = r->rows;
        next->records = r->records;
        next->inside = r->inside;
        next->next = r->next;
        reading_end(r);
        CHECK(reading_restore(next, place, n) == MBS_OK, "%s", next->h.why);
        free(place);
        r = next;
    }
    CHECK_INT(reading_step(r, rows), MBS_END);
    CHECK(restores > 5);
    CHECK_INT(r->rows, whole.rows);
    CHECK_INT(r->records, whole.records);
    CHECK(strcmp(r->text, whole.text) == 0, "the letters differ");
    reading_end(r);
    reading_end(&whole);
}

MBS_TEST(fasta_place, continues_where_it_was) {
    char dir[256];
    test_tmp_enter(dir);
    char *text = long_text();
    size_t n = strlen(text);
    kit_write("x.fa", text, n);
    kit_gzip("x.fa.gz", text, n);
    kit_bgzip("x.fa.bgz", text, n);
    test_tmp_write("y.fq", "@r1\nACGT\n+\nIIII\n@r2\n\n+\n\n@r3 x\nAC\nGT\n+\n@@\n@@\n");
    uint64_t state = 4;
    static const int64_t sizes[] = {1, 37, 1000, 65536, WHOLE};
    static const char *const forms[] = {"x.fa", "x.fa.gz", "x.fa.bgz"};
    for (int i = 0; i < 15; i++) {
        if (sizes[i / 3] == 1) {
            check_restored((const char *const[]){"path", "y.fq", NULL}, 1 + i, &state);
            continue;
        }
        check_restored((const char *const[]){"path", forms[i % 3], "path", "y.fq", NULL}, sizes[i / 3], &state);
    }
    free(text);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_place, continues_in_regions) {
    char dir[256];
    test_tmp_enter(dir);
    char *text = long_text();
    size_t n = strlen(text);
    memmove(text + 13, text, n + 1);
    memcpy(text, ">even\nACGTAC\n", 13);
    n += 13;
    kit_write("x.fa", text, n);
    kit_gzip("x.fa.gz", text, n);
    kit_bgzip("x.fa.bgz", text, n);
    uint64_t state = 9;
    static const char *const forms[] = {"x.fa", "x.fa.gz", "x.fa.bgz"};
    for (int i = 0; i < 9; i++) {
        check_restored((const char *const[]){"path", forms[i % 3], "regions", "c1:300-900", "regions", "c3", "regions",
                                             "c2:5-5", "regions", "even:2-5", "regions", "c1", "flank",
                                             i % 2 ? "all" : "100", NULL},
                       i < 6 ? 11 + 400 * i : WHOLE, &state);
    }
    free(text);
    test_tmp_leave(dir);
}

/* Line, column and record of a later error, and the lengths of an index, come over too. */
MBS_TEST(fasta_place, keeps_what_it_knows) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("x.fa", ">a\nACGT\nAC\n>b\nACGT\nACG\n>c\nA\n");
    test_tmp_write("x.fa.fai", "a\t6\t3\t4\t5\nb\t7\t14\t4\t5\nc\t1\t26\t1\t2\n");
    test_tmp_write("bad.fa", ">a\nACGT\nAC\n>b\nACGT\nAC>G\n>c\nAAC\x1b");
    static const char *const names[] = {"x.fa", "bad.fa"};
    for (int i = 0; i < 2; i++) {
        const char *const params[] = {"path", names[i], NULL};
        reading whole;
        reading_all(&whole, params, 1);
        CHECK((whole.status == MBS_END) == (i == 0), "%s", whole.h.why);
        for (int64_t k = 0; k < whole.blocks; k++) {
            reading r;
            reading next;
            reading_start(&r, params);
            CHECK_INT(reading_open(&r), MBS_OK);
            for (int64_t steps = 0; steps < k; steps++) {
                CHECK_INT(reading_step(&r, 1), MBS_OK);
            }
            size_t n;
            void *place = reading_save(&r, &n);
            reading_start(&next, params);
            next.records = r.records;
            next.inside = r.inside;
            next.next = r.next;
            CHECK_INT(reading_restore(&next, place, n), MBS_OK);
            CHECK_INT(reading_rest(&next, 1), whole.status);
            CHECK_STR(next.h.why, whole.h.why);
            CHECK(strcmp(whole.text + r.len, next.text) == 0, "after %d: %s", (int)k, next.text);
            free(place);
            reading_end(&r);
            reading_end(&next);
        }
        reading_end(&whole);
    }
    test_tmp_leave(dir);
}

static void *place_after(const char *path, int64_t rows, size_t *n) {
    reading r;
    reading_start(&r, (const char *const[]){"path", path, NULL});
    CHECK_INT(reading_open(&r), MBS_OK);
    CHECK_INT(reading_step(&r, rows), MBS_OK);
    void *place = reading_save(&r, n);
    reading_end(&r);
    return place;
}

static void check_restore_fails(const void *place, size_t n, const char *why) {
    reading r;
    reading_start(&r, (const char *const[]){"path", "x.fa", NULL});
    CHECK(reading_restore(&r, place, n) == MBS_ERR_DATA, "%s: %d", why, (int)r.status);
    CHECK_STR(r.h.why, why);
    reading_end(&r);
}

MBS_TEST(fasta_place, refuses_another_file) {
    char dir[256];
    test_tmp_enter(dir);
    size_t n;
    test_tmp_write("x.fa", ">a\nACGTACGT\n>b\nA\n");
    void *place = place_after("x.fa", 3, &n);
    test_tmp_write("x.fa", ">a\nACGTACGT\n>b\nC\n");
    check_restore_fails(place, n, "x.fa: has changed since the run was stopped");
    test_tmp_write("x.fa", ">a\nACGTACGT\n>b\nA\n>c\nA\n");
    check_restore_fails(place, n, "x.fa: has changed since the run was stopped");
    test_tmp_write("x.fa", ">a\nACGTACGT\n>b\nA\n");
    kit_age("x.fa", 100); /* touched, but the same */
    reading r;
    reading_start(&r, (const char *const[]){"path", "x.fa", NULL});
    CHECK(reading_restore(&r, place, n) == MBS_OK, "%s", r.h.why);
    r.records = 1;
    r.inside = 1;
    r.next = 3;
    CHECK_INT(reading_rest(&r, WHOLE), MBS_END);
    CHECK_STR(r.text, "TACGT\n>b||src 0 start 0 len -1 ctx 0\nA\n");
    reading_end(&r);
    for (size_t cut = 1; cut < n; cut += 3) {
        check_restore_fails(place, cut, "the saved place in the input does not fit the pipeline");
    }
    free(place);
    test_tmp_leave(dir);
}

/* Nothing in a damaged journal may harm. */
MBS_TEST(fasta_place, survives_any_bytes) {
    char dir[256];
    test_tmp_enter(dir);
    size_t n;
    test_tmp_write("x.fa", ">a\nACGTACGT\n>b\nA\n");
    unsigned char *place = place_after("x.fa", 3, &n);
    uint64_t state = 77;
    for (int i = 0; i < 3000; i++) {
        unsigned char *bytes = malloc(n);
        memcpy(bytes, place, n);
        for (int k = (int)(kit_random(&state) % 4); k >= 0; k--) {
            bytes[kit_random(&state) % n] = (unsigned char)(kit_random(&state) % 3 ? kit_random(&state) % 20 : 255);
        }
        reading r;
        reading_start(&r, (const char *const[]){"path", "x.fa", NULL});
        if (reading_restore(&r, bytes, n) == MBS_OK) {
            const mbs_reader_vt *vt = mbs_plugin_entry_fasta.descriptors[0]->vt;
            mbs_block *b = NULL;
            while ((r.status = vt->read(r.self, 2, &b)) == MBS_OK) {
                fake_block_unref(&r.h.host, b);
            }
        }
        CHECK(r.status == MBS_END || r.h.status == r.status);
        reading_end(&r);
        free(bytes);
    }
    free(place);
    test_tmp_leave(dir);
}

MBS_TEST(fasta_place, does_not_promise_it_for_a_stream) {
    const mbs_reader_vt *vt = mbs_plugin_entry_fasta.descriptors[0]->vt;
    reading r;
    reading_start(&r, (const char *const[]){"path", "-", NULL});
    CHECK_INT(vt->create(&r.h.host, fake_params(&r.h), &r.self), MBS_OK);
    CHECK(vt->get_extension(r.self, "mambaseq.checkpoint/1") == NULL);
    r.status = MBS_ERR_DATA; /* not opened: not to be closed */
    reading_end(&r);
    CHECK(vt->get_extension(NULL, "mambaseq.checkpoint/1") == NULL);
}
