/* Opening a client's shared memory: done in a process of the spawner's (worker/spawner.h, tasks)
 * that may open files there and nothing else, as the front has no right on that folder. It sends
 * the descriptor to the front. */
#ifndef TENSORD_REGIONS_REGION_OPEN_H
#define TENSORD_REGIONS_REGION_OPEN_H

#include <stdbool.h>
#include <stdint.h>

/* Where POSIX shared memory objects lie on Linux (shm_overview(7)). */
#define REGION_FOLDER "/dev/shm"

/* Sent over the task's descriptor, a stream socket, with the opened descriptor when there is one.
 */
struct region_opened {
    uint64_t size_bytes; /* of the object, now */
    uint64_t opened;     /* 1: the descriptor comes with it */
};

/* The task: opens the object whose file is at path, directly in REGION_FOLDER, for reading and
 * writing. What is no regular file of a file system in memory, is a link, or belongs to another
 * user than the server's, is not opened. False when the answer could not be sent. */
bool region_open_run(const char *path, int fd);

/* The front's side: takes the answer. Returns the descriptor, or -1 when there is none. Does not
 * block. */
int region_open_take(int fd, uint64_t *ret_size_bytes);

#endif
