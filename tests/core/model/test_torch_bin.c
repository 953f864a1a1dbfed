/* PyTorch's own checkpoints: the golden one, views, and every way in which a file can lie. */
#include <unistd.h>

#include "base/path.h"
#include "model/safetensors.h"
#include "model/torch_bin.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define CORPUS MBS_SOURCE_DIR "/tests/fuzz/corpus/torch/"
#define REFERENCE MBS_SOURCE_DIR "/tests/data/reference/"

static const struct {
    const char *file;
    const char *says;
} lies[] = {
    {"bad-big-endian", "was written on a big-endian machine, which is not read"},
    {"bad-build", "a state for what is not a dictionary"},
    {"bad-call-storage", "a call of what cannot be called"},
    {"bad-compressed", "member 'archive/data.pkl': is compressed; PyTorch stores members as th"},
    {"bad-crc", "member 'archive/data/0' is damaged: its CRC-32 is a76f2cc2, not 3e667d78"},
    {"bad-crc-pickle", "member 'archive/data.pkl' is damaged: its CRC-32 is 5c83e819, not c3cf430a"},
    {"bad-cut", "not a sound zip archive: its end is missing, the file is truncated"},
    {"bad-cut-early", "not a sound zip archive: its end is missing, the file is truncated"},
    {"bad-cut-in-data", "not a sound zip archive: its directory does not lie within it"},
    {"bad-directory-count", "not a sound zip archive: its directory does not lie within it"},
    {"bad-directory-place", "not a sound zip archive: its directory does not lie within it"},
    {"bad-encrypted", "member 'archive/data.pkl': is encrypted"},
    {"bad-entry", "holds 'epoch', which is not a tensor"},
    {"bad-eval", "its pickle asks for 'builtins.eval', which no tensor needs: it was ref"},
    {"bad-inst", "its pickle asks for 'os.system', which no tensor needs: it was refused"},
    {"bad-items-of-text", "items for what is not a dictionary"},
    {"bad-key", "holds 'a key that is not a text', which is not a tensor"},
    {"bad-legacy", "a checkpoint of a PyTorch before 1.6, which is not read"},
    {"bad-lfs", "not the weights: a pointer that Git LFS left in their place"},
    {"bad-long", "a number beyond 64 bits"},
    {"bad-mark", "the stack is empty"},
    {"bad-member-place", "member 'archive/data.pkl': does not lie in the archive where the direc"},
    {"bad-member-size", "member 'archive/data.pkl': goes beyond the end of the file, which is t"},
    {"bad-memo", "the memo has no such entry"},
    {"bad-memo-huge", "the memo is larger than any checkpoint needs"},
    {"bad-module-storage", "a reference to something that is not a storage"},
    {"bad-name-twice", "tensor 'w' is there twice"},
    {"bad-no-pickle", "holds no data.pkl in a folder of its own: not a PyTorch checkpoint"},
    {"bad-no-stop", "it ends too early: the file is truncated"},
    {"bad-odd-items", "a key without a value"},
    {"bad-offset", "tensor 'w': reaches element 12 of a storage of 12"},
    {"bad-offset-negative", "tensor 'w': begins before its storage"},
    {"bad-opcode", "the instruction 0x82, which no state_dict needs"},
    {"bad-other", "not a PyTorch checkpoint: it does not begin as a zip archive"},
    {"bad-persistent", "a reference to something that is not a storage"},
    {"bad-posix", "its pickle asks for 'posix.system', which no tensor needs: it was refu"},
    {"bad-protocol", "a protocol beyond 5"},
    {"bad-rank", "a tensor whose sizes and strides are not two lists of at most 8 numbers"},
    {"bad-rebuild", "its pickle asks for 'torch._utils._rebuild_sparse_tensor', which no te"},
    {"bad-reduce-text", "a call of what cannot be called"},
    {"bad-size-negative", "tensor 'w': a negative size or stride"},
    {"bad-size-overflow", "tensor 'w': its size overflows"},
    {"bad-stack", "no mark is set"},
    {"bad-storage-huge", "tensor 'w': a storage of 4611686018427387904 elements of F32, of which"},
    {"bad-storage-kind", "a reference to something that is not a storage"},
    {"bad-storage-missing", "tensor 'w': its storage '7' is not in the archive"},
    {"bad-storage-path", "tensor 'w': its storage '../byteorder' is not in the archive"},
    {"bad-storage-short", "tensor 'w': a storage of 15 elements of F32, of which the archive has "},
    {"bad-storage-wide", "tensor 'w': a storage of 12 elements of F64, of which the archive has "},
    {"bad-stride-far", "tensor 'w': reaches element 13 of a storage of 12"},
    {"bad-stride-negative", "tensor 'w': a negative size or stride"},
    {"bad-stride-overflow", "tensor 'w': its strides overflow"},
    {"bad-stride-overlap", "tensor 'w': has more elements than its storage: strides that overlap, as of expand()"},
    {"bad-strides-fewer", "a tensor whose sizes and strides are not two lists of at most 8 numbers"},
    {"bad-system", "its pickle asks for 'os.system', which no tensor needs: it was refused"},
    {"bad-text-cut", "it ends too early: the file is truncated"},
    {"bad-top", "is not a dictionary of tensors"},
    {"bad-two-on-top", "is not a dictionary of tensors"},
    {"bad-two-pickles", "holds two pickles: not a PyTorch checkpoint"},
    {"bad-views-larger-than-file", "tensor 'w257': the views of storages are larger than the whole file"},
    {"bad-zip64", "not a sound zip archive: the zip64 record is missing"},
};

MBS_TEST(torch_bin, golden_file_gives_the_expected_tensors) {
    mbs_err err = {0};
    mbs_st *got;
    mbs_st *want;
    OK(mbs_torch_open(REFERENCE "tiny_torch.bin", &got, &err), &err);
    OK(mbs_st_open(REFERENCE "tiny_torch_expected.safetensors", &want, &err), &err);
    CHECK_INT(mbs_st_count(got), mbs_st_count(want));
    CHECK(mbs_st_count(want) == 8);
    for (size_t i = 0; i < mbs_st_count(want); i++) {
        const mbs_st_tensor *w = mbs_st_at(want, i);
        const mbs_st_tensor *g = mbs_st_find(got, w->name, w->name_len);
        CHECK(g != NULL, "%.*s is missing", (int)w->name_len, w->name);
        int64_t n = mbs_st_elements(w);
        CHECK_INT(mbs_st_elements(g), n);
        if (g->ndim > 0) { /* a scalar stands there as [1] */
            CHECK_INT(g->ndim, w->ndim);
            CHECK(memcmp(mbs_st_dims(got, g), mbs_st_dims(want, w), (size_t)w->ndim * sizeof(int64_t)) == 0, "%.*s",
                  (int)w->name_len, w->name);
        }
        if (w->dtype != MBS_DT_F32) {
            CHECK_INT(g->dtype, w->dtype);
            CHECK(memcmp(mbs_st_data(got, g), mbs_st_data(want, w), (size_t)(w->end - w->begin)) == 0, "%.*s",
                  (int)w->name_len, w->name);
        }
        for (int64_t k = 0; k < n && w->dtype == MBS_DT_F32; k++) { /* which holds f16 and bf16 widened */
            CHECK(mbs_st_number((mbs_dtype)g->dtype, mbs_st_data(got, g), k) ==
                      mbs_st_number(MBS_DT_F32, mbs_st_data(want, w), k),
                  "%.*s: element %lld", (int)w->name_len, w->name, (long long)k);
        }
    }
    mbs_st_close(got);
    mbs_st_close(want);
}

static void view_is(const char *file, int ndim, int64_t n, const float *want) {
    char path[512];
    mbs_err err = {0};
    mbs_st *st;
    snprintf(path, sizeof path, CORPUS "%s", file);
    OK(mbs_torch_open(path, &st, &err), &err);
    const mbs_st_tensor *t = mbs_st_find(st, "w", 1);
    CHECK(t && t->ndim == ndim && mbs_st_elements(t) == n, "%s", file);
    if (n > 0) {
        CHECK(memcmp(mbs_st_data(st, t), want, (size_t)n * sizeof *want) == 0, "%s", file);
    }
    mbs_st_close(st);
}

MBS_TEST(torch_bin, views_of_a_storage_are_laid_out) {
    static const float all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    view_is("good-one", 2, 12, all);
    view_is("good-ones", 3, 12, all);
    view_is("good-plain-dict", 1, 12, all);
    view_is("good-parameter", 1, 12, all);
    view_is("good-build", 1, 12, all);
    view_is("good-view", 2, 4, (const float[]){2, 5, 7, 10});
    view_is("good-scalar", 0, 1, (const float[]){11});
    view_is("good-empty", 2, 0, all);
}

MBS_TEST(torch_bin, every_lie_is_refused_with_its_words) {
    char dir[256];
    test_tmp_enter(dir);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char path[512];
        mbs_err err = {0};
        mbs_st *st;
        snprintf(path, sizeof path, CORPUS "%s", lies[i].file);
        CHECK(mbs_torch_open(path, &st, &err) == MBS_ERR_DATA, "%s", lies[i].file);
        CHECK(st == NULL && strstr(err.what, lies[i].says), "%s says \"%s\"", lies[i].file, err.what);
    }
    CHECK_INT(test_tmp_count("."), 0); /* what they would have run makes a file */
    test_tmp_leave(dir);
}

/* Every place where a download can have stopped. */
MBS_TEST(torch_bin, a_file_cut_anywhere_is_refused) {
    char dir[256];
    char *data;
    size_t len;
    mbs_err err = {0};
    test_tmp_enter(dir);
    OK(mbs_path_read(REFERENCE "tiny_torch.bin", 1 << 20, &data, &len, &err), &err);
    for (size_t n = 0; n < len; n++) {
        mbs_st *st;
        FILE *f = fopen("cut.bin", "wb");
        CHECK(f && fwrite(data, 1, n, f) == n);
        fclose(f);
        mbs_err_clear(&err);
        CHECK(mbs_torch_open("cut.bin", &st, &err) == MBS_ERR_DATA, "%zu of %zu bytes", n, len);
    }
    free(data);
    test_tmp_leave(dir);
}
