/*
 * ext/tokenizer.h - "mambaseq.tokenizer/1": a codec that can say what its ids are in the files that transformers reads.
 *
 * A model that is trained from a shape has no tokenizer files; those of the codec that it was trained with are put into
 * its folder, so that AutoTokenizer gives the same ids. A folder that was begun with keeps its own.
 */
#ifndef MAMBASEQ_EXT_TOKENIZER_H
#define MAMBASEQ_EXT_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/status.h"

#define MBS_EXT_TOKENIZER "mambaseq.tokenizer/1"

typedef struct mbs_ext_tokenizer {
    uint32_t struct_size;
    uint32_t reserved;
    /* [control] After open. Gives `put` each file whole: name is tokenizer.json, tokenizer_config.json, vocab.txt,
     * vocab.json, merges.txt, special_tokens_map.json or added_tokens.json; name and bytes are borrowed for the call. A
     * status other than MBS_OK of `put` is given back as it is. */
    mbs_status (*files)(void *self, mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n),
                        void *sink);
} mbs_ext_tokenizer;

#endif
