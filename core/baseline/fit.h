/*
 * fit.h - linear prediction by least squares over what was heard lately: older samples count less and less.
 */
#ifndef MBS_BASELINE_FIT_H
#define MBS_BASELINE_FIT_H

#define MBS_FIT_TERMS 33 /* samples before and a constant, at most */

typedef struct mbs_fit {
    int terms;                                   /* that it uses */
    double keep;                                 /* what one sample later is left of a sample's say */
    int wait;                                    /* samples until the weights are looked for again */
    double weight[MBS_FIT_TERMS];                /* of each term */
    double moment[MBS_FIT_TERMS][MBS_FIT_TERMS]; /* sums of products of terms; below the diagonal and on it */
    double product[MBS_FIT_TERMS];               /* sums of terms times what came */
} mbs_fit;

void mbs_fit_init(mbs_fit *f, int terms, double keep);
double mbs_fit_predict(const mbs_fit *f, const double *term);
/* `value` came behind these terms; `say` is what the pair counts for: 1 / the variance that was expected. */
void mbs_fit_follow(mbs_fit *f, const double *term, double value, double say);

#endif
