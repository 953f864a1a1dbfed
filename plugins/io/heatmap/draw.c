/* The picture: lines of cells, a row a letter, a column a position; blue less likely, red likelier than what stands
 * there, which has a dot; grey: nothing can be said. Text is text, nothing is fetched. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "heatmap.h"

#define CELL 10
#define LEFT 30
#define HEAD 64    /* title and legend */
#define TITLE 22   /* of a record */
#define AXIS 22    /* below a line */
#define LEGEND 200 /* width of the colour scale */

static void put(mbs_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(mbs_text *t, const char *format, ...) {
    char line[512];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    mbs_text_append(t, line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* A name as text of XML. */
static void put_name(mbs_text *t, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t len = mbs_utf8_length(s + i, n - i);
        const char *as = s[i] == '&' ? "&amp;" : s[i] == '<' ? "&lt;" : s[i] == '>' ? "&gt;" : NULL;
        len = len ? len : 1;
        if (as) {
            mbs_text_append(t, as, strlen(as));
        } else if ((unsigned char)s[i] < ' ') {
            mbs_text_append(t, " ", 1);
        } else {
            mbs_text_append_utf8(t, s + i, len);
        }
        i += len;
    }
}

/* Letter k of the columns; its number where they are not named. */
static void put_letter(const hm_writer *w, mbs_text *t, int64_t k) {
    const char *at = mbs_header_attr(w->stream, "columns");
    for (int64_t i = 0; at && i < k; i++) {
        at = strchr(at, '\t');
        at = at ? at + 1 : NULL;
    }
    if (at) {
        put_name(t, at, strcspn(at, "\t"));
    } else {
        put(t, "%lld", (long long)k);
    }
}

static double largest(const hm_writer *w) {
    double most = 0;
    for (int64_t i = 0; i < w->n * w->shape.width; i++) {
        double v = fabs((double)w->rows[i]);
        most = isfinite(v) && v > most ? v : most;
    }
    return most > 0 ? most : 1;
}

/* From white to the colour, v in [-1, 1]. */
static void colour(double v, int rgb[3]) {
    static const int less[3] = {33, 102, 172};
    static const int more[3] = {178, 24, 43};
    const int *end = v < 0 ? less : more;
    double share = fmin(fabs(v), 1);
    for (int i = 0; i < 3; i++) {
        rgb[i] = (int)(255 + (end[i] - 255) * share + 0.5);
    }
}

static void legend(const hm_writer *w, mbs_text *t, double scale) {
    const char *window = mbs_header_attr(w->stream, "window");
    put(t, "<text x=\"%d\" y=\"16\">ln P(changed) - ln P(as it stands), in nats", LEFT);
    if (window) {
        put(t, ", over the position and the ");
        put_name(t, window, strlen(window));
        put(t, " that follow");
    }
    put(t, "</text>\n<rect x=\"%d\" y=\"24\" width=\"%d\" height=\"10\" fill=\"url(#scale)\" stroke=\"#888\"/>\n", LEFT,
        LEGEND);
    put(t, "<text x=\"%d\" y=\"46\" text-anchor=\"middle\">%.3g</text>\n", LEFT, -scale);
    put(t, "<text x=\"%d\" y=\"46\" text-anchor=\"middle\">0</text>\n", LEFT + LEGEND / 2);
    put(t, "<text x=\"%d\" y=\"46\" text-anchor=\"middle\">%.3g</text>\n", LEFT + LEGEND, scale);
    put(t, "<circle cx=\"%d\" cy=\"29\" r=\"2\"/><text x=\"%d\" y=\"33\">what stands there</text>\n",
        LEFT + LEGEND + 24, LEFT + LEGEND + 32);
    put(t,
        "<rect x=\"%d\" y=\"24\" width=\"10\" height=\"10\" fill=\"#ccc\"/><text x=\"%d\" y=\"33\">nothing can be said"
        "</text>\n",
        LEFT + LEGEND + 144, LEFT + LEGEND + 160);
}

static void cell(const hm_writer *w, mbs_text *t, int64_t position, int64_t k, float v, int64_t x, int64_t y,
                 double scale) {
    int rgb[3];
    if (isnan(v)) {
        put(t, "<rect x=\"%lld\" y=\"%lld\" width=\"%d\" height=\"%d\" fill=\"#ccc\">", (long long)x, (long long)y,
            CELL, CELL);
    } else {
        colour((double)v / scale, rgb);
        put(t, "<rect x=\"%lld\" y=\"%lld\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\">", (long long)x,
            (long long)y, CELL, CELL, (unsigned)rgb[0], (unsigned)rgb[1], (unsigned)rgb[2]);
    }
    put(t, "<title>%lld ", (long long)position);
    put_letter(w, t, k);
    put(t, isnan(v) ? "</title></rect>\n" : " %.4g</title></rect>\n", (double)v);
    if (v == 0) {
        put(t, "<circle cx=\"%lld\" cy=\"%lld\" r=\"2\"/>\n", (long long)x + CELL / 2, (long long)y + CELL / 2);
    }
}

/* Positions [from, from + n) of a panel; y of its first letter. */
static void line(const hm_writer *w, mbs_text *t, const hm_panel *p, int64_t from, int64_t n, int64_t y, double scale) {
    int64_t width = w->shape.width;
    for (int64_t k = 0; k < width; k++) {
        put(t, "<text x=\"%d\" y=\"%lld\" text-anchor=\"end\">", LEFT - 5, (long long)(y + k * CELL + CELL - 1));
        put_letter(w, t, k);
        put(t, "</text>\n");
        for (int64_t i = 0; i < n; i++) {
            cell(w, t, p->start + from + i + 1, k, w->rows[(p->first + from + i) * width + k], LEFT + i * CELL,
                 y + k * CELL, scale);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t position = p->start + from + i + 1;
        if (i == 0 || (position % 10 == 0 && i > 5)) {
            put(t, "<text x=\"%lld\" y=\"%lld\" text-anchor=\"middle\">%lld</text>\n",
                (long long)(LEFT + i * CELL + CELL / 2), (long long)(y + width * CELL + 12), (long long)position);
        }
    }
}

static int64_t lines_of(const hm_writer *w, const hm_panel *p) {
    return (p->n + w->wrap - 1) / w->wrap;
}

void hm_draw(const hm_writer *w, mbs_text *t) {
    double scale = w->scale > 0 ? w->scale : largest(w);
    int64_t each = w->shape.width * CELL + AXIS;
    int64_t height = HEAD;
    int64_t widest = 10;
    for (int64_t i = 0; i < w->n_panels; i++) {
        height += TITLE + lines_of(w, &w->panels[i]) * each;
        int64_t n = w->panels[i].n < w->wrap ? w->panels[i].n : w->wrap;
        widest = n > widest ? n : widest;
    }
    int64_t room = LEFT + widest * CELL + 40;
    room = room < 520 ? 520 : room;
    put(t,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%lld\" height=\"%lld\" viewBox=\"0 0 %lld %lld\" "
        "font-family=\"sans-serif\" font-size=\"10\">\n",
        (long long)room, (long long)height, (long long)room, (long long)height);
    put(t, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<defs><linearGradient id=\"scale\">"
           "<stop offset=\"0\" stop-color=\"#2166ac\"/><stop offset=\"0.5\" stop-color=\"#fff\"/>"
           "<stop offset=\"1\" stop-color=\"#b2182b\"/></linearGradient></defs>\n");
    legend(w, t, scale);
    int64_t y = HEAD;
    for (int64_t i = 0; i < w->n_panels; i++) {
        const hm_panel *p = &w->panels[i];
        put(t, "<text x=\"%d\" y=\"%lld\" font-weight=\"bold\">", LEFT, (long long)y + 12);
        put_name(t, p->name, strlen(p->name));
        put(t, p->n ? ":%lld-%lld</text>\n" : "</text>\n", (long long)p->start + 1, (long long)(p->start + p->n));
        y += TITLE;
        for (int64_t from = 0; from < p->n; from += w->wrap, y += each) {
            line(w, t, p, from, p->n - from < w->wrap ? p->n - from : w->wrap, y, scale);
        }
    }
    put(t, "</svg>\n");
}
