/*
 * legs.h - the modes of HiPPO-LegS, found without an eigenvalue routine.
 */
#ifndef MBS_TESTS_SUPPORT_LEGS_H
#define MBS_TESTS_SUPPORT_LEGS_H

#include <complex.h>
#include <math.h>

/* The first vector of mode `i` (0: the fastest) of HiPPO-LegS with its low-rank part added, of which the condition on
 * its phase gives the rate: sum atan(2 mu / (2 k + 1)) = (n - 1 - 2 i) pi / 2. v (n), of length 1. */
static double legs_mode(int n, int i, double _Complex *v) {
    double low = 0;
    double high = 10.0 * n * n;
    double length = 0;
    for (int step = 0; step < 200; step++) {
        const double mu = (low + high) / 2;
        double phase = 0;
        for (int k = 0; k < n; k++) {
            phase += atan(2 * mu / (2 * k + 1));
        }
        if (phase < (n - 1 - 2 * i) * 1.57079632679489662) {
            low = mu;
        } else {
            high = mu;
        }
    }
    double _Complex w = 1;
    for (int k = 0; k < n; k++) {
        v[k] = w / sqrt(2 * k + 1);
        length += creal(v[k] * conj(v[k]));
        w *= (2 * k + 3.0) / (2 * k + 1) * (2 * low * I - (2 * k + 1)) / (2 * low * I + (2 * k + 3));
    }
    for (int k = 0; k < n; k++) {
        v[k] /= sqrt(length);
    }
    return low;
}

#endif
