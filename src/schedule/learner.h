/* Which batches a model likes, and how long it takes for them: learned from its executions.
 *
 * An operating point is a largest batch (rows) and a largest number of executions at once (slots);
 * both are powers of two, or the most that the model allows. For each point there is the time that
 * a row costs there: what an execution took, divided by its rows and by how many executions ran at
 * once meanwhile. That is the time between two rows' ends, so it counts all that keeps a slot busy.
 * The median of the last few measurements stands for a point: one that was slow because memory was
 * made or code compiled, or because the machine had other things to do, does not count.
 *
 * The first point in use is the smallest that is within a fiftieth of the cheapest known; beyond
 * all that is known, whatever comes is executed as it comes, in all slots, and so becomes known.
 * While requests wait, a neighbour of the point is tried for a few executions, and taken where it
 * wins by that much (a smaller one: where it loses by no more); where it does not, ever less often,
 * and the seldomer the more it has cost: on a machine that changes all the time, trials do, too.
 * Only then are two points compared: the machine changes from one second to the next, and
 * measurements of other times say little of which is better now.
 *
 * Pure: times go in. Bounded: nothing is allocated. */
#ifndef TENSORD_SCHEDULE_LEARNER_H
#define TENSORD_SCHEDULE_LEARNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LEARNER_SIZES = 20, /* of batches: 1, 2, 4 ... 262144, more */
    LEARNER_WIDTHS = 5, /* of slots: 1, 2, 4, 8, more */
    LEARNER_SAMPLES = 7,
    LEARNER_POINTS = LEARNER_SIZES * LEARNER_WIDTHS,
};

struct learner_cell {
    float samples_ns[LEARNER_SAMPLES]; /* per row */
    float row_ns;                      /* their median; 0: not known yet */
    uint8_t count, next;               /* samples there are; which is replaced next */
    uint64_t seen;                     /* when it got the last one, in executions */
};

struct learner {
    uint64_t max_rows, max_slots;
    bool all_slots;       /* are used, whatever is learned */
    uint64_t rows, slots; /* the point in use: may be read */
    struct learner_cell cells[LEARNER_SIZES][LEARNER_WIDTHS];
    uint8_t size, width;           /* of the point in use */
    uint64_t executions;           /* measured */
    uint64_t pause;                /* executions between two trials */
    uint64_t dear_pause;           /* likewise, for what the last one cost */
    uint64_t next_trial;           /* in executions */
    float settled_ns;              /* what a row cost after the last trial */
    uint8_t from_size, from_width; /* what was in use before the trial */
    uint8_t trial_left;            /* executions that the running one has left; 0: none runs */
    uint8_t trial_new;             /* samples that it has got */
    uint8_t trial_size, trial_width;
};

/* What is known of one point, to be kept over restarts. */
struct learner_point {
    uint32_t rows, slots;
    float row_ns;
};

/* Knows nothing. max_rows and max_slots are at least 1; all_slots: learn of batches alone. */
void learner_init(struct learner *learner, uint64_t max_rows, uint64_t max_slots, bool all_slots);

/* So many slots are there from now on. What is known stays known: a point that cannot be reached
 * any more is passed over until it can. */
void learner_set_slots(struct learner *learner, uint64_t max_slots);

/* An execution has ended that kept its slot for duration_ns, with `at_once` executions running on
 * average meanwhile, itself among them. `contended`: more waits than is executed. */
void learner_observe(struct learner *learner, uint64_t rows, double at_once, uint64_t duration_ns,
                     bool contended);

/* How long it will be until `rows` rows that wait, and no others, have ended; 0: nobody knows. */
uint64_t learner_wait_ns(const struct learner *learner, uint64_t rows);

/* How long an execution of so many rows is with the worker; where that varies much, at least. 0:
 * nobody knows. */
uint64_t learner_execution_ns(const struct learner *learner, uint64_t rows);

/* What a row costs at the point in use: the time between two rows' ends; 0: nobody knows. */
uint64_t learner_row_ns(const struct learner *learner);

/* Writes what is known. Returns how many points. */
size_t learner_save(const struct learner *learner, struct learner_point ret_points[LEARNER_POINTS]);

/* Takes back what learner_save gave, in a learner that knows nothing. Points that make no sense are
 * passed over; new measurements soon outweigh these. */
void learner_restore(struct learner *learner, const struct learner_point *points, size_t count);

#endif
