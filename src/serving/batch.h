/* Which waiting requests may run as one execution. Pure. */
#ifndef TENSORD_SERVING_BATCH_H
#define TENSORD_SERVING_BATCH_H

#include "base/list.h"
#include "serving/inference.h"

enum { BATCH_MAX_REQUESTS = 64 }; /* joined into one execution */

/* True when the two requests differ in nothing but the first dimension of their inputs. */
bool batch_joinable(const struct inference *a, const struct inference *b);

/* Takes the oldest request off the queue and with it those that may join it, oldest first, up to
 * max_rows rows in all (0: no joining). Returns how many are in ret_batch, 0 when the queue is
 * empty. A request that has more rows than max_rows runs alone. */
size_t batch_take(struct list *queue, uint32_t max_rows,
                  struct inference *ret_batch[BATCH_MAX_REQUESTS]);

#endif
