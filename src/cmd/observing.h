/* How the front lets itself be seen: the log, the metrics, traces, by the settings. */
#ifndef TENSORD_CMD_OBSERVING_H
#define TENSORD_CMD_OBSERVING_H

#include "api/api.h"
#include "settings/settings.h"

/* Makes the log as the settings say; first of all, and again when they have changed. */
void log_start(const struct settings *settings);

/* Prepares the front's log, metrics and traces. False with a sentence when traces cannot be. */
bool observing_init(const struct settings *settings, struct error *ret_error);

/* Starts the exporter of traces, if one is wanted. */
void observing_start(struct loop *loop, struct spawner_client *spawner);

/* Sends what is left of traces, then calls `stopped`. */
void observing_stop(void (*stopped)(void *context), void *context);

/* Fills in what the API is to log and tell of each request; again when settings have changed. */
void observing_api(const struct settings *settings, struct api *api);

#endif
