#include "run/task.h"

/* What a call may give at once, in floats, and how many rows it may have. A block of so much is still kept for the next
 * one (plug/slab.h). */
#define MOST_FLOATS (((int64_t)4 << 20) - 4096)
#define MOST_ROWS 4096
#define FIRST_ROWS 32
/* Seconds: a call that is expected to stay below may be made; one that took longer is made smaller. */
#define EXPECTED 0.2
#define TOO_LONG 0.4

/* So many tiles of a device go into a call, so that what the next one needs travels while this one is computed. */
#define DEVICE_TILES 4

mbs_status mbs_task_feed(mbs_session *s, const int32_t *ids, int64_t n, int64_t rows, const mbs_run_out *out,
                         mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int64_t at = 0; at < n && st == MBS_OK; at += rows) {
        st = mbs_session_run(s, ids + at, n - at < rows ? n - at : rows, out, err);
    }
    return st;
}

void mbs_pace_init(mbs_pace *p, int64_t width, const mbs_model *m) {
    const mbk_pace *device = mbs_model_pace(m);
    int64_t max = MOST_FLOATS / width;
    p->fixed = device->halvings > 0;
    if (p->fixed) {
        int64_t most = DEVICE_TILES * device->most;
        max = (max < most ? max : most) / device->unit * device->unit;
        p->rows = p->max = max > device->unit ? max : device->unit;
        return;
    }
    p->max = max < 16 ? 16 : max > MOST_ROWS ? MOST_ROWS : max;
    p->rows = p->max < FIRST_ROWS ? p->max : FIRST_ROWS;
}

void mbs_pace_took(mbs_pace *p, int64_t rows, double seconds) {
    /* A row of a small call costs more than one of a large call: what this expects is too much rather than too little.
     */
    double twice = seconds / (double)rows * (double)p->rows * 2;
    if (p->fixed) {
        return;
    }
    if (twice < EXPECTED && p->rows < p->max) {
        p->rows = p->rows * 2 < p->max ? p->rows * 2 : p->max;
    } else if (seconds > TOO_LONG && p->rows > 1) {
        p->rows /= 2;
    }
}
