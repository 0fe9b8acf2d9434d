/* Records that wait to be posted: when the next batch is due, and what follows from how the last
 * one went. Pure; times are CLOCK_MONOTONIC. */
#ifndef TENSORD_EXPORTER_EXPORT_QUEUE_H
#define TENSORD_EXPORTER_EXPORT_QUEUE_H

#include "base/buf.h"

enum {
    EXPORT_QUEUE_BYTES = 4 << 20,
    EXPORT_READ_BYTES = 64 * 1024, /* of one read */
    EXPORT_ATTEMPTS = 12,          /* then a batch is given up: after some five minutes */
    EXPORT_BACK_OFF_MS = 500,      /* after the first failure; doubles */
    EXPORT_BACK_OFF_MAX_MS = 30000,
};

/* How a post went. */
enum export_result {
    EXPORT_TAKEN,   /* the collector has it */
    EXPORT_LATER,   /* it cannot take it now, or cannot be reached */
    EXPORT_REFUSED, /* it never will */
};

struct export_queue {
    struct buf records;
    size_t count;         /* of whole records */
    size_t counted_bytes; /* that they take */
    uint64_t delay_ms, batch;
    uint64_t first_ns;    /* when the oldest came */
    uint64_t retry_ns;    /* not before; 0: at any time */
    unsigned failures;    /* in a row, of the batch at the head */
    size_t sending_bytes; /* of the batch that is under way; 0: none */
    size_t sending_count;
    bool hurried; /* nothing more will come */
    uint64_t exported, lost;
};

void export_queue_init(struct export_queue *queue, uint64_t delay_ms, uint64_t batch);
void export_queue_fini(struct export_queue *queue);

/* Where received bytes go; size 0 when the queue is full. */
struct room export_queue_room(struct export_queue *queue);

/* `count` bytes were received into that room. False when they are no records. */
bool export_queue_received(struct export_queue *queue, size_t count, uint64_t now_ns);

/* When a batch is to be posted; CLOCK_NEVER while one is under way, or there is nothing. */
uint64_t export_queue_due_ns(const struct export_queue *queue);

/* A batch of the first `bytes`, `count` records, is under way. */
void export_queue_begin(struct export_queue *queue, size_t bytes, size_t count);

/* It has ended. retry_after_ms: what the collector asks for; 0: nothing. */
void export_queue_end(struct export_queue *queue, enum export_result result,
                      uint64_t retry_after_ms, uint64_t now_ns);

#endif
