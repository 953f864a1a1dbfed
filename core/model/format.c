/* format.c - how the matrices of a model are held: the words, what auto is, how much room each way takes. */
#include "model/format.h"

#include <string.h>

/* The index of `word` among `names`, or an error with all of them. NULL is the first. */
static mbs_status find(const char *key, const char *word, const char *const *names, int n, int *out, mbs_err *err) {
    char list[64] = "";
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        if (!word || strcmp(word, names[i]) == 0) {
            *out = i;
            return MBS_OK;
        }
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i == 0 ? "" : i == n - 1 ? " or " : ", ", names[i]);
    }
    mbs_fail(err, MBS_ERR_CONFIG, "model", "'%s' is '%.40s', which this version has not", key, word);
    mbs_err_fix(err, "take %s", list);
    return MBS_ERR_CONFIG;
}

/* A file whose every matrix is BF16 loses nothing when they are held so. */
static mbk_dtype automatic(const mbs_st_set *set, const mbs_specs *specs) {
    for (size_t i = 0; i < specs->n; i++) {
        const mbs_st *st;
        const mbs_st_tensor *t = specs->items[i].matrix ? mbs_st_set_find(set, specs->items[i].name, &st) : NULL;
        if (t && t->dtype != MBS_DT_BF16) {
            return MBK_F32;
        }
    }
    return MBK_BF16;
}

mbs_status mbs_format_resolve(const mbs_model_options *options, const mbs_st_set *set, const mbs_specs *specs,
                              mbk_format *out, mbs_err *err) {
    static const char *const dtypes[] = {"auto", "f32", "bf16", "int8"};
    static const mbk_dtype held[] = {MBK_F32, MBK_F32, MBK_BF16, MBK_I8};
    static const char *const maths[] = {"f32", "bf16", "int16", "int8"};
    static const mbk_math computed[] = {MBK_MATH_F32, MBK_MATH_BF16, MBK_MATH_I16, MBK_MATH_I8};
    int dtype = 0;
    int math = 0;
    mbs_status st = find("dtype", options ? options->dtype : NULL, dtypes, 4, &dtype, err);
    st = st < 0 ? st : find("math", options ? options->math : NULL, maths, 4, &math, err);
    if (st < 0) {
        return st;
    }
    out->dtype = dtype == 0 && set ? automatic(set, specs) : held[dtype];
    out->math = computed[math];
    if (mbk_math_whole(out->math) && out->dtype != MBK_I8) {
        mbs_fail(err, MBS_ERR_CONFIG, "model",
                 "'math' is '%s', which multiplies int8 weights alone, and 'dtype' is '%s'", maths[math],
                 dtypes[dtype]);
        mbs_err_fix(err, "take dtype int8, or math f32 or bf16");
        return MBS_ERR_CONFIG;
    }
    /* bf16 math rounds what is held as f32 in any case, so backends hold it rounded. */
    out->dtype = out->dtype == MBK_F32 && out->math == MBK_MATH_BF16 ? MBK_BF16 : out->dtype;
    return MBS_OK;
}

int mbs_math_whole(const char *math) {
    return math && (strcmp(math, mbk_math_name(MBK_MATH_I16)) == 0 || strcmp(math, mbk_math_name(MBK_MATH_I8)) == 0);
}

int64_t mbs_format_bytes(const mbs_specs *specs, mbk_format format) {
    int64_t sum = 0;
    for (size_t i = 0; i < specs->n; i++) {
        const mbs_spec *s = &specs->items[i];
        int64_t n = 4;
        for (int k = 0; k < s->ndim; k++) {
            n *= s->dims[k];
        }
        sum += s->tied ? 0 : s->matrix ? (int64_t)mbk_weight_room(s->dims[0], s->dims[1], format) : n;
    }
    return sum;
}
