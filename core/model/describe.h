/*
 * describe.h - what `mambaseq inspect FOLDER [--expect FILE]` says about a model.
 */
#ifndef MBS_MODEL_DESCRIBE_H
#define MBS_MODEL_DESCRIBE_H

#include "base/err.h"
#include "model/model.h"

/* Facts in the order of interest: sizes, parameters, files with their SHA-256, then one "tensor NAME" for each tensor.
 * Reads the whole folder but needs no backend; the same checks as mbs_model_open but for the values. */
typedef void (*mbs_model_fact)(void *sink, const char *key, const char *value);
/* "vocab.txt, 16 tokens: [PAD] [UNK] ...", of the tokenizer file that FOLDER holds; "none". */
mbs_status mbs_model_describe_vocab(const char *folder, char *out, size_t size, mbs_err *err);
mbs_status mbs_model_describe(const char *folder, mbs_model_fact put, void *sink, mbs_err *err);

/* Whether config.json pairs the ids of A with T and of C with G, by the folder's vocabulary or, where it has none, the
 * table of tokenizers that are code; a folder without a complement_map or such letters is taken. MBS_ERR_DATA. */
mbs_status mbs_model_check_letters(const char *folder, mbs_err *err);
/* The tokenizer that is code which the folder names; NULL: it names none. */
struct mbs_preset;
mbs_status mbs_model_folder_preset(const char *folder, const struct mbs_preset **out, mbs_err *err);

/*
 * Expected results are tensors of a safetensors file: `logits` (.., L, V) or `logprob` (.., L), alone or as NAME.logits
 * and NAME.logprob. Their inputs are the integers `input_ids` (.., L), or NAME.input_ids, of the same file; every
 * sequence starts from a zero state. Row t of logits is the output after token t; logprob t is ln P(token t | all
 * before) and NaN for the first. V may leave out the padding at the table's end.
 */
typedef struct mbs_compared {
    char name[160];
    char note[200]; /* why it was not compared, else empty */
    int64_t count;  /* values compared */
    double max_abs; /* largest |value - expected|; infinite where only one of them is NaN */
    double max_ref; /* largest |expected| */
    double max_rel; /* max_abs / max_ref */
    int64_t rows;   /* of logits: rows compared, */
    int64_t same;   /* and those whose largest logit is the same one */
} mbs_compared;

typedef struct mbs_expect_report {
    mbs_compared *items;
    size_t n;
    size_t compared; /* items without a note */
} mbs_expect_report;

/* Runs the model on the inputs of the file. MBS_ERR_DATA where the file holds no such tensor at all. Free the report in
 * every case. */
mbs_status mbs_model_expect(mbs_model *m, const char *path, mbs_expect_report *out, mbs_err *err);
void mbs_expect_report_free(mbs_expect_report *r);

#endif
