/* The keeper of a managed server: a worker whose engine is a program that speaks HTTP.
 *
 * It has the program started by its warden, finds out when it serves, tells its output as the
 * model's log, hands the front connections to it, and ends when it ends. So a managed server is
 * started, restarted, stopped and given up like any other model. It reads no request and, of the
 * server's answers, none but the status of the health path. */
#ifndef TENSORD_WORKER_KEEPER_H
#define TENSORD_WORKER_KEEPER_H

#include "worker/worker_main.h"

/* Keeps context->spec->server until the front says stop, or the server has ended. Returns the
 * process's exit status. */
int keeper_run(const struct worker_context *context);

#endif
