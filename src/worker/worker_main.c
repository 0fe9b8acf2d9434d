/* The role `tensord worker`; see worker_main.h. Nothing here reads the model: that is for the
 * engine, inside the sandbox. */
#include "worker/worker_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "worker/sandbox.h"
#include "worker/spec_map.h"

enum { ARGUMENT_COUNT = 2 };

/* The name in `ps` and in a kernel's message: the model's, cut to 15 bytes. */
static void take_name(struct span model)
{
    char name[16];
    snprintf(name, sizeof name, "%.*s", SPAN_ARGS(model));
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* With whatever privilege the process has to take leases, and while no engine is loaded. */
static bool look_at_files(const struct worker_spec *spec, struct arena *arena,
                          struct model_files *ret_files, struct error *ret_error)
{
    struct span path;
    if (!arena_copy(arena, spec->path, &path))
        return error_no_memory(ret_error);
    model_files_look(path.data, spec->renamed_in, ret_files);
    return true;
}

static bool enter_sandbox(const char *mode_name, const struct worker_spec *spec,
                          struct error *ret_error)
{
    char root[4096];
    enum sandbox_mode mode;
    if (!sandbox_mode_of_name(span_of(mode_name), &mode) || spec->root.size >= sizeof root)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "bad worker arguments");
    if (spec->server.command_count)
        return sandbox_enter_keeper(mode, ret_error);
    snprintf(root, sizeof root, "%.*s", SPAN_ARGS(spec->root));
    bool devices = spec->limits.gpus != 0;
    return sandbox_enter_worker(mode, root, spec->interpreter.size > 0 || devices, devices,
                                ret_error);
}

static bool prepare(int count, char *const arguments[], struct arena *arena,
                    struct worker_spec *ret_spec, struct model_files *ret_files,
                    struct error *ret_error)
{
    if (count != ARGUMENT_COUNT)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "workers are started by tensord alone");
    if (!spec_map_read(WORKER_FD_SPEC, arena, ret_spec, ret_error))
        return false;
    close(WORKER_FD_SPEC);
    take_name(ret_spec->name);
    return look_at_files(ret_spec, arena, ret_files, ret_error) &&
           enter_sandbox(arguments[0], ret_spec, ret_error);
}

int worker_main(int count, char *const arguments[],
                int (*run)(const struct worker_context *context))
{
    struct arena arena;
    struct worker_spec spec;
    struct model_files files;
    struct error error;
    int status = EXIT_FAILURE;
    arena_init(&arena, 4096, SPEC_ARENA_BYTES);
    if (prepare(count, arguments, &arena, &spec, &files, &error)) {
        close(WORKER_FD_LAST_WORDS);
        const struct worker_context context = {
            .spec = &spec,
            .fds = {WORKER_FD_RINGS, WORKER_FD_TENSORS, WORKER_FD_TO_WORKER, WORKER_FD_TO_FRONT},
            .engine_dir = arguments[1],
            .files = &files,
        };
        status = run(&context);
    } else {
        dprintf(WORKER_FD_LAST_WORDS, "%s", error.message);
    }
    arena_fini(&arena);
    return status;
}
