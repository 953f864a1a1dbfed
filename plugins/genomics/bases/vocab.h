/*
 * vocab.h - one letter, one id: the vocabularies of DNA models.
 */
#ifndef BS_VOCAB_H
#define BS_VOCAB_H

#include "mambaseq/plugin.h"
#include "text/folder/around.h"
#include "text/folder/lines.h"

#define BS_SIZE_MAX 65536

/* What a byte of the input is. */
#define BS_NONE (-2)      /* nothing that belongs into a sequence */
#define BS_AMBIGUOUS (-1) /* an IUPAC letter that the vocabulary does not have: the policy decides */

typedef struct bs_vocab {
    mbs_vocab v;
    tf_lines lines;
    int32_t *complement; /* v.size */
    uint8_t *decodable;  /* v.size */
    int32_t id[256];     /* id of a byte, BS_AMBIGUOUS or BS_NONE */
    uint8_t scored[256]; /* 1 for the letters of A C G T and U */
    char letter[4];      /* A C G T as decode writes them */
    int32_t letter_id[4];
    tf_around around;
} bs_vocab;

/* Chooses by the parameter `vocab`: auto, caduceus, songlab, or a file. */
mbs_status bs_vocab_load(bs_vocab *b, const mbs_host *host, const char *which);
void bs_vocab_free(bs_vocab *b, const mbs_host *host);

/* folder.c */
/* Replaces the complement by complement_map of the folder's config.json, where there is one. */
mbs_status bs_folder_complement(bs_vocab *b, const mbs_host *host);

/* files.c: the files of ext/tokenizer.h. */
mbs_status bs_vocab_files(const bs_vocab *b, const mbs_host *host,
                          mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink);

#endif
