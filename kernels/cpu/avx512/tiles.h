/*
 * tiles.h - the register tiles of vectors of 16 words, for simd/gemm.h: 14 rows over 2 panels where there are many,
 * wider ones for few. Who needs a register more defines its TILES anew.
 */
/* clang-format off */
#define TILES                                                                                                          \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1) X(9, 1) X(10, 1) X(11, 1) X(12, 1) X(13, 1)        \
    X(14, 1) X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2) X(9, 2) X(10, 2) X(11, 2) X(12, 2)        \
    X(13, 2) X(14, 2) X(1, 4) X(2, 4) X(3, 4) X(4, 4) X(5, 4) X(6, 4) X(1, 8) X(2, 8)
#define TILE_ROWS {14, 14, 6, 2}
#define TILE_FULL 14
#define TILE_AT_ONCE 1
#define LEANS                                                                                                          \
    LEAN_OF(1, 1) LEAN_OF(1, 2) LEAN_OF(1, 4) LEAN_OF(1, 8) LEAN_OF(2, 1) LEAN_OF(2, 2) LEAN_OF(2, 4)                  \
    LEAN_OF(3, 1) LEAN_OF(3, 2) LEAN_OF(3, 4) LEAN_OF(4, 1) LEAN_OF(4, 2) LEAN_OF(4, 4)
#define LEAN_TABLE                                                                                                     \
    {{lean_1x1, lean_1x2, lean_1x4, lean_1x8}, {lean_2x1, lean_2x2, lean_2x4},                                         \
     {lean_3x1, lean_3x2, lean_3x4}, {lean_4x1, lean_4x2, lean_4x4}}
/* clang-format on */
