#include <alsa/asoundlib.h>
#include <math.h>
#include <string.h>

#include "mambaseq/ext/live.h"
#include "mambaseq/reader.h"

#define PIECE 65536     /* frames of a block at most */
#define SLICE 50        /* ms between two looks at whether the run is to stop */
#define RATE_MAX 768000 /* Hz */

typedef struct reader {
    const mbs_host *host;
    const mbs_params *params;
    const mbs_ext_live *live; /* or NULL */
    snd_pcm_t *pcm;
    int64_t rate, most; /* frames to listen for, -1: no end */
    int64_t latency;    /* frames */
    int64_t heard, lost;
    int listening, ended;
    int16_t samples[4096];
    mbs_source source;
    mbs_record record;
    mbs_stream_header header;
} reader;

static mbs_status alsa_create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->params = params;
    r->live = host->get_extension(host, MBS_EXT_LIVE);
    r->rate = host->param_string(params, "rate") ? 16000 : host->param_int(params, "rate");
    mbs_status st = MBS_OK;
    if (r->rate < 1 || r->rate > RATE_MAX) {
        st = host->fail(host, MBS_ERR_CONFIG, "rate", "a rate is between 1 and %d Hz", RATE_MAX);
    }
    double seconds = host->param_is_set(params, "duration") ? host->param_float(params, "duration") : -1;
    if (st == MBS_OK && (seconds == 0 || seconds > 1e9)) {
        st = host->fail(host, MBS_ERR_CONFIG, "duration", "must lie between 0 and a thousand million seconds");
    }
    if (st != MBS_OK) {
        host->free(host, r);
        return st;
    }
    r->most = seconds < 0 ? -1 : (int64_t)ceil(seconds * (double)r->rate);
    r->latency = (int64_t)ceil(host->param_float(params, "latency") * (double)r->rate);
    *self = r;
    return MBS_OK;
}

static mbs_status device_failed(const reader *r, const char *what, int code) {
    const char *name = r->host->param_string(r->params, "path");
    mbs_status st =
        r->host->fail(r->host, MBS_ERR_NOINPUT, "path", "device '%s': %s: %s", name, what, snd_strerror(code));
    r->host->hint(r->host, "arecord -L lists the devices there are; plughw:... takes any rate");
    return st;
}

static void quiet(const char *file, int line, const char *function, int code, const char *fmt, ...) {
    (void)file;
    (void)line;
    (void)function;
    (void)code;
    (void)fmt; /* what went wrong is in the result */
}

static mbs_status alsa_open(void *self, const mbs_stream_header **header) {
    reader *r = self;
    const char *name = r->host->param_string(r->params, "path");
    (void)snd_lib_error_set_handler(quiet);
    int code = snd_pcm_open(&r->pcm, name, SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK);
    if (code < 0) {
        r->pcm = NULL;
        return device_failed(r, "cannot be opened", code);
    }
    code = snd_pcm_set_params(r->pcm, SND_PCM_FORMAT_S16_LE, SND_PCM_ACCESS_RW_INTERLEAVED, 1, (unsigned)r->rate, 1,
                              500000);
    code = code < 0 ? code : snd_pcm_start(r->pcm);
    if (code < 0) {
        return device_failed(r, "cannot be set to one channel of 16 bits at that rate", code);
    }
    r->source.path = name;
    r->header = (mbs_stream_header){.struct_size = (uint32_t)sizeof(mbs_stream_header),
                                    .type = "pcm/f32",
                                    .unit = "sample",
                                    .rate = (double)r->rate,
                                    .channels = 1,
                                    .n_records = 1,
                                    .n_units = r->most,
                                    .n_sources = 1,
                                    .sources = &r->source};
    r->record =
        (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .strand = '.', .name = "live", .length = r->most};
    if (r->live) {
        r->live->begin(r->host);
        r->listening = 1;
    }
    *header = &r->header;
    return MBS_OK;
}

/* Up to n samples: how many came, 0 when nothing did for a slice, or a failure below 0. */
static int64_t capture(reader *r, float *to, int64_t n) {
    n = n < (int64_t)(sizeof(r->samples) / sizeof(r->samples[0]))
            ? n
            : (int64_t)(sizeof(r->samples) / sizeof(r->samples[0]));
    snd_pcm_sframes_t got = snd_pcm_readi(r->pcm, r->samples, (snd_pcm_uframes_t)n);
    if (got == -EAGAIN) {
        int ready = snd_pcm_wait(r->pcm, SLICE);
        got = ready < 0 ? ready : 0;
    }
    if (got == -EPIPE || got == -ESTRPIPE) { /* nobody took them in time */
        r->lost++;
        int code = snd_pcm_recover(r->pcm, (int)got, 1);
        code = code < 0 ? code : snd_pcm_start(r->pcm);
        got = code < 0 ? code : 0;
    }
    for (int64_t i = 0; i < (int64_t)got; i++) {
        to[i] = (float)r->samples[i] / 32768.0f;
    }
    return (int64_t)got;
}

/* Fills a block for as long as samples may wait. */
static mbs_status listen_for(reader *r, float *to, int64_t room, int64_t *made) {
    int64_t wait = r->latency * 1000 / r->rate + SLICE;
    *made = 0;
    for (int64_t idle = 0; *made < room && *made < r->latency;) {
        if (r->live && r->live->ended(r->host)) {
            r->ended = 1;
            return MBS_OK;
        }
        if (r->host->cancelled(r->host)) {
            return r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped while listening");
        }
        int64_t got = capture(r, to + *made, room - *made);
        if (got < 0) {
            return device_failed(r, "cannot be read", (int)got);
        }
        *made += got;
        idle += got == 0 ? SLICE : 0;
        if (idle >= wait) {
            return *made > 0 ? MBS_OK : MBS_AGAIN;
        }
    }
    return MBS_OK;
}

static mbs_status alsa_read(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (r->ended) {
        return MBS_END;
    }
    int64_t room = max_rows < PIECE ? max_rows : PIECE;
    room = r->most >= 0 && r->most - r->heard < room ? r->most - r->heard : room;
    int64_t shape[2] = {room, 1};
    mbs_block *b = h->block_new(h, "pcm/f32", MBS_F32, 2, shape);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    int64_t n = 0;
    mbs_status st = listen_for(r, b->data, room, &n);
    r->ended |= r->most >= 0 && r->heard + n >= r->most;
    if (st == MBS_OK && r->ended && r->heard + n == 0) {
        st = h->fail(h, MBS_ERR_DATA, "path", "device '%s': ended before anything was heard", r->source.path);
    }
    if (st != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    b->shape[0] = n;
    b->flags = (r->heard == 0 ? MBS_SEQ_START : 0) | (r->ended ? MBS_SEQ_END : 0);
    b->record = &r->record;
    b->start = r->heard;
    b->end = r->heard + n;
    r->heard += n;
    *out = b;
    return MBS_OK;
}

static void silence(reader *r) {
    if (r->listening) {
        r->live->done(r->host);
        r->listening = 0;
    }
    if (r->pcm) {
        (void)snd_pcm_close(r->pcm);
        r->pcm = NULL;
        (void)snd_config_update_free_global();
    }
}

static mbs_status alsa_close(void *self) {
    reader *r = self;
    silence(r);
    if (r->lost > 0) {
        r->host->log(r->host, MBS_LOGLEVEL_WARNING, "samples were lost %lld time%s: the machine was too slow for them",
                     (long long)r->lost, r->lost == 1 ? "" : "s");
    }
    return MBS_OK;
}

static void alsa_destroy(void *self) {
    reader *r = self;
    silence(r);
    r->host->free(r->host, r);
}

const mbs_reader_vt al_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = alsa_create,
    .open = alsa_open,
    .read = alsa_read,
    .close = alsa_close,
    .destroy = alsa_destroy,
};
