/* What is told of where a request's time went: its spans, and Server-Timing. */
#ifndef TENSORD_API_TRACE_H
#define TENSORD_API_TRACE_H

#include "api/call.h"

/* The inference is about to be handed over: gives it the exchange's place in a trace and the time
 * of its first byte, and makes it the call's. */
void trace_inference(struct api_call *call, struct inference *inference);

/* The answer to the call's inference is about to be written: says in its head where the time went,
 * if the client or the settings ask for that. */
void trace_tell_timing(struct api_call *call);

/* The exchange, which is no probe, is over: gives its record to the tracer, if it is traced. `call`
 * may be NULL; `failed`: by the server's fault. */
void trace_closed(struct api *api, struct http_exchange *exchange, const struct api_call *call,
                  bool failed, uint64_t now_ns);

#endif
