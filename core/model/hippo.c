#include "model/hippo.h"

#include <math.h>

#define PI 3.14159265358979323846

/*
 * LegS with its low-rank part added is -1/2 I + K, K skew, K_nk = -+ sqrt((2 n + 1) (2 k + 1)) / 2. Two neighbouring
 * rows of K v = i mu v differ by few terms, which leaves a recurrence for v_n sqrt(2 n + 1),
 *
 *   w_{n+1} / w_n = (2 n + 3) / (2 n + 1) (2 i mu - (2 n + 1)) / (2 i mu + (2 n + 3)),
 *
 * and the last row a condition on its phase: sum over n of atan(2 mu / (2 n + 1)) = (N - 1 - 2 k) pi / 2, which grows
 * with mu. So each mode is found by itself, without a matrix.
 */
static double rate(int64_t n, int64_t k) {
    const double wanted = (double)(n - 1 - 2 * k) * (PI / 2);
    double low = 0;
    double high = 10.0 * (double)n * (double)n;
    double mu = 0;
    for (int step = 0; step < 100 && high - low > 1e-15 * high; step++) {
        double phase = 0;
        double slope = 0;
        for (int64_t i = 0; i < n; i++) {
            const double m = (double)(2 * i + 1);
            phase += atan(2 * mu / m);
            slope += 2 * m / (m * m + 4 * mu * mu);
        }
        if (phase < wanted) {
            low = mu;
        } else {
            high = mu;
        }
        const double next = mu + (wanted - phase) / slope; /* Newton, where it stays between what is known */
        const double old = mu;
        mu = next > low && next < high ? next : (low + high) / 2;
        if (fabs(mu - old) <= 1e-15 * mu) {
            break;
        }
    }
    return mu;
}

/* conj(v) . B of the mode's vector v, whose first number is positive: all rows of the sum are row 0's, 1 + 2 i mu. */
static void input(int64_t n, double mu, mbs_hippo_mode *out) {
    double size = 1; /* |w|^2 */
    double length = 0;
    for (int64_t i = 0; i < n; i++) {
        const double m = (double)(2 * i + 1);
        length += size / m;
        size *= (m + 2) * (m + 2) / (m * m) * (4 * mu * mu + m * m) / (4 * mu * mu + (m + 2) * (m + 2));
    }
    out->b_re = 1 / sqrt(length);
    out->b_im = -2 * mu / sqrt(length);
}

mbs_hippo_mode mbs_hippo_of(mbs_hippo start, int64_t n_modes, int64_t k) {
    const double n = (double)(2 * n_modes);
    mbs_hippo_mode m = {0.5, 0, 1, 0};
    switch (start) {
    case MBS_HIPPO_LIN:
        m.im = PI * (double)k;
        break;
    case MBS_HIPPO_INV:
        m.im = n / PI * (n / (double)(2 * k + 1) - 1);
        break;
    case MBS_HIPPO_REAL:
        m.re = (double)(k + 1);
        break;
    case MBS_HIPPO_LEGS:
    default:
        m.im = rate(2 * n_modes, k);
        input(2 * n_modes, m.im, &m);
        break;
    }
    return m;
}
