/* The codec `bases`: ids, policies, what is scored, what is said. */
#include <unistd.h>

#include "kit.h"
#include "mambaseq/ext/checkpoint.h"
#include "support/tmp.h"

typedef struct coding {
    fake_host h;
    void *self;
    mbs_status status;
} coding;

static const mbs_codec_vt *vt(void) {
    return mbs_plugin_entry_bases.descriptors[0]->vt;
}

static void coding_start(coding *c, const char *const *params) {
    memset(c, 0, sizeof(*c));
    fake_init(&c->h, mbs_plugin_entry_bases.descriptors[0]);
    for (; params[0]; params += 2) {
        fake_set(&c->h, params[0], params[1]);
    }
}

static void coding_open(coding *c) {
    c->status = vt()->create(&c->h.host, fake_params(&c->h), &c->self);
    if (c->status == MBS_OK) {
        c->status = vt()->open(c->self, NULL);
    }
}

static void coding_end(coding *c) {
    if (c->self && c->status == MBS_OK) {
        CHECK_INT(vt()->close(c->self), MBS_OK);
    }
    if (c->self) {
        vt()->destroy(c->self);
    }
    fake_end(&c->h);
}

static const mbs_record chr = {.struct_size = (uint32_t)sizeof(mbs_record), .name = "chr1", .start = 100, .length = -1};

/* Encodes letters as one block of record chr, its first row at `start`. */
static mbs_block *encode(coding *c, const char *letters, int64_t start, uint32_t flags) {
    int64_t shape[1] = {(int64_t)strlen(letters)};
    mbs_block *in = c->h.host.block_new(&c->h.host, "bases/u8", MBS_U8, 1, shape);
    memcpy(in->data, letters, (size_t)shape[0]);
    in->record = &chr;
    in->start = start;
    in->end = start + shape[0];
    in->flags = flags;
    mbs_block *out = NULL;
    c->status = vt()->encode(c->self, in, &out);
    fake_block_unref(&c->h.host, in);
    CHECK((c->status == MBS_OK) == (out != NULL));
    return out;
}

static void check_ids(coding *c, const char *letters, const int32_t *ids, const char *scored) {
    mbs_block *b = encode(c, letters, 100, MBS_SEQ_START | MBS_SEQ_END);
    CHECK(b, "'%s': %s", letters, c->h.why);
    CHECK_STR(b->type, "tokens/i32");
    CHECK_INT(b->shape[0], (int64_t)strlen(letters));
    CHECK_INT(b->start, 100);
    CHECK_INT(b->end, 100 + b->shape[0]);
    CHECK_INT(b->flags, MBS_SEQ_START | MBS_SEQ_END);
    CHECK(b->record == &chr);
    const int32_t *got = b->data;
    for (int64_t i = 0; i < b->shape[0]; i++) {
        CHECK(got[i] == ids[i], "'%s', row %d: %d is not %d", letters, (int)i, got[i], ids[i]);
    }
    const mbs_side *side = fake_side(b, "scored");
    CHECK((side != NULL) == (scored != NULL), "'%s': the side channel", letters);
    for (int64_t i = 0; side && i < b->shape[0]; i++) {
        CHECK(((uint8_t *)side->data)[i] == (scored[i] == '1'), "'%s', row %d", letters, (int)i);
    }
    fake_block_unref(&c->h.host, b);
}

MBS_TEST(bases, has_the_ids_of_caduceus) {
    coding c;
    coding_start(&c, (const char *const[]){"vocab", "caduceus", NULL});
    coding_open(&c);
    check_ids(&c, "ACGTNacgtnUu", (const int32_t[]){7, 8, 9, 10, 11, 7, 8, 9, 10, 11, 10, 10}, "111101111011");
    check_ids(&c, "ACGTu", (const int32_t[]){7, 8, 9, 10, 10}, NULL);
    check_ids(&c, "RYSWKMBDHVryswkmbdhv", (const int32_t[]){6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6},
              "00000000000000000000");
    check_ids(&c, "", NULL, NULL);
    const mbs_vocab *v = vt()->vocab(c.self);
    static const char *const tokens[] = {"[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]",
                                         "[UNK]", "A",     "C",     "G",      "T",     "N"};
    static const int32_t complement[] = {0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11};
    CHECK_INT(v->size, 12);
    for (int i = 0; i < 12; i++) {
        CHECK_STR(v->tokens[i], tokens[i]);
        CHECK_INT(v->complement[i], complement[i]);
        CHECK_INT(v->decodable[i], i >= 7 && i <= 10);
    }
    CHECK_STR(v->name, "caduceus");
    CHECK_STR(v->unit, "base");
    CHECK(v->unk == 6 && v->bos == 2 && v->eos == 1 && v->mask == 3);
    coding_end(&c);
}

MBS_TEST(bases, has_the_ids_of_songlab) {
    coding c;
    coding_start(&c, (const char *const[]){"vocab", "songlab", NULL});
    coding_open(&c);
    check_ids(&c, "ACGTUacgtun", (const int32_t[]){3, 4, 5, 6, 6, 3, 4, 5, 6, 6, 2}, "11111111110");
    const mbs_vocab *v = vt()->vocab(c.self);
    static const int32_t complement[] = {0, 1, 2, 6, 5, 4, 3};
    CHECK_INT(v->size, 7);
    for (int i = 0; i < 7; i++) {
        CHECK_INT(v->complement[i], complement[i]);
        CHECK_INT(v->decodable[i], i >= 3);
    }
    CHECK(v->unk == 2 && v->bos == -1 && v->eos == -1 && v->mask == 1);
    coding_end(&c);
}

/* The vocabulary of share/models/ecoli-ref: no N, and four ids of padding in config.json. */
static const char ecoli_vocab[] = "[CLS]\n[SEP]\n[BOS]\n[MASK]\n[PAD]\n[RESERVED]\n[UNK]\nA\nC\nG\nT\n[UNUSED]\n";

MBS_TEST(bases, takes_what_the_model_folder_says) {
    coding c;
    coding_start(&c, (const char *const[]){NULL});
    fake_model(&c.h, "vocab.txt", ecoli_vocab);
    fake_model(&c.h, "config.json",
               "{\"a\": [1, {\"complement_map\": {\"7\": 7}}], \"complement_map\": {\"7\": 10, \"8\": 9, \"9\": 8, "
               "\"10\": 7, \"11\": 11, \"15\": 15}, \"z\": null}");
    coding_open(&c);
    CHECK(c.status == MBS_OK, "%s", c.h.why);
    check_ids(&c, "ACGTN", (const int32_t[]){7, 8, 9, 10, 6}, "11110");
    CHECK_STR(vt()->vocab(c.self)->name, "vocab.txt");
    CHECK_INT(vt()->vocab(c.self)->complement[7], 10);
    coding_end(&c);

    coding_start(&c, (const char *const[]){NULL});
    fake_model(&c.h, "tokenizer.json",
               "{\"version\": \"1.0\", \"model\": {\"type\": \"WordLevel\", \"vocab\": {\"[PAD]\": 0, \"[MASK]\": 1, "
               "\"\\u0061\": 3, \"[UNK]\": 2, \"t\":6,\"c\" : 4, \"g\": 5}}}");
    coding_open(&c);
    CHECK(c.status == MBS_OK, "%s", c.h.why);
    check_ids(&c, "ACGTN", (const int32_t[]){3, 4, 5, 6, 2}, "11110");
    CHECK_STR(vt()->vocab(c.self)->name, "tokenizer.json");
    coding_end(&c);

    coding_start(&c, (const char *const[]){NULL}); /* plant-dnamamba's order */
    fake_model(&c.h, "vocab.json",
               "{\"<unk>\":0,\"<pad>\":1,\"<mask>\":2,\"<cls>\":3,\"A\":4,\"T\":5,\"C\":6,\"G\":7,\"N\":8,\"<eos>\":9,"
               "\"<bos>\":10}");
    coding_open(&c);
    CHECK(c.status == MBS_OK, "%s", c.h.why);
    check_ids(&c, "ACGTNR", (const int32_t[]){4, 6, 7, 5, 8, 0}, "111100");
    CHECK_INT(vt()->vocab(c.self)->complement[4], 5);
    CHECK_INT(vt()->vocab(c.self)->bos, 10);
    coding_end(&c);

    coding_start(&c, (const char *const[]){NULL}); /* nothing there */
    coding_open(&c);
    CHECK_STR(vt()->vocab(c.self)->name, "caduceus");
    coding_end(&c);
}

MBS_TEST(bases, refuses_a_folder_that_contradicts_itself) {
    static const struct {
        const char *name, *text, *why;
    } bad[] = {
        {"config.json", "{\"complement_map\": {\"3\": 6, \"6\": 3, \"4\": 5, \"5\": 4}}",
         "config.json: complement_map does not pair A with T and C with G of vocabulary caduceus"},
        {"config.json", "{\"complement_map\": {\"7\": 10, \"10\": 8}}",
         "config.json: complement_map takes 7 to 10, and 10 to 8: not back"},
        {"config.json", "{\"complement_map\": {\"7\": \"x\"}}", "config.json: complement_map is not a map of ids"},
        {"config.json", "{\"complement_map\": {\"7\": 4000000000}}", "config.json: complement_map is not a map of ids"},
        {"vocab.txt", "A\nC\nT\n", "vocab.txt: has no token for the letter G"},
        {"vocab.txt", "A\n\nC\n", "vocab.txt:2: an empty token"},
        {"vocab.json", "{\"A\": -1}", "vocab.json: an id that is not 0 to 65535"},
        {"vocab.json", "{\"AC\": 0, \"GT\": 1}", "vocab.json: has no token for the letter A"},
        {"vocab.txt", "", "vocab.txt of the model's folder: empty"},
        {"vocab.json", "[\"A\"]", "vocab.json of the model's folder, line 1: damaged: no JSON from here"},
        {"vocab.json", "{\"A\": 0, \"C\": 1,\n\"G\": 2, \"T\"",
         "vocab.json of the model's folder, line 2: damaged: it ends before its JSON does"},
        {"tokenizer.json", "{\"model\": {\"vocab\": {\"A\": 0, \"C\": 1, \"G\": 2, \"T\": 3}}",
         "tokenizer.json of the model's folder, line 1: damaged: it ends before its JSON does"},
        {"tokenizer.json", "{\"model\": {\"vocab\": {\"A\": 0, \"C\": 1, \"G\": 2, \"T\": 3}}} }",
         "tokenizer.json of the model's folder, line 1: damaged: no JSON from here"},
        {"tokenizer_config.json", "",
         "tokenizer_config.json of the model's folder, line 1: damaged: it ends before its JSON does"},
        {"tokenizer_config.json", "{\"a\": 1.e5}",
         "tokenizer_config.json of the model's folder, line 1: damaged: no JSON from here"},
        {"tokenizer_config.json", "{\"a\": \"\\x\"}",
         "tokenizer_config.json of the model's folder, line 1: damaged: no JSON from here"},
        {"tokenizer_config.json", "{\"a\": [1, {\"b\": nul}]}",
         "tokenizer_config.json of the model's folder, line 1: damaged: no JSON from here"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        coding c;
        coding_start(&c, (const char *const[]){NULL});
        fake_model(&c.h, bad[i].name, bad[i].text);
        coding_open(&c);
        CHECK_INT(c.status, i == 0 ? MBS_ERR_CONFIG : MBS_ERR_DATA); /* the first may be a vocabulary told wrong */
        CHECK_STR(c.h.why, bad[i].why);
        coding_end(&c);
    }
}

/* "before|after" of a folder's tokenizer_config.json. */
MBS_TEST(bases, tells_the_tokens_around_a_record) {
    static const struct {
        const char *text, *special, *around;
    } cases[] = {
        {"{\"add_bos_token\": true, \"bos_token\": \"[BOS]\"}", "auto", "2|"},
        {"{\"x\": [1], \"add_eos_token\" : true, \"eos_token\": {\"content\": \"[SEP]\"}}", "auto", "|1"},
        {"{\"add_bos_token\": true, \"bos_token\": \"[BOS]\"}", "none", "|"},
        {"{\"add_bos_token\": false, \"add_eos_token\": null}", "auto", "|"},
        {"{\"tokenizer_class\": \"CaduceusTokenizer\", \"add_bos_token\": true}", "auto", "|1"},
        {"{\"tokenizer_class\": \"HyenaDNATokenizer\"}", "auto", "|1"},
        {"{\"tokenizer_class\": \"CharacterTokenizer\"}", "auto", "0|1"},
        {"{\"tokenizer_class\": \"Caduceus\"}", "auto", "|"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        coding c;
        char got[32] = "";
        size_t n = 0;
        coding_start(&c, (const char *const[]){"special_tokens", cases[i].special, NULL});
        fake_model(&c.h, "tokenizer_config.json", cases[i].text);
        coding_open(&c);
        CHECK(c.status == MBS_OK, "%s", c.h.why);
        const mbs_vocab *v = vt()->vocab(c.self);
        for (int32_t k = 0; k < v->n_before; k++) {
            n += (size_t)snprintf(got + n, sizeof got - n, "%d", v->before[k]);
        }
        n += (size_t)snprintf(got + n, sizeof got - n, "|");
        for (int32_t k = 0; k < v->n_after; k++) {
            n += (size_t)snprintf(got + n, sizeof got - n, "%d", v->after[k]);
        }
        CHECK_STR(got, cases[i].around);
        coding_end(&c);
    }
    coding c;
    coding_start(&c, (const char *const[]){NULL});
    fake_model(&c.h, "tokenizer_config.json", "{\"add_bos_token\": true, \"bos_token\": \"<s>\"}");
    coding_open(&c);
    CHECK_INT(c.status, MBS_ERR_CONFIG);
    CHECK_STR(c.h.why, "tokenizer_config.json puts <s> around a record, which the vocabulary 'caduceus' does not have");
    coding_end(&c);
}

MBS_TEST(bases, reads_a_vocabulary_from_a_file) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("v.txt", "g\r\nt\r\n[UNK]\r\nR\r\na\r\nc\r\n\r\n");
    coding c;
    coding_start(&c, (const char *const[]){"vocab", "v.txt", NULL});
    coding_open(&c);
    CHECK(c.status == MBS_OK, "%s", c.h.why);
    check_ids(&c, "ACGTRrNY", (const int32_t[]){4, 5, 0, 1, 3, 3, 2, 2}, "11110000");
    CHECK_STR(vt()->vocab(c.self)->name, "v.txt");
    CHECK_INT(vt()->vocab(c.self)->complement[3], 3); /* Y, its partner, is no token */
    coding_end(&c);

    coding_start(&c, (const char *const[]){"vocab", "none.txt", NULL});
    coding_open(&c);
    CHECK_INT(c.status, MBS_ERR_NOINPUT);
    CHECK_STR(c.h.why, "none.txt: cannot be opened: No such file or directory");
    CHECK_STR(c.h.param, "vocab");
    coding_end(&c);

    test_tmp_write("empty.txt", "");
    coding_start(&c, (const char *const[]){"vocab", "empty.txt", NULL});
    coding_open(&c);
    CHECK_INT(c.status, MBS_ERR_DATA);
    CHECK_STR(c.h.why, "empty.txt: empty file");
    coding_end(&c);
    test_tmp_leave(dir);
}

MBS_TEST(bases, follows_the_policy_and_reports_it_once) {
    coding c;
    coding_start(&c, (const char *const[]){"iupac", "skip", NULL});
    fake_model(&c.h, "vocab.txt", ecoli_vocab);
    coding_open(&c);
    check_ids(&c, "ANGRT", (const int32_t[]){7, -1, 9, -1, 10}, "10101");
    /* two blocks of one record; 98 and 99 are context and in no count */
    fake_block_unref(&c.h.host, encode(&c, "NNN", 98, MBS_SEQ_START));
    fake_block_unref(&c.h.host, encode(&c, "AN", 101, MBS_SEQ_END));
    fake_block_unref(&c.h.host, encode(&c, "NN", 98, MBS_SEQ_START | MBS_SEQ_END));
    fake_block_unref(&c.h.host, encode(&c, "A", 100, MBS_SEQ_START | MBS_SEQ_END));
    CHECK_STR(c.h.log, "");
    CHECK_INT(vt()->close(c.self), MBS_OK);
    CHECK_STR(c.h.log, "4 letters other than ACGT in 2 records (policy skip)\n");
    c.status = MBS_ERR_DATA; /* closed already */
    coding_end(&c);

    coding_start(&c, (const char *const[]){"iupac", "error", "vocab", "caduceus", NULL});
    coding_open(&c);
    check_ids(&c, "N", (const int32_t[]){11}, "0"); /* a letter that the vocabulary has is not for the policy */
    CHECK(!encode(&c, "ACR", 100, 0));
    CHECK_INT(c.status, MBS_ERR_DATA);
    CHECK_STR(c.h.why, "record 'chr1', position 103: the letter R, and iupac is error");
    CHECK_STR(c.h.param, "iupac");
    coding_end(&c);

    coding_start(&c, (const char *const[]){NULL});
    fake_model(&c.h, "vocab.txt", "A\nC\nG\nT\n");
    coding_open(&c);
    check_ids(&c, "ACGT", (const int32_t[]){0, 1, 2, 3}, NULL);
    CHECK(!encode(&c, "N", 100, 0));
    CHECK_STR(c.h.why, "record 'chr1', position 101: the letter N, and the vocabulary has no [UNK]");
    coding_end(&c);
}

static const char what_bases_are[] =
    "bases are A, C, G, T, U, N and the IUPAC letters; take gaps, stops and proteins out of the input";

MBS_TEST(bases, refuses_what_is_no_base) {
    static const struct {
        const char *letters, *why, *hint;
    } bad[] = {
        {"AC1", "record 'chr1', position 103: '1' (0x31) is not a base", ""},
        {"*", "record 'chr1', position 101: '*' (0x2a) is not a base", ""},
        {"A-", "record 'chr1', position 102: '-' (0x2d) is not a base", ""},
        {"A.", "record 'chr1', position 102: '.' (0x2e) is not a base", ""},
        {"AX", "record 'chr1', position 102: 'X' (0x58) is not a base", ""},
        {"A\xc3", "record 'chr1', position 102: the byte 0xc3 is not a base", ""},
        {"A>b", "record 'chr1', position 102: '>' (0x3e) is not a base",
         "a line break is missing in front of a header"},
    };
    static const char *const policies[] = {"unk", "skip", "error"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) * 3; i++) {
        coding c;
        coding_start(&c, (const char *const[]){"iupac", policies[i % 3], NULL});
        coding_open(&c);
        CHECK(!encode(&c, bad[i / 3].letters, 100, 0));
        CHECK_INT(c.status, MBS_ERR_DATA);
        CHECK_STR(c.h.why, bad[i / 3].why);
        CHECK_STR(c.h.hint, *bad[i / 3].hint ? bad[i / 3].hint : what_bases_are);
        coding_end(&c);
    }
}

MBS_TEST(bases, every_byte_is_an_id_or_refused) {
    coding c;
    coding_start(&c, (const char *const[]){"vocab", "caduceus", NULL});
    coding_open(&c);
    int taken = 0;
    for (int byte = 1; byte < 256; byte++) {
        char text[2] = {(char)byte, '\0'};
        mbs_block *b = encode(&c, text, 100, MBS_SEQ_START);
        CHECK((b != NULL) == (strchr("ACGTUNRYSWKMBDHVacgtunryswkmbdhv", byte) != NULL), "byte %d", byte);
        taken += b != NULL;
        fake_block_unref(&c.h.host, b);
    }
    CHECK_INT(taken, 32);
    coding_end(&c);
}

MBS_TEST(bases, marks_lower_case_and_keeps_other_companions) {
    coding c;
    coding_start(&c, (const char *const[]){"soft_mask", "mask", NULL});
    coding_open(&c);
    int64_t shape[1] = {4};
    mbs_block *in = fake_block_new(&c.h.host, "bases/u8", MBS_U8, 1, shape);
    memcpy(in->data, "AcnT", 4);
    memcpy(fake_block_side(&c.h.host, in, "quality", MBS_U8, 1), "\x01\x02\x03\x04", 4);
    in->record = &chr;
    mbs_block *out = NULL;
    CHECK_INT(vt()->encode(c.self, in, &out), MBS_OK);
    CHECK_INT(out->n_sides, 3);
    CHECK(memcmp(fake_side(out, "mask")->data, "\0\1\1\0", 4) == 0);
    CHECK(memcmp(fake_side(out, "scored")->data, "\1\1\0\1", 4) == 0);
    CHECK(memcmp(fake_side(out, "quality")->data, "\1\2\3\4", 4) == 0);
    fake_block_unref(&c.h.host, in);
    fake_block_unref(&c.h.host, out);
    coding_end(&c);
}

static mbs_block *tokens(coding *c, const int32_t *ids, int64_t n) {
    int64_t shape[1] = {n};
    mbs_block *b = fake_block_new(&c->h.host, "tokens/i32", MBS_I32, 1, shape);
    memcpy(b->data, ids, (size_t)n * sizeof(*ids));
    b->record = &chr;
    b->start = 100;
    b->end = 100 + n;
    b->flags = MBS_SEQ_END;
    return b;
}

MBS_TEST(bases, decodes_bases_and_nothing_else) {
    coding c;
    coding_start(&c, (const char *const[]){"vocab", "songlab", NULL});
    coding_open(&c);
    mbs_block *in = tokens(&c, (const int32_t[]){3, 4, 5, 6}, 4);
    mbs_block *out = NULL;
    CHECK_INT(vt()->decode(c.self, in, &out), MBS_OK);
    CHECK_STR(out->type, "bases/u8");
    CHECK(memcmp(out->data, "ACGT", 4) == 0);
    CHECK_INT(out->flags, MBS_SEQ_END);
    CHECK_INT(out->start, 100);
    fake_block_unref(&c.h.host, in);
    fake_block_unref(&c.h.host, out);
    static const struct {
        int32_t id;
        const char *why;
    } bad[] = {{2, "record 'chr1', position 102: token 2 ([UNK]) is not a base"},
               {7, "record 'chr1', position 102: token 7 (not of the vocabulary) is not a base"},
               {-1, "record 'chr1', position 102: token -1 (not of the vocabulary) is not a base"}};
    for (int i = 0; i < 3; i++) {
        fake_clear(&c.h);
        in = tokens(&c, (const int32_t[]){3, bad[i].id}, 2);
        CHECK_INT(vt()->decode(c.self, in, &out), MBS_ERR_DATA);
        CHECK(!out);
        CHECK_STR(c.h.why, bad[i].why);
        fake_block_unref(&c.h.host, in);
    }
    coding_end(&c);
}

static mbs_status keep(void *sink, const void *bytes, size_t n) {
    memcpy(sink, bytes, n);
    return MBS_OK;
}

MBS_TEST(bases, carries_its_counts_over_a_stop) {
    unsigned char place[64];
    coding c;
    coding_start(&c, (const char *const[]){NULL});
    coding_open(&c);
    fake_block_unref(&c.h.host, encode(&c, "ANN", 100, MBS_SEQ_START));
    const mbs_ext_checkpoint *x = vt()->get_extension(c.self, MBS_EXT_CHECKPOINT);
    CHECK_INT(x->save(c.self, keep, place), MBS_OK);
    CHECK(vt()->get_extension(c.self, "mambaseq.checkpoint/2") == NULL);
    CHECK(vt()->get_extension(NULL, MBS_EXT_CHECKPOINT) == NULL);
    coding_end(&c);

    coding_start(&c, (const char *const[]){NULL});
    CHECK_INT(vt()->create(&c.h.host, fake_params(&c.h), &c.self), MBS_OK);
    CHECK_INT(x->restore(c.self, place, 24), MBS_OK);
    CHECK_INT(vt()->open(c.self, NULL), MBS_OK);
    fake_block_unref(&c.h.host, encode(&c, "N", 103, MBS_SEQ_END));
    CHECK_INT(vt()->close(c.self), MBS_OK);
    CHECK_STR(c.h.log, "3 letters other than ACGT in 1 record (policy unk)\n");
    CHECK_INT(x->restore(c.self, place, 5), MBS_ERR_DATA);
    c.status = MBS_ERR_DATA;
    coding_end(&c);
}

MBS_TEST(bases, survives_every_failed_allocation) {
    for (long k = 1;; k++) {
        coding c;
        coding_start(&c, (const char *const[]){"soft_mask", "mask", NULL});
        fake_model(&c.h, "vocab.json", "{\"A\":0,\"C\":1,\"G\":2,\"T\":3,\"[UNK]\":4}");
        c.h.fail_at = k;
        coding_open(&c);
        if (c.status == MBS_OK && c.h.allocations < k) {
            int64_t shape[1] = {4};
            c.h.fail_at = 0;
            mbs_block *in = fake_block_new(&c.h.host, "bases/u8", MBS_U8, 1, shape);
            memcpy(in->data, "ACNT", 4);
            c.h.fail_at = k + 1;
            mbs_block *out = NULL;
            c.status = vt()->encode(c.self, in, &out);
            fake_block_unref(&c.h.host, out);
            fake_block_unref(&c.h.host, in);
        }
        CHECK(c.status == MBS_OK || (c.status == MBS_ERR_MEMORY && c.h.status == MBS_ERR_MEMORY),
              "allocation %ld: %d %s", k, (int)c.status, c.h.why);
        int done = c.status == MBS_OK && c.h.allocations < k;
        coding_end(&c);
        if (done) {
            break;
        }
        CHECK(k < 100);
    }
}

/* Tokenizer files are untrusted: whatever they hold, it is a vocabulary or an error. */
MBS_TEST(bases, no_json_harms) {
    static const char seed[] =
        "{\"model\": {\"vocab\": {\"[PAD]\": 0, \"\\u0041\": 1, \"C\": 2, \"G\": 3, \"T\\n\": 4}}, "
        "\"complement_map\": {\"1\": 4, \"2\": 3, \"x\": [1, 2.5e3, -7, true, null]}}";
    uint64_t state = 7;
    for (int i = 0; i < 3000; i++) {
        char text[sizeof(seed)];
        memcpy(text, seed, sizeof(seed));
        for (int k = (int)(kit_random(&state) % 6); k >= 0; k--) {
            text[kit_random(&state) % (sizeof(seed) - 1)] = "{}[]\",:\\u1\n\0A9-"[kit_random(&state) % 15];
        }
        coding c;
        coding_start(&c, (const char *const[]){NULL});
        fake_model(&c.h, i % 2 ? "tokenizer.json" : "vocab.json", text);
        fake_model(&c.h, "config.json", text);
        coding_open(&c);
        CHECK(c.status == MBS_OK || (c.status == MBS_ERR_DATA && c.h.status == MBS_ERR_DATA), "%d", (int)c.status);
        coding_end(&c);
    }
}
