/* Checks a request against a schema. Pure. The sentences are Triton's: users and their tests match
 * on them. */
#ifndef TENSORD_SERVING_CHECK_H
#define TENSORD_SERVING_CHECK_H

#include "base/shaping.h"
#include "worker/channel.h"

/* Gives each input its index in the schema, by name, and puts them in the schema's order; names[i]
 * names inputs[i] and is moved along. False with INVALID_ARGUMENT when an input is unknown,
 * doubled, missing, or of another datatype or shape. */
bool check_inputs(const struct schema *schema, struct span model, struct channel_tensor *inputs,
                  struct span *names, size_t count, struct error *ret_error);

/* False with INVALID_ARGUMENT when inputs that are padded together differ in the dimension that is,
 * or would be too large then. The inputs have passed check_inputs. */
bool check_padding(const struct schema *schema, const struct shaping *shaping, struct span model,
                   const struct channel_tensor *inputs, size_t count, struct error *ret_error);

/* False with INVALID_ARGUMENT unless data is exactly the elements of a BYTES input of this shape:
 * as many as it says, their lengths and bytes to the last. Requests are joined by their bytes, so a
 * length that lies would take from a neighbour. */
bool check_strings(struct span model, struct span name, const struct shape *shape, struct span data,
                   struct error *ret_error);

/* The bit set of the wanted outputs; all when count is 0. False when a name is unknown or doubled.
 */
bool check_outputs(const struct schema *schema, struct span model, const struct span *names,
                   size_t count, uint64_t *ret_wanted, struct error *ret_error);

#endif
