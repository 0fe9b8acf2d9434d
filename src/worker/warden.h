/* The warden of a managed server: the process that starts its command, in a sandbox, and sees that
 * nothing of it is left when it ends.
 *
 *   spawner ─► keeper (a worker: asks, connects, tells the front)
 *                └─► warden ─► the server's command ─► what that starts
 *
 * It is forked from the spawner's child that becomes the keeper, and executes nothing itself. Where
 * there are namespaces it is the first process of one, so that its end is the end of all; where
 * there are none, it ends what it can find. If the keeper ends, it does too. */
#ifndef TENSORD_WORKER_WARDEN_H
#define TENSORD_WORKER_WARDEN_H

#include "worker/sandbox.h"
#include "worker/spawner_child.h"

/* What the keeper and the warden tell each other: a packet each of a SOCK_SEQPACKET pair. */
enum warden_type {
    WARDEN_START = 1, /* keeper → warden */
    WARDEN_STOP,      /* keeper → warden: ask the command to end (SIGTERM) */
    WARDEN_STARTED,   /* warden → keeper; number: the port that it is to listen on, 0: the socket;
                         text: what its sandbox lacks, or nothing */
    WARDEN_FAILED,    /* warden → keeper; text: why it could not be started */
    WARDEN_ENDED,     /* warden → keeper; number: its wait status. The last one, as FAILED is */
};

enum { WARDEN_TEXT_BYTES = 256, WARDEN_PATH_BYTES = 109 /* of a unix socket */ };

struct warden_message {
    uint32_t type;
    int32_t number;
    char text[WARDEN_TEXT_BYTES];
};

/* What a warden is started with; the descriptors are the caller's. */
struct warden_order {
    const struct spawner_child *child;
    const struct spawner_worker *worker;
    char sockets[SPAWNER_MAX_SOCKETS][WARDEN_PATH_BYTES]; /* unix sockets of the server's own */
    size_t socket_count;
    int spec;    /* as a worker's */
    int control; /* its end of the pair */
    int output;  /* where the command writes to */
};

/* Notes where the server itself listens; to be called before any descriptor is given a number. */
void warden_note_sockets(struct warden_order *order, const struct spawner_options *options);

/* In the child that is to become the keeper: takes the network from this process, if the order says
 * so, and starts the warden as its child. False with the reason when the sandbox's mode does not
 * let it be started as it can be here. */
bool warden_start(const struct warden_order *order, struct error *ret_error);

/* The path of the unix socket of a server whose folder for scratch is this one, in the keeper and
 * in the warden. */
void warden_socket_path(const char *scratch, char *path, size_t size);

#endif
