/* The listening sockets that the spawner holds for others; for spawner*.c alone. */
#ifndef TENSORD_WORKER_SPAWNER_SOCKETS_H
#define TENSORD_WORKER_SPAWNER_SOCKETS_H

#include "worker/spawner.h"

/* Names them in the environment: by their own numbers, or, with first_fd ≥ 0, by those from there
 * on. False with errno. */
bool spawner_sockets_export(const struct spawner_options *options, int first_fd);

/* Whether they stay open when a program is executed. */
void spawner_sockets_keep(const struct spawner_options *options, bool keep);

/* Closes them. */
void spawner_sockets_close(const struct spawner_options *options);

#endif
