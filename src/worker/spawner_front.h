/* A front as the spawner knows it: its process, its line, and the workers that it has asked for.
 * For spawner*.c alone. There are two of them while a new program takes over from an old one.
 *
 * Each worker has a slot from START until the front has been told of its end; what there is to tell
 * is a state of the slot, so that a front that does not read costs no memory. The front is not
 * trusted: what is not a proper message ends it. Nothing here blocks. */
#ifndef TENSORD_WORKER_SPAWNER_FRONT_H
#define TENSORD_WORKER_SPAWNER_FRONT_H

#include "worker/spawner_child.h"

enum { SPAWNER_REASON_BYTES = 256 };

/* A worker. */
struct spawner_slot {
    uint64_t id; /* 0: free */
    pid_t pid;   /* 0: there is no process */
    int last_words;
    bool tell_started;
    bool tell_ended;
    bool has_scratch;
    bool has_group; /* a cgroup */
    uint32_t memory_mib;
    bool passed_limit; /* reason says which, and why it was ended */
    int status;
    char reason[SPAWNER_REASON_BYTES]; /* why it was not started, or was ended; empty: it was
                                          started, and ended */
};

struct spawner_front {
    const struct spawner_child *child;
    pid_t pid;  /* 0: there is none */
    int socket; /* -1: closed */
    bool ended;
    int status;                 /* of the ended process */
    bool congested;             /* the socket has no room: wait for POLLOUT */
    bool settled;               /* it serves, and its models are loaded */
    bool said_ready;            /* since spawner_front_listen was last called */
    bool said_alive;            /* likewise */
    bool retires;               /* another one has taken its place */
    bool tell_retire;           /* RETIRE is owed to it */
    bool adopted;               /* an older program started it, in whose pace it speaks */
    bool keeps_pace;            /* it has begun to give signs of life in ours */
    uint64_t alive_ns;          /* CLOCK_MONOTONIC, when it last said so */
    struct spawner_slot *slots; /* SPAWN_MAX_WORKERS of them */
};

/* Starts the front's process; `child` outlives it. *front is as it was, and errno set, when false.
 */
bool spawner_front_start(struct spawner_front *front, const struct spawner_child *child,
                         bool successor);

/* Reads all there is on its line and acts on it. At the end of the line the front is about to exit,
 * in its own time; nonsense is answered by killing it. */
void spawner_front_listen(struct spawner_front *front);

/* Tells it what it is owed, as far as its line has room. Does nothing when the line is closed. */
void spawner_front_tell(struct spawner_front *front);

/* A child has been reaped. False when it is not this front or a worker of it. */
bool spawner_front_reaped(struct spawner_front *front, pid_t pid, int status);

/* Kills what is left of it, the front's process included, waits for that, and closes everything.
 * The struct is then empty; so may it have been before. */
void spawner_front_fini(struct spawner_front *front);

#endif
