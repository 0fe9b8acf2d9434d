/* From settings to limits; see front_limits.h. */
#include "cmd/front_limits.h"

#include "base/machine.h"
#include "cmd/interpreter.h"
#include "cmd/state_dir.h"
#include "cmd/tasks.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STOP_GRACE_MS = 5000 };

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

static uint64_t machine_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What the container allows is read once, before the front gives up reading files. */
static uint64_t memory_budget_bytes(const struct settings *settings)
{
    static uint64_t ours;
    if (!ours)
        ours = machine_memory_bytes();
    return settings->memory_budget_mib ? (uint64_t)settings->memory_budget_mib * MIB : ours / 4 * 3;
}

static uint64_t memory_limit_bytes(const struct settings *settings)
{
    if (settings->memory_limit_mib)
        return (uint64_t)settings->memory_limit_mib * MIB;
    return machine_bytes() / 4;
}

/* One message of the largest size always has its place. */
static size_t message_memory_bytes(const struct settings *settings)
{
    uint64_t bytes = settings->message_memory_mib ? (uint64_t)settings->message_memory_mib * MIB
                                                  : machine_bytes() / 8;
    uint64_t largest = (uint64_t)settings->max_json_mib * MIB;
    return (size_t)(bytes > largest ? bytes : largest);
}

static enum load_policy load_policy(const struct settings *settings)
{
    if (strcmp(settings->load, "explicit") == 0)
        return LOAD_EXPLICIT;
    return strcmp(settings->load, "lazy") == 0 ? LOAD_LAZY : LOAD_ALL;
}

static struct environment_options environment_options(const struct settings *settings)
{
    static char folder[PATH_MAX], uv[PATH_MAX];
    environments_dir_find(settings, folder);
    return (struct environment_options){
        .folder = folder,
        .uv = settings->uv[0] && realpath(settings->uv, uv) ? uv : "",
        .plan_task = TASK_PLAN,
        .build_task = TASK_BUILD,
        .build_timeout_s = (uint64_t)settings->build_timeout_s,
        .max_mib = (uint64_t)settings->environment_max_mib,
        .unused_h = (uint64_t)settings->environment_unused_h,
        .builds = (size_t)settings->builds,
        .exist = folder[0] && access(folder, F_OK) == 0,
    };
}

static struct process_limits worker_limits(const struct settings *settings)
{
    uint64_t machine_mib =
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / MIB;
    return (struct process_limits){
        .memory_mib = (uint32_t)(settings->worker_memory_mib ? (uint64_t)settings->worker_memory_mib
                                                             : machine_mib / 10 * 9),
        .scratch_mib = (uint32_t)settings->worker_scratch_mib,
        .pids = (uint32_t)settings->worker_pids,
    };
}

static struct process_limits server_limits(const struct settings *settings)
{
    struct process_limits limits = worker_limits(settings);
    limits.scratch_mib = (uint32_t)settings->server_scratch_mib;
    limits.pids = (uint32_t)settings->server_pids;
    return limits;
}

void front_serving_options(const struct settings *settings, struct serving_options *ret_options)
{
    static char python[PATH_MAX];
    *ret_options = (struct serving_options){
        .load = load_policy(settings),
        .memory_limit_bytes = memory_limit_bytes(settings),
        .threads = (uint32_t)settings->threads,
        .load_timeout_ms = (uint64_t)settings->load_timeout_ms,
        .python = interpreter_find(settings->python, python) ? python : NULL,
        .environments = environment_options(settings),
        .worker_limits = worker_limits(settings),
        .server_limits = server_limits(settings),
        .queue_limit = (size_t)settings->queue_limit,
        .queue_wait_ms = (uint64_t)settings->queue_wait_ms,
        .memory_wait_ms = (uint64_t)settings->memory_wait_ms,
        .cache_bytes = (uint64_t)settings->cache_memory_mib * MIB,
        .cache_entry_bytes = (uint64_t)settings->cache_entry_kib * KIB,
        .stop_grace_ms = STOP_GRACE_MS,
        .series_limit = (size_t)settings->metrics_models,
        .summaries = settings->metrics_summaries,
        .processors = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN),
        .cpus = machine_cpus(),
        .cpu_share = machine_processors(),
    };
}

bool front_resources(const struct settings *settings, struct limiter *limiter,
                     struct error *ret_error)
{
    const struct setting_list *resources = &settings->rate_limit_resource;
    limiter->off = strcmp(settings->rate_limit, "off") == 0;
    for (size_t i = 0; i < resources->count; i++) {
        if (!limiter_give_resource(limiter, span_of(resources->items[i]), ret_error))
            return false;
    }
    return true;
}

/* Who may have shared memory read and written, and how much of it. */
static void apply_regions(const struct settings *settings, struct api *api)
{
    enum scope scope = SCOPE_INFER;
    while (scope < SCOPE_ADMIN && strcmp(settings->allow_client_shm, scope_name(scope)) != 0)
        scope++;
    api->regions_allowed = strcmp(settings->allow_client_shm, "none") != 0;
    api->regions_scope = scope;
    api->regions->limit = (size_t)settings->max_shm_regions;
}

void front_limits_apply(const struct settings *settings, struct api *api, struct serving *serving,
                        struct http_server *http)
{
    struct http_limits *limits = &http->limits;
    uint64_t body_mib = settings->max_body_mib ? (uint64_t)settings->max_body_mib
                                               : memory_limit_bytes(settings) / MIB;
    api->max_json_bytes = (size_t)settings->max_json_mib * MIB;
    api->max_body_bytes = (size_t)(body_mib * MIB);
    api->messages.limit_bytes = message_memory_bytes(settings);
    api->max_push_files = (size_t)settings->max_push_files;
    api->max_stream_requests = (size_t)settings->max_stream_requests;
    api->max_watches = (size_t)settings->max_watches;
    apply_regions(settings, api);
    serving->options.queue_limit = (size_t)settings->queue_limit;
    serving->options.queue_wait_ms = (uint64_t)settings->queue_wait_ms;
    serving->options.memory_wait_ms = (uint64_t)settings->memory_wait_ms;
    response_cache_bound(&serving->reuse.cache, (uint64_t)settings->cache_memory_mib * MIB,
                         (uint64_t)settings->cache_entry_kib * KIB);
    residence_bound(&serving->residence, memory_budget_bytes(settings),
                    (uint64_t)settings->gpu_memory_budget_mib * MIB,
                    serving->options.queue_wait_ms * CLOCK_NS_PER_MS);
    limits->header_bytes = (size_t)settings->max_header_bytes;
    limits->field_count = (size_t)settings->max_header_fields;
    limits->target_bytes = (size_t)settings->max_target_bytes;
    limits->chunk_count = (uint32_t)settings->max_chunks;
    limits->streams = (uint32_t)settings->max_streams;
    limits->reset_burst = (uint32_t)settings->reset_burst;
    limits->resets_per_s = (uint32_t)settings->resets_per_s;
    limits->header_timeout_ms = (uint64_t)settings->header_timeout_ms;
    limits->body_timeout_ms = (uint64_t)settings->body_timeout_ms;
    limits->body_bytes_per_s = (uint64_t)settings->min_body_bytes_per_s;
    limits->unsent_timeout_ms = (uint64_t)settings->unsent_timeout_ms;
    limits->idle_timeout_ms = (uint64_t)settings->idle_timeout_ms;
}
