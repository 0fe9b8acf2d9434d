/* What is said when there is no memory for a message; see message_memory.h. */
#include "protocol/message_memory.h"

#include "telemetry/metrics.h"

static bool used_up(struct error *ret_error)
{
    limit_hit(LIMIT_message_memory_mib);
    return error_set(ret_error, ERROR_UNAVAILABLE,
                     "other requests and answers take all the memory that messages may "
                     "(--message-memory-mib); try again later");
}

bool message_no_memory(const struct buf *buf, struct error *ret_error)
{
    return buf->unaffordable ? used_up(ret_error) : error_no_memory(ret_error);
}

void message_explain(const struct arena *arena, struct error *error)
{
    if (arena->unaffordable)
        used_up(error);
}
