/* Nearest words; see suggest.h. The distance is the optimal string alignment distance: insertions,
 * deletions, replacements and swaps of neighbours. Words are short; longer ones get no suggestion.
 */
#include "codec/suggest.h"

#include <stdio.h>

enum { MAX_LETTERS = 63 };

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(struct span a, struct span b)
{
    /* (i, j): of the first i letters of a to the first j of b; three rows are kept */
    size_t rows[3][MAX_LETTERS + 1];
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t replaced = above[j - 1] + (a.data[i - 1] != b.data[j - 1]);
            row[j] = min(replaced, min(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                row[j] = min(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

void suggest_consider(struct suggest *suggest, struct span candidate)
{
    if (suggest->word.size > MAX_LETTERS || candidate.size > MAX_LETTERS)
        return;
    size_t near = distance(suggest->word, candidate);
    size_t allowed = suggest->word.size / 3 > 2 ? suggest->word.size / 3 : 2;
    if (near > allowed || near >= candidate.size)
        return;
    if (!suggest->best.data || near < suggest->distance) {
        suggest->best = candidate;
        suggest->distance = near;
    }
}

const char *suggest_format(const struct suggest *suggest, char *text, size_t size)
{
    text[0] = '\0';
    if (suggest->best.data)
        snprintf(text, size, "; did you mean '%.*s'?", SPAN_ARGS(suggest->best));
    return text;
}

const char *suggest_field(const struct pb_message *table, struct span word, char *text, size_t size)
{
    struct suggest suggest = {.word = word};
    for (size_t i = 0; i < table->field_count; i++)
        suggest_consider(&suggest, table->fields[i].name);
    return suggest_format(&suggest, text, size);
}

const char *suggest_value(const struct pb_enum *enumeration, struct span word, char *text,
                          size_t size)
{
    struct suggest suggest = {.word = word};
    for (size_t i = 0; i < enumeration->value_count; i++)
        suggest_consider(&suggest, enumeration->values[i].name);
    return suggest_format(&suggest, text, size);
}
