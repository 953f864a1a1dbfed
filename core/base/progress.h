/*
 * progress.h - how far a run is: a bar with records, tokens/s and ETA on a terminal, or one JSON object a line.
 * Nothing is shown unless asked or stderr is a terminal; at most ten updates a second.
 */
#ifndef MBS_BASE_PROGRESS_H
#define MBS_BASE_PROGRESS_H

#include <stdint.h>

typedef enum mbs_progress_mode {
    MBS_PROGRESS_AUTO = 0, /* a bar where stderr is a terminal and -q was not given */
    MBS_PROGRESS_ALWAYS = 1,
    MBS_PROGRESS_NEVER = 2,
    MBS_PROGRESS_JSON = 3 /* {"event":"progress","records":n,"tokens":n,"tokens_per_s":x|null,"total_tokens":n|null,
                           * "eta_s":x|null} */
} mbs_progress_mode;

typedef struct mbs_progress mbs_progress;
/* total < 0: not known. `unit` is a word such as "tokens" or "bases". NULL without memory, which all calls here take.
 */
mbs_progress *mbs_progress_new(mbs_progress_mode mode, const char *unit, int64_t total);
/* What `records` count, "record" unless told: "step" shows "12 steps", and "steps":12 in JSON. */
void mbs_progress_counts(mbs_progress *p, const char *what);
/* A number to show beside, "loss 1.3421", and as a key of the JSON; a later call replaces it. NaN: nothing. */
void mbs_progress_note(mbs_progress *p, const char *name, double value);
/* The first call says where the run begins (a resumed one not at 0): speed is counted from there. */
void mbs_progress_update(mbs_progress *p, int64_t records, int64_t done);
/* Wipes the bar; JSON mode prints {"event":"done","records":n,"tokens":n,"tokens_per_s":x|null,"seconds":x}. */
void mbs_progress_finish(mbs_progress *p);
void mbs_progress_free(mbs_progress *p);

#endif
