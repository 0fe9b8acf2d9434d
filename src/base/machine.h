/* What the machine has, or as much of it as this process's container allows. */
#ifndef TENSORD_BASE_MACHINE_H
#define TENSORD_BASE_MACHINE_H

#include "base/cpu_list.h"

/* Memory that processes here may use: the machine's, or the least that the control groups of this
 * process allow. Reads files. */
uint64_t machine_memory_bytes(void);

/* The least limit of a cgroup and those above it, or UINT64_MAX. `groups` is the text of a
 * /proc/PID/cgroup, `root` stands for /sys/fs/cgroup. For machine_memory_bytes, and tests. */
uint64_t machine_cgroup_bytes(const char *root, const char *groups);

/* The processors that this process may run on. */
struct cpu_list machine_cpus(void);

/* How many of those it is given the time of: the least share that its control groups allow, rounded
 * up, and at least one. Reads files. */
uint32_t machine_processors(void);

/* The processors that a cgroup and those above it allow, in hundredths, or UINT64_MAX; arguments as
 * of machine_cgroup_bytes. */
uint64_t machine_cgroup_cpu_percent(const char *root, const char *groups);

#endif
