/* What a model takes of the machine; see model_resources.h. */
#include "repository/model_resources.h"

enum {
    MAX_INSTANCES = 1024,
    LEAST_MEMORY_MIB = 16, /* with less no interpreter, or engine, starts at all; likewise: */
    LEAST_PIDS = 8,
    MOST_MIB = 1 << 30,
    MOST_CPUS = 65536,
};

/* The device of a group; the CPU when it does not say. */
static bool device_of(const struct inference_model_instance_group *group, struct arena *arena,
                      struct span *ret_device, struct error *ret_error)
{
    *ret_device = SPAN("cpu");
    if (group->kind == INFERENCE_MODEL_INSTANCE_GROUP_KIND_CPU)
        return true;
    if (group->kind != INFERENCE_MODEL_INSTANCE_GROUP_KIND_GPU && group->gpus.count == 0)
        return true;
    if (group->gpus.count > 1)
        return error_set(ret_error, ERROR_UNIMPLEMENTED,
                         "instances on several devices are not supported by this version");
    int32_t gpu = group->gpus.count ? group->gpus.items[0] : 0;
    if (gpu < 0)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'gpus' must be 0 or above");
    char *device = arena_printf(arena, "cuda:%d", gpu);
    *ret_device = span_of(device);
    return device || error_no_memory(ret_error);
}

bool model_resources_read_instances(const struct inference_model_instance_group *groups,
                                    size_t count, struct arena *arena, struct model_config *config,
                                    struct error *ret_error)
{
    config->device = SPAN("cpu");
    for (size_t i = 0; i < count; i++) {
        const struct inference_model_instance_group *group = &groups[i];
        struct span device;
        if (!device_of(group, arena, &device, ret_error))
            return false;
        if (i > 0 && !span_equal(device, config->device))
            return error_set(ret_error, ERROR_UNIMPLEMENTED,
                             "instances on several devices are not supported by this version");
        if (group->count < 0 || group->count > MAX_INSTANCES ||
            config->instance_count + (uint32_t)group->count > MAX_INSTANCES)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "the counts of 'instance_group' must be 0 to %d in all",
                             MAX_INSTANCES);
        config->device = device;
        config->instance_count += (uint32_t)group->count;
    }
    return true;
}

bool model_resources_read_workers(const struct tensord_workers_section *section,
                                  struct model_workers *ret_workers, struct error *ret_error)
{
    uint32_t max = section->count ? section->count : section->max;
    uint32_t min = section->count ? section->count : section->min ? section->min : 1;
    if (section->count && (section->min || section->max))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'workers' is a number, or has 'min' and 'max'");
    if (section->min && !max)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'workers.min' needs a 'workers.max'");
    if (max == 0 || max > MODEL_MAX_WORKERS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'workers', or 'workers.max', is 1 to %d", MODEL_MAX_WORKERS);
    if (min > max)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'workers.min' is more than 'workers.max'");
    *ret_workers = (struct model_workers){
        min, max, section->idle_after_s ? section->idle_after_s : MODEL_WORKER_IDLE_S};
    return true;
}

static bool read_gpus(const struct tensord_sandbox_section *section, struct span device,
                      struct process_limits *limits, struct error *ret_error)
{
    for (uint32_t i = 0; section && i < section->gpu.count; i++) {
        if (section->gpu.items[i] >= PROCESS_MAX_GPUS)
            return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                             "'sandbox.gpu' lists the numbers of GPUs, 0 to %d",
                             PROCESS_MAX_GPUS - 1);
        limits->gpus |= UINT32_C(1) << section->gpu.items[i];
    }
    uint64_t number; /* the one that its instances run on */
    if (span_starts_with(device, SPAN("cuda:")) && span_to_u64(span_after(device, 5), &number) &&
        number < PROCESS_MAX_GPUS)
        limits->gpus |= UINT32_C(1) << number;
    return true;
}

bool model_resources_read_sandbox(const struct tensord_sandbox_section *section, struct span device,
                                  struct process_limits *ret_limits, struct error *ret_error)
{
    *ret_limits = (struct process_limits){.gpus = 0};
    if (!read_gpus(section, device, ret_limits, ret_error))
        return false;
    if (!section)
        return true;
    if ((section->memory_mib && section->memory_mib < LEAST_MEMORY_MIB) ||
        section->memory_mib > MOST_MIB || section->scratch_mib > MOST_MIB)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'sandbox.memory_mib' is %d or more, and like 'scratch_mib' at most %d",
                         LEAST_MEMORY_MIB, MOST_MIB);
    if (section->pids && section->pids < LEAST_PIDS)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'sandbox.pids' is %d or more",
                         LEAST_PIDS);
    if (!(section->cpus >= 0 && section->cpus <= (double)MOST_CPUS))
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'sandbox.cpus' is a number of processors, such as 2.5");
    ret_limits->memory_mib = section->memory_mib;
    ret_limits->scratch_mib = section->scratch_mib;
    ret_limits->pids = section->pids;
    ret_limits->cpu_percent = (uint32_t)(section->cpus * 100);
    if (section->cpus > 0 && ret_limits->cpu_percent == 0)
        ret_limits->cpu_percent = 1;
    return true;
}

bool model_resources_read_residency(const struct tensord_residency_section *section,
                                    struct model_residency *ret_residency, struct error *ret_error)
{
    if (section->idle_after_s > MODEL_MOST_IDLE_S)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'residency.idle_after_s' is at most %d, a year", MODEL_MOST_IDLE_S);
    if (section->pin && section->idle_after_s)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT,
                         "'residency' has 'pin' and 'idle_after_s': what is pinned does not leave");
    if (section->memory_mib > MOST_MIB)
        return error_set(ret_error, ERROR_INVALID_ARGUMENT, "'residency.memory_mib' is at most %d",
                         MOST_MIB);
    *ret_residency =
        (struct model_residency){section->pin, section->idle_after_s, section->memory_mib};
    return true;
}
