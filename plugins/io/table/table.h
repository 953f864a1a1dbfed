/*
 * table.h - the parts of the table writer: its state, and what each kind of block becomes.
 */
#ifndef MBS_TABLE_TABLE_H
#define MBS_TABLE_TABLE_H

#include "cells.h"
#include "io/rowfile/piece.h"
#include "io/rowfile/span.h"
#include "io/rowfile/spool.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"

/* What a line is. */
typedef enum mbs_table_kind {
    MBS_TABLE_ROWS = 1, /* a line for each row: logits, embedding, anything else */
    MBS_TABLE_CLASS,    /* a line for each row: label and probabilities */
    MBS_TABLE_EDIT,     /* a line for each row: an edit and what it does to the likelihood */
    MBS_TABLE_SCORE,    /* a line for each record or piece: sums; of two models both, and their odds */
    MBS_TABLE_SEQUENCE, /* a line for each record: the generated letters */
    MBS_TABLE_LETTERS,  /* a line for each record: counts of letters */
    MBS_TABLE_TOKENS    /* a line for each record: how many */
} mbs_table_kind;

#define MBS_LETTER_KINDS 6 /* A C G T N other */

/* What is kept between blocks. Plain values: a checkpoint is this and the letters of the open record. */
typedef struct mbs_table_counts {
    int64_t version;
    int64_t length; /* bytes in the file */
    int64_t header_done;
    mbs_row_shape shape;
    mbs_span span;
    int64_t scored;
    double sum; /* of the scored log-probabilities, in row order */
    int64_t letters[MBS_LETTER_KINDS];
    int64_t sequence; /* bytes that follow in the checkpoint */
    mbs_piece piece;  /* of score: a line for each, instead of one for the record */
    double second;    /* two models: sum of the second, of the record or piece at hand */
} mbs_table_counts;

typedef struct mbs_table {
    const mbs_host *host;
    const mbs_params *params;
    const char *path; /* as the user wrote it */
    int header;       /* TSV: write the line of names */
    const mbs_stream_header *stream;
    mbs_table_kind kind;
    const char *array;         /* JSON key of a row's values */
    const char *prefix;        /* TSV names of a row's values: e0, e1, ... */
    char bits_key[64];         /* "bits_per_base" */
    char score_key[2][2][112]; /* names of the columns of a model: bits_key and "perplexity", of two models
                                  "coli.perplexity" */
    int models;                /* how many have scored */
    const char *columns;       /* edits: attributes of a record that get a column, with tabs between, or NULL */
    const char *labels;        /* names of classes with tabs between, or NULL */
    const char *ran[2];        /* values of the last columns: arithmetic, dtype; NULL where no model ran */
    int generated;             /* task generate: the last columns tell how likely it was */
    int restored;
    mbs_table_counts at;
    mbs_text sequence; /* letters of the open generated record */
    mbs_cells cells;
    mbs_spool out;
    int64_t flushed_ms; /* standard output: when it was flushed last */
    int64_t wrote_ms;   /* when rows came last */
} mbs_table;

/* rows.c: takes a block whose shape was checked and that was added to the span. */
mbs_status mbs_table_header_line(mbs_table *t);
mbs_status mbs_table_block(mbs_table *t, const mbs_block *block);
void mbs_table_choose(mbs_table *t); /* kind and names, from the stream's header */

/* edits.c: the names, and the cells of row i behind its place. */
void mbs_table_edit_names(mbs_table *t);
mbs_status mbs_table_edit_cells(mbs_table *t, const mbs_block *block, int64_t i);

/* checkpoint.c */
extern const mbs_ext_checkpoint mbs_table_checkpoint;

#endif
