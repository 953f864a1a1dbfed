/*
 * model_kit.h - what the model tests share: contexts of every level, real sequences as ids, and the golden language
 * model as a folder.
 */
#ifndef MBS_TEST_MODEL_KIT_H
#define MBS_TEST_MODEL_KIT_H

#include <stdint.h>

#include "base/err.h"
#include "mbk/mbk.h"
#include "model/model.h"

#define ECOLI_REF MBS_SOURCE_DIR "/share/models/ecoli-ref"

#define EACH_LEVEL(L)                                                                                                  \
    for (mbk_level L = MBK_LEVEL_REF; L < MBK_LEVEL_COUNT; L = (mbk_level)(L + 1))                                     \
        if (mbk_level_usable(L))

/* The CPU's memory, and memory that the host may not look into. Under a sanitizer the way of the CPU is enough: what it
   looks for is the same in both, and the plain kernels take ten times as long. */
#ifdef __SANITIZE_ADDRESS__
#define MKIT_BACKENDS 1
#else
#define MKIT_BACKENDS 2
#endif

/* Ends the test program with the error's line. */
void mkit_ok(mbs_status st, const mbs_err *err, const char *file, int line);
#define OK(CALL, ERR) mkit_ok((CALL), (ERR), __FILE__, __LINE__)

mbk_ctx *mkit_open(mbk_level level, int test_backend);
/* A model and a session on a context; all three are freed by mkit_close. */
typedef struct mkit {
    mbk_ctx *ctx;
    mbs_model *m;
    mbs_session *s;
    int64_t vocab;
    int64_t d;
} mkit;
mkit mkit_start(const char *folder, mbk_level level, int test_backend, int64_t max_rows);
void mkit_close(mkit *k);

/* At most `most` bases of a gzipped FASTA of one record, as ids of ecoli-ref (7 to 10); NULL where the file is missing.
 */
int32_t *mkit_bases(const char *path, int64_t most, int64_t *n);
#define MG1655 "/usr/share/doc/ragout/examples/E.Coli/references/MG1655-K12.fasta.gz"
#define LAMBDA "/usr/share/doc/bowtie2/examples/reference/lambda_virus.fa.gz"

/* Writes the golden language model (tests/data/reference/mamba1_lm) into the current folder as `folder`; `rename`
 * changes the layout of the names: the library's instead of the original's. */
void mkit_golden_folder(const char *folder, int rename);

/* ids as the golden file has them, as int32. */
int32_t *mkit_ids(const int64_t *ids, int64_t n);
/* Uniform ids of ecoli-ref's bases with some [UNK]. */
int32_t *mkit_random_ids(int64_t n);

/* The same bits, NaN included. */
int mkit_same(const float *a, const float *b, int64_t n);
/* The largest difference, in units of the largest number of b. */
double mkit_off(const float *a, const float *b, int64_t n);

#endif
