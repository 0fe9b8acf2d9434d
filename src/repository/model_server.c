/* From the section `server` to a server's config; see model_server.h. */
#include "repository/model_server.h"

#include <string.h>

enum {
    DEFAULT_CONNECTIONS = 100,
    DEFAULT_START_TIMEOUT_S = 600,
    DEFAULT_ANSWER_TIMEOUT_S = 600,
    MAX_HEALTH_BYTES = 1024,
};

static bool invalid(struct error *ret_error, const char *sentence)
{
    return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s", sentence);
}

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What "\c" means between double quotes: of most c, both stay. */
static bool is_escaped_in_quotes(char c)
{
    return c == '"' || c == '\\' || c == '$' || c == '`';
}

/* Takes one word off the command into `to`, which has room for all of it. False when a quote is not
 * closed. */
static bool take_word(struct span *command, char *to, size_t *ret_size)
{
    char quote = '\0';
    size_t size = 0;
    /* -Wanalyzer-null-dereference: only an empty span has no data */
    for (; command->size && (quote || !is_blank(command->data[0]));
         *command = span_after(*command, 1)) {
        char c = command->data[0]; /* -Wanalyzer-null-dereference: the same */
        char next = command->size > 1 ? command->data[1] : '\0';
        if (quote && c == quote) {
            quote = '\0';
        } else if (!quote && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == '\\' && next && (!quote || (quote == '"' && is_escaped_in_quotes(next)))) {
            to[size++] = next;
            *command = span_after(*command, 1);
        } else {
            to[size++] = c;
        }
    }
    *ret_size = size;
    return quote == '\0';
}

static void skip_blanks(struct span *command)
{
    while (command->size && is_blank(command->data[0]))
        *command = span_after(*command, 1);
}

bool model_server_split(struct span command, struct arena *arena, struct span **ret_words,
                        size_t *ret_count, struct error *ret_error)
{
    void *words = NULL;
    size_t count = 0, capacity = 0;
    for (skip_blanks(&command); command.size; skip_blanks(&command)) {
        if (count == SERVER_MAX_WORDS)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'server.command' has more than %d words", SERVER_MAX_WORDS);
        char *word = arena_alloc(arena, command.size + 1);
        size_t size;
        if (!word || !arena_grow(arena, &words, count, &capacity, sizeof(struct span)))
            return error_no_memory(ret_error);
        if (!take_word(&command, word, &size))
            return invalid(ret_error, "a quote in 'server.command' is not closed");
        word[size] = '\0';
        ((struct span *)words)[count++] = (struct span){word, size};
    }
    *ret_words = words;
    *ret_count = count;
    return true;
}

static bool read_command(struct span command, struct arena *arena, struct server_config *config,
                         struct error *ret_error)
{
    if (command.size && memchr(command.data, '\0', command.size))
        return invalid(ret_error, "'server.command' must be text");
    if (!model_server_split(command, arena, &config->command, &config->command_count, ret_error))
        return false;
    if (!config->command_count || !config->command[0].size)
        return invalid(ret_error, "'server.command' is missing: the command that starts the "
                                  "program, with {port} where it is told its port");
    bool port = server_config_mentions(config, SPAN("{port}"));
    bool socket = server_config_mentions(config, SPAN("{socket}"));
    if (port && socket)
        return invalid(ret_error, "'server.command' has {port} and {socket}: one of them");
    return port || socket || config->port ||
           invalid(ret_error,
                   "'server.command' does not say where the program is to listen: write {port} "
                   "where it is told its port, {socket} where the path of a unix socket, or give "
                   "the port that it always uses as 'port'");
}

/* ---- the rest ---- */

static bool read_health(struct span health, struct server_config *config, struct error *ret_error)
{
    bool good = health.size <= MAX_HEALTH_BYTES && (!health.size || health.data[0] == '/');
    for (size_t i = 0; good && i < health.size; i++)
        good = health.data[i] > ' ' && health.data[i] < 0x7f && health.data[i] != '#';
    config->health = health;
    return good || invalid(ret_error, "'server.health' must be a path, like /health");
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.size > 0;
}

static bool read_environment(const struct tensord_server_section *section, struct arena *arena,
                             struct server_config *config, struct error *ret_error)
{
    size_t count = section->environment.count;
    if (count > SERVER_MAX_VARIABLES)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'server.environment' has more than %d variables", SERVER_MAX_VARIABLES);
    config->environment = arena_calloc(arena, count, sizeof *config->environment);
    if (!config->environment)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < count; i++) {
        struct span key = section->environment.items[i].key;
        struct span value = section->environment.items[i].value;
        if (!is_name(key) || (value.size && memchr(value.data, '\0', value.size)))
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'server.environment': '%.*s' is no variable", SPAN_ARGS(key));
        config->environment[i] = (struct parameter){.key = key, .value = value};
    }
    config->environment_count = count;
    return true;
}

static bool read_seconds(uint64_t given, uint64_t otherwise, const char *name, uint64_t *ret_value,
                         struct error *ret_error)
{
    *ret_value = given ? given : otherwise;
    return given <= SERVER_MAX_SECONDS ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT, "'server.%s' must be at most %d", name,
                     SERVER_MAX_SECONDS);
}

static bool read_limits(const struct tensord_server_section *section, struct server_config *config,
                        struct error *ret_error)
{
    if (section->port > UINT16_MAX)
        return invalid(ret_error, "'server.port' must be at most 65535");
    if (section->connections > SERVER_MAX_CONNECTIONS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'server.connections' must be at most %d", SERVER_MAX_CONNECTIONS);
    config->port = section->port;
    config->network = section->network;
    config->keep_home = section->keep_home;
    config->connections = section->connections ? section->connections : DEFAULT_CONNECTIONS;
    return read_seconds(section->start_timeout_s, DEFAULT_START_TIMEOUT_S, "start_timeout_s",
                        &config->start_timeout_s, ret_error) &&
           read_seconds(section->idle_after_s, 0, "idle_after_s", &config->idle_after_s,
                        ret_error) &&
           read_seconds(section->answer_timeout_s, DEFAULT_ANSWER_TIMEOUT_S, "answer_timeout_s",
                        &config->answer_timeout_s, ret_error);
}

bool model_server_read(const struct tensord_server_section *section, struct arena *arena,
                       struct server_config *ret_config, struct error *ret_error)
{
    struct server_config config = {.command_count = 0};
    if (!read_limits(section, &config, ret_error) ||
        !read_command(section->command, arena, &config, ret_error) ||
        !read_health(section->health, &config, ret_error) ||
        !read_environment(section, arena, &config, ret_error))
        return false;
    *ret_config = config;
    return true;
}
