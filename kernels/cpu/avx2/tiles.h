/*
 * tiles.h - the register tiles of vectors of 8 words, for simd/gemm.h: 6 rows over a panel where there are many, wider
 * ones for few. Who needs a register more defines its TILES anew. A tile takes four words at once: where two threads
 * share a core each has half of its places for instructions, and what is no product costs as much as one.
 */
/* clang-format off */
#define TILES X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(1, 2) X(2, 2) X(1, 4)
#define TILE_ROWS {6, 2, 1, 0}
#define TILE_FULL 6
#define WIDE_PANELS 1
#define TILE_AT_ONCE 4
#define LEANS LEAN_OF(1, 1) LEAN_OF(1, 2) LEAN_OF(1, 4) LEAN_OF(2, 1) LEAN_OF(2, 2) LEAN_OF(3, 1) LEAN_OF(4, 1)
#define LEAN_TABLE                                                                                                     \
    {{lean_1x1, lean_1x2, lean_1x4}, {lean_2x1, lean_2x2}, {lean_3x1}, {lean_4x1}}
/* clang-format on */
