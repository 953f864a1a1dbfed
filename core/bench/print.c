/* print.c - what was measured, for programs and for people. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "bench/bench.h"

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static void key(mbs_buf *out, const char *name) {
    char last = out->len ? out->data[out->len - 1] : '{';
    mbs_buf_printf(out, "%s\"%s\": ", last == '{' ? "" : ", ", name);
}

static void put_text(mbs_buf *out, const char *name, const char *value) {
    key(out, name);
    if (value) {
        mbs_json_put_string(out, value);
    } else {
        mbs_buf_puts(out, "null");
    }
}

static void put_whole(mbs_buf *out, const char *name, int64_t value) {
    key(out, name);
    mbs_buf_printf(out, "%" PRId64, value);
}

/* Four digits: more of them would be noise. */
static void put_rate(mbs_buf *out, const char *name, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.4g", value);
    double rounded;
    key(out, name);
    mbs_json_put_double(out, sscanf(text, "%lf", &rounded) == 1 ? rounded : value);
}

/* What was not measured is null. */
static void put_measured(mbs_buf *out, const char *name, double value, int measured) {
    if (measured) {
        put_rate(out, name, value);
    } else {
        put_text(out, name, NULL);
    }
}

static void machine_json(const mbs_machine *m, mbs_buf *out) {
    mbs_buf_puts(out, "{");
    put_text(out, "cpu", m->cpu);
    put_whole(out, "threads", m->threads);
    put_text(out, "f32_with", m->f32_with);
    put_measured(out, "f32_gflops_1", m->f32_1, m->f32_1 > 0);
    put_measured(out, "f32_gflops", m->f32_n, m->f32_n > 0);
    put_measured(out, "bf16_gflops_1", m->bf16_1, m->bf16_1 > 0);
    put_measured(out, "bf16_gflops", m->bf16_n, m->bf16_n > 0);
    put_measured(out, "int16_gflops_1", m->i16_1, m->i16_1 > 0);
    put_measured(out, "int16_gflops", m->i16_n, m->i16_n > 0);
    put_measured(out, "int8_gflops_1", m->i8_1, m->i8_1 > 0);
    put_measured(out, "int8_gflops", m->i8_n, m->i8_n > 0);
    put_measured(out, "memory_gbytes_per_s_1", m->dram_1, m->dram_1 > 0);
    put_measured(out, "memory_gbytes_per_s", m->dram_n, m->dram_n > 0);
    put_measured(out, "cache_gbytes_per_s_1", m->cache_1, m->cache_1 > 0);
    put_measured(out, "cache_gbytes_per_s", m->cache_n, m->cache_n > 0);
    put_whole(out, "last_cache_bytes", m->last_cache);
    if (m->device[0]) {
        put_text(out, "device", m->device);
        put_measured(out, "device_copy_gbytes_per_s", m->copy, m->copy > 0);
    }
    put_measured(out, "others_cpus", m->others, m->others >= 0);
    mbs_buf_puts(out, "}");
}

static void result_json(const mbs_bench *b, const mbs_bench_result *r, mbs_buf *out) {
    mbs_buf_puts(out, "{");
    put_text(out, "work", r->work);
    put_text(out, "shape", b->shape);
    put_text(out, "dtype", b->dtype);
    put_whole(out, "threads", b->threads);
    put_whole(out, "length", r->length);
    put_rate(out, "tokens_per_s", r->tokens_per_s);
    put_rate(out, "gflops", r->gflops);
    put_rate(out, "gbytes_per_s", r->gbytes_per_s);
    put_text(out, "part", r->part);
    put_text(out, "math", b->math);
    put_text(out, "level", b->level);
    put_text(out, "limit", r->limit);
    put_measured(out, "limit_tokens_per_s", r->limit_tokens_per_s, r->limit != NULL);
    put_measured(out, "share", r->share, r->limit != NULL);
    put_measured(out, "of_prefill", r->of_prefill, r->of_prefill >= 0);
    put_rate(out, "seconds", r->seconds);
    put_whole(out, "repeats", r->repeats);
    if (r->peak > 0) {
        put_whole(out, "peak_bytes", r->peak);
    }
    if (r->real_time > 0) {
        put_rate(out, "rtf", r->real_time);
    }
    if (r->to_short > 0) {
        put_rate(out, "to_short", r->to_short);
        put_rate(out, "to_short_end", r->to_short_end);
    }
    mbs_buf_puts(out, "}");
}

void mbs_bench_json(const mbs_bench *b, mbs_buf *out) {
    mbs_buf_puts(out, "{\"machine\": ");
    machine_json(&b->machine, out);
    mbs_buf_puts(out, ", \"results\": [");
    for (size_t i = 0; i < b->n; i++) {
        mbs_buf_puts(out, i ? ",\n  " : "\n  ");
        result_json(b, &b->results[i], out);
    }
    mbs_buf_puts(out, "]}\n");
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static void pair(mbs_buf *out, const char *what, double one, double all, const char *unit, int threads) {
    if (one <= 0) {
        mbs_buf_printf(out, "  %-22s %9s\n", what, "-");
    } else if (threads > 1) {
        mbs_buf_printf(out, "  %-22s %9.1f %s on 1 thread, %.1f on %d\n", what, one, unit, all, threads);
    } else {
        mbs_buf_printf(out, "  %-22s %9.1f %s on 1 thread\n", what, one, unit);
    }
}

static void machine_words(const mbs_machine *m, mbs_buf *out) {
    char what[64];
    mbs_buf_printf(out, "machine: %s\n", m->device[0] ? m->device : m->cpu);
    if (m->copy > 0) {
        mbs_buf_printf(out, "  %-22s %9.1f GB/s read and written, %.1f MB at a time\n", "copying its own memory",
                       m->copy, (double)m->copied * 1e-6);
    }
    if (m->f32_1 <= 0) {
        return;
    }
    snprintf(what, sizeof what, "f32 multiply-add");
    pair(out, what, m->f32_1, m->f32_n, "GFLOP/s", m->threads);
    pair(out, "bf16 dot product", m->bf16_1, m->bf16_n, "GFLOP/s", m->threads);
    pair(out, "int16 dot product", m->i16_1, m->i16_n, "GFLOP/s", m->threads);
    pair(out, "int8 dot product", m->i8_1, m->i8_n, "GFLOP/s", m->threads);
    pair(out, "reading memory", m->dram_1, m->dram_n, "GB/s", m->threads);
    snprintf(what, sizeof what, "reading %.1f MB", (double)m->last_cache / 4e6);
    pair(out, what, m->cache_1, m->cache_n, "GB/s", m->threads);
}

static void roofline_words(const mbs_bench *b, mbs_buf *out) {
    const mbs_bench_cost *p = &b->prefill;
    const mbs_bench_cost *d = &b->decode;
    mbs_buf_printf(out, "shape: %s, %s weights, %s math, %s kernels, %d thread%s\n", b->shape, b->dtype, b->math,
                   b->level, b->threads, b->threads == 1 ? "" : "s");
    mbs_buf_printf(out, "  a token of a prompt    %9.2f MFLOP in matrices, %.2f in scan, convolution and norms\n",
                   p->matrix * 1e-6, p->vector * 1e-6);
    if (b->look > 0) { /* attention */
        mbs_buf_printf(out, "  for each position back %9.4f MFLOP more a token: %.2f at the end of 65,536 positions\n",
                       b->look * 1e-6, b->look * 65535e-6);
    }
    mbs_buf_printf(out, "  a token decoded        %9.2f MFLOP in matrices, %.2f in the rest; %.2f MB to read\n",
                   d->matrix * 1e-6, d->vector * 1e-6, d->bytes * 1e-6);
}

void mbs_bench_table(const mbs_bench *b, mbs_buf *out) {
    machine_words(&b->machine, out);
    roofline_words(b, out);
    if (b->n) {
        mbs_buf_printf(out, "\n%-8s %-9s %7s %12s %9s %9s %6s  %-8s %10s %s\n", "work", "part", "length", "tokens/s",
                       "GFLOP/s", "GB/s", "share", "of", "of prefill", "repeats");
    }
    for (size_t i = 0; i < b->n; i++) {
        const mbs_bench_result *r = &b->results[i];
        char share[16] = "-";
        if (r->limit) {
            snprintf(share, sizeof share, "%.0f %%", 100 * r->share);
        }
        char part[16] = "";
        if (r->of_prefill >= 0) {
            snprintf(part, sizeof part, "%.1f %%", 100 * r->of_prefill);
        }
        mbs_buf_printf(out, "%-8s %-9s %7" PRId64 " %12.1f %9.2f %9.2f %6s  %-8s %10s %d\n", r->work, r->part,
                       r->length, r->tokens_per_s, r->gflops, r->gbytes_per_s, share, r->limit ? r->limit : "-", part,
                       r->repeats);
        if (r->peak > 0) {
            mbs_buf_printf(out, "  the process held at most %.1f MiB\n", (double)r->peak / 1048576);
        }
        if (r->real_time > 0) {
            mbs_buf_printf(out, "  real-time factor %.3f: seconds for a second of sound of %.0f tokens\n", r->real_time,
                           r->real_time * r->tokens_per_s);
        }
        if (r->to_short > 0) {
            mbs_buf_printf(out, "  a token takes %.3f times what it takes in a record of 1,024, %.3f at the end\n",
                           r->to_short, r->to_short_end);
        }
    }
}
