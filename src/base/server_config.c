/* The config of a managed server as bytes, as a copy, and as words; see server_config.h. */
#include "base/server_config.h"

void server_config_write(const struct server_config *config, struct buf *buf)
{
    pack_number(buf, config->command_count);
    for (size_t i = 0; i < config->command_count; i++)
        pack_string(buf, config->command[i]);
    pack_parameters(buf, config->environment, config->environment_count);
    pack_string(buf, config->health);
    pack_number(buf, config->port);
    pack_number(buf, config->connections);
    pack_number(buf, config->start_timeout_s);
    pack_number(buf, config->idle_after_s);
    pack_number(buf, config->answer_timeout_s);
    pack_number(buf, config->network);
    pack_number(buf, config->keep_home);
}

void server_config_read(struct unpack *unpack, struct server_config *config)
{
    config->command =
        unpack_array(unpack, SERVER_MAX_WORDS, sizeof *config->command, &config->command_count);
    for (size_t i = 0; i < config->command_count && !unpack->failed; i++)
        config->command[i] = unpack_string(unpack);
    config->environment =
        unpack_parameters(unpack, SERVER_MAX_VARIABLES, &config->environment_count);
    config->health = unpack_string(unpack);
    config->port = (uint32_t)unpack_number(unpack, UINT16_MAX);
    config->connections = (uint32_t)unpack_number(unpack, SERVER_MAX_CONNECTIONS);
    config->start_timeout_s = unpack_number(unpack, SERVER_MAX_SECONDS);
    config->idle_after_s = unpack_number(unpack, SERVER_MAX_SECONDS);
    config->answer_timeout_s = unpack_number(unpack, SERVER_MAX_SECONDS);
    config->network = unpack_bool(unpack);
    config->keep_home = unpack_bool(unpack);
}

static bool copy_words(struct arena *arena, const struct server_config *from,
                       struct server_config *to)
{
    to->command = arena_calloc(arena, from->command_count, sizeof *to->command);
    for (size_t i = 0; to->command && i < from->command_count; i++)
        if (!arena_copy(arena, from->command[i], &to->command[i]))
            return false;
    return to->command != NULL;
}

static bool copy_variables(struct arena *arena, const struct server_config *from,
                           struct server_config *to)
{
    to->environment = arena_calloc(arena, from->environment_count, sizeof *to->environment);
    for (size_t i = 0; to->environment && i < from->environment_count; i++)
        if (!arena_copy(arena, from->environment[i].key, &to->environment[i].key) ||
            !arena_copy(arena, from->environment[i].value, &to->environment[i].value))
            return false;
    return to->environment != NULL;
}

bool server_config_copy(struct arena *arena, const struct server_config *from,
                        struct server_config *ret_copy)
{
    struct server_config to = *from;
    if (!copy_words(arena, from, &to) || !copy_variables(arena, from, &to) ||
        !arena_copy(arena, from->health, &to.health))
        return false;
    *ret_copy = to;
    return true;
}

/* ---- words ---- */

/* The placeholder that the text begins with and what stands for it; 0: none. */
static size_t placeholder_at(struct span text, const struct span names[3],
                             const struct span values[3], struct span *ret_value)
{
    for (size_t i = 0; i < 3; i++) {
        if (!values[i].data || !span_starts_with(text, names[i]))
            continue;
        *ret_value = values[i];
        return names[i].size;
    }
    return 0;
}

char *server_config_word(struct arena *arena, struct span word, struct span port,
                         struct span socket, struct span model)
{
    const struct span names[3] = {SPAN("{port}"), SPAN("{socket}"), SPAN("{model}")};
    const struct span values[3] = {port, socket, model};
    struct buf buf;
    struct span copy = {NULL, 0}, value = {NULL, 0};
    buf_init(&buf, 1 << 20);
    while (word.size) {
        size_t size = placeholder_at(word, names, values, &value);
        buf_append(&buf, size ? value : (struct span){word.data, 1});
        word = span_after(word, size ? size : 1);
    }
    bool copied = buf_ok(&buf) && arena_copy(arena, buf_span(&buf), &copy);
    buf_fini(&buf);
    return copied ? (char *)(uintptr_t)copy.data : NULL;
}

bool server_config_mentions(const struct server_config *config, struct span placeholder)
{
    for (size_t i = 0; i < config->command_count; i++) {
        const struct span word = config->command[i];
        if (word.size && memmem(word.data, word.size, placeholder.data, placeholder.size))
            return true;
    }
    return false;
}
