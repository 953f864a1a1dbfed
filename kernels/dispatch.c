/* dispatch.c - which CPU levels this machine runs, and how a context of one is made. */
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"

static const char *const level_names[MBK_LEVEL_COUNT] = {"ref", "avx2", "avx512", "avx512vnni", "avx512bf16"};

const char *mbk_level_name(mbk_level level) {
    return (unsigned)level < MBK_LEVEL_COUNT ? level_names[level] : "unknown";
}

int mbk_level_parse(const char *name) {
    for (int i = 0; i < MBK_LEVEL_COUNT; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* The built-in asks the operating system too (which registers it saves), not only the processor. */
int mbk_level_usable(mbk_level level) {
    switch (level) {
    case MBK_LEVEL_REF:
        return 1;
#ifdef MBK_X86
    case MBK_LEVEL_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case MBK_LEVEL_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               mbk_level_usable(MBK_LEVEL_AVX2);
    case MBK_LEVEL_AVX512VNNI:
        return __builtin_cpu_supports("avx512vnni") && mbk_level_usable(MBK_LEVEL_AVX512);
    case MBK_LEVEL_AVX512BF16:
        return __builtin_cpu_supports("avx512bf16") && mbk_level_usable(MBK_LEVEL_AVX512VNNI);
#else
    case MBK_LEVEL_AVX2:
    case MBK_LEVEL_AVX512:
    case MBK_LEVEL_AVX512VNNI:
    case MBK_LEVEL_AVX512BF16:
#endif
    case MBK_LEVEL_COUNT:
    default:
        return 0;
    }
}

mbk_level mbk_level_best(void) {
    int level = MBK_LEVEL_COUNT - 1;
    while (level > MBK_LEVEL_REF && !mbk_level_usable((mbk_level)level)) {
        level--;
    }
    return (mbk_level)level;
}

int mbk_level_from_env(void) {
    const char *name = getenv("MAMBASEQ_CPU");
    if (!name || !*name) {
        return (int)mbk_level_best();
    }
    int level = mbk_level_parse(name);
    return level >= 0 && mbk_level_usable((mbk_level)level) ? level : -1;
}

void mbk_leaf_fill(mbk_level level, mbk_leaf *leaf) {
    mbk_ref_fill(leaf);
#ifdef MBK_X86
    if (level >= MBK_LEVEL_AVX2) {
        mbk_avx2_fill(leaf);
    }
    if (level >= MBK_LEVEL_AVX512) {
        mbk_avx512_fill(leaf);
    }
    if (level >= MBK_LEVEL_AVX512VNNI) {
        mbk_avx512vnni_fill(leaf);
    }
    if (level >= MBK_LEVEL_AVX512BF16) {
        mbk_avx512bf16_fill(leaf);
    }
#else
    (void)level;
#endif
}

static void close_cpu(mbk_ctx *ctx) {
    mbk_pages_close(cpu_of(ctx)->pages);
    free(cpu_of(ctx)->scratch);
    free(ctx);
}

static const char *arithmetic(const mbk_ctx *ctx, mbk_math math) {
    mbk_level level = ((const cpu_ctx *)(const void *)ctx)->level;
    if (level >= MBK_LEVEL_AVX512BF16 && math == MBK_MATH_BF16) {
        return level_names[MBK_LEVEL_AVX512BF16];
    }
    return level_names[level > MBK_LEVEL_AVX512 ? MBK_LEVEL_AVX512 : level]; /* sums of whole numbers are exact */
}

static mbk_status beside(mbk_ctx *ctx, mbk_ctx **out) {
    return mbk_cpu_open(cpu_of(ctx)->level, NULL, out);
}

mbk_status mbk_cpu_open(mbk_level level, const mbk_parallel *par, mbk_ctx **out) {
    *out = NULL;
    if (!mbk_level_usable(level)) {
        return MBS_ERR_UNAVAILABLE;
    }
    cpu_ctx *cpu = calloc(1, sizeof *cpu);
    if (!cpu) {
        return MBS_ERR_MEMORY;
    }
    cpu->table.name = level_names[level];
    cpu->table.device = "cpu";
    cpu->table.pace = (mbk_pace)MBK_CPU_PACE;
    cpu->table.close = close_cpu;
    cpu->table.arithmetic = arithmetic;
    cpu->table.beside = beside;
    /* Two megabytes: any usual row many times, half of a core's larger cache. Untouched pages cost nothing. */
    cpu->scratch_size = (size_t)1 << 21;
    cpu->scratch = aligned_alloc(64, cpu->scratch_size);
    cpu->pages = cpu->scratch ? mbk_pages_new() : NULL;
    if (!cpu->pages) {
        free(cpu->scratch);
        free(cpu);
        return MBS_ERR_MEMORY;
    }
    cpu->level = level;
    mbk_memory_ops(&cpu->table);
    mbk_weight_ops(&cpu->table);
    mbk_gemm_ops(&cpu->table);
    mbk_row_ops(&cpu->table);
    mbk_sequence_ops(&cpu->table);
    mbk_mamba1_ops(&cpu->table);
    mbk_ssd_ops(&cpu->table);
    mbk_ssd_grad_ops(&cpu->table);
    mbk_grad_ops(&cpu->table);
    mbk_sequence_grad_ops(&cpu->table);
    mbk_train_ops(&cpu->table);
    mbk_attention_ops(&cpu->table);
    mbk_attention_grad_ops(&cpu->table);
    mbk_lti_ops(&cpu->table);
    mbk_discretize_ops(&cpu->table);
    mbk_fir_ops(&cpu->table);
    mbk_rnn_ops(&cpu->table);
    mbk_unary_ops(&cpu->table);
    mbk_leaf_fill(level, &cpu->leaf);
    if (par) {
        cpu->par = *par;
        cpu->table.pace.shared = par->threads > 1 ? (int64_t)MBK_WORTH_THREADS * MBK_PANEL : 0;
    }
    cpu->base.ops = &cpu->table;
    *out = &cpu->base;
    return MBS_OK;
}
