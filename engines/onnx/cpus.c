/* Counting processors; see cpus.h. A container sees all processors of its machine and is given the
 * time of a few: threads beyond those only take turns, and are stopped in the middle of a run. */
#include "onnx/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"

enum { MAX_CPUS = 8192 };

static unsigned affinity_count(void)
{
    cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
    size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
    int count = 0;
    if (set && sched_getaffinity(0, size, set) == 0)
        count = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (count <= 0)
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

/* The first line of a file, or an empty one. */
static char *first_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(line, size, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    return line;
}

static unsigned whole(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0 || quota_us / period_us >= INT_MAX)
        return UINT_MAX;
    return (unsigned)((quota_us + period_us - 1) / period_us);
}

/* The share of the group and of all that it is in: cgroup 2's cpu.max, "QUOTA PERIOD" or "max …",
 * both in microseconds. */
static unsigned group_share(char *group)
{
    unsigned share = UINT_MAX;
    for (;;) {
        char path[PATH_MAX + 64], line[64];
        long long quota_us, period_us;
        snprintf(path, sizeof path, CGROUPS "%s/cpu.max", group);
        /* NOLINTNEXTLINE(cert-err34-c): the kernel writes no number that does not fit */
        if (sscanf(first_line(path, line, sizeof line), "%lld %lld", &quota_us, &period_us) == 2 &&
            whole(quota_us, period_us) < share)
            share = whole(quota_us, period_us);
        char *slash = strrchr(group, '/');
        if (!slash)
            return share;
        *slash = '\0';
    }
}

/* cgroup 1, as a container sees it. */
static unsigned old_share(void)
{
    char quota[64], period[64];
    long long quota_us = 0, period_us = 0;
    first_line(CGROUPS "/cpu/cpu.cfs_quota_us", quota, sizeof quota);
    first_line(CGROUPS "/cpu/cpu.cfs_period_us", period, sizeof period);
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes no number that does not fit */
    if (sscanf(quota, "%lld", &quota_us) != 1 || sscanf(period, "%lld", &period_us) != 1)
        return UINT_MAX;
    return whole(quota_us, period_us);
}

static unsigned quota_count(void)
{
    char line[PATH_MAX];
    first_line("/proc/self/cgroup", line, sizeof line);
    if (strncmp(line, "0::", 3) != 0)
        return old_share();
    char *group = line + 3;
    group[strcspn(group, "\n")] = '\0';
    return group_share(group);
}

unsigned onnx_cpu_count(void)
{
    unsigned may_use = affinity_count(), share = quota_count();
    return share < may_use ? share : may_use;
}
