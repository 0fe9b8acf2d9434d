/* What the server counts and measures, and the one table that says how each of it is called.
 *
 * The front is one process with one loop: counting is a plain increment of a member of `metrics`,
 * or of the struct model_metrics that each version of a model has. A row of a table gives a member
 * its name, kind, labels, unit and sentence; GET /metrics (exposition.h), docs/metrics.md and the
 * tests all come from the rows. Several rows may show the same member: Triton's names stand beside
 * ours. Gauges are filled in just before they are shown.
 *
 * All calls are for the loop's thread. */
#ifndef TENSORD_TELEMETRY_METRICS_H
#define TENSORD_TELEMETRY_METRICS_H

#include "telemetry/histogram.h"

#include <stdbool.h>

/* ---- what series are told apart by ---- */

/* The limits of the settings and the protocols, by the name of the setting where there is one:
 * ROW(name, when it bites). Each hit is counted in metrics.limit_hits. */
#define LIMITS(ROW)                                                                                \
    ROW(max_header_bytes, "a request's head was too long")                                         \
    ROW(max_header_fields, "a request's head had too many fields")                                 \
    ROW(max_target_bytes, "a request's target was too long")                                       \
    ROW(max_chunks, "a chunked body had too many chunks")                                          \
    ROW(header_timeout_ms, "a head took too long")                                                 \
    ROW(body_timeout_ms, "a body came too slowly")                                                 \
    ROW(unsent_timeout_ms, "a client left its answer unread")                                      \
    ROW(idle_timeout_ms, "an idle connection was closed")                                          \
    ROW(max_streams, "a connection opened too many streams")                                       \
    ROW(max_stream_requests, "a ModelStreamInfer had as many requests as may run at once")         \
    ROW(max_watches, "as many clients watched the server's health as may")                         \
    ROW(resets_per_s, "a connection reset too many streams")                                       \
    ROW(max_connections, "a listener had as many connections as it may")                           \
    ROW(descriptors, "there was no descriptor or memory for a connection")                         \
    ROW(max_json_mib, "a body of JSON was too long")                                               \
    ROW(message_memory_mib, "messages took all the memory that they may")                          \
    ROW(max_body_mib, "a body of tensors, or a gRPC message, was too long")                        \
    ROW(token_rate, "a token's rate of requests was used up")                                      \
    ROW(token_concurrency, "a token had as many requests at once as it may")                       \
    ROW(queue_limit, "a model's queue was full")                                                   \
    ROW(queue_wait_ms, "a request would have waited too long for its turn")                        \
    ROW(memory_limit_mib, "a model's tensors in use were too many")                                \
    ROW(memory_wait_ms, "a request waited too long for a model's tensors in use")                  \
    ROW(sequence_states, "the states of a sequence took more than 16 MiB")                         \
    ROW(cache_memory_mib, "a kept answer made room for another, or one found none")                \
    ROW(cache_entry_kib, "an answer, or its inputs, were too large to be kept")                    \
    ROW(load_timeout_ms, "a model took too long to load")                                          \
    ROW(memory_budget_mib, "a model did not fit into memory, or found no room there in time")      \
    ROW(worker_memory_mib, "a worker, or managed server, used more memory than it may")            \
    ROW(worker_scratch_mib, "one wrote more to its scratch folder than it may")                    \
    ROW(worker_pids, "one had more threads and processes than it may")                             \
    ROW(max_uploads, "as many files were being uploaded as may be")                                \
    ROW(max_blobs, "as many uploaded files were kept as may be")                                   \
    ROW(max_blobs_mib, "as many bytes of uploaded files were kept as may be")                      \
    ROW(max_push_files, "a push had too many files")                                               \
    ROW(max_shm_regions, "as many regions of shared memory were registered as may be")             \
    ROW(log_rate, "a line was logged too often, or a worker said too much")                        \
    ROW(metrics_models, "a model version had to share its series with others")

enum limit {
#define LIMIT_ENUM(name, when) LIMIT_##name,
    LIMITS(LIMIT_ENUM)
#undef LIMIT_ENUM
        LIMIT_COUNT
};

/* The steps of a request, which follow each other without a gap: ROW(name, from when to when). */
#define STAGES(ROW)                                                                                \
    ROW(parse, "the first byte of the head to the complete request")                               \
    ROW(queue, "the complete request to its leaving the queue")                                    \
    ROW(batch, "the way to the worker and back, with joining and splitting batches")               \
    ROW(execute, "the engine's own time")                                                          \
    ROW(write, "the answer to its last byte taken by the kernel")                                  \
    ROW(total, "all of it")

enum stage {
#define STAGE_ENUM(name, what) STAGE_##name,
    STAGES(STAGE_ENUM)
#undef STAGE_ENUM
        STAGE_COUNT
};

/* Why an inference failed, in Triton's words. */
enum failure {
    FAILURE_REJECTED, /* the queue was full, or its time was over before it ran */
    FAILURE_CANCELED,
    FAILURE_BACKEND, /* the model or its worker */
    FAILURE_OTHER,
    FAILURE_COUNT
};

enum metrics_protocol { PROTOCOL_HTTP1, PROTOCOL_HTTP2, PROTOCOL_GRPC, PROTOCOL_COUNT };

/* The class of an HTTP status. */
enum metrics_code { CODE_2XX, CODE_3XX, CODE_4XX, CODE_5XX, CODE_NONE, CODE_COUNT };

enum { METRICS_GRPC_CODES = 17, METRICS_STATES = 8, METRICS_LOG_LEVELS = 4 };

/* What became of spans: see tracer.h. */
enum span_outcome { SPAN_QUEUED, SPAN_DROPPED, SPAN_EXPORTED, SPAN_LOST, SPAN_OUTCOME_COUNT };

/* What became of a request that may be copied to a shadow; see serving/shadow.h. */
enum shadow_outcome {
    SHADOW_OUTCOME_EQUAL,
    SHADOW_OUTCOME_DIFFERENT,
    SHADOW_OUTCOME_FAILED,
    SHADOW_OUTCOME_SKIPPED,
    SHADOW_OUTCOME_COUNT
};

/* What became of a push of a model. */
enum push_outcome { PUSH_PUT, PUSH_UNCHANGED, PUSH_REFUSED, PUSH_OUTCOME_COUNT };

/* ---- what is counted ---- */

/* Of the server. */
struct server_metrics {
    uint64_t
        http_requests[(int)PROTOCOL_COUNT * (int)CODE_COUNT]; /* [protocol × CODE_COUNT + code] */
    uint64_t grpc_calls[METRICS_GRPC_CODES];
    uint64_t connections, connections_accepted;
    uint64_t received_bytes, sent_bytes;
    uint64_t limit_hits[LIMIT_COUNT];
    uint64_t log_lines[METRICS_LOG_LEVELS], log_dropped; /* written by any thread, relaxed */
    uint64_t spans[SPAN_OUTCOME_COUNT];
    uint64_t versions[METRICS_STATES]; /* by enum version_state */
    uint64_t workers;
    uint64_t memory_budget_bytes, memory_held_bytes, memory_waiting;
    uint64_t cache_bytes, cache_answers, cache_evictions;
    uint64_t blobs, blob_bytes, blob_received_bytes;
    uint64_t pushes[PUSH_OUTCOME_COUNT];
    uint64_t build_info;
    /* Filled by process_measure. */
    uint64_t process_cpu_ns, process_start_ms;
    uint64_t resident_bytes, virtual_bytes, open_fds, max_fds;
    uint64_t machine_busy_permille, machine_memory_bytes, machine_memory_used_bytes;
};

extern struct server_metrics metrics;

/* Whether requests are counted, and what their stages take. Set before the first, if at all. */
extern bool metrics_measure;

/* How often something took how long, altogether. */
struct duration {
    uint64_t count;
    uint64_t ns;
};

/* Of a version of a model. Members are uint64_t only, so that they can be added up. */
struct model_metrics {
    struct duration success, fail;                 /* from submit to the final answer */
    struct duration queue, input, compute, output; /* of those that were executed well */
    struct duration any_compute;                   /* the last three together */
    uint64_t coalesced;                            /* that shared the execution of another */
    struct duration cache_hit, cache_miss;         /* looking answers up, and keeping them */
    uint64_t failures[FAILURE_COUNT];
    uint64_t rows, executions;  /* what Triton calls inferences, and batches */
    uint64_t last_inference_ms; /* since the epoch; 0: none */
    uint64_t load_ns;           /* that the last load took */
    uint64_t loads, evictions;
    uint64_t worker_crashes, worker_replacements, worker_restarts;
    struct histogram stages[STAGE_COUNT];
    struct histogram load_ratio;     /* the whole to the engine's share */
    struct histogram first_response; /* of models that answer several times */
    uint64_t shadow_outcomes[SHADOW_OUTCOME_COUNT];
    struct histogram shadow_difference; /* the largest relative one of each answer */
    /* Gauges. */
    uint64_t pending, running; /* requests that wait, and that are with a worker */
    uint64_t workers, ready;
    uint64_t workers_ready, workers_wanted;
    uint64_t batch_rows, slots; /* that are used at most, as was learned */
    uint64_t row_ns;            /* between the ends of two rows then; 0: not known */
    uint64_t memory_bytes;      /* that is counted for it, of what loaded models share */
    uint64_t tensor_used_bytes, tensor_committed_bytes, device_bytes;
};

/* Adds b to a, member by member. */
void model_metrics_add(struct model_metrics *a, const struct model_metrics *b);

/* Counts one more event of that duration. */
static inline void duration_add(struct duration *duration, uint64_t ns)
{
    duration->count++;
    duration->ns += ns;
}

/* Counts a limit that was met. */
static inline void limit_hit(enum limit limit)
{
    metrics.limit_hits[limit]++;
}

/* Counts an exchange that has ended: status 0, when the client went before an answer; gRPC's own
 * status or -1 when it was no call. version is 1 or 2. */
void metrics_count_request(unsigned version, unsigned status, int grpc_status);

/* ---- the tables ---- */

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* How a member's number becomes the number that is shown. */
enum metric_unit {
    UNIT_ONE,
    UNIT_BYTES,
    UNIT_SECONDS,      /* the member is in ns */
    UNIT_MICROSECONDS, /* the member is in ns */
    UNIT_MS_AS_SECONDS,
    UNIT_PERMILLE, /* shown as a ratio */
};

/* Label pairs that tell the series of one family apart; `pairs` is NULL for a single series. */
struct metric_labels {
    size_t count;
    const char *const *pairs; /* name="value", ready to be written */
};

struct metric {
    const char *name;
    const char *help;
    enum metric_kind kind;
    enum metric_unit unit;
    const struct metric_labels *labels;
    const struct histogram_scale *scale; /* of a histogram */
    size_t offset;                       /* of the first series in its struct */
};

/* The rows over struct server_metrics, and those over struct model_metrics, whose series have the
 * labels model and version too. */
const struct metric *metrics_server_table(size_t *ret_count);
const struct metric *metrics_model_table(size_t *ret_count);

#endif
