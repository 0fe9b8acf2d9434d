/* What a sequence has come to: the states that it begins with, or those of its last answer, in one
 * piece of the generation's tensor memory. Counted. */
#ifndef TENSORD_SERVING_STATES_H
#define TENSORD_SERVING_STATES_H

#include "worker/channel.h"

struct stateful;
struct stateful_state;
struct states;

/* Those that every sequence begins with. NULL with an error. */
struct states *states_first(struct stateful *stateful, struct error *ret_error);

/* Whether an answer has any. */
bool states_are_in(const struct stateful *stateful, const struct channel_response *response);

/* Copies those of an answer. NULL with an error: it has not all of them, or there is no memory. */
struct states *states_of_answer(struct stateful *stateful, const struct channel_response *response,
                                struct error *ret_error);

struct states *states_ref(struct states *states);

/* NULL is ignored. */
void states_unref(struct states *states);

/* The one at `at` of the stateful's list, as an input. */
struct channel_tensor states_input(const struct states *states, const struct stateful_state *state,
                                   size_t at);

#endif
