/*
 * block.h - what travels between stages: a stream header once, then records in blocks.
 *
 *   header   sources (files) and contigs (names and lengths, where known), unit, rate, attributes
 *   record   one sequence, read, region or recording
 *   block    rows of one record, in order; the first carries MBS_SEQ_START, the last MBS_SEQ_END (maybe the same, maybe
 *            without rows)
 *
 * Coordinates are 0-based half-open, in units of the source (bases, samples), signed 64-bit.
 *
 * Type names: "bases/u8" (letters), "text/u8" (bytes of text), "pcm/f32" (samples x channels), "tokens/i32",
 * "frames/f32", "rows/f32", "score/f32" (rows x 1, natural log-probability), "scores/f32" (rows x 2: of each of two
 * models, which the attribute "models" names), "logits/f32" (rows x vocabulary), "embedding/f32" (rows x width),
 * "class/f32" (1 x classes), "variant/f32", "mutate/f32" (positions x letters), "edits" (see below), "verbatim/u8" (all
 * bytes of a file), "code/u8" (what task compress makes of it). "*" in a descriptor accepts any type.
 */
#ifndef MAMBASEQ_BLOCK_H
#define MAMBASEQ_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Element types. */
#define MBS_U8 1
#define MBS_I32 2
#define MBS_I64 3
#define MBS_F32 4
#define MBS_F64 5

/* A named text, e.g. {"model_sha256", "9f..."}. */
typedef struct mbs_attr {
    const char *key;
    const char *value;
} mbs_attr;

/* One input file. */
typedef struct mbs_source {
    const char *path; /* as the user wrote it */
} mbs_source;

/* One sequence of the reference: what VCF, BAM and bigWig want to know before the first record. */
typedef struct mbs_contig {
    const char *name;
    int64_t length; /* -1: not known */
} mbs_contig;

/* Opens a stream. Made by the reader; the host adds attributes on the way. Borrowed from whoever made it until its
 * close. `attrs` of the header that a writer gets hold, among others: format, mambaseq_version, pipeline, model_sha256,
 * input, task, codec, vocab, arithmetic, dtype. Every one of them is safe to store: none depends on time, threads or
 * chunk. */
typedef struct mbs_stream_header {
    uint32_t struct_size;
    uint32_t reserved;
    const char *type;  /* of the blocks to come */
    const char *unit;  /* "base", "sample", "token" */
    double rate;       /* units per second, 0 where the unit is not time */
    int64_t channels;  /* columns of a pcm row, 1 elsewhere */
    int64_t n_records; /* -1: not known */
    int64_t n_units;   /* over all records, -1: not known */
    int64_t n_sources;
    const mbs_source *sources;
    int64_t n_contigs;
    const mbs_contig *contigs;
    int64_t n_attrs;
    const mbs_attr *attrs;
} mbs_stream_header;

/* Something of a reader's library that rides untouched to a writer of the same library: the BAM or VCF record itself.
 * Counted by its maker; the host only calls ref and unref, from any thread. A writer looks at `data` only where
 * `library` is a name that it knows. */
typedef struct mbs_origin {
    uint32_t struct_size;
    uint32_t reserved;
    const char *library; /* "htslib/bam1_t", static */
    void *data;
    void (*ref)(struct mbs_origin *self);   /* [any] */
    void (*unref)(struct mbs_origin *self); /* [any] */
} mbs_origin;

typedef struct mbs_record {
    uint32_t struct_size;
    int32_t strand;          /* '+', '-', or '.' where it means nothing */
    int64_t index;           /* ordinal in the stream, from 0 */
    int64_t source;          /* index into the header's sources */
    const char *name;        /* "chr1", never NULL */
    const char *description; /* rest of the header line, or NULL */
    const char *label;       /* class label, or NULL */
    int64_t start;           /* of the first unit that is written */
    int64_t length;          /* units that are written, -1: not known */
    int64_t context;         /* units delivered before `start`: the model sees them, writers do not (flank) */
    int64_t n_attrs;
    const mbs_attr *attrs; /* in use: contig; speaker; copy ("0": as it is) and original (what copies have in common) */
    mbs_origin *origin;    /* or NULL */
} mbs_record;

/* Flags of a block. */
#define MBS_SEQ_START 1u /* first block of its record */
#define MBS_SEQ_END 2u   /* last block of its record */

/* A named companion of the rows: `width` elements of `dtype` for each row. Names in use: "quality" (u8), "mask" (u8, 1
 * = soft-masked), "scored" (u8, 0 = this row is not scored), "interval" (i64 x 2, start and end of each row where rows
 * do not have one width), "target" (i32: of tokens, the id that the model's output at this token has to be, -1 where
 * nothing is asked; training learns these, eval counts how many are right), "verbatim" (u8: of tokens, how each was
 * spelled, and of a token < 0 the byte itself: what a codec needs to write the same bytes again). */
typedef struct mbs_side {
    const char *name; /* static */
    int32_t dtype;
    int32_t width;
    void *data;
} mbs_side;

#define MBS_MAX_DIMS 4
#define MBS_MAX_SIDES 8

/* Made by host->block_new, counted, freed by the host with the last unref. An argument that goes in is borrowed until
 * the call returns (take a reference to keep it); one that comes out belongs to the receiver. The one who made a block
 * may write to it until it is handed on; after that nobody does.
 *
 * "bases" and "tokens" have one dimension; "pcm" (rows x channels), "edits" and what a model makes have two. Token
 * blocks: a token < 0 is a row without input (policy `skip`): it has its coordinate, the model does not see it.
 * "edits": dtype i64, n x 3: position, units removed, index of the inserted tokens in side channel "inserted" (i32). */
typedef struct mbs_block {
    uint32_t struct_size;
    uint32_t flags;   /* MBS_SEQ_... */
    const char *type; /* static */
    int32_t dtype;
    int32_t ndim;
    int64_t shape[MBS_MAX_DIMS]; /* shape[0] rows */
    void *data;                  /* rows, C order, aligned to 64 */
    const mbs_record *record;    /* from a reader: borrowed until its next read; downstream: the host's copy */
    int64_t start;               /* source coordinate of the first row */
    int64_t end;                 /* behind the last row */
    int32_t n_sides;
    int32_t reserved;
    mbs_side sides[MBS_MAX_SIDES];
} mbs_block;

#endif
