/* `tensord completion SHELL`: a script that teaches a shell the commands and options, from the
 * tables.
 *
 * Quoting: commands, flags and choices are words without blanks or quotes. Sentences go into single
 * quotes, each shell's own way. */
#include "cmd/document.h"

#include <assert.h>
#include <stdio.h>

static void print_words(const char *choices)
{
    assert(choices);
    for (const char *c = choices; *c; c++)
        putchar(*c == '|' ? ' ' : *c);
}

static void print_command_names(void)
{
    for (const struct command *command = commands; command->name; command++) {
        if (command->arguments)
            printf("%s ", command->name);
    }
}

/* Prints the sentence with a backslash before each of the characters, and single quotes as the
 * shell wants them inside single quotes. */
static void print_quoted(const char *text, const char *escaped, const char *quote)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            fputs(quote, stdout);
            continue;
        }
        if (strchr(escaped, *c))
            putchar('\\');
        putchar(*c);
    }
}

/* ---- bash ---- */

static void bash_value(const struct option_view *option)
{
    enum completion_kind kind = completion_kind_of(option->what);
    if (!option->what || kind == COMPLETION_FILES) /* files are what bash does by itself */
        return;
    printf("    %s) ", option->flag);
    if (kind == COMPLETION_WORDS) {
        fputs("words='", stdout);
        print_words(option->what);
        fputs("' ;;\n", stdout);
    } else if (kind == COMPLETION_FOLDERS) {
        puts("mapfile -t COMPREPLY < <(compgen -d -- \"$word\"); return ;;");
    } else {
        puts("compopt +o default; return ;;");
    }
}

/* After an option of this command, its values. */
static void bash_command(const struct command *command)
{
    struct option_view option;
    enum completion_kind kind = completion_kind_of(command->operand);
    printf("  %s)\n    case $before in\n", command->name);
    for (size_t position = 0; option_next(command, &position, &option);)
        bash_value(&option);
    fputs("    *) options='", stdout);
    for (size_t position = 0; option_next(command, &position, &option);)
        printf("%s ", option.flag);
    fputs("--help'; words='", stdout);
    if (kind == COMPLETION_COMMANDS)
        print_command_names();
    else if (kind == COMPLETION_WORDS)
        print_words(command->operand);
    puts("' ;;\n    esac ;;");
}

static void print_bash(void)
{
    puts("# bash completion for tensord\n"
         "_tensord()\n"
         "{\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local options='' words=''\n"
         "  COMPREPLY=()\n"
         "  if [ \"$before\" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
         "  if [ \"$word\" = = ]; then before=${COMP_WORDS[COMP_CWORD-1]} word=''; fi\n"
         "  case ${COMP_WORDS[1]} in");
    for (const struct command *command = commands; command->name; command++) {
        if (command->arguments)
            bash_command(command);
    }
    fputs("  esac\n"
          "  if [ \"$COMP_CWORD\" -eq 1 ]; then options='--help --version' words='",
          stdout);
    print_command_names();
    puts("'; fi\n"
         "  case $word in\n"
         "  -*) words=$options ;;\n"
         "  esac\n"
         "  if [ -n \"$words\" ]; then mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
         "\"$word\"); fi\n"
         "}\n"
         "complete -o default -F _tensord tensord");
}

/* ---- zsh ---- */

static void zsh_action(const char *what)
{
    switch (completion_kind_of(what)) {
    case COMPLETION_FILES:
        fputs("_files", stdout);
        break;
    case COMPLETION_FOLDERS:
        fputs("_files -/", stdout);
        break;
    case COMPLETION_COMMANDS:
        fputs("(", stdout);
        print_command_names();
        fputs(")", stdout);
        break;
    case COMPLETION_WORDS:
        fputs("(", stdout);
        print_words(what);
        fputs(")", stdout);
        break;
    case COMPLETION_NONE:
        fputs(" ", stdout);
        break;
    }
}

static void zsh_command(const struct command *command)
{
    struct option_view option;
    printf("    %s)\n      _arguments '--help[Show help]'", command->name);
    for (size_t position = 0; option_next(command, &position, &option);) {
        printf(" \\\n        '%s%s%s[", option.several ? "*" : "", option.flag,
               option.what ? "=" : "");
        print_quoted(option.help, "[]:\\", "'\\''");
        putchar(']');
        if (option.what) {
            fputs(":value:", stdout);
            zsh_action(option.what);
        }
        putchar('\'');
    }
    if (command->operand) {
        fputs(" \\\n        '1:argument:", stdout);
        zsh_action(command->operand);
        putchar('\'');
    }
    puts(" ;;");
}

static void print_zsh(void)
{
    puts("#compdef tensord\n"
         "_tensord()\n"
         "{\n"
         "  local curcontext=$curcontext state line\n"
         "  local -a names\n"
         "  names=(");
    for (const struct command *command = commands; command->name; command++) {
        if (!command->arguments)
            continue;
        printf("    '%s:", command->name);
        print_quoted(command->summary, ":\\", "'\\''");
        puts("'");
    }
    puts("  )\n"
         "  _arguments -C '(-)--help[Show help]' '(-)--version[Show the version]' \\\n"
         "    '1:command:->command' '*::argument:->argument'\n"
         "  case $state in\n"
         "  command) _describe command names ;;\n"
         "  argument)\n"
         "    case $words[1] in");
    for (const struct command *command = commands; command->name; command++) {
        if (command->arguments)
            zsh_command(command);
    }
    puts("    esac ;;\n"
         "  esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _tensord ]; then _tensord \"$@\"; else compdef _tensord "
         "tensord; fi");
}

/* ---- fish ---- */

static void fish_action(const char *what)
{
    switch (completion_kind_of(what)) {
    case COMPLETION_FILES:
        fputs(" -F", stdout);
        break;
    case COMPLETION_FOLDERS:
        fputs(" -a '(__fish_complete_directories)'", stdout);
        break;
    case COMPLETION_COMMANDS:
        fputs(" -a '", stdout);
        print_command_names();
        fputs("'", stdout);
        break;
    case COMPLETION_WORDS:
        fputs(" -a '", stdout);
        print_words(what);
        fputs("'", stdout);
        break;
    case COMPLETION_NONE:
        break;
    }
}

static void fish_command(const struct command *command)
{
    struct option_view option;
    fputs("complete -c tensord -n __fish_use_subcommand", stdout);
    printf(" -a %s -d '", command->name);
    print_quoted(command->summary, "\\", "\\'");
    puts("'");
    for (size_t position = 0; option_next(command, &position, &option);) {
        printf("complete -c tensord -n '__fish_seen_subcommand_from %s' -l %s", command->name,
               option.flag + 2);
        if (option.what) /* -r: a value; -x: one that is no file */
            fputs(completion_kind_of(option.what) == COMPLETION_FILES ? " -r" : " -x", stdout);
        fish_action(option.what);
        fputs(" -d '", stdout);
        print_quoted(option.help, "\\", "\\'");
        puts("'");
    }
    if (command->operand) {
        printf("complete -c tensord -n '__fish_seen_subcommand_from %s'", command->name);
        fish_action(command->operand);
        putchar('\n');
    }
}

static void print_fish(void)
{
    puts("# fish completion for tensord\n"
         "complete -c tensord -f\n"
         "complete -c tensord -l help -d 'Show help'");
    for (const struct command *command = commands; command->name; command++) {
        if (command->arguments)
            fish_command(command);
    }
}

int completion_run(int count, char **arguments)
{
    struct command_line line;
    struct error error;
    if (!command_line_read(NULL, 1, count, arguments, &line, &error))
        return command_complain("completion", error.message);
    const char *shell = line.operand_count ? line.operands[0] : "";
    if (strcmp(shell, "bash") == 0)
        print_bash();
    else if (strcmp(shell, "zsh") == 0)
        print_zsh();
    else if (strcmp(shell, "fish") == 0)
        print_fish();
    else
        return command_complain("completion", "which shell? One of bash, zsh, fish");
    return 0;
}
