/* What is counted and logged of every exchange, when it is over. */
#ifndef TENSORD_API_ACCESS_H
#define TENSORD_API_ACCESS_H

#include "api/api.h"

/* http_server.on_closed, whose context is a struct api: counts the request, measures its answer's
 * way to the kernel, writes its line of the access log and gives its spans to the tracer. */
void access_closed(struct http_server *server, struct http_exchange *exchange, bool complete);

#endif
