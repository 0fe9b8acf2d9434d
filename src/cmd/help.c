/* `tensord help`: what the program can do, from the tables of commands and of settings. */
#include "base/span.h"
#include "cmd/commands.h"
#include "cmd/compat.h"
#include "cmd/document.h"
#include "settings/row.h"

#include <stdio.h>

enum { WIDTH = 96, INDENT = 30, SENTENCE_BYTES = 512 };

const struct command_option help_options[] = {
    {"man", NULL, "Write the manual page, for man -l -"},
    {"markdown", NULL, "Write the page about settings and limits"},
    {.name = NULL},
};

static const char introduction[] =
    "tensord serves machine-learning models over HTTP and gRPC.\n\n"
    "Try it:\n"
    "  tensord serve model.onnx    serve one model; its name is the file's, here \"model\"\n"
    "  tensord serve models/       serve every model in a folder, and those dropped into it later\n"
    "  tensord ls                  what is served, and why something is not\n"
    "  curl localhost:8000/v2/models/model\n"
    "                              its inputs and outputs\n\n"
    "Commands:\n";

/* Columns that UTF-8 text takes on a terminal; ours has no wide characters. */
static size_t columns(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

/* Prints the text from this column on, which the line has reached, breaking between words. */
static void print_wrapped(const char *text, size_t indent)
{
    size_t column = indent;
    struct span rest = span_of(text);
    while (rest.data) {
        struct span word = span_split(&rest, ' ');
        if (column > indent && column + 1 + columns(word) > WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        }
        printf("%s%.*s", column > indent ? " " : "", SPAN_ARGS(word));
        column += columns(word) + (column > indent);
    }
    putchar('\n');
}

/* Prints "  LEFT WHAT      text", or the text on a line of its own when the left side is long. */
static void print_columns(const char *left, const char *what, const char *text)
{
    size_t width = 2 + columns(span_of(left)) + (what[0] ? 1 + columns(span_of(what)) : 0);
    printf("  %s%s%s", left, what[0] ? " " : "", what);
    if (width + 1 > INDENT)
        printf("\n%*s", INDENT, "");
    else
        printf("%*s", INDENT - (int)width, "");
    print_wrapped(text, INDENT);
}

static void print_setting(const struct setting *row)
{
    char flag[SETTING_NAME_BYTES], value[SETTING_NAME_BYTES], text[SENTENCE_BYTES];
    const char *what = row->type == SETTING_NUMBER   ? "N"
                       : row->type == SETTING_SWITCH ? ""
                                                     : row->what;
    setting_default(row, value);
    snprintf(text, sizeof text, "%s%s%s%s", row->help, value[0] ? " [" : "", value,
             value[0] ? "]" : "");
    print_columns(setting_flag(row, flag), what, text);
}

static void print_settings(void)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION)
            printf("\n%s:\n", setting_rows[i].help);
        else
            print_setting(&setting_rows[i]);
    }
}

static void print_options(const struct command_option *options)
{
    char flag[SETTING_NAME_BYTES];
    puts("\nOptions:");
    for (const struct command_option *option = options; option->name; option++) {
        snprintf(flag, sizeof flag, "--%s", option->name);
        print_columns(flag, option->what ? option->what : "", option->help);
    }
}

static void print_compat(const struct compat_row *rows)
{
    char text[SENTENCE_BYTES];
    puts("\nWhat becomes of them:");
    for (const struct compat_row *row = rows; row->name; row++)
        print_columns(row->name, "", compat_describe(row, text, sizeof text));
}

void help_command(const struct command *command)
{
    printf("tensord %s %s\n\n", command->name, command->arguments ? command->arguments : "");
    if (command->summary)
        print_wrapped(command->summary, 0);
    if (command->about) {
        putchar('\n');
        print_wrapped(command->about, 0);
    }
    if (command->options)
        print_options(command->options);
    if (command->compat)
        print_compat(command->compat);
    if (command->settings) {
        puts("\nOptions, each of which may also stand in the environment: --grpc-port is "
             "TENSORD_GRPC_PORT.");
        print_settings();
    }
}

static void help_all(void)
{
    fputs(introduction, stdout);
    for (const struct command *command = commands; command->name; command++) {
        if (command->arguments)
            print_columns(command->name, command->arguments, command->summary);
    }
    puts("\nOptions of serve; each may also stand in the environment: --grpc-port is "
         "TENSORD_GRPC_PORT.");
    print_settings();
}

int help_run(int count, char **arguments)
{
    struct command_line line;
    struct error error;
    if (!command_line_read(help_options, 1, count, arguments, &line, &error))
        return command_complain("help", error.message);
    if (line.values[0] || line.values[1]) {
        line.values[0] ? man_print() : markdown_print();
        return 0;
    }
    if (line.operand_count == 0) {
        help_all();
        return 0;
    }
    const struct command *command = command_find(line.operands[0], &error);
    if (!command)
        return command_complain("help", error.message);
    help_command(command);
    return 0;
}
