#include "audio/dsp/resample.h"

#include <soxr.h>
#include <stdio.h>
#include <string.h>

static mbs_status broken(const mbs_host *host, const char *why) {
    return host->fail(host, strstr(why, "alloc") ? MBS_ERR_MEMORY : MBS_ERR_INTERNAL, "rate", "the resampler: %s", why);
}

mbs_status au_resampler_new(au_resampler *r, const mbs_host *host, double from, double to, int64_t channels) {
    soxr_error_t why = NULL;
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
    memset(r, 0, sizeof(*r));
    r->channels = channels;
    r->soxr = soxr_create(from, to, (unsigned)channels, &why, &io, &quality, &runtime);
    return why ? broken(host, why) : MBS_OK;
}

mbs_status au_resampler_run(au_resampler *r, const mbs_host *host, const float *in, int64_t frames, int64_t *used,
                            float *out, int64_t room, int64_t *made) {
    size_t took = 0;
    size_t gave = 0;
    soxr_error_t why = soxr_process(r->soxr, in, in ? (size_t)frames : 0, &took, out, (size_t)room, &gave);
    *used = (int64_t)took;
    *made = (int64_t)gave;
    return why ? broken(host, why) : MBS_OK;
}

mbs_status au_resampler_clear(au_resampler *r, const mbs_host *host) {
    soxr_error_t why = soxr_clear(r->soxr);
    r->ended = 0;
    return why ? broken(host, why) : MBS_OK;
}

void au_resampler_free(au_resampler *r) {
    if (r->soxr) {
        soxr_delete(r->soxr);
        r->soxr = NULL;
    }
}

int64_t au_resampled(int64_t n, double from, double to) {
    return (int64_t)((double)n / (from / to) + 0.5);
}

void au_resampler_name(const au_resampler *r, char *to, size_t size) {
    const char *version = soxr_version();
    const char *engine = r->soxr ? soxr_engine(r->soxr) : "";
    (void)snprintf(to, size, "%.40s/HQ/%.20s", version, engine);
}
