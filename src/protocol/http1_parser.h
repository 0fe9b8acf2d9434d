/* The parser of HTTP/1.1 requests: bytes in, a filled exchange and a decoded body out. Does no I/O.
 *
 * llhttp reads the syntax, without any of its lenient flags; http1_head.c adds what llhttp leaves
 * to its user. The outcome does not depend on how the bytes are cut into reads. */
#ifndef TENSORD_PROTOCOL_HTTP1_PARSER_H
#define TENSORD_PROTOCOL_HTTP1_PARSER_H

#include "base/buf.h"
#include "protocol/http1_llhttp.h"
#include "protocol/http_transport.h"

/* A piece of the head, by its place in it: the head may move while it arrives. */
struct http1_mark {
    uint32_t at;
    uint32_t size;
};

struct http1_field_mark {
    struct http1_mark name;
    struct http1_mark value;
};

enum http1_step {
    HTTP1_MORE,  /* all was used; more is needed */
    HTTP1_DONE,  /* the head, or the body, is complete */
    HTTP1_ERROR, /* the request is refused, by *ret_error */
};

/* One request, from its first byte to its last. */
struct http1_parser {
    struct http_exchange *exchange; /* its request is filled, in its arena */
    llhttp_t llhttp;

    /* The head so far. */
    struct buf partial; /* its bytes, when it came in several reads */
    const char *chunk;  /* the bytes being parsed, which begin at head_bytes of the head */
    size_t head_bytes;
    struct http1_mark method, target, protocol, version;
    struct http1_field_mark *fields;
    size_t field_count;
    size_t field_capacity;
    bool in_name; /* the last field has no value yet */

    /* What the head says; valid when it is complete. */
    bool chunked;
    bool keep_alive;
    bool expects_continue;
    bool old; /* HTTP/1.0 */

    /* The chunked body so far. */
    bool in_body;
    bool body_done;
    uint32_t chunk_count;
    size_t trailer_count;
    uint64_t framing_bytes; /* received bytes that are no content */
    char *decoded;          /* where the next content goes */

    enum error_code refusal; /* why a callback stopped llhttp; else ERROR_OK */
};

/* Starts to parse a request into a new exchange. */
void http1_parser_init(struct http1_parser *parser, struct http_exchange *exchange);

/* Frees what a half-read head holds. */
void http1_parser_fini(struct http1_parser *parser);

/* Parses bytes of the head. *ret_used of them belong to it; when it is done, the rest is the body
 * or the next request. */
enum http1_step http1_parse_head(struct http1_parser *parser, struct span received,
                                 size_t *ret_used, struct error *ret_error);

/* Parses bytes of a chunked body and writes its content to `into`, which must not be empty.
 * Uses no more of `received` than there is room; *ret_decoded bytes were written, on error too. */
enum http1_step http1_parse_body(struct http1_parser *parser, struct span received,
                                 struct room into, size_t *ret_used, size_t *ret_decoded,
                                 struct error *ret_error);

/* Checks the complete head, whose bytes lie in the arena at `head`, and fills the request. For the
 * parser; in http1_head.c. */
bool http1_head_finish(struct http1_parser *parser, char *head, struct error *ret_error);

#endif
