/* What this process and its machine use, from /proc. */
#ifndef TENSORD_TELEMETRY_PROCESS_H
#define TENSORD_TELEMETRY_PROCESS_H

#include "telemetry/metrics.h"

/* Remembers when the process started. To be called once, early. */
void process_init(struct server_metrics *server);

/* Fills in the members of the process and the machine; what cannot be read stays as it was. Reads a
 * few small files of /proc, which never wait for a disk. */
void process_measure(struct server_metrics *server);

#endif
