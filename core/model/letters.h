/*
 * letters.h - the tokenizer files of a model of letters: vocab.txt, and tokenizer.json and tokenizer_config.json, from
 * which AutoTokenizer of transformers gives the same ids.
 */
#ifndef MBS_MODEL_LETTERS_H
#define MBS_MODEL_LETTERS_H

#include "base/err.h"

#define MBS_LETTERS_FILES "vocab.txt", "tokenizer.json", "tokenizer_config.json"

/* `vocab`: tokens, a line each, in the order of their ids; those in brackets are special, [UNK] among them. */
mbs_status mbs_letters_write(const char *folder, const char *vocab, mbs_err *err);

#endif
