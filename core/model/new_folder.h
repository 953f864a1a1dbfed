/*
 * new_folder.h - a folder that appears whole or not at all: made under a hidden name beside it, then renamed.
 */
#ifndef MBS_MODEL_NEW_FOLDER_H
#define MBS_MODEL_NEW_FOLDER_H

#include <stddef.h>

#include "base/err.h"

/* The files of a model folder that belong to its tokenizer and go where its weights go: a list of texts. */
#define MBS_FOLDER_TOKENIZER                                                                                           \
    "vocab.txt", "vocab.json", "tokenizer.json", "tokenizer_config.json", "merges.txt", "special_tokens_map.json",     \
        "added_tokens.json"

typedef struct mbs_new_folder {
    char *final;
    char *temp; /* write here */
    const char *const *names;
    int fd;      /* of temp; holds the lock */
    int replace; /* final exists and is to be replaced */
} mbs_new_folder;

/* `names` (ended by NULL) are the files that may be in such a folder. MBS_ERR_CREATE where `final` exists, unless
 * `force` and it holds nothing else; or where another process is at it. What a dead process left is removed. */
mbs_status mbs_new_folder_begin(const char *final, const char *const *names, int force, mbs_new_folder *out,
                                mbs_err *err);
/* Says that `final` cannot be made because of error number `why`; where it is for want of a folder, which and what to
 * do. MBS_ERR_CREATE. */
mbs_status mbs_new_folder_refused(const char *final, int why, mbs_err *err);
/* Writes and fsyncs a small file. */
mbs_status mbs_new_folder_put(const char *folder, const char *name, const void *data, size_t len, mbs_err *err);
/* With st >= 0 gives the folder its name, else removes it; returns st or what went wrong. Frees. */
mbs_status mbs_new_folder_end(mbs_new_folder *f, mbs_status st, mbs_err *err);

#endif
