/*
 * params.h - values for a table of parameters: set from text, checked, defaulted; read through the host table.
 */
#ifndef MBS_PLUG_PARAMS_H
#define MBS_PLUG_PARAMS_H

#include "base/buf.h"
#include "base/err.h"
#include "mambaseq/params.h"

/* A table with no row is fine. Rows are borrowed. */
mbs_params *mbs_params_new(const mbs_param *rows, uint32_t n_rows);
void mbs_params_free(mbs_params *p);
/* Row by index, respecting struct_size as the stride. */
const mbs_param *mbs_param_row(const mbs_param *rows, uint32_t n_rows, uint32_t i);
/* NULL where there is no such key. */
const mbs_param *mbs_param_find(const mbs_param *rows, uint32_t n_rows, const char *key);
/* Nearest key for a did-you-mean, or NULL. */
const char *mbs_param_nearest(const mbs_param *rows, uint32_t n_rows, const char *key);

/* Sets a key from scalar texts (n == 1 and is_list == 0: a scalar). On failure `why` says it in words that complete
 * "reader 'fasta': ": "'flank' is -3, must be 0..1e12 bases", "'pth' is not a parameter, did you mean 'path'?". Paths
 * are resolved (share:), globs of PATHS expanded and sorted; a glob without a match is MBS_ERR_NOINPUT, everything else
 * MBS_ERR_CONFIG. n == 0 and is_list == 0 is the YAML null: as if not told. What was there stays where the new value is
 * refused. */
mbs_status mbs_params_set(mbs_params *p, const char *key, const char *const *texts, int n, int is_list, mbs_buf *why);
/* Whether a row's default is a value that the row takes. */
mbs_status mbs_params_check_default(const mbs_param *row, mbs_buf *why);
int mbs_params_told(const mbs_params *p, const char *key); /* set by the user, not by default */
/* The first required key without a value, or NULL. */
const char *mbs_params_missing(const mbs_params *p);
/* Values in canonical YAML flow form, keys in table order, defaults included, rows with MBS_PARAM_F_NO_RESULT left out
 * unless `all`: "path: a.fa, flank: 1024". Paths as the user wrote them. */
void mbs_params_canonical(const mbs_params *p, int all, mbs_buf *out);
/* The same, each value with `before` and `after` around it, without the keys of `skip` ("a|b", or NULL). */
void mbs_params_each(const mbs_params *p, int all, const char *skip, const char *before, const char *after,
                     mbs_buf *out);

/* All values as bytes, and back into a fresh set of the same table: what a worker process is given. -1: not of this
 * table. */
void mbs_params_pack(const mbs_params *p, mbs_buf *out);
int mbs_params_unpack(mbs_params *p, const void *bytes, size_t n);

/* The getters of the host table. */
int32_t mbs_params_is_set(const mbs_params *p, const char *key);
int32_t mbs_params_bool(const mbs_params *p, const char *key);
int64_t mbs_params_int(const mbs_params *p, const char *key);
double mbs_params_float(const mbs_params *p, const char *key);
const char *mbs_params_string(const mbs_params *p, const char *key);
int64_t mbs_params_count(const mbs_params *p, const char *key);
const char *mbs_params_item(const mbs_params *p, const char *key, int64_t i);

#endif
