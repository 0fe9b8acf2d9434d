/* The worker's memory that it shares with the front, and the records that it writes there; see
 * host_private.h. */
#include "worker/host_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROOM_WAIT_MS = 1000, WAKE_AGAIN_NS = 1000000 };

static void *map_file(int fd, uint64_t size)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    return map == MAP_FAILED ? NULL : map;
}

bool host_wire_open(struct host *host, struct error *ret_error)
{
    struct stat rings, tensors;
    if (fstat(host->fds.rings, &rings) < 0 || fstat(host->fds.tensors, &tensors) < 0 ||
        rings.st_size != CHANNEL_RINGS_SIZE)
        return error_set(ret_error, ERROR_INTERNAL, "these are not the descriptors of a channel");
    host->tensors_size = (uint64_t)tensors.st_size;
    host->tensors = map_file(host->fds.tensors, host->tensors_size);
    host->shared = map_file(host->fds.rings, CHANNEL_RINGS_SIZE);
    host->in_record = malloc(RING_RECORD_MAX);
    host->out_record = malloc(RING_RECORD_MAX);
    if (!host->tensors || !host->shared || !host->in_record || !host->out_record)
        return error_no_memory(ret_error);
    if (host->shared->magic != CHANNEL_MAGIC || host->shared->version != CHANNEL_VERSION)
        return error_set(ret_error, ERROR_INTERNAL, "the channel speaks another version");
    char *map = (char *)host->shared;
    ring_init(&host->in, &host->shared->to_worker, map + CHANNEL_TO_WORKER_OFFSET);
    ring_init(&host->out, &host->shared->to_front, map + CHANNEL_TO_FRONT_OFFSET);
    return true;
}

void host_wire_close(struct host *host)
{
    if (host->tensors)
        munmap(host->tensors, host->tensors_size);
    if (host->shared)
        munmap(host->shared, CHANNEL_RINGS_SIZE);
    free(host->in_record);
    free(host->out_record);
    host_fds_close(host->fds);
}

void host_fds_close(struct channel_fds fds)
{
    close(fds.rings);
    close(fds.tensors);
    close(fds.to_worker);
    close(fds.to_front);
}

void host_record(struct host *host, struct record_writer *writer, enum record_type type)
{
    pthread_mutex_lock(&host->out_lock);
    record_begin(writer, host->out_record, type);
}

void host_wake_front(struct host *host)
{
    if (!ring_must_wake(&host->out))
        return;
    const struct timespec moment = {.tv_nsec = WAKE_AGAIN_NS};
    while (
        write(host->fds.to_front, "", 1) < 0 &&
        (errno == EINTR || errno == ENOMEM || errno == ENOBUFS)) /* else it would wait for ever */
        nanosleep(&moment, NULL);
}

void host_send(struct host *host, struct record_writer *writer, bool wake)
{
    enum ring_state state = RING_BROKEN;
    if (record_end(writer)) {
        while ((state = ring_write(&host->out, writer->data)) == RING_FULL) {
            host_wake_front(host);
            ring_wait_room(&host->out, ROOM_WAIT_MS);
        }
    }
    if (wake && state == RING_RECORD)
        host_wake_front(host);
    pthread_mutex_unlock(&host->out_lock);
}

void host_send_or_drop(struct host *host, struct record_writer *writer)
{
    if (record_end(writer) && ring_write(&host->out, writer->data) == RING_RECORD)
        host_wake_front(host);
    pthread_mutex_unlock(&host->out_lock);
}
