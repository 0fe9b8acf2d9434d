/* The tables of metrics; see metrics.h. */
#include "telemetry/metrics.h"

#include <assert.h>

struct server_metrics metrics;
bool metrics_measure = true;

/* ---- labels ---- */

#define LABELS(name, ...)                                                                          \
    static const char *const name##_pairs[] = {__VA_ARGS__};                                       \
    static const struct metric_labels name = {sizeof name##_pairs / sizeof *name##_pairs,          \
                                              name##_pairs}

static const struct metric_labels single = {1, NULL};

#define LIMIT_PAIR(name, when) "limit=\"" #name "\"",
static const char *const limit_pairs[] = {LIMITS(LIMIT_PAIR)};
static const struct metric_labels by_limit = {LIMIT_COUNT, limit_pairs};

#define STAGE_PAIR(name, what) "stage=\"" #name "\"",
static const char *const stage_pairs[] = {STAGES(STAGE_PAIR)};
static const struct metric_labels by_stage = {STAGE_COUNT, stage_pairs};

LABELS(by_reason, "reason=\"REJECTED\"", "reason=\"CANCELED\"", "reason=\"BACKEND\"",
       "reason=\"OTHER\"");

#define CODES(protocol)                                                                            \
    "protocol=\"" protocol "\",code=\"2xx\"", "protocol=\"" protocol "\",code=\"3xx\"",            \
        "protocol=\"" protocol "\",code=\"4xx\"", "protocol=\"" protocol "\",code=\"5xx\"",        \
        "protocol=\"" protocol "\",code=\"none\""
LABELS(by_protocol, CODES("http/1.1"), CODES("http/2"), CODES("grpc"));

LABELS(by_grpc_code, "code=\"OK\"", "code=\"CANCELLED\"", "code=\"UNKNOWN\"",
       "code=\"INVALID_ARGUMENT\"", "code=\"DEADLINE_EXCEEDED\"", "code=\"NOT_FOUND\"",
       "code=\"ALREADY_EXISTS\"", "code=\"PERMISSION_DENIED\"", "code=\"RESOURCE_EXHAUSTED\"",
       "code=\"FAILED_PRECONDITION\"", "code=\"ABORTED\"", "code=\"OUT_OF_RANGE\"",
       "code=\"UNIMPLEMENTED\"", "code=\"INTERNAL\"", "code=\"UNAVAILABLE\"", "code=\"DATA_LOSS\"",
       "code=\"UNAUTHENTICATED\"");

LABELS(by_level, "level=\"debug\"", "level=\"info\"", "level=\"warning\"", "level=\"error\"");
LABELS(by_outcome, "outcome=\"queued\"", "outcome=\"dropped\"", "outcome=\"exported\"",
       "outcome=\"lost\"");
LABELS(by_state, "state=\"found\"", "state=\"probing\"", "state=\"loading\"", "state=\"ready\"",
       "state=\"asleep\"", "state=\"draining\"", "state=\"unloaded\"", "state=\"failed\"");
LABELS(by_push, "outcome=\"put\"", "outcome=\"unchanged\"", "outcome=\"refused\"");
LABELS(by_shadow, "outcome=\"equal\"", "outcome=\"different\"", "outcome=\"failed\"",
       "outcome=\"skipped\"");
LABELS(by_version, "version=\"" TENSORD_VERSION "\"");

_Static_assert(sizeof by_protocol_pairs / sizeof *by_protocol_pairs ==
                       (size_t)PROTOCOL_COUNT * CODE_COUNT &&
                   sizeof by_grpc_code_pairs / sizeof *by_grpc_code_pairs == METRICS_GRPC_CODES &&
                   sizeof by_reason_pairs / sizeof *by_reason_pairs == FAILURE_COUNT &&
                   sizeof by_state_pairs / sizeof *by_state_pairs == METRICS_STATES &&
                   sizeof by_push_pairs / sizeof *by_push_pairs == PUSH_OUTCOME_COUNT &&
                   sizeof by_shadow_pairs / sizeof *by_shadow_pairs == SHADOW_OUTCOME_COUNT &&
                   sizeof by_outcome_pairs / sizeof *by_outcome_pairs == SPAN_OUTCOME_COUNT,
               "each series has its labels");

/* ---- rows: member, name, kind, labels, unit, sentence ---- */

#define SERVER_METRICS(ROW)                                                                        \
    ROW(http_requests, "tensord_http_requests_total", COUNTER, by_protocol, ONE,                   \
        "Requests that have ended, by protocol and class of the HTTP status; none: the client "    \
        "went before an answer")                                                                   \
    ROW(grpc_calls, "tensord_grpc_calls_total", COUNTER, by_grpc_code, ONE,                        \
        "gRPC calls that have ended, by status")                                                   \
    ROW(connections, "tensord_connections", GAUGE, single, ONE, "Open connections")                \
    ROW(connections_accepted, "tensord_connections_accepted_total", COUNTER, single, ONE,          \
        "Connections that were accepted")                                                          \
    ROW(received_bytes, "tensord_received_bytes_total", COUNTER, single, BYTES,                    \
        "Bytes received from clients")                                                             \
    ROW(sent_bytes, "tensord_sent_bytes_total", COUNTER, single, BYTES, "Bytes sent to clients")   \
    ROW(limit_hits, "tensord_limit_hits_total", COUNTER, by_limit, ONE,                            \
        "How often a limit was met, by the setting or rule that sets it")                          \
    ROW(versions, "tensord_model_versions", GAUGE, by_state, ONE, "Versions of models, by state")  \
    ROW(workers, "tensord_workers", GAUGE, single, ONE, "Worker processes")                        \
    ROW(memory_budget_bytes, "tensord_memory_budget_bytes", GAUGE, single, BYTES,                  \
        "Memory that loaded models share")                                                         \
    ROW(memory_held_bytes, "tensord_memory_held_bytes", GAUGE, single, BYTES,                      \
        "What is counted of it for those that are loaded, load or leave")                          \
    ROW(memory_waiting, "tensord_memory_waiting_models", GAUGE, single, ONE,                       \
        "Models that wait for room in it")                                                         \
    ROW(cache_bytes, "tensord_cache_bytes", GAUGE, single, BYTES,                                  \
        "Memory that answers take which are kept to be given again")                               \
    ROW(cache_answers, "tensord_cache_answers", GAUGE, single, ONE, "How many these are")          \
    ROW(cache_evictions, "tensord_cache_evictions_total", COUNTER, single, ONE,                    \
        "Kept answers that made room for others")                                                  \
    ROW(log_lines, "tensord_log_lines_total", COUNTER, by_level, ONE, "Lines logged, by level")    \
    ROW(log_dropped, "tensord_log_lines_dropped_total", COUNTER, single, ONE,                      \
        "Lines that were not logged because standard error took no more")                          \
    ROW(spans, "tensord_trace_requests_total", COUNTER, by_outcome, ONE,                           \
        "Traced requests: given to the exporter, dropped because it was too slow, exported to "    \
        "the collector, or lost there")                                                            \
    ROW(blobs, "tensord_blobs", GAUGE, single, ONE, "Uploaded files that are kept")                \
    ROW(blob_bytes, "tensord_blob_bytes", GAUGE, single, BYTES,                                    \
        "Their size, that of files of pushed models included")                                     \
    ROW(blob_received_bytes, "tensord_blob_received_bytes_total", COUNTER, single, BYTES,          \
        "Bytes of uploads that were written")                                                      \
    ROW(pushes, "tensord_pushes_total", COUNTER, by_push, ONE,                                     \
        "Pushes of models: put in their place, there already, or refused")                         \
    ROW(build_info, "tensord_build_info", GAUGE, by_version, ONE, "1, with the server's version")  \
    ROW(process_cpu_ns, "process_cpu_seconds_total", COUNTER, single, SECONDS,                     \
        "CPU time of the front process")                                                           \
    ROW(process_start_ms, "process_start_time_seconds", GAUGE, single, MS_AS_SECONDS,              \
        "When the front process started, in seconds since the epoch")                              \
    ROW(resident_bytes, "process_resident_memory_bytes", GAUGE, single, BYTES,                     \
        "Resident memory of the front process")                                                    \
    ROW(virtual_bytes, "process_virtual_memory_bytes", GAUGE, single, BYTES,                       \
        "Address space of the front process; tensor memory is reserved, not used")                 \
    ROW(open_fds, "process_open_fds", GAUGE, single, ONE, "Open descriptors of the front process") \
    ROW(max_fds, "process_max_fds", GAUGE, single, ONE, "Descriptors that it may have")            \
    ROW(machine_busy_permille, "nv_cpu_utilization", GAUGE, single, PERMILLE,                      \
        "Share of the machine's CPU time in use since the metrics were last asked for, 0 to 1")    \
    ROW(machine_memory_bytes, "nv_cpu_memory_total_bytes", GAUGE, single, BYTES,                   \
        "The machine's memory")                                                                    \
    ROW(machine_memory_used_bytes, "nv_cpu_memory_used_bytes", GAUGE, single, BYTES,               \
        "The machine's memory that is in use")

#define MODEL_METRICS(ROW)                                                                         \
    ROW(stages, "tensord_request_stage_seconds", DURATIONS, by_stage, SECONDS,                     \
        "Where the time of inferences went, by stage")                                             \
    ROW(pending, "tensord_queue_requests", GAUGE, single, ONE,                                     \
        "Inferences that wait in the queue")                                                       \
    ROW(running, "tensord_running_requests", GAUGE, single, ONE,                                   \
        "Inferences that are with a worker")                                                       \
    ROW(ready, "tensord_model_ready", GAUGE, single, ONE, "1 when the version answers requests")   \
    ROW(workers, "tensord_model_workers", GAUGE, single, ONE, "Worker processes of the version")   \
    ROW(workers_ready, "tensord_model_workers_ready", GAUGE, single, ONE,                          \
        "Workers of the version that serve")                                                       \
    ROW(workers_wanted, "tensord_model_workers_wanted", GAUGE, single, ONE,                        \
        "Workers of the version that are to serve")                                                \
    ROW(batch_rows, "tensord_batch_rows_limit", GAUGE, single, ONE,                                \
        "Rows that an execution has at most, as was learned")                                      \
    ROW(slots, "tensord_executions_limit", GAUGE, single, ONE,                                     \
        "Executions that run at once at most, as was learned")                                     \
    ROW(row_ns, "tensord_row_seconds", GAUGE, single, SECONDS,                                     \
        "Time for each row when as much runs as that; 0 until it is known")                        \
    ROW(worker_crashes, "tensord_worker_crashes_total", COUNTER, single, ONE,                      \
        "Workers that ended by themselves or broke the rules")                                     \
    ROW(worker_replacements, "tensord_worker_replacements_total", COUNTER, single, ONE,            \
        "Workers that were killed because a cancelled request did not end")                        \
    ROW(worker_restarts, "tensord_worker_restarts_total", COUNTER, single, ONE,                    \
        "Workers that were started in the place of one that had ended")                            \
    ROW(memory_bytes, "tensord_model_memory_bytes", GAUGE, single, BYTES,                          \
        "Memory that is counted for the version: the most that its worker was seen to use")        \
    ROW(loads, "tensord_model_loads_total", COUNTER, single, ONE, "Loads that went well")          \
    ROW(evictions, "tensord_model_evictions_total", COUNTER, single, ONE,                          \
        "How often it left memory, for others or because nobody used it")                          \
    ROW(shadow_outcomes, "tensord_shadow_requests_total", COUNTER, by_shadow, ONE,                 \
        "Copies of requests that the version got as a shadow, by how its answers compare; "        \
        "skipped: "                                                                                \
        "it got none")                                                                             \
    ROW(shadow_difference, "tensord_shadow_relative_difference", DIFFERENCES, single, ONE,         \
        "The largest relative difference of its answer to the one that the client got, 1 where "   \
        "they have no form in common")                                                             \
    ROW(coalesced, "tensord_coalesced_requests_total", COUNTER, single, ONE,                       \
        "Inferences that were answered by the execution of another one, which was the same")       \
    ROW(tensor_used_bytes, "tensord_tensor_memory_used_bytes", GAUGE, single, BYTES,               \
        "Tensor memory that requests hold")                                                        \
    ROW(tensor_committed_bytes, "tensord_tensor_memory_committed_bytes", GAUGE, single, BYTES,     \
        "Tensor memory that the kernel holds, free pieces included")                               \
    ROW(device_bytes, "tensord_device_memory_bytes", GAUGE, single, BYTES,                         \
        "Device memory as the worker reports it")                                                  \
    ROW(success.count, "nv_inference_request_success", COUNTER, single, ONE,                       \
        "Successful inference requests")                                                           \
    ROW(failures, "nv_inference_request_failure", COUNTER, by_reason, ONE,                         \
        "Failed inference requests, by reason")                                                    \
    ROW(rows, "nv_inference_count", COUNTER, single, ONE,                                          \
        "Inferences: the rows of all successful requests")                                         \
    ROW(executions, "nv_inference_exec_count", COUNTER, single, ONE,                               \
        "Executions, each of one request or a batch of them")                                      \
    ROW(pending, "nv_inference_pending_request_count", GAUGE, single, ONE,                         \
        "Inference requests that wait to be executed")                                             \
    ROW(success.ns, "nv_inference_request_duration_us", COUNTER, single, MICROSECONDS,             \
        "Time of successful inference requests, from the complete request to its answer")          \
    ROW(queue.ns, "nv_inference_queue_duration_us", COUNTER, single, MICROSECONDS,                 \
        "Time of successful inference requests in the queue")                                      \
    ROW(input.ns, "nv_inference_compute_input_duration_us", COUNTER, single, MICROSECONDS,         \
        "Time of successful inference requests in which the worker prepared inputs")               \
    ROW(compute.ns, "nv_inference_compute_infer_duration_us", COUNTER, single, MICROSECONDS,       \
        "Time of successful inference requests in the engine")                                     \
    ROW(output.ns, "nv_inference_compute_output_duration_us", COUNTER, single, MICROSECONDS,       \
        "Time of successful inference requests in which the worker prepared outputs")              \
    ROW(any_compute.ns, "nv_inference_compute_duration_us", COUNTER, single, MICROSECONDS,         \
        "The last three together, as older dashboards ask for it")                                 \
    ROW(cache_hit.count, "nv_cache_num_hits_per_model", COUNTER, single, ONE,                      \
        "Inference requests whose answer was kept from an earlier one")                            \
    ROW(cache_miss.count, "nv_cache_num_misses_per_model", COUNTER, single, ONE,                   \
        "Inference requests whose answer might have been kept, and was not")                       \
    ROW(cache_hit.ns, "nv_cache_hit_duration_per_model", COUNTER, single, MICROSECONDS,            \
        "Time to find answers that were kept, in microseconds")                                    \
    ROW(cache_miss.ns, "nv_cache_miss_duration_per_model", COUNTER, single, MICROSECONDS,          \
        "Time to find none, and to keep the new answer, in microseconds")                          \
    ROW(load_ratio, "nv_inference_load_ratio", LOAD_RATIOS, single, ONE,                           \
        "Time of inference requests over their time in the engine, as older dashboards ask for "   \
        "it")                                                                                      \
    ROW(first_response, "nv_inference_first_response_histogram_ms", FIRST_RESPONSES, single, ONE,  \
        "Time to the first response of models that answer several times")                          \
    ROW(load_ns, "nv_model_load_duration_secs", GAUGE, single, SECONDS,                            \
        "Time that the last load of the version took")

#define KIND_COUNTER METRIC_COUNTER, NULL
#define KIND_GAUGE METRIC_GAUGE, NULL
#define KIND_DURATIONS METRIC_HISTOGRAM, &histogram_durations
#define KIND_LOAD_RATIOS METRIC_HISTOGRAM, &histogram_load_ratio
#define KIND_DIFFERENCES METRIC_HISTOGRAM, &histogram_differences
#define KIND_FIRST_RESPONSES METRIC_HISTOGRAM, &histogram_first_response

#define ROW_OF(name, help, kind, scale, labels, unit, offset)                                      \
    {name, help, kind, unit, &labels, scale, offset}
#define EXPAND(...) ROW_OF(__VA_ARGS__)
#define SERVER_ROW(member, name, kind, labels, unit, help)                                         \
    EXPAND(name, help, KIND_##kind, labels, UNIT_##unit, offsetof(struct server_metrics, member)),
#define MODEL_ROW(member, name, kind, labels, unit, help)                                          \
    EXPAND(name, help, KIND_##kind, labels, UNIT_##unit, offsetof(struct model_metrics, member)),

static const struct metric server_table[] = {SERVER_METRICS(SERVER_ROW)};
static const struct metric model_table[] = {MODEL_METRICS(MODEL_ROW)};

const struct metric *metrics_server_table(size_t *ret_count)
{
    *ret_count = sizeof server_table / sizeof *server_table;
    return server_table;
}

const struct metric *metrics_model_table(size_t *ret_count)
{
    *ret_count = sizeof model_table / sizeof *model_table;
    return model_table;
}

void model_metrics_add(struct model_metrics *a, const struct model_metrics *b)
{
    uint64_t *to = (uint64_t *)a;
    const uint64_t *from = (const uint64_t *)b;
    for (size_t i = 0; i < sizeof *a / sizeof *to; i++)
        to[i] += from[i];
}

static enum metrics_code code_of(unsigned status)
{
    if (status >= 200 && status < 600)
        return (enum metrics_code)(status / 100 - 2);
    return CODE_NONE;
}

void metrics_count_request(unsigned version, unsigned status, int grpc_status)
{
    if (!metrics_measure)
        return;
    enum metrics_protocol protocol = version == 1 ? PROTOCOL_HTTP1 : PROTOCOL_HTTP2;
    if (grpc_status >= 0) {
        protocol = PROTOCOL_GRPC;
        assert(grpc_status < METRICS_GRPC_CODES);
        metrics.grpc_calls[grpc_status]++;
    }
    metrics.http_requests[(size_t)protocol * CODE_COUNT + code_of(status)]++;
}
