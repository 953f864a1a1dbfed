/* Both plugins as the program uses them: built libraries, the real host with its checks, the shipped genome and model.
 */
#include <unistd.h>

#include "base/buf.h"
#include "plug/instance.h"
#include "plug/params.h"
#include "plug/registry.h"
#include "support/test.h"
#include "support/tmp.h"

typedef struct stage {
    mbs_params *params;
    mbs_instance *instance;
} stage;

static mbs_status model_file(void *ctx, const char *name, const char **data, size_t *bytes) {
    (void)ctx;
    static char text[4096];
    char path[512];
    snprintf(path, sizeof(path), "%s/share/models/ecoli-ref/%s", MBS_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        return MBS_ERR_NOINPUT;
    }
    *bytes = fread(text, 1, sizeof(text) - 1, f);
    text[*bytes] = '\0';
    *data = text;
    fclose(f);
    return MBS_OK;
}

static mbs_registry *registry(void) {
    mbs_err err;
    mbs_err_clear(&err);
    const char *const dirs[] = {GENOMICS_PLUGIN_DIR};
    mbs_registry *r = mbs_registry_new(dirs, 1, &err);
    CHECK(r != NULL, "%s", err.what);
    return r;
}

static stage stage_new(mbs_registry *r, int32_t kind, const char *id, const char *const *params, int with_model) {
    mbs_err err;
    mbs_err_clear(&err);
    const mbs_descriptor *d = NULL;
    CHECK(mbs_registry_find(r, kind, id, &d, &err) == MBS_OK, "%s", err.what);
    stage s = {mbs_params_new(d->params, d->n_params), NULL};
    for (; params[0]; params += 2) {
        mbs_buf why = MBS_BUF_INIT;
        CHECK(mbs_params_set(s.params, params[0], &params[1], 1, 0, &why) == MBS_OK, "%s", mbs_buf_str(&why));
        mbs_buf_free(&why);
    }
    mbs_host_env env = {.model_file = with_model ? model_file : NULL};
    CHECK(mbs_instance_new(d, s.params, &env, id, &s.instance, &err) == MBS_OK, "%s", err.what);
    return s;
}

static void stage_free(stage *s) {
    mbs_instance_free(s->instance);
    mbs_params_free(s->params);
}

typedef struct chain {
    stage reader, codec;
    const mbs_stream_header *header;
} chain;

static void chain_open(chain *c, mbs_registry *r, const char *const *params, const mbs_buf *reader,
                       const mbs_buf *codec) {
    mbs_err err;
    mbs_err_clear(&err);
    c->reader = stage_new(r, MBS_KIND_READER, "fasta", params, 0);
    c->codec = stage_new(r, MBS_KIND_CODEC, "bases", (const char *const[]){NULL}, 1);
    if (reader) {
        CHECK(mbs_instance_restore(c->reader.instance, reader->data, reader->len, &err) == MBS_OK, "%s", err.what);
        CHECK(mbs_instance_restore(c->codec.instance, codec->data, codec->len, &err) == MBS_OK, "%s", err.what);
    }
    CHECK(mbs_reader_open(c->reader.instance, &c->header, &err) == MBS_OK, "%s", err.what);
    CHECK(mbs_codec_open(c->codec.instance, c->header, &err) == MBS_OK, "%s", err.what);
}

static void chain_close(chain *c) {
    stage_free(&c->reader);
    stage_free(&c->codec);
}

/* Appends the next tokens; 0 at the end. */
static int chain_step(chain *c, int64_t rows, mbs_buf *ids) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_block *in = NULL;
    mbs_block *out = NULL;
    mbs_status st = mbs_reader_read(c->reader.instance, rows, &in, &err);
    CHECK(st >= 0, "%s", err.what);
    if (st == MBS_END) {
        return 0;
    }
    CHECK(mbs_codec_encode(c->codec.instance, in, &out, &err) == MBS_OK, "%s", err.what);
    mbs_buf_append(ids, out->data, (size_t)out->shape[0] * sizeof(int32_t));
    mbs_block_unref(in);
    mbs_block_unref(out);
    return 1;
}

#define HELDOUT MBS_SOURCE_DIR "/share/data/ecoli-heldout.fa.gz"

MBS_TEST(genomics_host, gives_the_tokens_of_the_shipped_genome) {
    mbs_registry *r = registry();
    chain c;
    chain_open(&c, r, (const char *const[]){"path", HELDOUT, NULL}, NULL, NULL);
    CHECK_INT(c.header->n_units, 239675);
    mbs_buf ids = MBS_BUF_INIT;
    while (chain_step(&c, 10000, &ids)) {
    }
    CHECK_INT(ids.len, 239675 * sizeof(int32_t));
    static const int32_t first[] = {8, 7, 10, 7, 10, 8, 8, 10, 8, 10}; /* CATATCCTCT */
    CHECK(memcmp(ids.data, first, sizeof(first)) == 0);
    int64_t count[16] = {0};
    for (int i = 0; i < 239675; i++) {
        int32_t id;
        memcpy(&id, (const char *)ids.data + (size_t)i * sizeof(id), sizeof(id));
        count[id]++;
    }
    CHECK_INT(count[7] + count[8] + count[9] + count[10], 239675);
    const mbs_vocab *v = mbs_codec_vocab(c.codec.instance);
    CHECK_STR(v->name, "vocab.txt");
    CHECK_INT(v->complement[7], 10);
    mbs_err err;
    mbs_err_clear(&err);
    CHECK_INT(mbs_instance_close(c.reader.instance, &err), MBS_OK);
    CHECK_INT(mbs_instance_close(c.codec.instance, &err), MBS_OK);
    chain_close(&c);
    mbs_buf_free(&ids);
    mbs_registry_free(r);
}

MBS_TEST(genomics_host, continues_inside_a_record) {
    mbs_registry *r = registry();
    const char *const params[] = {"path", HELDOUT, NULL};
    chain c;
    mbs_buf whole = MBS_BUF_INIT;
    chain_open(&c, r, params, NULL, NULL);
    while (chain_step(&c, 65536, &whole)) {
    }
    chain_close(&c);
    mbs_buf ids = MBS_BUF_INIT;
    chain_open(&c, r, params, NULL, NULL);
    CHECK(mbs_instance_can_checkpoint(c.reader.instance) && mbs_instance_can_checkpoint(c.codec.instance));
    for (int more = 1, i = 1; more; i++) {
        more = chain_step(&c, 1234, &ids);
        if (i % 40 == 0 && more) {
            mbs_err err;
            mbs_err_clear(&err);
            mbs_buf place[2] = {MBS_BUF_INIT, MBS_BUF_INIT};
            CHECK(mbs_instance_save(c.reader.instance, &place[0], &err) == MBS_OK, "%s", err.what);
            CHECK(mbs_instance_save(c.codec.instance, &place[1], &err) == MBS_OK, "%s", err.what);
            chain_close(&c);
            chain_open(&c, r, params, &place[0], &place[1]);
            mbs_buf_free(&place[0]);
            mbs_buf_free(&place[1]);
        }
    }
    CHECK(ids.len == whole.len && memcmp(ids.data, whole.data, ids.len) == 0);
    chain_close(&c);
    mbs_buf_free(&ids);
    mbs_buf_free(&whole);
    mbs_registry_free(r);
}

MBS_TEST(genomics_host, has_parameters_that_the_host_understands) {
    mbs_registry *r = registry();
    stage s = stage_new(
        r, MBS_KIND_READER, "fasta",
        (const char *const[]){"path", HELDOUT, "flank", "all", "regions", "NC_000913-heldout:1,001-1,003", NULL}, 0);
    mbs_err err;
    mbs_err_clear(&err);
    const mbs_stream_header *h = NULL;
    mbs_block *b = NULL;
    CHECK(mbs_reader_open(s.instance, &h, &err) == MBS_OK, "%s", err.what);
    CHECK_INT(mbs_reader_read(s.instance, 5000, &b, &err), MBS_OK);
    CHECK_INT(b->record->context, 1000);
    CHECK_INT(b->record->start, 1000);
    CHECK_INT(b->shape[0], 1003);
    mbs_block_unref(b);
    stage_free(&s);
    const mbs_descriptor *d = NULL;
    CHECK(mbs_registry_find(r, MBS_KIND_READER, "fasta", &d, &err) == MBS_OK);
    mbs_params *p = mbs_params_new(d->params, d->n_params);
    mbs_buf why = MBS_BUF_INIT;
    const char *text = "-3";
    CHECK(mbs_params_set(p, "flank", &text, 1, 0, &why) == MBS_ERR_CONFIG);
    CHECK_STR(mbs_params_missing(p), "path");
    mbs_buf_free(&why);
    mbs_params_free(p);
    mbs_registry_free(r);
}

/* The first message of the reader reaches the user as it is. */
MBS_TEST(genomics_host, hands_errors_on) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("x.fa", ">a\nAC\x1bGT\n");
    mbs_registry *r = registry();
    stage s = stage_new(r, MBS_KIND_READER, "fasta", (const char *const[]){"path", "x.fa", NULL}, 0);
    mbs_err err;
    mbs_err_clear(&err);
    const mbs_stream_header *h = NULL;
    mbs_block *b = NULL;
    CHECK(mbs_reader_open(s.instance, &h, &err) == MBS_OK, "%s", err.what);
    CHECK_INT(mbs_reader_read(s.instance, 10, &b, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "x.fa:2:3: the control byte 0x1b in a sequence line: record 'a' (number 1)"), "%s",
          err.what);
    stage_free(&s);
    mbs_registry_free(r);
    test_tmp_leave(dir);
}
