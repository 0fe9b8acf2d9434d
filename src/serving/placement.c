/* Where workers run; see placement.h. */
#include "serving/placement.h"

#include "serving/serving_options.h"

#include <assert.h>

/* Each is there. */
static bool check_cpus(const struct cpu_list *list, const struct serving_options *options,
                       struct error *ret_error)
{
    char text[CPU_LIST_TEXT_BYTES];
    uint32_t beyond = cpu_list_beyond(list, &options->cpus);
    return beyond == CPU_LIST_MAX ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "'cpuset' names processor %u, but the server has %s: name some of these, or "
                     "'all'",
                     beyond, cpu_list_text(&options->cpus, text));
}

static bool share_out(struct placement *placement, const struct cpu_list *list, uint32_t workers,
                      struct error *ret_error)
{
    if (cpu_list_count(list) < workers)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'cpuset' has %u processors for %u workers: name one for each at least, "
                         "have fewer 'workers', or list in 'cpuset.each' which they share",
                         cpu_list_count(list), workers);
    for (uint32_t i = 0; i < workers; i++)
        placement->cpus[i] = cpu_list_part(list, i, workers);
    return true;
}

bool placement_make(struct placement *placement, struct arena *arena,
                    const struct model_placement *config, uint32_t workers,
                    const struct serving_options *options, struct error *ret_error)
{
    bool each = config->cpus_count > 1 || (config->cpus_count && workers == 1);
    *placement = (struct placement){.gpu_count = config->gpu_count};
    placement->gpus = arena_calloc(arena, config->gpu_count, sizeof *placement->gpus);
    if (!placement->gpus)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < config->gpu_count; i++)
        placement->gpus[i] = config->gpus[i];
    if (!config->all_cpus && !config->cpus_count)
        return true;
    placement->cpus = arena_calloc(arena, workers, sizeof *placement->cpus);
    if (!placement->cpus)
        return error_no_memory(ret_error);
    if (config->all_cpus)
        return share_out(placement, &options->cpus, workers, ret_error);
    for (size_t i = 0; i < config->cpus_count; i++) {
        if (!check_cpus(&config->cpus[i], options, ret_error))
            return false;
    }
    if (!each)
        return share_out(placement, &config->cpus[0], workers, ret_error);
    if (config->cpus_count != workers)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'cpuset.each' has %zu sets for %u workers: list one for each",
                         config->cpus_count, workers);
    for (uint32_t i = 0; i < workers; i++)
        placement->cpus[i] = config->cpus[i];
    return true;
}

uint32_t placement_threads(const struct placement *placement, uint32_t workers,
                           uint32_t cpu_percent, const struct serving_options *options)
{
    uint32_t share = options->cpu_share / (workers ? workers : 1);
    uint32_t limit = cpu_percent / 100 + (cpu_percent % 100 > 0);
    if (options->threads || placement->cpus || workers < 2)
        return options->threads;
    if (limit && limit < share)
        share = limit;
    return share ? share : 1;
}

size_t placement_take(struct placement *placement)
{
    size_t place = 0;
    while (placement->taken[place])
        place++;
    assert(place < MODEL_MAX_WORKERS);
    placement->taken[place] = true;
    return place;
}

void placement_leave(struct placement *placement, size_t place)
{
    assert(placement->taken[place]);
    placement->taken[place] = false;
}

void placement_limit(const struct placement *placement, size_t place, struct process_limits *limits)
{
    if (placement->cpus)
        limits->cpus = placement->cpus[place];
    if (!placement->gpu_count)
        return;
    uint32_t gpu = placement->gpus[place % placement->gpu_count];
    limits->gpus = UINT32_C(1) << gpu;
    limits->only_gpu = gpu + 1;
}
