/* The layout of a channel: all that a worker in another language needs to know, and the one file
 * that both ends share. It needs nothing but the C library.
 *
 * A worker is given four descriptors:
 *   rings      a memfd: struct channel_shared, then RING_BYTES of records to the worker, then
 *              RING_BYTES of records to the front.
 *   tensors    a memfd that holds tensors; offsets in records are offsets into it.
 *   to_worker  the reading end of a pipe: a byte comes when the worker sleeps and has records.
 *   to_front   the writing end of a pipe: a byte is written when the front sleeps.
 * (Pipes, not eventfds: each side has a file description of its own, so that no worker can turn the
 * front's end into a blocking one.)
 *
 * A ring: positions count bytes from the beginning and never wrap; position modulo RING_BYTES is
 * the place. head is written by the writer, tail by the reader. A record starts at a multiple of 8
 * and never crosses the ring's end: a RECORD_PADDING record fills up what is too small.
 *
 * All numbers are little-endian as the machine has them. Every part of a record is padded with
 * zeros to a multiple of 8 bytes. Strings are followed by at least one NUL that their size does not
 * count. */
#ifndef TENSORD_WORKER_CHANNEL_LAYOUT_H
#define TENSORD_WORKER_CHANNEL_LAYOUT_H

#include <stdint.h>

#define CHANNEL_MAGIC UINT32_C(0x74646368)
#define CHANNEL_VERSION 7
#define RING_BYTES (UINT32_C(512) << 10)
/* A record that fits an empty ring wherever its end is: with the padding before it, half and half.
 * One request with 1,024 inputs of 16 dimensions fits. */
#define RING_RECORD_MAX (RING_BYTES / 2)

/* The shared words of a ring. Writer's and reader's lie on cache lines of their own. */
struct ring_shared {
    _Alignas(64) uint64_t head;     /* the writer's position; stored with release */
    uint32_t writer_waits;          /* the writer waits for room: a futex on `room` */
    _Alignas(64) uint64_t tail;     /* the reader's position; stored with release */
    uint32_t room;                  /* changes when the reader has made room for a waiting writer */
    _Alignas(64) uint32_t sleeping; /* the reader is about to block */
};

struct channel_shared {
    uint32_t magic;
    uint32_t version;
    struct ring_shared to_worker;
    struct ring_shared to_front;
};

#define CHANNEL_TO_WORKER_OFFSET UINT32_C(4096)
#define CHANNEL_TO_FRONT_OFFSET (CHANNEL_TO_WORKER_OFFSET + RING_BYTES)
#define CHANNEL_RINGS_SIZE (CHANNEL_TO_FRONT_OFFSET + RING_BYTES)

enum record_type {
    RECORD_PADDING = 0,
    /* To the worker. */
    RECORD_EXECUTE = 1, /* record_execute; requests: record_request, its tensors, its parameters,
                           its id */
    RECORD_CANCEL,      /* record_request_id */
    RECORD_CREDIT,      /* record_credit: the oldest unreturned answers are no longer needed */
    RECORD_GRANT,       /* record_grant, message */
    RECORD_CALL_ANSWER, /* record_call_answer, message, tensors with names */
    RECORD_STOP,        /* nothing */
    /* To the front. */
    RECORD_LOADING = 64, /* record_loading */
    RECORD_SCHEMA,       /* record_schema: an input or output, in order; name, dims */
    RECORD_READY,        /* record_ready, platform, engine, note: after all RECORD_SCHEMA */
    RECORD_FAILED,       /* record_failed, message */
    RECORD_RESPONSE,     /* record_response, message, tensors */
    RECORD_EXECUTED,     /* record_executed: after the final response of each of its requests */
    RECORD_NEED_ROOM,    /* record_need_room; answered by RECORD_GRANT */
    RECORD_CALL,         /* record_call, model, tensors with names; answered by CALL_ANSWER */
    RECORD_LOG,          /* record_log, line */
    RECORD_STATS,        /* record_stats */
    RECORD_RELEASED,     /* record_request_id: of a request whose final response said `kept` */
};

struct record_head {
    uint32_t size; /* of the whole record, this head included, before padding to 8 */
    uint32_t type;
};

/* A tensor: followed by int64 dims[ndim], then its name when the record says "with names". */
struct record_tensor {
    uint32_t index; /* into the schema's inputs or outputs */
    uint32_t datatype;
    uint32_t ndim;
    uint32_t name_size; /* 0 where names are not sent */
    uint64_t offset;    /* into the tensor memory */
    uint64_t size_bytes;
};

/* A parameter: followed by key and value, each a string. */
struct record_parameter {
    uint32_t key_size;
    uint32_t value_size;
    uint32_t literal; /* as struct parameter says */
    uint32_t reserved;
};

struct record_execute {
    uint64_t execution; /* echoed by RECORD_EXECUTED */
    uint32_t request_count;
    uint32_t needs_us; /* until the deadline, or it is not begun; 0: it always is */
};

struct record_request {
    uint64_t request;     /* the front's id for it: the low half is below CHANNEL_MAX_REQUESTS */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
    uint64_t grant_offset;
    uint64_t grant_size;
    uint64_t wanted_outputs;
    uint32_t credits;
    uint32_t input_count;
    uint32_t parameter_count;
    uint32_t id_size; /* 0: no id is sent */
};

#define CHANNEL_MAX_REQUESTS 4096
#define CHANNEL_MAX_ID 1024 /* bytes of a client's name of a request */

struct record_request_id {
    uint64_t request;
};

struct record_credit {
    uint64_t request;
    uint32_t count;
    uint32_t reserved;
};

struct record_grant {
    uint64_t request;
    uint64_t offset;
    uint64_t size; /* 0: no; the message says why */
    uint32_t message_size;
    uint32_t reserved;
};

struct record_call_answer {
    uint64_t call;
    uint32_t failed; /* not 0: the message says why */
    uint32_t message_size;
    uint32_t output_count;
    uint32_t reserved;
};

struct record_loading {
    uint32_t parts_per_million;
    uint32_t reserved;
};

struct record_schema {
    uint32_t is_output;
    uint32_t datatype;
    uint32_t ndim;
    uint32_t optional;
    uint32_t name_size;
    uint32_t runs_alone; /* a request that gives this optional input is not joined with others */
    uint32_t any_rank;   /* any number of dimensions will do */
    uint32_t reserved;
};

struct record_ready {
    uint32_t concurrency;
    uint32_t max_batch_size;
    uint32_t streams;
    uint32_t starts_at_once;
    uint32_t platform_size;
    uint32_t engine_size;
    uint32_t note_size;
    uint32_t rows; /* ROWS_…, added up */
};

enum { ROWS_JOIN = 1, ROWS_BOUNDED = 2 }; /* what struct schema says of max_batch_size */

struct record_failed {
    uint32_t status; /* enum tensord_status */
    uint32_t message_size;
};

struct record_response {
    uint64_t request;
    uint32_t final;
    uint32_t status; /* enum tensord_status; not OK: final, the message says why, no outputs */
    uint32_t message_size;
    uint32_t output_count;
    uint32_t
        kept; /* final: the worker still looks at the request's memory, until RECORD_RELEASED */
    uint32_t reserved;
    /* Of a final response: what its execution took. */
    uint64_t input_ns;   /* joining inputs */
    uint64_t compute_ns; /* the engine's own time */
    uint64_t output_ns;  /* splitting outputs */
};

struct record_executed {
    uint64_t execution;
    uint64_t compute_ns; /* the engine's own time */
};

struct record_need_room {
    uint64_t request;
    uint64_t size;
};

struct record_call {
    uint64_t call; /* the worker's id, echoed by the answer */
    uint64_t request;
    int64_t version; /* -1: the newest */
    uint32_t model_size;
    uint32_t input_count;
};

struct record_log {
    uint32_t level; /* enum tensord_log_level */
    uint32_t line_size;
};

struct record_stats {
    uint64_t device_memory_bytes;
    uint64_t memory_bytes;      /* of the process; 0: not known */
    uint64_t most_memory_bytes; /* so far */
};

#endif
