/* profile.c - see profile.h. Counts live as long as the process; the emulator runs one CUDA thread at a time. */
#include "simt/ptx/profile.h"

#include <stdio.h>
#include <stdlib.h>

int ptx_profiling;

enum { WARP = 32, SECTOR = 32, BANKS = 32 };

/* Totals of one instruction. */
struct site_totals {
    uint64_t requests, moved, ideal, lanes; /* sectors or wavefronts */
    uint32_t size;
    int shared, write;
};

/* Sectors that a launch has touched: a set by open addressing. */
struct sector_set {
    uint64_t *at; /* number + 1; 0: empty */
    size_t room, n;
};

struct kernel_totals {
    const struct ptx_kernel *kernel;
    struct site_totals *sites;
    uint64_t launch; /* the last seen */
    uint64_t launches, blocks, threads;
    uint64_t read, written; /* bytes, each sector once a launch */
    struct sector_set reads, writes;
    simt_dim grid, block;
    struct kernel_totals *next;
};

/* One request of a warp in the making. */
struct request {
    uint32_t mask;
    uint64_t at[WARP];
};
struct requests {
    struct request *q;
    size_t first, n, room; /* q[first .. n) wait */
    uint64_t done;         /* requests before q[first] */
    uint64_t seen[WARP];   /* by lane */
};

struct ptx_record { /* a warp */
    struct kernel_totals *totals;
    struct requests *sites;
    simt_dim block;
    uint32_t warp, lanes, ended; /* masks */
    struct ptx_record *next;
};

static struct kernel_totals *kernels;
static struct ptx_record *warps;

static void *room(void *old, size_t bytes) {
    void *p = realloc(old, bytes);
    if (!p) {
        fputs("ptx profile: out of memory\n", stderr);
        abort();
    }
    return p;
}

static int set_add(struct sector_set *s, uint64_t number) {
    if (2 * (s->n + 1) > s->room) {
        struct sector_set old = *s;
        s->room = old.room ? 2 * old.room : 4096;
        s->at = room(NULL, s->room * sizeof *s->at);
        memset(s->at, 0, s->room * sizeof *s->at);
        s->n = 0;
        for (size_t i = 0; i < old.room; i++) {
            if (old.at[i]) {
                set_add(s, old.at[i] - 1);
            }
        }
        free(old.at);
    }
    size_t i = (number * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->room - 1);
    for (; s->at[i]; i = (i + 1) & (s->room - 1)) {
        if (s->at[i] == number + 1) {
            return 0;
        }
    }
    s->at[i] = number + 1;
    s->n++;
    return 1;
}

static void launch_ends(struct kernel_totals *k) {
    k->read += k->reads.n * SECTOR;
    k->written += k->writes.n * SECTOR;
    for (int i = 0; i < 2; i++) {
        struct sector_set *s = i ? &k->writes : &k->reads;
        if (s->at) {
            memset(s->at, 0, s->room * sizeof *s->at);
        }
        s->n = 0;
    }
}

static struct kernel_totals *totals_of(const struct ptx_kernel *kernel) {
    struct kernel_totals *k = kernels;
    while (k && k->kernel != kernel) {
        k = k->next;
    }
    if (!k) {
        k = room(NULL, sizeof *k);
        memset(k, 0, sizeof *k);
        k->kernel = kernel;
        k->sites = room(NULL, ((size_t)kernel->n_sites + 1) * sizeof *k->sites);
        memset(k->sites, 0, ((size_t)kernel->n_sites + 1) * sizeof *k->sites);
        k->next = kernels;
        kernels = k;
    }
    uint64_t launch = ptx_host->counted().launches;
    if (launch != k->launch) {
        launch_ends(k);
        k->launch = launch;
        k->launches++;
        k->grid = *ptx_host->gridDim;
        k->block = *ptx_host->blockDim;
        k->blocks += (uint64_t)k->grid.x * k->grid.y * k->grid.z;
    }
    return k;
}

struct ptx_record *ptx_profile_thread(struct ptx_thread *t) {
    struct kernel_totals *k = totals_of(t->kernel);
    simt_dim b = *ptx_host->blockIdx, n = k->block;
    uint32_t index = ptx_thread_index(t), threads = n.x * n.y * n.z, warp = index / WARP;
    k->threads++;
    struct ptx_record *r = warps;
    while (r && !(r->totals == k && r->warp == warp && r->block.x == b.x && r->block.y == b.y && r->block.z == b.z)) {
        r = r->next;
    }
    if (!r) {
        r = room(NULL, sizeof *r);
        memset(r, 0, sizeof *r);
        r->totals = k;
        r->block = b;
        r->warp = warp;
        uint32_t lanes = threads - warp * WARP;
        r->lanes = lanes >= WARP ? UINT32_MAX : (UINT32_C(1) << lanes) - 1;
        r->sites = room(NULL, ((size_t)t->kernel->n_sites + 1) * sizeof *r->sites);
        memset(r->sites, 0, ((size_t)t->kernel->n_sites + 1) * sizeof *r->sites);
        r->next = warps;
        warps = r;
    }
    return r;
}

/* Distinct values of at[i] / unit over the lanes of [from, to). */
static int distinct(const struct request *q, int from, int to, uint64_t unit, uint64_t *out) {
    int n = 0;
    for (int i = from; i < to; i++) {
        if (!(q->mask >> i & 1)) {
            continue;
        }
        uint64_t value = q->at[i] / unit;
        int k = n > 0 && out[n - 1] == value ? n - 1 : 0;
        while (k < n && out[k] != value) {
            k++;
        }
        if (k == n) {
            out[n++] = value;
        }
    }
    return n;
}

static void count_global(struct kernel_totals *k, struct site_totals *s, const struct request *q) {
    uint64_t found[WARP];
    int sectors = distinct(q, 0, WARP, SECTOR, found);
    for (int i = 0; i < sectors; i++) {
        set_add(s->write ? &k->writes : &k->reads, found[i]);
    }
    int values = distinct(q, 0, WARP, s->size, found);
    s->moved += (uint64_t)sectors;
    s->ideal += ((uint64_t)values * s->size + SECTOR - 1) / SECTOR;
}

/* 8 bytes a lane go by half warps, 16 by quarters; lanes that read one word share it. */
static void count_shared(struct site_totals *s, const struct request *q) {
    int lanes = s->size <= 4 ? WARP : s->size == 8 ? WARP / 2 : WARP / 4;
    for (int from = 0; from < WARP; from += lanes) {
        uint64_t found[WARP];
        uint32_t load[BANKS] = {0}, most = 0, words = s->size <= 4 ? 1 : s->size / 4;
        int n = distinct(q, from, from + lanes, s->size <= 4 ? 4 : s->size, found);
        for (int i = 0; i < n; i++) {
            for (uint32_t w = 0; w < words; w++) {
                uint32_t bank = (uint32_t)(found[i] * words + w) % BANKS;
                load[bank]++;
                most = load[bank] > most ? load[bank] : most;
            }
        }
        s->moved += most;
        s->ideal += ((uint64_t)n * words + BANKS - 1) / BANKS;
    }
}

static void finish_front(struct ptx_record *r, uint32_t site) {
    struct requests *p = &r->sites[site];
    struct request *q = &p->q[p->first++];
    struct site_totals *s = &r->totals->sites[site];
    p->done++;
    if (q->mask) {
        s->requests++;
        s->lanes += (uint64_t)__builtin_popcount(q->mask);
        if (s->shared) {
            count_shared(s, q);
        } else {
            count_global(r->totals, s, q);
        }
    }
}

void ptx_note(struct ptx_thread *t, uint32_t site, uint64_t at, uint32_t size, enum ptx_how how, int shared) {
    struct ptx_record *r = t->profile;
    struct requests *p = &r->sites[site];
    struct site_totals *s = &r->totals->sites[site];
    uint32_t lane = ptx_lane(t);
    s->size = size;
    s->shared = shared;
    s->write = how != PTX_READ;
    size_t index = p->first + (size_t)(p->seen[lane]++ - p->done);
    while (index >= p->n) {
        if (p->n == p->room) {
            if (2 * p->first > p->room) { /* what is done makes room */
                memmove(p->q, p->q + p->first, (p->n - p->first) * sizeof *p->q);
                p->n -= p->first;
                index -= p->first;
                p->first = 0;
                continue;
            }
            p->room = p->room ? 2 * p->room : 16;
            p->q = room(p->q, p->room * sizeof *p->q);
        }
        p->q[p->n++].mask = 0;
    }
    p->q[index].mask |= UINT32_C(1) << lane;
    p->q[index].at[lane] = at;
    while (p->first < p->n && p->q[p->first].mask == r->lanes) {
        finish_front(r, site);
    }
}

void ptx_profile_end(struct ptx_thread *t) {
    struct ptx_record *r = t->profile;
    r->ended |= UINT32_C(1) << ptx_lane(t);
    if (r->ended != r->lanes) {
        return;
    }
    for (uint32_t i = 0; i < (uint32_t)t->kernel->n_sites; i++) {
        while (r->sites[i].first < r->sites[i].n) {
            finish_front(r, i);
        }
        free(r->sites[i].q);
    }
    free(r->sites);
    struct ptx_record **at = &warps;
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    free(r);
}

/* --- what is written ---------------------------------------------------------------------------------------------- */
static void write_kernel(FILE *f, struct kernel_totals *k) {
    uint64_t sum[4] = {0}, moved[3] = {0}, ideal[3] = {0};
    for (int b = 0; b < k->kernel->n_blocks; b++) {
        const struct ptx_work *w = &k->kernel->work[b];
        const uint32_t each[] = {w->instructions, w->flops, w->ex2, w->sfu};
        for (int i = 0; i < 4; i++) {
            sum[i] += k->kernel->counts[b] * each[i];
        }
    }
    for (int i = 0; i < k->kernel->n_sites; i++) {
        const struct site_totals *s = &k->sites[i];
        int where = s->shared ? 2 : s->write;
        moved[where] += s->moved;
        ideal[where] += s->ideal;
    }
    launch_ends(k);
    fprintf(f,
            "kernel\t%s\tlaunches=%llu\tblocks=%llu\tthreads=%llu\tgrid=%ux%ux%u\tblock=%ux%ux%u\tinstructions=%llu\t"
            "flops=%llu\tex2=%llu\tsfu=%llu\tread=%llu\twritten=%llu\tread_moved=%llu\tread_ideal=%llu\t"
            "written_moved=%llu\twritten_ideal=%llu\twavefronts=%llu\twavefronts_ideal=%llu\n",
            k->kernel->symbol, (unsigned long long)k->launches, (unsigned long long)k->blocks,
            (unsigned long long)k->threads, k->grid.x, k->grid.y, k->grid.z, k->block.x, k->block.y, k->block.z,
            (unsigned long long)sum[0], (unsigned long long)sum[1], (unsigned long long)sum[2],
            (unsigned long long)sum[3], (unsigned long long)k->read, (unsigned long long)k->written,
            (unsigned long long)moved[0] * SECTOR, (unsigned long long)ideal[0] * SECTOR,
            (unsigned long long)moved[1] * SECTOR, (unsigned long long)ideal[1] * SECTOR, (unsigned long long)moved[2],
            (unsigned long long)ideal[2]);
    for (int i = 0; i < k->kernel->n_sites; i++) {
        const struct site_totals *s = &k->sites[i];
        const struct ptx_site *at = &k->kernel->sites[i];
        if (s->requests) {
            fprintf(f, "access\t%s\t%s\t%s:%d\tPTX %d\t%s\trequests=%llu\tlanes=%llu\tmoved=%llu\tideal=%llu\n",
                    k->kernel->symbol,
                    s->shared  ? "shared"
                    : s->write ? "write"
                               : "read",
                    at->file, at->line, at->ptx_line, at->text, (unsigned long long)s->requests,
                    (unsigned long long)s->lanes, (unsigned long long)s->moved, (unsigned long long)s->ideal);
        }
    }
}

static void write_all(void) {
    FILE *f = fopen(getenv("MBK_PTX_PROFILE"), "a");
    if (!f) {
        perror("ptx profile");
        return;
    }
    for (struct kernel_totals *k = kernels; k; k = k->next) {
        write_kernel(f, k);
    }
    fclose(f);
}

void ptx_profile_begin(void) {
    const char *path = getenv("MBK_PTX_PROFILE");
    if (path && *path) {
        ptx_profiling = 1;
        atexit(write_all);
    }
}
