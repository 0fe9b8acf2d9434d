/* Header fields that models are given as parameters of their requests: what a proxy in front says
 * of the caller, say (--forward-header). Over gRPC the fields are the call's metadata. Pure. */
#ifndef TENSORD_API_FORWARDED_H
#define TENSORD_API_FORWARDED_H

#include "base/arena.h"
#include "base/parameter.h"
#include "protocol/http.h"

/* Adds to the list the fields of the request whose names match one of the patterns (auth/glob.h),
 * which are separated by commas: a new list from the arena, whose texts are the request's.
 * Credentials are passed over, and names of more than 256 bytes. INVALID_ARGUMENT when a field
 * stands there twice or is no text, or a parameter in the list has a name that matches: it would
 * pass for a field. */
bool forwarded_add(struct span patterns, const struct http_request *request, struct arena *arena,
                   const struct parameter **list, size_t *count, struct error *ret_error);

#endif
