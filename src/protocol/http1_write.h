/* What HTTP/1.1 responses look like on the wire. Pure: text into an arena. */
#ifndef TENSORD_PROTOCOL_HTTP1_WRITE_H
#define TENSORD_PROTOCOL_HTTP1_WRITE_H

#include "protocol/http_transport.h"

/* How the end of a response's body is told (RFC 9112 §6). */
enum http1_framing {
    HTTP1_NO_BODY,     /* there is none: HEAD, 204, 304 */
    HTTP1_SWITCHED,    /* 101: it is no HTTP any more */
    HTTP1_LENGTH,      /* Content-Length is among the fields */
    HTTP1_CHUNKED,     /* each part is a chunk */
    HTTP1_UNTIL_CLOSE, /* HTTP/1.0 without a length */
};

/* What the transport adds to a response's fields. */
struct http1_response {
    unsigned status;
    enum http1_framing framing;
    bool close;       /* says "connection: close" */
    bool keep_alive;  /* says "connection: keep-alive", which HTTP/1.0 must be told */
    struct span date; /* 29 bytes */
};

/* Writes a head, from the status line to the empty line, into the arena. False when there is no
 * memory. */
bool http1_write_head(struct arena *arena, const struct http1_response *response,
                      const struct http_field *fields, size_t count, struct span *ret_head);

/* Writes the head of a request that we make, from the request line to the empty line, into the
 * arena. False when there is no memory, and for a target or a value that holds what would end it.
 */
bool http1_write_request(struct arena *arena, struct span method, struct span target,
                         const struct http_field *fields, size_t count, struct span *ret_head);

/* Writes a whole error response, {"error":"…"}, that closes the connection. The message is a fixed
 * sentence or was cleaned of bytes that JSON escapes. False when there is no memory. */
bool http1_write_error(struct arena *arena, const struct error *error, struct span date,
                       struct span request_id, struct span *ret_response);

/* Writes the line before a chunk's content into text; returns it. */
enum { HTTP1_CHUNK_LINE_BYTES = 20 };
struct span http1_write_chunk_line(char text[HTTP1_CHUNK_LINE_BYTES], size_t size_bytes);

#endif
