/*
 * impl.h - the inside of `plugin check`: what a test gets, what it may say, and what the process that waits for it
 * sees.
 */
#ifndef MBS_PLUG_CHECK_IMPL_H
#define MBS_PLUG_CHECK_IMPL_H

#include "base/buf.h"
#include "plug/check/check.h"

#define MBS_CHECK_MAX_OFFERS 64

/* One descriptor as the waiting process knows it, which has not loaded the library. */
typedef struct mbs_check_offer {
    int32_t kind;
    char id[80];
} mbs_check_offer;

/* Lies in memory that the test's process shares with the one that waits. Texts from there are never trusted to end. */
typedef struct mbs_check_board {
    int done;       /* the test came to its end */
    int verdict;    /* mbs_check_verdict */
    char at[64];    /* the call into the plugin at this moment */
    char note[128]; /* what for: "cut after byte 17" */
    char what[2048];
    int n_offers; /* from abi.tables */
    mbs_check_offer offers[MBS_CHECK_MAX_OFFERS];
    char stranger[512]; /* what is wrong with a --param */
} mbs_check_board;

/* What of the process a plugin must leave as it was. */
typedef struct mbs_check_process {
    char cwd[4096];
    uint64_t environment; /* hash */
    char locale[256];
    unsigned umask;
    uint64_t handlers; /* hash of what each signal does */
    uint64_t masked;   /* hash of the signals that are blocked */
    int rounding;
    int flushes_denormals;
    int threads;
    int fds;
} mbs_check_process;

typedef struct mbs_check {
    const mbs_check_options *o;
    const mbs_check_test *test;
    const char *path;                    /* real path of the library */
    const char *folder;                  /* empty, for this test alone */
    const mbs_plugin_entry_table *entry; /* once loaded */
    const mbs_descriptor *desc;          /* of a test of one descriptor */
    mbs_check_board *board;
    int n_outputs;                   /* folders made for the files of writers */
    const mbs_check_process *before; /* as it was before the library was loaded */
} mbs_check;

/* What comes of the test; the first word wins, silence is a pass. Return value: 0, so that `return` reads well. */
int mbs_check_fail(mbs_check *c, const char *fmt, ...) MBS_PRINTF(2, 3);
int mbs_check_skip(mbs_check *c, const char *fmt, ...) MBS_PRINTF(2, 3);
int mbs_check_decided(const mbs_check *c);
/* Where the plugin is about to be, and what for: read where the test dies. */
void mbs_check_at(mbs_check *c, const char *call);
void mbs_check_note(mbs_check *c, const char *fmt, ...) MBS_PRINTF(2, 3);

void mbs_check_process_look(mbs_check_process *p);
/* Words for the first difference ("the working directory was changed"), or NULL. Threads and fds are not compared. */
const char *mbs_check_process_differs(const mbs_check_process *a, const mbs_check_process *b);
/* Entries of a folder of /proc/self, -1 where it cannot be read. */
int mbs_check_count(const char *folder);

typedef void (*mbs_check_fn)(mbs_check *c);
/* The function of a test. */
mbs_check_fn mbs_check_function(const mbs_check_test *test);

/* file.c, load.c */
void mbs_check_load_place(mbs_check *c);
void mbs_check_abi_machine(mbs_check *c);
void mbs_check_abi_symbol(mbs_check *c);
void mbs_check_abi_undefined(mbs_check *c);
void mbs_check_load_open(mbs_check *c);
void mbs_check_abi_version(mbs_check *c);
void mbs_check_abi_tables(mbs_check *c);
void mbs_check_load_time(mbs_check *c);
/* Loads the library and, where the test has one, finds its descriptor again; nonzero where it cannot. */
int mbs_check_load(mbs_check *c, int32_t kind, const char *id);

/* tables.c */
void mbs_check_ids_unknown(mbs_check *c);
void mbs_check_params_defaults(mbs_check *c);
void mbs_check_params_range(mbs_check *c);
/* life.c */
void mbs_check_life_order(mbs_check *c);
void mbs_check_life_many(mbs_check *c);
void mbs_check_life_cancel(mbs_check *c);
/* data.c */
void mbs_check_data_whole(mbs_check *c);
void mbs_check_data_chunks(mbs_check *c);
void mbs_check_data_interleaved(mbs_check *c);
void mbs_check_data_roundtrip(mbs_check *c);
void mbs_check_checkpoint(mbs_check *c);
/* damage.c */
void mbs_check_data_truncated(mbs_check *c);
void mbs_check_data_random(mbs_check *c);
void mbs_check_fault_alloc(mbs_check *c);
void mbs_check_errors_message(mbs_check *c);
/* files.c */
void mbs_check_writer_outputs(mbs_check *c);
void mbs_check_writer_full(mbs_check *c);
/* No file grows beyond that many bytes (-1: any); 0 where this cannot be had. */
int mbs_check_limit_files(int64_t bytes);
/* process.c */
void mbs_check_process_quiet(mbs_check *c);
void mbs_check_process_state(mbs_check *c);
void mbs_check_process_threads(mbs_check *c);

/* child.c: runs fn in a process of its own (or here, with in_process) and fills the board. MBS_ERR_STOPPED when asked
 * to stop. */
mbs_status mbs_check_child(mbs_check *c, mbs_check_fn fn, int32_t kind, const char *id, mbs_err *err);

#endif
