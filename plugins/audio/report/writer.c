#include <stdio.h>
#include <string.h>

#include "audio/dsp/origin.h"
#include "report.h"

static void report_destroy(void *self) {
    rp_writer *w = self;
    const mbs_host *h = w->host;
    mbs_spool_drop(&w->out);
    mbs_text_free(&w->line);
    h->free(h, w->top);
    h->free(h, w->until);
    h->free(h, w);
}

static mbs_status report_create(const mbs_host *host, const mbs_params *params, void **self) {
    rp_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->params = params;
    w->path = host->param_string(params, "path");
    w->audio = host->param_float(params, "audio");
    w->line.host = host;
    w->begin = -1;
    mbs_status st = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
    mbs_spool_init(&w->out, host, w->temp, w->temp ? w->path : "standard output");
    if (st != MBS_OK) {
        report_destroy(w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

static mbs_status flush_line(rp_writer *w) {
    if (w->line.failed) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a page");
    }
    mbs_status st = mbs_spool_append(&w->out, w->line.data, w->line.len);
    w->line.len = 0;
    return st < 0 ? st : MBS_OK;
}

static const char head[] =
    "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\n"
    "<title>mambaseq: sound</title>\n<style>\n"
    "body{font:15px/1.4 system-ui,sans-serif;max-width:1240px;margin:1.5em auto;padding:0 "
    "1em;color:#222;background:#fff}\n"
    "h2{margin:1.6em 0 .2em}.note,.axis,.from{color:#666;font-size:13px}\n"
    "svg,img{display:block;width:100%;background:#f6f6f6}.wave{height:120px}.wave path{stroke:#0b6fa4;fill:none}\n"
    ".spectrogram{height:192px}.classes{height:150px}.line{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}\n"
    ".grid{stroke:#ccc;vector-effect:non-scaling-stroke}.axis{display:flex;justify-content:space-between;margin-bottom:"
    ".7em}\n"
    ".legend span{margin-right:1em}audio{width:100%;margin:.5em 0}\n</style>\n<h1>What was heard</h1>\n";

static mbs_status report_open(void *self, const mbs_stream_header *header) {
    rp_writer *w = self;
    w->stream = header;
    w->labels = mbs_header_attr(header, "labels");
    w->labels = w->labels && *w->labels ? w->labels : NULL;
    const char *model = mbs_header_attr(header, "model_sha256");
    w->rate = header->rate > 0 ? header->rate : 1; /* without a rate places are shown as seconds */
    mbs_status st = mbs_spool_open(&w->out, 0);
    rp_put(&w->line, head);
    rp_put(&w->line, "<p class=from>model ");
    rp_put_escaped(&w->line, model ? model : "?", model ? strlen(model) : 1);
    rp_put(&w->line, "</p>\n");
    return st < 0 ? st : flush_line(w);
}

/* Room for rows of n classes. */
static mbs_status know_classes(rp_writer *w, int64_t n) {
    const mbs_host *h = w->host;
    if (w->top) {
        return n == w->n_classes ? MBS_OK : h->fail(h, MBS_ERR_INTERNAL, NULL, "rows of another number of classes");
    }
    if (n < 1 || n > 1000) {
        return h->fail(h, MBS_ERR_CONFIG, NULL, "a model of %lld classes, a report takes 1 to 1000", (long long)n);
    }
    w->n_classes = n;
    w->top = h->alloc(h, (size_t)(RP_PLACES * n) * sizeof(*w->top));
    w->until = h->alloc(h, RP_PLACES * sizeof(*w->until));
    return w->top && w->until ? MBS_OK : h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a report");
}

/* Two places become one, which keeps the highest of both. */
static void halve(rp_writer *w) {
    int64_t n = w->n_classes;
    for (int64_t i = 0; i < w->n_places / 2; i++) {
        for (int64_t k = 0; k < n; k++) {
            float a = w->top[2 * i * n + k];
            float b = w->top[(2 * i + 1) * n + k];
            w->top[i * n + k] = b > a ? b : a;
        }
        w->until[i] = w->until[2 * i + 1];
    }
    w->n_places /= 2;
    w->rows_each *= 2;
}

static void add_row(rp_writer *w, const float *prob, int64_t end) {
    int64_t n = w->n_classes;
    if (w->rows_in == 0 || w->rows_in == w->rows_each) {
        if (w->n_places == RP_PLACES) {
            halve(w);
        }
        memset(w->top + w->n_places * n, 0, (size_t)n * sizeof(float));
        w->n_places++;
        w->rows_in = 0;
    }
    float *top = w->top + (w->n_places - 1) * n;
    for (int64_t k = 0; k < n; k++) {
        top[k] = prob[k] > top[k] ? prob[k] : top[k];
    }
    w->rows_in++;
    w->until[w->n_places - 1] = (double)end;
    w->end = end;
}

/* What the sound itself shows: read again from its file. */
static mbs_status put_sound(rp_writer *w, const char *path, double seconds) {
    const mbs_host *h = w->host;
    char text[160];
    rp_sound *s = h->alloc(h, sizeof(*s));
    if (!s) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a report");
    }
    mbs_status st = rp_sound_look(h, path, (double)w->begin / w->rate, seconds, w->audio, s);
    if (st == MBS_OK) {
        rp_picture_wave(&w->line, s, seconds);
        st = rp_picture_spectrogram(h, &w->line, s, seconds);
    }
    if (st == MBS_OK && s->flac_bytes > 0) {
        (void)snprintf(text, sizeof(text), "<div class=note>the first %.1f s</div><audio controls src=\"", s->heard);
        rp_put(&w->line, text);
        rp_put(&w->line, "data:audio/flac;base64,");
        rp_put_base64(&w->line, s->flac, s->flac_bytes);
        rp_put(&w->line, "\"></audio>\n");
        w->audio -= s->heard;
    }
    rp_sound_free(h, s);
    h->free(h, s);
    return st;
}

static mbs_status put_record(rp_writer *w, const mbs_record *record) {
    const mbs_origin *o = record->origin;
    const char *path = o && strcmp(o->library, AU_ORIGIN_LIBRARY) == 0 ? ((const au_recording *)o->data)->path : NULL;
    double seconds = (double)(w->end - w->begin) / w->rate;
    char text[160];
    mbs_status st = MBS_OK;
    rp_put(&w->line, "<h2>");
    rp_put_escaped(&w->line, record->name, strlen(record->name));
    (void)snprintf(text, sizeof(text), "</h2>\n<p class=from>from %.2f s on, %.2f s</p>\n", (double)w->begin / w->rate,
                   seconds);
    rp_put(&w->line, text);
    if (path) {
        st = put_sound(w, path, seconds);
    } else if (!w->said_no_sound) {
        w->said_no_sound = 1;
        w->host->log(w->host, MBS_LOGLEVEL_WARNING,
                     "'%.100s' cannot be read a second time: the page has its probabilities, not its sound",
                     record->name);
    }
    rp_picture_classes(w, &w->line);
    return st == MBS_OK ? flush_line(w) : st;
}

static mbs_status report_write(void *self, const mbs_block *b) {
    rp_writer *w = self;
    const mbs_host *h = w->host;
    if (b->dtype != MBS_F32 || b->ndim != 2) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where classes were due", b->type);
    }
    mbs_status st = b->shape[0] > 0 ? know_classes(w, b->shape[1]) : MBS_OK;
    if (b->flags & MBS_SEQ_START) {
        w->begin = -1;
        w->n_places = w->rows_in = 0;
        w->rows_each = 1;
    }
    for (int64_t i = 0; i < b->shape[0] && st == MBS_OK; i++) {
        int64_t start;
        int64_t end;
        if (!mbs_row_interval(b, i, &start, &end)) {
            return h->fail(h, MBS_ERR_INTERNAL, NULL, "record '%s': rows that do not say which time they are of",
                           b->record->name);
        }
        w->begin = w->begin < 0 ? start : w->begin;
        add_row(w, (const float *)b->data + i * b->shape[1], end);
    }
    if (st == MBS_OK && (b->flags & MBS_SEQ_END) && w->begin >= 0) {
        st = put_record(w, b->record);
    }
    return st;
}

static mbs_status report_drain(void *self) {
    rp_writer *w = self;
    mbs_status st = mbs_spool_flush(&w->out);
    return st < 0 ? st : MBS_OK;
}

static mbs_status report_close(void *self) {
    rp_writer *w = self;
    rp_put(&w->line, "</html>\n");
    mbs_status st = flush_line(w);
    st = st < 0 ? st : mbs_spool_close(&w->out);
    return st < 0 ? st : MBS_OK;
}

const mbs_writer_vt rp_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = report_create,
    .open = report_open,
    .write = report_write,
    .drain = report_drain,
    .close = report_close,
    .destroy = report_destroy,
};
