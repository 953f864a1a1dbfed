#include "support/test.h"

#define ZOO_ID "good"
#include "base/buf.h"
#include "mambaseq/ext/inspect.h"
#include "plug/instance.h"
#include "zoo/zoo.h"

/* What was called, in order: "create open read ...". */
static char calls[256];

static void called(const char *name) {
    size_t len = strlen(calls);
    (void)snprintf(calls + len, sizeof calls - len, "%s%s", len ? " " : "", name);
}

static int fail_close; /* a spy's close fails */

static mbs_status spy_create(const mbs_host *host, const mbs_params *params, void **self) {
    called("create");
    return zoo_create(host, params, self);
}

static mbs_status spy_open(void *self, const mbs_stream_header **header) {
    called("open");
    return zoo_open(self, header);
}

static mbs_status spy_read(void *self, int64_t max_rows, mbs_block **out) {
    called("read");
    return zoo_read(self, max_rows, out);
}

static mbs_status spy_close(void *self) {
    zoo_reader *r = self;
    called("close");
    if (fail_close) {
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "checksum of the last block is wrong");
    }
    return MBS_OK;
}

static void spy_destroy(void *self) {
    called("destroy");
    zoo_destroy(self);
}

static mbs_status place_save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    const zoo_reader *r = self;
    mbs_status rc = put(sink, &r->record, sizeof r->record);
    return rc == MBS_OK ? put(sink, &r->at, sizeof r->at) : rc;
}

static mbs_status place_restore(void *self, const void *bytes, size_t n) {
    zoo_reader *r = self;
    called("restore");
    if (n != 16) {
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "the file became shorter");
    }
    memcpy(&r->record, bytes, 8);
    memcpy(&r->at, (const char *)bytes + 8, 8);
    return MBS_OK;
}

static mbs_status describe(const mbs_host *host, const char *path,
                           void (*put)(void *sink, const char *key, const char *value), void *sink) {
    if (strcmp(path, "zoo") != 0) {
        return host->fail(host, MBS_ERR_DATA, NULL, "'%s' is not of the zoo", path);
    }
    put(sink, "records", "2");
    return MBS_OK;
}

static const void *spy_extension(void *self, const char *id) {
    static const mbs_ext_checkpoint place = {sizeof place, 0, place_save, place_restore};
    static const mbs_ext_inspect inspect = {sizeof inspect, 0, describe};
    if (strcmp(id, MBS_EXT_CHECKPOINT) == 0 && self) {
        return &place;
    }
    return strcmp(id, MBS_EXT_INSPECT) == 0 ? &inspect : NULL;
}

static const mbs_reader_vt spy_vt = {
    .struct_size = sizeof spy_vt,
    .create = spy_create,
    .open = spy_open,
    .read = spy_read,
    .close = spy_close,
    .destroy = spy_destroy,
    .get_extension = spy_extension,
};
static const mbs_descriptor spy = ZOO_DESCRIPTOR(&spy_vt);

static mbs_instance *start(const mbs_descriptor *d) {
    mbs_err err;
    mbs_instance *i = NULL;
    mbs_err_clear(&err);
    calls[0] = '\0';
    CHECK(mbs_instance_new(d, NULL, NULL, "reader 'spy'", &i, &err) == MBS_OK, "%s", err.what);
    return i;
}

static void wrong_order(mbs_status rc, const mbs_err *err) {
    CHECK_INT(rc, MBS_ERR_INTERNAL);
    CHECK_STR(err->where, "reader 'spy'");
    CHECK(strstr(err->what, " is called while the reader is "), "%s", err->what);
}

MBS_TEST(instance, life_in_order) {
    mbs_instance *i = start(&spy);
    const mbs_stream_header *h = NULL;
    mbs_block *b = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_reader_open(i, &h, &err) == MBS_OK && h->n_records == 2);
    for (int k = 0; k < 2; k++) {
        CHECK(mbs_reader_read(i, 100, &b, &err) == MBS_OK);
        mbs_block_unref(b);
    }
    CHECK_INT(mbs_reader_read(i, 100, &b, &err), MBS_END);
    CHECK(mbs_instance_close(i, &err) == MBS_OK);
    mbs_instance_free(i);
    CHECK_STR(calls, "create open read read read close destroy");
    mbs_instance_free(NULL);
}

MBS_TEST(instance, calls_out_of_order_do_not_reach_the_plugin) {
    mbs_instance *i = start(&spy);
    const mbs_stream_header *h = NULL;
    mbs_block *b = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    wrong_order(mbs_reader_read(i, 1, &b, &err), &err);
    mbs_err_clear(&err);
    wrong_order(mbs_instance_close(i, &err), &err);
    mbs_err_clear(&err);
    wrong_order(mbs_writer_write(i, NULL, &err), &err);
    mbs_err_clear(&err);
    CHECK(mbs_reader_open(i, &h, &err) == MBS_OK);
    wrong_order(mbs_reader_open(i, &h, &err), &err);
    mbs_err_clear(&err);
    CHECK(mbs_instance_close(i, &err) == MBS_OK); /* a reader may be closed early */
    wrong_order(mbs_reader_read(i, 1, &b, &err), &err);
    mbs_instance_free(i);
    CHECK_STR(calls, "create open close destroy");
}

MBS_TEST(instance, a_failed_close_is_an_error_and_destroy_still_comes) {
    mbs_instance *i = start(&spy);
    const mbs_stream_header *h = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_reader_open(i, &h, &err) == MBS_OK);
    fail_close = 1;
    CHECK_INT(mbs_instance_close(i, &err), MBS_ERR_DATA);
    fail_close = 0;
    CHECK_STR(err.where, "reader 'spy'");
    CHECK_STR(err.what, "checksum of the last block is wrong");
    mbs_instance_free(i);
    CHECK_STR(calls, "create open close destroy");
}

/* The first error of a run wins, also over ours; and nobody has to pass an err. */
MBS_TEST(instance, errors_do_not_replace_each_other) {
    mbs_instance *i = start(&spy);
    mbs_block *b = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    mbs_fail(&err, MBS_ERR_IO, "first", "this one");
    CHECK_INT(mbs_reader_read(i, 1, &b, &err), MBS_ERR_INTERNAL);
    CHECK_STR(err.what, "this one");
    CHECK_INT(mbs_reader_read(i, 1, &b, NULL), MBS_ERR_INTERNAL);
    mbs_instance_free(i);
}

MBS_TEST(instance, a_place_is_saved_and_continued_from) {
    mbs_instance *i = start(&spy);
    const mbs_stream_header *h = NULL;
    mbs_block *b = NULL;
    mbs_buf place = MBS_BUF_INIT;
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_instance_can_checkpoint(i));
    CHECK(mbs_reader_open(i, &h, &err) == MBS_OK);
    CHECK(mbs_reader_read(i, 7, &b, &err) == MBS_OK); /* in the middle of a record */
    mbs_block_unref(b);
    mbs_buf_puts(&place, "front");
    CHECK(mbs_instance_save(i, &place, &err) == MBS_OK);
    CHECK(strncmp(place.data, "front", 5) == 0);
    mbs_instance_free(i);
    i = start(&spy);
    CHECK(mbs_instance_restore(i, place.data + 5, place.len - 5, &err) == MBS_OK, "%s", err.what);
    CHECK(mbs_reader_open(i, &h, &err) == MBS_OK);
    CHECK(mbs_reader_read(i, 100, &b, &err) == MBS_OK, "%s", err.what);
    CHECK_INT(b->start, 7);
    CHECK_INT(b->shape[0], 3);
    CHECK(!(b->flags & MBS_SEQ_START));
    mbs_block_unref(b);
    mbs_instance_free(i);
    CHECK_STR(calls, "create restore open read destroy");
    /* A place that the plugin refuses, and one that is no place. */
    i = start(&spy);
    CHECK_INT(mbs_instance_restore(i, place.data + 5, place.len - 6, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "the file became shorter");
    mbs_instance_free(i);
    i = start(&spy);
    mbs_err_clear(&err);
    CHECK_INT(mbs_instance_restore(i, "short", 5, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "the saved place is damaged");
    mbs_instance_free(i);
    mbs_buf_free(&place);
}

MBS_TEST(instance, without_the_extension_there_is_no_place) {
    static const mbs_reader_vt plain_vt = {.struct_size = sizeof plain_vt,
                                           .create = zoo_create,
                                           .open = zoo_open,
                                           .read = zoo_read,
                                           .close = zoo_close,
                                           .destroy = zoo_destroy};
    static const mbs_descriptor plain = ZOO_DESCRIPTOR(&plain_vt);
    mbs_instance *i = start(&plain);
    mbs_buf place = MBS_BUF_INIT;
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(!mbs_instance_can_checkpoint(i));
    CHECK_INT(mbs_instance_save(i, &place, &err), MBS_ERR_UNAVAILABLE);
    CHECK_INT(place.len, 0);
    mbs_instance_free(i);
    mbs_err_clear(&err);
    CHECK_INT(mbs_descriptor_describe(&plain, "zoo", NULL, NULL, &err), MBS_ERR_UNAVAILABLE);
}

static void put_fact(void *sink, const char *key, const char *value) {
    mbs_buf_printf(sink, "%s=%s;", key, value);
}

MBS_TEST(instance, a_library_describes_a_file_without_an_instance) {
    mbs_buf facts = MBS_BUF_INIT;
    mbs_err err;
    mbs_err_clear(&err);
    calls[0] = '\0';
    CHECK(mbs_descriptor_describe(&spy, "zoo", put_fact, &facts, &err) == MBS_OK, "%s", err.what);
    CHECK_STR(mbs_buf_str(&facts), "records=2;");
    CHECK_INT(mbs_descriptor_describe(&spy, "x.bam", put_fact, &facts, &err), MBS_ERR_DATA);
    CHECK_STR(err.where, "reader 'good'");
    CHECK_STR(err.what, "'x.bam' is not of the zoo");
    CHECK_STR(calls, "");
    mbs_buf_free(&facts);
}

/* A codec whose answers a test writes down. */
static struct {
    int give, dtype, with_record, vocab;
    uint32_t flags;
    int64_t start, end;
    int32_t id;
    mbs_status drain;
    const char *type;
} answer;

static const mbs_host *codec_host;
static int codec_self;

static mbs_status codec_create(const mbs_host *host, const mbs_params *params, void **self) {
    (void)params;
    codec_host = host;
    *self = &codec_self;
    return MBS_OK;
}

static mbs_status codec_open(void *self, const mbs_stream_header *in) {
    (void)self;
    (void)in;
    return MBS_OK;
}

static const char *const token_texts[] = {"A", "C"};
static const uint8_t token_flags[] = {1, 1};
static mbs_vocab vocab = {.struct_size = sizeof vocab,
                          .size = 2,
                          .name = "two",
                          .tokens = token_texts,
                          .decodable = token_flags,
                          .unk = -1,
                          .bos = -1,
                          .eos = -1,
                          .mask = -1,
                          .unit = "base"};

static const mbs_vocab *codec_vocab(void *self) {
    (void)self;
    return answer.vocab ? &vocab : NULL;
}

static mbs_status codec_give(void *self, const mbs_block *in, mbs_block **out) {
    (void)self;
    if (answer.give) {
        int64_t rows = answer.end - answer.start;
        mbs_block *b = codec_host->block_new(codec_host, answer.type, answer.dtype, 1, &rows);
        for (int64_t k = 0; answer.dtype == MBS_I32 && k < rows; k++) {
            ((int32_t *)b->data)[k] = k == rows - 1 ? answer.id : -1;
        }
        b->record = answer.with_record ? in->record : NULL;
        b->flags = answer.flags;
        b->start = answer.start;
        b->end = answer.end;
        *out = b;
    }
    return MBS_OK;
}

static mbs_status codec_drain(void *self, mbs_block **out) {
    (void)self;
    (void)out;
    return answer.drain;
}

static mbs_status codec_close(void *self) {
    (void)self;
    return MBS_OK;
}

static void codec_destroy(void *self) {
    (void)self;
}

static const mbs_codec_vt codec_vt = {.struct_size = sizeof codec_vt,
                                      .create = codec_create,
                                      .open = codec_open,
                                      .vocab = codec_vocab,
                                      .encode = codec_give,
                                      .decode = codec_give,
                                      .drain = codec_drain,
                                      .close = codec_close,
                                      .destroy = codec_destroy};
static const mbs_descriptor codec = {.struct_size = sizeof codec,
                                     .kind = MBS_KIND_CODEC,
                                     .id = "two",
                                     .version = "1",
                                     .licence = "MIT",
                                     .summary = "s",
                                     .accepts = "bases/u8",
                                     .produces = "tokens/i32",
                                     .decodes = "bases/u8",
                                     .vt = &codec_vt};
static const mbs_record rec = {.struct_size = sizeof rec, .strand = '+', .name = "chr1", .length = -1};

static void right_answer(uint32_t flags, int64_t start, int64_t end) {
    answer.give = answer.with_record = answer.vocab = 1;
    answer.dtype = MBS_I32;
    answer.type = "tokens/i32";
    answer.flags = flags;
    answer.start = start;
    answer.end = end;
    answer.id = 1;
    answer.drain = MBS_END;
}

static mbs_instance *start_codec(void) {
    mbs_instance *i = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    right_answer(MBS_SEQ_START, 0, 4);
    CHECK(mbs_instance_new(&codec, NULL, NULL, "codec 'two'", &i, &err) == MBS_OK);
    CHECK(mbs_codec_open(i, &zoo_header, &err) == MBS_OK, "%s", err.what);
    CHECK(mbs_codec_vocab(i) == &vocab);
    return i;
}

static mbs_status encode(mbs_instance *i, uint32_t flags, int64_t start, int64_t end, mbs_err *err) {
    int64_t rows = end - start;
    mbs_block *in = mbs_block_new("bases/u8", MBS_U8, 1, &rows);
    mbs_block *out = NULL;
    in->record = &rec;
    in->flags = flags;
    in->start = start;
    in->end = end;
    mbs_err_clear(err);
    mbs_status rc = mbs_codec_encode(i, in, &out, err);
    CHECK(rc == MBS_OK || !out);
    mbs_block_unref(out);
    mbs_block_unref(in);
    return rc;
}

MBS_TEST(codec, right_answers_pass) {
    mbs_instance *i = start_codec();
    mbs_block *out = NULL;
    mbs_err err;
    CHECK(encode(i, MBS_SEQ_START, 0, 4, &err) == MBS_OK, "%s", err.what);
    answer.give = 0; /* nothing ready yet */
    CHECK(encode(i, 0, 4, 5, &err) == MBS_OK, "%s", err.what);
    right_answer(MBS_SEQ_END, 4, 8);
    CHECK(encode(i, MBS_SEQ_END, 5, 8, &err) == MBS_OK, "%s", err.what);
    right_answer(MBS_SEQ_START | MBS_SEQ_END, 0, 0); /* an empty record */
    CHECK(encode(i, MBS_SEQ_START | MBS_SEQ_END, 0, 0, &err) == MBS_OK, "%s", err.what);
    CHECK_INT(mbs_codec_drain(i, &out, &err), MBS_END);
    CHECK_INT(mbs_codec_drain(i, &out, &err), MBS_END);
    CHECK(mbs_instance_close(i, &err) == MBS_OK);
    mbs_instance_free(i);
}

static void wrong(const char *words, uint32_t flags) {
    mbs_err err;
    mbs_instance *i = NULL;
    mbs_err_clear(&err);
    answer.vocab = 1;
    CHECK(mbs_instance_new(&codec, NULL, NULL, "codec 'two'", &i, &err) == MBS_OK);
    CHECK(mbs_codec_open(i, &zoo_header, &err) == MBS_OK);
    CHECK_INT(encode(i, flags, 0, 4, &err), MBS_ERR_INTERNAL);
    CHECK_STR(err.where, "codec 'two'");
    CHECK(strncmp(err.what, "plugin 'two' 1: encode ", 23) == 0 && strstr(err.what, words), "\"%s\" is not in \"%s\"",
          words, err.what);
    mbs_instance_free(i);
}

MBS_TEST(codec, wrong_answers_are_named) {
    right_answer(MBS_SEQ_START, 0, 4);
    wrong("was given SEQ_END and did not set it", MBS_SEQ_START | MBS_SEQ_END);
    right_answer(MBS_SEQ_START | MBS_SEQ_END, 0, 4);
    wrong("set SEQ_END before its input did", MBS_SEQ_START);
    right_answer(0, 0, 4);
    wrong("without SEQ_START", MBS_SEQ_START);
    right_answer(MBS_SEQ_START, 0, 5);
    wrong("from 0 to 5, must lie between 0 and 4", MBS_SEQ_START);
    right_answer(MBS_SEQ_START, 0, 4);
    answer.id = 2;
    wrong("gave token 2 at row 3, its vocabulary has 2, record 1 'chr1'", MBS_SEQ_START);
    right_answer(MBS_SEQ_START, 0, 4);
    answer.with_record = 0;
    wrong("without record", MBS_SEQ_START);
    right_answer(MBS_SEQ_START, 0, 4);
    answer.type = "bases/u8";
    answer.dtype = MBS_U8;
    wrong("of type 'bases/u8', its descriptor says 'tokens/i32'", MBS_SEQ_START);
    right_answer(MBS_SEQ_START, 0, 4);
    answer.give = 0;
    wrong("did not end the record", MBS_SEQ_START | MBS_SEQ_END);
}

MBS_TEST(codec, decode_answers_its_own_type) {
    mbs_instance *i = start_codec();
    int64_t rows = 4;
    mbs_block *tokens = mbs_block_new("tokens/i32", MBS_I32, 1, &rows);
    mbs_block *out = NULL;
    mbs_err err;
    mbs_err_clear(&err);
    tokens->record = &rec;
    right_answer(MBS_SEQ_START, 0, 4);
    answer.type = "bases/u8";
    answer.dtype = MBS_U8;
    CHECK(mbs_codec_decode(i, tokens, &out, &err) == MBS_OK, "%s", err.what);
    CHECK_STR(out->type, "bases/u8");
    mbs_block_unref(out);
    right_answer(MBS_SEQ_START, 0, 4);
    CHECK_INT(mbs_codec_decode(i, tokens, &out, &err), MBS_ERR_INTERNAL);
    CHECK(strstr(err.what, "decode gave a block of type 'tokens/i32', its descriptor says 'bases/u8'"), "%s", err.what);
    mbs_block_unref(tokens);
    mbs_instance_free(i);
}

MBS_TEST(codec, a_bad_vocabulary_is_found_at_open) {
    static const int32_t outside[] = {1, 2};
    mbs_err err;
    for (int k = 0; k < 4; k++) {
        mbs_vocab good = vocab;
        mbs_instance *i = NULL;
        mbs_err_clear(&err);
        right_answer(0, 0, 0);
        answer.vocab = k != 0;
        vocab.mask = k == 1 ? 2 : -1;
        vocab.complement = k == 2 ? outside : NULL;
        vocab.name = k == 3 ? NULL : "two";
        CHECK(mbs_instance_new(&codec, NULL, NULL, "codec 'two'", &i, &err) == MBS_OK);
        CHECK(mbs_codec_open(i, &zoo_header, &err) == MBS_ERR_INTERNAL, "%d was taken", k);
        CHECK(strstr(err.what, "open gave "), "%s", err.what);
        mbs_instance_free(i);
        vocab = good;
    }
}
