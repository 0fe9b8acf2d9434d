/* The exporter's role: started by the spawner with the arguments of `serve` when the front asks for
 * it. All that may open files happens before the sandbox closes in. */
#include "exporter/exporter.h"
#include "cmd/commands.h"
#include "cmd/observing.h"
#include "worker/sandbox.h"

#include <stdio.h>
#include <unistd.h>

enum { CONFIG_BYTES = 1 << 20, LAST_WORDS_FD = EXPORTER_FD + 1 };

struct exporting {
    struct settings settings;
    struct arena arena;
    struct export_config config;
    struct post *post;
};

static bool prepare(struct exporting *exporting, int count, char **arguments,
                    struct error *ret_error)
{
    const char *path;
    enum sandbox_mode mode = SANDBOX_AUTO;
    struct settings *settings = &exporting->settings;
    if (!settings_read(settings, count, arguments, &path, ret_error))
        return false;
    log_start(settings);
    arena_init(&exporting->arena, 4096, CONFIG_BYTES);
    if (!export_config_read(settings, &exporting->arena, &exporting->config, ret_error))
        return false;
    exporting->post = post_new(&exporting->config, ret_error);
    if (!exporting->post)
        return false;
    const struct sandbox_path paths[] = {
        {exporting->config.certificate[0] ? exporting->config.certificate : NULL, SANDBOX_READ}};
    sandbox_mode_of_name(span_of(settings->sandbox), &mode);
    return sandbox_enter_exporter(mode, paths, 1, ret_error);
}

int exporter_role_run(int count, char **arguments)
{
    struct exporting exporting = {.post = NULL};
    struct error error;
    int status = 1;
    if (prepare(&exporting, count, arguments, &error)) {
        close(LAST_WORDS_FD);
        status = exporter_run(&exporting.config, exporting.post, EXPORTER_FD);
    } else {
        dprintf(LAST_WORDS_FD, "%s", error.message);
    }
    post_free(exporting.post);
    arena_fini(&exporting.arena);
    settings_fini(&exporting.settings);
    return status;
}
