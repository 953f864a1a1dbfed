#include "bench/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/clock.h"
#include "bench/peak.h"

#define DRAM_BYTES ((int64_t)256 << 20)
#define CACHE_DEFAULT ((int64_t)8 << 20)
/* A piece of work of a thread lasts this long, so that starting it does not show. */
#define PIECE 0.02

/* A number behind `name` of one of CPU 0's caches: "32768K". -1 where there is none. */
static int64_t of_cache(int index, const char *name) {
    char path[96];
    char unit = 0;
    long long n = -1;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%lld%c", &n, &unit) >= 1) {
        n *= unit == 'K' ? 1024 : unit == 'M' ? 1024 * 1024 : 1;
    }
    if (f) {
        fclose(f);
    }
    return n;
}

/* Of the last cache. The processor's own word (sysconf) counts the caches of a whole socket on some of them. */
static int64_t last_cache(void) {
    int64_t size = 0;
    int64_t top = 0;
    for (int i = 0; i < 8; i++) {
        int64_t level = of_cache(i, "level");
        int64_t bytes = of_cache(i, "size");
        if (level > top && bytes > 0) {
            top = level;
            size = bytes;
        }
    }
    return size > 0 ? size : CACHE_DEFAULT;
}

void mbs_machine_look(mbs_machine *m, int threads) {
    char line[256];
    memset(m, 0, sizeof *m);
    m->threads = threads;
    m->others = -1;
    m->f32_with = mbs_peak_f32()->with;
    m->last_cache = last_cache();
    snprintf(m->cpu, sizeof m->cpu, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(m->cpu, sizeof m->cpu, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (f) {
        fclose(f);
    }
}

/* One job of as many equal tasks as there are threads. */
typedef struct job {
    mbs_pool *pool;
    int64_t tasks;
    const mbs_peak *peak; /* NULL: reading */
    int64_t steps;        /* of a task */
    const float *data;
    size_t floats; /* of a task */
    float *sums;   /* one for each task, a cache line apart */
} job;

static void task(void *arg, int64_t i) {
    job *j = arg;
    float sum = 0;
    if (j->peak) {
        sum = j->peak->run(j->steps);
    } else {
        for (int64_t k = 0; k < j->steps; k++) {
            sum += mbs_peak_read(j->data + (size_t)i * j->floats, j->floats);
        }
    }
    j->sums[16 * i] += sum;
}

static mbs_status once(void *arg, mbs_err *err) {
    job *j = arg;
    (void)err;
    mbs_pool_run(j->tasks > 1 ? j->pool : NULL, j->tasks, task, j);
    return MBS_OK;
}

/* Steps so that a task lasts for PIECE, then the best rate of several. `work`: of a step of one task. */
static mbs_status rate(job *j, int repeat, double seconds, double work, double *out, mbs_err *err) {
    mbs_timing t;
    mbs_budget b = {repeat, seconds, 0, NULL, 0};
    double begin;
    double took = 0;
    for (j->steps = 1; took < PIECE / 4; j->steps *= 2) {
        begin = mbs_clock();
        once(j, err);
        took = mbs_clock() - begin;
    }
    j->steps = (int64_t)((double)j->steps / 2 * PIECE / took) + 1;
    mbs_status st = mbs_time_calls(&b, once, j, &t, err);
    *out = work * (double)j->steps * (double)j->tasks / t.best * 1e-9;
    return st;
}

static mbs_status compute(job *j, const mbs_peak *p, int threads, const mbs_budget *b, double out[2], mbs_err *err) {
    j->peak = p;
    j->tasks = 1;
    mbs_status st = rate(j, b->repeat, b->seconds, p->flops, &out[0], err);
    j->tasks = threads;
    return st < 0 ? st : rate(j, b->repeat, b->seconds, p->flops, &out[1], err);
}

static mbs_status reading(job *j, int64_t bytes, int threads, const mbs_budget *b, double out[2], mbs_err *err) {
    j->peak = NULL;
    for (int k = 0; k < 2; k++) {
        j->tasks = k == 0 ? 1 : threads;
        j->floats = (size_t)(bytes / j->tasks / 512) * 128;
        mbs_status st = rate(j, b->repeat, b->seconds, (double)j->floats * 4, &out[k], err);
        if (st < 0) {
            return st;
        }
    }
    return MBS_OK;
}

mbs_status mbs_machine_measure(mbs_machine *m, mbs_pool *pool, int repeat, double seconds, mbs_err *err) {
    int threads = mbs_pool_threads(pool);
    mbs_budget b = {repeat, seconds, 0, NULL, 0};
    int64_t bytes = DRAM_BYTES > 4 * m->last_cache ? DRAM_BYTES : 4 * m->last_cache;
    float *data = mbs_calloc_aligned(4096, (size_t)bytes);
    float *sums = mbs_calloc((size_t)threads, 64);
    double f32[2] = {0};
    double bf16[2] = {0};
    double i16[2] = {0};
    double i8[2] = {0};
    double dram[2] = {0};
    double cache[2] = {0};
    if (!data || !sums) {
        mbs_free(data);
        mbs_free(sums);
        return mbs_fail_memory(err, "machine", (size_t)bytes);
    }
    for (int64_t i = 0; i < bytes / 4; i += 1024) { /* pages of their own, not the one page of zeros */
        data[i] = 1;
    }
    job j = {.pool = pool, .data = data, .sums = sums};
    mbs_status st = compute(&j, mbs_peak_f32(), threads, &b, f32, err);
    if (st >= 0 && mbs_peak_bf16()) {
        st = compute(&j, mbs_peak_bf16(), threads, &b, bf16, err);
    }
    if (st >= 0 && mbs_peak_i16()) {
        st = compute(&j, mbs_peak_i16(), threads, &b, i16, err);
    }
    if (st >= 0 && mbs_peak_i8()) {
        st = compute(&j, mbs_peak_i8(), threads, &b, i8, err);
    }
    st = st < 0 ? st : reading(&j, bytes, threads, &b, dram, err);
    st = st < 0 ? st : reading(&j, m->last_cache / 4, threads, &b, cache, err);
    m->f32_1 = f32[0];
    m->f32_n = f32[1];
    m->bf16_1 = bf16[0];
    m->bf16_n = bf16[1];
    m->i16_1 = i16[0];
    m->i16_n = i16[1];
    m->i8_1 = i8[0];
    m->i8_n = i8[1];
    m->dram_1 = dram[0];
    m->dram_n = dram[1];
    m->cache_1 = cache[0];
    m->cache_n = cache[1];
    mbs_free(data);
    mbs_free(sums);
    return st;
}

int64_t mbs_machine_peak(void) {
    struct rusage used;
    return getrusage(RUSAGE_SELF, &used) == 0 ? (int64_t)used.ru_maxrss * 1024 : 0;
}
