/*
 * rig.h - one instance under test with everything around it: parameters, made-up input, outputs, memory that can be
 * refused. A codec and a writer are fed, a reader reads the sample.
 */
#ifndef MBS_PLUG_CHECK_RIG_H
#define MBS_PLUG_CHECK_RIG_H

#include "base/output.h"
#include "plug/check/feed.h"
#include "plug/check/impl.h"
#include "plug/check/tape.h"
#include "plug/instance.h"

#define MBS_RIG_MOST_ROWS ((int64_t)1 << 20) /* of a long sample no more is read */

typedef struct mbs_rig_how {
    int64_t rows;         /* of a block; 0: whole */
    const char *path;     /* reader: instead of the sample */
    int type;             /* writer: which of the types that it accepts */
    mbs_feed_style style; /* of what is made up */
    const char *key;      /* one parameter more, with its text */
    const char *value;
    const char *folder;     /* writer: below the test's own; NULL: a new one */
    long refuse_at;         /* this request for memory is refused, counted from 1; 0: none */
    int64_t most;           /* reader: rows after which the stream is left; 0: MBS_RIG_MOST_ROWS */
    uint64_t seed;          /* added to the seed of what is made up */
    const mbs_buf *restore; /* taken up from this place; a writer's files are there */
    int bare;               /* the tape has names and rows only */
} mbs_rig_how;

typedef struct mbs_rig {
    mbs_check *c;
    mbs_rig_how how;
    mbs_params *params;
    mbs_instance *i;
    mbs_outputs *outputs;
    const mbs_stream_header *header; /* of a reader */
    mbs_feed feed;                   /* of a codec or writer */
    int fed;                         /* the feed was opened */
    char *text;                      /* the sample of a codec */
    size_t text_len;
    mbs_tape tape;
    mbs_err err;
    long requests; /* for memory, so far */
    int refused;   /* one was */
    int open, ended, closed;
} mbs_rig;

/* Whether an instance can be made at all (required parameters are there), and whether it can be run (there is a sample
 * where one is needed, and a type that can be made up). Else the test is not checked, with the reason; returns 0. */
int mbs_rig_creatable(mbs_check *c);
int mbs_rig_ready(mbs_check *c);
/* What a codec is fed: everything its type allows, or plainer where it refuses that. */
mbs_feed_style mbs_rig_style(mbs_check *c);
/* Each of these gives the status of the plugin, with words in r->err. new prepares and calls create; free may follow
 * at any time. */
mbs_status mbs_rig_new(mbs_check *c, const mbs_rig_how *how, mbs_rig *r);
mbs_status mbs_rig_open(mbs_rig *r);
/* One call that reads, encodes, writes or drains: MBS_OK, MBS_END when the stream is over, or an error. */
mbs_status mbs_rig_step(mbs_rig *r);
mbs_status mbs_rig_close(mbs_rig *r);
void mbs_rig_free(mbs_rig *r);
/* new, open, steps, close. MBS_OK or the first error. */
mbs_status mbs_rig_whole(mbs_check *c, const mbs_rig_how *how, mbs_rig *r);
/* The same; a failure is the test's failure. Nonzero then. */
int mbs_rig_must(mbs_check *c, const mbs_rig_how *how, mbs_rig *r);
/* The plugin broke its word, or failed without a word. */
int mbs_rig_broke(const mbs_rig *r);
int mbs_rig_silent(const mbs_rig *r);
/* What r->err says, on one line. Valid until the next call. */
const char *mbs_rig_line(mbs_rig *r);
/* Types that a writer is tested with; 1 for the other kinds. */
int mbs_rig_types(const mbs_check *c);
/* The row that names the input of a reader, or the output of a writer; NULL where there is none. */
const mbs_param *mbs_rig_path_row(const mbs_descriptor *d);
/* Pieces of memory that are out at this moment, with none kept for reuse. */
int64_t mbs_rig_live(void);

#endif
