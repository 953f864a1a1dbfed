#include "labels.h"

/* Keeps those that are complete in the order of their beginnings. */
static mbs_status hold(lb_writer *w, const lb_event *e) {
    if (w->at.n_held == w->cap_held) {
        int64_t cap = w->cap_held ? w->cap_held * 2 : 16;
        lb_event *grown = w->host->realloc(w->host, w->held, (size_t)cap * sizeof(*grown));
        if (!grown) {
            return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for %lld events", (long long)cap);
        }
        w->held = grown;
        w->cap_held = cap;
    }
    int64_t i = w->at.n_held++;
    for (; i > 0 &&
           (w->held[i - 1].start > e->start || (w->held[i - 1].start == e->start && w->held[i - 1].label > e->label));
         i--) {
        w->held[i] = w->held[i - 1];
    }
    w->held[i] = *e;
    return MBS_OK;
}

/* Writes what no event that goes on, or waits, can come before. */
static mbs_status release(lb_writer *w) {
    int64_t n = 0;
    mbs_status st = MBS_OK;
    int64_t first = INT64_MAX;
    for (int64_t k = 0; k < w->at.n_classes; k++) {
        const lb_class *c = &w->classes[k];
        first = (c->open || c->waiting) && c->event.start < first ? c->event.start : first;
    }
    while (st >= 0 && n < w->at.n_held && w->held[n].start < first) {
        st = lb_format_event(w, &w->held[n++]);
    }
    for (int64_t i = n; i < w->at.n_held; i++) {
        w->held[i - n] = w->held[i];
    }
    w->at.n_held -= n;
    return st;
}

static mbs_status settle(lb_writer *w, lb_class *c) {
    c->open = c->waiting = 0;
    double seconds = (double)(c->event.end - c->event.start) / w->rate;
    return seconds >= w->min_duration ? hold(w, &c->event) : MBS_OK;
}

mbs_status lb_events_row(lb_writer *w, const float *prob, int64_t start, int64_t end) {
    mbs_status st = MBS_OK;
    for (int64_t k = 0; k < w->at.n_classes && st >= 0; k++) {
        lb_class *c = &w->classes[k];
        double p = (double)prob[k];
        if (c->waiting && (double)(start - c->event.end) / w->rate > w->max_gap) {
            st = settle(w, c);
        }
        if (!c->wanted || !(p >= (c->open ? c->off : c->on))) { /* also where it is no number */
            c->waiting |= c->open;
            c->open = 0;
            continue;
        }
        if (!c->open && !c->waiting) {
            c->event = (lb_event){.start = start, .label = k};
        }
        c->open = 1;
        c->waiting = 0;
        c->event.end = end > c->event.end ? end : c->event.end;
        c->event.rows++;
        c->event.sum += p;
        c->event.peak = p > c->event.peak ? p : c->event.peak;
    }
    return st < 0 ? st : release(w);
}

mbs_status lb_events_end(lb_writer *w) {
    mbs_status st = MBS_OK;
    for (int64_t k = 0; k < w->at.n_classes && st >= 0; k++) {
        lb_class *c = &w->classes[k];
        st = c->open || c->waiting ? settle(w, c) : st;
    }
    return st < 0 ? st : release(w);
}
