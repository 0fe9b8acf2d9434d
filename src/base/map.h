/* A hash map from byte strings to pointers. Keyed by a random seed (SipHash-1-3), so that a client
 * who chooses keys cannot make it slow. Not for several threads at once. */
#ifndef TENSORD_BASE_MAP_H
#define TENSORD_BASE_MAP_H

#include "base/span.h"

struct map_slot {
    struct span key; /* belongs to the caller, as long as it is in the map */
    void *value;     /* NULL: the slot is free */
    uint64_t hash;
};

struct map {
    struct map_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

void map_init(struct map *map);
void map_fini(struct map *map);

/* The value at key, or NULL. */
void *map_get(const struct map *map, struct span key);

/* Sets the value (not NULL) at key; the key's bytes must outlive the entry. False when there is no
 * memory. */
bool map_set(struct map *map, struct span key, void *value);

/* Takes the entry out and returns its value, or NULL. */
void *map_remove(struct map *map, struct span key);

/* Visits the entries in no order: start with *position 0; false at the end. The map must not change
 * meanwhile. */
bool map_next(const struct map *map, size_t *position, struct map_slot *ret_slot);

#endif
