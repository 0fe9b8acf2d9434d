/* What the machine has, or as much of it as this process's container allows. */
#ifndef TENSORD_BASE_MACHINE_H
#define TENSORD_BASE_MACHINE_H

#include <stdint.h>

/* Memory that processes here may use: the machine's, or the least that the control groups of this
 * process allow. Reads files. */
uint64_t machine_memory_bytes(void);

/* The least limit of a cgroup and those above it, or UINT64_MAX. `groups` is the text of a
 * /proc/PID/cgroup, `root` stands for /sys/fs/cgroup. For machine_memory_bytes, and tests. */
uint64_t machine_cgroup_bytes(const char *root, const char *groups);

#endif
