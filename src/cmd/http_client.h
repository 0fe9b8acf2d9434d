/* A small blocking HTTP client for the program's own commands. */
#ifndef TENSORD_CMD_HTTP_CLIENT_H
#define TENSORD_CMD_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/error.h"

/* Posts a JSON body to path at url ("http://HOST:PORT") and puts the answer's body into reply.
 * False when the server cannot be reached, answers too late (10 s) or with another status than 200.
 */
bool http_client_post(const char *url, const char *path, struct span body, struct buf *reply,
                      struct error *ret_error);

#endif
