/*
 * kmer.h - stretches of k letters as tokens: the vocabulary, and the id of a stretch by its code of two bits a letter.
 */
#ifndef KM_KMER_H
#define KM_KMER_H

#include "text/folder/around.h"
#include "text/folder/lines.h"

#define KM_K_MAX 10
#define KM_SIZE_MAX (1 << 21)

typedef struct km_vocab {
    mbs_vocab v;
    tf_lines lines;
    tf_around around;
    int k;
    int32_t *id;         /* 4^k: A C G T are 0 to 3, the first letter counts most */
    int32_t *code;       /* v.size: the code of a token, -1: it is none of k letters */
    int32_t *complement; /* v.size */
    uint8_t *decodable;  /* v.size */
} km_vocab;

/* `which`: auto (the model's own, else generated), generated, or a file. k 0: as long as the vocabulary's. */
mbs_status km_vocab_load(km_vocab *m, const mbs_host *host, const char *which, int k);
void km_vocab_free(km_vocab *m, const mbs_host *host);
/* The files of ext/tokenizer.h. */
mbs_status km_vocab_files(const km_vocab *m, const mbs_host *host, int stride,
                          mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink);
/* 0 to 3; -1: not A C G T U, in either case. */
int km_letter(unsigned char c);

#endif
