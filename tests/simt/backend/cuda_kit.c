#include "simt/backend/cuda_kit.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/kit.h"

static struct {
    const mbk_module *module;
    const fake_control *fake;
    mbk_ctx *ctx;
    int schedules;
    char name[64];
} kit;

static _Noreturn void end(int code, const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why ? why : "no reason given");
    fflush(NULL);
    _exit(code);
}

const mbk_module *cuda_kit_module(void) {
    if (kit.module) {
        return kit.module;
    }
    const char *path = getenv("MBS_CUDA_MODULE");
    path = path && *path ? path : MBK_EMULATED_MODULE;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        end(77, "skipped: the CUDA backend cannot be loaded", dlerror());
    }
    const mbk_module *m = dlsym(handle, MBK_MODULE_SYMBOL);
    if (!m || m->size != sizeof *m || strcmp(m->abi, MBK_ABI) != 0 || m->ops_size != sizeof(mbk_ops)) {
        end(1, path, "belongs to another build");
    }
    kit.fake = dlsym(handle, "mbk_fake_control");
    char why[512] = "";
    int32_t n = 0;
    if (m->count(&n, why, sizeof why) < 0) {
        end(kit.fake ? 1 : 77, kit.fake ? path : "skipped: there is no CUDA device", why);
    }
    m->describe(0, kit.name, sizeof kit.name);
    fprintf(stderr, "CUDA device: %s\n", kit.name);
    const char *schedules = getenv("MBS_CUDA_SCHEDULES");
    kit.schedules = !kit.fake ? 1 : schedules ? atoi(schedules) : 3;
    kit.module = m;
    return m;
}

const fake_control *cuda_kit_fake(void) {
    cuda_kit_module();
    return kit.fake;
}

int cuda_kit_schedules(void) {
    cuda_kit_module();
    return kit.schedules;
}

void cuda_kit_schedule(int schedule) {
    if (!cuda_kit_fake()) {
        return;
    }
    char threads[64];
    snprintf(threads, sizeof threads, "random:%llu", (unsigned long long)(kit_next() >> 33));
    kit.fake->order(schedule == 0 ? "fifo" : schedule == 1 ? "lifo" : threads);
    kit.fake->schedule(schedule == 0 ? 0 : schedule == 1 ? 3 : kit_next() >> 33 | 1);
}

static void close_at_end(void) {
    mbk_close(kit.ctx);
    if (!kit.fake) {
        return;
    }
    fake_use u = kit.fake->use();
    int64_t left = u.device_blocks + u.pinned_blocks + u.streams + u.events + u.graphs + u.handles;
    if (left) {
        fprintf(stderr,
                "left behind on the device: %lld blocks, %lld pinned, %lld streams, %lld events, %lld graphs, %lld "
                "cuBLAS handles\n",
                (long long)u.device_blocks, (long long)u.pinned_blocks, (long long)u.streams, (long long)u.events,
                (long long)u.graphs, (long long)u.handles);
        fflush(NULL);
        _exit(1);
    }
}

mbk_ctx *cuda_kit_open(int schedule) {
    char why[512] = "";
    if (!kit.ctx) {
        if (cuda_kit_module()->open(0, &kit.ctx, why, sizeof why) < 0) {
            end(1, "the device cannot be opened", why);
        }
        atexit(close_at_end);
    }
    kit.ctx->ops->sync(kit.ctx);
    cuda_kit_schedule(schedule);
    return kit.ctx;
}

int64_t cuda_kit_unit(void) {
    return (kit.ctx ? kit.ctx : cuda_kit_open(0))->ops->pace.unit;
}

int cuda_kit_close(const mbk_ctx *ctx) {
    return ctx == kit.ctx;
}

const char *cuda_kit_name(mbk_level level) {
    static const char *const schedules[] = {"cuda in order", "cuda backwards", "cuda at random"};
    int i = (int)level - (int)MBK_LEVEL_COUNT;
    return i < 0 ? (mbk_level_name)(level) : !cuda_kit_fake() ? "cuda" : schedules[i < 2 ? i : 2];
}
