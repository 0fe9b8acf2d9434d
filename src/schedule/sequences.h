/* Sequences of one model: whose turn it is, and at which worker.
 *
 * Requests that name the same sequence are executed in the order in which they came, one at a time,
 * and all by the worker that had the first of them. A worker has a number of places; a sequence
 * takes one with its first request and holds it until its last request has been answered, or
 * nothing has come for it for a while, or the worker has gone. Sequences for which there is no
 * place wait for one in the order in which they came.
 *
 *     submit ── waits ── next ── (queue.h) ── run ── answered
 *                 │       │
 *                 └───────┴─ leave
 *
 * What has its turn goes into the model's queue like any other request: which of these run
 * together, and when, the rest of the scheduler says (schedule.h). So no more of a sequence than
 * one request is in that queue, however many its client has sent.
 *
 * A request that leaves before it has run has changed nothing, and its sequence goes on without it;
 * unless it was the first: then the sequence has not begun, and those that follow are refused.
 *
 * With a worker, what its sequences have come to is lost. They are remembered for as long as they
 * might have been idle, SEQUENCES_MAX_LOST of them at most, so that those who go on with one are
 * told so.
 *
 * Pure: requests, workers and the time go in, decisions come out. A sequence is an allocation. */
#ifndef TENSORD_SCHEDULE_SEQUENCES_H
#define TENSORD_SCHEDULE_SEQUENCES_H

#include "base/list.h"
#include "base/map.h"
#include "base/sequence.h"

enum {
    SEQUENCES_MAX_ROWS = 64,
    SEQUENCES_MAX_LOST = 4096,
    SEQUENCE_KEY_BYTES = SEQUENCE_MAX_ID + 1
};

struct sequence;

enum sequence_turn { SEQUENCE_NONE, SEQUENCE_WAITS, SEQUENCE_HAS_TURN, SEQUENCE_RUNS };

/* One request, as a sequence has it. Zeroed by its owner, who sets `starts` and `ends`. */
struct sequence_request {
    bool starts, ends;
    /* The sequences' own; may be read. */
    enum sequence_turn state;
    bool lost;                  /* it is out (SEQUENCE_NONE), as its sequence was lost */
    struct sequence *sequence;  /* NULL: it is of none, or not any more */
    struct list_link link;      /* in the sequence's `waiting` */
    struct list_link wait_link; /* in all that wait */
};

/* A worker that has places. Zeroed by its owner. */
struct sequence_worker {
    struct list_link link;
    struct list sequences; /* that hold a place */
    uint32_t used;
    bool closed;                               /* set by the owner: no sequence is to begin here */
    struct sequence *rows[SEQUENCES_MAX_ROWS]; /* by their place, where places are numbered */
};

struct sequence {
    char key[SEQUENCE_KEY_BYTES];
    size_t key_size;
    struct list waiting; /* its requests, the oldest first */
    struct sequence_request *turn;
    struct sequence_worker *worker; /* NULL: it has no place */
    uint32_t row;                   /* of its worker's places, where they are numbered */
    bool begun;                     /* a request of it has run */
    bool lost;                      /* it had begun, and its worker has gone */
    bool remembered;                /* for no more than that: it is in `lost` */
    uint64_t idle_since_ns;
    struct list_link link; /* in `ready`, `backlog`, `idle` or `lost` */
    struct list_link worker_link;
    void *data; /* the owner's: what the sequence has come to; given up by `ended` */
};

struct sequences_events {
    /* A sequence that has begun is over: by its last request, for want of requests, by another
     * first one, or with its worker. Its data is to be freed and NULL. */
    void (*ended)(struct sequence *sequence);
    /* A request that has its turn, and has not run, waits again: its worker has gone. It is to be
     * taken out of the model's queue. */
    void (*recalled)(struct sequence_request *request);
};

struct sequences {
    const struct sequences_events *events;
    uint32_t places; /* of each worker */
    bool numbered;   /* a sequence keeps the row of the batch that its place is */
    uint64_t idle_ns;
    struct map by_key;
    struct list workers;
    struct list requests; /* all that wait, in the order in which they came */
    struct list ready;    /* sequences whose next request may be looked at */
    struct list backlog;  /* that wait for a place */
    struct list idle;     /* that hold a place and have no request, longest first */
    struct list lost;     /* that are remembered, as they were lost, longest first */
    size_t lost_count;
};

/* No sequences, no workers. numbered: at most SEQUENCES_MAX_ROWS places. */
void sequences_init(struct sequences *sequences, const struct sequences_events *events);

/* How many places a worker has, and how long a sequence may be idle; before the first worker. */
void sequences_bound(struct sequences *sequences, uint32_t places, bool numbered, uint64_t idle_ns);

/* Ends all of them; none has a request. */
void sequences_fini(struct sequences *sequences);

/* Sequences that go on, or have requests. */
size_t sequences_count(const struct sequences *sequences);

/* A worker has come, and has gone with all that it knew of its sequences. */
void sequences_add_worker(struct sequences *sequences, struct sequence_worker *worker);
void sequences_remove_worker(struct sequences *sequences, struct sequence_worker *worker,
                             uint64_t now_ns);

enum sequences_verdict {
    SEQUENCES_TAKEN,
    SEQUENCES_LOST,        /* it goes on with a sequence whose worker has gone */
    SEQUENCES_NOT_STARTED, /* its sequence has not begun, or is over, and it is no first request */
    SEQUENCES_NO_MEMORY,
};

/* A request comes. The id has at most SEQUENCE_MAX_ID bytes, and is there. */
enum sequences_verdict sequences_submit(struct sequences *sequences,
                                        struct sequence_request *request,
                                        const struct sequence_id *id);

/* A request that is to be looked at now: it has its turn (SEQUENCE_HAS_TURN), or its sequence has
 * not begun, it is no first request and out (SEQUENCE_NONE). To be asked until there is none, after
 * each of the other calls. */
struct sequence_request *sequences_next(struct sequences *sequences, uint64_t now_ns);

/* A request goes that has not run. */
void sequences_leave(struct sequences *sequences, struct sequence_request *request,
                     uint64_t now_ns);

/* A request that has its turn runs now, with its sequence's worker. */
void sequences_run(struct sequence_request *request);

/* It has its last answer. broken: what the sequence has come to is lost, and it is over. */
void sequences_answered(struct sequences *sequences, struct sequence_request *request, bool broken,
                        uint64_t now_ns);

/* Drops what has been idle, or lost, for too long. */
void sequences_expire(struct sequences *sequences, uint64_t now_ns);

/* When sequences_expire is to be called; CLOCK_NEVER: not. */
uint64_t sequences_expires_ns(const struct sequences *sequences);

#endif
