/* The layers of the sandbox; see spawner_layers.h. */
#include "worker/spawner_layers.h"

#include "telemetry/log.h"
#include "worker/cage.h"

enum { LACK_BYTES = 320 };

bool spawner_layers_check(const struct spawner_options *options, enum sandbox_mode *ret_mode,
                          struct error *ret_error)
{
    struct error error;
    char lack[LACK_BYTES] = "";
    const char *mode = options->sandbox ? options->sandbox : "auto";
    if (!sandbox_mode_of_name(span_of(mode), ret_mode))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "the sandbox is \"off\", \"auto\" or \"strict\", not \"%s\"", mode);
    if (!sandbox_check(*ret_mode, &error))
        return error_set(ret_error, error.code, "--sandbox=strict: %s", error.message);
    if (*ret_mode == SANDBOX_STRICT)
        cage_find_namespaces(lack, sizeof lack);
    return !lack[0] || error_set(ret_error, ERROR_UNAVAILABLE,
                                 "--sandbox=strict: workers cannot have %s", lack);
}

void spawner_layers_find(struct spawner_child *child)
{
    char lack[LACK_BYTES], text[200];
    if (child->sandbox == SANDBOX_OFF) {
        log_warning("spawner", "sandbox of workers: off");
        return;
    }
    child->namespaces = cage_find_namespaces(lack, sizeof lack);
    log_info("spawner", "sandbox of workers: %s",
             sandbox_describe(child->sandbox, child->namespaces, text, sizeof text));
    if (lack[0])
        log_warning("spawner", "workers cannot have %s: docs/operating.md says how to get them",
                    lack);
    cgroup_open(&child->cgroup, lack, sizeof lack);
    if (lack[0])
        log_info("spawner", "workers' memory is looked at every second: %s", lack);
    else
        log_info("spawner", "workers' memory, threads and processors are bounded by cgroups");
}
