/* Upgrades of the program in place; for spawner.c alone.
 *
 * The spawner executes the new program in its own process, so that its process id, which systemd, a
 * shell or a container's runtime knows, stays, and so do its children: the front that serves and
 * its workers. What the new program has to know of them it finds in a file in memory, whose
 * descriptor the environment names. The new program is asked first whether it would start with
 * these arguments. */
#ifndef TENSORD_WORKER_SPAWNER_UPGRADE_H
#define TENSORD_WORKER_SPAWNER_UPGRADE_H

#include <signal.h>

#include "worker/spawner_front.h"

/* What is handed over has this form; a program that knows another refuses the check. */
#define SPAWNER_UPGRADE_VERSION "3"
#define SPAWNER_UPGRADE_VERSION_VARIABLE "TENSORD__UPGRADE_VERSION"

/* Starts `PROGRAM check ARGUMENT…`, which has the listening sockets, and returns its process id, or
 * -1 with errno. Its exit status is 0 when the program at that path would start; otherwise it has
 * said why on standard error. */
pid_t spawner_upgrade_check(const struct spawner_options *options);

/* In the role `check`: true when a program that is to be upgraded to this one hands over its front
 * in a form that this one understands; true, too, when nobody hands over. */
bool spawner_upgrade_understood(void);

/* Executes the program at the same path as `serve` with the same arguments, and hands the front
 * over to it. Returns only when that fails, after saying so; then nothing has changed. */
void spawner_upgrade_execute(const struct spawner_options *options,
                             const struct spawner_front *front);

/* At the start: takes over the front that an older program has left in this process. False, and
 * *front as it was, when there is none. */
bool spawner_upgrade_adopt(struct spawner_front *front, const struct spawner_child *child);

#endif
