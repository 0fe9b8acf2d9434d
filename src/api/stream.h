/* An answer that is written as things happen, for as long as the client reads it. */
#ifndef TENSORD_API_STREAM_H
#define TENSORD_API_STREAM_H

#include "api/call.h"

/* In the exchange's arena; `tick` is told every now and then. */
struct stream {
    struct api_call *call;
    struct buf next, sent; /* what waits, and what is on its way */
    bool sending;
    bool ended;
    bool closed;
    struct timer timer;
    void (*tick)(struct stream *stream);
    void (*gone)(struct stream *stream); /* the exchange has closed; may be NULL */
    struct http_field fields[2];
};

/* Starts the answer to a call whose body has been collected; the struct stays until `gone`. `tick`
 * is called soon, and then every 100 ms. */
void stream_begin(struct stream *stream, struct api_call *call, const char *content_type);

/* Whether the server, or the front, is about to end: then what would go on ends. */
bool stream_is_over(const struct stream *stream);

/* Whether the client reads fast enough for more. */
bool stream_has_room(const struct stream *stream);

/* Writes what was appended to stream->next. */
void stream_flush(struct stream *stream);

/* Ends the answer after what was written. */
void stream_end(struct stream *stream);

#endif
