/* A connection of the server over a loopback pair, with a client that sends what it is given and an
 * application whose answers the path chooses. */
#ifndef TENSORD_FUZZ_HTTP_APPLICATION_H
#define TENSORD_FUZZ_HTTP_APPLICATION_H

#include "protocol/http_transport.h"

/* Serves one connection with `serve`; the client sends `greeting` and then `bytes`, and leaves.
 * Everything is freed then, whatever came. The last byte says how the client behaves: into which
 * pieces it cuts the bytes, whether it reads, and how it leaves; whether an allocation fails or the
 * server drains meanwhile. */
void http_application_run(void (*serve)(struct http_server *server, struct conn *conn),
                          struct span greeting, struct span bytes);

#endif
