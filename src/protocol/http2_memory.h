/* The memory of one nghttp2 session.
 *
 * After a failed allocation nghttp2 may hold what it has already freed (a DATA frame that found no
 * place in the queue, in 1.52), so that even deleting the session is not safe. Therefore all of a
 * session's blocks are listed: when one could not be had, the connection ends and the blocks are
 * freed here, without asking nghttp2. The limit also bounds what a peer can make a session keep. */
#ifndef TENSORD_PROTOCOL_HTTP2_MEMORY_H
#define TENSORD_PROTOCOL_HTTP2_MEMORY_H

#include "base/list.h"

#include <nghttp2/nghttp2.h>

struct http2_memory {
    struct list blocks;
    size_t size_bytes; /* of all blocks, with their heads */
    size_t limit_bytes;
    bool failed; /* a block could not be had: nghttp2 must not be called any more */
};

/* Starts without blocks. */
void http2_memory_init(struct http2_memory *memory, size_t limit_bytes);

/* Frees every block that is left. */
void http2_memory_fini(struct http2_memory *memory);

/* What nghttp2_session_server_new3 takes; the memory must stay while the session lives. */
nghttp2_mem http2_memory_calls(struct http2_memory *memory);

#endif
