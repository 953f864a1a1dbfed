#include "audio/dsp/scale.h"

#include <math.h>
#include <string.h>

#include "audio/dsp/origin.h"

static const char *const words[] = {"none", "peak", "minmax", "fixed"};

mbs_status au_scale_params(au_scale *s, const mbs_host *host, const mbs_params *params) {
    const char *word = host->param_string(params, "scale");
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < 4; i++) {
        s->kind = strcmp(word, words[i]) == 0 ? (au_scale_kind)i : s->kind;
    }
    int told = host->param_is_set(params, "gain");
    s->gain = told ? host->param_float(params, "gain") : 1.0;
    s->factor = s->gain;
    if (told && s->kind != AU_SCALE_FIXED) {
        mbs_status st = host->fail(host, MBS_ERR_CONFIG, "gain", "it belongs to scale: fixed, and scale is %s", word);
        host->hint(host, "write scale: fixed, or leave gain out");
        return st;
    }
    return MBS_OK;
}

static mbs_status once_only(const au_scale *s, const mbs_host *host, const char *what) {
    mbs_status st =
        host->fail(host, MBS_ERR_CONFIG, "scale", "%s reads a recording twice, and %s", words[s->kind], what);
    host->hint(host, "scale: fixed with a gain needs one look only; or write the input to a file first");
    return st;
}

mbs_status au_scale_open(const au_scale *s, const mbs_host *host, const mbs_stream_header *in) {
    for (int64_t i = 0; in && i < in->n_sources && (s->kind == AU_SCALE_PEAK || s->kind == AU_SCALE_MINMAX); i++) {
        if (strcmp(in->sources[i].path, "-") == 0) {
            return once_only(s, host, "standard input can be read once");
        }
    }
    return MBS_OK;
}

mbs_status au_scale_begin(au_scale *s, const mbs_host *host, const mbs_record *record) {
    float least = 0;
    float most = 0;
    s->known = 1;
    if (s->kind == AU_SCALE_NONE || s->kind == AU_SCALE_FIXED) {
        return MBS_OK;
    }
    mbs_origin *o = record->origin;
    if (!o || strcmp(o->library, AU_ORIGIN_LIBRARY) != 0) {
        return once_only(s, host, "this input comes from a reader, a pipe or a worker process that gives it once");
    }
    mbs_status st = ((const au_recording *)o->data)->range(o, host, &least, &most);
    double low = (double)least;
    double high = (double)most;
    double peak = high > -low ? high : -low;
    s->shift = s->kind == AU_SCALE_MINMAX ? -low : 0.0;
    s->factor = s->kind == AU_SCALE_MINMAX ? 2.0 / (high - low + 1e-6) : peak > 0 ? 1.0 / peak : 1.0;
    s->drop = s->kind == AU_SCALE_MINMAX ? 1.0 : 0.0;
    return st;
}

double au_scale_of(au_scale *s, float x) {
    double y = ((double)x + s->shift) * s->factor - s->drop;
    if (y > 1.0 || y < -1.0) {
        s->clipped++;
        y = y > 0 ? 1.0 : -1.0;
    }
    return y;
}

void au_scale_close(const au_scale *s, const mbs_host *host) {
    if (s->clipped > 0) {
        host->log(host, MBS_LOGLEVEL_WARNING, "%lld sample%s outside of -1 to 1 %s clipped%s", (long long)s->clipped,
                  s->clipped == 1 ? "" : "s", s->clipped == 1 ? "was" : "were",
                  s->kind == AU_SCALE_FIXED ? ": a lower gain leaves them whole" : "");
    }
}
