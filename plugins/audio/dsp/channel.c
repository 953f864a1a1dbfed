#include "audio/dsp/channel.h"

#include <string.h>

void au_choose(au_channels which, int64_t one, const float *from, int64_t channels, float *to, int64_t n) {
    if (channels == 1 || which == AU_ALL) {
        memcpy(to, from, (size_t)(n * channels) * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i++, from += channels) {
        if (which != AU_MIX) {
            to[i] = from[one];
            continue;
        }
        double sum = 0;
        for (int64_t c = 0; c < channels; c++) {
            sum += (double)from[c];
        }
        to[i] = (float)(sum / (double)channels);
    }
}
