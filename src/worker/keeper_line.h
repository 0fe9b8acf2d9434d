/* The line between the front and the keeper of a managed server: a pair of stream sockets. The
 * front asks for connections, the keeper, which alone can reach the server, makes them and hands
 * them over. */
#ifndef TENSORD_WORKER_KEEPER_LINE_H
#define TENSORD_WORKER_KEEPER_LINE_H

#include <stdint.h>

/* This byte asks for one connection. */
enum { KEEPER_CONNECT = 'C' };

/* The answer to one asking, in no order, each sent at once. */
struct keeper_answer {
    int32_t failure; /* 0: a connected stream socket comes with it; else an errno, and none does */
};

#endif
