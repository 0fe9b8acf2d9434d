/* The calls that a running model makes to other models of the same server, over its channel: nested
 * inferences (nested.h). Inputs and outputs are copied from one model's tensor memory to the
 * other's. */
#ifndef TENSORD_SERVING_CALLS_H
#define TENSORD_SERVING_CALLS_H

#include "base/list.h"

struct channel;
struct channel_call;
struct inference;

/* Starts what `call` asks for. Its answer goes to the channel, or nowhere once calls_forget was
 * called for its parent or channel. `calls` lists those that are under way. */
void calls_begin(struct list *calls, struct channel *channel, const struct channel_call *call,
                 struct inference *parent);

/* Cancels the calls that were made for the parent, which is cancelled itself; they are answered
 * with that error. */
void calls_cancel(struct list *calls, const struct inference *parent);

/* Cancels the calls that were made for the parent (NULL: all of them) and forgets whom to answer.
 */
void calls_forget(struct list *calls, const struct inference *parent);

#endif
