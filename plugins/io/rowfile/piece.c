#include "piece.h"

#include <math.h>

mbs_status mbs_piece_every(mbs_piece *p, const mbs_host *host, const mbs_params *params,
                           const mbs_stream_header *stream, double usual) {
    int told = host->param_is_set(params, "every");
    double seconds = told ? host->param_float(params, "every") : usual;
    double units = seconds * (stream->rate > 0 ? stream->rate : 0);
    p->every = 0;
    if (seconds == 0 && !told) {
        return MBS_OK;
    }
    if (!(units >= 1)) {
        mbs_status st = host->fail(host, MBS_ERR_CONFIG, "every", "it is in seconds, and %s",
                                   stream->rate > 0 ? "this is less than one sample" : "what comes has no rate");
        host->hint(host, stream->rate > 0 ? "500ms, say" : "leave it out, or read sound");
        return st;
    }
    p->every = units > 1e15 ? (int64_t)1e15 : (int64_t)floor(units + 0.5);
    return MBS_OK;
}

static void empty(mbs_piece *p, int64_t start) {
    p->start = p->end = start;
    p->rows = p->scored = 0;
    p->sum = 0;
}

void mbs_piece_begin(mbs_piece *p, int64_t start) {
    empty(p, start);
    p->due = start + p->every;
}

int mbs_piece_over(const mbs_piece *p, int64_t start) {
    return p->rows > 0 && start >= p->due;
}

void mbs_piece_next(mbs_piece *p, int64_t start) {
    empty(p, start);
    p->due += (start - p->due) / p->every * p->every + p->every;
}

void mbs_piece_add(mbs_piece *p, float logprob, int64_t end) {
    p->rows++;
    p->end = end > p->end ? end : p->end;
    if (!isnan(logprob)) {
        p->sum += (double)logprob;
        p->scored++;
    }
}

double mbs_piece_bits(const mbs_piece *p) {
    return p->scored > 0 ? -p->sum / (double)p->scored / 0.69314718055994530942 : (double)NAN;
}
