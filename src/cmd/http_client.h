/* A small blocking HTTP client for the program's own commands. */
#ifndef TENSORD_CMD_HTTP_CLIENT_H
#define TENSORD_CMD_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/error.h"
#include "cmd/commands.h"

#define HTTP_CLIENT_URL "http://127.0.0.1:8000"

/* The first options of a command that speaks to a server. */
enum { HTTP_CLIENT_OPTION_TO, HTTP_CLIENT_OPTION_TOKEN, HTTP_CLIENT_OPTION_COUNT };

#define HTTP_CLIENT_OPTIONS                                                                        \
    {"to", "URL",                                                                                  \
     "The server's address, http://HOST:PORT or unix:PATH [$TENSORD_URL, else " HTTP_CLIENT_URL    \
     "]"},                                                                                         \
        {"token", "TOKEN",                                                                         \
         "Who asks; better put into the variable TENSORD_TOKEN, since others can see options. "    \
         "A server of this user's on this machine needs none"}

struct http_client {
    const char *url;
    const char *token; /* NULL: none was given */
};

/* Takes where and who from a line that was read with HTTP_CLIENT_OPTIONS first, and from the
 * environment. */
void http_client_init(struct http_client *client, const struct command_line *line);

/* Posts a JSON body to a path and puts the answer's body into reply. Without a token, a server that
 * wants one gets the admin's if it is this user's own (own_server.h). False when the server cannot
 * be reached, answers too late (10 s) or with another status than 200. */
bool http_client_post(const struct http_client *client, const char *path, struct span body,
                      struct buf *reply, struct error *ret_error);

#endif
