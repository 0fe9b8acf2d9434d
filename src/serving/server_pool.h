/* Connections to the managed server of a generation, and the visits that wait for one.
 *
 * The front may not connect: the generation's keeper does, and hands the connections over
 * (worker/keeper_line.h). They are used again for a second; a server that has had no visit for as
 * long as its config says is stopped. All calls are for the loop's thread. */
#ifndef TENSORD_SERVING_SERVER_POOL_H
#define TENSORD_SERVING_SERVER_POOL_H

#include "base/error.h"
#include "base/list.h"
#include "base/server_config.h"
#include "net/loop.h"

struct conn;
struct generation;
struct server_line;
struct visit;

struct server_pool {
    struct generation *generation;
    struct server_line *line;  /* to its keeper; NULL: there is none */
    struct list waiting;       /* of struct visit; generation->state.queued are in it */
    struct list idle;          /* of connections that nobody uses, the newest last */
    struct list asking;        /* of struct visit: why the server has ended */
    size_t open;               /* connections: asked for, lent and idle */
    size_t asked;              /* of these, which the keeper has yet to make */
    size_t lent;               /* of these, which are with visits */
    uint64_t refused_since_ns; /* the server has accepted none since then; 0: it does */
    struct timer again;        /* asks again after a refusal */
    struct timer quiet;        /* nobody has visited since it was started */
    uint64_t lost_ns;          /* when its keeper last ended; 0: never */
    char lost_why[256];        /* why */
};

void server_pool_init(struct server_pool *pool, struct generation *generation);

/* No visit is left. Connections that lie idle close. */
void server_pool_fini(struct server_pool *pool);

/* A keeper is being started, whose line this is, which the pool owns from here on, in any case.
 * False when it cannot be watched. */
bool server_pool_open(struct server_pool *pool, int fd, struct error *ret_error);

/* It has no keeper, or none any more. Visits keep the connections that they have. */
void server_pool_close(struct server_pool *pool);

/* Its keeper has ended, and why: the same, and whoever asks is told. */
void server_pool_lost(struct server_pool *pool, const char *why);

/* Gives connections to those who wait, and asks for what lacks; in the generation's dispatch. */
void server_pool_dispatch(struct server_pool *pool);

/* Refuses all that wait. */
void server_pool_refuse(struct server_pool *pool, const struct error *error);

/* The server may have nothing to do: it is stopped after a while. */
void server_pool_rest(struct server_pool *pool);

/* A visit gives its connection back: NULL, when it is gone. With `reusable` another may have it. */
void server_pool_return(struct server_pool *pool, struct conn *conn, bool reusable);

#endif
