/* Pictures as text: SVG for lines, a bitmap of 256 colours for the spectrogram. */
#include <stdio.h>
#include <string.h>

#include "report.h"

#define HEIGHT 120

void rp_put(mbs_text *line, const char *text) {
    mbs_text_append(line, text, strlen(text));
}

void rp_put_escaped(mbs_text *line, const char *text, size_t n) {
    mbs_text clean = {.host = line->host};
    mbs_text_append_utf8(&clean, text, n);
    for (size_t i = 0; i < clean.len; i++) {
        char c = clean.data[i];
        const char *as = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : NULL;
        if (as) {
            rp_put(line, as);
        } else {
            c = (unsigned char)c < ' ' ? '_' : c;
            mbs_text_append(line, &c, 1);
        }
    }
    line->failed |= clean.failed;
    mbs_text_free(&clean);
}

void rp_put_base64(mbs_text *line, const unsigned char *bytes, size_t n) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char part[1024];
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        unsigned v =
            (unsigned)bytes[i] << 16 | (i + 1 < n ? (unsigned)bytes[i + 1] << 8 : 0) | (i + 2 < n ? bytes[i + 2] : 0u);
        part[used++] = digit[v >> 18];
        part[used++] = digit[v >> 12 & 63];
        part[used++] = i + 1 < n ? digit[v >> 6 & 63] : '=';
        part[used++] = i + 2 < n ? digit[v & 63] : '=';
        if (used == sizeof(part)) {
            mbs_text_append(line, part, used);
            used = 0;
        }
    }
    mbs_text_append(line, part, used);
}

static void put_axis(mbs_text *line, double seconds) {
    char text[96];
    rp_put(line, "<div class=axis>");
    for (int i = 0; i <= 6; i++) {
        (void)snprintf(text, sizeof(text), "<span>%.*f s</span>", seconds < 60 ? 2 : 0, seconds * i / 6);
        rp_put(line, text);
    }
    rp_put(line, "</div>\n");
}

void rp_picture_wave(mbs_text *line, const rp_sound *s, double seconds) {
    char text[64];
    (void)snprintf(text, sizeof(text), "<svg class=wave viewBox=\"0 0 %d %d\" ", RP_COLUMNS, HEIGHT);
    rp_put(line, text);
    rp_put(line, "preserveAspectRatio=none role=img aria-label=waveform><path d=\"");
    for (int x = 0; x < RP_COLUMNS; x++) {
        double low = (double)s->low[x] < -1 ? -1 : (double)s->low[x];
        double high = (double)s->high[x] > 1 ? 1 : (double)s->high[x];
        (void)snprintf(text, sizeof(text), "M%d %.1fV%.1f", x, HEIGHT / 2.0 * (1 - high) - 0.2,
                       HEIGHT / 2.0 * (1 - low) + 0.2);
        rp_put(line, text);
    }
    rp_put(line, "\"/></svg>\n");
    put_axis(line, seconds);
}

static void le32(unsigned char *to, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        to[i] = (unsigned char)(v >> (8 * i));
    }
}

/* From black over violet and orange to pale yellow. */
static void colour(int v, unsigned char bgr[4]) {
    static const unsigned char stops[5][3] = {
        {0, 0, 4}, {81, 18, 124}, {183, 55, 121}, {252, 137, 97}, {252, 253, 191}};
    int k = v * 4 / 256;
    int rest = v * 4 - k * 256;
    for (int c = 0; c < 3; c++) {
        bgr[2 - c] = (unsigned char)(stops[k][c] + (stops[k + 1][c] - stops[k][c]) * rest / 256);
    }
    bgr[3] = 0;
}

mbs_status rp_picture_spectrogram(const mbs_host *host, mbs_text *line, const rp_sound *s, double seconds) {
    size_t head = 54 + 256 * 4;
    size_t size = head + (size_t)RP_BANDS * RP_COLUMNS; /* rows are a multiple of 4 wide, the lowest first */
    unsigned char *b = host->alloc(host, size);
    if (!b) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a spectrogram");
    }
    memset(b, 0, head);
    memcpy(b, "BM", 2);
    le32(b + 2, (uint32_t)size);
    le32(b + 10, (uint32_t)head);
    le32(b + 14, 40);
    le32(b + 18, RP_COLUMNS);
    le32(b + 22, RP_BANDS);
    b[26] = 1;
    b[28] = 8;
    le32(b + 46, 256);
    for (int v = 0; v < 256; v++) {
        colour(v, b + 54 + v * 4);
    }
    memcpy(b + head, s->level, (size_t)RP_BANDS * RP_COLUMNS);
    char text[128];
    (void)snprintf(text, sizeof(text), "<div class=note>0 to %lld Hz, -100 to 0 dB</div>", (long long)s->rate / 2);
    rp_put(line, text);
    rp_put(line, "<img class=spectrogram alt=spectrogram src=\"data:image/bmp;base64,");
    rp_put_base64(line, b, size);
    rp_put(line, "\">\n");
    put_axis(line, seconds);
    host->free(host, b);
    return MBS_OK;
}

size_t rp_class_name(const rp_writer *w, int64_t k, const char **name, char number[24]) {
    const char *p = w->labels;
    for (int64_t i = 0; p && i < k; i++) {
        p = strchr(p, '\t');
        p = p ? p + 1 : NULL;
    }
    if (!p) {
        (void)snprintf(number, 24, "%lld", (long long)k);
    }
    *name = p ? p : number;
    return strcspn(*name, "\t");
}

/* The classes that reach highest, in their own order. Gives how many. */
static int shown(const rp_writer *w, int64_t list[RP_CLASSES_SHOWN]) {
    int n = 0;
    double best[RP_CLASSES_SHOWN];
    for (int64_t k = 0; k < w->n_classes; k++) {
        double peak = 0;
        for (int64_t i = 0; i < w->n_places; i++) {
            double v = (double)w->top[i * w->n_classes + k];
            peak = v > peak ? v : peak;
        }
        int at = n < RP_CLASSES_SHOWN ? n++ : RP_CLASSES_SHOWN - 1;
        if (at == n - 1 && n == RP_CLASSES_SHOWN && k >= RP_CLASSES_SHOWN && peak <= best[at]) {
            continue;
        }
        for (; at > 0 && best[at - 1] < peak; at--) {
            best[at] = best[at - 1];
            list[at] = list[at - 1];
        }
        best[at] = peak;
        list[at] = k;
    }
    return n;
}

void rp_picture_classes(const rp_writer *w, mbs_text *line) {
    static const char *const colours[RP_CLASSES_SHOWN] = {"#0b6fa4", "#d1495b", "#2e8b57", "#c77d00",
                                                          "#6a4c93", "#008b8b", "#8c564b", "#555555"};
    int64_t list[RP_CLASSES_SHOWN];
    int n = shown(w, list);
    char text[128];
    double whole = (double)(w->end - w->begin);
    rp_put(line, "<svg class=classes viewBox=\"0 0 1200 150\" preserveAspectRatio=none role=img "
                 "aria-label=probabilities><path class=grid d=\"M0 75H1200M0 1H1200M0 149H1200\"/>");
    for (int c = 0; c < n; c++) {
        (void)snprintf(text, sizeof(text), "<path class=line stroke=\"%s\" d=\"M0 ", colours[c]);
        rp_put(line, text);
        for (int64_t i = 0; i < w->n_places; i++) {
            double p = (double)w->top[i * w->n_classes + list[c]];
            p = p >= 0 && p <= 1 ? p : 0;
            (void)snprintf(text, sizeof(text), "%s%.1fH%.1f", i ? "V" : "", 149 - 148 * p,
                           whole > 0 ? 1200 * (w->until[i] - (double)w->begin) / whole : 0);
            rp_put(line, text);
        }
        rp_put(line, "\"/>");
    }
    rp_put(line, "</svg>\n");
    put_axis(line, whole / w->rate);
    rp_put(line, "<div class=legend>");
    for (int c = 0; c < n; c++) {
        char number[24];
        const char *name;
        size_t len = rp_class_name(w, list[c], &name, number);
        (void)snprintf(text, sizeof(text), "<span style=\"color:%s\">&#9644; ", colours[c]);
        rp_put(line, text);
        rp_put_escaped(line, name, len);
        rp_put(line, "</span> ");
    }
    rp_put(line, w->n_classes > n ? "<span>(those that reach highest)</span></div>\n" : "</div>\n");
}
