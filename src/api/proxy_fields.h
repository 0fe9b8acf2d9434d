/* What of a request goes on to a managed server, and what of its answer comes back: which fields,
 * under which paths. Pure.
 *
 * Not passed on: what is about one connection (RFC 9110 §7.6.1), the caller's token, cookies, which
 * all servers beneath one address would share, and what other proxies have said, which the server
 * is told anew. Not passed back: what would speak for the whole address, not for this server. */
#ifndef TENSORD_API_PROXY_FIELDS_H
#define TENSORD_API_PROXY_FIELDS_H

#include "protocol/http.h"

/* What a server is told of the request beside its own fields. */
struct proxy_origin {
    struct span peer;      /* the client's address */
    struct span authority; /* that the client asked */
    struct span request_id;
    struct span model;
    struct span upgrade; /* the protocol that it asks for; data NULL: none */
    bool tls;
};

/* How the body is framed for the server. */
enum proxy_body { PROXY_NO_BODY, PROXY_LENGTH, PROXY_CHUNKED };

/* The target for the server, "/v1/models?x=1", of the decoded rest of a path and a query as sent.
 * Data NULL when there is no memory. */
struct span proxy_target(struct arena *arena, struct span rest, struct span query);

/* Where the server's paths are for clients, "/tensord/v1/servers/NAME". Data NULL when there is no
 * memory. */
struct span proxy_prefix(struct arena *arena, struct span model);

/* The other protocol that the request wants on its connection, a WebSocket say; data NULL for none.
 */
struct span proxy_upgrade(const struct http_request *request);

/* The fields for the client, to which is added that the protocol is this one. NULL when there is no
 * memory. */
const struct http_field *proxy_add_upgrade(struct arena *arena, const struct http_field *fields,
                                           size_t *count, struct span protocol);

/* The fields for the server. NULL when there is no memory. */
const struct http_field *proxy_request_fields(struct arena *arena,
                                              const struct http_request *request,
                                              const struct proxy_origin *origin,
                                              enum proxy_body body, size_t *ret_count);

/* The fields for the client; paths in them are beneath prefix. NULL when there is no memory. */
const struct http_field *proxy_response_fields(struct arena *arena, const struct http_field *fields,
                                               size_t count, struct span prefix, size_t *ret_count);

#endif
