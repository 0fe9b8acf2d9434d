/* Who waits for a load of a model that was asked for (model_load): told once, when none of its
 * versions is on its way any more. All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_LOAD_WAITERS_H
#define TENSORD_SERVING_LOAD_WAITERS_H

struct error;
struct model;

/* Drops the versions that were held for the load that has gone well. */
void model_drop_held(struct model *model);

/* Tells those who wait that it has ended, so. */
void load_waiters_tell(struct model *model, const struct error *error);

/* Tells them, if it has: all versions have settled since the scan that they wait for. */
void load_waiters_look(struct model *model);

#endif
