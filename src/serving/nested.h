/* Nested inferences: those that a running model makes of another model of the same server.
 *
 * They go through the scheduler like any other; the deadline is that of the request they are made
 * for, and their depth is limited, so that models that call each other in a circle fail instead of
 * waiting. Models share no memory: inputs and outputs are copied from one model's tensor memory to
 * the other's. */
#ifndef TENSORD_SERVING_NESTED_H
#define TENSORD_SERVING_NESTED_H

#include "base/list.h"

struct channel;
struct channel_call;
struct inference;

enum { NESTED_MAX_DEPTH = 8 };

/* Starts what `call` asks for. Its answer goes to the channel, or nowhere once nested_forget was
 * called for its parent or channel. `calls` lists those that are under way. */
void nested_begin(struct list *calls, struct channel *channel, const struct channel_call *call,
                  struct inference *parent);

/* Cancels the calls that were made for the parent, which is cancelled itself; they are answered
 * with that error. */
void nested_cancel(struct list *calls, const struct inference *parent);

/* Cancels the calls that were made for the parent (NULL: all of them) and forgets whom to answer.
 */
void nested_forget(struct list *calls, const struct inference *parent);

#endif
