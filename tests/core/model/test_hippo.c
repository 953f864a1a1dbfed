/* Where state spaces begin, against the golden modes, and against the matrices that LegS stands for. */
#include "model/hippo.h"
#include "support/test.h"
#include "support/vectors.h"

MBS_TEST(hippo, golden_modes) {
    enum { N = 8 };
    static const char *const name[] = {"legs", "lin", "inv", "real"};
    vec_file *f = vec_open("s4d");
    for (int start = 0; start < 4; start++) {
        char key[32];
        snprintf(key, sizeof key, "A_%s_re", name[start]);
        const float *re = vec_f32(f, key);
        snprintf(key, sizeof key, "A_%s_im", name[start]);
        const float *im = vec_f32(f, key);
        for (int k = 0; k < N; k++) {
            const mbs_hippo_mode m = mbs_hippo_of((mbs_hippo)start, N, k);
            CHECK(fabs(-m.re - (double)re[k]) < 1e-6 && fabs(m.im - (double)im[k]) < 1e-5, "%s %d: %g %g", name[start],
                  k, m.im, (double)im[k]);
        }
    }
    const double *fine = vec_f64(f, "legs_eig_imag_neg");
    for (int k = 0; k < N; k++) {
        CHECK(fabs(mbs_hippo_of(MBS_HIPPO_LEGS, N, k).im + fine[k]) < 1e-11 * fabs(fine[k]));
    }
    vec_close(f);
}

/* Large ones, by their traces: the sum of |B|^2 is that of B in any basis, N^2;
 * the sum of mu^2 is the squared size of the skew part. */
MBS_TEST(hippo, traces) {
    static const int sizes[] = {1, 2, 16, 32, 128};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const int modes = sizes[i];
        const int n = 2 * modes;
        double b = 0;
        double mu = 0;
        double size = 0;
        double last = INFINITY;
        for (int k = 0; k < modes; k++) {
            const mbs_hippo_mode m = mbs_hippo_of(MBS_HIPPO_LEGS, modes, k);
            b += 2 * (m.b_re * m.b_re + m.b_im * m.b_im);
            mu += 2 * m.im * m.im;
            CHECK(m.im > 0 && m.im < last);
            last = m.im;
        }
        for (int r = 0; r < n; r++) {
            for (int c = 0; c < r; c++) {
                size += 2 * (2.0 * r + 1) * (2.0 * c + 1) / 4;
            }
        }
        CHECK(fabs(b / ((double)n * n) - 1) < 1e-10, "%d: %.15g", modes, b);
        CHECK(fabs(mu / size - 1) < 1e-10, "%d: %.15g %.15g", modes, mu, size);
    }
}
