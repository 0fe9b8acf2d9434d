/* Which requests may run as one execution. Pure; who does, and when, the scheduler says. */
#ifndef TENSORD_SERVING_BATCH_H
#define TENSORD_SERVING_BATCH_H

#include "schedule/schedule.h"

struct inference;

enum { BATCH_MAX_REQUESTS = SCHEDULE_MAX_BATCH }; /* joined into one execution */

/* True when the two requests differ in nothing but the first dimension of their inputs. */
bool batch_joinable(const struct inference *a, const struct inference *b);

/* The same of their entries in the queue. */
bool batch_joins(const struct queue_entry *a, const struct queue_entry *b);

/* The first dimension of a request's first input; 1 where it has none, and where it is empty. */
uint64_t batch_rows(const struct inference *inference);

#endif
