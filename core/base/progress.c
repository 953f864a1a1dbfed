#include "base/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define EVERY 0.1  /* seconds between two updates */
#define MEMORY 5.0 /* seconds over which the speed is smoothed */

struct mbs_progress {
    mbs_progress_mode mode; /* never AUTO */
    char unit[24];
    int64_t total;
    int64_t records;
    int64_t done;
    int begun;
    int finished;
    int64_t from; /* where this run began, and when */
    double from_time;
    double shown_time;
    int64_t shown_done;
    double speed; /* < 0: not known yet */
    char counts[16];
    char note_name[16];
    double note;
};

static mbs_progress_mode chosen(mbs_progress_mode mode) {
    if (mode != MBS_PROGRESS_AUTO) {
        return mode;
    }
    const char *term = getenv("TERM");
    int dumb = !term || strcmp(term, "dumb") == 0;
    int quiet = mbs_log_get_level() < MBS_LOG_INFO;
    return isatty(STDERR_FILENO) && !dumb && !quiet ? MBS_PROGRESS_ALWAYS : MBS_PROGRESS_NEVER;
}

mbs_progress *mbs_progress_new(mbs_progress_mode mode, const char *unit, int64_t total) {
    mbs_progress *p = mbs_calloc(1, sizeof *p);
    if (p) {
        p->mode = chosen(mode);
        p->total = total;
        p->speed = -1;
        p->from_time = mbs_clock();
        p->note = (double)NAN;
        snprintf(p->unit, sizeof p->unit, "%.20s", unit);
        snprintf(p->counts, sizeof p->counts, "record");
    }
    return p;
}

void mbs_progress_counts(mbs_progress *p, const char *what) {
    if (p) {
        snprintf(p->counts, sizeof p->counts, "%.14s", what);
    }
}

void mbs_progress_note(mbs_progress *p, const char *name, double value) {
    if (p) {
        snprintf(p->note_name, sizeof p->note_name, "%.15s", name);
        p->note = value;
    }
}

/* 950, 12.3k, 4.64M: three digits are enough to see it move. */
static void human(double v, char *out, size_t size) {
    static const char units[] = " kMGTP";
    size_t u = 0;
    while (v >= 999.5 && u + 2 < sizeof units) {
        v /= 1000;
        u++;
    }
    int digits = u == 0 || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;
    snprintf(out, size, "%.*f%.*s", digits, v, u > 0, units + u);
}

static void clock_text(double seconds, char *out, size_t size) {
    long s = seconds < 3.6e8 ? (long)(seconds + 0.5) : 360000000L;
    if (s < 3600) {
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
    } else {
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    }
}

static int columns(void) {
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* Seconds that are left, < 0 where that cannot be said. */
static double left(const mbs_progress *p) {
    return p->total >= p->done && p->speed > 0 ? (double)(p->total - p->done) / p->speed : -1;
}

static void show_bar(const mbs_progress *p) {
    char line[256];
    char done[16];
    char part[64] = "";
    char speed[64] = "";
    char eta[48] = "";
    char note[48] = "";
    if (isfinite(p->note)) {
        snprintf(note, sizeof note, "  %s %.4f", p->note_name, p->note);
    }
    human((double)p->done, done, sizeof done);
    if (p->total > 0) {
        char bar[21];
        double share = p->done < p->total ? (double)p->done / (double)p->total : 1;
        for (int i = 0; i < 20; i++) {
            bar[i] = share * 20 >= i + 1 ? '=' : share * 20 > i ? '>' : ' ';
        }
        bar[20] = '\0';
        snprintf(part, sizeof part, "[%s] %3d%%  ", bar, (int)(share * 100));
    }
    if (p->speed >= 0) {
        char number[16];
        human(p->speed, number, sizeof number);
        snprintf(speed, sizeof speed, "  %s %s/s", number, p->unit);
    }
    if (left(p) >= 0) {
        char text[24];
        clock_text(left(p), text, sizeof text);
        snprintf(eta, sizeof eta, "  ETA %s", text);
    }
    snprintf(line, sizeof line, "%s%s %s  %lld %s%s%s%s%s", part, done, p->unit, (long long)p->records, p->counts,
             p->records == 1 ? "" : "s", note, speed, eta);
    int width = columns() - 1;
    if (width > 0 && width < (int)sizeof line) {
        line[width] = '\0';
    }
    mbs_log_status(line);
}

/* One digit behind the point, or null. */
static void put_rounded(mbs_buf *b, const char *key, double v) {
    mbs_buf_printf(b, ",\"%s\":", key);
    mbs_json_put_double(b, v >= 0 ? floor(v * 10 + 0.5) / 10 : (double)NAN);
}

static void show_json(const mbs_progress *p, const char *event, double t) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_printf(&b, "{\"event\":\"%s\",\"%ss\":%lld,\"tokens\":%lld", event, p->counts, (long long)p->records,
                   (long long)p->done);
    if (strcmp(event, "done") == 0) {
        double seconds = t - p->from_time;
        put_rounded(&b, "tokens_per_s", seconds > 0 ? (double)(p->done - p->from) / seconds : -1);
        put_rounded(&b, "seconds", seconds);
    } else {
        put_rounded(&b, "tokens_per_s", p->speed);
        if (p->total >= 0) {
            mbs_buf_printf(&b, ",\"total_tokens\":%lld", (long long)p->total);
        } else {
            mbs_buf_puts(&b, ",\"total_tokens\":null");
        }
        put_rounded(&b, "eta_s", left(p));
    }
    if (isfinite(p->note)) {
        mbs_buf_printf(&b, ",\"%s\":", p->note_name);
        mbs_json_put_double(&b, p->note);
    }
    mbs_buf_putc(&b, '}');
    if (!b.failed) {
        mbs_log_raw(b.data);
    }
    mbs_buf_free(&b);
}

void mbs_progress_update(mbs_progress *p, int64_t records, int64_t done) {
    if (!p || p->finished) {
        return;
    }
    double t = mbs_clock();
    p->records = records;
    p->done = done;
    if (!p->begun) {
        p->begun = 1;
        p->from = p->shown_done = done;
        p->from_time = p->shown_time = t;
        return;
    }
    double dt = t - p->shown_time;
    if (p->mode == MBS_PROGRESS_NEVER || dt < EVERY) {
        return;
    }
    double recent = (double)(done - p->shown_done) / dt;
    /* The first seconds count in full, later ones fade. */
    double weight = p->speed < 0 ? 1 : fmax(1 - exp(-dt / MEMORY), dt / (t - p->from_time));
    p->speed = p->speed < 0 ? recent : p->speed + weight * (recent - p->speed);
    p->speed = p->speed < 0 ? 0 : p->speed;
    p->shown_time = t;
    p->shown_done = done;
    if (p->mode == MBS_PROGRESS_JSON) {
        show_json(p, "progress", t);
    } else {
        show_bar(p);
    }
}

void mbs_progress_finish(mbs_progress *p) {
    if (!p || p->finished) {
        return;
    }
    p->finished = 1;
    if (p->mode == MBS_PROGRESS_JSON) {
        show_json(p, "done", mbs_clock());
    } else if (p->mode == MBS_PROGRESS_ALWAYS) {
        mbs_log_status(NULL);
    }
}

void mbs_progress_free(mbs_progress *p) {
    if (p && !p->finished && p->mode == MBS_PROGRESS_ALWAYS) {
        mbs_log_status(NULL); /* an error line must not come behind a bar */
    }
    mbs_free(p);
}
