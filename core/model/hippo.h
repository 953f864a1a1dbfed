/* hippo.h - where state spaces begin: the diagonal starts of S4D and the HiPPO-LegS matrix of S4 (Gu et al. 2022). */
#ifndef MBS_MODEL_HIPPO_H
#define MBS_MODEL_HIPPO_H

#include <stdint.h>

/* The words of the key `init`, in this order. */
#define MBS_HIPPO_WORDS "legs|lin|inv|real"
typedef enum mbs_hippo { MBS_HIPPO_LEGS = 0, MBS_HIPPO_LIN = 1, MBS_HIPPO_INV = 2, MBS_HIPPO_REAL = 3 } mbs_hippo;

/* Mode k of n_modes (half of the states, one of each conjugate pair): A = -re + i im. */
typedef struct mbs_hippo_mode {
    double re, im;
    double b_re, b_im; /* LegS: B in the basis of the modes; else 1. P of LegS is B / sqrt 2 */
} mbs_hippo_mode;
mbs_hippo_mode mbs_hippo_of(mbs_hippo start, int64_t n_modes, int64_t k);

#endif
