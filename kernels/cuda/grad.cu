/*
 * grad.cu - gradients of the norms, the gate, a bias and the embedding: operations whose rows know nothing of each
 * other.
 *
 * What each kernel moves, for each number of a row (f32: 4 bytes), and computes:
 *  - sum of rows: reads dy (norms: dy and x; gated: dy, x and z), writes 1/128; 1 addition (norms 3 operations; gated
 *    one exponential more);
 *  - norm of a row: reads dy and x (and dx, where it accumulates), again from cache, writes dx; 8 operations;
 *  - gated norm: reads dy, x and z, again from cache, writes dx and dz; two exponentials, 25 operations. With dw once
 *    more without writing, since dx and dz may be what dw is made from;
 *  - gate: reads dy, x and z, writes dx and dz; one exponential;
 *  - embedding: reads dy once, and all ids once for each row of the table and strip of 256 columns.
 *
 * A warp takes a row (a group of a gated norm) and a lane every 32nd column; nothing waits but for the sum of a warp.
 */
#include "cuda/grad.cuh"

/* Rows of a partial sum of columns, and rows between two second stages: 1024 partial sums. */
#define SUM_ROWS 128
#define SUM_PART ((int64_t)1 << 17)
#define WARPS 8
#define BLOCK (WARPS * MBK_WARP)

/* --- second stage ------------------------------------------------------------------------------------------------- */
typedef struct mbk_partials {
    const float *from;
    mbk_rows to;
    int64_t n, apart, numbers, cols;
} mbk_partials;

/* 32 numbers a block; warp w adds the partial sums w, w + 8, ..., then the first warp the sums of the warps. */
__global__ void __launch_bounds__(BLOCK) mbk_partials_kernel(mbk_partials a) {
    MBK_SHARED(double, sums, BLOCK);
    const int lane = (int)threadIdx.x % MBK_WARP;
    const int warp = (int)threadIdx.x / MBK_WARP;
    const int64_t i = (int64_t)blockIdx.x * MBK_WARP + lane;
    double sum = 0.0;
    if (i < a.numbers) {
#pragma unroll 4
        for (int64_t p = warp; p < a.n; p += WARPS) {
            sum += (double)a.from[p * a.apart + i];
        }
    }
    sums[threadIdx.x] = sum;
    if (MBK_KEEP(partials_barrier)) {
        __syncthreads();
    }
    if (warp == 0 && i < a.numbers) {
        for (int w = 1; w < WARPS; w++) {
            sum += sums[w * MBK_WARP + lane];
        }
        float *to = a.to.p + i / a.cols * a.to.ld + i % a.cols;
        *to += (float)sum;
    }
}

mbk_cu_error mbk_add_partials(const mbk_cu_queue *q, mbk_cu_view dst, const float *partial, int64_t n, int64_t apart) {
    const int64_t numbers = dst.rows * dst.cols;
    if (numbers <= 0 || n <= 0) {
        return cudaSuccess;
    }
    mbk_partials a = {partial, mbk_rows_of(dst), n, apart, numbers, dst.cols};
    return MBK_LAUNCH(q, dim3((unsigned)mbk_parts(numbers, MBK_WARP)), dim3(BLOCK), 0, mbk_partials_kernel, a);
}

/* --- first stage: sums of columns --------------------------------------------------------------------------------- */
/* Where the rows [first, first + rows) of a call leave their partial sums: (sums, chunks, cols). */
typedef struct mbk_col_sums {
    float *partial;
    int64_t first, rows, cols, chunks;
} mbk_col_sums;

/* Of: SUMS numbers are added up for each column; add(sum, r, c) adds those of row r. A block takes 32 columns of one
 * chunk of rows, warp w its rows w, w + 8, ... */
template <class Of> __global__ void __launch_bounds__(BLOCK) mbk_col_sums_kernel(mbk_col_sums a, Of of) {
    MBK_SHARED(float, sums, Of::SUMS *BLOCK);
    const int lane = (int)threadIdx.x % MBK_WARP;
    const int warp = (int)threadIdx.x / MBK_WARP;
    const int64_t c = (int64_t)blockIdx.x * MBK_WARP + lane;
    const int64_t r0 = (int64_t)blockIdx.y * SUM_ROWS;
    const int live = a.rows - r0 < SUM_ROWS ? (int)(a.rows - r0) : SUM_ROWS;
    float sum[Of::SUMS] = {};
    if (c < a.cols) {
#pragma unroll 4
        for (int r = warp; r < live; r += WARPS) {
            of.add(sum, a.first + r0 + r, c);
        }
    }
#pragma unroll
    for (int k = 0; k < Of::SUMS; k++) {
        sums[k * BLOCK + (int)threadIdx.x] = sum[k];
    }
    if (MBK_KEEP(col_sums_barrier)) {
        __syncthreads();
    }
    if (warp < Of::SUMS && c < a.cols) {
        float all = 0.0f;
        for (int w = 0; w < WARPS; w++) {
            all += sums[(warp * WARPS + w) * MBK_WARP + lane];
        }
        a.partial[(warp * a.chunks + blockIdx.y) * a.cols + c] = all;
    }
}

struct mbk_bias_sums {
    static const int SUMS = 1;
    mbk_rows dy;
    __device__ void add(float *sum, int64_t r, int64_t c) const {
        sum[0] += dy.p[r * dy.ld + c];
    }
};

/* What is kept of a row, or of a group of it. */
typedef struct mbk_row_norm {
    float mean, scale;
} mbk_row_norm;

/* dw and db; `row` begins with row `first` of the call. */
struct mbk_norm_sums {
    static const int SUMS = 2;
    mbk_rows dy, x;
    const mbk_row_norm *row;
    int64_t first;
    __device__ void add(float *sum, int64_t r, int64_t c) const {
        const mbk_row_norm n = row[r - first];
        const float g = dy.p[r * dy.ld + c];
        sum[0] += g * ((x.p[r * x.ld + c] - n.mean) * n.scale);
        sum[1] += g;
    }
};

/* dw beside a gate. */
struct mbk_gated_sums {
    static const int SUMS = 1;
    mbk_rows dy, x, z;
    const mbk_row_norm *row;
    int64_t first, group, groups;
    __device__ void add(float *sum, int64_t r, int64_t c) const {
        const float scale = row[(r - first) * groups + c / group].scale;
        sum[0] += dy.p[r * dy.ld + c] * x.p[r * x.ld + c] * mbk_silu(z.p[r * z.ld + c]) * scale;
    }
};

/* The sums of the rows [first, first + rows) added to `to`; an absent `to` is left out. */
template <class Of>
static mbk_cu_error sum_columns(const mbk_cu_queue *q, const Of &of, float *partial, int64_t first, int64_t rows,
                                const mbk_cu_view *to) {
    mbk_col_sums a = {partial, first, rows, to[0].p ? to[0].cols : to[Of::SUMS - 1].cols, mbk_parts(rows, SUM_ROWS)};
    const dim3 grid((unsigned)mbk_parts(a.cols, MBK_WARP), (unsigned)a.chunks);
    mbk_cu_error e = MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_col_sums_kernel<Of>, a, of);
    for (int k = 0; k < Of::SUMS && !e; k++) {
        e = to[k].p ? mbk_add_partials(q, to[k], partial + k * a.chunks * a.cols, a.chunks, a.cols) : e;
    }
    return e;
}

/* Rows of a call that are summed before a second stage, with `groups` norms kept of each row. */
static int64_t part_rows(int64_t groups) {
    const int64_t rows = SUM_PART / groups / SUM_ROWS * SUM_ROWS;
    return rows > SUM_ROWS ? rows : SUM_ROWS;
}

/* Partial sums of two kinds, then the norms of the rows, or of as many groups as there could be. */
static size_t sums_bytes(int64_t rows, int64_t cols) {
    return (size_t)(2 * mbk_parts(mbk_least(rows, SUM_PART), SUM_ROWS) * cols) * sizeof(float);
}

size_t mbk_cu_row_grad_scratch(int64_t rows, int64_t cols) {
    int64_t norms = SUM_PART > SUM_ROWS * cols ? SUM_PART : SUM_ROWS * cols;
    norms = mbk_least(norms, rows * cols);
    return sums_bytes(rows, cols) + (size_t)norms * sizeof(mbk_row_norm);
}

mbk_cu_error mbk_cu_bias_grad(const mbk_cu_queue *q, mbk_cu_view db, mbk_cu_view dy) {
    mbk_bias_sums of = {mbk_rows_of(dy)};
    mbk_cu_error e = cudaSuccess;
    for (int64_t r = 0; r < dy.rows && dy.cols > 0 && !e; r += SUM_PART) {
        e = sum_columns(q, of, (float *)q->scratch, r, mbk_least(SUM_PART, dy.rows - r), &db);
    }
    return e;
}

/* --- norms -------------------------------------------------------------------------------------------------------- */
typedef struct mbk_norm_grad {
    mbk_rows dx, dy, x;
    const float *w;
    mbk_row_norm *row; /* of row `first` on */
    int64_t first, rows, cols;
    float eps;
    int accumulate;
} mbk_norm_grad;

/* A warp a row. */
template <bool CENTRED> __global__ void __launch_bounds__(BLOCK) mbk_norm_grad_kernel(mbk_norm_grad a) {
    const int lane = (int)threadIdx.x % MBK_WARP;
    const int64_t i = (int64_t)blockIdx.x * WARPS + (int)threadIdx.x / MBK_WARP;
    if (i >= a.rows) {
        return;
    }
    const float *x = a.x.p + (a.first + i) * a.x.ld;
    const float *dy = a.dy.p + (a.first + i) * a.dy.ld;
    float *dx = a.dx.p + (a.first + i) * a.dx.ld;
    const float count = (float)a.cols;
    float mean = 0.0f;
    float sum = 0.0f;
    if (CENTRED) {
        for (int64_t c = lane; c < a.cols; c += MBK_WARP) {
            mean += x[c];
            sum += dy[c] * a.w[c];
        }
        mean = mbk_warp_sum(mean) / count;
        sum = mbk_warp_sum(sum) / count;
    }
    float squares = 0.0f;
    float along = 0.0f;
    for (int64_t c = lane; c < a.cols; c += MBK_WARP) {
        const float v = x[c] - mean;
        squares += v * v;
        along += dy[c] * a.w[c] * v;
    }
    const float scale = 1.0f / sqrtf(mbk_warp_sum(squares) / count + a.eps);
    along = mbk_warp_sum(along) * scale / count;
    for (int64_t c = lane; c < a.cols; c += MBK_WARP) {
        const float v = (x[c] - mean) * scale;
        const float g = scale * (dy[c] * a.w[c] - sum - v * along);
        dx[c] = a.accumulate ? dx[c] + g : g;
    }
    if (lane == 0) {
        a.row[i].mean = mean;
        a.row[i].scale = scale;
    }
}

/* to: dw and db. */
static mbk_cu_error norm_grad(const mbk_cu_queue *q, mbk_norm_grad a, int64_t rows, int centred,
                              const mbk_cu_view *to) {
    float *partial = (float *)q->scratch;
    a.row = (mbk_row_norm *)(void *)((char *)q->scratch + sums_bytes(rows, a.cols));
    mbk_cu_error e = cudaSuccess;
    for (int64_t r = 0; r < rows && a.cols > 0 && !e; r += SUM_PART) {
        a.first = r;
        a.rows = mbk_least(SUM_PART, rows - r);
        const dim3 grid((unsigned)mbk_parts(a.rows, WARPS));
        e = centred ? MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_norm_grad_kernel<true>, a)
                    : MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_norm_grad_kernel<false>, a);
        const mbk_norm_sums of = {a.dy, a.x, a.row, r};
        e = e || (!to[0].p && !to[1].p) ? e : sum_columns(q, of, partial, r, a.rows, to);
    }
    return e;
}

mbk_cu_error mbk_cu_rmsnorm_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dw, mbk_cu_view dy, mbk_cu_view x,
                                 mbk_cu_view w, float eps, int accumulate) {
    mbk_norm_grad a = {mbk_rows_of(dx), mbk_rows_of(dy), mbk_rows_of(x), (const float *)w.p, NULL, 0, 0, x.cols, eps,
                       accumulate};
    const mbk_cu_view to[2] = {dw, mbk_cu_view()};
    return norm_grad(q, a, x.rows, 0, to);
}

mbk_cu_error mbk_cu_layernorm_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dw, mbk_cu_view db,
                                   mbk_cu_view dy, mbk_cu_view x, mbk_cu_view w, float eps, int accumulate) {
    mbk_norm_grad a = {mbk_rows_of(dx), mbk_rows_of(dy), mbk_rows_of(x), (const float *)w.p, NULL, 0, 0, x.cols, eps,
                       accumulate};
    const mbk_cu_view to[2] = {dw, db};
    return norm_grad(q, a, x.rows, 1, to);
}

/* --- the gate, and the norm beside it ----------------------------------------------------------------------------- */
typedef struct mbk_gate_grad {
    mbk_rows dx, dz, dy, x, z;
    int64_t rows, cols, strips;
} mbk_gate_grad;

#define GATE_COLS (4 * MBK_WARP)

/* A warp 128 columns of a row: everything of it is read before dx or dz, which may be dy or z, are written. */
__global__ void __launch_bounds__(BLOCK) mbk_gate_grad_kernel(mbk_gate_grad a) {
    const int64_t unit = (int64_t)blockIdx.x * WARPS + (int)threadIdx.x / MBK_WARP;
    const int64_t r = unit / a.strips;
    const int64_t c0 = unit % a.strips * GATE_COLS + (int)threadIdx.x % MBK_WARP;
    if (r >= a.rows) {
        return;
    }
    float g[4], x[4], z[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const int64_t c = c0 + k * MBK_WARP;
        const bool in = c < a.cols;
        g[k] = in ? a.dy.p[r * a.dy.ld + c] : 0.0f;
        x[k] = in ? a.x.p[r * a.x.ld + c] : 0.0f;
        z[k] = in ? a.z.p[r * a.z.ld + c] : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const int64_t c = c0 + k * MBK_WARP;
        if (c < a.cols) {
            const float share = mbk_sigmoid(z[k]);
            a.dx.p[r * a.dx.ld + c] = g[k] * (z[k] * share);
            a.dz.p[r * a.dz.ld + c] = g[k] * x[k] * share * (1.0f + z[k] * (1.0f - share));
        }
    }
}

mbk_cu_error mbk_cu_gate_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dz, mbk_cu_view dy, mbk_cu_view x,
                              mbk_cu_view z) {
    if (x.rows <= 0 || x.cols <= 0) {
        return cudaSuccess;
    }
    mbk_gate_grad a = {mbk_rows_of(dx), mbk_rows_of(dz), mbk_rows_of(dy), mbk_rows_of(x),
                       mbk_rows_of(z),  x.rows,          x.cols,          mbk_parts(x.cols, GATE_COLS)};
    const dim3 grid((unsigned)mbk_parts(a.rows * a.strips, WARPS));
    return MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_gate_grad_kernel, a);
}

typedef struct mbk_gated_grad {
    mbk_rows dx, dz, dy, x, z;
    const float *w;
    mbk_row_norm *row; /* NULL, or written for row `first` on, and then nothing else */
    int64_t first, rows, group, groups;
    float eps;
    int norm_first;
} mbk_gated_grad;

/* A warp a group of a row. A lane writes only numbers that no other lane reads, after it has read them. */
__global__ void __launch_bounds__(BLOCK, 4) mbk_gated_grad_kernel(mbk_gated_grad a) {
    const int lane = (int)threadIdx.x % MBK_WARP;
    const int64_t unit = (int64_t)blockIdx.x * WARPS + (int)threadIdx.x / MBK_WARP;
    if (unit >= a.rows * a.groups) {
        return;
    }
    const int64_t r = a.first + unit / a.groups;
    const int64_t c0 = unit % a.groups * a.group;
    const float *dy = a.dy.p + r * a.dy.ld + c0;
    const float *x = a.x.p + r * a.x.ld + c0;
    const float *z = a.z.p + r * a.z.ld + c0;
    const float *w = a.w + c0;
    float squares = 0.0f;
    float along = 0.0f;
    for (int64_t c = lane; c < a.group; c += MBK_WARP) {
        const float gate = mbk_silu(z[c]);
        const float v = a.norm_first ? x[c] : x[c] * gate;
        const float dn = a.norm_first ? dy[c] * w[c] * gate : dy[c] * w[c];
        squares += v * v;
        along += dn * v;
    }
    const float count = (float)a.group;
    const float scale = 1.0f / sqrtf(mbk_warp_sum(squares) / count + a.eps);
    along = mbk_warp_sum(along) * scale / count;
    if (a.row) {
        if (lane == 0) {
            a.row[unit].mean = 0.0f;
            a.row[unit].scale = scale;
        }
        return;
    }
    float *dx = a.dx.p + r * a.dx.ld + c0;
    float *dz = a.dz.p + r * a.dz.ld + c0;
    for (int64_t c = lane; c < a.group; c += MBK_WARP) {
        const float share = mbk_sigmoid(z[c]);
        const float gate = z[c] * share;
        const float slope = share * (1.0f + z[c] * (1.0f - share));
        const float xc = x[c];
        const float n = (a.norm_first ? xc : xc * gate) * scale;
        const float dn = a.norm_first ? dy[c] * w[c] * gate : dy[c] * w[c];
        const float dv = scale * (dn - n * along);
        const float dgate = a.norm_first ? dy[c] * n * w[c] : dv * xc;
        dx[c] = a.norm_first ? dv : dv * gate;
        dz[c] = dgate * slope;
    }
}

mbk_cu_error mbk_cu_rmsnorm_gated_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dz, mbk_cu_view dw,
                                       mbk_cu_view dy, mbk_cu_view x, mbk_cu_view z, mbk_cu_view w, float eps,
                                       int64_t group, int norm_first) {
    if (x.rows <= 0 || x.cols <= 0) {
        return cudaSuccess;
    }
    mbk_gated_grad a = {mbk_rows_of(dx),
                        mbk_rows_of(dz),
                        mbk_rows_of(dy),
                        mbk_rows_of(x),
                        mbk_rows_of(z),
                        (const float *)w.p,
                        NULL,
                        0,
                        0,
                        group,
                        x.cols / group,
                        eps,
                        norm_first};
    float *partial = (float *)q->scratch;
    mbk_row_norm *kept = (mbk_row_norm *)(void *)((char *)q->scratch + sums_bytes(x.rows, x.cols));
    const int64_t part = part_rows(a.groups);
    mbk_cu_error e = cudaSuccess;
    for (int64_t r = 0; r < x.rows && !e; r += part) {
        a.first = r;
        a.rows = mbk_least(part, x.rows - r);
        const dim3 grid((unsigned)mbk_parts(a.rows * a.groups, WARPS));
        if (dw.p) {
            a.row = kept;
            e = MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_gated_grad_kernel, a);
            const mbk_gated_sums of = {a.dy, a.x, a.z, kept, r, a.group, a.groups};
            e = e ? e : sum_columns(q, of, partial, r, a.rows, &dw);
            a.row = NULL;
        }
        e = e ? e : MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_gated_grad_kernel, a);
    }
    return e;
}

/* --- the embedding ------------------------------------------------------------------------------------------------ */
#define TABLE_STRIP 8 /* columns of a lane */
#define TABLE_COLS (TABLE_STRIP * MBK_WARP)
#define TABLE_LEAST 512 /* rows of a call for one partial sum */
#define TABLE_WARPS 16384

typedef struct mbk_table_grad {
    mbk_rows to; /* row v of part p is row p * table + v; add: to what is there */
    mbk_rows dy;
    const int32_t *ids;
    int64_t rows, cols, table, strips, parts, each;
    int add;
} mbk_table_grad;

/* A warp a strip of one row of the table in one part of the call: it looks for the row's number in 32 ids at a time and
 * adds what belongs to it in the order of the call. */
__global__ void __launch_bounds__(BLOCK) mbk_table_grad_kernel(mbk_table_grad a) {
    const int lane = (int)threadIdx.x % MBK_WARP;
    const int64_t unit = (int64_t)blockIdx.x * WARPS + (int)threadIdx.x / MBK_WARP;
    const int64_t row = unit / a.strips; /* of the parts' tables */
    if (row >= a.parts * a.table) {
        return;
    }
    const int64_t c0 = unit % a.strips * TABLE_COLS + lane;
    const int64_t r0 = row / a.table * a.each;
    const int64_t r1 = r0 + a.each < a.rows ? r0 + a.each : a.rows;
    const int32_t id = (int32_t)(row % a.table);
    float *to = a.to.p + row * a.to.ld;
    float sum[TABLE_STRIP];
#pragma unroll
    for (int k = 0; k < TABLE_STRIP; k++) {
        sum[k] = a.add && c0 + k * MBK_WARP < a.cols ? to[c0 + k * MBK_WARP] : 0.0f;
    }
    for (int64_t r = r0; r < r1; r += MBK_WARP) {
        const int32_t mine = r + lane < r1 ? a.ids[r + lane] : -1;
        unsigned hits = __ballot_sync(MBK_FULL, mine == id);
        while (hits) {
            const float *dy = a.dy.p + (r + __ffs((int)hits) - 1) * a.dy.ld;
            hits &= hits - 1;
#pragma unroll
            for (int k = 0; k < TABLE_STRIP; k++) {
                sum[k] += c0 + k * MBK_WARP < a.cols ? dy[c0 + k * MBK_WARP] : 0.0f;
            }
        }
    }
#pragma unroll
    for (int k = 0; k < TABLE_STRIP; k++) {
        if (c0 + k * MBK_WARP < a.cols) {
            to[c0 + k * MBK_WARP] = sum[k];
        }
    }
}

/* Parts of a call whose partial sums are kept apart: few for a large table, which has enough to do side by side. */
static int64_t table_parts(int64_t rows, int64_t table, int64_t cols) {
    const int64_t most = TABLE_WARPS / (table * mbk_parts(cols, TABLE_COLS));
    const int64_t parts = mbk_least(most, mbk_parts(rows, TABLE_LEAST));
    return parts > 1 ? parts : 1;
}

size_t mbk_cu_embed_grad_scratch(int64_t rows, int64_t table, int64_t cols) {
    if (rows <= 0 || table <= 0 || cols <= 0) {
        return 0;
    }
    const int64_t parts = table_parts(rows, table, cols);
    return parts > 1 ? (size_t)(parts * table * cols) * sizeof(float) : 0;
}

mbk_cu_error mbk_cu_embed_grad(const mbk_cu_queue *q, mbk_cu_view dtable, mbk_cu_view dy, const int32_t *ids) {
    if (dy.rows <= 0 || dy.cols <= 0 || dtable.rows <= 0) {
        return cudaSuccess;
    }
    const int64_t parts = table_parts(dy.rows, dtable.rows, dy.cols);
    mbk_table_grad a = {mbk_rows_of(dtable),
                        mbk_rows_of(dy),
                        ids,
                        dy.rows,
                        dy.cols,
                        dtable.rows,
                        mbk_parts(dy.cols, TABLE_COLS),
                        parts,
                        mbk_parts(mbk_parts(dy.rows, parts), MBK_WARP) * MBK_WARP,
                        1};
    if (parts > 1) {
        a.to.p = (float *)q->scratch;
        a.to.ld = dy.cols;
        a.add = 0;
    }
    const dim3 grid((unsigned)mbk_parts(parts * dtable.rows * a.strips, WARPS));
    mbk_cu_error e = MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_table_grad_kernel, a);
    return e || parts == 1 ? e : mbk_add_partials(q, dtable, a.to.p, parts, dtable.rows * dy.cols);
}
