/* What loads gave in the place of what lies in the repository, model by model. Of a model the last
 * one counts; the one before it is remembered until the load of the last has gone well, and counts
 * again when that has failed. One that is dropped stays in memory until no look reads it any more.
 * For watch.c alone. */
#ifndef TENSORD_REPOSITORY_OVERRIDES_H
#define TENSORD_REPOSITORY_OVERRIDES_H

#include "repository/repository.h"

struct override;

struct overrides {
    struct override *items[2 * REPOSITORY_MAX_OVERRIDES]; /* in the order in which they came */
    size_t count;
    uint64_t last; /* number */
    bool fewer;    /* set when there may be fewer versions by a change */
    struct override *dropped;
    /* A folder that was dropped is read no more; may be NULL. */
    void (*dropped_folder)(void *context, struct span folder);
    void *context;
};

/* As repository_watch_override, _keep_override and _end_override; the struct is zeroed at first. */
uint64_t overrides_put(struct overrides *overrides, const struct repository_override *override,
                       struct error *ret_error);
void overrides_keep(struct overrides *overrides, uint64_t number);
void overrides_end(struct overrides *overrides, uint64_t number);

/* Those that count; their texts live until overrides_free_dropped after they were dropped. */
size_t overrides_list(const struct overrides *overrides,
                      struct repository_override ret_list[REPOSITORY_MAX_OVERRIDES]);

/* No look reads what was dropped. */
void overrides_free_dropped(struct overrides *overrides);

/* Drops and frees all. */
void overrides_fini(struct overrides *overrides);

#endif
