/* The extensions for clients' shared memory, system and CUDA: REST and gRPC differ only in how they
 * answer. Both write the audit log. There are no GPUs here whose memory could be shared. */
#ifndef TENSORD_API_SHARED_MEMORY_H
#define TENSORD_API_SHARED_MEMORY_H

#include "api/call.h"
#include "regions/regions.h"

/* Whether the server reads and writes clients' shared memory at all: UNIMPLEMENTED if not. */
bool shared_memory_is_allowed(const struct api_call *call, struct error *ret_error);

/* Registers shared memory for the caller and calls done once, with ERROR_OK or why not; not when
 * the client goes first. Texts are copied. */
void shared_memory_register(struct api_call *call, const struct region_wish *wish,
                            void (*done)(struct api_call *call, const struct error *error));

/* Forgets the caller's region of that name; all of them when it is empty. */
bool shared_memory_unregister(struct api_call *call, struct span name, struct error *ret_error);

/* The error of every registration of CUDA shared memory (INVALID_ARGUMENT). Returns false. */
bool cuda_memory_register(struct span name, struct error *ret_error);

/* The error for a region of CUDA shared memory, of which there are none (NOT_FOUND). Returns false.
 */
bool cuda_memory_status(struct span name, struct error *ret_error);

#endif
