/*
 * files.h - tokenizer files as transformers reads them, for codecs that say what their ids are (ext/tokenizer.h).
 */
#ifndef TF_FILES_H
#define TF_FILES_H

#include "mambaseq/codec.h"
#include "mambaseq/ext/tokenizer.h"

/* A text that grows; what fails for want of memory is told by tf_text_give. */
typedef struct tf_text {
    const mbs_host *host;
    char *data;
    size_t n, room;
    int failed;
} tf_text;

void tf_text_put(tf_text *t, const char *text);
void tf_text_number(tf_text *t, long long value);
/* UTF-8 as a JSON string. */
void tf_text_json(tf_text *t, const char *text);
/* Gives the text as a file and frees it; does neither give nor forget a status that is not MBS_OK. */
mbs_status tf_text_give(tf_text *t, const char *name, mbs_status st,
                        mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink);

/* The tokens in brackets as a list of added tokens, which are never made of text: `[` to `]`. */
void tf_text_special(tf_text *t, const mbs_vocab *v);
/* tokenizer_config.json of a tokenizer that tokenizer.json says whole, with those of [UNK], [PAD], [CLS], [SEP] and
 * [MASK] that there are. */
void tf_text_config(tf_text *t, const mbs_vocab *v);

/* tokenizer.json of words that are tokens as they stand (WordLevel). */
typedef struct tf_words {
    const mbs_vocab *v;
    const char (*replace)[2][2]; /* letters that another stands for: {"u", "T"} */
    int n_replace;
    const char *splitter; /* the pre_tokenizer, as JSON */
    /* How token i is written; NULL: as it stands. */
    void (*put_token)(const void *ctx, int32_t i, tf_text *t);
    const void *ctx;
} tf_words;
void tf_text_words(tf_text *t, const tf_words *w);
/* vocab.txt. */
void tf_text_lines(tf_text *t, const mbs_vocab *v);

#endif
