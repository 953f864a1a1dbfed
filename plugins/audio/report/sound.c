/* The recording once more: its extremes, its spectrum, its first minute as FLAC. */
#include <kiss_fftr.h>
#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define PI 3.14159265358979323846
#define SIZE 256      /* of a transform */
#define PER_COLUMN 16 /* transforms of a column at most */
#define STEP 4096     /* frames read at once */
#define CHANNELS_MAX 1024

typedef struct looking {
    const mbs_host *host;
    rp_sound *to;
    SNDFILE *sf;
    int64_t channels;
    float *frames;             /* STEP x channels */
    float *mono;               /* STEP */
    double (*power)[RP_BANDS]; /* of a column: sums, RP_COLUMNS of them */
    int *count;
    kiss_fftr_cfg fft;
    float window[SIZE]; /* the newest samples */
    int64_t filled;
} looking;

/* ---- FLAC into memory ---- */

typedef struct memory {
    const mbs_host *host;
    unsigned char *bytes;
    sf_count_t length, at, room;
    int failed;
} memory;

static sf_count_t mem_length(void *ctx) {
    return ((memory *)ctx)->length;
}

static sf_count_t mem_seek(sf_count_t offset, int whence, void *ctx) {
    memory *m = ctx;
    m->at = whence == SEEK_SET ? offset : whence == SEEK_CUR ? m->at + offset : m->length + offset;
    return m->at;
}

static sf_count_t mem_read(void *to, sf_count_t n, void *ctx) {
    memory *m = ctx;
    n = m->at + n > m->length ? m->length - m->at : n;
    n = n < 0 ? 0 : n;
    memcpy(to, m->bytes + m->at, (size_t)n);
    m->at += n;
    return n;
}

static sf_count_t mem_write(const void *from, sf_count_t n, void *ctx) {
    memory *m = ctx;
    if (m->at + n > m->room) {
        sf_count_t room = (m->at + n) * 2;
        unsigned char *grown = m->host->realloc(m->host, m->bytes, (size_t)room);
        if (!grown) {
            m->failed = 1;
            return 0;
        }
        m->bytes = grown;
        m->room = room;
    }
    memcpy(m->bytes + m->at, from, (size_t)n);
    m->at += n;
    m->length = m->at > m->length ? m->at : m->length;
    return n;
}

static sf_count_t mem_tell(void *ctx) {
    return ((memory *)ctx)->at;
}

/* ---- looking ---- */

static mbs_status bad(const looking *l, const char *path, const char *what) {
    mbs_status st = l->host->fail(l->host, MBS_ERR_NOINPUT, NULL, "%s: cannot be read a second time for the report: %s",
                                  path, what);
    l->host->hint(l->host, "leave writer report out, or give the sound as a file that libsndfile reads");
    return st;
}

static void transform(looking *l, int64_t column) {
    float x[SIZE];
    kiss_fft_cpx y[SIZE / 2 + 1];
    for (int i = 0; i < SIZE; i++) {
        x[i] = l->window[i] * (float)(0.5 - 0.5 * cos(2 * PI * i / SIZE));
    }
    kiss_fftr(l->fft, x, y);
    for (int b = 0; b < RP_BANDS; b++) {
        l->power[column][b] += (double)y[b + 1].r * (double)y[b + 1].r + (double)y[b + 1].i * (double)y[b + 1].i;
    }
    l->count[column]++;
}

/* One sample at place `at` of `total`. */
static void take(looking *l, float v, int64_t at, int64_t total, int64_t every) {
    rp_sound *s = l->to;
    int64_t column = (int64_t)((double)at / (double)total * RP_COLUMNS);
    column = column < RP_COLUMNS ? column : RP_COLUMNS - 1;
    s->low[column] = v < s->low[column] ? v : s->low[column];
    s->high[column] = v > s->high[column] ? v : s->high[column];
    if (at / every * every + SIZE > at) { /* of every stretch its first SIZE samples */
        l->window[at % every] = v;
        if (at % every == SIZE - 1) {
            transform(l, (int64_t)((double)(at - SIZE / 2) / (double)total * RP_COLUMNS));
        }
    }
}

/* Reads n frames; gives the mean of their channels. Missing ones end the piece. */
static int64_t next_mono(looking *l, int64_t n) {
    int64_t got = (int64_t)sf_readf_float(l->sf, l->frames, n < STEP ? n : STEP);
    for (int64_t i = 0; i < got; i++) {
        double sum = 0;
        for (int64_t c = 0; c < l->channels; c++) {
            sum += (double)l->frames[i * l->channels + c];
        }
        l->mono[i] = isfinite(sum) ? (float)(sum / (double)l->channels) : 0;
    }
    return got;
}

static void finish_levels(const looking *l) {
    const double full = 0.25 * SIZE * SIZE * 0.25; /* a sine of 1 under Hann's curve */
    for (int64_t x = 0; x < RP_COLUMNS; x++) {
        int64_t from = x; /* a column without a transform looks like the one before it */
        while (from > 0 && l->count[from] == 0) {
            from--;
        }
        for (int b = 0; b < RP_BANDS; b++) {
            double mean = l->count[from] ? l->power[from][b] / l->count[from] / full : 0;
            double db = 10 * log10(mean + 1e-10);
            l->to->level[b][x] = (unsigned char)(db <= -100 ? 0 : db >= 0 ? 255 : (db + 100) * 2.55);
        }
    }
}

static mbs_status scan(looking *l, int64_t frames, double audio) {
    rp_sound *s = l->to;
    memory m = {.host = l->host};
    SF_INFO info = {.samplerate = (int)s->rate, .channels = 1, .format = SF_FORMAT_FLAC | SF_FORMAT_PCM_16};
    SF_VIRTUAL_IO in_memory = {mem_length, mem_seek, mem_read, mem_write, mem_tell};
    int64_t keep = (int64_t)(audio * (double)s->rate);
    keep = keep < frames ? keep : frames;
    SNDFILE *flac = keep > 0 ? sf_open_virtual(&in_memory, SFM_WRITE, &info, &m) : NULL;
    if (flac) {
        (void)sf_command(flac, SFC_SET_CLIPPING, NULL, SF_TRUE);
    }
    int64_t every = frames / ((int64_t)RP_COLUMNS * PER_COLUMN);
    every = every < SIZE ? SIZE : every;
    mbs_status st = MBS_OK;
    for (int64_t at = 0, n; at < frames && st == MBS_OK; at += n) {
        n = next_mono(l, frames - at);
        if (n <= 0) {
            break;
        }
        for (int64_t i = 0; i < n; i++) {
            take(l, l->mono[i], at + i, frames, every);
        }
        if (flac && at < keep) {
            int64_t part = keep - at < n ? keep - at : n;
            m.failed |= sf_writef_float(flac, l->mono, part) != part;
        }
        st = l->host->cancelled(l->host) ? l->host->fail(l->host, MBS_ERR_STOPPED, NULL, "stopped in the report")
                                         : MBS_OK;
    }
    if (flac) {
        (void)sf_close(flac);
        s->flac = m.bytes;
        s->flac_bytes = (size_t)m.length;
        s->heard = (double)keep / (double)s->rate;
    }
    if (st == MBS_OK && m.failed) {
        st = l->host->fail(l->host, MBS_ERR_MEMORY, NULL, "no memory for the sound of a report");
    }
    finish_levels(l);
    return st;
}

mbs_status rp_sound_look(const mbs_host *host, const char *path, double begin, double seconds, double audio,
                         rp_sound *out) {
    looking l = {.host = host, .to = out};
    SF_INFO info = {0};
    memset(out, 0, sizeof(*out));
    l.sf = sf_open(path, SFM_READ, &info);
    if (!l.sf || info.channels < 1 || info.channels > CHANNELS_MAX || info.samplerate < 1) {
        (void)(l.sf && sf_close(l.sf));
        return bad(&l, path, "not a sound file that libsndfile reads");
    }
    out->rate = info.samplerate;
    l.channels = info.channels;
    int64_t first = (int64_t)(begin * (double)info.samplerate + 0.5);
    int64_t left = (int64_t)info.frames - first;
    int64_t want = seconds < 0 ? left : (int64_t)(seconds * (double)info.samplerate + 0.5);
    out->frames = want < left ? want : left;
    l.frames = host->alloc(host, (size_t)(STEP * l.channels) * sizeof(float));
    l.mono = host->alloc(host, STEP * sizeof(float));
    l.power = host->alloc(host, RP_COLUMNS * sizeof(*l.power));
    l.count = host->alloc(host, RP_COLUMNS * sizeof(*l.count));
    l.fft = kiss_fftr_alloc(SIZE, 0, NULL, NULL);
    mbs_status st = MBS_OK;
    if (!l.frames || !l.mono || !l.power || !l.count || !l.fft) {
        st = host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a report");
    } else if (out->frames < 1 || (first > 0 && sf_seek(l.sf, first, SEEK_SET) != first)) {
        st = bad(&l, path, "there is nothing at its place");
    } else {
        memset(l.power, 0, RP_COLUMNS * sizeof(*l.power));
        memset(l.count, 0, RP_COLUMNS * sizeof(*l.count));
        st = scan(&l, out->frames, audio);
    }
    host->free(host, l.frames);
    host->free(host, l.mono);
    host->free(host, l.power);
    host->free(host, l.count);
    kiss_fftr_free(l.fft);
    (void)sf_close(l.sf);
    return st;
}

void rp_sound_free(const mbs_host *host, rp_sound *s) {
    host->free(host, s->flac);
    s->flac = NULL;
}
