/* Content codings (RFC 9110 §8.4): bodies that come as gzip or deflate, and answers that go out so.
 */
#ifndef TENSORD_API_CODING_H
#define TENSORD_API_CODING_H

#include "api/call.h"
#include "codec/zip.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE };

/* The coding of the request's body. False (UNSUPPORTED_MEDIA) when it is another, or several. */
bool coding_of_body(const struct http_request *request, enum coding *ret_coding,
                    struct error *ret_error);

/* Receives the body and decodes it into memory that is held of the messages' budget, at most
 * limit_bytes, and ZIP_MAX_RATIO times what came. When all is there, the exchange's content_length
 * is that of the decoded body; `begin`, which sets a handler, is called, and the handler is given
 * it. */
void coding_receive(struct api_call *call, enum coding coding, size_t limit_bytes,
                    void (*begin)(struct api_call *call));

/* There is room for the body again: what is decoded is handed on, or the transport told. */
void coding_resume(struct api_call *call);

/* Frees what the call's codings hold. */
void coding_fini(struct api_call *call);

/* http_send, compressed where the client wants that and it is worth it: answers of 1 KiB to 1 MiB
 * that become smaller. `tensors`: the answer is mostly numbers, which hardly shrink and take their
 * time; then only for clients that name a single coding, since libraries of their own accord list
 * all that they know. The vectors must stay as http_send says, fields only for the call. */
void coding_send(struct api_call *call, unsigned status, const struct http_field *fields,
                 size_t count, const struct iovec *vectors, size_t vector_count, bool tensors);

#endif
