/* Namespaces of a managed server: a network of its own, in which there is nobody else, and
 * processes of its own, all of which end with the first. They need a kernel, and a container, that
 * lets this user have them: with privilege, else in a user namespace of its own, where it is who it
 * was. */
#ifndef TENSORD_WORKER_NAMESPACES_H
#define TENSORD_WORKER_NAMESPACES_H

#include <stdbool.h>
#include <stdint.h>

/* Gives this process, which has one thread, a network with nothing but a loopback of its own, and
 * IPC of its own. False, with nothing changed, when it may not. */
bool namespaces_enter_network(void);

/* Lets the next child of this process, which has one thread, be the first of a new process
 * namespace, with mounts of its own. False, with nothing changed, when it may not. */
bool namespaces_enter_processes(void);

/* In that child: mounts what such processes see of themselves (/proc) and share (/dev/shm, of at
 * most so many MiB; 0: half of the machine's), and covers where this machine's services listen.
 * False when it may not. */
bool namespaces_mount(uint32_t shared_mib);

/* In that child: covers a file, so that what it is cannot be reached at this path. False when it is
 * there and cannot be covered. */
bool namespaces_cover(const char *path);

#endif
