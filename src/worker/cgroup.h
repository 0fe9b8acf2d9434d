/* Control groups (cgroup v2): the kernel's own bounds for a worker's memory, processes and
 * processor time, where a folder of them is this server's to divide: systemd's Delegate=yes, or a
 * container with a cgroup of its own that it may write to.
 *
 * The spawner moves itself, and with it the front, into a group beside those of the workers,
 * because a group with processes of its own cannot divide what it has. For spawner*.c alone. */
#ifndef TENSORD_WORKER_CGROUP_H
#define TENSORD_WORKER_CGROUP_H

#include "base/process_limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct cgroup {
    int base; /* the folder; -1: there is none */
};

enum { CGROUP_NAME_BYTES = 48 };

/* Finds the folder and prepares it. Without one, `lack` says why. */
void cgroup_open(struct cgroup *ret_cgroup, char *lack, size_t size);
void cgroup_close(struct cgroup *cgroup);

/* Whether a folder can be divided into groups; then that is prepared. For cgroup_open, and tests.
 */
bool cgroup_prepare(int base, char *lack, size_t size);

/* The name of the group of a front's worker. */
void cgroup_name(pid_t front, uint64_t worker, char name[CGROUP_NAME_BYTES]);

/* Makes a group with these limits. False, with errno, when that fails; then there is none. */
bool cgroup_make(const struct cgroup *cgroup, const char *name,
                 const struct process_limits *limits);

/* Moves this process there. */
bool cgroup_enter(const struct cgroup *cgroup, const char *name);

/* Removes a group whose processes have ended, if there is one. True when the kernel had ended them
 * because they used more memory than they might. */
bool cgroup_remove(const struct cgroup *cgroup, const char *name);

#endif
