/* What is said when there is no memory for a message.
 *
 * All messages of a server together have a budget (http_server.messages): heads, JSON and gRPC, on
 * their way in and out. Whoever finds it used up has met a limit, not the end of the machine's
 * memory, and is told which. For the loop's thread: it counts. */
#ifndef TENSORD_PROTOCOL_MESSAGE_MEMORY_H
#define TENSORD_PROTOCOL_MESSAGE_MEMORY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

/* The error for a buffer that could not grow: UNAVAILABLE, counted as a limit that was met, when
 * that was the budget's; else error_no_memory. Returns false. */
bool message_no_memory(const struct buf *buf, struct error *ret_error);

/* Makes the error of a request whose arena the budget has refused to grow the same, whatever code
 * it has been given; leaves other errors as they are. */
void message_explain(const struct arena *arena, struct error *error);

#endif
