/* A world for the scheduler, on a clock of its own: clients that send in bursts, leave and set
 * deadlines; workers that are slow, hang, die and come back; sends that fail. A seed says all of
 * it, so that what happened once happens again. For tests. */
#ifndef TENSORD_SCHEDULE_SIMULATOR_H
#define TENSORD_SCHEDULE_SIMULATOR_H

#include "schedule/scale.h"
#include "schedule/schedule.h"

#include <stdio.h>

enum {
    SIMULATOR_REQUESTS = 400, /* at most */
    SIMULATOR_WORKERS = 3,
    SIMULATOR_SLOTS = 3, /* of a worker */
    SIMULATOR_EXECUTIONS = SIMULATOR_WORKERS * (SIMULATOR_SLOTS + 1),
    SIMULATOR_CALLERS = 4,
    SIMULATOR_SHAPES = 3,
    SIMULATOR_LEVELS = 3,
    SIMULATOR_EVENTS = 4096,
};

enum simulator_state { TO_COME, WAITING, RUNNING, ANSWERED };

struct simulator_request {
    struct queue_entry entry;
    enum simulator_state state;
    unsigned shape;
    uint64_t arrives_ns;
    uint64_t leaves_ns; /* its client does, if it has no answer then; CLOCK_NEVER: does not */
    uint64_t cancelled_ns;
    uint64_t expires_ns;   /* when its time in the queue is over, as it was said when it came */
    uint64_t earlier_rows; /* begun since it was due, of what was due before it */
    uint64_t later_rows;   /* and of what was due after it */
    size_t execution;      /* that it runs in */
    bool repeated;         /* its worker was replaced, and it has waited again */
};

struct simulator_execution {
    bool runs;
    struct schedule_run run;
    size_t worker;
    size_t requests[SCHEDULE_MAX_BATCH];
    size_t count;
    bool ahead; /* it waits in its worker for a slot */
    uint64_t ends_ns;
};

struct simulator_worker {
    bool up;
    bool comes;       /* up, after a while */
    uint64_t running; /* executions, with those that are ahead */
    double slowness;  /* 1: as fast as it can */
};

/* What the seed says. */
struct simulator_world {
    struct schedule_policy policy;
    uint64_t max_rows;
    size_t request_count, worker_count, slots;
    double first_row_ns, row_ns, square_ns; /* an execution's time: a + b rows + c rows^2 */
    double noise;                           /* of it: 0.3 is plus or minus 30 % */
    double hang_share, send_failure_share;
    bool one_ahead;         /* a worker may be handed one execution more than it has slots */
    bool repeats;           /* what runs with a worker that is replaced waits again */
    uint64_t death_ns;      /* between two deaths of workers, on average; 0: none die */
    uint64_t slow_ns;       /* between two changes of a worker's speed; 0: none */
    uint32_t least_workers; /* as many as worker_count as they are needed */
    uint64_t short_ns, idle_ns;
    uint32_t weights[SIMULATOR_CALLERS];
    size_t callers;
};

enum simulator_event_kind {
    EVENT_ARRIVES, /* .index: request; so in the next three */
    EVENT_EXPIRES,
    EVENT_LEAVES,
    EVENT_WATCH,
    EVENT_ENDS, /* execution */
    EVENT_DIES, /* worker; so in the next two */
    EVENT_COMES_BACK,
    EVENT_CHANGES_SPEED,
    EVENT_WAKES,
    EVENT_SCALES,
};

struct simulator_event {
    uint64_t time_ns;
    uint64_t sequence;
    enum simulator_event_kind kind;
    size_t index;
};

struct simulator {
    uint64_t random;
    uint64_t now_ns;
    struct simulator_world world;
    struct schedule schedule;
    struct scale scale;
    struct simulator_request requests[SIMULATOR_REQUESTS];
    struct simulator_worker workers[SIMULATOR_WORKERS];
    struct simulator_execution executions[SIMULATOR_EXECUTIONS];
    struct simulator_event events[SIMULATOR_EVENTS]; /* a heap */
    size_t event_count;
    uint64_t event_sequence;
    size_t waiting, running; /* as the simulator counts them: requests, executions */
    size_t answered, to_come;
    bool retries;           /* a send has failed: it is tried again at a time that is set */
    uint64_t longest_ns;    /* of the executions that have ended */
    uint64_t idle_since_ns; /* nothing has run though something could since then; 0: not so */
    /* What one caller had beyond another while requests of both waited at one level: rows by
     * weight. */
    double lead[SIMULATOR_LEVELS + 1][SIMULATOR_CALLERS][SIMULATOR_CALLERS];
    size_t last_begun[SIMULATOR_CALLERS][SIMULATOR_LEVELS + 1][SIMULATOR_SHAPES];
    FILE *trace;         /* NULL: none */
    const char *failure; /* the first rule that was broken: its word; NULL: none */
    char detail[200];
};

/* Runs the world of a seed to its end. Returns NULL, or the word for the rule that was broken:
 * lost, doubled, deadline, exceeded, reordered, starved, unfair, idle. */
const char *simulator_run(struct simulator *simulator, uint64_t seed, FILE *trace);

/* ---- simulator_world.c ---- */

/* Draws the world of simulator->random, and the requests that will come. */
void simulator_make_world(struct simulator *simulator);

/* How long an execution takes. */
uint64_t simulator_draw_duration_ns(struct simulator *simulator,
                                    const struct simulator_worker *worker, uint64_t rows,
                                    size_t running);

uint64_t simulator_draw(struct simulator *simulator, uint64_t limit); /* 0 to limit - 1 */
double simulator_draw_share(struct simulator *simulator);             /* 0 to 1 */
uint64_t simulator_draw_ns(struct simulator *simulator, uint64_t mean_ns);

/* ---- simulator_check.c ---- */

/* A rule is broken: the run ends. */
void simulator_fail(struct simulator *simulator, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A batch was taken. */
void simulator_check_batch(struct simulator *simulator, const struct schedule_batch *batch);

/* What is left of it is sent to a worker. */
void simulator_check_begun(struct simulator *simulator, const struct schedule_batch *batch);

/* A request that was begun will be begun again. */
void simulator_check_repeated(struct simulator *simulator, const struct simulator_request *request);

/* A request was refused when it came. */
void simulator_check_refusal(struct simulator *simulator, const struct simulator_request *request,
                             enum schedule_verdict verdict);

/* A request has its answer, or will have none. */
void simulator_check_answer(struct simulator *simulator, const struct simulator_request *request);

/* True when the worker is up and wanted. */
bool simulator_takes(const struct simulator *simulator, size_t worker);

/* All that could be done now is done. */
void simulator_check_rest(struct simulator *simulator);

/* Nothing more happens. */
void simulator_check_end(struct simulator *simulator);

#endif
