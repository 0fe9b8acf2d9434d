/* The table as help text: a column of flags, a column of sentences, wrapped. */
#include "settings/row.h"

#include "base/span.h"

#include <inttypes.h>

enum { WIDTH = 96, INDENT = 30, SENTENCE_BYTES = 512 };

/* Writes the sentence with its default. */
static void describe(const struct setting *row, char text[SENTENCE_BYTES])
{
    if (row->type == SETTING_NUMBER)
        snprintf(text, SENTENCE_BYTES, "%s [%" PRId64 "%s%s]", row->help, row->number_default,
                 row->what[0] ? " " : "", row->what);
    else if (row->type == SETTING_SWITCH)
        snprintf(text, SENTENCE_BYTES, "%s [%s]", row->help,
                 row->number_default ? "true" : "false");
    else if (row->text_default[0])
        snprintf(text, SENTENCE_BYTES, "%s [%s]", row->help, row->text_default);
    else
        snprintf(text, SENTENCE_BYTES, "%s", row->help);
}

/* Prints the text from column INDENT on, breaking lines between words. */
static void print_wrapped(FILE *to, struct span text)
{
    size_t column = INDENT;
    while (text.data) {
        struct span word = span_split(&text, ' ');
        if (column > INDENT && column + 1 + word.size > WIDTH) {
            fprintf(to, "\n%*s", INDENT, "");
            column = INDENT;
        }
        column += (size_t)fprintf(to, "%s%.*s", column > INDENT ? " " : "", SPAN_ARGS(word));
    }
    fputc('\n', to);
}

static void print_row(FILE *to, const struct setting *row)
{
    char flag[SETTING_NAME_BYTES], sentence[SENTENCE_BYTES];
    int left = fprintf(to, "  %s", setting_flag(row, flag));
    if (row->type != SETTING_SWITCH)
        left += fprintf(to, " %s", row->type == SETTING_NUMBER ? "N" : row->what);
    if (left + 1 > INDENT) {
        fputc('\n', to);
        left = 0;
    }
    fprintf(to, "%*s", INDENT - left, "");
    describe(row, sentence);
    print_wrapped(to, span_of(sentence));
}

void settings_help(FILE *to)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION)
            fprintf(to, "\n%s:\n", setting_rows[i].help);
        else
            print_row(to, &setting_rows[i]);
    }
}
