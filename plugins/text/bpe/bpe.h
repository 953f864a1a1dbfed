/*
 * bpe.h - a byte-level BPE tokenizer as tokenizer.json describes it: added tokens, NFC, words, merges.
 */
#ifndef BP_BPE_H
#define BP_BPE_H

#include "mambaseq/plugin.h"
#include "text/folder/around.h"

#define BP_IDS_MAX (1 << 24)
#define BP_WORD_MAX ((size_t)4 << 20) /* bytes without a place to cut */

typedef struct bp_merge {
    uint64_t pair; /* left << 32 | right; 0 with rank -1: empty */
    int32_t rank;
    int32_t id;
} bp_merge;

typedef struct bp_added {
    const char *text;
    size_t len;
    int32_t id;
} bp_added;

typedef struct bp_bytes {
    size_t at; /* in `pool` */
    size_t len;
    size_t text; /* in `text`: as the file writes it */
} bp_bytes;

/* A file that the vocabulary was read from, or that stood beside it. */
typedef struct bp_file {
    char *data; /* ends in a NUL; NULL: there is none */
    size_t n;
} bp_file;

typedef struct bp_model {
    mbs_vocab v;
    char *name;
    const char **tokens; /* v.size texts, as the file writes them */
    uint8_t *decodable;
    bp_bytes *bytes; /* v.size: what each id stands for */
    unsigned char *pool;
    size_t pool_len, pool_cap;
    char *text; /* of the tokens */
    size_t text_len, text_cap;
    int32_t byte_id[256];
    bp_merge *merges; /* hash table */
    size_t n_slots;   /* a power of two */
    bp_added *added;  /* longest first */
    int32_t n_added;
    size_t added_max;
    uint8_t first[256]; /* 1: an added token begins with this byte */
    int nfc;
    tf_around around;
    /* Of a vocabulary that is named, not the folder's; the last two where the first is called tokenizer.json. */
    bp_file tokenizer, config, special_map;
    int special; /* special_tokens: auto */
} bp_model;

/* load.c. `which`: "auto" (tokenizer.json of the model's folder) or a file; tokenizer_config.json is that beside the
 * file, where there is none that of the model's folder. */
mbs_status bp_load(bp_model *m, const mbs_host *host, const char *which, int special);
void bp_free(bp_model *m, const mbs_host *host);
/* NULL: no JSON, none at all, or without memory. */
struct json_object *bp_parse(const char *data, size_t bytes);
/* files.c: the files of ext/tokenizer.h; none of a vocabulary that is the folder's own. */
mbs_status bp_files(const bp_model *m, const mbs_host *host,
                    mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink);

/* split.c: bytes of the next word at p; 0 where more has to be seen first. `final`: nothing follows `end`. */
size_t bp_next_word(const unsigned char *p, const unsigned char *end, int final);

/* merge.c: scratch for words. */
typedef struct bp_node {
    int32_t id, prev, next, len;
} bp_node;
typedef struct bp_step {
    int32_t rank, at, left, right;
} bp_step;
typedef struct bp_room {
    bp_node *nodes;
    bp_step *heap;
    size_t cap;
} bp_room;
/* Ids of a word: nodes from 0 by `next` (-1: the end), with `len` bytes each. 0 without memory. */
int bp_merge_word(const bp_model *m, const mbs_host *host, bp_room *room, const unsigned char *p, size_t n);

#endif
