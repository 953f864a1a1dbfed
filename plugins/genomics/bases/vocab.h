/*
 * vocab.h - one letter, one id: the vocabularies of DNA models.
 */
#ifndef BS_VOCAB_H
#define BS_VOCAB_H

#include "mambaseq/plugin.h"

#define BS_SIZE_MAX 65536

/* What a byte of the input is. */
#define BS_NONE (-2)      /* nothing that belongs into a sequence */
#define BS_AMBIGUOUS (-1) /* an IUPAC letter that the vocabulary does not have: the policy decides */

typedef struct bs_vocab {
    mbs_vocab v;
    char *text;          /* holds all tokens and the name */
    const char **tokens; /* v.size */
    int32_t *complement; /* v.size */
    uint8_t *decodable;  /* v.size */
    int32_t id[256];     /* id of a byte, BS_AMBIGUOUS or BS_NONE */
    uint8_t scored[256]; /* 1 for the letters of A C G T and U */
    char letter[4];      /* A C G T as decode writes them */
    int32_t letter_id[4];
} bs_vocab;

/* Chooses by the parameter `vocab`: auto, caduceus, songlab, or a file. */
mbs_status bs_vocab_load(bs_vocab *b, const mbs_host *host, const char *which);
void bs_vocab_free(bs_vocab *b, const mbs_host *host);

/* From tokens, one a line (the last may lack its end), or an error that names `what`. */
mbs_status bs_vocab_lines(bs_vocab *b, const mbs_host *host, const char *what, const char *text, size_t n);
/* Finishes b->v, tables and complement, once text and tokens are there. */
mbs_status bs_vocab_finish(bs_vocab *b, const mbs_host *host, const char *what);

/* folder.c: the vocabulary in the model's folder; MBS_END where the folder has none. */
mbs_status bs_folder_vocab(bs_vocab *b, const mbs_host *host);
/* special_tokens: auto. MBS_ERR_CONFIG where tokenizer_config.json of the folder says that tokens go around a record:
 * to leave them out in silence would give other numbers than the model's own tokenizer. */
mbs_status bs_folder_no_special(const mbs_host *host);
/* Whether the folder has a vocabulary. */
int bs_folder_has_vocab(const mbs_host *host);
/* Replaces the complement by complement_map of the folder's config.json, where there is one. */
mbs_status bs_folder_complement(bs_vocab *b, const mbs_host *host);

#endif
