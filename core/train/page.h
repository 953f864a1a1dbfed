/*
 * page.h - training.html: the curves of a run and its figures, one file that needs nothing else.
 */
#ifndef MBS_TRAIN_PAGE_H
#define MBS_TRAIN_PAGE_H

#include "train/train.h"

/* Reads `metrics` (a metrics.jsonl) and writes training.html into `folder`, whole or not at all. `identity`: lines
 * "key: value", shown as a table. result may be of a run that is not at its end. */
mbs_status mbs_page_write(const char *folder, const char *metrics, const char *identity, const mbs_train_job *job,
                          const mbs_train_result *result, mbs_err *err);

#endif
