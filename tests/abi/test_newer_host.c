/*
 * A host of a later minor, whose structs have all grown at their tail, with plugins that were built with the headers of
 * 1.0: a reader, a codec and a writer do the same as ever, and nothing behind their own sizes is read. This file and
 * the library under it are compiled with the grown headers (grow.py).
 */
#include "support/test.h"

#include "plug/instance.h"
#include "plug/params.h"
#include "plug/registry.h"
#include "support/tmp.h"

#define OLD MBS_BUILD_DIR "/tests/abi/old/mbsp_old_"
#define FILE_TEXT "one\tACGTNNacg\nempty\t\ntwo\tGG\n"

static const mbs_descriptor *load(mbs_registry *r, int32_t kind, const char *path) {
    mbs_err err;
    const mbs_descriptor *d = NULL;
    mbs_err_clear(&err);
    CHECK(mbs_registry_find(r, kind, path, &d, &err) == MBS_OK, "%s", err.what);
    CHECK(d->struct_size < sizeof *d, "%s was not built with the old headers", path);
    return d;
}

static mbs_instance *make(const mbs_descriptor *d, const char *key, const char *value, const mbs_host_env *env,
                          mbs_params **params) {
    mbs_err err;
    mbs_instance *i = NULL;
    mbs_err_clear(&err);
    *params = mbs_params_new(d->params, d->n_params);
    CHECK(*params != NULL);
    if (key) {
        CHECK(mbs_params_set(*params, key, &value, 1, 0, NULL) == MBS_OK);
    }
    CHECK(mbs_instance_new(d, *params, env, d->id, &i, &err) == MBS_OK, "%s", err.what);
    return i;
}

/* Reader to tokens and back to letters to the writer, with blocks of at most max_rows. */
static void flow(int64_t max_rows, const char *expected) {
    char dir[256];
    mbs_err err;
    mbs_params *params[3];
    mbs_err_clear(&err);
    test_tmp_enter(dir);
    test_tmp_write("in.tsv", FILE_TEXT);
    mbs_registry *r = mbs_registry_new(NULL, 0, &err);
    mbs_host_env env = {.outputs = mbs_outputs_new()};
    mbs_instance *reader = make(load(r, MBS_KIND_READER, OLD "reader.so"), "path", "in.tsv", NULL, &params[0]);
    mbs_instance *codec = make(load(r, MBS_KIND_CODEC, OLD "codec.so"), NULL, NULL, NULL, &params[1]);
    mbs_instance *writer = make(load(r, MBS_KIND_WRITER, OLD "writer.so"), "path", "out.txt", &env, &params[2]);
    CHECK(mbs_outputs_prepare(env.outputs, 0, &err) == MBS_OK, "%s", err.what);
    const mbs_stream_header *h = NULL;
    CHECK(mbs_reader_open(reader, &h, &err) == MBS_OK, "%s", err.what);
    CHECK(h->struct_size == sizeof *h && h->grown_first == NULL, "what the old reader does not tell is not zero");
    CHECK(mbs_codec_open(codec, h, &err) == MBS_OK, "%s", err.what);
    CHECK_INT(mbs_codec_vocab(codec)->size, 5);
    CHECK(mbs_writer_open(writer, h, &err) == MBS_OK, "%s", err.what);
    mbs_record *record = NULL;
    mbs_status rc = MBS_OK;
    for (mbs_block *b = NULL; (rc = mbs_reader_read(reader, max_rows, &b, &err)) == MBS_OK;) {
        if (b->flags & MBS_SEQ_START) {
            mbs_record_free(record);
            record = mbs_record_copy(b->record);
            CHECK(record->struct_size == sizeof *record && record->grown_first == NULL);
        }
        mbs_block_hold_record(b, record);
        mbs_block *tokens = NULL;
        mbs_block *letters = NULL;
        CHECK(mbs_codec_encode(codec, b, &tokens, &err) == MBS_OK, "%s", err.what);
        CHECK(mbs_codec_decode(codec, tokens, &letters, &err) == MBS_OK, "%s", err.what);
        CHECK(mbs_writer_write(writer, letters, &err) == MBS_OK, "%s", err.what);
        mbs_block_unref(letters);
        mbs_block_unref(tokens);
        mbs_block_unref(b);
    }
    CHECK(rc == MBS_END, "%s", err.what);
    mbs_record_free(record);
    CHECK(mbs_writer_drain(writer, &err) == MBS_OK, "%s", err.what);
    mbs_instance *all[] = {reader, codec, writer};
    for (int i = 0; i < 3; i++) {
        CHECK(mbs_instance_close(all[i], &err) == MBS_OK, "%s", err.what);
        mbs_instance_free(all[i]);
        mbs_params_free(params[i]);
    }
    CHECK(mbs_outputs_commit(env.outputs, &err) == MBS_OK, "%s", err.what);
    mbs_outputs_free(env.outputs);
    CHECK_STR(test_tmp_text("out.txt"), expected);
    mbs_registry_free(r);
    test_tmp_leave(dir);
}

MBS_TEST(newer_host, runs_plugins_of_the_first_interface) {
    static const char expected[] =
        "one\t0\tA\none\t1\tC\none\t2\tG\none\t3\tT\none\t4\t?\none\t5\t?\none\t6\tA\none\t7\tC\n"
        "one\t8\tG\ntwo\t0\tG\ntwo\t1\tG\n";
    CHECK_INT(MBS_ABI_MINOR, 7);
    flow(1, expected);
    flow(4096, expected);
}
