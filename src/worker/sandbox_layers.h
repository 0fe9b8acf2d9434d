/* The sandbox's layers that have a file each; for sandbox.c alone. */
#ifndef TENSORD_WORKER_SANDBOX_LAYERS_H
#define TENSORD_WORKER_SANDBOX_LAYERS_H

#include "worker/sandbox.h"

/* The kernel's Landlock ABI; 0: none. */
int sandbox_landlock_abi(void);

/* What is left of TCP. */
enum sandbox_tcp { SANDBOX_NO_TCP, SANDBOX_CONNECTS, SANDBOX_ALL_TCP };

/* Restricts this thread, and what it starts, to the rows; no TCP but what `tcp` leaves, no abstract
 * sockets and no signals to processes outside. Paths that do not exist are skipped. Does
 * nothing when abi is 0. */
bool sandbox_landlock_enter(int abi, const struct sandbox_path *paths, size_t count,
                            enum sandbox_tcp tcp, struct error *ret_error);

/* Whether the kernel has seccomp filters. */
bool sandbox_seccomp_available(void);

enum sandbox_role {
    SANDBOX_WORKER,
    SANDBOX_PYTHON,      /* a worker with a scratch folder */
    SANDBOX_INTERPRETER, /* the same before it executes its interpreter, which becomes one */
    SANDBOX_WRITER,
    SANDBOX_FRONT,
    SANDBOX_EXPORTER,
    SANDBOX_SCRIPT,    /* a worker that has yet to execute its interpreter */
    SANDBOX_KEEPER,    /* a worker that connects to its server */
    SANDBOX_INSTALLER, /* may do all but what it is refused */
    SANDBOX_SERVER,    /* likewise, and listen */
};

/* Loads the role's filter. files_bounded: Landlock says what may be written; else files cannot be
 * opened for writing at all in a worker. devices: ioctl may be
 * called; of which devices, is said by Landlock, and by which there are. */
bool sandbox_seccomp_enter(enum sandbox_role role, bool files_bounded, bool devices,
                           struct error *ret_error);

#endif
