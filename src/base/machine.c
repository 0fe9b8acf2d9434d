/* The machine's memory and processors, as far as they are ours; see machine.h. */
#include "base/machine.h"

#include "base/span.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096 };

static struct span read_text(const char *path, char text[TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, TEXT_BYTES);
    if (fd >= 0)
        close(fd);
    return (struct span){text, size > 0 ? (size_t)size : 0};
}

/* The text of a group's file. */
static struct span read_of_group(const char *root, struct span group, const char *file,
                                 char text[TEXT_BYTES])
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s%.*s/%s", root, SPAN_ARGS(group), file);
    if (size < 0 || (size_t)size >= sizeof path)
        return (struct span){text, 0};
    return read_text(path, text);
}

/* "max", or what cannot be read, is no limit. */
static uint64_t limit_at(const char *root, struct span group, const char *file)
{
    char text[TEXT_BYTES];
    uint64_t limit;
    struct span found = read_of_group(root, group, file, text);
    return span_to_u64(span_split(&found, '\n'), &limit) ? limit : UINT64_MAX;
}

static uint64_t percent(uint64_t quota_us, uint64_t period_us)
{
    if (!period_us || quota_us > UINT64_MAX / 200)
        return UINT64_MAX;
    return (quota_us * 100 + period_us - 1) / period_us;
}

/* "QUOTA PERIOD", or "max PERIOD". */
static uint64_t cpu_percent_at(const char *root, struct span group, const char *file)
{
    char text[TEXT_BYTES];
    uint64_t quota_us, period_us;
    struct span found = read_of_group(root, group, file, text);
    struct span line = span_split(&found, '\n'), first = span_split(&line, ' ');
    bool limited = span_to_u64(first, &quota_us) && span_to_u64(line, &period_us);
    return limited ? percent(quota_us, period_us) : UINT64_MAX;
}

/* Of version 1: the quota is -1 where there is none. */
static uint64_t old_cpu_percent_at(const char *root, struct span group, const char *file)
{
    uint64_t quota_us = limit_at(root, group, file);
    return percent(quota_us, limit_at(root, group, "cpu.cfs_period_us"));
}

typedef uint64_t reader(const char *root, struct span group, const char *file);

static uint64_t least_upwards(reader *read, const char *root, struct span group, const char *file)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        uint64_t limit = read(root, group, file);
        least = limit < least ? limit : least;
        if (!group.size)
            return least;
        while (group.size && group.data[group.size - 1] != '/')
            group.size--;
        group.size -= group.size > 0; /* the slash */
    }
}

/* Where a limit stands in cgroups of version 2, and of version 1. */
struct place {
    reader *read;
    const char *file;
    const char *controller; /* of version 1, and its folder */
    reader *old_read;
    const char *old_file;
};

/* Controllers are listed with commas, where one folder has several. */
static bool lists(struct span controllers, const char *name)
{
    while (controllers.data) {
        if (span_equal(span_split(&controllers, ','), span_of(name)))
            return true;
    }
    return false;
}

/* A line is NUMBER:CONTROLLERS:PATH; version 2 has no controllers there. A container sees its own
 * group as the root, whatever the path says: then what is not found is passed over. */
static uint64_t least_of(const struct place *place, const char *root, const char *groups)
{
    struct span text = span_of(groups);
    uint64_t least = UINT64_MAX;
    while (text.data) {
        struct span line = span_split(&text, '\n');
        span_split(&line, ':');
        struct span controllers = span_split(&line, ':');
        uint64_t limit = UINT64_MAX;
        char below[PATH_MAX];
        if (line.data && !controllers.size)
            limit = least_upwards(place->read, root, line, place->file);
        else if (line.data && lists(controllers, place->controller)) {
            snprintf(below, sizeof below, "%s/%s", root, place->controller);
            limit = least_upwards(place->old_read, below, line, place->old_file);
        }
        least = limit < least ? limit : least;
    }
    return least;
}

uint64_t machine_cgroup_bytes(const char *root, const char *groups)
{
    static const struct place memory = {limit_at, "memory.max", "memory", limit_at,
                                        "memory.limit_in_bytes"};
    return least_of(&memory, root, groups);
}

uint64_t machine_cgroup_cpu_percent(const char *root, const char *groups)
{
    static const struct place cpu = {cpu_percent_at, "cpu.max", "cpu", old_cpu_percent_at,
                                     "cpu.cfs_quota_us"};
    return least_of(&cpu, root, groups);
}

uint64_t machine_memory_bytes(void)
{
    char text[TEXT_BYTES + 1];
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    text[read_text("/proc/self/cgroup", text).size] = '\0';
    uint64_t group = machine_cgroup_bytes("/sys/fs/cgroup", text);
    return group < machine ? group : machine;
}

struct cpu_list machine_cpus(void)
{
    enum { KERNEL_MOST_CPUS = 8192 };
    struct cpu_list list = {{0}};
    cpu_set_t *set = CPU_ALLOC(KERNEL_MOST_CPUS);
    size_t size = CPU_ALLOC_SIZE(KERNEL_MOST_CPUS);
    if (set && sched_getaffinity(0, size, set) == 0) {
        for (uint32_t number = 0; number < CPU_LIST_MAX; number++) {
            if (CPU_ISSET_S(number, size, set))
                cpu_list_add(&list, number);
        }
    }
    CPU_FREE(set);
    return list;
}

uint32_t machine_processors(void)
{
    char text[TEXT_BYTES + 1];
    const struct cpu_list cpus = machine_cpus();
    uint32_t count = cpu_list_count(&cpus);
    text[read_text("/proc/self/cgroup", text).size] = '\0';
    uint64_t share = machine_cgroup_cpu_percent("/sys/fs/cgroup", text);
    share = share / 100 + (share % 100 > 0);
    count = count ? count : 1;
    return share && share < count ? (uint32_t)share : count;
}
