/* Log, metrics and traces of the front; see observing.h. */
#include "cmd/observing.h"

#include "exporter/export_config.h"
#include "exporter/exporter_client.h"
#include "telemetry/log.h"
#include "telemetry/log_sink.h"
#include "telemetry/process.h"
#include "telemetry/tracer.h"

#include <stdlib.h>
#include <unistd.h>

static struct tracer tracer;
static struct exporter_client exporter;

void log_start(const struct settings *settings)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    size_t level = 0;
    bool terminal = isatty(STDERR_FILENO);
    while (strcmp(levels[level], settings->log_level) != 0)
        level++;
    bool json = settings->log_format[0] == 'j' || (settings->log_format[0] == 'a' && !terminal);
    const char *no_color = getenv("NO_COLOR");
    bool colour = !json && terminal && !(no_color && *no_color);
    log_init((enum log_level)level, json, colour);
}

/* What is told on standard output, models that became ready, is not waited for either: what nobody
 * reads is lost. */
static void unblock_output(void)
{
    struct log_sink sink;
    log_sink_open(&sink, STDOUT_FILENO);
    if (sink.fd == STDOUT_FILENO)
        return;
    dup2(sink.fd, STDOUT_FILENO);
    close(sink.fd);
}

bool observing_init(const struct settings *settings, struct error *ret_error)
{
    struct trace_setting setting;
    bool follow = true, wanted = export_wanted(settings);
    log_start(settings);
    unblock_output();
    process_init(&metrics);
    if (wanted && !export_sampling(settings, &setting, &follow, ret_error))
        return false;
    tracer_init(&tracer, wanted ? &setting : NULL, follow);
    return true;
}

void observing_start(struct loop *loop, struct spawner_client *spawner)
{
    if (tracer.available)
        exporter_client_start(&exporter, loop, spawner, &tracer);
}

void observing_stop(void (*stopped)(void *context), void *context)
{
    exporter_client_stop(&exporter, stopped, context);
}

void observing_api(const struct settings *settings, struct api *api)
{
    api->access_log = settings->access_log[0] == 'a'   ? ACCESS_LOG_ALL
                      : settings->access_log[0] == 'e' ? ACCESS_LOG_ERRORS
                                                       : ACCESS_LOG_OFF;
    api->server_timing = settings->server_timing;
    metrics_measure = settings->measure;
    api->serving->tracer = &tracer;
}
