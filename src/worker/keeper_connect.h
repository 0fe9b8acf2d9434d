/* Connecting to a managed server: for its health, and for the front. For keeper.c alone. */
#ifndef TENSORD_WORKER_KEEPER_CONNECT_H
#define TENSORD_WORKER_KEEPER_CONNECT_H

#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Where the server listens. */
struct keeper_place {
    uint16_t port; /* 0: on the socket */
    char socket[PATH_MAX];
};

/* Whether it serves: it accepts connections and, where there is a health path, answers it with 2xx.
 * Blocks for some seconds at most. When it does not, `what` is a clause: "it answered 503". */
bool keeper_is_healthy(const struct keeper_place *place, struct span health, char *what,
                       size_t size);

enum {
    KEEPER_MOST_CONNECTS = 64, /* under way at once; who asks for more waits */
    KEEPER_MOST_POLLS = 1 + KEEPER_MOST_CONNECTS,
};

/* Connections that are being made for the front. */
struct keeper_connects {
    bool open; /* the front may still ask */
    size_t count;
    int fds[KEEPER_MOST_CONNECTS];
};

void keeper_connects_init(struct keeper_connects *connects);

/* Fills in what to poll for; returns how many. */
size_t keeper_connects_polls(const struct keeper_connects *connects, struct pollfd *polls);

/* Takes what the poll has given: hands over what is connected, and begins what is asked for. */
void keeper_connects_polled(struct keeper_connects *connects, const struct keeper_place *place,
                            const struct pollfd *polls, size_t count);

#endif
