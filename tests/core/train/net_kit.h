/*
 * net_kit.h - what the tests of nets share: tiny shapes, batches of random tokens, comparisons of gradients.
 */
#ifndef MBS_TEST_NET_KIT_H
#define MBS_TEST_NET_KIT_H

#include "core/model/model_kit.h"
#include "model/shape.h"
#include "train/net.h"

/* A shape with d_model 12, d_state 5 and so on; keys and values, NULL at the end, override it. */
mbs_model_config nkit_shape(const char *const *set);

typedef struct nkit_batch {
    mbs_batch b;
    int64_t *starts;
    int32_t *ids, *targets;
    float *weights;
} nkit_batch;
/* Random sequences of these lengths, 0 at the end; causal targets, some of them -1, weights between 0.5 and 1.5. */
nkit_batch nkit_random(const int64_t *lengths, int64_t vocab, uint64_t seed);
void nkit_batch_free(nkit_batch *b);

/* A net on a context of its own. threads 0: the backend of tests, whose memory cannot be read between operations. */
typedef struct nkit {
    mbk_ctx *ctx;
    struct mbs_pool *pool;
    mbs_net *net;
} nkit;
mbk_ctx *nkit_open(mbk_level level, int threads, struct mbs_pool **pool);
nkit nkit_fresh(const mbs_model_config *cfg, const mbs_net_options *options, mbk_level level, int threads);
void nkit_close(nkit *k);

/* The canonical names of the tensors of a net, with the number of elements; frees with nkit_names_free. */
typedef struct nkit_name {
    char name[96];
    size_t n;
} nkit_name;
nkit_name *nkit_names(const mbs_model_config *cfg, size_t *count);
float *nkit_get(mbs_net *net, const nkit_name *t, int gradient);
int nkit_is_trained(mbs_net *net, const nkit_name *t);
/* Fresh weights hardly let one token see another: makes them stronger, and the time steps larger. */
void nkit_stir(mbs_net *net, const nkit_name *t, size_t n);
/* Central differences along a random direction within one tensor: d/de loss(w + e r) against <gradient, r>, which is
 * that of mean_weight times the mean loss. A direction takes all elements at once, so that f32 leaves enough digits. */
double nkit_off_along(mbs_net *net, const mbs_batch *b, const nkit_name *t, double mean_weight);
/* The same with steps of this width, in units of the tensor's size. */
double nkit_off_by(mbs_net *net, const mbs_batch *b, const nkit_name *t, double mean_weight, double width);
/* Class numbers as targets, one for each sequence. */
void nkit_label(nkit_batch *b, int64_t classes);
/* Weighted mean loss. */
double nkit_loss(mbs_net *net, const mbs_batch *b);
/* One step of AdamW. */
double nkit_step(mbs_net *net, const mbs_batch *b, double lr, int64_t step);

#endif
