#include "train/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/stop.h"
#include "model/mixer.h"
#include "train/sample_impl.h"

/* Tokens of one call: few enough to end within a second after a signal. */
#define PIECE 4096

typedef struct sum {
    double loss;
    int64_t scored;
} sum;

/* A causal model over stretches: many short ones go together. */
typedef struct scoring {
    const mbs_train_job *job;
    mbs_model *model;
    mbs_session *session;
    int many;
    int32_t ids[PIECE];
    uint8_t scored[PIECE];
    float logprob[PIECE];
    int32_t starts[PIECE + 1];
    int64_t n, n_seq; /* waiting for a call */
    sum total;
} scoring;

static mbs_status stopped(mbs_err *err) {
    return mbs_fail(err, MBS_ERR_STOPPED, NULL, "stopped");
}

static void add_up(scoring *s) {
    for (int64_t i = 0; i < s->n; i++) {
        if (s->scored[i] && !isnan(s->logprob[i])) {
            s->total.loss -= (double)s->logprob[i];
            s->total.scored++;
        }
    }
}

/* Tokens [begin, begin + n), on the other strand if `minus`, behind those that wait. */
static void take(scoring *s, int64_t begin, int64_t n, int minus) {
    int32_t *ids = s->ids + s->n;
    uint8_t *scored = s->scored + s->n;
    mbs_spool_get(s->job->spool, begin, n, ids, scored, NULL, NULL);
    for (int64_t i = 0; minus && i < (n + 1) / 2; i++) {
        int32_t id = ids[i];
        uint8_t is = scored[i];
        ids[i] = s->job->complement[ids[n - 1 - i]];
        ids[n - 1 - i] = s->job->complement[id];
        scored[i] = scored[n - 1 - i];
        scored[n - 1 - i] = is;
    }
    s->n += n;
}

/* Tokens [from, from + n) of a strand of a stretch: what stands around the record is the same on both. */
static void fetch(scoring *s, const mbs_stretch *t, int64_t from, int64_t n, int minus) {
    const mbs_stretch own = mbs_sequence_own(s->job, *t);
    for (int64_t at = t->begin + from, end = at + n; at < end;) {
        const int turned = minus && at >= own.begin && at < own.end;
        const int64_t bound = at < own.begin ? own.begin : at < own.end ? own.end : end;
        const int64_t to = bound < end ? bound : end;
        take(s, turned ? own.begin + own.end - to : at, to - at, turned);
        at = to;
    }
}

static mbs_status call_many(scoring *s, mbs_err *err) {
    if (s->n_seq == 0) {
        return MBS_OK;
    }
    s->starts[s->n_seq] = (int32_t)s->n;
    mbs_run_out out = {.logprob = s->logprob};
    mbs_status st = mbs_session_run_many(s->session, s->ids, s->starts, s->n_seq, &out, err);
    if (st >= 0) {
        add_up(s);
    }
    s->n = s->n_seq = 0;
    return st;
}

static mbs_status score_long(scoring *s, const mbs_stretch *t, int64_t length, int minus, mbs_err *err) {
    mbs_status st = mbs_session_reset(s->session, err);
    for (int64_t at = 0; at < length && st >= 0; at += s->n) {
        s->n = 0;
        fetch(s, t, at, length - at < PIECE ? length - at : PIECE, minus);
        mbs_run_out out = {.logprob = s->logprob};
        st = mbs_stop_requested() ? stopped(err) : mbs_session_run(s->session, s->ids, s->n, &out, err);
        if (st >= 0) {
            add_up(s);
        }
    }
    s->n = 0;
    return st;
}

/* Where a stretch begins to tell something: the place before its first token that is scored; its end where none is. */
static int64_t first_told(const mbs_train_job *job, const mbs_stretch *t) {
    uint8_t scored[256];
    for (int64_t at = t->begin + 1; at < t->end; at += (int64_t)sizeof scored) {
        const int64_t n = t->end - at < (int64_t)sizeof scored ? t->end - at : (int64_t)sizeof scored;
        mbs_spool_get(job->spool, at, n, NULL, scored, NULL, NULL);
        const uint8_t *found = memchr(scored, 1, (size_t)n);
        if (found) {
            return at + (found - scored) - 1;
        }
    }
    return t->end;
}

static mbs_status score_strand(scoring *s, const mbs_split *split, int64_t limit, int minus, mbs_err *err) {
    mbs_status st = MBS_OK;
    s->total = (sum){0};
    /* Some chromosomes begin with millions of N: a limit counts from what can be scored, and its first is not. */
    int begun = limit == 0;
    int64_t left = limit == 0 ? INT64_MAX : limit > 1 ? limit : 2;
    for (int64_t k = 0; k < split->n_held && left > 0 && st >= 0; k++) {
        mbs_stretch t = split->held[k];
        t.begin = begun ? t.begin : first_told(s->job, &t);
        if (t.begin == t.end) {
            continue;
        }
        begun = 1;
        t.end = t.end - t.begin > left ? t.begin + left : t.end;
        int64_t n = t.end - t.begin;
        left -= n;
        if (s->many && n <= PIECE / 4) {
            st = s->n + n > PIECE ? call_many(s, err) : MBS_OK;
            st = mbs_stop_requested() && st >= 0 ? stopped(err) : st;
            s->starts[s->n_seq++] = (int32_t)s->n;
            fetch(s, &t, 0, n, minus);
        } else {
            st = call_many(s, err);
            st = st < 0 ? st : score_long(s, &t, n, minus, err);
        }
    }
    return st < 0 ? st : call_many(s, err);
}

static mbs_status score_model(const mbs_train_job *job, const mbs_split *split, int64_t limit, mbs_evaluation *out,
                              mbs_err *err) {
    scoring *s = mbs_calloc(1, sizeof *s);
    if (!s) {
        return mbs_fail_memory(err, "evaluation", sizeof *s);
    }
    s->job = job;
    mbs_status st = mbs_net_model(job->net, &s->model, err);
    st = st < 0 ? st : mbs_session_new(s->model, PIECE, &s->session, err);
    if (st >= 0) {
        s->many = mbs_model_takes_many(s->model);
        st = score_strand(s, split, limit, 0, err);
    }
    sum both = s->total;
    if (st >= 0 && job->complement) {
        out->plus = both.loss / (double)both.scored;
        st = score_strand(s, split, limit, 1, err);
        out->minus = s->total.loss / (double)s->total.scored;
        both.loss += s->total.loss;
        both.scored += s->total.scored;
    }
    out->loss = both.scored > 0 ? both.loss / (double)both.scored : (double)NAN;
    out->scored = both.scored;
    mbs_session_free(s->session);
    mbs_model_close(s->model);
    mbs_free(s);
    return st;
}

/* Drops sequences behind the limit; the first is always looked at. */
static void keep_within(mbs_drawn *d, int64_t left) {
    while (d->n_seq > 1 && d->rows > left) {
        d->n_seq--;
        d->rows = d->starts[d->n_seq];
    }
}

/* Whether a batch tells anything: of N nothing is asked for, and of a short one it may be that nothing was masked. */
static int has_target(const mbs_train_job *job, const mbs_drawn *d) {
    int found = job->recipe.loss == MBS_LOSS_CLASSIFY;
    for (int64_t i = 0; i < d->rows && !found; i++) {
        found = d->targets[i] >= 0;
    }
    return found;
}

static mbs_status score_batches(const mbs_train_job *job, mbs_windows *windows, int64_t limit, mbs_net_sums *sums,
                                int64_t *confusion, mbs_err *err) {
    mbs_held_place at = {0};
    int64_t left = limit > 0 ? limit : INT64_MAX;
    mbs_status st = MBS_OK;
    while (st >= 0 && left > 0) {
        const mbs_drawn *next = NULL;
        st = mbs_windows_held(windows, &at, job->recipe.rows > 0 ? job->recipe.rows : PIECE, &next, err);
        if (st < 0 || next->n_seq == 0) {
            break;
        }
        mbs_drawn d = *next;
        keep_within(&d, left);
        if (sums->scored > 0 || has_target(job, &d)) {
            left -= d.rows;
        } else if (has_target(job, next)) {
            d = *next; /* what the limit would have kept of it tells nothing, and does not count */
        } else {
            continue;
        }
        int64_t before = sums->scored;
        mbs_batch batch = {
            .n_seq = d.n_seq, .starts = d.starts, .ids = d.ids, .frames = d.frames, .targets = d.targets};
        st = mbs_stop_requested() ? stopped(err) : mbs_net_loss(job->net, &batch, sums, err);
        for (int64_t k = 0; confusion && st >= 0 && k < d.n_seq; k++) {
            confusion[d.targets[k] * job->n_classes + sums->taken[before + k]]++;
        }
    }
    return st;
}

static mbs_status score_net(const mbs_train_job *job, const mbs_split *split, mbs_windows *windows, int64_t limit,
                            mbs_evaluation *out, mbs_err *err) {
    mbs_net_sums sums = {0};
    mbs_status st = MBS_OK;
    if (job->recipe.loss == MBS_LOSS_CLASSIFY) {
        size_t cells = (size_t)job->n_classes * (size_t)job->n_classes;
        sums.taken = mbs_calloc((size_t)split->n_held + 1, sizeof *sums.taken);
        out->confusion = mbs_calloc(cells, sizeof *out->confusion);
        if (!sums.taken || !out->confusion) {
            st = mbs_fail_memory(err, "evaluation", cells * sizeof *out->confusion);
        }
    }
    st = st < 0 ? st : score_batches(job, windows, limit, &sums, out->confusion, err);
    if (st >= 0 && sums.scored > 0) {
        out->scored = sums.scored;
        out->loss = sums.loss / sums.weight;
        out->accuracy = (double)sums.right / (double)sums.scored;
    }
    mbs_free(sums.taken);
    return st;
}

static mbs_status nothing(mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, "evaluation", "nothing of the held-out part can be scored");
    mbs_err_fix(err, "hold out another part, or none");
    return MBS_ERR_DATA;
}

static int is_plain(const mbs_train_job *job) {
    return job->recipe.loss == MBS_LOSS_CAUSAL && !mbs_spool_has_targets(job->spool);
}

/* Layers whose memory follows from the longest sequence (hyena) refuse longer ones: before the first step. */
static mbs_status check_reach(const mbs_train_job *job, const mbs_stretch *list, int64_t n, int held, mbs_err *err) {
    const mbs_train_recipe *r = &job->recipe;
    const int streamed = r->order == MBS_ORDER_STREAM && r->loss != MBS_LOSS_CLASSIFY;
    const int whole = held ? r->loss == MBS_LOSS_CAUSAL : streamed;
    int64_t window = 0;
    for (int i = 0; i < r->n_windows; i++) {
        window = r->window[i] > window ? r->window[i] : window;
    }
    mbs_status st = MBS_OK;
    for (int64_t k = 0; k < n && st >= 0; k++) {
        const int64_t length = list[k].end - list[k].begin;
        st = mbs_mixers_reach(mbs_net_config(job->net), whole || length < window ? length : window, NULL, err);
        if (st < 0) {
            const mbs_spool_record at = mbs_spool_at(job->spool, list[k].record);
            const char *how = held ? ", which is scored whole" : ", which is read whole";
            mbs_err_where(err, "%s record '%.100s'%s", held ? "held-out" : "training", at.name, whole ? how : "");
        }
    }
    return st;
}

mbs_status mbs_evaluate_check(const mbs_train_job *job, const mbs_split *split, mbs_windows *windows, mbs_err *err) {
    mbs_status st = check_reach(job, split->held, split->n_held, 1, err);
    st = st < 0 ? st : check_reach(job, split->train, split->n_train, 0, err);
    int found = split->n_held == 0;
    for (int64_t k = 0; is_plain(job) && k < split->n_held && !found && st >= 0; k++) {
        found = first_told(job, &split->held[k]) < split->held[k].end;
    }
    mbs_held_place at = {0};
    while (!is_plain(job) && !found && st >= 0) {
        const mbs_drawn *next = NULL;
        st = mbs_windows_held(windows, &at, PIECE, &next, err);
        if (st < 0 || next->n_seq == 0) {
            break;
        }
        found = has_target(job, next);
    }
    return st < 0 || found ? st : nothing(err);
}

mbs_status mbs_evaluate(const mbs_train_job *job, const mbs_split *split, mbs_windows *windows, int64_t limit,
                        mbs_evaluation *out, mbs_err *err) {
    const double nan = (double)NAN;
    *out = (mbs_evaluation){.loss = nan, .plus = nan, .minus = nan, .accuracy = nan};
    mbs_status st =
        is_plain(job) ? score_model(job, split, limit, out, err) : score_net(job, split, windows, limit, out, err);
    return st >= 0 && out->scored == 0 ? nothing(err) : st;
}
