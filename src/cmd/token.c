/* `tensord token create|ls|revoke`: changes the token file of the state folder, which a running
 * server takes in at once. */
#include "auth/date.h"
#include "auth/scope.h"
#include "auth/token_store.h"
#include "auth/token_text.h"
#include "cmd/commands.h"
#include "cmd/state_dir.h"
#include "cmd/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    OPTION_NAME,
    OPTION_SCOPE,
    OPTION_MODEL,
    OPTION_EXPIRES,
    OPTION_RATE,
    OPTION_BURST,
    OPTION_CONCURRENCY,
    OPTION_WEIGHT,
    OPTION_STATE_DIR,
};

const struct command_option token_options[] = {
    [OPTION_NAME] = {"name", "NAME", "create: whose it is, for lists and logs"},
    [OPTION_SCOPE] =
        {"scope", "SCOPES",
         "create: what it may do, of read, infer, deploy, code and admin, separated by "
         "commas [infer]"},
    [OPTION_MODEL] = {"model", "NAMES",
                      "create: the models it may use and see, names or patterns such as bert*, "
                      "separated by commas [*]"},
    [OPTION_EXPIRES] = {"expires", "WHEN",
                        "create: when it ends: 12h, 30d, 8w or 2030-01-31 [never]"},
    [OPTION_RATE] = {"rate", "N/s", "create: requests per second, or as N/m or N/h [no limit]"},
    [OPTION_BURST] = {"burst", "N", "create: requests that may come at once [what --rate allows]"},
    [OPTION_CONCURRENCY] = {"concurrency", "N", "create: requests that run at once [no limit]"},
    [OPTION_WEIGHT] = {"weight", "N",
                       "create: its share of a model that others wait for, too, beside theirs [1]"},
    [OPTION_STATE_DIR] = {"state-dir", "FOLDER", "The server's state folder"},
    {.name = NULL},
};

/* The state folder, made when it is missing. */
static bool find_folder(const struct command_line *line, char folder[PATH_MAX],
                        struct error *ret_error)
{
    struct settings settings;
    const char *operand;
    if (!settings_read(&settings, 0, NULL, &operand, ret_error))
        return false;
    if (line->values[OPTION_STATE_DIR])
        settings.state_dir = line->values[OPTION_STATE_DIR];
    bool good = state_dir_open(&settings, folder, ret_error);
    settings_fini(&settings);
    return good;
}

/* ---- create ---- */

/* Options that are kept as they are given, and the keys they have in the token file. */
static const struct {
    int option;
    const char *key;
} plain_options[] = {
    {OPTION_NAME, "name"},
    {OPTION_MODEL, "models"},
    {OPTION_RATE, "rate"},
    {OPTION_BURST, "burst"},
    {OPTION_CONCURRENCY, "concurrency"},
    {OPTION_WEIGHT, "weight"},
};

static bool read_record(const struct command_line *line, struct token_record *record,
                        struct error *ret_error)
{
    const char *scope = line->values[OPTION_SCOPE], *expires = line->values[OPTION_EXPIRES];
    token_record_init(record);
    for (size_t i = 0; i < sizeof plain_options / sizeof *plain_options; i++) {
        const char *value = line->values[plain_options[i].option];
        if (value &&
            !token_record_set(record, span_of(plain_options[i].key), span_of(value), ret_error))
            return false;
    }
    if (line->values[OPTION_BURST] && !line->values[OPTION_RATE])
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "--burst needs a --rate");
    return scope_set_parse(span_of(scope ? scope : "infer"), &record->scopes, ret_error) &&
           (!expires ||
            date_parse_end(span_of(expires), time(NULL), &record->expires_s, ret_error));
}

static bool create(const struct command_line *line, const char *folder, struct error *ret_error)
{
    struct token_record record;
    char secret[SECRET_BYTES + 1], scopes[SCOPE_SET_TEXT_BYTES], end[DATE_TEXT_BYTES];
    bool made;
    if (line->operand_count != 1)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "create takes no argument but options, such as --name");
    if (!read_record(line, &record, ret_error) || !token_store_begin(folder, &made, ret_error) ||
        !token_store_create(folder, &record, secret, ret_error))
        return false;
    fprintf(stderr, "token %08x%s%.*s, scopes %s, models %.*s, expires %s; it is shown only now:\n",
            record.id, record.name.size ? " " : "", SPAN_ARGS(record.name),
            scope_set_format(record.scopes, scopes), SPAN_ARGS(record.models),
            record.expires_s == DATE_NEVER ? "never" : date_format(record.expires_s, end));
    puts(secret);
    return true;
}

/* ---- ls ---- */

enum { COLUMNS = 10 };

static const char *const titles[COLUMNS] = {"ID",   "NAME",  "SCOPES",      "MODELS", "EXPIRES",
                                            "RATE", "BURST", "CONCURRENCY", "WEIGHT", "CREATED"};

static struct span number(struct arena *arena, uint64_t count)
{
    return count ? span_of(arena_printf(arena, "%" PRIu64, count)) : (struct span){NULL, 0};
}

static struct span expiry(struct arena *arena, const struct token_record *record)
{
    char date[DATE_TEXT_BYTES];
    if (record->expires_s == DATE_NEVER)
        return SPAN("never");
    return span_of(arena_printf(arena, "%s%s", date_format(record->expires_s, date),
                                token_record_current(record, time(NULL)) ? "" : " (expired)"));
}

static void set_row(struct arena *arena, const struct token_record *record, struct span *row)
{
    char scopes[SCOPE_SET_TEXT_BYTES], rate[QUOTA_RATE_TEXT_BYTES], date[DATE_TEXT_BYTES];
    const struct quota_limits *limits = &record->limits;
    row[0] = span_of(arena_printf(arena, "%08x", record->id));
    row[1] = record->name;
    row[2] = span_of(arena_printf(arena, "%s", scope_set_format(record->scopes, scopes)));
    row[3] = record->models;
    row[4] = expiry(arena, record);
    row[5] = limits->rate_count
                 ? span_of(arena_printf(arena, "%s", quota_rate_format(limits, rate)))
                 : (struct span){NULL, 0};
    row[6] = number(arena, limits->burst);
    row[7] = number(arena, limits->concurrency);
    row[8] = number(arena, record->weight);
    row[9] = record->created_s
                 ? span_of(arena_printf(arena, "%s", date_format(record->created_s, date)))
                 : (struct span){NULL, 0};
}

static bool print_tokens(struct span text, struct error *ret_error)
{
    struct token_record *records;
    struct arena arena;
    size_t count;
    if (!token_text_parse(text, &records, &count, ret_error))
        return false;
    arena_init(&arena, 4096, 16 << 20);
    struct span *cells = arena_calloc(&arena, count, COLUMNS * sizeof *cells);
    for (size_t i = 0; cells && i < count; i++)
        set_row(&arena, &records[i], cells + i * COLUMNS);
    if (cells)
        table_print(titles, COLUMNS, cells, count);
    else
        error_no_memory(ret_error);
    arena_fini(&arena);
    free(records);
    return cells != NULL;
}

static bool list(const struct command_line *line, const char *folder, struct error *ret_error)
{
    struct buf text;
    buf_init(&text, TOKEN_TEXT_BYTES);
    bool good = line->operand_count == 1 ||
                error_set(ret_error, ERROR_INVALID_ARGUMENT, "ls takes no argument");
    good = good && token_store_read(folder, &text, ret_error) &&
           print_tokens(buf_span(&text), ret_error);
    buf_fini(&text);
    return good;
}

/* ---- revoke ---- */

static bool revoke(const struct command_line *line, const char *folder, struct error *ret_error)
{
    uint32_t id;
    if (line->operand_count != 2)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "which token? Give its id or name; tensord token ls lists them");
    if (!token_store_revoke(folder, span_of(line->operands[1]), &id, ret_error))
        return false;
    fprintf(stderr, "token %08x is revoked\n", id);
    return true;
}

static const struct {
    const char *name;
    bool (*run)(const struct command_line *line, const char *folder, struct error *ret_error);
} actions[] = {{"create", create}, {"ls", list}, {"revoke", revoke}};

enum { ACTIONS = sizeof actions / sizeof *actions };

int token_run(int count, char **arguments)
{
    struct command_line line;
    struct error error;
    char folder[PATH_MAX];
    size_t action = 0;
    if (!command_line_read(token_options, 2, count, arguments, &line, &error))
        return command_complain("token", error.message);
    while (action < ACTIONS &&
           (!line.operand_count || strcmp(line.operands[0], actions[action].name) != 0))
        action++;
    if (action == ACTIONS)
        return command_complain("token", "say what to do: create, ls or revoke; see --help");
    if (!find_folder(&line, folder, &error) || !actions[action].run(&line, folder, &error)) {
        command_complain("token", error.message);
        return error.code == ERROR_INVALID_ARGUMENT ? 2 : 1;
    }
    return 0;
}
