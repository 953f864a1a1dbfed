/*
 * cells.h - one line of a table, as TSV or as a JSON object, cell by cell.
 */
#ifndef MBS_TABLE_CELLS_H
#define MBS_TABLE_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "io/rowfile/text.h"

typedef struct mbs_cells {
    mbs_text line;
    int json;
    int n; /* cells in the line so far */
} mbs_cells;

void mbs_cells_begin(mbs_cells *c);
/* `text` NULL: not known ("." in TSV, null in JSON). */
void mbs_cells_text(mbs_cells *c, const char *key, const char *text, size_t n);
void mbs_cells_int(mbs_cells *c, const char *key, int64_t v);
void mbs_cells_f32(mbs_cells *c, const char *key, float v);    /* as many digits as it takes to read it back */
void mbs_cells_fixed(mbs_cells *c, const char *key, double v); /* six decimals */
/* Values of one row, `dtype` as in block.h: cells of their own in TSV, an array in JSON. */
void mbs_cells_values(mbs_cells *c, const char *key, int32_t dtype, const void *data, int64_t n);
/* The line is then complete in c->line, line end included. */
void mbs_cells_end(mbs_cells *c);

#endif
