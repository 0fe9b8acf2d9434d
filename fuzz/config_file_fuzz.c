/* The config file: what is read can be printed as a config file, and reads back as the same. */
#include "settings/config_file.h"
#include "settings/print.h"
#include "settings/store.h"

#include "failing_allocation.h"

#include <assert.h>
#include <string.h>

enum { ARENA_BYTES = 1 << 20, TEXT_BYTES = 1 << 20 };

static void start(struct settings *settings)
{
    *settings = (struct settings){0};
    arena_init(&settings->arena, 4096, ARENA_BYTES);
    assert(setting_defaults(settings, NULL));
}

static bool read_text(struct settings *settings, struct span text)
{
    struct error error = {0};
    start(settings);
    if (config_text_read(settings, text, &error))
        return true;
    assert(error.code != ERROR_OK && error.message[0]);
    return false;
}

static void read_without_memory(struct span text)
{
    struct settings settings = {0};
    struct error error;
    arena_init(&settings.arena, 256, ARENA_BYTES);
    if (setting_defaults(&settings, &error))
        config_text_read(&settings, text, &error);
    settings_fini(&settings);
}

static void print_all(const struct settings *settings, struct buf *text)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (setting_rows[i].type == SETTING_SECTION || i == SETTING_config)
            continue;
        buf_printf(text, "%s: ", setting_rows[i].name);
        setting_print(text, settings, &setting_rows[i]);
        buf_append_char(text, '\n');
    }
    assert(buf_ok(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings, again;
    struct buf text, text_again;
    if (size > CONFIG_FILE_MAX_BYTES)
        return 0;
    buf_init(&text, TEXT_BYTES);
    buf_init(&text_again, TEXT_BYTES);
    if (read_text(&settings, (struct span){(const char *)data, size})) {
        print_all(&settings, &text);
        assert(read_text(&again, buf_span(&text)));
        print_all(&again, &text_again);
        assert(span_equal(buf_span(&text), buf_span(&text_again)));
        settings_fini(&again);
    }
    settings_fini(&settings);
    failing_allocation_begin(data, size);
    read_without_memory((struct span){(const char *)data, size});
    failing_allocation_end();
    buf_fini(&text);
    buf_fini(&text_again);
    return 0;
}
