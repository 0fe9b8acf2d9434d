/* What the settings say of how much: memory, queues, bodies, times. */
#ifndef TENSORD_CMD_FRONT_LIMITS_H
#define TENSORD_CMD_FRONT_LIMITS_H

#include "api/api.h"
#include "regions/regions.h"
#include "settings/settings.h"

/* How models are served. The texts that the options point to stay for the life of the process. */
void front_serving_options(const struct settings *settings, struct serving_options *ret_options);

/* Says what there is of the resources that models share. Before the first model. False
 * (INVALID_ARGUMENT) when a setting is malformed. */
bool front_resources(const struct settings *settings, struct limiter *limiter,
                     struct error *ret_error);

/* Puts the limits that a reload may change in force, in all three. */
void front_limits_apply(const struct settings *settings, struct api *api, struct serving *serving,
                        struct http_server *http);

#endif
