/* A model's load, told with its answers to whoever shares requests among servers: the response
 * field endpoint-load-metrics of ORCA (Open Request Cost Aggregation). */
#ifndef TENSORD_API_LOAD_REPORT_H
#define TENSORD_API_LOAD_REPORT_H

#include "api/call.h"

/* The answer to the call's inference is about to be written: says in its head how much waits for
 * its model and runs, if the client asks for that by endpoint-load-metrics-format: text or json. */
void load_report_tell(struct api_call *call);

#endif
