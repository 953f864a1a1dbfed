/*
 * host.h - the table of everything that a plugin may ask of the host.
 *
 * Each instance gets its own table at create and keeps the pointer until destroy. A plugin has no undefined symbols of
 * the host: this is the only way in. The table grows at its tail; test MBS_HOST_HAS(host, field) for anything newer
 * than the minor version that the entry asks for.
 *
 * Threads: [control] = only inside create, open, close, destroy and the extension calls so marked; [stage] = inside any
 * call of this instance; [any] = from any thread, also the plugin's own, until destroy returns.
 */
#ifndef MAMBASEQ_HOST_H
#define MAMBASEQ_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/block.h"
#include "mambaseq/params.h"
#include "mambaseq/status.h"

#define MBS_LOGLEVEL_WARNING 1
#define MBS_LOGLEVEL_INFO 2
#define MBS_LOGLEVEL_DEBUG 3

/* host->output flags */
#define MBS_OUTPUT_FILE 0u    /* a file that the user asked for, or an index beside it */
#define MBS_OUTPUT_SCRATCH 1u /* a spool of the plugin's own: removed at the end, kept for --resume */

#if defined(__GNUC__)
#define MBS_ATTR_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define MBS_ATTR_PRINTF(a, b)
#endif

typedef struct mbs_host mbs_host;

struct mbs_host {
    uint32_t struct_size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved;

    /* A line on stderr, with the stage's name in front. [any] */
    void (*log)(const mbs_host *host, int32_t level, const char *fmt, ...) MBS_ATTR_PRINTF(3, 4);
    /* Tells why a call is about to fail and returns `status`, so that `return host->fail(...)` reads well. `param`
     * names the parameter at fault or is NULL. Text: lower case, no full stop, what happened, where in the input; the
     * host adds stage and place in the pipeline. The first message of a call wins; one before a call that then succeeds
     * is forgotten. [any] */
    mbs_status (*fail)(const mbs_host *host, mbs_status status, const char *param, const char *fmt, ...)
        MBS_ATTR_PRINTF(4, 5);
    /* What the user should do about it; printed after the error. Call before or after fail. [any] */
    void (*hint)(const mbs_host *host, const char *fmt, ...) MBS_ATTR_PRINTF(2, 3);

    /* Memory of the host, counted and checked by its tests. NULL where there is none. `realloc` as in C. [any] */
    void *(*alloc)(const mbs_host *host, size_t bytes);
    void *(*realloc)(const mbs_host *host, void *p, size_t bytes);
    void (*free)(const mbs_host *host, void *p);

    /* A block of `ndim` dimensions with room for shape[0] rows; shape[0] may be lowered by its maker afterwards. `type`
     * must be static. data is not cleared. NULL without memory. [any] */
    mbs_block *(*block_new)(const mbs_host *host, const char *type, int32_t dtype, int32_t ndim, const int64_t *shape);
    /* Adds a side channel for as many rows as the block was made for; returns its data (aligned to 64, not cleared), or
     * NULL without memory, for a name that is there already, or behind MBS_MAX_SIDES. `name` must be static. [any] */
    void *(*block_side)(const mbs_host *host, mbs_block *block, const char *name, int32_t dtype, int32_t width);
    mbs_block *(*block_ref)(const mbs_host *host, mbs_block *block); /* [any] */
    void (*block_unref)(const mbs_host *host, mbs_block *block);     /* NULL is fine. [any] */

    /* Values of this instance's parameters. A key that is not in the table, or of another type, is a plugin's mistake
     * and gives 0 or NULL and a log line. [any] */
    int32_t (*param_is_set)(const mbs_params *params, const char *key); /* told or defaulted */
    int32_t (*param_bool)(const mbs_params *params, const char *key);
    int64_t (*param_int)(const mbs_params *params, const char *key);  /* INT, SIZE */
    double (*param_float)(const mbs_params *params, const char *key); /* FLOAT, DURATION */
    /* STRING, PATH (resolved), ENUM; a value of any other type that is one of its `words` ("all" for a SIZE); else
     * NULL. A number that is such a word is 0 to param_int and param_float: ask for the word first. */
    const char *(*param_string)(const mbs_params *params, const char *key);
    int64_t (*param_count)(const mbs_params *params, const char *key); /* LIST, PATHS */
    const char *(*param_item)(const mbs_params *params, const char *key, int64_t i);

    /* Declares a file that this writer will make, and gives the path to write instead, valid until destroy: beside the
     * final place, renamed by the host when everything has succeeded. `path` may be "-": then *temp is NULL and the
     * plugin writes with stdout_write. For MBS_OUTPUT_SCRATCH `path` is the final file that it belongs to, and `suffix`
     * tells it from others. A refusal (the file exists, is an input, cannot be created) has set its error already:
     * return the status. [control: a writer's create and open only] */
    mbs_status (*output)(const mbs_host *host, const char *path, uint32_t flags, const char *suffix, const char **temp);
    /* Bytes to standard output. A reader that went away ends the program quietly. [stage] */
    mbs_status (*stdout_write)(const mbs_host *host, const void *data, size_t bytes);

    /* A file of the model's folder that belongs to the tokenizer (vocab.txt, tokenizer.json, tokenizer_config.json,
     * special_tokens_map.json, preprocessor_config.json, config.json): borrowed until close, with a NUL behind the last
     * byte. MBS_ERR_NOINPUT where there is no model or no such file; that sets no error. [control] */
    mbs_status (*model_file)(const mbs_host *host, const char *name, const char **data, size_t *bytes);

    /* How many threads of its own this instance may start; 0 is usual. [control] */
    int32_t (*helpers)(const mbs_host *host);
    /* Nonzero when the run is asked to stop: return MBS_ERR_STOPPED from long work. [any] */
    int32_t (*cancelled)(const mbs_host *host);

    /* Optional powers of the host by id, e.g. "mambaseq.clock/1"; NULL where it has none such. [any] */
    const void *(*get_extension)(const mbs_host *host, const char *id);
};

#define MBS_HOST_HAS(host, field)                                                                                      \
    ((host)->struct_size >= offsetof(mbs_host, field) + sizeof((host)->field) && (host)->field != 0)

#endif
