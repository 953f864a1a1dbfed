#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labels.h"

#define VERSION 2
#define BITS_USUAL 8.0 /* what a code of 256 levels needs without a model */
#define EVERY_USUAL 0.5
#define CLASSES_MAX 100000

static int ends_with(const char *path, const char *ending) {
    size_t n = strlen(path);
    size_t m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}

static lb_format format_of(const char *word, const char *path) {
    static const struct {
        const char *word, *ending;
        lb_format format;
    } known[] = {{"raven", ".selections.txt", LB_RAVEN},
                 {"audacity", ".txt", LB_AUDACITY},
                 {"rttm", ".rttm", LB_RTTM},
                 {"srt", ".srt", LB_SRT},
                 {"jsonl", ".jsonl", LB_JSONL},
                 {"tsv", ".tsv", LB_TSV}};
    int told = strcmp(word, "auto") != 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (told ? strcmp(word, known[i].word) == 0 : ends_with(path, known[i].ending)) {
            return known[i].format;
        }
    }
    return LB_TSV;
}

static void labels_destroy(void *self) {
    lb_writer *w = self;
    const mbs_host *h = w->host;
    mbs_spool_drop(&w->out);
    mbs_text_free(&w->line);
    h->free(h, w->classes);
    h->free(h, w->held);
    h->free(h, w->saved);
    h->free(h, w);
}

static mbs_status labels_create(const mbs_host *host, const mbs_params *params, void **self) {
    lb_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->params = params;
    w->path = host->param_string(params, "path");
    w->format = format_of(host->param_string(params, "format"), w->path);
    w->at.header_done = !host->param_bool(params, "header");
    w->hysteresis = host->param_float(params, "hysteresis");
    w->min_duration = host->param_float(params, "min_duration");
    w->max_gap = host->param_float(params, "max_gap");
    w->line.host = host;
    w->at.version = VERSION;
    mbs_status st = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
    mbs_spool_init(&w->out, host, w->temp, w->temp ? w->path : "standard output");
    if (st != MBS_OK) {
        labels_destroy(w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

/* ---- classes ---- */

static int64_t find_class(const lb_writer *w, const char *name, size_t n) {
    char number[24];
    const char *own;
    for (int64_t k = 0; k < w->at.n_classes; k++) {
        if (lb_class_name(w, k, &own, number) == n && memcmp(own, name, n) == 0) {
            return k;
        }
    }
    return -1;
}

static mbs_status no_class(const lb_writer *w, const char *param, const char *name, size_t n) {
    mbs_status st =
        w->host->fail(w->host, MBS_ERR_CONFIG, param, "the model has no class '%.*s'", (int)(n < 80 ? n : 80), name);
    char list[300] = "";
    for (int64_t k = 0; k < w->at.n_classes && strlen(list) + 60 < sizeof(list); k++) {
        char number[24];
        const char *own;
        size_t len = lb_class_name(w, k, &own, number);
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s%.*s", k ? ", " : "", (int)(len < 40 ? len : 40), own);
    }
    w->host->hint(w->host, "its classes are %s", list);
    return st;
}

/* Task score: one class, and bits over pieces of time for its probability. */
static int scores(const lb_writer *w) {
    return strcmp(w->stream->type, "score/f32") == 0;
}

/* "0.5" for all, "dog=0.7" for one: item `i` of the list, where it is of that kind. */
static mbs_status read_threshold(lb_writer *w, int64_t i, int of_one) {
    const mbs_host *h = w->host;
    const char *item = h->param_item(w->params, "threshold", i);
    const char *equals = strrchr(item, '=');
    const char *text = equals ? equals + 1 : item;
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= 0 && v <= (scores(w) ? 1000 : 1))) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "threshold", "'%.80s' is no %s", item,
                                scores(w) ? "number of bits" : "probability");
        h->hint(h, scores(w) ? "threshold: 6 bits a token, say: see what writer table has with the same every"
                             : "threshold: 0.5, or [0.5, dog=0.7] with another one for a class");
        return st;
    }
    if ((equals != NULL) != of_one) {
        return MBS_OK;
    }
    int64_t one = equals ? find_class(w, item, (size_t)(equals - item)) : -1;
    if (equals && one < 0) {
        return no_class(w, "threshold", item, (size_t)(equals - item));
    }
    for (int64_t j = 0; j < i; j++) { /* which of two is meant nobody knows */
        const char *other = h->param_item(w->params, "threshold", j);
        const char *mark = strrchr(other, '=');
        if (!equals == !mark && (!mark || find_class(w, other, (size_t)(mark - other)) == one)) {
            mbs_status st =
                h->fail(h, MBS_ERR_CONFIG, "threshold", "'%.80s' and '%.80s' are for the same", other, item);
            h->hint(h, "one number for all classes, and dog=0.7 for one of them");
            return st;
        }
    }
    for (int64_t k = equals ? one : 0; k < (equals ? one + 1 : w->at.n_classes); k++) {
        w->classes[k].on = v;
        w->classes[k].off = v - w->hysteresis;
    }
    return MBS_OK;
}

/* Those of one class after that of all, in whatever order they are told. */
static mbs_status read_thresholds(lb_writer *w) {
    const mbs_host *h = w->host;
    if (scores(w) && !h->param_is_set(w->params, "threshold")) {
        w->classes[0].on = BITS_USUAL;
        w->classes[0].off = BITS_USUAL - w->hysteresis;
        return MBS_OK;
    }
    for (int of_one = 0; of_one < 2; of_one++) {
        for (int64_t i = 0; i < h->param_count(w->params, "threshold"); i++) {
            mbs_status st = read_threshold(w, i, of_one);
            if (st != MBS_OK) {
                return st;
            }
        }
    }
    return MBS_OK;
}

static mbs_status read_ignored(lb_writer *w) {
    for (int64_t i = 0; i < w->host->param_count(w->params, "ignore"); i++) {
        const char *item = w->host->param_item(w->params, "ignore", i);
        int64_t k = find_class(w, item, strlen(item));
        if (k < 0) {
            return no_class(w, "ignore", item, strlen(item));
        }
        w->classes[k].wanted = 0;
    }
    return MBS_OK;
}

static mbs_status take_saved(lb_writer *w) {
    const char *p = (const char *)w->saved + sizeof(lb_place);
    size_t classes = (size_t)w->at.n_classes * sizeof(lb_class);
    size_t held = (size_t)w->at.n_held * sizeof(lb_event);
    memcpy(w->classes, p, classes);
    if (held) {
        w->held = w->host->alloc(w->host, held);
        if (!w->held) {
            return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for held events");
        }
        memcpy(w->held, p + classes, held);
        w->cap_held = w->at.n_held;
    }
    return MBS_OK;
}

/* The first block says how many classes there are. */
static mbs_status know_classes(lb_writer *w, int64_t n) {
    if (w->classes) {
        return n == w->at.n_classes
                   ? MBS_OK
                   : w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "rows of %lld classes, then of %lld",
                                   (long long)w->at.n_classes, (long long)n);
    }
    int restored = w->saved && w->at.n_classes > 0;
    if (n < 1 || n > CLASSES_MAX || (restored && n != w->at.n_classes)) {
        return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "rows of %lld classes", (long long)n);
    }
    w->classes = w->host->alloc(w->host, (size_t)n * sizeof(*w->classes));
    if (!w->classes) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for %lld classes", (long long)n);
    }
    w->at.n_classes = n;
    if (restored) {
        return take_saved(w);
    }
    memset(w->classes, 0, (size_t)n * sizeof(*w->classes));
    for (int64_t k = 0; k < n; k++) {
        w->classes[k].on = 0.5;
        w->classes[k].off = 0.5 - w->hysteresis;
        w->classes[k].wanted = 1;
    }
    mbs_status st = read_thresholds(w);
    return st == MBS_OK ? read_ignored(w) : st;
}

static int64_t count_names(const char *labels) {
    int64_t n = labels && *labels ? 1 : 0;
    for (const char *p = labels; p && *p; p++) {
        n += *p == '\t';
    }
    return n;
}

static mbs_status labels_open(void *self, const mbs_stream_header *header) {
    lb_writer *w = self;
    const mbs_host *h = w->host;
    w->stream = header;
    w->labels = mbs_header_attr(header, "labels");
    w->labels = scores(w) ? "surprise" : w->labels && *w->labels ? w->labels : NULL;
    w->model = mbs_header_attr(header, "model_sha256");
    w->model = w->model ? w->model : ".";
    w->rate = header->rate > 0 ? header->rate : 1.0;
    if (!(header->rate > 0) && w->format != LB_TSV && w->format != LB_JSONL) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, "format", "it is in seconds, and what comes has %ss and no rate", header->unit);
        h->hint(h, "tsv and jsonl hold places in %ss", header->unit);
        return st;
    }
    if (!scores(w) && h->param_is_set(w->params, "every")) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "every", "it is for task score, and what comes is of classes");
        h->hint(h, "model.every says how long the pieces are that are classified");
        return st;
    }
    mbs_piece piece = {0};
    double usual = header->rate > 0 ? EVERY_USUAL : 0;
    mbs_status told = scores(w) ? mbs_piece_every(&piece, h, w->params, header, usual) : MBS_OK;
    if (told != MBS_OK) {
        return told;
    }
    w->at.piece.every = piece.every > 0 ? piece.every : 1; /* without time: token by token */
    /* Names that are wrong are said before hours of work. */
    int64_t known = w->labels ? count_names(w->labels) : w->at.n_classes;
    mbs_status st = known > 0 ? know_classes(w, known) : MBS_OK;
    st = st == MBS_OK ? mbs_spool_open(&w->out, w->saved ? w->at.length : 0) : st;
    st = st < 0 ? st : lb_format_header(w);
    return st < 0 ? st : !w->temp ? mbs_spool_flush(&w->out) : MBS_OK;
}

static mbs_status one_only(const lb_writer *w) {
    mbs_status st =
        w->host->fail(w->host, MBS_ERR_CONFIG, "format", "%s is for one recording, and here is another: '%s'",
                      w->format == LB_SRT ? "srt" : "audacity", w->record->name);
    w->host->hint(w->host,
                  "a path with {stem} in it makes a file for each input; tsv, jsonl, rttm and raven hold many");
    return st;
}

static mbs_status piece_row(lb_writer *w) {
    float bits = (float)mbs_piece_bits(&w->at.piece);
    return lb_events_row(w, &bits, w->at.piece.start, w->at.piece.end);
}

/* Row i of scores: a row of events where a piece is complete. */
static mbs_status score_row(lb_writer *w, float logprob, int64_t start, int64_t end) {
    mbs_piece *p = &w->at.piece;
    mbs_status st = MBS_OK;
    if (mbs_piece_over(p, start)) {
        st = piece_row(w);
        mbs_piece_next(p, start);
    }
    mbs_piece_add(p, logprob, end);
    return st;
}

static mbs_status labels_write(void *self, const mbs_block *b) {
    lb_writer *w = self;
    const mbs_host *h = w->host;
    w->record = b->record;
    if (b->dtype != MBS_F32 || b->ndim != 2) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "a block of '%s' where classes were due", b->type);
    }
    mbs_status st = b->shape[0] > 0 ? know_classes(w, b->shape[1]) : MBS_OK;
    if (st == MBS_OK && (b->flags & MBS_SEQ_START) && w->at.records++ > 0 &&
        (w->format == LB_AUDACITY || w->format == LB_SRT)) {
        st = one_only(w);
    }
    if (b->flags & MBS_SEQ_START) {
        mbs_piece_begin(&w->at.piece, b->start);
    }
    for (int64_t i = 0; i < b->shape[0] && st >= 0; i++) {
        int64_t start;
        int64_t end;
        if (!mbs_row_interval(b, i, &start, &end)) {
            return h->fail(h, MBS_ERR_INTERNAL, NULL, "record '%s': rows that do not say which time they are of",
                           b->record->name);
        }
        const float *row = (const float *)b->data + i * b->shape[1];
        st = scores(w) ? score_row(w, *row, start, end) : lb_events_row(w, row, start, end);
    }
    if (st >= 0 && (b->flags & MBS_SEQ_END) && w->at.piece.rows > 0) {
        st = piece_row(w);
        w->at.piece.rows = 0;
    }
    if (st >= 0 && (b->flags & MBS_SEQ_END)) {
        st = lb_events_end(w);
    }
    st = st >= 0 && !w->temp ? mbs_spool_flush(&w->out) : st;
    w->record = NULL;
    return st < 0 ? st : MBS_OK;
}

static mbs_status labels_drain(void *self) {
    lb_writer *w = self;
    mbs_status st = mbs_spool_flush(&w->out);
    return st < 0 ? st : MBS_OK;
}

static mbs_status labels_close(void *self) {
    lb_writer *w = self;
    mbs_status st = mbs_spool_close(&w->out);
    return st < 0 ? st : MBS_OK;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    lb_writer *w = self;
    mbs_status st = mbs_spool_sync(&w->out);
    w->at.length = w->out.length;
    st = st < 0 ? st : put(sink, &w->at, sizeof(w->at));
    if (st >= 0 && w->at.n_classes > 0) {
        st = put(sink, w->classes, (size_t)w->at.n_classes * sizeof(*w->classes));
    }
    if (st >= 0 && w->at.n_held > 0) {
        st = put(sink, w->held, (size_t)w->at.n_held * sizeof(*w->held));
    }
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    lb_writer *w = self;
    lb_place at;
    int whole = n >= sizeof(at);
    if (whole) {
        memcpy(&at, bytes, sizeof(at));
        whole = at.version == VERSION && at.length >= 0 && at.n_classes >= 0 && at.n_classes <= CLASSES_MAX &&
                at.n_held >= 0 && at.n_held < INT64_C(1) << 40 &&
                n == sizeof(at) + (size_t)at.n_classes * sizeof(lb_class) + (size_t)at.n_held * sizeof(lb_event);
    }
    if (!whole) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path);
    }
    w->saved = w->host->realloc(w->host, w->saved, n);
    if (!w->saved) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a checkpoint");
    }
    memcpy(w->saved, bytes, n);
    w->at = at;
    return MBS_OK;
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *extension(void *self, const char *id) {
    lb_writer *w = self;
    return w && w->temp && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_writer_vt lb_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = labels_create,
    .open = labels_open,
    .write = labels_write,
    .drain = labels_drain,
    .close = labels_close,
    .destroy = labels_destroy,
    .get_extension = extension,
};
