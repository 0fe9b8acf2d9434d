/* A request's memory for outputs: its grant, and what the front grants beside it.
 *
 * Outputs of a stream are laid one behind the other. Once the front has returned all credits, so
 * that nobody reads them any more, the room is used from its beginning again: an endless stream
 * needs no more memory than its largest few answers. */
#include "worker/host_private.h"

static bool take_from(struct host_room *room, uint64_t size, struct extent *ret_extent)
{
    if (size > room->extent.size || room->used > room->extent.size - size)
        return false;
    *ret_extent = (struct extent){room->extent.offset + room->used, size};
    room->used += (size + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    return true;
}

static bool take_from_any(struct host_request *request, uint64_t size, struct extent *ret_extent)
{
    for (size_t i = 0; i < request->room_count; i++) {
        if (take_from(&request->rooms[i], size, ret_extent))
            return true;
    }
    return false;
}

/* True when nothing that lies in the request's rooms is needed any more; waits for it when answers
 * are only on their way to the client. */
static bool wait_until_returned(struct host *host, struct host_request *request)
{
    pthread_mutex_lock(&host->lock);
    while (request->unreturned > 0 && !request->cancelled && !host->stopping)
        host_wait(host);
    bool returned = request->unreturned == 0;
    pthread_mutex_unlock(&host->lock);
    return returned;
}

/* Asks the front for another room and waits for its answer. */
static bool ask_for_room(struct host *host, struct host_request *request, uint64_t size)
{
    struct record_writer writer;
    host_record(host, &writer, RECORD_NEED_ROOM);
    record_put(&writer, &(struct record_need_room){request->id, size},
               sizeof(struct record_need_room));
    host_send(host, &writer, true);
    pthread_mutex_lock(&host->lock);
    while (!request->granted && !host->stopping)
        host_wait(host);
    bool granted = request->granted && request->grant.size >= size;
    struct host_room room = {.extent = request->grant};
    request->granted = false;
    pthread_mutex_unlock(&host->lock);
    if (!granted) {
        host->tensord.reason(TENSORD_UNAVAILABLE, "%s", request->grant_error);
        return false;
    }
    if (!arena_grow(&request->execution->arena, (void **)&request->rooms, request->room_count,
                    &request->room_capacity, sizeof room)) {
        host->tensord.reason(TENSORD_UNAVAILABLE, "out of memory");
        return false;
    }
    request->rooms[request->room_count++] = room;
    return true;
}

bool host_room_take(struct host_execution *execution, struct host_request *request, uint64_t size,
                    struct extent *ret_extent)
{
    struct host *host = execution->host;
    if (size == 0) {
        *ret_extent = (struct extent){0};
        return true;
    }
    if (take_from_any(request, size, ret_extent))
        return true;
    /* Of several requests, each has its own copies in its rooms; a single one has the engine's. */
    size_t in_use = execution->request_count > 1 ? request->output_count
                                                 : request->output_count + execution->output_count;
    if (in_use == 0 && wait_until_returned(host, request)) {
        for (size_t i = 0; i < request->room_count; i++)
            request->rooms[i].used = 0;
        if (take_from_any(request, size, ret_extent))
            return true;
    }
    return ask_for_room(host, request, size) &&
           take_from(&request->rooms[request->room_count - 1], size, ret_extent);
}
