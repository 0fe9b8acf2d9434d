/* Moving bytes between regions and memory, on threads (net/loop_work.h).
 *
 * Although all of it is memory, the loop must not do it: the kernel copies a large tensor for tens
 * of milliseconds; it may have to bring swapped pages back; and a write waits for the lock of the
 * object's inode, which a client holds for as long as it makes the object grow (fallocate). Such a
 * client can hold up threads, too: so only some of the loop's are ever used for this
 * (REGION_COPIES), and the other work that needs them goes on. */
#ifndef TENSORD_REGIONS_REGION_COPY_H
#define TENSORD_REGIONS_REGION_COPY_H

#include "net/loop_work.h"
#include "regions/regions.h"

enum { REGION_COPIES = 2 }; /* at once, of the loop's four threads */

/* A part of a region and the memory that it is read into, or written from. */
struct region_piece {
    struct region *region; /* in use (region_use) */
    uint64_t offset;       /* in the region */
    char *memory;          /* stays until `done` */
    uint64_t size_bytes;
};

/* One move of all pieces. The caller's, until `done`. */
struct region_copy {
    struct region_piece *pieces;
    size_t count;
    bool writes; /* memory to regions, or the reverse */
    /* All is moved (error.code is ERROR_OK), or something is not. Called in a later turn, once. */
    void (*done)(struct region_copy *copy);
    struct error error; /* ERROR_OK at first; else nothing is moved, and `done` is called with it */
    /* The module's own. */
    struct loop_work work;
    struct list_link link;
    struct regions *regions;
};

/* Starts to move the pieces: `pieces`, `count`, `writes`, `done` and `error` are set. A region
 * whose object has become too short fails it (INVALID_ARGUMENT), and so does an object that cannot
 * be written, for want of memory or because it was sealed. */
void region_copy_start(struct regions *regions, struct region_copy *copy);

#endif
