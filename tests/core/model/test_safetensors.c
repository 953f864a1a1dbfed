/* Good files read back; every kind of bad file is refused with its reason, before anything is believed. */
#include <sys/stat.h>

#include "base/buf.h"
#include "model/safetensors.h"
#include "support/test.h"
#include "support/tmp.h"

/* A file of this header and so many bytes of data (0, 1, 2, ..). The length in front may lie. */
static void write_file(const char *path, const char *header, size_t header_len, uint64_t told, size_t data) {
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(&told, 8, 1, f) == 1 && fwrite(header, 1, header_len, f) == header_len);
    for (size_t i = 0; i < data; i++) {
        fputc((int)(i & 0xFF), f);
    }
    CHECK(fclose(f) == 0);
}

static void write_plain(const char *path, const char *header, size_t data) {
    write_file(path, header, strlen(header), strlen(header), data);
}

#define T(NAME, DTYPE, SHAPE, BEGIN, END)                                                                              \
    "\"" NAME "\":{\"dtype\":\"" DTYPE "\",\"shape\":" SHAPE ",\"data_offsets\":[" #BEGIN "," #END "]}"

typedef struct bad {
    const char *header;
    size_t data;
    const char *why; /* in the message */
} bad;

static const bad bad_files[] = {
    /* the grammar */
    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, "a string was expected"},
    {"{}x", 0, "behind the closing '}'"},
    {"{} {}", 0, "behind the closing '}'"},
    {"{" T("a", "F32", "[1]", 0, 4) ",}", 4, "a string was expected"},
    {"{" T("a", "F32", "[1]", 0, 4), 4, "a ',' or '}' was expected"},
    {"{\"a\" {}}", 0, "a ':' was expected"},
    {"{\"a\":[]}", 0, "tensor 'a': its entry is not an object"},
    {"{\"a", 0, "a string without end"},
    {"{\"a\\q\":{}}", 0, "not a valid escape"},
    {"{\"a\\u12g4\":{}}", 0, "not a valid escape"},
    {"{\"a\\ud800x\":{}}", 0, "not a valid escape"},
    {"{\"a\\u12", 0, "not a valid escape"},
    {"{\"a\tb\":{}}", 0, "a control byte"},
    {"{\"a\xFF\":{}}", 0, "not UTF-8"},
    {"{\"a\xC0\xAF\":{}}", 0, "not UTF-8"},
    {"{\"a\xED\xA0\x80\":{}}", 0, "not UTF-8"},
    /* the entry */
    {"{\"a\":{}}", 0, "tensor 'a': 'dtype' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor 'a': 'shape' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor 'a': 'data_offsets' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'dtype' is there twice"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"stride\":1}}", 4, "'stride' is unknown"},
    {"{" T("a", "F4", "[1]", 0, 4) "}", 4, "tensor 'a': unknown dtype 'F4'"},
    {"{" T("a", "f32", "[1]", 0, 4) "}", 4, "unknown dtype 'f32'"},
    {"{" T("a", "F32", "1", 0, 4) "}", 4, "tensor 'a': 'shape' is not a list"},
    {"{\"a\":{\"shape\":[1}}", 4, "tensor 'a': 'shape' is not a list of numbers"},
    {"{" T("a", "F32", "[-1]", 0, 4) "}", 4, "tensor 'a': 'shape': a whole number was expected"},
    {"{" T("a", "F32", "[1.0]", 0, 4) "}", 4, "'shape': a whole number was expected"},
    {"{" T("a", "F32", "[1e0]", 0, 4) "}", 4, "'shape': a whole number was expected"},
    {"{" T("a", "F32", "[01]", 0, 4) "}", 4, "'shape': a whole number was expected"},
    {"{" T("a", "F32", "[\"1\"]", 0, 4) "}", 4, "'shape': a whole number was expected"},
    {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "more than 8 dimensions"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "'data_offsets' is not a pair"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "'data_offsets' is not a pair"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":4}}", 4, "'data_offsets' is not a list"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "holds something that is not a string"},
    {"{\"__metadata__\":[]}", 0, "'__metadata__' is not an object"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "'__metadata__' is there twice"},
    /* the sizes */
    {"{" T("a", "F32", "[18446744073709551616]", 0, 4) "}", 4, "tensor 'a': 'shape': a number beyond 2^63-1"},
    {"{" T("a", "F32", "[1]", 0, 9223372036854775808) "}", 4, "'data_offsets': a number beyond 2^63-1"},
    {"{" T("a", "U8", "[4194305,4194305,211106198978564]", 0, 4) "}", 4,
     "tensor 'a': the size of U8 [4194305, 4194305, 211106198978564] overflows"},
    {"{" T("a", "F32", "[4611686018427387905]", 0, 4) "}", 4,
     "tensor 'a': the size of F32 [4611686018427387905] overflows"},
    {"{" T("a", "F32", "[9223372036854775807,2,0]", 0, 0) "}", 0, "overflows"},
    {"{" T("a", "F32", "[2]", 0, 4) "}", 4, "tensor 'a': F32 [2] needs 8 bytes, its range holds 4"},
    {"{" T("a", "F32", "[]", 0, 8) "}", 8, "tensor 'a': F32 [] needs 4 bytes, its range holds 8"},
    {"{" T("a", "F32", "[0]", 0, 4) "}", 4, "tensor 'a': F32 [0] needs 0 bytes, its range holds 4"},
    /* the places */
    {"{" T("a", "F32", "[1]", 4, 0) "}", 4, "tensor 'a': bytes 4 to 0"},
    {"{" T("a", "F32", "[2]", 0, 8) "}", 7,
     "tensor 'a': bytes 0 to 8 are not within the 7 bytes of data: the file is truncated"},
    {"{" T("a", "F32", "[1]", 0, 4) "}", 5, "1 bytes behind the last tensor"},
    {"{" T("a", "F32", "[1]", 4, 8) "}", 8, "tensor 'a': a hole before it"},
    {"{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 8, 12) "}", 12, "tensor 'b': a hole before it"},
    {"{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[1]", 4, 8) "}", 8, "tensor 'b': it overlaps"},
    {"{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 0, 4) "}", 4, "it overlaps"},
    {"{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[0]", 4, 4) "}", 8, "tensor 'b': it overlaps"},
    {"{" T("a", "F32", "[1]", 0, 4) "," T("a", "F32", "[1]", 4, 8) "}", 8, "tensor 'a' is there twice"},
    {"{" T("ab", "F32", "[1]", 0, 4) "," T("a\\u0062", "F32", "[1]", 4, 8) "}", 8, "tensor 'ab' is there twice"},
    {"{}", 4, "4 bytes behind the last tensor"},
};

static void check_refused(const char *path, const char *why, mbs_status status) {
    mbs_err err = {0};
    mbs_st *st = NULL;
    CHECK_INT(mbs_st_open(path, &st, &err), status);
    CHECK(st == NULL);
    CHECK(strstr(err.what, why), "\"%s\" does not say \"%s\"", err.what, why);
    CHECK(strstr(err.where, path), "\"%s\" does not name the file", err.where);
}

MBS_TEST(safetensors, bad_files_are_refused_with_the_reason) {
    char dir[256];
    test_tmp_enter(dir);
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        write_plain("bad", bad_files[i].header, bad_files[i].data);
        check_refused("bad", bad_files[i].why, MBS_ERR_DATA);
    }
    test_tmp_leave(dir);
}

MBS_TEST(safetensors, bad_lengths_are_refused) {
    static const char good[] = "{" T("a", "F32", "[1]", 0, 4) "}";
    char dir[256];
    test_tmp_enter(dir);
    check_refused("absent", "No such file", MBS_ERR_NOINPUT);
    test_tmp_write("short", "1234567");
    check_refused("short", "only 7 bytes", MBS_ERR_DATA);
    test_tmp_write("empty", "");
    check_refused("empty", "only 0 bytes", MBS_ERR_DATA);
    write_file("longer", good, sizeof good - 1, sizeof good - 1 + 5, 4);
    check_refused("longer", "truncated", MBS_ERR_DATA);
    write_file("huge", good, sizeof good - 1, 100000001, 4);
    check_refused("huge", "more than 100000000", MBS_ERR_DATA);
    write_file("wrapping", good, sizeof good - 1, UINT64_MAX - 3, 4);
    check_refused("wrapping", "not a safetensors file", MBS_ERR_DATA);
    write_file("nul", "{}\0\0", 4, 4, 0);
    check_refused("nul", "behind the closing '}'", MBS_ERR_DATA);
    CHECK(mkdir("folder", 0777) == 0);
    check_refused("folder", "not a regular file", MBS_ERR_NOINPUT);
    test_tmp_leave(dir);
}

/* A file cut at any byte is refused: nothing is read from beyond its end. */
MBS_TEST(safetensors, every_truncation_is_refused) {
    static const char header[] = "{" T("a", "F32", "[2]", 0, 8) "," T("b", "U8", "[3]", 8, 11) "}";
    char dir[256];
    test_tmp_enter(dir);
    write_plain("whole", header, 11);
    size_t size = 8 + sizeof header - 1 + 11;
    char bytes[256];
    FILE *f = fopen("whole", "rb");
    CHECK(f && fread(bytes, 1, sizeof bytes, f) == size);
    fclose(f);
    for (size_t n = 0; n < size; n++) {
        mbs_err err = {0};
        mbs_st *st;
        f = fopen("cut", "wb");
        CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
        CHECK_INT(mbs_st_open("cut", &st, &err), MBS_ERR_DATA);
    }
    test_tmp_leave(dir);
}

static const mbs_st_tensor *find(const mbs_st *st, const char *name) {
    return mbs_st_find(st, name, strlen(name));
}

/* Out of order, escaped names, scalars, empty tensors, spaces: all legal. */
MBS_TEST(safetensors, unusual_but_legal_files_are_read) {
    char dir[256];
    mbs_err err = {0};
    mbs_st *st;
    test_tmp_enter(dir);
    write_plain(
        "odd",
        "{ \"__metadata__\" : {\"format\":\"pt\",\"x\":\"\\n\"} ,\n" T("second", "F64", "[1,1]", 4, 12) "\t,\r" T(
            "s\\u00e9\\ud83d\\ude00\\\"", "I32", "[]", 0, 4) "," T("none", "F32", "[3,0,9223372036854775807]", 4,
                                                                   4) "," T("", "BOOL", "[2]", 12, 14) "}    ",
        14);
    mbs_status status = mbs_st_open("odd", &st, &err);
    CHECK(status == MBS_OK, "%s", err.what);
    CHECK_INT(mbs_st_count(st), 4);
    const mbs_st_tensor *t = find(st, "s\xC3\xA9\xF0\x9F\x98\x80\"");
    CHECK(t && t->ndim == 0 && t->dtype == MBS_DT_I32 && mbs_st_elements(t) == 1);
    CHECK(mbs_st_data(st, t)[3] == 3);
    t = find(st, "second");
    CHECK(t && t->ndim == 2 && mbs_st_dims(st, t)[1] == 1 && mbs_st_data(st, t)[0] == 4);
    t = find(st, "none");
    CHECK(t && mbs_st_elements(t) == 0 && mbs_st_dims(st, t)[0] == 3);
    t = find(st, "");
    CHECK(t && t->dtype == MBS_DT_BOOL && mbs_st_data(st, t)[1] == 13);
    CHECK(find(st, "secon") == NULL && find(st, "__metadata__") == NULL);
    mbs_st_close(st);
    write_plain("nothing", "{}", 0);
    CHECK(mbs_st_open("nothing", &st, &err) == MBS_OK);
    CHECK_INT(mbs_st_count(st), 0);
    mbs_st_close(st);
    test_tmp_leave(dir);
}

MBS_TEST(safetensors, values_widen_exactly) {
    static const unsigned char f16[] = {0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00, 0xFF,
                                        0x7B, 0x00, 0x80, 0x00, 0x7C, 0xFF, 0x03};
    static const float want16[] = {1, -2, 0x1p-24f, 65504, -0.0f, INFINITY, 1023 * 0x1p-24f};
    static const unsigned char bf16[] = {0x80, 0x3F, 0x49, 0xC0};
    static const double f64[] = {0.1, -3e-40};
    float got[8];
    mbs_st_widen(MBS_DT_F16, f16, 7, got);
    for (int i = 0; i < 7; i++) {
        CHECK(memcmp(&got[i], &want16[i], 4) == 0, "F16 value %d is %g", i, (double)got[i]);
    }
    mbs_st_widen(MBS_DT_F16, (const unsigned char[]){0x01, 0x7E}, 1, got);
    CHECK(isnan(got[0]));
    mbs_st_widen(MBS_DT_BF16, bf16, 2, got);
    CHECK(got[0] == 1 && got[1] == -3.140625f);
    mbs_st_widen(MBS_DT_F64, (const unsigned char *)f64, 2, got);
    CHECK(got[0] == 0.1f && got[1] == -3e-40f);
    CHECK(mbs_st_number(MBS_DT_F64, (const unsigned char *)f64, 0) == 0.1);
}

MBS_TEST(safetensors, written_files_read_back) {
    char dir[256];
    mbs_err err = {0};
    mbs_st_writer w;
    mbs_st *st;
    static const float values[] = {1, 2, 3, 4, 5, 6};
    mbs_st_decl decls[] = {{"a \"quoted\" n\xC3\xA4me", MBS_DT_F32, 2, {2, 3}}, {"b", MBS_DT_U8, 0, {0}}};
    test_tmp_enter(dir);
    CHECK(mbs_st_writer_open("out", decls, 2, &w, &err) == MBS_OK);
    CHECK(mbs_st_writer_add(&w, values, 12, &err) == MBS_OK);
    CHECK(mbs_st_writer_add(&w, values + 3, 12, &err) == MBS_OK);
    CHECK(mbs_st_writer_add(&w, "x", 1, &err) == MBS_OK);
    CHECK(mbs_st_writer_close(&w, &err) == MBS_OK);
    CHECK(mbs_st_open("out", &st, &err) == MBS_OK, "%s", err.what);
    const mbs_st_tensor *t = find(st, decls[0].name);
    CHECK(t && memcmp(mbs_st_data(st, t), values, sizeof values) == 0);
    CHECK((uintptr_t)mbs_st_data(st, t) % 8 == 0, "data begins at a multiple of 8");
    CHECK(*mbs_st_data(st, find(st, "b")) == 'x');
    mbs_st_close(st);
    CHECK_INT(mbs_st_writer_open("out", decls, 2, &w, &err), MBS_ERR_CREATE); /* never over something */
    mbs_err_clear(&err);
    CHECK(mbs_st_writer_open("less", decls, 2, &w, &err) == MBS_OK);
    CHECK(mbs_st_writer_add(&w, values, 12, &err) == MBS_OK);
    CHECK_INT(mbs_st_writer_close(&w, &err), MBS_ERR_INTERNAL);
    test_tmp_leave(dir);
}
