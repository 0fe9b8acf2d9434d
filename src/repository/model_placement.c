/* Where a model's workers run; see model_placement.h. */
#include "repository/model_placement.h"

#include "base/process_limits.h"

static bool read_cpus(struct span text, struct cpu_list *ret_list, struct error *ret_error)
{
    return cpu_list_read(text, ret_list) ||
           error_set(ret_error, ERROR_INVALID_ARGUMENT,
                     "'cpuset' names processors, such as 0-3,8, below %d, or 'all'; not '%.*s'",
                     CPU_LIST_MAX, SPAN_ARGS(text));
}

static bool read_cpuset(const struct tensord_cpuset_section *section, struct arena *arena,
                        struct model_placement *placement, struct error *ret_error)
{
    if (!section->shared.size == !section->each.count)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'cpuset' names processors, such as 0-3,8, or has a list 'each' of as "
                         "many sets as there are workers");
    placement->all_cpus = span_equal(section->shared, SPAN("all"));
    if (placement->all_cpus)
        return true;
    if (section->each.count > MODEL_MAX_WORKERS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'cpuset.each' has at most %d sets, one for each worker",
                         MODEL_MAX_WORKERS);
    placement->cpus_count = section->shared.size ? 1 : section->each.count;
    placement->cpus = arena_calloc(arena, placement->cpus_count, sizeof *placement->cpus);
    if (!placement->cpus)
        return error_no_memory(ret_error);
    for (size_t i = 0; i < placement->cpus_count; i++) {
        struct span text = section->shared.size ? section->shared : section->each.items[i];
        if (!read_cpus(text, &placement->cpus[i], ret_error))
            return false;
    }
    return true;
}

static bool read_gpus(const struct tensord_model_sections *sections, struct span device,
                      struct model_placement *placement, struct error *ret_error)
{
    size_t count = sections->gpus.count;
    if (count &&
        (!span_equal(device, SPAN("cpu")) || (sections->sandbox && sections->sandbox->gpu.count)))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'gpus' excludes 'instance_group' on a GPU and 'sandbox.gpu': each worker "
                         "has one of those that it lists");
    if (count > MODEL_MAX_WORKERS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'gpus' lists at most %d, one for each worker", MODEL_MAX_WORKERS);
    for (size_t i = 0; i < count; i++) {
        if (sections->gpus.items[i] >= PROCESS_MAX_GPUS)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'gpus' lists the numbers of GPUs, 0 to %d", PROCESS_MAX_GPUS - 1);
    }
    placement->gpus = sections->gpus.items;
    placement->gpu_count = count;
    return true;
}

bool model_placement_read(const struct tensord_model_sections *sections, struct span device,
                          struct arena *arena, struct model_placement *ret_placement,
                          struct error *ret_error)
{
    *ret_placement = (struct model_placement){.gpu_count = 0};
    return (!sections->cpuset || read_cpuset(sections->cpuset, arena, ret_placement, ret_error)) &&
           read_gpus(sections, device, ret_placement, ret_error);
}
