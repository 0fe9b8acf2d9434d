/* What a worker says: checks each record and tells the owner. No offset, length or id goes on
 * unchecked. Needs no loop and no ring, so that it can be fuzzed alone. Private to the front's end
 * of the channel. */
#ifndef TENSORD_WORKER_CHANNEL_INBOX_H
#define TENSORD_WORKER_CHANNEL_INBOX_H

#include "base/arena.h"
#include "worker/channel_table.h"

enum inbox_state { INBOX_LOADING, INBOX_READY, INBOX_FAILED };

struct channel_inbox {
    const struct channel_events *events;
    void *owner;
    struct channel_table *table;
    /* Sends the answer to a need of room: an extent, or why not (size 0). */
    void (*grant)(struct channel_inbox *inbox, uint64_t request, struct extent extent,
                  const struct error *error);
    bool closed; /* the owner has closed the channel: it is to be told nothing more */

    enum inbox_state state;
    struct arena arena; /* the schema, as it comes in */
    struct schema schema;
    size_t input_capacity, output_capacity;
    size_t name_bytes;              /* of all inputs and outputs */
    struct channel_tensor *outputs; /* of the response at hand: (schema.output_count) */
    bool *output_seen;              /* (schema.output_count) */
    uint32_t open_calls;
    uint64_t now_ns;       /* kept by whoever hands in records: */
    uint64_t log_until_ns; /* when the lines that were taken are paid for */
    uint64_t log_dropped;  /* lines since the last one that was taken */
};

/* Prepares for the records of a worker that loads. The other members but these are cleared. */
void channel_inbox_init(struct channel_inbox *inbox, const struct channel_events *events,
                        void *owner, struct channel_table *table);
void channel_inbox_fini(struct channel_inbox *inbox);

/* Takes a record (private memory, as ring_read gives it). NULL, or which rule of the channel it
 * breaks; then the worker is not to be listened to again. */
const char *channel_inbox_take(struct channel_inbox *inbox, const void *record);

#endif
