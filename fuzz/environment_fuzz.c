/* Settings from the environment, and what is said of variables that are none. */
#include "settings/store.h"

#include "environment.h"
#include "failing_allocation.h"

enum { ARENA_BYTES = 1 << 20 };

static void warn(void *context, const char *sentence)
{
    assert(sentence[0]);
    ++*(size_t *)context;
}

static void check_numbers(const struct settings *settings)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &setting_rows[i];
        const int64_t *number =
            (const int64_t *)(const void *)((const char *)settings + row->offset);
        assert(row->type != SETTING_NUMBER || (*number >= row->lowest && *number <= row->highest));
    }
}

/* As a reload does with what takes a restart. */
static void copy(const struct settings *settings)
{
    struct settings other = {0};
    arena_init(&other.arena, 4096, ARENA_BYTES);
    if (setting_copy_text(&other, &other.server_id, settings->server_id))
        assert(strcmp(other.server_id, settings->server_id) == 0);
    if (setting_copy_list(&other, &other.allowed_host, &settings->allowed_host))
        assert(other.allowed_host.count == settings->allowed_host.count);
    settings_fini(&other);
}

static void read_environment(void)
{
    struct settings settings = {0};
    struct error error = {0};
    arena_init(&settings.arena, 4096, ARENA_BYTES);
    if (setting_defaults(&settings, &error) && setting_read_environment(&settings, &error)) {
        check_numbers(&settings);
        copy(&settings);
    } else {
        assert(error.code != ERROR_OK && error.message[0]);
    }
    settings_fini(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct environment environment;
    size_t warnings = 0;
    environment_begin(&environment, data, size);
    read_environment();
    settings_check_environment(warn, &warnings);
    assert(warnings <= ENVIRONMENT_VARIABLES);
    failing_allocation_begin(data, size);
    read_environment();
    failing_allocation_end();
    environment_end(&environment);
    return 0;
}
