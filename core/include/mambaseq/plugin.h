/*
 * plugin.h - the entry of a plugin library: one constant, readable before any code of it runs.
 *
 * A library exports one data symbol, mbs_plugin_entry (MBS_PLUGIN_DEFINE makes it), that lists descriptors. `plugin:
 * fasta` in a reader's place opens mbsp_fasta.so and takes its descriptor of kind reader with id "fasta"; kinds are
 * separate name spaces, and one library may hold several kinds.
 *
 * Rules that keep plugins and hosts of different age together:
 *  - every struct begins with its size, tables grow at the tail, fields behind struct_size are not read;
 *  - the host takes an equal abi_major and any minor; min_host_minor is the oldest host the plugin can live with;
 *  - optional powers are extensions by string id with a revision ("mambaseq.checkpoint/1");
 *  - within a major nothing that was there moves, changes its meaning or goes away: what was built stays loadable. The
 *    rules are in CONTRIBUTING.md ("Change the plugin interface"), the promise in share/doc/plugins.md ("Versions").
 *
 * What a plugin never does: exit, abort, write to stdout or stderr, change signal handlers, locale, directory or umask,
 * keep a pointer behind its lifetime, or call one instance from two threads.
 *
 * What a plugin delivers is verified before anything else sees it: types and sizes of headers, records and blocks, row
 * counts, SEQ_START and SEQ_END, coordinates, token ids, statuses. A plugin that breaks its word ends the run with
 * MBS_ERR_INTERNAL and its name, never with a crash of something else.
 *
 * A reader in a page: share/doc/plugins.md. This header needs stdint.h and stddef.h only, and is C99 and C++11.
 */
#ifndef MAMBASEQ_PLUGIN_H
#define MAMBASEQ_PLUGIN_H

#include "mambaseq/block.h"
#include "mambaseq/codec.h"
#include "mambaseq/host.h"
#include "mambaseq/params.h"
#include "mambaseq/reader.h"
#include "mambaseq/status.h"
#include "mambaseq/writer.h"

#define MBS_ABI_MAJOR 1u
#define MBS_ABI_MINOR 1u

/* The oldest minor of a host that the plugin can live with. Define it before the first include of a plugin that calls
 * something newer than 1.0 without asking MBS_HOST_HAS. */
#ifndef MBS_MIN_HOST_MINOR
#define MBS_MIN_HOST_MINOR 0u
#endif

/* Kinds. */
#define MBS_KIND_READER 1
#define MBS_KIND_CODEC 2
#define MBS_KIND_WRITER 3
#define MBS_KIND_FILTER 4 /* reserved */

/* Flags of a descriptor. */
#define MBS_DESC_ISOLATE                                                                                               \
    1u /* reader, codec: decodes untrusted bytes with a library that was not made for it, and runs in a                \
        * process of its own unless the pipeline says `isolate: false` */
#define MBS_DESC_ORIGIN 2u /* writer: cannot do without the origin of records, so their reader may not be isolated */
#define MBS_DESC_NAMED 4u  /* codec: one of several for the same input, never taken by a pipeline that names none */
#define MBS_DESC_LOSSY 8u  /* codec: what it decoded becomes other tokens when it is encoded again */

/* One thing that a library offers. All texts are static. */
typedef struct mbs_descriptor {
    uint32_t struct_size;
    int32_t kind;             /* MBS_KIND_... */
    const char *id;           /* "fasta", as in mbsp_fasta.so; third parties "org.lab.fasta". [a-z0-9][a-z0-9_.-]* */
    const char *version;      /* "1.2.0" */
    const char *licence;      /* SPDX, "MIT" */
    const char *summary;      /* one line */
    const char *accepts;      /* types, blank between: codec and writer. "*": any. NULL for a reader */
    const char *produces;     /* type: reader and codec. NULL for a writer */
    const char *decodes;      /* codec: type that decode makes, or NULL */
    const char *suffixes;     /* file name endings, blank between, ".fa .fa.gz", or NULL */
    const char *serial_group; /* instances of one group are never called at the same time ("hdf5"), or NULL */
    uint32_t n_params;
    uint32_t flags; /* MBS_DESC_... */
    const mbs_param *params;
    const void *vt; /* mbs_reader_vt, mbs_codec_vt or mbs_writer_vt */
} mbs_descriptor;

typedef struct mbs_plugin_entry_table {
    uint32_t struct_size;
    uint32_t abi_major;
    uint32_t abi_minor;      /* of the header that the plugin was compiled with */
    uint32_t min_host_minor; /* oldest host minor that it can live with: an older host refuses it and says so */
    uint32_t n_descriptors;
    uint32_t reserved;
    const mbs_descriptor *const *descriptors;
    const char *library; /* name and version of what it wraps, "htslib 1.16", or NULL */
} mbs_plugin_entry_table;

#define MBS_PLUGIN_SYMBOL "mbs_plugin_entry"

#if defined(__GNUC__)
#define MBS_EXPORT __attribute__((visibility("default")))
#else
#define MBS_EXPORT
#endif
#ifdef __cplusplus
#define MBS_EXTERN_C extern "C"
#else
#define MBS_EXTERN_C extern
#endif

/* MBS_PLUGIN_DEFINE(fasta, descriptors, "htslib 1.16"): `descriptors` is an array of pointers. With MBS_PLUGIN_STATIC
 * the entry is called mbs_plugin_entry_<name>, so that several plugins fit into one program (tests, fuzzers). */
#ifdef MBS_PLUGIN_STATIC
#define MBS_PLUGIN_ENTRY_NAME(name) mbs_plugin_entry_##name
#else
#define MBS_PLUGIN_ENTRY_NAME(name) mbs_plugin_entry
#endif
#define MBS_PLUGIN_DEFINE(name, list, lib)                                                                             \
    MBS_EXTERN_C MBS_EXPORT const mbs_plugin_entry_table MBS_PLUGIN_ENTRY_NAME(name);                                  \
    const mbs_plugin_entry_table MBS_PLUGIN_ENTRY_NAME(name) = {(uint32_t)sizeof(mbs_plugin_entry_table),              \
                                                                MBS_ABI_MAJOR,                                         \
                                                                MBS_ABI_MINOR,                                         \
                                                                MBS_MIN_HOST_MINOR,                                    \
                                                                (uint32_t)(sizeof(list) / sizeof((list)[0])),          \
                                                                0u,                                                    \
                                                                list,                                                  \
                                                                lib}

#endif
