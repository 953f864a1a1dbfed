/* One event as the programs want it that people look at it with. */
#include <stdio.h>
#include <string.h>

#include "io/rowfile/number.h"
#include "labels.h"

static void put(lb_writer *w, const char *text) {
    mbs_text_append(&w->line, text, strlen(text));
}

static void put_number(lb_writer *w, double v) {
    char text[MBS_NUMBER_MAX];
    mbs_text_append(&w->line, text, mbs_number_fixed(text, v));
}

/* Bytes of the blank of Unicode that begins here; 0: none. What splits a line at blanks splits at these too. */
static size_t wide_blank(const char *p, size_t n) {
    static const char *const blanks[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                         "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
        size_t len = strlen(blanks[i]);
        if (n >= len && memcmp(p, blanks[i], len) == 0) {
            return len;
        }
    }
    int space =
        n >= 3 && p[0] == '\xe2' && p[1] == '\x80' && (unsigned char)p[2] >= 0x80 && (unsigned char)p[2] <= 0x8a;
    return space ? 3 : 0;
}

/* Whether a field of this text would be none: RTTM parts fields at blanks, and an empty line ends a subtitle. */
static int is_void(const lb_writer *w, const mbs_text *text) {
    size_t i = 0;
    while (i < text->len && text->data[i] == ' ') {
        i++;
    }
    return i == text->len && (w->format == LB_SRT || (w->format == LB_RTTM && i == 0));
}

/* A text as valid UTF-8 with nothing in it that ends a field or looks like one: controls (and blanks, for RTTM) become
 * '_', the arrow between two times of SRT is "-- >"; JSON has escapes. */
static void put_text(lb_writer *w, const char *text, size_t n) {
    mbs_text clean = {.host = w->host};
    mbs_text_append_utf8(&clean, text, n);
    if (is_void(w, &clean)) {
        put(w, "_");
        clean.len = 0;
    }
    for (size_t i = 0; i < clean.len; i++) {
        char c = clean.data[i];
        size_t wide = w->format == LB_RTTM ? wide_blank(clean.data + i, clean.len - i) : 0;
        if (wide > 0) {
            put(w, "_");
            i += wide - 1;
            continue;
        }
        if (w->format == LB_SRT && c == '>' && i >= 2 && clean.data[i - 1] == '-' && clean.data[i - 2] == '-') {
            put(w, " ");
        }
        char code[8];
        if (w->format == LB_JSONL && (c == '"' || c == '\\')) {
            put(w, "\\");
        } else if (w->format == LB_JSONL && (unsigned char)c < ' ') {
            (void)snprintf(code, sizeof(code), "\\u%04x", (unsigned)c);
            put(w, code);
            continue;
        } else if ((unsigned char)c < ' ' || c == 0x7f || (c == ' ' && w->format == LB_RTTM)) {
            c = '_';
        }
        mbs_text_append(&w->line, &c, 1);
    }
    w->line.failed |= clean.failed;
    mbs_text_free(&clean);
}

size_t lb_class_name(const lb_writer *w, int64_t k, const char **name, char number[24]) {
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

static void put_class(lb_writer *w, int64_t k) {
    char number[24];
    const char *name;
    size_t n = lb_class_name(w, k, &name, number);
    put_text(w, name, n);
}

static mbs_status flush_line(lb_writer *w) {
    if (w->line.failed) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a line");
    }
    mbs_status st = mbs_spool_append(&w->out, w->line.data, w->line.len);
    w->line.len = 0;
    return st;
}

static const char *const columns[] = {"source", "name",      "start",      "end",          "label",   "score",
                                      "peak",   "threshold", "hysteresis", "min_duration", "max_gap", "model_sha256"};

mbs_status lb_format_header(lb_writer *w) {
    if (w->at.header_done) {
        return MBS_OK;
    }
    w->at.header_done = 1;
    if (w->format == LB_RAVEN) {
        put(w, "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\t"
               "Score\tBegin Path\n");
    } else if (w->format == LB_TSV) {
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
            put(w, i ? "\t" : "");
            put(w, columns[i]);
        }
        put(w, "\n");
    }
    return w->line.len ? flush_line(w) : MBS_OK;
}

/* "00:01:02,345" */
static void put_clock(lb_writer *w, double seconds) {
    char text[64];
    long long ms = (long long)(seconds * 1000 + 0.5);
    (void)snprintf(text, sizeof(text), "%02lld:%02lld:%02lld,%03lld", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
                   ms % 1000);
    put(w, text);
}

/* Column i of the table, as TSV or a JSON value. */
static void put_column(lb_writer *w, size_t i, const lb_event *e) {
    const char *source = mbs_header_source(w->stream, w->record);
    const char *texts[12] = {source ? source : ".", w->record->name, [11] = w->model};
    const double numbers[12] = {[2] = (double)e->start / w->rate,
                                [3] = (double)e->end / w->rate,
                                [5] = e->sum / (double)e->rows,
                                [6] = e->peak,
                                [7] = w->classes[e->label].on,
                                [8] = w->hysteresis,
                                [9] = w->min_duration,
                                [10] = w->max_gap};
    int is_text = i == 0 || i == 1 || i == 4 || i == 11;
    const char *quote = is_text && w->format == LB_JSONL ? "\"" : "";
    put(w, quote);
    if (i == 4) {
        put_class(w, e->label);
    } else if (is_text) {
        put_text(w, texts[i], strlen(texts[i]));
    } else {
        put_number(w, numbers[i]);
    }
    put(w, quote);
}

static void put_raven(lb_writer *w, const lb_event *e, double start, double end) {
    char text[64];
    const char *source = mbs_header_source(w->stream, w->record);
    (void)snprintf(text, sizeof(text), "%lld\tSpectrogram 1\t1\t", (long long)w->at.written);
    put(w, text);
    put_number(w, start);
    put(w, "\t");
    put_number(w, end);
    put(w, "\t0\t");
    put_number(w, w->rate / 2);
    put(w, "\t");
    put_class(w, e->label);
    put(w, "\t");
    put_number(w, e->sum / (double)e->rows);
    put(w, "\t");
    put_text(w, source ? source : "", source ? strlen(source) : 0);
    put(w, "\n");
}

static void put_srt(lb_writer *w, const lb_event *e, double start, double end) {
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld\n", (long long)w->at.written);
    put(w, text);
    put_clock(w, start);
    put(w, " --> ");
    put_clock(w, end);
    put(w, "\n");
    put_class(w, e->label);
    put(w, "\n\n");
}

mbs_status lb_format_event(lb_writer *w, const lb_event *e) {
    double start = (double)e->start / w->rate;
    double end = (double)e->end / w->rate;
    w->at.written++;
    if (w->format == LB_AUDACITY) {
        put_number(w, start);
        put(w, "\t");
        put_number(w, end);
        put(w, "\t");
        put_class(w, e->label);
        put(w, "\n");
    } else if (w->format == LB_RTTM) {
        put(w, "SPEAKER ");
        put_text(w, w->record->name, strlen(w->record->name));
        put(w, " 1 ");
        put_number(w, start);
        put(w, " ");
        put_number(w, end - start);
        put(w, " <NA> <NA> ");
        put_class(w, e->label);
        put(w, " ");
        put_number(w, e->sum / (double)e->rows);
        put(w, " <NA>\n");
    } else if (w->format == LB_RAVEN) {
        put_raven(w, e, start, end);
    } else if (w->format == LB_SRT) {
        put_srt(w, e, start, end);
    } else {
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
            if (w->format == LB_JSONL) {
                put(w, i ? ",\"" : "{\"");
                put(w, columns[i]);
                put(w, "\":");
            } else {
                put(w, i ? "\t" : "");
            }
            put_column(w, i, e);
        }
        put(w, w->format == LB_JSONL ? "}\n" : "\n");
    }
    return flush_line(w);
}
