/* grad_words.h - what simd/weight_grad.h multiplies where words are numbers: those of bf16 math are rounded first. */

static inline __attribute__((always_inline)) vf grad_words(const weight_grad_job *job, const float *p,
                                                           const float *second, vm m) {
    (void)second;
    vf x = v_load_some(p, m);
    return job->rounded ? v_round_bf16(x) : x;
}
