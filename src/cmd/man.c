/* The manual page tensord.1, from the tables; roff's man macros (man(7)). */
#include "cmd/compat.h"
#include "cmd/document.h"

#include <inttypes.h>
#include <stdio.h>

/* Prints text that roff takes as it stands: hyphens of options stay hyphens, and no line begins
 * with a request. */
static void print_text(const char *text)
{
    if (text[0] == '.' || text[0] == '\'')
        fputs("\\&", stdout);
    for (const char *c = text; *c; c++) {
        if (*c == '\\')
            fputs("\\e", stdout);
        else if (*c == '-')
            fputs("\\-", stdout);
        else
            putchar(*c);
    }
}

static void print_line(const char *text)
{
    print_text(text);
    putchar('\n');
}

static void print_heading(const char *macro, const char *text)
{
    printf(".%s \"", macro);
    print_text(text);
    puts("\"");
}

/* A tagged paragraph: the flag in bold, what its value is in italics. */
static void print_tag(const char *flag, const char *what)
{
    fputs(".TP\n\\fB", stdout);
    print_text(flag);
    fputs("\\fR", stdout);
    if (what && what[0]) {
        fputs(" \\fI", stdout);
        print_text(what);
        fputs("\\fR", stdout);
    }
    putchar('\n');
}

static void print_own_options(const struct command *command)
{
    char flag[SETTING_NAME_BYTES];
    for (const struct command_option *option = command->options; option && option->name; option++) {
        snprintf(flag, sizeof flag, "--%s", option->name);
        print_tag(flag, option->what);
        print_text(option->help);
        puts(".");
    }
    for (const struct compat_row *row = command->compat; row && row->name; row++) {
        char text[200];
        print_tag(row->name, NULL);
        print_text(compat_describe(row, text, sizeof text));
        puts(".");
    }
}

static void print_commands(void)
{
    puts(".SH COMMANDS");
    for (const struct command *command = commands; command->name; command++) {
        char title[128];
        if (!command->arguments)
            continue;
        snprintf(title, sizeof title, "tensord %s %s", command->name, command->arguments);
        print_heading("SS", title);
        print_text(command->summary);
        puts(".");
        if (command->about) {
            puts(".PP");
            print_line(command->about);
        }
        print_own_options(command);
        if (command->settings)
            puts(".PP\nIts options are those of OPTIONS, below.");
    }
}

static void print_setting(const struct setting *row)
{
    char name[SETTING_NAME_BYTES];
    print_tag(setting_flag(row, name), row->type == SETTING_NUMBER   ? "N"
                                       : row->type == SETTING_SWITCH ? "true|false"
                                                                     : row->what);
    print_text(row->help);
    puts(".");
    if (row->type == SETTING_NUMBER)
        printf("From %" PRId64 " to %" PRId64 "%s%s.\n", row->lowest, row->highest,
               row->what[0] ? " " : "", row->what);
    if (row->type == SETTING_LIST)
        puts("May be given several times.");
    setting_default(row, name);
    if (name[0]) {
        fputs("Default: ", stdout);
        print_text(name);
        puts(".");
    }
    if (row->change == RELOAD)
        puts("A reload changes it.");
}

static void print_settings(void)
{
    puts(".SH OPTIONS\n"
         "Each is a setting. It may stand in the config file as \\fIgrpc_port\\fR: 9000, in the "
         "environment as\nTENSORD_GRPC_PORT=9000, or among the options as \\-\\-grpc\\-port 9000; "
         "the later of these wins.\n\\fBtensord config\\fR tells what each one is, and why.");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION)
            print_heading("SS", setting_rows[i].help);
        else
            print_setting(&setting_rows[i]);
    }
}

void man_print(void)
{
    puts(".\\\" Written by \"tensord help \\-\\-man\".\n"
         ".TH TENSORD 1 \"\" \"tensord " TENSORD_VERSION "\" \"User Commands\"\n"
         ".SH NAME\n"
         "tensord \\- serve machine\\-learning models over HTTP and gRPC\n"
         ".SH SYNOPSIS\n"
         ".B tensord\n"
         ".I COMMAND\n"
         "[\\fIARGUMENT\\fR]...\n"
         ".SH DESCRIPTION\n"
         "Serves the models of a folder with the Open Inference Protocol, each in a sandboxed\n"
         "process of its own.");
    print_commands();
    print_settings();
    puts(
        ".SH SIGNALS\n"
        ".TP\n\\fBSIGTERM\\fR, \\fBSIGINT\\fR\n"
        "End in good order; the second one ends at once.\n"
        ".TP\n\\fBSIGHUP\\fR\n"
        "Read the config file, the tokens and the certificate again, and look for changed models.\n"
        ".TP\n\\fBSIGUSR2\\fR\n"
        "Continue with the program as it lies on the disk now, without a failed request.\n"
        ".SH FILES\n"
        ".TP\n\\fI$XDG_STATE_HOME/tensord\\fR, \\fI~/.local/state/tensord\\fR\n"
        "The state folder. As a service of systemd, \\fI/var/lib/tensord\\fR.\n"
        ".SH EXIT STATUS\n"
        "0 after a good end, 1 when something went wrong, 2 when the command was given wrongly,\n"
        "128 and the signal's number when a signal ended the server.");
}
