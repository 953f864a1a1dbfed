#include "reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define BLOCK_MAX ((int64_t)1 << 18) /* frames: nobody needs more at once */

static void drop_origin(au_reader *r) {
    if (r->record.origin) {
        r->record.origin->unref(r->record.origin);
        r->record.origin = NULL;
    }
}

static void reader_destroy(void *self) {
    au_reader *r = self;
    const mbs_host *h = r->host;
    drop_origin(r);
    au_input_close(&r->in);
    au_resampler_free(&r->resampler);
    au_files_free(r);
    h->free(h, r->decoded);
    h->free(h, r->chosen);
    h->free(h, r->name);
    h->free(h, r->original);
    h->free(h, r->vary.made);
    h->free(h, r->saved);
    h->free(h, r);
}

/* ---- parameters ---- */

static mbs_status read_layout(au_reader *r) {
    const mbs_host *h = r->host;
    const mbs_params *p = r->params;
    const char *format = h->param_string(p, "format");
    int told = h->param_is_set(p, "input_rate");
    int channels = h->param_is_set(p, "input_channels");
    r->layout.format = au_format_named(format);
    if (r->layout.format == AU_NONE) {
        if (told || channels) {
            mbs_status st = h->fail(h, MBS_ERR_CONFIG, told ? "input_rate" : "input_channels",
                                    "it describes raw samples, and format is auto: the header of the file says it");
            h->hint(h, "tell the format (s16le, say) of raw samples; rate and channels say what is made of the input");
            return st;
        }
        return MBS_OK;
    }
    if (!told) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "format",
                                "%s has no header that says its rate, and input_rate is not there", format);
        h->hint(h, "input_rate: 16000, say, and input_channels where there are more than 1");
        return st;
    }
    r->layout.rate = h->param_int(p, "input_rate");
    r->layout.channels = channels ? h->param_int(p, "input_channels") : 1;
    return MBS_OK;
}

static mbs_status read_params(au_reader *r) {
    const mbs_host *h = r->host;
    const mbs_params *p = r->params;
    static const struct {
        const char *word;
        au_channels which;
        int64_t one;
    } words[] = {
        {"mix", AU_MIX, 0}, {"all", AU_ALL, 0}, {"each", AU_EACH, 0}, {"left", AU_ONE, 0}, {"right", AU_ONE, 1}};
    const char *word = h->param_string(p, "channels");
    r->which = AU_ONE;
    r->one = word ? -1 : h->param_int(p, "channels") - 1;
    for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i].word) == 0) {
            r->which = words[i].which;
            r->one = words[i].one;
        }
    }
    if (r->one < 0) {
        return h->fail(h, MBS_ERR_CONFIG, "channels", "channels are counted from 1");
    }
    r->zero_nonfinite = strcmp(h->param_string(p, "nonfinite"), "zero") == 0;
    double wait = h->param_float(p, "latency") * 1000;
    r->wait = wait < 1 ? 1 : wait > 60000 ? 60000 : (int)wait;
    const char *label = h->param_string(p, "label");
    r->labels = strcmp(label, "folder") == 0 ? AU_LABEL_FOLDER : strcmp(label, "none") == 0 ? AU_LABEL_NONE : 0;
    r->labels = strcmp(label, "track") == 0 ? AU_LABEL_TRACK : r->labels;
    r->background = h->param_is_set(p, "background") ? h->param_string(p, "background") : NULL;
    r->start = h->param_float(p, "start");
    r->seconds = h->param_is_set(p, "duration") ? h->param_float(p, "duration") : -1;
    if (r->start < 0 || r->start > AU_SECONDS_MAX || r->seconds > AU_SECONDS_MAX ||
        (r->seconds <= 0 && r->seconds != -1)) {
        return h->fail(h, MBS_ERR_CONFIG, r->start < 0 || r->start > AU_SECONDS_MAX ? "start" : "duration",
                       "must lie between 0 and a thousand million seconds");
    }
    if (h->param_count(p, "path") < 1) {
        return h->fail(h, MBS_ERR_CONFIG, "path", "no file to read");
    }
    mbs_status st = read_layout(r);
    return st == MBS_OK ? au_vary_params(r) : st;
}

static mbs_status reader_create(const mbs_host *host, const mbs_params *params, void **self) {
    au_reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->params = params;
    r->in.fd = -1;
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .strand = '.', .index = -1};
    mbs_status st = read_params(r);
    if (st != MBS_OK) {
        reader_destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

/* ---- opening ---- */

/* What can be read only once; of a folder it is what lies in it. */
static int is_stream(const char *path) {
    struct stat st;
    return strcmp(path, "-") == 0 ? 1 : stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* Rate, channels and length of every file; a stream is left alone unless it is the first. */
static mbs_status look_at_all(au_reader *r) {
    for (int64_t i = 0; i < r->n_items; i++) {
        au_item *it = &r->items[i];
        const char *path = r->paths[it->source];
        if (i > 0 && it->source == it[-1].source) {
            it->rate = it[-1].rate;
            it->channels = it[-1].channels;
            it->frames = it[-1].frames;
            continue;
        }
        if (i > 0 && is_stream(path)) {
            continue;
        }
        au_input in;
        mbs_status st = au_input_open(&in, r->host, path, &r->layout);
        if (st != MBS_OK) {
            return st;
        }
        it->rate = in.rate;
        it->channels = in.channels;
        it->frames = in.frames;
        if (i == 0 && is_stream(path)) { /* it can be opened once */
            r->in = in;
            r->is_open = 1;
        } else {
            au_input_close(&in);
        }
        if (r->host->cancelled(r->host)) {
            return r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped while looking at the files");
        }
    }
    return MBS_OK;
}

static mbs_status other_rate(au_reader *r, int64_t item, int64_t rate) {
    const mbs_host *h = r->host;
    mbs_status st = h->fail(h, MBS_ERR_DATA, "rate", "'%s' has %lld Hz and '%s' %lld Hz, and a stream has one rate",
                            au_show(r->paths[r->items[0].source]), (long long)r->rate,
                            au_show(r->paths[r->items[item].source]), (long long)rate);
    h->hint(h, "rate: %lld gives all of them that rate", (long long)r->rate);
    return st;
}

static mbs_status choose_rate(au_reader *r) {
    const mbs_host *h = r->host;
    const char *word = h->param_string(r->params, "rate");
    int64_t told = word ? 0 : h->param_int(r->params, "rate");
    r->rate = told;
    if (r->rate > AU_RATE_MAX || (!word && told < 1)) {
        return h->fail(h, MBS_ERR_CONFIG, "rate", "a rate is between 1 and %d Hz", AU_RATE_MAX);
    }
    if (r->rate > 0) {
        return MBS_OK;
    }
    r->rate = r->items[0].rate;
    for (int64_t i = 1; i < r->n_items; i++) {
        if (r->items[i].rate > 0 && r->items[i].rate != r->rate) {
            return other_rate(r, i, r->items[i].rate);
        }
    }
    return MBS_OK;
}

static int64_t frames_at(double seconds, int64_t rate) {
    return (int64_t)floor(seconds * (double)rate + 0.5);
}

/* Frames of the file that an item has, -1 where that is not known; those it begins and ends at. */
static int64_t extent(const au_item *it, int64_t *first, int64_t *stop) {
    *first = frames_at(it->start, it->rate);
    *stop = it->seconds < 0 ? it->frames : *first + frames_at(it->seconds, it->rate);
    *stop = it->frames >= 0 && *stop > it->frames ? it->frames : *stop;
    return it->frames >= 0 ? *stop - *first : -1;
}

static int64_t given(const au_reader *r, const au_item *it) {
    int64_t first;
    int64_t stop;
    int64_t n = it->rate > 0 ? extent(it, &first, &stop) : -1;
    return n < 0 || it->rate == r->rate ? n : au_resampled(n, (double)it->rate, (double)r->rate);
}

static mbs_status check_item(au_reader *r, const au_item *it) {
    const mbs_host *h = r->host;
    int64_t first;
    int64_t stop;
    const char *path = au_show(r->paths[it->source]);
    if (it->rate > 0 && it->frames >= 0 && extent(it, &first, &stop) <= 0) {
        return h->fail(h, MBS_ERR_DATA, it->start > 0 ? "start" : "duration",
                       "%s: nothing is left of %.3f s from %.3f s on", path, (double)it->frames / (double)it->rate,
                       it->start);
    }
    if (it->rate > 0 && r->which == AU_ONE && it->channels <= r->one && !(it->channels == 1 && r->one == 0)) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "channels", "%s: there is no channel %lld, it has %lld", path,
                                (long long)r->one + 1, (long long)it->channels);
        h->hint(h, "channels: mix takes the mean of what there is");
        return st;
    }
    if (it->rate > 0 && r->which == AU_ALL && it->channels != r->items[0].channels) {
        return h->fail(h, MBS_ERR_DATA, "channels", "%s: has %lld channels and the first file %lld", path,
                       (long long)it->channels, (long long)r->items[0].channels);
    }
    int once = it->rate == 0 || is_stream(r->paths[it->source]);
    if (r->which == AU_EACH && once && it->channels != 1) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "channels",
                                "%s: each channel for itself needs a file that can be "
                                "read several times",
                                path);
        h->hint(h, "write it to a file first, or take channels: all, mix, left or a number");
        return st;
    }
    if (r->vary.copies > 0 && once) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, "augment", "%s: copies need a file that can be read several times", path);
        h->hint(h, "write it to a file first, or leave augment out");
        return st;
    }
    return MBS_OK;
}

static mbs_status make_header(au_reader *r) {
    mbs_stream_header *hd = &r->header;
    *hd = (mbs_stream_header){
        .struct_size = (uint32_t)sizeof(mbs_stream_header),
        .type = "pcm/f32",
        .unit = "sample",
        .rate = (double)r->rate,
        .channels = r->which == AU_ALL ? r->items[0].channels : 1,
        .n_sources = r->n_sources,
        .sources = r->sources,
        .attrs = r->attrs,
    };
    int other = -1;
    for (int64_t i = 0; i < r->n_items; i++) {
        const au_item *it = &r->items[i];
        mbs_status st = check_item(r, it);
        if (st != MBS_OK) {
            return st;
        }
        int64_t turns = (r->which == AU_EACH ? it->channels : 1) * (1 + r->vary.copies);
        int64_t n = r->vary.copies > 0 ? -1 : given(r, it);
        hd->n_records = it->rate == 0 && r->which == AU_EACH ? -1 : hd->n_records < 0 ? -1 : hd->n_records + turns;
        hd->n_units = n < 0 || hd->n_units < 0 ? -1 : hd->n_units + n * turns;
        other = it->rate > 0 && it->rate != r->rate && other < 0 ? (int)i : other;
    }
    if (other >= 0) {
        mbs_status st =
            au_resampler_new(&r->resampler, r->host, (double)r->items[other].rate, (double)r->rate, hd->channels);
        if (st != MBS_OK) {
            return st;
        }
        au_resampler_name(&r->resampler, r->resampler_name, sizeof(r->resampler_name));
        r->attrs[hd->n_attrs++] = (mbs_attr){"resampler", r->resampler_name};
        au_resampler_free(&r->resampler);
    }
    return MBS_OK;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    au_reader *r = self;
    mbs_status st = au_files_find(r);
    st = st == MBS_OK ? look_at_all(r) : st;
    st = st == MBS_OK ? choose_rate(r) : st;
    st = st == MBS_OK ? make_header(r) : st;
    if (st == MBS_OK) {
        r->chosen = r->host->alloc(r->host, (size_t)(AU_STEP * r->header.channels) * sizeof(float));
        st = r->chosen ? MBS_OK : r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %d frames", AU_STEP);
    }
    *header = &r->header;
    return st == MBS_OK && r->saved ? au_place_restore(r) : st;
}

/* ---- one recording ---- */

/* "a/bark.wav" -> "bark", and "bark:2" for its second channel. */
static mbs_status set_name(au_reader *r, const au_item *it) {
    const mbs_host *h = r->host;
    const char *path = r->paths[it->source];
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t n = strcmp(path, "-") == 0 ? 0 : dot && dot > base ? (size_t)(dot - base) : strlen(base);
    char *name = h->realloc(h, r->name, n + 40);
    if (!name) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a name");
    }
    r->name = name;
    if (n == 0) {
        base = "stdin";
        n = 5;
    }
    memcpy(name, base, n);
    name[n] = '\0';
    if (r->which == AU_EACH && it->channels > 1) {
        (void)snprintf(name + n, 34, ":%lld", (long long)r->turn + 1);
    }
    return MBS_OK;
}

static mbs_status open_item(au_reader *r, au_item *it) {
    const mbs_host *h = r->host;
    const char *path = r->paths[it->source];
    mbs_status st = r->is_open ? MBS_OK : au_input_open(&r->in, h, path, &r->layout);
    if (st != MBS_OK) {
        return st;
    }
    r->is_open = 1;
    if (it->rate > 0 && (it->rate != r->in.rate || it->channels != r->in.channels || it->frames != r->in.frames)) {
        return h->fail(h, MBS_ERR_DATA, "path", "%s: has changed since the run began", path);
    }
    if (it->rate == 0) {
        it->rate = r->in.rate;
        it->channels = r->in.channels;
        it->frames = r->in.frames;
        st = check_item(r, it);
        if (st == MBS_OK && it->rate != r->rate && h->param_string(r->params, "rate")) {
            st = other_rate(r, it - r->items, it->rate);
        }
    }
    return st;
}

static mbs_status prepare_resampler(au_reader *r, const au_item *it) {
    const mbs_host *h = r->host;
    au_resampler_free(&r->resampler);
    if (r->which == AU_MIX && it->channels > 1 && !r->said_mix) {
        r->said_mix = 1;
        h->log(h, MBS_LOGLEVEL_INFO, "%s: %lld channels, mixed to one (channels: left, say, takes another)",
               au_show(r->paths[it->source]), (long long)it->channels);
    }
    r->resamples = it->rate != r->rate;
    if (!r->resamples) {
        return MBS_OK;
    }
    if (!r->said_rate) {
        r->said_rate = 1;
        h->log(h, MBS_LOGLEVEL_INFO, "%s: %lld Hz, resampled to %lld Hz (soxr HQ)", au_show(r->paths[it->source]),
               (long long)it->rate, (long long)r->rate);
    }
    return au_resampler_new(&r->resampler, h, (double)it->rate, (double)r->rate, r->header.channels);
}

static mbs_status make_room(au_reader *r, const au_item *it) {
    int64_t n = AU_STEP * it->channels;
    if (n > r->decoded_n) {
        float *grown = r->host->realloc(r->host, r->decoded, (size_t)n * sizeof(float));
        if (!grown) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for %d frames", AU_STEP);
        }
        r->decoded = grown;
        r->decoded_n = n;
    }
    return MBS_OK;
}

/* The next frames of the input, chosen and checked: MBS_OK with r->have > r->used. */
static mbs_status refill(au_reader *r, int wait) {
    const mbs_host *h = r->host;
    int64_t n = r->stop >= 0 && r->stop - r->in.at < AU_STEP ? r->stop - r->in.at : AU_STEP;
    r->have = r->used = 0;
    mbs_status st = n > 0 ? au_input_read(&r->in, r->decoded, n, wait, &n) : MBS_END;
    if (st != MBS_OK) {
        return st;
    }
    int64_t one = r->which == AU_EACH ? r->turn : r->one;
    au_choose(r->which, one, r->decoded, r->in.channels, r->chosen, n);
    for (int64_t i = 0; i < n * r->header.channels; i++) {
        if (isfinite(r->chosen[i])) {
            continue;
        }
        int64_t frame = r->in.at - n + i / r->header.channels;
        if (!r->zero_nonfinite) {
            st = h->fail(h, MBS_ERR_DATA, NULL, "%s: sample %lld (at %.6f s) is %s", au_show(r->in.path),
                         (long long)frame + 1, (double)frame / (double)r->in.rate,
                         isnan(r->chosen[i]) ? "not a number" : "infinite");
            h->hint(h, "nonfinite: zero takes silence in the place of such samples");
            return st;
        }
        r->chosen[i] = 0;
        r->replaced++;
    }
    r->have = n;
    return MBS_OK;
}

mbs_status au_pull(au_reader *r, float *to, int64_t room, int wait, int64_t *got) {
    int64_t channels = r->header.channels;
    for (*got = 0;;) {
        mbs_status st = r->used < r->have || r->drained ? MBS_OK : refill(r, wait);
        r->drained |= st == MBS_END;
        if (st != MBS_OK && st != MBS_END) {
            return st;
        }
        if (!r->resamples) {
            int64_t n = r->have - r->used < room ? r->have - r->used : room;
            memcpy(to, r->chosen + r->used * channels, (size_t)(n * channels) * sizeof(float));
            r->used += n;
            *got = n;
            return n > 0 ? MBS_OK : MBS_END;
        }
        int64_t taken = 0;
        const float *in = r->used < r->have ? r->chosen + r->used * channels : NULL;
        st = au_resampler_run(&r->resampler, r->host, in, r->have - r->used, &taken, to, room, got);
        r->used += in ? taken : 0;
        if (st != MBS_OK || *got > 0) {
            return st;
        }
        if (!in && r->drained) {
            return MBS_END;
        }
    }
}

mbs_status au_enter(au_reader *r, int64_t position) {
    au_item *it = &r->items[r->item];
    int64_t first;
    mbs_status st = open_item(r, it);
    st = st == MBS_OK ? make_room(r, it) : st;
    st = st == MBS_OK ? prepare_resampler(r, it) : st;
    st = st == MBS_OK ? set_name(r, it) : st;
    if (st != MBS_OK) {
        return st;
    }
    (void)extent(it, &first, &r->stop);
    r->length = given(r, it);
    r->have = r->used = r->drained = 0;
    int64_t direct = r->resamples ? 0 : position;
    st = au_input_goto(&r->in, first + direct, r->decoded, AU_STEP);
    if (st == MBS_END) {
        st =
            r->host->fail(r->host, MBS_ERR_DATA, it->start > 0 ? "start" : NULL, "%s: ends after %.3f s, before %.3f s",
                          au_show(r->in.path), (double)r->in.at / (double)it->rate, it->start);
    }
    /* What was resampled before the place is made again: its history is in the filter. */
    for (int64_t at = direct; st == MBS_OK && at < position;) {
        float skipped[1024];
        int64_t room = 1024 / r->header.channels;
        int64_t got = 0;
        if (room < 1) {
            return r->host->fail(r->host, MBS_ERR_DATA, NULL, "too many channels to continue");
        }
        st = au_pull(r, skipped, position - at < room ? position - at : room, 50, &got);
        at += got;
        if (r->host->cancelled(r->host)) {
            st = r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped on the way to a place in the input");
        }
    }
    r->position = position;
    r->inside = 1;
    r->record.source = it->source;
    r->record.name = r->name;
    r->record.label = it->label;
    r->record.n_attrs = 0;
    if (it->speaker) {
        r->about[r->record.n_attrs++] = (mbs_attr){"speaker", it->speaker};
    }
    r->record.attrs = r->about;
    r->record.start = frames_at(it->start, r->rate);
    r->record.length = r->length;
    return st == MBS_END ? MBS_OK : st;
}

/* What stands behind a record for codecs that look at it twice (dsp/origin.h). */
mbs_status au_give_origin(au_reader *r) {
    drop_origin(r);
    if (!is_stream(r->paths[r->items[r->item].source])) {
        r->record.origin = au_origin_new(r);
        if (!r->record.origin) {
            return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for a recording");
        }
    }
    return MBS_OK;
}

/* Which copy of what the record is (attributes of block.h), and its samples where it is not the recording itself. */
static mbs_status make_copy(au_reader *r) {
    const mbs_host *h = r->host;
    const char *path = r->paths[r->items[r->item].source];
    size_t n = strlen(path) + 48;
    char *text = h->realloc(h, r->original, n);
    if (!text) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a name");
    }
    r->original = text;
    (void)snprintf(text, n, "%s@%lld:%lld", path, (long long)r->record.start, (long long)r->turn);
    (void)snprintf(r->copy_text, sizeof(r->copy_text), "%lld", (long long)r->copy);
    r->about[r->record.n_attrs++] = (mbs_attr){"original", text};
    r->about[r->record.n_attrs++] = (mbs_attr){"copy", r->copy_text};
    if (r->copy == 0) {
        return MBS_OK;
    }
    mbs_status st = au_vary_make(r);
    r->record.length = r->length = r->vary.n;
    return st;
}

static mbs_status next_record(au_reader *r) {
    if (r->item >= r->n_items) {
        return MBS_END;
    }
    mbs_status st = au_enter(r, 0);
    if (st == MBS_OK && r->vary.copies > 0) {
        drop_origin(r); /* codecs that look at a recording twice would look at another */
        st = make_copy(r);
    } else if (st == MBS_OK) {
        st = au_give_origin(r);
    }
    r->record.index++;
    r->begun = 0;
    return st;
}

static void leave_record(au_reader *r) {
    const au_item *it = &r->items[r->item];
    r->inside = 0;
    if (r->copy < r->vary.copies) {
        r->copy++;
        if (!r->in.seeks) {
            au_input_close(&r->in);
            r->is_open = 0;
        }
        return;
    }
    r->copy = 0;
    if (r->which == AU_EACH && r->turn + 1 < it->channels) {
        r->turn++;
        return;
    }
    r->turn = 0;
    r->item++;
    if (r->item >= r->n_items || r->items[r->item].source != it->source || !r->in.seeks) {
        au_input_close(&r->in);
        r->is_open = 0;
    }
}

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Fills a block; on a stream no longer than `latency` from its first sample on. *end: the record is complete. */
static mbs_status gather(au_reader *r, float *to, int64_t rows, int64_t *made, int *end) {
    int64_t channels = r->header.channels;
    int64_t began = now_ms();
    *end = 0;
    if (r->copy > 0) {
        *made = r->length - r->position < rows ? r->length - r->position : rows;
        memcpy(to, r->vary.made + r->position * channels, (size_t)(*made * channels) * sizeof(float));
        *end = r->position + *made == r->length;
        return MBS_OK;
    }
    for (*made = 0; *made < rows;) {
        int64_t got = 0;
        int64_t left = r->length >= 0 ? r->length - r->position - *made : rows;
        int64_t room = rows - *made < left ? rows - *made : left;
        mbs_status st = room > 0 ? au_pull(r, to + *made * channels, room, r->wait < 50 ? r->wait : 50, &got) : MBS_END;
        if (st == MBS_END && left > 0 && r->length >= 0) { /* soxr rounds a sample less than it was reckoned */
            memset(to + *made * channels, 0, (size_t)(room * channels) * sizeof(float));
            got = room;
            st = MBS_OK;
        }
        *made += got;
        if (st == MBS_END) {
            *end = 1;
            return MBS_OK;
        }
        if (st != MBS_OK && !(st == MBS_AGAIN && *made > 0)) {
            return st;
        }
        if (!r->in.regular && now_ms() - began >= r->wait) {
            return *made > 0 ? MBS_OK : MBS_AGAIN;
        }
    }
    *end = r->length >= 0 && r->position + *made == r->length;
    return MBS_OK;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    au_reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    mbs_status st = r->inside ? MBS_OK : next_record(r);
    if (st != MBS_OK) {
        return st;
    }
    int64_t most = max_rows < BLOCK_MAX ? max_rows : BLOCK_MAX;
    most = r->length >= 0 && r->length - r->position < most ? r->length - r->position : most;
    int64_t shape[2] = {most, r->header.channels};
    mbs_block *b = h->block_new(h, "pcm/f32", MBS_F32, 2, shape);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld samples", (long long)most);
    }
    int64_t n = 0;
    int end = 0;
    st = gather(r, b->data, most, &n, &end);
    if (st != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    b->shape[0] = n;
    b->flags = (r->begun ? 0 : MBS_SEQ_START) | (end ? MBS_SEQ_END : 0);
    b->record = &r->record;
    b->start = r->record.start + r->position;
    b->end = b->start + n;
    r->begun = 1;
    r->position += n;
    if (end) {
        leave_record(r);
    }
    *out = b;
    return MBS_OK;
}

static mbs_status reader_close(void *self) {
    au_reader *r = self;
    au_input_close(&r->in);
    r->is_open = 0;
    if (r->replaced > 0) {
        r->host->log(r->host, MBS_LOGLEVEL_WARNING, "%lld sample%s not a number or infinite: read as silence",
                     (long long)r->replaced, r->replaced == 1 ? " was" : "s were");
    }
    return MBS_OK;
}

static const void *extension(void *self, const char *id) {
    au_reader *r = self;
    if (strcmp(id, MBS_EXT_INSPECT) == 0) {
        return &au_inspect;
    }
    if (!r || strcmp(id, MBS_EXT_CHECKPOINT) != 0 || r->vary.copies > 0) {
        return NULL;
    }
    for (int64_t i = 0; i < r->host->param_count(r->params, "path"); i++) {
        if (is_stream(r->host->param_item(r->params, "path", i))) {
            return NULL; /* it cannot be read again */
        }
    }
    return &au_checkpoint;
}

const mbs_reader_vt au_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = reader_create,
    .open = reader_open,
    .read = reader_read,
    .close = reader_close,
    .destroy = reader_destroy,
    .get_extension = extension,
};
