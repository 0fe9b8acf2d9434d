/* gRPC over an HTTP exchange: how a call is recognised, how its messages are framed, how its status
 * travels. Knows no service and no protobuf.
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)
 *
 * A server reads with a grpc_reader from its http_handler and answers with grpc_reply, grpc_message
 * (as often as it likes) and grpc_end. The parsing half is pure. */
#ifndef TENSORD_PROTOCOL_GRPC_H
#define TENSORD_PROTOCOL_GRPC_H

#include "base/error.h"
#include "protocol/http.h"

enum { GRPC_PREFIX_BYTES = 5 };

/* True for POST with content-type application/grpc or application/grpc+proto, whatever its
 * parameters. */
bool grpc_is_call(const struct http_request *request);

/* Splits "/package.Service/Method". False (UNIMPLEMENTED) when the path has another shape. */
bool grpc_method_split(struct span path, struct span *ret_service, struct span *ret_method,
                       struct error *ret_error);

/* Reads a grpc-timeout: 1 to 8 digits and one of H M S m u n. A time beyond 2⁶³ ns is CLOCK_NEVER.
 * False (INVALID_ARGUMENT) for anything else. */
bool grpc_timeout_parse(struct span value, uint64_t *ret_timeout_ns, struct error *ret_error);

/* The absolute deadline that the request's grpc-timeout means when it came at now_ns; CLOCK_NEVER
 * without one. False as above. */
bool grpc_deadline(const struct http_request *request, uint64_t now_ns, uint64_t *ret_deadline_ns,
                   struct error *ret_error);

/* Percent-encodes a grpc-message into the arena. False when there is no memory. */
bool grpc_message_encode(struct arena *arena, struct span text, struct span *ret_encoded);

/* Reads the framing of a body: messages, each behind one byte of flags and four of length. The
 * message's own bytes never pass through the reader, so that a tensor is received where it stays:
 *
 *     body_room:     grpc_reader_room(), or when its size is 0 the rest of the caller's memory for
 *                    the running message, at most reader->left_bytes
 *     body_received: grpc_reader_advance(count)
 *     body_end:      grpc_reader_end() */
struct grpc_reader {
    size_t limit_bytes;   /* of one message */
    uint32_t size_bytes;  /* of the running or, after GRPC_READ_MESSAGE, the complete message */
    uint32_t left_bytes;  /* of it, still to come */
    uint8_t prefix_count; /* bytes of the prefix so far */
    bool encoded;         /* the call named a grpc-encoding other than identity */
    char prefix[GRPC_PREFIX_BYTES];
};

enum grpc_read {
    GRPC_READ_MORE,    /* go on */
    GRPC_READ_STARTED, /* a message of size_bytes ≥ 1 begins: find memory for it */
    GRPC_READ_MESSAGE, /* a message of size_bytes is complete; an empty one has no STARTED */
    GRPC_READ_ERROR,   /* the call cannot go on: end it with the error */
};

/* Starts before the first message. */
void grpc_reader_init(struct grpc_reader *reader, const struct http_request *request,
                      size_t limit_bytes);

/* Where the next bytes of a prefix go; size 0 inside a message. */
struct room grpc_reader_room(struct grpc_reader *reader);

/* `count` bytes were received: into grpc_reader_room, or inside a message into the caller's memory.
 * At most as many as fitted there. Errors: a message over the limit RESOURCE_EXHAUSTED, a
 * compressed one UNIMPLEMENTED, or INTERNAL when the call named no encoding, an unknown flag
 * INTERNAL. */
enum grpc_read grpc_reader_advance(struct grpc_reader *reader, size_t count,
                                   struct error *ret_error);

/* The body has ended. False (INTERNAL) when that was inside a message. */
bool grpc_reader_end(const struct grpc_reader *reader, struct error *ret_error);

/* True between messages, where a stream may idle. */
bool grpc_reader_idle(const struct grpc_reader *reader);

/* Starts the response: 200 and the content-type. */
void grpc_reply(struct http_exchange *exchange);

/* Writes a message made of the vectors. `prefix` is memory of the caller's that, like the message's
 * own, must stay until `drained` or `closed`. False when the message is larger than 2³²-1 bytes:
 * then nothing was written. grpc_reply comes first. */
bool grpc_message(struct http_exchange *exchange, char prefix[GRPC_PREFIX_BYTES],
                  const struct iovec *vectors, size_t count);

/* Ends the call: OK when error is NULL. Without grpc_reply before, the response is a lone head
 * (Trailers-Only). The error's text is copied. */
void grpc_end(struct http_exchange *exchange, const struct error *error);

#endif
