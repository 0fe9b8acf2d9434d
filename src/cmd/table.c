/* Tables; see table.h. */
#include "cmd/table.h"

#include <stdio.h>

enum { MAX_COLUMNS = 16 };

/* Pads to width; 0: not, at the end of a line. */
static void print_cell(struct span cell, size_t width)
{
    for (size_t i = 0; i < cell.size; i++) {
        unsigned char c = (unsigned char)cell.data[i];
        putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
    if (width)
        printf("%*s", (int)(width - cell.size) + 2, "");
}

/* 0 for a column without text. */
static size_t width_of(const char *title, const struct span *cells, size_t columns, size_t rows)
{
    size_t width = 0;
    for (size_t row = 0; row < rows; row++)
        width = cells[row * columns].size > width ? cells[row * columns].size : width;
    return width && width < strlen(title) ? strlen(title) : width;
}

void table_print(const char *const *titles, size_t columns, const struct span *cells, size_t rows)
{
    size_t widths[MAX_COLUMNS] = {0}, last = 0;
    columns = columns < MAX_COLUMNS ? columns : MAX_COLUMNS;
    for (size_t column = 0; column < columns; column++) {
        widths[column] = width_of(titles[column], cells + column, columns, rows);
        last = widths[column] ? column : last;
    }
    for (size_t column = 0; column < columns; column++) {
        if (widths[column])
            print_cell(span_of(titles[column]), column == last ? 0 : widths[column]);
    }
    putchar('\n');
    for (size_t i = 0; i < rows * columns; i++) {
        size_t column = i % columns;
        if (widths[column])
            print_cell(cells[i], column == last ? 0 : widths[column]);
        if (column == columns - 1)
            putchar('\n');
    }
}
