/* Memory of requests that were answered while the model still looks at it: a model in Python may
 * keep an array for as long as it likes. It stays as it is until the worker says that nobody looks
 * any more, or has ended. A part of the generation's memory bounds it; a worker that keeps more
 * breaks the rules, as it could have copied. */
#ifndef TENSORD_SERVING_KEPT_H
#define TENSORD_SERVING_KEPT_H

#include "base/map.h"

struct generation;
struct inference;

/* What one worker keeps. */
struct kept_list {
    struct generation *generation;
    struct map by_id;
    uint64_t bytes;
};

void kept_init(struct kept_list *list, struct generation *generation);

/* The worker keeps the memory of the inference, whose final response has this id. False: that is
 * more than it may, or there is no memory to note it; the worker is to be killed. */
bool kept_add(struct kept_list *list, struct inference *inference, uint64_t id);

/* It does not any more: the memory is given back, if the inference has given it up already. False:
 * it did not keep that. */
bool kept_release(struct kept_list *list, uint64_t id);

/* The worker has ended: it keeps nothing. */
void kept_forget(struct kept_list *list);

/* The inference gives up its memory. True: the worker still looks at it and has it from now on. */
bool kept_take(struct inference *inference);

#endif
