/* The scheduler of one model: which requests are let in, which run together, and when.
 *
 * Work-conserving: when a worker has a free slot, it takes what waits, up to the largest batch that
 * makes a row cheaper (learner.h); with several free slots, each takes its part. Nothing waits for
 * company, but for a moment for what is on its way (company.h), unless the model's config asks for
 * that. Whose turn it is, queue.h says. What cannot be answered in time is refused at once.
 *
 *     submit ── waits ── take ── start ── end
 *                 │        └─ put_back
 *                 └─ leave, expire
 *
 * Pure: requests and the time go in, decisions come out; a simulator (simulator.h) runs it on a
 * clock of its own. Times are ns of one monotonic clock. Later kinds of scheduling decide before it
 * (which generation a request is for, whether it runs at all) or after it (which worker takes a
 * batch): it knows one queue and how many executions may be added now.
 * Some may be more than there are slots: they are ahead of their turn, with a worker. */
#ifndef TENSORD_SCHEDULE_SCHEDULE_H
#define TENSORD_SCHEDULE_SCHEDULE_H

#include "schedule/allowance.h"
#include "schedule/company.h"
#include "schedule/learner.h"
#include "schedule/queue.h"

enum { SCHEDULE_MAX_BATCH = 64 }; /* requests in one execution */

/* True when the two requests differ in nothing but their rows. */
typedef bool schedule_joins(const struct queue_entry *a, const struct queue_entry *b);

/* True when what waits can be started now: the worker that it is bound to has room. */
typedef bool schedule_goes(const struct queue_entry *entry);

struct schedule {
    struct schedule_policy policy;
    schedule_joins *joins;
    bool whole;          /* an execution takes all that waits and fits, however long it will last */
    schedule_goes *goes; /* NULL: any worker will do. What is bound to one joins only its like */
    struct queue queue;
    struct learner learner;
    struct allowance allowance; /* of waits for deadlines */
    uint64_t max_rows;          /* of a joined execution; 0: requests are not joined */
    uint64_t max_slots;         /* that an engine can use at once, of all workers */
    uint64_t running;           /* executions */
    uint64_t requests;          /* in them */
    uint64_t running_rows;
    struct company company;
    uint64_t busy_ns; /* the sum of all executions' times in slots, until changed_ns */
    uint64_t changed_ns;
    uint64_t freed_ns; /* since then a slot has been free though requests wait; 0: none is */

    /* Of the newest that was handed over ahead of its turn, until a slot is free for it: how long
     * it was foreseen to wait for that (0: nothing is to be learned of it), and since when it does.
     */
    uint64_t ahead_foreseen_ns, ahead_since_ns;
};

/* An execution that runs; kept by whoever starts it. */
struct schedule_run {
    uint64_t rows, requests;
    uint64_t started_ns;
    uint64_t gap_ns; /* for which its slot had been free though requests waited */
    uint64_t busy_ns;
};

/* Nothing waits, nothing is known of the model: until schedule_set_model, requests go one by one.
 * The policy is copied. */
void schedule_init(struct schedule *schedule, const struct schedule_policy *policy,
                   schedule_joins *joins);

/* The model is known: joined executions have at most max_rows rows (0: they are not joined), and
 * max_slots may run at once. What was learned is kept when that has not changed. */
void schedule_set_model(struct schedule *schedule, uint64_t max_rows, uint64_t max_slots);

/* There are more or fewer slots now, of the same model: what was learned of it is kept. */
void schedule_set_slots(struct schedule *schedule, uint64_t max_slots);

enum schedule_verdict {
    SCHEDULE_ADMITTED, /* it waits */
    SCHEDULE_FULL,     /* too many wait */
    SCHEDULE_LONG,     /* it would wait for longer than is allowed */
    SCHEDULE_LATE,     /* it would be answered too late */
};

/* A request comes. Refused with the time in which it may be worth trying again. */
enum schedule_verdict schedule_submit(struct schedule *schedule, struct queue_entry *entry,
                                      uint64_t now_ns, uint64_t *ret_retry_ns);

/* A request that ran with a worker that was replaced waits again, where it would have been. False:
 * it must not, for the queue is full or its time is over. */
bool schedule_repeat(struct schedule *schedule, struct queue_entry *entry, uint64_t now_ns);

/* The model is known now, and with it what a request counts for that has waited meanwhile. */
void schedule_recount(struct schedule *schedule, struct queue_entry *entry, uint64_t rows,
                      bool alone);

/* A waiting request goes. */
void schedule_leave(struct schedule *schedule, struct queue_entry *entry);

enum schedule_expiry {
    SCHEDULE_WAITS,     /* still, until schedule_expires_ns */
    SCHEDULE_TIMED_OUT, /* its time in the queue is over: it is out */
    SCHEDULE_TOO_LATE,  /* so is its deadline */
};

/* When schedule_expire is to be called for a waiting entry; CLOCK_NEVER: never. */
uint64_t schedule_expires_ns(const struct queue_entry *entry);

/* What becomes of a waiting request as time passes. */
enum schedule_expiry schedule_expire(struct schedule *schedule, struct queue_entry *entry,
                                     uint64_t now_ns);

/* By how much a request would miss its deadline, were it started now, as far as is known. */
uint64_t schedule_lateness_ns(const struct schedule *schedule, const struct queue_entry *entry,
                              uint64_t now_ns);

/* What is to be done now. */
struct schedule_batch {
    struct queue_entry
        *entries[SCHEDULE_MAX_BATCH]; /* run as one execution, in the order of turns */
    size_t count;
    uint64_t rows;
    struct queue_entry *late[SCHEDULE_MAX_BATCH]; /* refused: they cannot be answered in time */
    size_t late_count;
    uint64_t wake_ns; /* ask again then, if nothing happens before; CLOCK_NEVER: not */
};

/* Takes the next batch out of the queue, `room` more executions being possible now. To be asked
 * again until it gives none and refuses none, after each schedule_submit, schedule_end and when
 * there is new room. */
void schedule_take(struct schedule *schedule, uint64_t now_ns, uint64_t room,
                   struct schedule_batch *ret_batch);

/* Puts back what was taken and cannot be sent, from its last entry on, before anything else is
 * done. */
void schedule_put_back(struct schedule *schedule, struct queue_entry *entry);

/* What was taken runs now: so many requests, of so many rows together. */
void schedule_start(struct schedule *schedule, struct schedule_run *run, uint64_t requests,
                    uint64_t rows, uint64_t now_ns);

/* It was more than there are slots, and has one now, as another one has ended. */
void schedule_begin(struct schedule *schedule, struct schedule_run *run, uint64_t now_ns);

/* It has ended, and may be learned from; failed: not, for its worker died. */
void schedule_end(struct schedule *schedule, const struct schedule_run *run, bool failed,
                  uint64_t now_ns);

enum schedule_deed {
    SCHEDULE_GO_ON,
    SCHEDULE_CANCEL,  /* nobody will want its answer */
    SCHEDULE_REPLACE, /* it does not end: its worker is to be replaced, if the config allows */
};

/* What is to be done about a request that runs, was cancelled at cancelled_ns (0: was not) and has
 * this deadline; to be asked again at *ret_next_ns. */
enum schedule_deed schedule_watch(const struct schedule *schedule, uint64_t deadline_ns,
                                  uint64_t cancelled_ns, uint64_t now_ns, uint64_t *ret_next_ns);

/* The time that all executions have had slots so far, added up. */
uint64_t schedule_busy_ns(const struct schedule *schedule, uint64_t now_ns);

/* Whether a worker may be handed one execution more than it has slots, which begins the moment that
 * one is free: where requests are executed one by one (a joined execution would be smaller than it
 * is later), and without anything that models share (which it would keep from them). */
bool schedule_goes_ahead(const struct schedule *schedule);

/* Requests without a slot: in the queue, and ahead of their turn with a worker. */
uint64_t schedule_waiting(const struct schedule *schedule);

/* How long it will be until all that waits has ended, as far as is known. */
uint64_t schedule_backlog_ns(const struct schedule *schedule);

#endif
