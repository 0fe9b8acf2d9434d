/* The worker's role: a sandboxed process that serves one version of one model. */
#include "cmd/commands.h"
#include "worker/host.h"
#include "worker/keeper.h"
#include "worker/worker_main.h"

static int host(const struct worker_context *context)
{
    if (context->spec->server.command_count)
        return keeper_run(context);
    return host_run(context->spec, context->fds, context->engine_dir, context->files);
}

int worker_run(int count, char **arguments)
{
    return worker_main(count, arguments, host);
}
