/* Tables for a terminal: what lists print. */
#ifndef TENSORD_CMD_TABLE_H
#define TENSORD_CMD_TABLE_H

#include "base/span.h"

/* Prints the titles and, below, rows of that many cells, row by row. Columns are as wide as their
 * widest cell; those that are empty everywhere are left out. Cells may be others' text: control
 * characters do not reach the terminal. */
void table_print(const char *const *titles, size_t columns, const struct span *cells, size_t rows);

#endif
