/* gRPC over an HTTP exchange: how a call is recognised, how its messages are framed, how its status
 * travels. Knows no service and no protobuf.
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)
 *
 * A server reads with a grpc_reader from its http_handler and answers with grpc_reply, grpc_message
 * (as often as it likes) and grpc_end. Compressed messages are decompressed while they come;
 * answers are compressed for clients that compress themselves: that a client could take it (most
 * say so) is no reason to spend a hundred times the copy's time on it. The reading half is pure. */
#ifndef TENSORD_PROTOCOL_GRPC_H
#define TENSORD_PROTOCOL_GRPC_H

#include "base/buf.h"
#include "base/error.h"
#include "codec/zip.h"
#include "protocol/http.h"

enum {
    GRPC_PREFIX_BYTES = 5,
    GRPC_COMPRESS_BYTES = 1024,        /* shorter messages are sent as they are; */
    GRPC_COMPRESS_MAX_BYTES = 1 << 20, /* longer ones too: they would hold up the loop */
};

/* What grpc-encoding names. */
enum grpc_encoding { GRPC_IDENTITY, GRPC_GZIP, GRPC_DEFLATE, GRPC_OTHER };

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

/* Makes the value of a "-bin" field: base64 without padding. False without memory. */
bool grpc_binary_encode(struct arena *arena, struct span bytes, struct span *ret_value);

/* Reads the value of a "-bin" field, padded or not. False (INVALID_ARGUMENT) when it is no base64,
 * or there is no memory. A field that stands several times may also be one list: split it at commas
 * first. */
bool grpc_binary_decode(struct arena *arena, struct span value, struct span *ret_bytes,
                        struct error *ret_error);

/* ---- reading ---- */

struct grpc_inflater;

/* Reads the framing of a body: messages, each behind one byte of flags and four of length. A plain
 * message's own bytes never pass through the reader, so that a tensor is received where it stays;
 * of a compressed one the reader makes a plain message in memory of its own:
 *
 *     body_room:     grpc_reader_room(), or when its size is 0 the rest of the caller's memory for
 *                    the running message, at most reader->left_bytes
 *     body_received: grpc_reader_advance(count)
 *     body_end:      grpc_reader_end() */
struct grpc_reader {
    size_t limit_bytes; /* of one message, plain */
    uint32_t
        size_bytes; /* of the running or, after GRPC_READ_MESSAGE, the complete message, as sent */
    uint32_t left_bytes;  /* of it, still to come */
    uint8_t prefix_count; /* bytes of the prefix so far */
    bool compressed;      /* the message is: its plain form is grpc_reader_message() */
    enum grpc_encoding encoding;
    char prefix[GRPC_PREFIX_BYTES];
    struct grpc_inflater *inflater; /* of compressed messages; NULL before the first */
    struct buf plain; /* the running message, when compressed; its limit may be lowered */
};

enum grpc_read {
    GRPC_READ_MORE,    /* go on */
    GRPC_READ_STARTED, /* a plain message of size_bytes ≥ 1 begins: find memory for it */
    GRPC_READ_MESSAGE, /* a message is complete; an empty or compressed one has no STARTED */
    GRPC_READ_ERROR,   /* the call cannot go on: end it with the error */
};

/* Starts before the first message. */
void grpc_reader_init(struct grpc_reader *reader, const struct http_request *request,
                      size_t limit_bytes);

/* Frees what compressed messages have cost. Accepts a reader that is all zeros. */
void grpc_reader_fini(struct grpc_reader *reader);

/* Where the next bytes of a prefix, or of a compressed message, go; size 0 inside a plain message,
 * or without memory, which the next advance by 0 bytes tells. */
struct room grpc_reader_room(struct grpc_reader *reader);

/* `count` bytes were received: into grpc_reader_room, or inside a plain message into the caller's
 * memory. At most as many as fitted there. Errors: a message over the limit, or one that expands
 * too much (zip.h), RESOURCE_EXHAUSTED; an encoding that we do not know UNIMPLEMENTED; a compressed
 * message when the call named no encoding, damaged data and unknown flags INTERNAL. */
enum grpc_read grpc_reader_advance(struct grpc_reader *reader, size_t count,
                                   struct error *ret_error);

/* After GRPC_READ_MESSAGE: gives a compressed message's plain form to *message, whose memory is
 * freed; the message is as large as it says, whatever the buffer's limit. Does nothing for a plain
 * message. */
void grpc_reader_message(struct grpc_reader *reader, struct buf *message);

/* The body has ended. False (INTERNAL) when that was inside a message. */
bool grpc_reader_end(const struct grpc_reader *reader, struct error *ret_error);

/* True between messages, where a stream may idle. */
bool grpc_reader_idle(const struct grpc_reader *reader);

/* ---- answering ---- */

/* One call's answers. Its memory must stay until the exchange has closed; a message's own until
 * `drained`. */
struct grpc_writer {
    enum grpc_encoding encoding;
    char prefix[GRPC_PREFIX_BYTES];
    struct buf compressed; /* the message that is being sent */
};

/* Starts: the answers are encoded as the request is, if it says that it accepts that. */
void grpc_writer_init(struct grpc_writer *writer, const struct http_request *request);

/* Frees. Accepts a writer that is all zeros. */
void grpc_writer_fini(struct grpc_writer *writer);

/* Starts the response: 200, the content-type, and the caller's fields (names in lower case; values
 * as they travel), which must stay until `closed`. */
void grpc_reply(struct http_exchange *exchange, const struct grpc_writer *writer,
                const struct http_field *fields, size_t count);

/* Writes a message made of the vectors; the one before it must have been drained, if the writer
 * compresses. False when the message is larger than 2³²-1 bytes: then nothing was written.
 * grpc_reply comes first. */
bool grpc_message(struct http_exchange *exchange, struct grpc_writer *writer,
                  const struct iovec *vectors, size_t count);

/* For callers that put several messages together: makes writer->compressed of the vectors, which
 * are of so many bytes together, where the call's answers are compressed and that helps. False: the
 * message goes as it is, also for want of memory. */
bool grpc_compress(struct grpc_writer *writer, const struct iovec *vectors, size_t count,
                   size_t size_bytes);

/* Writes the prefix of a message, of so many bytes as it is sent. size_bytes ≤ 2³²-1. */
void grpc_prefix(char prefix[GRPC_PREFIX_BYTES], bool compressed, size_t size_bytes);

/* Ends the call: OK when error is NULL. Without grpc_reply before, the response is a lone head
 * (Trailers-Only). The error's text is copied. */
void grpc_end(struct http_exchange *exchange, const struct error *error);

/* The same with a status number (google.rpc.Code), a text of any bytes, which is copied, and
 * trailers, which must stay until `closed`. */
void grpc_end_with(struct http_exchange *exchange, unsigned status, struct span message,
                   const struct http_field *trailers, size_t count);

#endif
