/* The messages between the front and the spawner: one per packet of a SOCK_SEQPACKET pair.
 *
 * Layout, little-endian: type u8, flags u8 (of a SERVER, bit 0: it has the network), size of the
 * text u16, number i32 (of a START or SERVER, the size of what follows its text), id u64, text; a
 * START or SERVER goes on with its limits, each u32, the processors, each word u64, the
 * interpreter, a NUL, the model. A message has exactly one form: fields that its type does not use
 * are zero or empty. Neither side trusts the other with more than this page: sizes are bounded, and
 * the descriptors that a START or TASK carries are counted by the receiver. Pure. */
#ifndef TENSORD_WORKER_SPAWN_MESSAGE_H
#define TENSORD_WORKER_SPAWN_MESSAGE_H

#include "base/process_limits.h"
#include "base/span.h"

enum {
    SPAWN_HEAD_BYTES = 16,
    SPAWN_LIMITS_BYTES = 4 * 6 + 8 * CPU_LIST_WORDS,
    SPAWN_TEXT_MAX_BYTES = 4096, /* PATH_MAX */
    SPAWN_MESSAGE_MAX_BYTES = SPAWN_HEAD_BYTES + SPAWN_LIMITS_BYTES + 3 * SPAWN_TEXT_MAX_BYTES + 1,
    SPAWN_MAX_WORKERS = 1024,    /* asked for and not yet told to have ended */
    SPAWN_PLACES_FOR_TASKS = 16, /* of these, which no worker takes */
};

/* The descriptors of a START, in this order; in the worker the first is number 3, and so on. */
enum spawn_fd {
    SPAWN_FD_RINGS,
    SPAWN_FD_TENSORS,
    SPAWN_FD_TO_WORKER,
    SPAWN_FD_TO_FRONT,
    SPAWN_FD_SPEC, /* sealed memfd of the worker_spec, which the spawner does not read */
    SPAWN_FD_COUNT,
    SPAWN_FD_LINE = SPAWN_FD_COUNT, /* of a SERVER besides: the line that hands out connections */
    SPAWN_FD_MOST
};

enum spawn_type {
    SPAWN_START = 1,   /* front → spawner; text: the root that the worker may read; the
                          interpreter that it is, if any; the model's path; its limits;
                          descriptors */
    SPAWN_KILL,        /* front → spawner */
    SPAWN_STARTED,     /* spawner → front; number: the process id */
    SPAWN_NOT_STARTED, /* spawner → front; text: why; the last of its id */
    SPAWN_ENDED,       /* spawner → front; number: the wait status; text: which limit it had
                          passed, if that is why; the last of its id */
    SPAWN_READY,       /* front → spawner: it serves; again after it has read its settings anew */
    SPAWN_SETTLED,     /* front → spawner: what it loads at its start is loaded, or has failed */
    SPAWN_ALIVE,       /* front → spawner, every two seconds: its loop turns */
    SPAWN_RETIRE,      /* spawner → front: another front has taken its place */
    SPAWN_TASK,   /* front → spawner; number: which of its tasks; text: a path; one descriptor */
    SPAWN_EXPORT, /* front → spawner: start an exporter; its descriptor */
    SPAWN_SERVER, /* front → spawner: a START of a worker that keeps a managed server */
    SPAWN_TYPE_END
};

/* So begins the text of an ENDED whose process had used too much memory, had written too much to
 * its scratch folder, or had too many threads and processes. */
#define SPAWN_USED_MEMORY "it used "
#define SPAWN_USED_SCRATCH "it wrote "
#define SPAWN_USED_PIDS "it ran "

struct spawn_message {
    enum spawn_type type;
    uint64_t id;      /* of the worker, chosen by the front, never 0; 0 where there is none */
    int32_t number;   /* 0 unless the type says what it is */
    struct span text; /* no NUL inside; empty unless the type says what it is */
    struct span interpreter;      /* a path; only of a START or SERVER */
    struct span model;            /* likewise */
    struct process_limits limits; /* likewise */
    bool network;                 /* only of a SERVER */
};

/* Writes the message, whose texts are at most SPAWN_TEXT_MAX_BYTES long each, and returns its size.
 */
size_t spawn_message_write(const struct spawn_message *message, char to[SPAWN_MESSAGE_MAX_BYTES]);

/* Reads a packet. The texts are views of it. False, and *ret_message untouched, when the packet is
 * anything but a message in its one form. */
bool spawn_message_read(struct span packet, struct spawn_message *ret_message);

/* Writes what a wait status means, as a clause: "exited with status 3", "killed by signal 11
 * (Segmentation fault)". Returns text. */
char *spawn_status_text(int status, char *text, size_t size);

#endif
