#include "train/page.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"

#define LIMIT ((size_t)1 << 30)
#define LN2 0.693147180559945309417232121458
#define POINTS 500  /* of a curve at most: neighbours are averaged */
#define SMOOTH 0.02 /* share of the points that the smooth curve remembers */
/* The picture, and the frame of the curves in it. */
#define WIDTH 860
#define HEIGHT 420
#define LEFT 64
#define RIGHT 16
#define TOP 16
#define BOTTOM 44

typedef struct point {
    double step, loss;
} point;

typedef struct curve {
    point *items;
    size_t n, cap;
} curve;

typedef struct page {
    const mbs_train_job *job;
    const mbs_train_result *result;
    mbs_buf out;
    curve train, smooth, held;
    double unit; /* nats of one unit of the vertical axis */
    const char *axis;
    double x1, y0, y1; /* the frame; x begins at 0 */
} page;

/* --- reading --------------------------------------------------------------------------------------------------------
 */

static mbs_status add_point(curve *c, double step, double loss, mbs_err *err) {
    point *grown = isfinite(loss) ? mbs_grow(c->items, &c->cap, c->n + 1, sizeof *grown) : NULL;
    if (!grown) {
        return isfinite(loss) ? mbs_fail_memory(err, "training.html", (c->n + 1) * sizeof *grown) : MBS_OK;
    }
    c->items = grown;
    c->items[c->n++] = (point){step, loss};
    return MBS_OK;
}

static mbs_status read_line(page *p, const char *line, size_t len, mbs_err *err) {
    mbs_json *doc = NULL;
    mbs_status st = mbs_json_parse("metrics.jsonl", line, len, &doc, err);
    if (st < 0) {
        return st;
    }
    double loss = (double)NAN;
    mbs_json_as_double(mbs_json_get(doc, "loss"), &loss);
    double step = mbs_json_double(doc, "step", 0, err);
    const char *eval = mbs_json_string(doc, "eval", "", err);
    int shown = strcmp(eval, "end") != 0; /* that one is of more tokens, so no point of the curve */
    st = shown ? add_point(eval[0] ? &p->held : &p->train, step, loss / p->unit, err) : MBS_OK;
    mbs_json_free(doc);
    return st;
}

static mbs_status read_metrics(page *p, const char *path, mbs_err *err) {
    char *text = NULL;
    size_t len = 0;
    mbs_status st = mbs_path_read(path, LIMIT, &text, &len, err);
    for (size_t at = 0; st >= 0 && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        st = read_line(p, text + at, n, err);
        at += n + 1;
    }
    mbs_free(text);
    return st;
}

static void thin_out(curve *c) {
    size_t every = (c->n + POINTS - 1) / POINTS;
    size_t n = 0;
    for (size_t at = 0; every > 1 && at < c->n; at += every) {
        size_t m = c->n - at < every ? c->n - at : every;
        point sum = {0, 0};
        for (size_t i = 0; i < m; i++) {
            sum.step += c->items[at + i].step / (double)m;
            sum.loss += c->items[at + i].loss / (double)m;
        }
        c->items[n++] = sum;
    }
    c->n = every > 1 ? n : c->n;
}

/* A mean that forgets, over what is there so far: it begins at the first point. */
static mbs_status smoothen(page *p, mbs_err *err) {
    double keep = exp(-1 / fmax(1, SMOOTH * (double)p->train.n));
    double sum = 0, weight = 0;
    mbs_status st = MBS_OK;
    for (size_t i = 0; i < p->train.n && st >= 0; i++) {
        sum = keep * sum + p->train.items[i].loss;
        weight = keep * weight + 1;
        st = add_point(&p->smooth, p->train.items[i].step, sum / weight, err);
    }
    return st;
}

/* --- the picture ----------------------------------------------------------------------------------------------------
 */

static void widen(const curve *c, size_t from, double *low, double *high) {
    for (size_t i = from; i < c->n; i++) {
        *low = fmin(*low, c->items[i].loss);
        *high = fmax(*high, c->items[i].loss);
    }
}

static void set_frame(page *p) {
    double low = INFINITY, high = -INFINITY;
    /* The first steps fall from far above: what comes behind them is what one looks at. */
    widen(&p->smooth, p->smooth.n >= 40 ? p->smooth.n / 20 : 0, &low, &high);
    widen(&p->held, 0, &low, &high);
    if (!(low <= high)) {
        low = 0, high = 1;
    }
    double room = fmax(0.05 * (high - low), 1e-3 * fmax(fabs(high), 1e-3));
    p->y0 = low >= 0 ? fmax(0, low - room) : low - room; /* a loss does not go below nothing */
    p->y1 = high + room;
    p->x1 = p->train.n > 0 ? p->train.items[p->train.n - 1].step : 1;
    p->x1 = p->held.n > 0 ? fmax(p->x1, p->held.items[p->held.n - 1].step) : p->x1;
}

static double at_x(const page *p, double step) {
    return LEFT + (WIDTH - LEFT - RIGHT) * step / p->x1;
}

static double at_y(const page *p, double v) {
    v = fmin(fmax(v, p->y0), p->y1); /* single steps may lie outside of the frame */
    return TOP + (HEIGHT - TOP - BOTTOM) * (p->y1 - v) / (p->y1 - p->y0);
}

/* 1, 2 or 5 times a power of ten that cuts `range` into at most `most` parts. */
static double nice(double range, int most) {
    double unit = pow(10, floor(log10(range / most)));
    double times = range / most / unit;
    return unit * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static void put_axes(page *p) {
    mbs_buf *b = &p->out;
    double step = nice(p->y1 - p->y0, 6);
    int digits = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    for (double v = ceil(p->y0 / step) * step; v <= p->y1; v += step) {
        mbs_buf_printf(b, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" class=\"r\">%.*f</text>\n",
                       LEFT, at_y(p, v), WIDTH - RIGHT, LEFT - 8, at_y(p, v) + 4, digits, v);
    }
    double every = fmax(1, nice(p->x1, 8));
    for (double v = 0; v <= p->x1; v += every) {
        mbs_buf_printf(b, "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text x=\"%.1f\" y=\"%d\" class=\"m\">%.0f</text>\n",
                       at_x(p, v), TOP, HEIGHT - BOTTOM, at_x(p, v), HEIGHT - BOTTOM + 18, v);
    }
    mbs_buf_printf(b, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
    mbs_buf_printf(b, "<text x=\"%d\" y=\"%d\" class=\"m\">step</text>\n", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
    mbs_buf_printf(b, "<text transform=\"translate(14 %d) rotate(-90)\" class=\"m\">%s</text>\n",
                   (TOP + HEIGHT - BOTTOM) / 2, p->axis);
}

static void put_curve(page *p, const curve *c, const char *class, int dots) {
    mbs_buf *b = &p->out;
    if (c->n > 1) {
        mbs_buf_printf(b, "<polyline class=\"%s\" points=\"", class);
        for (size_t i = 0; i < c->n; i++) {
            mbs_buf_printf(b, "%s%.1f,%.1f", i ? " " : "", at_x(p, c->items[i].step), at_y(p, c->items[i].loss));
        }
        mbs_buf_puts(b, "\"/>\n");
    }
    for (size_t i = 0; i < c->n && (dots || c->n == 1); i++) {
        mbs_buf_printf(
            b, "<circle class=\"%s dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>step %.0f: %.4f</title></circle>\n",
            class, at_x(p, c->items[i].step), at_y(p, c->items[i].loss), c->items[i].step, c->items[i].loss);
    }
}

static void put_picture(page *p) {
    mbs_buf *b = &p->out;
    mbs_buf_printf(b, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"loss by step\">\n", WIDTH, HEIGHT);
    put_axes(p);
    put_curve(p, &p->train, "raw", 0);
    put_curve(p, &p->smooth, "train", 0);
    put_curve(p, &p->held, "held", 1);
    const int x = WIDTH - RIGHT - 150;
    mbs_buf_printf(b, "<path class=\"train\" d=\"M%d 30h24\"/><text x=\"%d\" y=\"34\">training, smoothed</text>\n", x,
                   x + 30);
    if (p->held.n > 0) {
        mbs_buf_printf(b, "<path class=\"held\" d=\"M%d 50h24\"/><text x=\"%d\" y=\"54\">held out</text>\n", x, x + 30);
    }
    mbs_buf_puts(b, "</svg>\n");
}

/* --- the tables -----------------------------------------------------------------------------------------------------
 */

static void put_text(mbs_buf *b, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        switch (s[i]) {
        case '&':
            mbs_buf_puts(b, "&amp;");
            break;
        case '<':
            mbs_buf_puts(b, "&lt;");
            break;
        case '>':
            mbs_buf_puts(b, "&gt;");
            break;
        default:
            mbs_buf_putc(b, s[i]);
        }
    }
}

static void put_number(mbs_buf *b, const char *name, double v, const char *format) {
    char text[64];
    if (isnan(v)) {
        return;
    }
    (void)snprintf(text, sizeof text, "%.6g", v);
    if (strcmp(format, "4") == 0) {
        (void)snprintf(text, sizeof text, "%.4f", v);
    } else if (strcmp(format, "0") == 0) {
        (void)snprintf(text, sizeof text, "%.0f", v);
    }
    mbs_buf_printf(b, "<tr><th>%s</th><td>%s</td></tr>\n", name, text);
}

static void put_confusion(page *p) {
    const mbs_train_job *job = p->job;
    mbs_buf *b = &p->out;
    if (!p->result->confusion) {
        return;
    }
    mbs_buf_puts(b, "<h2>What was taken for what</h2>\n<table>\n<tr><th>truth</th>");
    for (int64_t k = 0; k < job->n_classes; k++) {
        mbs_buf_puts(b, "<th>");
        put_text(b, job->classes[k], strlen(job->classes[k]));
        mbs_buf_puts(b, "</th>");
    }
    for (int64_t i = 0; i < job->n_classes; i++) {
        mbs_buf_puts(b, "</tr>\n<tr><th>");
        put_text(b, job->classes[i], strlen(job->classes[i]));
        mbs_buf_puts(b, "</th>");
        for (int64_t k = 0; k < job->n_classes; k++) {
            mbs_buf_printf(b, "<td>%" PRId64 "</td>", p->result->confusion[i * job->n_classes + k]);
        }
    }
    mbs_buf_puts(b, "</tr>\n</table>\n");
}

static void put_figures(page *p) {
    const mbs_train_result *r = p->result;
    mbs_buf *b = &p->out;
    const double nan = (double)NAN;
    mbs_buf_puts(b, "<h2>Figures</h2>\n<table>\n");
    put_number(b, "steps", (double)r->steps, "0");
    put_number(b, "parameters", (double)mbs_net_parameters(p->job->net), "0");
    put_number(b, "seconds", r->seconds, "0");
    put_number(b, "training, smoothed", p->smooth.n > 0 ? p->smooth.items[p->smooth.n - 1].loss : nan, "4");
    if (r->has_eval) {
        put_number(b, "held out", r->loss / p->unit, "4");
        put_number(b, "held out, + strand", r->loss_plus / p->unit, "4");
        put_number(b, "held out, - strand", r->loss_minus / p->unit, "4");
        put_number(b, "accuracy", r->accuracy, "4");
    }
    put_number(b, "step of the weights", r->best_step > 0 ? (double)r->best_step : nan, "0");
    mbs_buf_printf(b, "</table>\n<p>Losses in %s.</p>\n", p->axis);
}

static void put_settings(page *p, const char *identity) {
    mbs_buf *b = &p->out;
    mbs_buf_puts(b, "<h2>Settings</h2>\n<table>\n");
    while (*identity) {
        size_t len = strcspn(identity, "\n");
        const char *colon = memchr(identity, ':', len);
        size_t key = colon ? (size_t)(colon - identity) : len;
        size_t value = key + 1 < len ? key + 1 + (identity[key + 1] == ' ') : len;
        mbs_buf_puts(b, "<tr><th>");
        put_text(b, identity, key);
        mbs_buf_puts(b, "</th><td>");
        put_text(b, identity + value, len - value);
        mbs_buf_puts(b, "</td></tr>\n");
        identity += len + (identity[len] == '\n');
    }
    mbs_buf_puts(b, "</table>\n<details><summary>Recipe</summary><pre>");
    put_text(b, p->job->recipe_text, strlen(p->job->recipe_text));
    mbs_buf_puts(b, "</pre></details>\n");
}

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Training</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#222;--back:#fff;--faint:#ddd;--raw:#b9cfe4;--train:#1f5f9e;--held:#c1440e}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--back:#161616;--faint:#3a3a3a;--raw:#2d4a66;--train:#6db1f2;"
    "--held:#ff9a66}}\n"
    "body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:880px;margin:1.5em "
    "auto;padding:0 1em}\n"
    "svg{width:100%;height:auto}svg text{font-size:12px;fill:var(--ink)}.r{text-anchor:end}.m{text-anchor:middle}\n"
    ".grid{stroke:var(--faint)}.axis{stroke:var(--ink);fill:none}\n"
    "polyline,path.train,path.held{fill:none;stroke-width:1.8}.raw{stroke:var(--raw);stroke-width:1}"
    ".train{stroke:var(--train)}.held{stroke:var(--held)}\n"
    "circle.raw{fill:var(--raw)}circle.train{fill:var(--train)}circle.held{fill:var(--held)}\n"
    "table{border-collapse:collapse}th,td{text-align:left;padding:.15em .8em .15em "
    "0;border-bottom:1px solid var(--faint);"
    "vertical-align:top;overflow-wrap:anywhere}th{font-weight:600;white-space:nowrap}pre{overflow-x:auto}\n"
    "</style>\n";

mbs_status mbs_page_write(const char *folder, const char *metrics, const char *identity, const mbs_train_job *job,
                          const mbs_train_result *result, mbs_err *err) {
    page p = {.job = job, .result = result, .unit = LN2};
    mbs_buf axis = MBS_BUF_INIT;
    int plain = job->recipe.loss != MBS_LOSS_CLASSIFY && !mbs_spool_has_targets(job->spool);
    p.unit = plain ? LN2 : 1;
    mbs_buf_printf(&axis, "%s%s", plain ? "bits per " : "nats per target", plain ? job->unit : "");
    p.axis = mbs_buf_str(&axis);
    mbs_status st = read_metrics(&p, metrics, err);
    if (st >= 0) {
        thin_out(&p.train);
        st = smoothen(&p, err);
    }
    char *name = mbs_path_base(job->output);
    char *path = mbs_path_join(folder, "training.html");
    if (st >= 0 && (!name || !path)) {
        st = mbs_fail_memory(err, folder, 1);
    }
    if (st >= 0) {
        set_frame(&p);
        mbs_buf_puts(&p.out, head);
        mbs_buf_puts(&p.out, "<h1>");
        put_text(&p.out, name, strlen(name));
        mbs_buf_puts(&p.out, "</h1>\n");
        put_picture(&p);
        put_figures(&p);
        put_confusion(&p);
        put_settings(&p, identity);
        mbs_buf_puts(&p.out, "</html>\n");
        st = p.out.failed || axis.failed ? mbs_fail_memory(err, folder, p.out.len)
                                         : mbs_path_write_atomic(path, p.out.data, p.out.len, err);
    }
    mbs_free(name);
    mbs_free(path);
    mbs_free(p.train.items);
    mbs_free(p.smooth.items);
    mbs_free(p.held.items);
    mbs_buf_free(&axis);
    mbs_buf_free(&p.out);
    return st;
}
