/* A ring of records between two processes: one writes, one reads, neither trusts the other.
 *
 * Each end keeps its own position in private memory and publishes it; what it reads of the other's
 * is checked before use. A reader that is about to block says so, and only then does the writer
 * ring its doorbell. "Full" is a state, not an error. One thread at a time at each end; the two
 * ends need no lock. */
#ifndef TENSORD_WORKER_RING_H
#define TENSORD_WORKER_RING_H

#include "worker/channel_layout.h"

#include <stdbool.h>

/* One end of a ring. */
struct ring {
    struct ring_shared *shared;
    unsigned char *data;
    uint64_t head;      /* writer: where the next record goes; reader: as last seen */
    uint64_t tail;      /* reader: where the next record is; writer: as last seen */
    uint64_t published; /* reader: the tail that the writer has been told of */
};

enum ring_state {
    RING_RECORD, /* one was read, or written */
    RING_EMPTY,
    RING_FULL,
    RING_BROKEN, /* the other side has written nonsense: it is not to be spoken to again */
};

/* Either end of a ring whose positions are both 0. */
void ring_init(struct ring *ring, struct ring_shared *shared, void *data);

/* ---- the writer's end ---- */

/* Writes a record, whose head says its size, ≤ RING_RECORD_MAX: RING_RECORD, RING_FULL or
 * RING_BROKEN. The reader may read it at once. */
enum ring_state ring_write(struct ring *ring, const void *record);

/* True when the reader sleeps; then its doorbell is to be rung, by this caller. To be asked after
 * writing, once for any number of records. */
bool ring_must_wake(struct ring *ring);

/* Waits until the reader has taken something or `timeout_ms` is over. Only a worker waits so. */
void ring_wait_room(struct ring *ring, unsigned timeout_ms);

/* ---- the reader's end ---- */

/* Copies the next record out, into `copy` (RING_RECORD_MAX bytes, aligned to 8): RING_RECORD,
 * RING_EMPTY or RING_BROKEN. What is copied is read once and stays as it was. */
enum ring_state ring_read(struct ring *ring, void *copy, uint32_t *ret_size);

/* Makes the room of what was read the writer's again, and wakes a writer that waits for room. */
void ring_publish(struct ring *ring);

/* Says that the reader is about to block. False: there is something to read, do not. */
bool ring_sleep(struct ring *ring);

/* Says that the reader is awake and needs no doorbell. */
void ring_awake(struct ring *ring);

#endif
