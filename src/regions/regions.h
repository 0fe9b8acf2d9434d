/* Shared memory that clients have registered: POSIX shared memory objects of this machine, by
 * descriptors that are never mapped, since a client may cut an object short at any time, and who
 * has mapped it then gets a signal. Bytes are moved by pread and pwrite (region_copy.h), which then
 * say so.
 *
 * A region belongs to the caller that has registered it: names are its own, and nobody else sees or
 * uses them. Callers without a token on this machine are one caller. All calls are for the loop's
 * thread. */
#ifndef TENSORD_REGIONS_REGIONS_H
#define TENSORD_REGIONS_REGIONS_H

#include "base/caller.h"
#include "base/list.h"
#include "base/map.h"
#include "worker/spawner.h"

#include <limits.h>

struct regions {
    struct loop *loop;
    struct spawner_client *spawner;
    unsigned task;       /* the spawner's that runs region_open_run */
    size_t limit;        /* of regions; each holds a descriptor */
    struct map names;    /* region.key → struct region */
    struct list all;     /* of struct region, in the order of their registration */
    size_t count;        /* those that are being opened included */
    struct list opening; /* of struct region: processes that run, then those that wait */
    size_t running;      /* of these */
    struct list copies;  /* of struct region_copy: those that wait for a thread */
    size_t copying;      /* those that have one */
};

struct region;

/* What is to be registered. The caller's, with its texts, until `done`. */
struct region_wish {
    struct span name, key;
    uint64_t offset, size_bytes;
    struct caller owner;
    /* It is registered (ERROR_OK), or why not. Called in a later turn, once. */
    void (*done)(struct region_wish *wish, const struct error *error);
    struct region *region; /* the module's own */
};

/* One region as its owner sees it. */
struct region_status {
    struct span name, key; /* views, until the loop's turn ends */
    uint64_t offset, size_bytes;
};

/* Starts without regions; `task` is the spawner's, in its table. */
void regions_init(struct regions *regions, struct loop *loop, struct spawner_client *spawner,
                  unsigned task);

/* Registers shared memory; it is opened in a process of its own. False: INVALID_ARGUMENT when name,
 * key or part cannot be, ALREADY_EXISTS, RESOURCE_EXHAUSTED when there are as many as may be. */
bool regions_register(struct regions *regions, struct region_wish *wish, struct error *ret_error);

/* Forgets one region of the owner; an unknown one is none, too. False (INVALID_ARGUMENT) while a
 * request uses it: its memory is still read or written. */
bool regions_unregister(struct regions *regions, struct caller owner, struct span name,
                        struct error *ret_error);

/* Forgets all regions of the owner that no request uses. False, with their names, when others are
 * left. */
bool regions_unregister_all(struct regions *regions, struct caller owner, struct error *ret_error);

/* Visits the owner's regions; start with *position NULL. False at the end. The regions must not
 * change meanwhile. */
bool regions_next(const struct regions *regions, struct caller owner, struct list_link **position,
                  struct region_status *ret_status);

/* What is known of one. False (NOT_FOUND) when the owner has none of that name. */
bool regions_status(const struct regions *regions, struct caller owner, struct span name,
                    struct region_status *ret_status, struct error *ret_error);

/* Finds the owner's region for a request that wants [offset, offset + size) of it; it cannot be
 * unregistered until region_leave. NULL: NOT_FOUND, or INVALID_ARGUMENT for a part that it does not
 * have. */
struct region *region_use(const struct regions *regions, struct caller owner, struct span name,
                          uint64_t offset, uint64_t size_bytes, struct error *ret_error);
void region_leave(struct region *region);

/* ---- for region_copy.c ---- */

int region_fd(const struct region *region);
uint64_t region_offset(const struct region *region); /* where it begins in its object */
struct span region_name(const struct region *region);

#endif
