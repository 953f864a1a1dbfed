/*
 * lines.h - vocabularies as lists of tokens: vocab.txt, vocab.json, model.vocab of tokenizer.json, or a file of lines.
 */
#ifndef TF_LINES_H
#define TF_LINES_H

#include "mambaseq/plugin.h"

typedef struct tf_lines {
    char *text;          /* holds the name, then all tokens */
    const char **tokens; /* n */
    int32_t n;
    int32_t most; /* tokens that are taken; set before the calls */
} tf_lines;

/* From tokens, one a line (the last may lack its end), or an error that names `what`, which becomes the name. */
mbs_status tf_lines_split(tf_lines *l, const mbs_host *host, const char *what, const char *text, size_t n);
/* What the model's folder has; MBS_END where it has none. */
mbs_status tf_lines_folder(tf_lines *l, const mbs_host *host);
/* `words`: what the parameter may be, for the hint. */
mbs_status tf_lines_file(tf_lines *l, const mbs_host *host, const char *path, const char *words);
void tf_lines_free(tf_lines *l, const mbs_host *host);
/* A JSON file of the model's folder: MBS_OK, with *text NULL where it has none; damage is MBS_ERR_DATA. */
mbs_status tf_folder_json(const mbs_host *host, const char *name, const char **text);
/* Whether the model's folder has a vocabulary. */
int tf_folder_has_vocab(const mbs_host *host);
/* Id of the first of the names (ends with NULL) that is a token; -1. */
int32_t tf_lines_find(const tf_lines *l, const char *const *names);
/* unk, bos, eos and mask of a vocabulary by what such tokens are usually called. */
void tf_lines_special(const tf_lines *l, mbs_vocab *v);

#endif
