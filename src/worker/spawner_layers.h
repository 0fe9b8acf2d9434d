/* The layers of the sandbox that a server has on this machine; for spawner.c alone. */
#ifndef TENSORD_WORKER_SPAWNER_LAYERS_H
#define TENSORD_WORKER_SPAWNER_LAYERS_H

#include "worker/spawner_child.h"

/* The mode that the options name. False with a sentence when there is none of that name, or when it
 * is strict and something is missing here. Forks and waits. */
bool spawner_layers_check(const struct spawner_options *options, enum sandbox_mode *ret_mode,
                          struct error *ret_error);

/* Finds out what the children of this mode can have, and says it, and what is missing. */
void spawner_layers_find(struct spawner_child *child);

#endif
