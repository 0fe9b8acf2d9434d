/* Taking the arguments of a command apart; see commands.h. */
#include "base/span.h"
#include "cmd/commands.h"
#include "codec/suggest.h"

#include <stdio.h>

int command_complain(const char *name, const char *sentence)
{
    fprintf(stderr, "tensord %s: ", name);
    for (const char *c = sentence; *c; c++)
        fputc((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c, stderr);
    fputc('\n', stderr);
    return 2;
}

static bool unknown_option(const struct command_option *options, struct span name,
                           struct error *ret_error)
{
    struct suggest suggest = {.word = name};
    for (const struct command_option *option = options; option && option->name; option++)
        suggest_consider(&suggest, span_of(option->name));
    name = suggest_cut(name);
    if (!suggest.best.data)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "unknown option '--%.*s'; see --help",
                         SPAN_ARGS(name));
    return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "unknown option '--%.*s'; did you mean '--%.*s'?", SPAN_ARGS(name),
                     SPAN_ARGS(suggest.best));
}

static bool is_choice(const char *choices, struct span value)
{
    struct span rest = span_of(choices);
    while (rest.data) {
        if (span_equal(span_split(&rest, '|'), value))
            return true;
    }
    return false;
}

/* Reads the option at arguments[*at], and moves *at to its value when that is an argument of its
 * own. */
static bool read_option(const struct command_option *options, int count, char *const *arguments,
                        int *at, struct command_line *line, struct error *ret_error)
{
    struct span value = span_of(arguments[*at] + 2), name = span_split(&value, '=');
    size_t i = 0;
    while (options && options[i].name && !span_equal(span_of(options[i].name), name))
        i++;
    if (!options || !options[i].name)
        return unknown_option(options, name, ret_error);
    if (!options[i].what) {
        line->values[i] = "";
        return !value.data ||
               error_set(ret_error, ERROR_INVALID_ARGUMENT, "--%s takes no value", options[i].name);
    }
    if (!value.data && *at + 1 == count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "--%s wants a value: %s",
                         options[i].name, options[i].what);
    line->values[i] = value.data ? value.data : arguments[++*at];
    if (strchr(options[i].what, '|') && !is_choice(options[i].what, span_of(line->values[i])))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "--%s wants one of %s, not '%.64s'",
                         options[i].name, options[i].what, line->values[i]);
    return true;
}

bool command_line_read(const struct command_option *options, size_t operands, int count,
                       char *const *arguments, struct command_line *ret_line,
                       struct error *ret_error)
{
    struct command_line line = {0};
    bool only_operands = false;
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        if (!only_operands && strcmp(argument, "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argument[0] == '-' && argument[1] == '-') {
            if (!read_option(options, count, arguments, &i, &line, ret_error))
                return false;
        } else if (line.operand_count == operands) {
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'%.64s' is one argument too many; see --help", argument);
        } else {
            line.operands[line.operand_count++] = argument;
        }
    }
    *ret_line = line;
    return true;
}
