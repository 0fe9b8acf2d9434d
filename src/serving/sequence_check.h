/* A request of a sequence against what its model takes, and what its client is told where it does
 * not go: Triton's sentences, where Triton has one. */
#ifndef TENSORD_SERVING_SEQUENCE_CHECK_H
#define TENSORD_SERVING_SEQUENCE_CHECK_H

#include "base/error.h"
#include "base/sequence.h"

struct inference;

/* Checks what a request says of its sequence, as far as the model is known. */
bool sequence_check(const struct inference *inference, struct error *ret_error);

/* It is no first request, and there is no such sequence. Returns false. */
bool sequence_not_started(const struct inference *inference, struct error *ret_error);

/* Its sequence was lost with its worker. Returns false. */
bool sequence_lost(const struct inference *inference, struct error *ret_error);

/* Its worker ended while it ran. Returns false. */
bool sequence_broken_off(const struct inference *inference, const char *reason,
                         struct error *ret_error);

/* Writes the id as text, of at most SEQUENCE_MAX_ID bytes and a NUL. */
void sequence_id_write(const struct sequence_id *id, char text[static SEQUENCE_MAX_ID + 1]);

#endif
