/* `tensord tritonserver`: understands the flags of tritonserver, as KServe's runtime and people's
 * scripts start it. Like tritonserver it listens on all interfaces: whoever starts it this way has
 * probes and clients outside of the container. */
#include "base/span.h"
#include "cmd/commands.h"
#include "cmd/compat.h"
#include "settings/row.h"

#include <stdio.h>

#define TUNING "tuning that has no counterpart here"
#define NO_TLS "TLS on one port alone is not supported; --tls-cert and --tls-key are for all ports"
#define FORWARDING                                                                                 \
    "--forward-header NAME does so, for REST and gRPC; it takes names and patterns such as "       \
    "x-user-*, no regular expression"
#define RESTRICTING                                                                                \
    "tokens say who may call what: tensord token create --scope, --anonymous for those without; "  \
    "see docs/security.md"

const struct compat_row tritonserver_rows[] = {
    /* what is served */
    {"--model-repository", COMPAT_PATH, NULL, NULL},
    {"--model-store", COMPAT_PATH, NULL, NULL},
    {"--model-control-mode", COMPAT_MODE, NULL, NULL},
    {"--load-model", COMPAT_SETTING, "load_model", NULL},
    {"--repository-poll-secs", COMPAT_SECONDS, "rescan_ms", NULL},
    {"--exit-timeout-secs", COMPAT_SECONDS, "drain_timeout_ms", NULL},
    {"--id", COMPAT_SETTING, "server_id", NULL},
    {"--model-namespacing", COMPAT_OFF, NULL, "model namespaces are not supported"},
    {"--strict-readiness", COMPAT_NOTHING, NULL,
     "the server is ready when it listens and has looked for models; each model tells its own "
     "readiness"},
    {"--exit-on-error", COMPAT_NOTHING, NULL,
     "a model that cannot be loaded does not end the server; tensord ls tells why"},
    {"--strict-model-config", COMPAT_NOTHING, NULL, "what a config leaves out is found out"},
    {"--disable-auto-complete-config", COMPAT_NO_VALUE, NULL,
     "what a config leaves out is found out"},
    {"--model-load-thread-count", COMPAT_NOTHING, NULL, TUNING},
    {"--model-load-retry-count", COMPAT_NOTHING, NULL, "failed loads are retried"},
    /* where */
    {"--allow-http", COMPAT_ALLOW, "http", NULL},
    {"--http-address", COMPAT_ADDRESS, "http", NULL},
    {"--http-port", COMPAT_PORT, "http", NULL},
    {"--reuse-http-port", COMPAT_OFF, NULL, "ports are not shared between servers"},
    {"--http-thread-count", COMPAT_NOTHING, NULL, TUNING},
    {"--http-max-input-size", COMPAT_BYTES, "max_json_mib", NULL},
    {"--http-header-forward-pattern", COMPAT_REFUSED, NULL, FORWARDING},
    {"--http-restricted-api", COMPAT_REFUSED, NULL, RESTRICTING},
    {"--allow-grpc", COMPAT_ALLOW, "grpc", NULL},
    {"--grpc-address", COMPAT_ADDRESS, "grpc", NULL},
    {"--grpc-port", COMPAT_PORT, "grpc", NULL},
    {"--reuse-grpc-port", COMPAT_OFF, NULL, "ports are not shared between servers"},
    {"--grpc-header-forward-pattern", COMPAT_REFUSED, NULL, FORWARDING},
    {"--grpc-restricted-protocol", COMPAT_REFUSED, NULL, RESTRICTING},
    {"--grpc-use-ssl", COMPAT_OFF, NULL, NO_TLS},
    {"--grpc-use-ssl-mutual", COMPAT_OFF, NULL, NO_TLS},
    {"--grpc-server-cert", COMPAT_REFUSED, NULL, NO_TLS},
    {"--grpc-server-key", COMPAT_REFUSED, NULL, NO_TLS},
    {"--grpc-root-cert", COMPAT_REFUSED, NULL, NO_TLS},
    {"--grpc-infer-allocation-pool-size", COMPAT_NOTHING, NULL, NULL},
    {"--grpc-max-response-pool-size", COMPAT_NOTHING, NULL, NULL},
    {"--grpc-infer-thread-count", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-infer-response-compression-level", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-keepalive-time", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-keepalive-timeout", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-keepalive-permit-without-calls", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-http2-max-pings-without-data", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-http2-min-recv-ping-interval-without-data", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-http2-max-ping-strikes", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-max-connection-age", COMPAT_NOTHING, NULL, TUNING},
    {"--grpc-max-connection-age-grace", COMPAT_NOTHING, NULL, TUNING},
    {"--allow-metrics", COMPAT_ALLOW, "metrics", NULL},
    {"--metrics-address", COMPAT_ADDRESS, "metrics", NULL},
    {"--metrics-port", COMPAT_PORT, "metrics", NULL},
    {"--allow-gpu-metrics", COMPAT_NOTHING, NULL, NULL},
    {"--allow-cpu-metrics", COMPAT_NOTHING, NULL, NULL},
    {"--metrics-interval-ms", COMPAT_NOTHING, NULL, NULL},
    {"--metrics-config", COMPAT_NOTHING, NULL, TUNING},
    {"--allow-sagemaker", COMPAT_OFF, NULL, "SageMaker's endpoint is not supported"},
    {"--sagemaker-port", COMPAT_NOTHING, NULL, NULL},
    {"--sagemaker-safe-port-range", COMPAT_NOTHING, NULL, NULL},
    {"--sagemaker-thread-count", COMPAT_NOTHING, NULL, NULL},
    {"--allow-vertex-ai", COMPAT_OFF, NULL, "Vertex AI's endpoint is not supported"},
    {"--vertex-ai-port", COMPAT_NOTHING, NULL, NULL},
    {"--vertex-ai-thread-count", COMPAT_NOTHING, NULL, NULL},
    {"--vertex-ai-default-model", COMPAT_NOTHING, NULL, NULL},
    {"--allow-client-shm", COMPAT_INFER, "allow_client_shm", NULL},
    /* what is logged */
    {"--log-verbose", COMPAT_VERBOSITY, "debug", NULL},
    {"--log-info", COMPAT_VERBOSITY, "info", NULL},
    {"--log-warning", COMPAT_VERBOSITY, "warning", NULL},
    {"--log-error", COMPAT_NOTHING, NULL, "errors are always logged"},
    {"--log-format", COMPAT_NOTHING, NULL, "text on a terminal, JSON lines otherwise"},
    {"--log-file", COMPAT_NOTHING, NULL, "the log goes to standard error"},
    {"--trace-config", COMPAT_NOTHING, NULL, "Triton's traces are not written"},
    {"--trace-file", COMPAT_NOTHING, NULL, "Triton's traces are not written"},
    {"--trace-level", COMPAT_NOTHING, NULL, "Triton's traces are not written"},
    {"--trace-rate", COMPAT_NOTHING, NULL, NULL},
    {"--trace-count", COMPAT_NOTHING, NULL, NULL},
    {"--trace-log-frequency", COMPAT_NOTHING, NULL, NULL},
    /* backends, memory and devices */
    {"--backend-directory", COMPAT_NOTHING, NULL, "Triton's backends are not used"},
    {"--backend-config", COMPAT_NOTHING, NULL, "Triton's backends are not used"},
    {"--repoagent-directory", COMPAT_NOTHING, NULL, "Triton's repository agents are not used"},
    {"--cache-directory", COMPAT_NOTHING, NULL, NULL},
    {"--cache-config", COMPAT_CACHE, "cache_memory_mib", NULL},
    {"--response-cache-byte-size", COMPAT_BYTES, "cache_memory_mib", NULL},
    {"--rate-limit", COMPAT_SETTING, "rate_limit", NULL},
    {"--rate-limit-resource", COMPAT_SETTING, "rate_limit_resource", NULL},
    {"--pinned-memory-pool-byte-size", COMPAT_NOTHING, NULL, NULL},
    {"--cuda-memory-pool-byte-size", COMPAT_NOTHING, NULL, NULL},
    {"--cuda-virtual-address-size", COMPAT_NOTHING, NULL, NULL},
    {"--min-supported-compute-capability", COMPAT_NOTHING, NULL, TUNING},
    {"--buffer-manager-thread-count", COMPAT_NOTHING, NULL, NULL},
    {"--host-policy", COMPAT_NOTHING, NULL, TUNING},
    {"--model-load-gpu-limit", COMPAT_NOTHING, NULL, TUNING},
    {.name = NULL},
};

/* Reads the flag at arguments[*at], and moves *at to its value when that is an argument of its own.
 * A flag that tritonserver does not have may be one of ours. */
static bool read_flag(struct compat *compat, int count, char **arguments, int *at,
                      struct error *ret_error)
{
    struct span value = span_of(arguments[*at]), flag = span_split(&value, '=');
    char name[80];
    if (!span_starts_with(flag, SPAN("--")))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "what is '%.80s'? Flags begin with --",
                         arguments[*at]);
    const struct compat_row *row = compat_find(tritonserver_rows, flag);
    const struct setting *setting = row ? NULL : setting_find(span_after(flag, 2));
    if (!row && !setting)
        return compat_unknown(tritonserver_rows, flag, ret_error);
    bool alone = row ? row->rule == COMPAT_NO_VALUE : setting->type == SETTING_SWITCH;
    if (!value.data && !alone && *at + 1 == count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "%s wants a value", arguments[*at]);
    if (!value.data)
        value = alone ? SPAN("true") : span_of(arguments[++*at]);
    snprintf(name, sizeof name, "%.*s", SPAN_ARGS(flag));
    return row ? compat_apply(compat, row, name, value.data, ret_error)
               : compat_add(compat, setting->name, value.data, ret_error);
}

int tritonserver_run(int count, char **arguments)
{
    struct error error;
    struct compat compat = {
        .command = "tritonserver",
        .endpoints = {{"http", "0.0.0.0", "8000", true},
                      {"grpc", "0.0.0.0", "8001", true},
                      {"metrics", NULL, "8002", true}},
        .load = "all",
    };
    arena_init(&compat.arena, 4096, 1 << 20);
    bool good = true;
    for (int i = 0; good && i < count; i++)
        good = read_flag(&compat, count, arguments, &i, &error);
    if (good && !compat.path)
        good = error_set(&error, ERROR_INVALID_ARGUMENT,
                         "--model-repository must be given: the folder of models");
    if (!compat.endpoints[2].address) /* that of HTTP unless said otherwise */
        compat.endpoints[2].address = compat.endpoints[0].address;
    int status = good ? compat_serve(&compat) : command_complain(compat.command, error.message);
    arena_fini(&compat.arena);
    return status;
}
