/* Requests that are the same (reuse.h) and come while one of them waits or runs: one execution,
 * whose answer is everybody's. For models whose config has `scheduling: {coalesce: true}`.
 *
 * The execution is nobody's request but an inference of the server's own, a flight, which takes
 * over the memory of the first one's inputs; all of them are its passengers, the first like any
 * other, and hold no tensor memory. So each has its own deadline and may leave at any time; with
 * the last one gone the flight is cancelled. What it ends with, its failures included, is
 * everybody's.
 *
 * A flight has no deadline of its own: nobody is refused in advance, and its turn comes as that of
 * a request without one. Requests of different priority do not share. The outputs lie where the
 * worker left them until the last passenger has sent them.
 *
 * Nested inferences go by themselves: they might wait for each other in a circle. */
#ifndef TENSORD_SERVING_FLIGHT_H
#define TENSORD_SERVING_FLIGHT_H

#include <stdbool.h>

struct flight;
struct inference;

/* The inference, whose key is made, goes with a flight: true. False: it cannot, and has to be
 * executed by itself. */
bool flight_board(struct inference *inference);

/* The inference waits for its flight no more, and has no answer of it. */
void flight_leave(struct inference *inference);

/* Its answer is not looked at any more. Does nothing unless it has one of a flight. */
void flight_end(struct inference *inference);

#endif
