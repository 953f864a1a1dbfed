/*
 * The layout of mambaseq.h on x86-64, as numbers: a program that was built with it must find everything in its place in
 * any later library of the same major. Fields are only added at the tail; an offset never changes.
 */
#include "mambaseq/mambaseq.h"

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "size of " #type)
#define AT(type, field, bytes) _Static_assert(offsetof(type, field) == (bytes), #type "." #field)

SIZE(mbs_lm_error, 2568);
AT(mbs_lm_error, struct_size, 0);
AT(mbs_lm_error, status, 4);
AT(mbs_lm_error, where, 8);
AT(mbs_lm_error, what, 520);
AT(mbs_lm_error, fix, 2056);

SIZE(mbs_lm_options, 40);
AT(mbs_lm_options, struct_size, 0);
AT(mbs_lm_options, threads, 4);
AT(mbs_lm_options, level, 8);
AT(mbs_lm_options, dtype, 16);
AT(mbs_lm_options, math, 24);
AT(mbs_lm_options, device, 32);

SIZE(mbs_lm_facts, 192);
AT(mbs_lm_facts, struct_size, 0);
AT(mbs_lm_facts, threads, 4);
AT(mbs_lm_facts, vocab_size, 8);
AT(mbs_lm_facts, vocab_rows, 16);
AT(mbs_lm_facts, d_model, 24);
AT(mbs_lm_facts, n_layer, 32);
AT(mbs_lm_facts, parameters, 40);
AT(mbs_lm_facts, state_bytes, 48);
AT(mbs_lm_facts, weight_bytes, 56);
AT(mbs_lm_facts, bos, 64);
AT(mbs_lm_facts, eos, 68);
AT(mbs_lm_facts, pad, 72);
AT(mbs_lm_facts, reserved, 76);
AT(mbs_lm_facts, model_type, 80);
AT(mbs_lm_facts, arithmetic, 112);
AT(mbs_lm_facts, dtype, 176);

SIZE(mbs_lm_out, 48);
AT(mbs_lm_out, struct_size, 0);
AT(mbs_lm_out, layer, 4);
AT(mbs_lm_out, logprob, 8);
AT(mbs_lm_out, logits, 16);
AT(mbs_lm_out, hidden, 24);
AT(mbs_lm_out, last_logits, 32);
AT(mbs_lm_out, last_hidden, 40);

SIZE(mbs_lm_sampling, 112);
AT(mbs_lm_sampling, struct_size, 0);
AT(mbs_lm_sampling, reserved, 4);
AT(mbs_lm_sampling, max_tokens, 8);
AT(mbs_lm_sampling, seed, 16);
AT(mbs_lm_sampling, sample, 24);
AT(mbs_lm_sampling, first, 32);
AT(mbs_lm_sampling, temperature, 40);
AT(mbs_lm_sampling, top_p, 48);
AT(mbs_lm_sampling, top_k, 56);
AT(mbs_lm_sampling, allowed, 64);
AT(mbs_lm_sampling, n_allowed, 72);
AT(mbs_lm_sampling, stop, 80);
AT(mbs_lm_sampling, n_stop, 88);
AT(mbs_lm_sampling, on_token, 96);
AT(mbs_lm_sampling, arg, 104);
