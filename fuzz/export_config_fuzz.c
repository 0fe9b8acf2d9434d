/* Where traces go, from OpenTelemetry's variables: what is accepted can be sent as header fields.
 */
#include "exporter/export_config.h"
#include "settings/store.h"

#include "environment.h"
#include "failing_allocation.h"

enum { ARENA_BYTES = 1 << 20 };

static void check_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        assert((unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f);
}

static bool read_config(const struct settings *settings, struct arena *arena,
                        struct export_config *config)
{
    struct error error = {0};
    bool good = export_config_read(settings, arena, config, &error);
    assert(good || (error.code != ERROR_OK && error.message[0]));
    return good;
}

static void check(const struct export_config *config)
{
    assert(strncmp(config->url, "http", 4) == 0 && config->attribute_count >= 3);
    for (size_t i = 0; i < config->header_count; i++) {
        check_text(config->headers[i].key);
        check_text(config->headers[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct environment environment;
    struct settings settings = {0};
    struct export_config config;
    struct trace_setting sampling;
    struct error error = {0};
    struct arena arena;
    bool follow;
    environment_begin(&environment, data, size);
    arena_init(&settings.arena, 4096, ARENA_BYTES);
    if (setting_defaults(&settings, &error) && setting_read_environment(&settings, &error) &&
        export_wanted(&settings)) {
        arena_init(&arena, 4096, ARENA_BYTES);
        if (read_config(&settings, &arena, &config))
            check(&config);
        arena_fini(&arena);
        arena_init(&arena, 1024, ARENA_BYTES);
        failing_allocation_begin(data, size);
        read_config(&settings, &arena, &config);
        failing_allocation_end();
        arena_fini(&arena);
        if (export_sampling(&settings, &sampling, &follow, &error))
            assert(sampling.ratio >= 0 && sampling.ratio <= 1);
    }
    settings_fini(&settings);
    environment_end(&environment);
    return 0;
}
