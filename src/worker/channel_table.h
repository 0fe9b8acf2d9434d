/* What is with a worker now: requests and executions, by the ids that the worker is given. An id is
 * a place in the table and the place's generation, so that an old or invented id is never taken for
 * another's. Private to the front's end of the channel. */
#ifndef TENSORD_WORKER_CHANNEL_TABLE_H
#define TENSORD_WORKER_CHANNEL_TABLE_H

#include "worker/channel.h"

/* A request with the worker. */
struct request_entry {
    struct channel_request *request; /* NULL: the place is free */
    uint64_t id;
    uint32_t execution;    /* place of its execution */
    uint32_t credits;      /* non-final responses that it may still give */
    struct extent *extras; /* granted beside its grant */
    uint32_t extra_count, extra_capacity;
    uint32_t next_free;
};

/* An execution with the worker. */
struct execution_entry {
    bool live;
    uint64_t id;       /* the worker's name for it */
    uint64_t owner_id; /* the owner's */
    uint32_t unanswered;
    uint32_t next_free;
};

struct channel_table {
    struct request_entry *requests;
    uint32_t request_capacity, request_count, request_free;
    struct execution_entry *executions;
    uint32_t execution_capacity, execution_free;
};

void channel_table_init(struct channel_table *table);

/* Forgets everything; does not touch the requests. */
void channel_table_fini(struct channel_table *table);

/* Enters an execution and its requests, and marks them (slot, execution). False when there is no
 * memory or too much is with the worker already; nothing is entered then. */
bool channel_table_add(struct channel_table *table, uint64_t owner_id,
                       struct channel_request *const *requests, size_t count,
                       struct execution_entry **ret_execution);

/* The entry of a worker's id, or NULL when there is none such now. */
struct request_entry *channel_table_request(struct channel_table *table, uint64_t id);
struct execution_entry *channel_table_execution(struct channel_table *table, uint64_t id);

/* Takes a request out, after its final response; its execution has one fewer to wait for. */
void channel_table_remove(struct channel_table *table, struct request_entry *entry);

/* Takes an execution out; all its requests are out already. */
void channel_table_end(struct channel_table *table, struct execution_entry *execution);

/* Notes room granted to a request. False when it has too many pieces or there is no memory. */
bool request_entry_add_extra(struct request_entry *entry, struct extent extent);

/* True when the extent lies in the request's grant, in room granted later, or in one input. */
bool request_entry_owns(const struct request_entry *entry, struct extent extent);

#endif
