/* The parser of HTTP/1.1 responses: bytes of a server in, a head and a decoded body out. Does no
 * I/O, and trusts the server with nothing.
 *
 * llhttp reads the syntax, without any of its lenient flags; what it leaves to its user is checked
 * here. The outcome does not depend on how the bytes are cut into reads. */
#ifndef TENSORD_PROTOCOL_HTTP1_ANSWER_H
#define TENSORD_PROTOCOL_HTTP1_ANSWER_H

#include "protocol/http1_parser.h"

/* How the body's end is known (RFC 9112 §6.3). */
enum http1_answer_framing {
    HTTP1_ANSWER_EMPTY,
    HTTP1_ANSWER_LENGTH,
    HTTP1_ANSWER_CHUNKED,
    HTTP1_ANSWER_UNTIL_CLOSE,
};

/* One response, from its first byte to its last. */
struct http1_answer {
    /* What the head says, when it is complete. */
    unsigned status;
    struct http_field *fields; /* names in lower case; in the arena */
    size_t field_count;
    enum http1_answer_framing framing;
    uint64_t length; /* of the body, where that is said; counted down while it comes */
    bool keep_alive; /* the connection may be used again */

    /* The parser's own. */
    const struct http_limits *limits;
    struct arena *arena;
    bool to_head; /* it answers a HEAD: no body, whatever it says */
    llhttp_t llhttp;
    const char *chunk; /* the bytes being parsed, which begin at parsed_bytes of the head */
    size_t parsed_bytes;
    struct http1_field_mark *marks;
    size_t mark_count, mark_capacity;
    bool in_name;
    bool in_body, body_done;
    size_t framing_bytes;  /* since the last content, before `uncounted` */
    const char *uncounted; /* in the received bytes */
    char *decoded;         /* where the next content goes */
    enum error_code refusal;
};

/* Starts to parse a response. The arena and limits outlive it. */
void http1_answer_init(struct http1_answer *answer, const struct http_limits *limits,
                       struct arena *arena, bool to_head);

/* Parses the head, of which `bytes` is all that has come so far, what was given before included; it
 * may have moved. DONE: *ret_used bytes are the head. ERROR with BAD_GATEWAY, or without memory. An
 * interim response (1xx) is a head, too: another one follows, for a parser that is initialised
 * anew; after 101 comes what is no HTTP. */
enum http1_step http1_answer_head(struct http1_answer *answer, struct span bytes, size_t *ret_used,
                                  struct error *ret_error);

/* Takes content out of received bytes, of which *ret_used are used up; the content is written over
 * them, at their beginning, *ret_content bytes of it. DONE: the body is complete. For CHUNKED and
 * LENGTH. */
enum http1_step http1_answer_body(struct http1_answer *answer, struct room bytes, size_t *ret_used,
                                  size_t *ret_content, struct error *ret_error);

#endif
