/*
 * instance.h - one running plugin with the host table that belongs to it.
 *
 * Every call into a plugin goes through here: the state table of its header is kept, serial groups are locked, an error
 * is given its stage's name, what comes back is checked (a status without a message, a block that is not what the
 * descriptor promised, more rows than asked), so that a bad plugin is named instead of crashing what follows.
 */
#ifndef MBS_PLUG_INSTANCE_H
#define MBS_PLUG_INSTANCE_H

#include "base/err.h"
#include "base/output.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/edits.h"
#include "mambaseq/ext/tokenizer.h"
#include "mambaseq/plugin.h"

/* What the host table of an instance stands on; borrowed until mbs_instance_free. Any member may be NULL or 0. */
typedef struct mbs_host_env {
    mbs_outputs *outputs; /* where host->output declares files; NULL: refused */
    int force;            /* replace existing outputs */
    /* Lends a file of the model folder; MBS_ERR_NOINPUT where there is none. */
    mbs_status (*model_file)(void *ctx, const char *name, const char **data, size_t *bytes);
    void *model_ctx;
    int helpers;
    /* Nonzero where this request of the plugin for memory is to fail: for `plugin check`. */
    int (*refuse)(void *ctx);
    void *refuse_ctx;
    /* A reader or codec with `isolate` runs in a worker process (isolate.h): `worker` is the program that becomes it,
     * this one, as "/proc/self/exe". isolate_timeout: seconds for one call, 0: no end. */
    int isolate;
    double isolate_timeout;
    const char *worker;
    void (*log)(void *ctx, int32_t level, const char *text); /* inside the worker: where its words go; else NULL */
    void *log_ctx;
} mbs_host_env;

typedef struct mbs_instance mbs_instance;

/* Calls create. `params` is borrowed. `label` is how messages name it: "reader 'fasta'", or "writer.1 'table'". */
mbs_status mbs_instance_new(const mbs_descriptor *desc, const mbs_params *params, const mbs_host_env *env,
                            const char *label, mbs_instance **out, mbs_err *err);
/* Calls destroy. NULL is fine. */
void mbs_instance_free(mbs_instance *i);
int mbs_instance_can_checkpoint(const mbs_instance *i);
/* Appends to `out`. */
struct mbs_buf;
mbs_status mbs_instance_save(mbs_instance *i, struct mbs_buf *out, mbs_err *err);
mbs_status mbs_instance_restore(mbs_instance *i, const void *bytes, size_t n, mbs_err *err);
mbs_status mbs_instance_close(mbs_instance *i, mbs_err *err);

mbs_status mbs_reader_open(mbs_instance *i, const mbs_stream_header **header, mbs_err *err);
/* MBS_OK, MBS_END, MBS_AGAIN or an error. */
mbs_status mbs_reader_read(mbs_instance *i, int64_t max_rows, mbs_block **out, mbs_err *err);

/* ext/edits.h; edits.c. Whether this reader tells edits. */
int mbs_reader_has_edits(const mbs_instance *i);
mbs_status mbs_reader_want_edits(mbs_instance *i, uint32_t strands, int64_t follow, mbs_err *err);
/* MBS_OK, MBS_END or an error. */
mbs_status mbs_reader_next_edits(mbs_instance *i, int64_t before, mbs_block **out, mbs_err *err);

mbs_status mbs_codec_open(mbs_instance *i, const mbs_stream_header *in, mbs_err *err);
/* NULL without a codec (i is NULL) and for one without ids. */
const mbs_vocab *mbs_codec_vocab(mbs_instance *i);
/* What is fed around a record: nothing for NULL and for a vocabulary of interface 1.0. */
typedef struct mbs_around {
    const int32_t *before, *after;
    int32_t n_before, n_after;
} mbs_around;
mbs_around mbs_vocab_around(const mbs_vocab *v);
/* Whether this codec has files to give. */
int mbs_codec_has_files(const mbs_instance *i);
/* What the codec says of its ids in files (ext/tokenizer.h), each with its name, borrowed for the call; MBS_END where
 * it does not. A status of `put` that is not MBS_OK ends it and is given back. */
mbs_status mbs_codec_files(mbs_instance *i,
                           mbs_status (*put)(void *sink, const char *name, const void *bytes, size_t n), void *sink,
                           mbs_err *err);
mbs_status mbs_codec_encode(mbs_instance *i, const mbs_block *in, mbs_block **out, mbs_err *err);
mbs_status mbs_codec_decode(mbs_instance *i, const mbs_block *tokens, mbs_block **out, mbs_err *err);
mbs_status mbs_codec_drain(mbs_instance *i, mbs_block **out, mbs_err *err);

mbs_status mbs_writer_open(mbs_instance *i, const mbs_stream_header *header, mbs_err *err);
mbs_status mbs_writer_write(mbs_instance *i, const mbs_block *block, mbs_err *err);
mbs_status mbs_writer_drain(mbs_instance *i, mbs_err *err);

/* Asks a descriptor's library what `path` holds (ext/inspect.h); MBS_ERR_UNAVAILABLE where it cannot say. */
mbs_status mbs_descriptor_describe(const mbs_descriptor *desc, const char *path,
                                   void (*put)(void *sink, const char *key, const char *value), void *sink,
                                   mbs_err *err);

/* Blocks for core itself, the same as host->block_new and friends (blocks are counted by the host, not by instances).
 */
mbs_block *mbs_block_new(const char *type, int32_t dtype, int32_t ndim, const int64_t *shape);
void *mbs_block_side_new(mbs_block *b, const char *name, int32_t dtype, int32_t width);
const mbs_side *mbs_block_side_find(const mbs_block *b, const char *name);
mbs_block *mbs_block_ref(mbs_block *b);
void mbs_block_unref(mbs_block *b);
size_t mbs_dtype_size(int32_t dtype);
/* Copies a record (texts, attributes, a reference on origin) into memory of its own, counted from one. */
mbs_record *mbs_record_copy(const mbs_record *r);
mbs_record *mbs_record_ref(mbs_record *r);
void mbs_record_free(mbs_record *r); /* drops one reference; NULL is fine */
/* Sets b->record to a copy made by mbs_record_copy and keeps a reference on it for as long as the block lives. */
void mbs_block_hold_record(mbs_block *b, mbs_record *r);

#endif
