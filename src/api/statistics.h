/* The statistics extension: what REST and gRPC say alike. */
#ifndef TENSORD_API_STATISTICS_H
#define TENSORD_API_STATISTICS_H

#include "api/call.h"
#include "serving/measure.h"

/* Calls `each` for every version that the call asks for: that of its path, all of its model, or
 * all. False with NOT_FOUND or INVALID_ARGUMENT when there is no such model or version. */
bool statistics_each(const struct api_call *call,
                     void (*each)(void *context, const struct version *version), void *context,
                     struct error *ret_error);

/* What Triton calls the compute of an answer: of all that were made, well or not. */
struct duration statistics_response_compute(const struct response_statistics *response);

#endif
