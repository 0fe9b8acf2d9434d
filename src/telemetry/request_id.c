/* Ids of requests; see request_id.h. */
#include "telemetry/request_id.h"

#include "telemetry/random.h"

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._:~+/=@", c));
}

bool request_id_valid(struct span id)
{
    if (id.size == 0 || id.size > REQUEST_ID_MAX_BYTES)
        return false;
    for (size_t i = 0; i < id.size; i++) {
        if (!is_plain(id.data[i]))
            return false;
    }
    return true;
}

struct span request_id_make(char to[REQUEST_ID_BYTES])
{
    uint64_t number = random_next();
    for (size_t i = 0; i < REQUEST_ID_BYTES; i++) {
        to[i] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
    return (struct span){to, REQUEST_ID_BYTES};
}
