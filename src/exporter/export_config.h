/* Where traces go, and which requests are traced: our settings, and the variables that all of
 * OpenTelemetry's exporters know. A flag wins over a variable.
 * (https://opentelemetry.io/docs/specs/otel/protocol/exporter/,
 * …/configuration/sdk-environment-variables/) */
#ifndef TENSORD_EXPORTER_EXPORT_CONFIG_H
#define TENSORD_EXPORTER_EXPORT_CONFIG_H

#include "base/parameter.h"
#include "settings/settings.h"
#include "telemetry/trace_setting.h"

struct export_config {
    const char *url;         /* of the endpoint for traces, terminated */
    const char *certificate; /* of the collector's authority, a file; empty: the system's */
    struct parameter *headers;
    size_t header_count;
    struct parameter *attributes; /* of the resource: service.name and what the user adds */
    size_t attribute_count;
    uint64_t timeout_ms; /* of one post */
    uint64_t delay_ms;   /* that a record may wait for company */
    uint64_t batch;      /* records of one post at most */
};

/* True when a collector is named and OpenTelemetry is not switched off. */
bool export_wanted(const struct settings *settings);

/* Reads all of it; texts lie in the arena. False with a sentence that names the variable. */
bool export_config_read(const struct settings *settings, struct arena *arena,
                        struct export_config *ret_config, struct error *ret_error);

/* Which requests are traced: --trace-sample-permille, else OTEL_TRACES_SAMPLER and its argument,
 * else all; *ret_follow as in trace_setting_decide. False with a sentence for an unknown sampler.
 */
bool export_sampling(const struct settings *settings, struct trace_setting *ret_setting,
                     bool *ret_follow, struct error *ret_error);

#endif
