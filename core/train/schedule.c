#include "train/schedule.h"

#include <math.h>

#define PI 3.14159265358979323846

static int64_t warmup_steps(const mbs_train_recipe *r) {
    return r->warmup < 1 ? llround(r->warmup * (double)r->steps) : llround(r->warmup);
}

double mbs_schedule_lr(const mbs_train_recipe *r, int64_t step) {
    int64_t rise = warmup_steps(r);
    if (step <= rise) {
        return r->lr * (double)step / (double)rise;
    }
    double part = r->steps > rise ? (double)(step - rise) / (double)(r->steps - rise) : 1;
    part = part < 1 ? part : 1;
    switch (r->decay) {
    case MBS_DECAY_COSINE:
        return r->min_lr + (r->lr - r->min_lr) * 0.5 * (1 + cos(PI * part));
    case MBS_DECAY_LINEAR:
        return r->min_lr + (r->lr - r->min_lr) * (1 - part);
    case MBS_DECAY_CONSTANT:
        break;
    }
    return r->lr;
}

/* A share such as 0.6 is a little more or less than it says. */
int64_t mbs_schedule_first(const mbs_train_recipe *r, int64_t window) {
    return (int64_t)ceil(r->window_from[window] * (double)r->steps - 1e-6) + 1;
}

int64_t mbs_schedule_window(const mbs_train_recipe *r, int64_t step) {
    int64_t window = 0;
    for (int64_t i = 1; i < r->n_windows; i++) {
        window = step >= mbs_schedule_first(r, i) ? i : window;
    }
    return window;
}

int64_t mbs_schedule_sequences(const mbs_train_recipe *r, int64_t step) {
    return r->batch_tokens / r->window[mbs_schedule_window(r, step)];
}

int64_t mbs_schedule_before(const mbs_train_recipe *r, int64_t step) {
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_windows; i++) {
        int64_t from = i > 0 ? mbs_schedule_first(r, i) : 1;
        int64_t to = i + 1 < r->n_windows ? mbs_schedule_first(r, i + 1) : step;
        to = to < step ? to : step;
        n += to > from ? (to - from) * (r->batch_tokens / r->window[i]) : 0;
    }
    return n;
}
